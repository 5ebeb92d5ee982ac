"""CNN distorters in benchmarks."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from bapps_gen.cnn_distorters.zoo import distorter_path, open_zoo
from support.zoos import IDS, SPECS, write_zoo


def make(source: Path, out: Path, zoo: Path, *options: str, workers: int = 1) -> int:
    return main(
        [
            *("benchmark", "--quiet", "--source", str(source), "--out", str(out)),
            *("--zoo", str(zoo), "--workers", str(workers), *options),
        ]
    )


def manifest(folder: Path) -> list[dict]:
    return pq.read_table(folder / "manifest.parquet").to_pylist()


def picture(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("pictures", [(), ("--patches", "3")])
def test_cnn_distorters_have_levels_of_their_strength(photos, zoo, tmp_path, pictures):
    out = tmp_path / "out"
    options = ("--distorters", "all", "--severities", "0.2,1", *pictures)
    assert make(photos, out, zoo, *options) == 0
    rows = manifest(out)
    assert len(rows) == 6 * len(IDS) * 2 * (3 if pictures else 1)
    assert {(row["level"], row["severity"]) for row in rows} == {(1, 0.2), (2, 1.0)}
    assert {row["path"].split("/")[0] for row in rows} == {f"cnn-{name}" for name in IDS}
    opened = open_zoo(zoo)
    for row in rows:
        reference = picture(out / row["reference"])
        (step,) = row["steps"]
        (strength,) = step["params"]
        name = step["distortion"].removeprefix("cnn:")
        trained = opened.render(name, reference[None], [step["seed"]])[0]
        expected = np.rint(reference + strength["value"] * (trained.astype(float) - reference))
        assert np.array_equal(picture(out / row["path"]), expected)
        assert strength["value"] == (pytest.approx(1) if row["level"] == 2 else pytest.approx(0.4))
    with open(out / "pairs.csv", newline="") as file:
        assert {line["severity"] for line in csv.DictReader(file)} == {"0.2", "1.0"}


def test_distorters_stand_beside_other_choices(photos, zoo, tmp_path):
    options = ("--atoms", "jpeg", "--distorters", "000-001", "--severities", "0.4,0.9")
    assert make(photos, tmp_path / "out", zoo, *options) == 0
    paths = [row["path"] for row in manifest(tmp_path / "out")][:4]
    assert paths == [
        "jpeg/1/photo0.png",
        "jpeg/2/photo0.png",
        "cnn-000/1/photo0.png",
        "cnn-000/2/photo0.png",
    ]


def test_another_zoo_is_another_spec(photos, zoo, tmp_path, capsys):
    assert make(photos, tmp_path / "out", zoo, "--distorters", "000") == 0
    other = write_zoo(tmp_path / "zoo", SPECS[:1], weights=98)
    assert make(photos, tmp_path / "out", other, "--distorters", "000") == 2
    err = capsys.readouterr().err
    assert "differs in distorters" in err
    assert len(err.splitlines()) == 1


def test_an_unknown_or_damaged_distorter_is_one_line(photos, zoo, tmp_path, capsys):
    assert make(photos, tmp_path / "out", zoo, "--distorters", "007") == 2
    assert "unknown distorter '007'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    damaged = tmp_path / "zoo"
    damaged.mkdir()
    for path in zoo.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    torn = distorter_path(damaged, "001")
    torn.write_bytes(torn.read_bytes()[:-100])
    assert make(photos, tmp_path / "out", damaged, "--distorters", "001") == 1
    err = capsys.readouterr().err
    assert "001.safetensors" in err
    assert len(err.splitlines()) == 1
