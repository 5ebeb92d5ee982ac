"""The command line as a user meets it."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from bapps_gen.cli import COMMANDS, main
from bapps_gen.distortions.registry import load_registry
from support.datasets import photo, save_photo

HEAVY = ("torch", "numpy", "cv2", "pyarrow", "scipy", "skimage", "pandas", "ray", "jinja2")


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bapps_gen", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd="/")


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert "usage: bapps-gen" in capsys.readouterr().out


def test_a_former_name_of_a_command_still_works(capsys):
    pages = []
    for name in ("collection", "dataset"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1] != ""


def test_an_unknown_command_is_one_line():
    done = run("tradtional")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "traditional" in done.stderr


def test_the_table_of_distortions_comes_from_the_records(capsys):
    assert main(["distortions", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [atom["name"] for atom in table["atoms"]] == list(load_registry().atoms)
    assert len(table["atoms"]) == 20
    assert len(table["compositions"]) == 308
    assert main(["distortions", "--compositions"]) == 0
    text = capsys.readouterr().out
    assert "20 atoms and 308 compositions" in text
    assert "shift+jpeg" in text.splitlines()


def test_a_reader_that_leaves_early_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m bapps_gen distortions --compositions | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.stderr == ""


@pytest.fixture
def picture(tmp_path):
    return save_photo(tmp_path / "photo.png", photo(0, 90, 133))


def distort(picture, out, *steps: str, seed: int = 0) -> int:
    given = [word for step in steps for word in ("--with", step)]
    return main(["distort", str(picture), *given, "-o", str(out), "--seed", str(seed)])


def test_distortions_are_applied_in_order_to_an_image_of_any_size(picture, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert distort(picture, out, "gaussian_blur:sigma=2", "jpeg:quality=20") == 0
    said = capsys.readouterr().out
    assert said.index("gaussian_blur v") < said.index("jpeg v")
    assert "sigma 2," in said
    result, source = cv2.imread(str(out)), cv2.imread(str(picture))
    assert result.shape == source.shape
    blurred = cv2.GaussianBlur(source, (0, 0), 2)
    assert (
        np.abs(result.astype(int) - blurred).mean() < 8 < np.abs(result.astype(int) - source).mean()
    )


def test_severity_and_seed_fix_the_result(picture, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert distort(picture, tmp_path / f"{name}.png", "pink:severity=0.5", seed=seed) == 0
    a, b, c = (cv2.imread(str(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_two_noises_in_a_row_are_not_the_same_noise(picture, tmp_path):
    once, twice = tmp_path / "once.png", tmp_path / "twice.png"
    assert distort(picture, once, "gaussian_white:sigma=0.05") == 0
    assert distort(picture, twice, "gaussian_white:sigma=0.05", "gaussian_white:sigma=0.05") == 0
    source = cv2.imread(str(picture)).astype(float)
    first, second = (cv2.imread(str(path)) - source for path in (once, twice))
    assert second.std() / first.std() == pytest.approx(2**0.5, rel=0.1)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "bmp"])
def test_pictures_are_written_in_the_usual_formats(picture, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    assert distort(picture, out, "contrast:gain=0.5") == 0
    assert cv2.imread(str(out)).shape == (90, 133, 3)


def test_wrong_pictures_and_places_are_one_line_each(picture, tmp_path, capsys):
    tiny = save_photo(tmp_path / "tiny.png", photo(0, 6, 50))
    (tmp_path / "torn.png").write_bytes(picture.read_bytes()[:500])
    assert distort(tmp_path / "nowhere.png", tmp_path / "out.png", "jpeg") == 2
    assert distort(tmp_path / "torn.png", tmp_path / "out.png", "jpeg") == 2
    assert distort(tiny, tmp_path / "out.png", "jpeg") == 2
    assert distort(picture, tmp_path / "out.gif", "jpeg") == 2
    assert distort(picture, tmp_path / "no" / "out.png", "jpeg") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    for line, words in zip(
        lines, ("nowhere.png", "torn.png", "8×8", "out.gif", "does not exist"), strict=True
    ):
        assert words in line


def test_show_draws_the_rows_asked_for(dataset, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert main(["show", str(dataset), "-o", str(out), "--count", "5"]) == 0
    assert "5 of 70 triplets" in capsys.readouterr().out
    assert main(["show", str(dataset), "-o", str(out), "--rows", "3,69", "--zoom", "1"]) == 0
    from bapps_gen.manifests.readers import TripletDataset

    sheet = cv2.imread(str(out))[..., ::-1]
    reference = TripletDataset(dataset).row(3).ref
    assert np.array_equal(sheet[10:74, 10:74], reference)
    for options, words in (
        (("--rows", "70"), "row = 70"),
        (("--rows", "x"), "rows = x"),
        (("--count", "0"), "count = 0"),
        (("--zoom", "0"), "zoom = 0"),
        (("-o", "sheet.gif"), "sheet.gif"),
    ):
        assert main(["show", str(dataset), "-o", str(out), *options]) == 2
        assert words in capsys.readouterr().err


def test_info_counts_what_is_there(dataset, capsys):
    assert main(["info", str(dataset), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["shards"], found["source_images"]) == (70, 3, 6)
    assert main(["info", str(dataset)]) == 0
    assert "traditional" in capsys.readouterr().out


def test_a_lossy_picture_is_said_to_be(picture, tmp_path, capsys):
    assert distort(picture, tmp_path / "out.png", "gaussian_blur:sigma=2") == 0
    assert capsys.readouterr().err == ""
    assert distort(picture, tmp_path / "out.jpg", "gaussian_blur:sigma=2") == 0
    err = capsys.readouterr().err
    assert "out.jpg is a JPEG, which changes pixels" in err
    assert len(err.splitlines()) == 1
