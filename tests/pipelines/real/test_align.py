"""Alignment by file name: what fits, and everything that does not."""

import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bapps_gen.errors import SourceError
from bapps_gen.pipelines.real.align import align, alignment_keys
from bapps_gen.pipelines.sources.source import open_source
from support.datasets import photo, save_photo
from support.real_outputs import ALGORITHMS, make_real, save_task


@pytest.fixture
def task(tmp_path) -> Path:
    return save_task(tmp_path / "task", images=3)


def aligned(folder: Path, *names: str, skip: bool = False):
    outputs = {name: open_source([folder / name]) for name in names or ALGORITHMS}
    return align(open_source([folder / "gt"]), outputs, skip=skip)


def names_of(source) -> list[str]:
    return [entry.name for entry in source.entries]


def test_files_of_one_name_belong_together_whatever_their_ending(tmp_path):
    folder = save_task(tmp_path / "task", images=3, endings="JPG")
    images, left_out = aligned(folder)
    assert names_of(images.reference) == [f"scenes/000{i}.png" for i in range(3)]
    assert images.algorithms == tuple(sorted(ALGORITHMS))
    for outputs in images.outputs:
        assert names_of(outputs) == [f"scenes/000{i}.JPG" for i in range(3)]
    assert left_out == {}


def test_a_dot_in_a_name_is_no_ending(tmp_path):
    for name in ("gt", "a", "b"):
        for image in ("shot.1", "shot.2"):
            save_photo(tmp_path / name / f"{image}.png", photo(len(name + image)))
    images, _ = aligned(tmp_path, "a", "b")
    assert names_of(images.reference) == ["shot.1.png", "shot.2.png"]


