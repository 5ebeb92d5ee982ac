"""Benchmarks verified, scored, and evaluated against their severities."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.imaging.encode import encode_png
from bapps_gen.manifests.benchmark_reader import open_benchmark
from bapps_gen.pipelines.benchmarks.evaluate import correlations
from support.datasets import one_line, photo, save_photo

NEGATIVE = """
from bapps_gen.distortions.definition import Distortion

def negative(patch, params, rng):
    return 255 - patch

DISTORTIONS = [Distortion("negative", 1, "own", "", (), negative, has_identity=False)]
"""
ATOMS = ("gaussian_white", "jpeg", "uniform_white")


@pytest.fixture(scope="module")
def bench(photos: Path, once) -> Path:
    """Three atoms at 4 levels on 3 patches of each of six photos; do not change it."""

    def build(folder: Path) -> None:
        made = bapps_gen.make_benchmark(
            out=folder, source=photos, atoms=ATOMS, levels=4, patches=3, workers=1
        )
        assert len(made) == 6 * 3 * 3 * 4

    return once("bench-checked", build)


@pytest.fixture
def copy(bench: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bench, tmp_path / "bench"))


def verify(folder: Path, *options: str) -> int:
    return main(["verify", str(folder), "--quiet", "--workers", "1", *options])


def change_pixel(path: Path, levels: int) -> None:
    picture = bapps_gen.read_image(path)
    picture[5, 7, 1] ^= levels
    path.write_bytes(encode_png(picture))


# Verified


@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_benchmark_passes(bench, capsys, workers):
    assert main(["verify", str(bench), "--workers", str(workers)]) == 0
    assert "216 rows are as planned, every pixel made again" in capsys.readouterr().out


def test_photos_are_found_by_content_wherever_they_lie(bench, photos, tmp_path):
    for index, path in enumerate(sorted(photos.iterdir(), reverse=True)):
        shutil.copy(path, tmp_path / f"renamed{index}.png")
    save_photo(tmp_path / "extra.png", photo(99))
    assert bapps_gen.verify(bench, source=tmp_path, workers=1).count == 0


@pytest.mark.parametrize("column", ["path", "reference"])
def test_a_flipped_pixel_is_found_and_named(copy, capsys, column):
    path = pq.read_table(copy / "manifest.parquet")[column][70].as_py()
    change_pixel(copy / path, 1)
    assert verify(copy, "--stored-only") == 1
    assert verify(copy) == 1
    assert path in capsys.readouterr().out


def test_a_pixel_that_manifest_and_picture_agree_on_is_found_nevertheless(copy, capsys):
    from bapps_gen.imaging.encode import pixel_hash

    table = pq.read_table(copy / "manifest.parquet")
    path = copy / table["path"][70].as_py()
    change_pixel(path, 2)
    rows = table.to_pylist()
    rows[70] |= {
        "hash": pixel_hash(bapps_gen.read_image(path)),
        "bytes": path.stat().st_size,
    }
    pq.write_table(type(table).from_pylist(rows, table.schema), copy / "manifest.parquet")
    assert verify(copy, "--stored-only") == 0
    assert verify(copy) == 1
    assert "differ by up to 2 levels" in capsys.readouterr().out
    report = bapps_gen.verify(copy, tolerance=2, workers=1)
    assert (report.count, report.tolerated, report.largest) == (0, 1, 2)
    assert bapps_gen.verify(copy, tolerance=1, workers=1).count == 1


def test_missing_and_other_files_are_named(copy, capsys):
    (copy / "jpeg" / "2").rename(copy / "gone")
    assert verify(copy) == 1
    assert "jpeg/2/photo0_0.png: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "value"),
    [("severity", 0.33), ("level", 7), ("distortion", "pink"), ("source_path", "photo0.png ")],
)
def test_a_changed_value_of_a_row_is_found(copy, capsys, column, value):
    table = pq.read_table(copy / "manifest.parquet")
    rows = table.to_pylist()
    rows[3][column] = value
    pq.write_table(type(table).from_pylist(rows, table.schema), copy / "manifest.parquet")
    assert verify(copy) == 1
    captured = capsys.readouterr()
    assert f"{column} differs" in captured.out or "is damaged" in captured.err


@pytest.mark.parametrize("command", ["verify", "score", "evaluate"])
def test_damage_is_said_in_one_line(copy, capsys, command):
    (copy / "manifest.parquet").write_bytes(b"PAR1 no")
    assert main([command, str(copy), "--quiet", "--workers", "1"]) == 1
    assert "manifest.parquet is damaged" in one_line(capsys)
    (copy / "manifest.parquet").unlink()
    assert main([command, str(copy), "--quiet", "--workers", "1"]) == 1
    assert "manifest.parquet is missing" in one_line(capsys)


def test_a_path_that_leads_out_of_the_folder_is_refused(copy, capsys):
    table = pq.read_table(copy / "manifest.parquet")
    rows = table.to_pylist()
    rows[3]["path"] = "../secret.png"
    pq.write_table(type(table).from_pylist(rows, table.schema), copy / "manifest.parquet")
    assert main(["score", str(copy), "--metric", "l2", "--quiet", "--workers", "1"]) == 1
    assert "it names ../secret.png" in one_line(capsys)


# Scored


def test_distances_are_those_of_the_pictures(copy):
    found = bapps_gen.score(copy, ["l2", "ssim"], workers=1)
    rows = pq.read_table(copy / "manifest.parquet").to_pylist()
    for name, scores in found.items():
        assert scores.ids.tolist() == [row["path"] for row in rows]
        assert scores.d1 is None
        metric = bapps_gen.load_metric(name)
        for index in range(0, 216, 31):
            pictures = (
                bapps_gen.read_image(copy / rows[index][key])[None] for key in ("reference", "path")
            )
            assert scores.d0[index] == pytest.approx(metric.distance(*pictures)[0])


def test_scoring_goes_on_where_it_was_stopped(copy, monkeypatch, capsys):
    from bapps_gen.manifests import benchmark

    monkeypatch.setattr(benchmark, "_SHARD_ROWS", 80)
    options = ("--metric", "l2", "--workers", "1")
    assert main(["score", str(copy), *options]) == 0
    parts = sorted((copy / "scores" / "l2").iterdir())
    whole = [part.read_bytes() for part in parts]
    assert len(parts) > 1
    parts[1].unlink()
    parts[2].write_bytes(b"torn")
    capsys.readouterr()
    assert main(["score", str(copy), *options]) == 0
    assert "kept for" in capsys.readouterr().out
    assert [part.read_bytes() for part in parts] == whole


def test_whole_images_of_several_sizes_are_scored(tmp_path):
    save_photo(tmp_path / "photos" / "a.png", photo(1, 60, 90))
    save_photo(tmp_path / "photos" / "b.png", photo(2, 90, 60))
    made = bapps_gen.make_benchmark(
        out=tmp_path / "whole", source=tmp_path / "photos", atoms=["jpeg"], levels=3, workers=1
    )
    assert len(bapps_gen.score(made, "l2", workers=1)["l2"].ids) == 6
    assert bapps_gen.verify(made, workers=2).count == 0


# Evaluated


def test_noise_rises_with_severity_in_every_metric(copy):
    found = bapps_gen.evaluate(open_benchmark(copy), ["l2", "ssim"], workers=1)
    for curves in found.curves.values():
        for curve in curves:
            if curve.distortion != "jpeg":
                assert curve.rising == 1.0
                assert curve.srcc > 0.5
            assert list(curve.median) == sorted(curve.median)
            levels = zip(curve.low, curve.median, curve.high, strict=True)
            assert all(low <= middle <= high for low, middle, high in levels)
    assert found.pictures == 216


def test_correlations_are_those_of_scipy(copy):
    found = bapps_gen.evaluate(open_benchmark(copy), "l2", workers=1)
    table = pq.read_table(copy / "manifest.parquet")
    distances = bapps_gen.score(copy, "l2", workers=1)["l2"].d0
    names = np.array(table["distortion"].to_pylist())
    severity = table["severity"].to_numpy()
    for curve in found.curves["l2"]:
        mine = names == curve.distortion
        d, s = distances[mine], severity[mine]
        assert curve.srcc == stats.spearmanr(d, s).statistic
        assert curve.plcc == stats.pearsonr(d, s).statistic
        assert curve.krcc == stats.kendalltau(d, s).statistic
    means = [curve.srcc for curve in found.curves["l2"]]
    assert found.mean("l2", "srcc") == pytest.approx(np.mean(means))


@pytest.mark.parametrize(
    "distances", [[1.0, 1.0, 1.0], [1.0, 2.0]], ids=["all are equal", "there are two"]
)
def test_a_correlation_without_meaning_is_none(distances):
    severities = np.arange(float(len(distances)))
    assert correlations(np.array(distances), severities) == (None, None, None)


def test_equal_pictures_have_a_rank_and_no_linear_correlation():
    found = correlations(np.array([-np.inf, -40.0, -20.0]), np.array([0.0, 0.5, 1.0]))
    assert found == (1.0, None, 1.0)


def test_evaluations_are_printed_and_given_as_json(copy, capsys):
    options = ("--metric", "l2,ssim", "--workers", "1", "--quiet")
    assert main(["evaluate", str(copy), *options]) == 0
    text = capsys.readouterr().out
    assert "216 distorted pictures" in text
    assert "SRCC" in text
    assert all(name in text for name in (*ATOMS, "mean", "0.25: "))
    assert main(["evaluate", str(copy), *options, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert set(values["metrics"]) == {"l2", "ssim"}
    levels = values["metrics"]["l2"]["distortions"][0]["levels"]
    assert [level["severity"] for level in levels] == [0.25, 0.5, 0.75, 1.0]


def test_distortions_without_severity_are_left_out(photos, tmp_path, capsys):
    (tmp_path / "negative.py").write_text(NEGATIVE)
    made = bapps_gen.make_benchmark(
        out=tmp_path / "own",
        source=photos,
        atoms=["jpeg", "negative"],
        levels=2,
        patches=1,
        plugins=[tmp_path / "negative.py"],
        workers=1,
    )
    found = bapps_gen.evaluate(made, "l2", workers=1)
    assert (found.pictures, found.left_out) == (12, 6)
    assert [curve.distortion for curve in found.curves["l2"]] == ["jpeg"]
    plugins = [tmp_path / "negative.py"]
    assert bapps_gen.verify(made, plugins=plugins, workers=1).count == 0


def test_options_of_judged_sets_are_refused(bench, capsys):
    assert main(["evaluate", str(bench), "--resamples", "50"]) == 2
    assert "resamples is for judged sets" in one_line(capsys)


def test_a_folder_of_a_benchmark_is_to_be_opened_in_python(bench):
    with pytest.raises(bapps_gen.UserError, match="open_benchmark"):
        bapps_gen.evaluate(bench)
