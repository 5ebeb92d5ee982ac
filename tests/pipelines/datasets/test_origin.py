"""What is published says nothing of the maker's machine, and nothing in it is run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import read_info
from support.datasets import one_line
from support.once import Once

PLUGIN = """
import pathlib
import numpy as np
from bapps_gen.distortions import Distortion

pathlib.Path({marker!r}).touch()

def invert(patch, params, rng):
    return 255 - patch

DISTORTIONS = [
    Distortion(
        name="invert",
        version=1,
        family="color",
        summary="the negative",
        function=invert,
        parameters=(),
        has_identity=False,
    )
]
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "secret-home" / "mine.py"
    path.parent.mkdir()
    path.write_text(PLUGIN.format(marker=str(tmp_path / "ran")))
    return path


def make(photos: Path, plugin: Path, out: Path) -> Path:
    words = ["traditional", "--n", "6", "--source", str(photos), "--plugin", str(plugin)]
    words += ["--atoms", "invert,jpeg", "--out", str(out), "--quiet", "--workers", "1"]
    assert main(words) == 0
    return out


def verify(folder: Path, *options: object) -> int:
    words = ["verify", str(folder), "--quiet", "--workers", "1", *map(str, options)]
    return main(words)


def published_texts(folder: Path) -> dict[str, str]:
    """Texts of everything that is for others."""
    return {
        str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "sources.local.json"
    }


def test_nothing_published_has_a_path_of_this_machine(
    photos: Path, plugin: Path, task: Path, zoo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make(photos, plugin, out / "set")
    outputs = [f"{name}={task / name}" for name in ("swap", "halve")]
    real = ["real", "color", "--n", "4", "--reference", str(task / "gt")]
    only = "2afc/val/traditional,2afc/val/superres"
    collection = ["collection", "--scale", "0.0001", "--only", only]
    source, last = ["--source", str(photos)], ["--quiet", "--workers", "1"]
    for words in (
        ["cnn", "--n", "4", *source, "--zoo", str(zoo), "--out", str(out / "cnn")],
        [*real, "--outputs", *outputs, "--out", str(out / "real")],
        ["benchmark", *source, "--levels", "1", "--atoms", "jpeg", "--out", str(out / "bench")],
        [*collection, "--val", str(photos), "--real-demo", "--out", str(out / "all")],
        ["validate", str(out / "set"), "--out", str(out / "report.html")],
        ["validate", str(out / "cnn"), "--out", str(out / "cnn.html")],
    ):
        assert main([*words, *last]) == 0, words
    assert main(["export", str(out / "set"), "--format", "recipe", "--out", str(out / "r")]) == 0
    assert not (out / "r" / "sources.local.json").exists()
    shutil.rmtree(out / "all-demo")
    for name, text in published_texts(out).items():
        for place in (tmp_path, photos.parent, task.parent, zoo.parent):
            assert str(place) not in text, name


def test_verify_finds_the_photos_by_the_local_file_and_says_so_without(
    dataset: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    assert verify(copy) == 0
    (copy / "sources.local.json").unlink()
    assert verify(copy) == 2
    line = one_line(capsys)
    assert "photos" in line
    assert "give --source" in line
    assert verify(copy, "--source", photos) == 0


def test_a_local_file_of_another_dataset_or_a_damaged_one_counts_as_none(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    local = copy / "sources.local.json"
    held = json.loads(local.read_text())
    for text in ("{", json.dumps({**held, "spec_digest": "0" * 32}), json.dumps([held])):
        local.write_text(text)
        assert verify(copy) == 2
        assert "give --source" in one_line(capsys)


def test_descriptions_of_older_versions_are_read(
    dataset: Path, photos: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "sources.local.json").unlink()
    info = json.loads((copy / "dataset.json").read_text())
    del info["sources"]
    info |= {"source_roots": [str(photos)], "plugins": []}
    (copy / "dataset.json").write_text(json.dumps(info))
    assert read_info(copy).sources == (photos.name,)
    assert verify(copy) == 0


def test_a_plugin_is_never_run_because_a_description_names_it(
    photos: Path, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, ran = make(photos, plugin, tmp_path / "set"), tmp_path / "ran"
    record = json.loads((made / "dataset.json").read_text())["plugins"][0]
    assert record["name"] == "mine.py"
    ran.unlink()
    commands = (
        ["verify", str(made)],
        ["verify", str(made), "--stored-only"],
        ["replay", str(made), "--source", str(photos), "--out", str(tmp_path / "again")],
    )
    for words in commands:
        assert main([*words, "--quiet", "--workers", "1"]) == 2
        line = one_line(capsys)
        assert "mine.py" in line
        assert "--plugin" in line
        assert not ran.exists()
    for words in commands:
        assert main([*words, "--plugin", str(plugin), "--quiet", "--workers", "1"]) == 0
        assert ran.exists()


def test_an_older_description_with_the_path_of_a_plugin_does_not_run_it(
    photos: Path, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, ran = make(photos, plugin, tmp_path / "set"), tmp_path / "ran"
    info = json.loads((made / "dataset.json").read_text())
    del info["sources"]
    info |= {"source_roots": [str(photos)], "plugins": [str(plugin)]}
    (made / "dataset.json").write_text(json.dumps(info))
    ran.unlink()
    assert verify(made) == 2
    assert "mine.py" in one_line(capsys)
    assert not ran.exists()
    assert verify(made, "--plugin", plugin) == 0


def test_another_file_of_that_name_is_refused(
    photos: Path, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(photos, plugin, tmp_path / "set")
    (tmp_path / "ran").unlink()
    plugin.write_text(plugin.read_text() + "\n# changed\n")
    assert verify(made, "--plugin", plugin) == 2
    assert "SHA-256" in one_line(capsys)
    assert not (tmp_path / "ran").exists()


def test_a_plugin_for_a_dataset_without_one_is_refused(
    dataset: Path, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(dataset, "--plugin", plugin) == 2
    assert "no effect" in one_line(capsys)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def task(once: Once) -> Path:
    from support.real_outputs import save_task

    return once("origin-task", save_task)


def test_the_guides_upload_leaves_the_local_file_behind(
    photos: Path, plugin: Path, tmp_path: Path
) -> None:
    from huggingface_hub.utils import filter_repo_objects

    guide = Path(__file__).parents[3] / "docs" / "pages" / "how-to" / "share.md"
    (line,) = re.findall(r"^hf upload .*$", guide.read_text(), re.MULTILINE)
    excluded = re.findall(r'--exclude "([^"]+)"', line)
    made = make(photos, plugin, tmp_path / "set")
    names = [str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()]
    kept = set(filter_repo_objects(names, ignore_patterns=excluded))
    assert set(names) - kept == {"sources.local.json", ".lock"}
    assert {"README.md", "dataset.json", "data/part-00000.parquet"} <= kept
