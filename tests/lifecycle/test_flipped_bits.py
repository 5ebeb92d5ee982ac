"""A bit that flips in a stored picture is found by whatever reads it, and resuming repairs it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import WorkError
from support.datasets import one_line
from support.once import Once
from support.subjects import BENCHMARK, SHARD_ROWS, Inputs

SHARD, ROW = "part-00001.parquet", 34


@pytest.fixture(scope="module")
def flipped(dataset: Path, once: Once) -> Path:
    """A dataset with one bit flipped in a picture of a row; do not change it."""

    def build(folder: Path) -> None:
        shutil.copytree(dataset, folder)
        flip(folder / "data" / SHARD, bapps_gen.open_dataset(dataset)[ROW].id)

    return once("flipped", build)


def flip(shard: Path, identity: str) -> None:
    """Flip a bit in the middle of the last patch of a row."""
    import pyarrow.parquet as pq

    rows = pq.read_table(shard).to_pylist()
    (png,) = [row["p0"]["bytes"] for row in rows if row["id"] == identity]
    data = bytearray(shard.read_bytes())
    data[data.index(png) + len(png) // 2] ^= 1
    shard.write_bytes(data)


@pytest.mark.parametrize(
    "command",
    [
        "score HERE --metric l2",
        "export HERE --format bapps --out OUT",
        "export HERE --format webdataset --out OUT",
        "validate HERE --out OUT.html",
        "show HERE --count 70 -o OUT.png",
    ],
)
def test_commands_end_in_one_line_that_names_file_and_row(
    command: str, flipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, out = tmp_path / "copy", str(tmp_path / "out")
    shutil.copytree(flipped, copy)
    words = command.replace("HERE", str(copy)).replace("OUT", out).split()
    quiet = [] if words[0] == "show" else ["--quiet"]
    workers = ["--workers", "1"] if words[0] in ("score", "validate") else []
    assert main([*words, *quiet, *workers]) == 1
    line = one_line(capsys)
    assert f"{SHARD} is damaged (row {ROW}: the stored p0 " in line
    assert not [path for path in tmp_path.glob("out*") if path.is_file()]


def test_verify_names_the_row_and_goes_on(
    flipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", str(flipped), "--stored-only", "--quiet", "--workers", "1"]
    assert main(words) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{SHARD} row {ROW}: the stored p0 ")
    assert last.endswith("1 differences in 70 rows compared")


def test_readers_refuse_it(flipped: Path) -> None:
    place = re.escape(f"{SHARD} is damaged (row {ROW}: the stored p0 ")
    with pytest.raises(WorkError, match=place):
        list(bapps_gen.iter_triplets(flipped))
    data = bapps_gen.TripletDataset(flipped)
    assert data.row(0).ref.shape == (64, 64, 3)
    with pytest.raises(WorkError, match=place):
        data.row(ROW)


@pytest.mark.parametrize("check", ["pages", "full", "footers"])
def test_resuming_makes_the_shard_again(
    check: str,
    flipped: Path,
    dataset: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = Path(shutil.copytree(flipped, tmp_path / "copy"))
    words = ["traditional", "--n", "70", "--shard-size", str(SHARD_ROWS), "--source", str(photos)]
    assert main([*words, "--out", str(copy), "--quiet", "--workers", "1", "--check", check]) == 0
    shard = Path("data") / SHARD
    if check == "footers":
        assert (copy / shard).read_bytes() == (flipped / shard).read_bytes()
    else:
        assert SHARD in one_line(capsys)
        assert (copy / shard).read_bytes() == (dataset / shard).read_bytes()


def test_full_checks_find_pictures_that_were_exchanged(
    dataset: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from support.datasets import put_values

    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    other = bapps_gen.open_dataset(dataset)
    from bapps_gen.imaging.encode import encode_png

    put_values(copy, 1, "p0", {4: {"bytes": encode_png(other[0].p0), "path": "x"}})
    words = ["traditional", "--n", "70", "--shard-size", str(SHARD_ROWS), "--source", str(photos)]
    words += ["--out", str(copy), "--quiet", "--workers", "1", "--check"]
    assert main([*words, "full"]) == 0
    assert "row 34: the stored p0 is not the picture of its hash" in one_line(capsys)
    assert main(["verify", str(copy), "--stored-only", "--quiet", "--workers", "1"]) == 0


@pytest.mark.parametrize("check", ["pages", "full"])
def test_resuming_a_benchmark_makes_the_image_again(
    check: str, inputs: Inputs, once: Once, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = once("flipped-benchmark", lambda folder: BENCHMARK.make(inputs, folder))
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    picture = copy / BENCHMARK.lost
    data = bytearray(picture.read_bytes())
    data[len(data) // 2] ^= 1
    picture.write_bytes(data)
    assert BENCHMARK.make(inputs, copy, "--check", check) == 0
    assert BENCHMARK.lost in one_line(capsys)
    assert picture.read_bytes() == (made / BENCHMARK.lost).read_bytes()
