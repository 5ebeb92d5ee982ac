"""Scoring: sidecars beside a dataset, whole, resumed, checked and joined."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import iter_triplets
from bapps_gen.manifests.scores import read_scores, score_path, scored_batches
from bapps_gen.metrics import load_metric
from bapps_gen.pipelines.scoring.options import MetricOptions, resolve_dtype
from support.datasets import make, one_line, put_values


@pytest.fixture
def copied(dataset: Path, tmp_path: Path) -> Path:
    """A dataset of 70 triplets in shards of 30 to do with as one likes."""
    return Path(shutil.copytree(dataset, tmp_path / "set"))


def run_score(folder: Path, *options: str, metric: str = "l2") -> int:
    return main(["score", str(folder), "--metric", metric, "--workers", "1", "--quiet", *options])


def sidecars(folder: Path, metric: str = "l2") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "scores" / metric).glob("*.parquet")}


def test_distances_are_those_of_the_metric_on_the_pictures(copied):
    names = ("l2", "ssim", "lpips-alex")
    assert run_score(copied, "--dtype", "float32", metric=",".join(names)) == 0
    triplets = list(iter_triplets(copied))
    ref, p0, p1 = (np.stack([getattr(t, side) for t in triplets]) for side in ("ref", "p0", "p1"))
    for name in names:
        stored = read_scores(open_dataset(copied), name)
        d0, d1 = load_metric(name).triplet(ref, p0, p1)
        np.testing.assert_allclose(stored.d0, d0, atol=1e-6)
        np.testing.assert_allclose(stored.d1, d1, atol=1e-6)
        assert stored.ids.tolist() == [t.id for t in triplets]
        assert stored.info.metric == name


def test_there_is_one_sidecar_a_shard_and_nothing_else_appears(copied):
    before = {path.name: path.read_bytes() for path in (copied / "data").iterdir()}
    assert run_score(copied) == 0
    assert sorted(sidecars(copied)) == [f"part-{k:05d}.parquet" for k in range(3)]
    assert {path.name: path.read_bytes() for path in (copied / "data").iterdir()} == before
    assert not list(copied.glob("scores/*/.*.tmp"))


def test_pyarrow_and_pandas_read_a_sidecar_and_join_it_by_id(copied):
    import pandas

    assert run_score(copied) == 0
    scores = pandas.read_parquet(copied / "scores" / "l2")
    rows = pandas.read_parquet(copied / "data", columns=["id", "row"])
    joined = rows.merge(scores, on="id", validate="one_to_one")
    assert list(joined.columns) == ["id", "row", "d0", "d1"]
    assert len(joined) == 70


@pytest.mark.slow
def test_workers_do_not_change_distances(copied, dataset, tmp_path):
    other = shutil.copytree(dataset, tmp_path / "other")
    names = "ssim,lpips-alex"
    assert run_score(copied, metric=names) == 0
    assert main(["score", str(other), "--metric", names, "--workers", "2", "--quiet"]) == 0
    for name in names.split(","):
        one, two = (read_scores(open_dataset(place), name) for place in (copied, other))
        assert np.array_equal(one.d0, two.d0)
        assert np.array_equal(one.d1, two.d1)


def test_batches_join_rows_with_their_distances(copied):
    assert run_score(copied, metric="l2,psnr") == 0
    opened = open_dataset(copied)
    batches = list(scored_batches(opened, ["l2", "psnr"], ["row"], size=16))
    assert max(batch.num_rows for batch in batches) == 16
    table = pa.Table.from_batches(batches)
    assert table.schema.names == ["row", "d0_l2", "d1_l2", "d0_psnr", "d1_psnr"]
    assert table.column("row").to_pylist() == list(range(70))
    assert np.array_equal(table.column("d1_l2").to_numpy(), read_scores(opened, "l2").d1)
    whole = next(iter(scored_batches(opened, ["l2"])))
    assert {"id", "ref", "p0", "p1", "judge", "d0_l2", "d1_l2"} <= set(whole.schema.names)


def test_a_missing_sidecar_is_made_again_and_the_others_are_kept(copied, capsys):
    assert run_score(copied) == 0
    before = sidecars(copied)
    kept = score_path(copied, "l2", 0).stat().st_mtime_ns
    score_path(copied, "l2", 1).unlink()
    assert main(["score", str(copied), "--metric", "l2", "--workers", "1"]) == 0
    assert sidecars(copied) == before
    assert score_path(copied, "l2", 0).stat().st_mtime_ns == kept
    captured = capsys.readouterr()
    assert "made for 30 rows now" in captured.out
    assert "kept for 40" in captured.out
    assert captured.err == ""


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[:-50])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped bit":
        place = len(data) // 3
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    elif how == "another table":
        pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    elif how == "fewer rows":
        table = pq.read_table(path)
        pq.write_table(table.slice(0, 5), path)


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "a flipped bit", "another table", "fewer rows"]
)
def test_a_damaged_sidecar_is_told_by_readers_and_made_again(copied, capsys, how):
    assert run_score(copied) == 0
    before = sidecars(copied)
    damage(score_path(copied, "l2", 1), how)
    opened = open_dataset(copied)
    for read in (lambda: read_scores(opened, "l2"), lambda: list(scored_batches(opened, ["l2"]))):
        with pytest.raises(WorkError, match=r"^[^\n]*part-00001[^\n]*bapps-gen score[^\n]*$"):
            read()
    assert run_score(copied) == 0
    err = capsys.readouterr().err
    assert "part-00001.parquet is" in err
    assert "computed again" in err
    assert len(err.splitlines()) == 1
    assert sidecars(copied) == before


def test_sidecars_of_another_dataset_are_refused_and_made_again(photos, copied, tmp_path, capsys):
    other = tmp_path / "other"
    assert make(photos, other, 70, "--seed", "5") == 0
    assert run_score(copied) == 0
    assert run_score(other) == 0
    before = sidecars(copied)
    shutil.copy(score_path(other, "l2", 2), score_path(copied, "l2", 2))
    with pytest.raises(WorkError, match="of another dataset"):
        read_scores(open_dataset(copied), "l2")
    assert run_score(copied) == 0
    assert "of another dataset; computed again" in capsys.readouterr().err
    assert sidecars(copied) == before


def test_sidecars_of_another_version_of_a_metric_are_made_again(copied, capsys, monkeypatch):
    from dataclasses import replace

    from bapps_gen.metrics import table

    assert run_score(copied) == 0
    raised = tuple(
        replace(spec, version=2) if spec.name == "l2" else spec for spec in table.METRICS
    )
    monkeypatch.setattr(table, "METRICS", raised)
    assert run_score(copied) == 0
    assert "of version 1 of the metric, not 2; computed again" in capsys.readouterr().err
    assert read_scores(open_dataset(copied), "l2").info.version == 2


def on_a_processor(monkeypatch, native):
    """As if bfloat16 were in hardware, or were not."""
    monkeypatch.setattr("bapps_gen.lpips.metric.native_bfloat16", lambda device: native)


def dtype_of(folder):
    return read_scores(open_dataset(folder), "lpips-alex").info.settings["dtype"]


@pytest.mark.parametrize(("native", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_networks_run_in_bfloat16_where_it_is_native(copied, monkeypatch, capsys, native, dtype):
    on_a_processor(monkeypatch, native)
    assert run_score(copied, metric="lpips-alex") == 0
    assert dtype_of(copied) == dtype
    assert capsys.readouterr().err == ""


def test_distances_of_a_dataset_agree_wherever_they_are_completed(copied, monkeypatch, capsys):
    on_a_processor(monkeypatch, True)
    assert run_score(copied, metric="lpips-alex") == 0
    before = sidecars(copied, "lpips-alex")
    (copied / "scores" / "lpips-alex" / "part-00000.parquet").unlink()
    on_a_processor(monkeypatch, False)
    assert run_score(copied, metric="lpips-alex") == 0
    assert sidecars(copied, "lpips-alex") == before
    assert "bfloat16 is emulated" in one_line(capsys)
    assert run_score(copied, "--dtype", "float32", metric="lpips-alex") == 0
    on_a_processor(monkeypatch, True)
    assert run_score(copied, metric="lpips-alex") == 0
    assert dtype_of(copied) == "float32"


def test_slow_bfloat16_is_warned_of_once(copied, monkeypatch, capsys):
    on_a_processor(monkeypatch, False)
    assert run_score(copied, "--dtype", "bfloat16", metric="lpips-alex") == 0
    err = one_line(capsys)
    assert "bfloat16 is emulated on this processor" in err
    assert "--dtype auto" in err


def test_a_cluster_whose_nodes_may_differ_runs_networks_in_float32(monkeypatch):
    on_a_processor(monkeypatch, True)
    options = MetricOptions()
    assert resolve_dtype(options, remote=True).dtype == "float32"
    assert resolve_dtype(options, remote=True, stored="bfloat16").dtype == "bfloat16"
    assert resolve_dtype(options, remote=False).dtype == "bfloat16"


def test_other_settings_are_made_again_with_one_warning(copied, capsys):
    assert run_score(copied, "--dtype", "float32", metric="lpips-alex") == 0
    capsys.readouterr()
    assert run_score(copied, "--dtype", "bfloat16", metric="lpips-alex") == 0
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "of other settings (dtype float32" in err
    stored = read_scores(open_dataset(copied), "lpips-alex")
    assert stored.info.settings["dtype"] == "bfloat16"


def test_a_dataset_that_grew_is_scored_where_it_lacks(photos, copied):
    assert run_score(copied) == 0
    before = sidecars(copied)
    assert make(photos, copied, 95) == 0
    with pytest.raises(WorkError, match="of 10 rows where 30 are expected"):
        read_scores(open_dataset(copied), "l2")
    assert run_score(copied) == 0
    after = sidecars(copied)
    assert len(read_scores(open_dataset(copied), "l2").d0) == 95
    assert all(after[name] == before[name] for name in sorted(before)[:2])


def test_a_set_without_distances_is_told_with_the_command_to_run(dataset):
    with pytest.raises(UserError, match="no fsimc distances; make them with `bapps-gen score"):
        read_scores(open_dataset(dataset), "fsimc")


def test_a_recipe_has_no_pictures_to_score(dataset, tmp_path, capsys):
    recipe = tmp_path / "recipe"
    command = ["export", str(dataset), "--format", "recipe", "--out", str(recipe), "--quiet"]
    assert main(command) == 0
    assert run_score(recipe) == 2
    assert "replay" in capsys.readouterr().err


def test_a_damaged_picture_is_the_datasets_fault(copied, capsys):
    put_values(copied, 1, "ref", {3: {"bytes": b"no picture", "path": "x.png"}})
    assert run_score(copied) == 1
    err = capsys.readouterr().err
    assert "not a PNG image" in err
    assert sorted(sidecars(copied)) in ([], ["part-00000.parquet"])


def test_the_number_of_torch_threads_is_given_back(copied):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run_score(copied, metric="lpips-alex") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_decoding_ahead_for_a_gpu_changes_nothing(copied, dataset, tmp_path, monkeypatch):
    from bapps_gen.pipelines.scoring import score

    other = Path(shutil.copytree(dataset, tmp_path / "other"))
    assert run_score(copied, metric="lpips-alex") == 0
    monkeypatch.setattr(score, "workers_for", lambda metrics, options, workers: 1)
    monkeypatch.setattr(score, "DEVICE_BATCH_ROWS", 4)
    assert run_score(other, metric="lpips-alex") == 0
    one, two = (read_scores(open_dataset(place), "lpips-alex") for place in (copied, other))
    assert one.ids.tolist() == two.ids.tolist()
    np.testing.assert_allclose(one.d0, two.d0, atol=1e-6)
    np.testing.assert_allclose(one.d1, two.d1, atol=1e-6)


@pytest.mark.parametrize("metrics", ["l2", ["l2", "psnr"]])
def test_progress_moves_within_shards(copied, monkeypatch, metrics):
    monkeypatch.setattr("bapps_gen.pipelines.scoring.score.CPU_BATCH_ROWS", 10)
    calls: list[tuple[int, int]] = []
    bapps_gen.score(copied, metrics, workers=1, progress=lambda *call: calls.append(call))
    done = [rows for rows, _ in calls]
    assert {total for _, total in calls} == {70}
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, 70)
    assert {10, 20, 30, 40} <= set(done)


def test_a_place_that_cannot_be_written_is_one_line(copied, capsys):
    (copied / "scores").write_text("in the way")
    assert run_score(copied) == 2
    err = capsys.readouterr().err
    assert "cannot create the folder" in err
    assert len(err.splitlines()) == 1