def test_outputs_come_in_the_order_of_the_reference_whatever_their_own(tmp_path):
    files = {"gt": ("a.b.png", "a.png"), "b": ("a.b.png", "a.JPG"), "c": ("a.b.bmp", "a.png")}
    for name, images in files.items():
        for seed, image in enumerate(images):
            save_photo(tmp_path / name / image, photo(seed) // {"gt": 1, "b": 2, "c": 3}[name])
    assert names_of(open_source([tmp_path / "b"])) == ["a.JPG", "a.b.png"]
    images, _ = aligned(tmp_path, "b", "c")
    assert names_of(images.reference) == list(files["gt"])
    assert [tuple(names_of(outputs)) for outputs in images.outputs] == [files["b"], files["c"]]


def test_names_count_from_the_root_folders_included(task):
    save_photo(task / "gt" / "more" / "0000.png", photo(8))
    for name in ALGORITHMS:
        save_photo(task / name / "more" / "0000.png", photo(8) // 3)
    images, _ = aligned(task)
    assert names_of(images.outputs[0])[0] == "more/0000.png"
    assert len(images) == 4


def test_tar_and_parquet_files_align_by_the_names_within(tmp_path):
    save_task(tmp_path, images=3)
    for name in ("gt", "invert", "swap"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            tar.add(tmp_path / name / "scenes", "scenes")
        files = sorted((tmp_path / name / "scenes").iterdir())
        table = pa.table({"image": [path.read_bytes() for path in files]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for kind in ("tar", "parquet"):
        sources = [open_source([tmp_path / f"{name}.{kind}"]) for name in ("gt", "invert", "swap")]
        images, _ = align(sources[0], {"invert": sources[1], "swap": sources[2]})
        assert len(images) == 3
        for index in range(3):
            expected = ALGORITHMS["invert"](images.reference.load(index))
            np.testing.assert_array_equal(images.outputs[0].load(index), expected)
    reference = open_source([tmp_path / "gt" / "scenes"])
    tar = open_source([tmp_path / "swap.tar"])
    assert alignment_keys(reference) == ["0000", "0001", "0002"]
    assert alignment_keys(tar) == ["scenes/0000", "scenes/0001", "scenes/0002"]


def test_a_missing_output_is_an_error_that_names_it(task):
    (task / "swap" / "scenes" / "0001.png").unlink()
    (task / "halve" / "scenes" / "0001.png").unlink()
    with pytest.raises(SourceError) as raised:
        aligned(task)
    text = str(raised.value)
    assert "1 of 3 reference images cannot be used (2 outputs missing)" in text
    assert "scenes/0001.png: no output of halve; no output of swap" in text
    assert text.endswith("leave them out with --skip-misaligned")
    assert "\n" not in text


def test_another_size_is_an_error_that_says_both(task):
    save_photo(task / "swap" / "scenes" / "0002.png", photo(2, 75, 150))
    with pytest.raises(SourceError) as raised:
        aligned(task)
    assert (
        "(1 outputs of another size): scenes/0002.png: the output of swap has 150×75 px, "
        "but the reference has 300×150 px" in str(raised.value)
    )


def test_a_name_that_fits_several_files_is_an_error(task):
    save_photo(task / "swap" / "scenes" / "0000.jpg", photo(1))
    save_photo(task / "gt" / "scenes" / "0001.bmp", photo(1))
    with pytest.raises(SourceError) as raised:
        aligned(task)
    text = str(raised.value)
    assert "3 names that fit several files" in text
    assert "several outputs of swap: scenes/0000.jpg, scenes/0000.png" in text
    assert "several images of this name: scenes/0001.bmp, scenes/0001.png" in text


def test_what_does_not_fit_is_left_out_and_named_where_that_is_asked(task, caplog):
    (task / "swap" / "scenes" / "0001.png").unlink()
    save_photo(task / "invert" / "scenes" / "0002.png", photo(2, 75, 150))
    images, left_out = aligned(task, skip=True)
    assert names_of(images.reference) == ["scenes/0000.png"]
    assert all(names_of(outputs) == ["scenes/0000.png"] for outputs in images.outputs)
    assert list(left_out) == ["scenes/0001.png", "scenes/0002.png"]
    assert left_out["scenes/0001.png"] == "no output of swap"
    assert [record.getMessage() for record in caplog.records] == [
        f"left out {name}: {reason}" for name, reason in left_out.items()
    ]


def test_many_images_left_out_are_counted_in_the_log_and_all_recorded(tmp_path, capsys):
    picture = photo(0, 64, 64)
    for name in ("gt", "a", "b"):
        save_photo(tmp_path / name / "kept.png", picture // (1 + len(name)))
    save_photo(tmp_path / "b" / "kept.png", picture // 4)
    for image in range(30):
        save_photo(tmp_path / "gt" / f"{image:02d}.png", picture)
    options = ("--skip-misaligned",)
    assert make_real(tmp_path, tmp_path / "set", 3, *options, names=("a", "b")) == 0
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 21
    assert "left out 10 more images" in err[-1]
    assert len((tmp_path / "set" / "dataset.json").read_text().split("no output of a")) == 31


def test_nothing_left_is_an_error(task):
    for name in ("0000", "0001", "0002"):
        save_photo(task / "swap" / "scenes" / f"{name}.png", photo(0, 64, 64))
    with pytest.raises(SourceError, match="none is left"):
        aligned(task, skip=True)


def test_other_names_throughout_are_explained_by_an_example(task):
    (task / "swap" / "scenes").rename(task / "swap" / "other")
    with pytest.raises(SourceError) as raised:
        aligned(task, skip=True)
    assert (
        "no output of swap has the name of a reference image: outputs are called 'other/0000' and "
        "so on, reference images 'scenes/0000'" in str(raised.value)
    )


def test_outputs_of_no_image_are_told_and_not_used(task, caplog):
    for extra in range(7):
        save_photo(task / "swap" / "scenes" / f"extra{extra}.png", photo(0))
    images, left_out = aligned(task)
    assert len(images.outputs[-1]) == 3
    assert left_out == {}
    (record,) = caplog.records
    assert "7 outputs of swap belong to no reference image" in record.getMessage()
    assert "scenes/extra0.png" in record.getMessage()


def test_sizes_are_those_after_exif_rotation(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    upright = photo(0, 90, 140)
    save_photo(tmp_path / "gt" / "a.png", upright)
    save_photo(tmp_path / "b" / "a.png", upright // 2)
    (tmp_path / "c").mkdir()
    Image.fromarray(np.rot90(upright)).save(tmp_path / "c" / "a.jpg", exif=exif)
    images, _ = aligned(tmp_path, "b", "c")
    assert images.outputs[1].load(0).shape == upright.shape
    Image.fromarray(upright).save(tmp_path / "c" / "a.jpg", exif=exif)
    with pytest.raises(SourceError, match="has 90×140 px, but the reference has 140×90 px"):
        aligned(tmp_path, "b", "c")


def test_files_without_a_header_are_left_to_their_turn(task):
    (task / "swap" / "scenes" / "0001.png").write_bytes(b"torn")
    images, left_out = aligned(task)
    assert len(images) == 3
    assert left_out == {}


def test_equal_outputs_under_two_names_are_refused(task, tmp_path, capsys):
    shutil.copytree(task / "swap", task / "copy")
    assert make_real(task, tmp_path / "set", 5, names=("swap", "copy")) == 2
    assert "copy and swap have the same files" in capsys.readouterr().err
    assert make_real(task, tmp_path / "set", 5, "--outputs", f"same={task / 'gt'}") == 2
    err = capsys.readouterr().err
    assert "the reference and same have the same files" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_sizes_are_compared_without_decoding(task, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    monkeypatch.setattr("bapps_gen.pipelines.sources.source.decode_image", None)
    images, _ = aligned(task)
    assert len(images) == 3
