"""FIFOs, sockets and devices are refused wherever a file is read; nothing waits for them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bapps_gen.cli import main
from support.datasets import make, one_line, shard_file


@pytest.fixture(autouse=True)
def _alarm() -> Iterator[None]:
    """A command that waits for a FIFO fails its test instead of keeping it forever."""

    def fail(number: int, frame: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def put_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["dataset.json", "collection.json", "data/part-00001.parquet"])
@pytest.mark.parametrize("command", ["info", "verify", "score", "show"])
def test_a_fifo_in_a_dataset_is_refused(
    name: str, command: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_fifo(copy / name)
    options = {"show": ["-o", str(tmp_path / "x.png")], "score": ["--metric", "l2", "--quiet"]}
    options["verify"] = ["--quiet", "--workers", "1"]
    code = main([command, str(copy), *options.get(command, [])])
    if name == "collection.json":  # no file, so it makes the dataset no collection
        assert code == 0 or command == "verify"
    elif (name, command) != ("data/part-00001.parquet", "info"):  # which counts it as damaged
        assert code in (1, 2)
        said = capsys.readouterr()
        assert "FIFO" in said.err + said.out


def test_resuming_makes_a_shard_again_where_a_fifo_lies(photos: Path, copy: Path) -> None:
    whole = shard_file(copy, 1).read_bytes()
    put_fifo(shard_file(copy, 1))
    assert make(photos, copy, 70) == 0
    assert shard_file(copy, 1).read_bytes() == whole


@pytest.mark.parametrize("name", ["x.jpg", "x.tar", "x.parquet"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_among_photos_is_refused(
    name: str, linked: bool, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(shutil.copytree(photos, tmp_path / "photos"))
    os.mkfifo(tmp_path / "fifo")
    if linked:
        (source / name).symlink_to(tmp_path / "fifo")
    else:
        put_fifo(source / name)
    assert make(source, tmp_path / "out", 10) == 2
    assert f"{name}: a FIFO, a socket or a device" in one_line(capsys)


def test_a_device_as_a_photo_or_a_description_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distort", "/dev/zero", "--with", "jpeg", "-o", str(tmp_path / "x.png")]) == 2
    assert "/dev/zero" in one_line(capsys)
    assert main(["collection", "--spec", "/dev/zero", "--out", str(tmp_path / "out")]) == 2
    assert "/dev/zero" in one_line(capsys)


def test_a_fifo_as_a_zoo_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "zoo.json")
    assert main(["distorters", "--zoo", str(tmp_path)]) == 2
    assert "FIFO" in one_line(capsys)
