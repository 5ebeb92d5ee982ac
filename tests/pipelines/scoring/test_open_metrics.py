"""Open metrics of datasets: scored, evaluated and joined like those that come with the package."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import iter_pairs, iter_triplets
from bapps_gen.manifests.scores import read_scores, score_path, scored_batches, scored_metrics
from bapps_gen.metrics import load_metric, metric_spec
from support.datasets import make, one_line, put_values
from support.original_layout import make_2afc, make_jnd
from support.plugins import write_faults, write_metrics


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_metrics(tmp_path)


@pytest.fixture
def copied(dataset: Path, tmp_path: Path) -> Path:
    """A dataset of 70 triplets in shards of 30 to do with as one likes."""
    return Path(shutil.copytree(dataset, tmp_path / "set"))


@pytest.fixture
def judged(photos: Path, tmp_path: Path) -> Path:
    """A judged dataset of 12 triplets."""
    folder = tmp_path / "judged"
    assert make(photos, folder, 12) == 0
    put_values(folder, 0, "judge", {row: row % 6 / 5 for row in range(12)})
    return folder


def run_score(folder: Path, metric: object, *options: str, workers: int = 1) -> int:
    command = ["score", str(folder), "--metric", str(metric), "--workers", str(workers)]
    return main([*command, "--quiet", *options])


def run_evaluate(capsys, folder: Path, metric: object, *options: str) -> dict:
    command = ["evaluate", str(folder), "--metric", str(metric), "--workers", "1", "--json"]
    assert main([*command, "--resamples", "20", "--quiet", *options]) == 0
    return json.loads(capsys.readouterr().out)


def distances(folder: Path, name: str) -> tuple[np.ndarray, ...]:
    scores = read_scores(open_dataset(folder), name)
    return (scores.d0,) if scores.d1 is None else (scores.d0, scores.d1)


def files(folder: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "scores" / name).iterdir()}


def ids_of(folder: Path) -> list[str]:
    return read_scores(open_dataset(folder), "l2").ids.tolist()


# Plugins


def test_a_copy_of_l2_scores_and_evaluates_like_l2(judged, mine, capsys):
    assert run_score(judged, f"l2,{mine}:my_l2") == 0
    assert np.array_equal(distances(judged, "l2"), distances(judged, "my_l2"))
    (found,) = run_evaluate(capsys, judged, f"l2,{mine}:my_l2")["sets"]
    ours, mine_ = (found["metrics"][name] for name in ("l2", "my_l2"))
    assert {**ours, "settings": {}} == {**mine_, "settings": {}}


def test_a_similarity_evaluates_like_the_distance_that_it_is(judged, mine, capsys):
    (found,) = run_evaluate(capsys, judged, f"l2,{mine}:Likeness")["sets"]
    assert found["metrics"]["likeness"]["score"] == found["metrics"]["l2"]["score"]


def test_workers_do_not_change_the_distances_of_a_plugin(copied, dataset, mine, monkeypatch):
    other = Path(shutil.copytree(dataset, copied.parent / "other"))
    monkeypatch.chdir(mine.parent)
    for folder, workers in ((copied, 1), (other, 2)):
        texts = "mine.py:my_l2,mine.py:Called"
        assert run_score(folder, texts, workers=workers) == 0
    for name in ("my_l2", "Called"):
        assert files(copied, name) == files(other, name)


def test_an_interrupted_run_is_completed_without_changing_what_is_there(copied, mine):
    assert run_score(copied, f"{mine}:my_l2") == 0
    before = files(copied, "my_l2")
    score_path(copied, "my_l2", 1).unlink()
    kept = score_path(copied, "my_l2", 0).stat().st_mtime_ns
    assert run_score(copied, f"{mine}:my_l2") == 0
    assert files(copied, "my_l2") == before
    assert score_path(copied, "my_l2", 0).stat().st_mtime_ns == kept


def test_a_changed_file_is_scored_again_with_one_warning(judged, mine, capsys):
    assert run_score(judged, f"{mine}:my_l2") == 0
    before = distances(judged, "my_l2")
    mine.write_text(mine.read_text().replace("/ 255\n", "/ 100\n", 1))
    run_evaluate(capsys, judged, f"{mine}:my_l2")
    after = distances(judged, "my_l2")
    np.testing.assert_allclose(np.multiply(after, 100), np.multiply(before, 255))
    assert run_score(judged, f"{mine}:my_l2") == 0
    assert capsys.readouterr().err == ""
    mine.write_text(mine.read_text() + "\n")
    assert run_score(judged, f"{mine}:my_l2") == 0
    err = one_line(capsys)
    assert re.search(r"of other settings \(file \w{16}, not file \w{16}\); computed again", err)


def test_another_version_of_a_plugin_is_scored_again(judged, mine, capsys):
    assert run_score(judged, f"{mine}:Likeness") == 0
    mine.write_text(mine.read_text().replace("version = 4", "version = 5"))
    assert run_score(judged, f"{mine}:Likeness") == 0
    assert "of version 4 of the metric, not 5; computed again" in one_line(capsys)


def test_pairs_have_one_distance(photos, mine, tmp_path):
    assert make_pairs(photos, tmp_path / "pairs") == 0
    assert run_score(tmp_path / "pairs", f"l2,{mine}:my_l2") == 0
    (ours,), (own,) = (distances(tmp_path / "pairs", name) for name in ("l2", "my_l2"))
    assert np.array_equal(ours, own)
    assert next(iter_pairs(tmp_path / "pairs", ["my_l2"])).distances == {"my_l2": own[0]}


def make_pairs(photos: Path, out: Path) -> int:
    command = [
        "jnd",
        "--family",
        "traditional",
        "--n",
        "8",
        "--source",
        str(photos),
        "--out",
        str(out),
    ]
    return main([*command, "--workers", "1", "--quiet"])


def test_what_a_plugin_does_wrong_is_one_line_and_leaves_nothing(copied, tmp_path, capsys):
    faults = write_faults(tmp_path)
    said = {
        "maps": r"returned shape \(60|30, 64, 64\)",
        "raises": "line 23: ZeroDivisionError",
        "unknown": r"distance of row \w+-\d{8} by unknown is not a number; correct the metric",
        "endless": r"distance of row \w+-\d{8} by endless is infinite",
        "nowhere": "does not define 'nowhere'",
    }
    for workers in (1, 2):
        for name, pattern in said.items():
            assert run_score(copied, f"{faults}:{name}", workers=workers) in (1, 2)
            assert re.search(pattern, one_line(capsys)), name
            assert not list(copied.glob(f"scores/{name}/*.parquet"))


def test_two_metrics_of_one_name_are_refused(copied, mine, tmp_path, capsys):
    other = write_metrics(tmp_path / "other")
    assert run_score(copied, f"{mine}:my_l2,{other}:my_l2") == 2
    assert "share the name 'my_l2'" in one_line(capsys)
    assert not (copied / "scores").exists()


def test_distances_of_open_metrics_are_joined_shown_and_carried(judged, mine, tmp_path, capsys):
    assert run_score(judged, f"{mine}:my_l2,{mine}:Likeness") == 0
    assert scored_metrics(judged) == ("likeness", "my_l2")
    batch = next(scored_batches(open_dataset(judged), ["my_l2"], ["id"]))
    assert batch.schema.names == ["id", "d0_my_l2", "d1_my_l2"]
    triplet = next(iter_triplets(judged, ["likeness"]))
    assert triplet.distances.keys() == {"likeness"}
    d0, _ = distances(judged, "my_l2")
    chosen = tmp_path / "chosen"
    where = ["--where", f"d0_my_l2 > {np.median(d0)}"]
    assert main(["subset", str(judged), "--out", str(chosen), "--quiet", *where]) == 0
    assert scored_metrics(chosen) == ("likeness", "my_l2")
    assert np.array_equal(distances(chosen, "my_l2")[0], d0[d0 > np.median(d0)])
    assert main(["show", str(judged), "-o", str(tmp_path / "sheet.png")]) == 0


def test_select_and_simulate_take_open_metrics(judged, mine, tmp_path, capsys):
    chosen, votes = tmp_path / "chosen", tmp_path / "votes.parquet"
    command = ["select", str(judged), "--rows", "4", "--metrics", f"l2,{mine}:Likeness"]
    assert main([*command, "--out", str(chosen), "--workers", "1", "--quiet"]) == 0
    assert "l2 and likeness disagree most" in open_dataset(chosen).info.history[-1]
    command = ["simulate", str(judged), "--metric", f"{mine}:my_l2", "--out", str(votes)]
    assert main([*command, "--workers", "1", "--quiet"]) == 0
    assert pq.read_metadata(votes).num_rows > 0


def test_in_python_results_have_the_metrics_own_names(judged, mine):
    found = bapps_gen.score(judged, f"{mine}:Likeness", workers=1)
    assert list(found) == ["likeness"]
    (evaluated,) = bapps_gen.evaluate(judged, ["l2", f"{mine}:my_l2"], resamples=10, workers=1)
    assert evaluated.metrics["l2"] == evaluated.metrics["my_l2"]


def test_plugins_evaluate_sets_in_the_original_layout(tmp_path, mine, capsys):
    make_2afc(tmp_path / "sets" / "2afc" / "val" / "cnn", [0.0, 0.2, 0.4, 1.0])
    make_jnd(tmp_path / "sets" / "jnd" / "val" / "cnn", [0.0, 1.0, 0.5])
    found = run_evaluate(capsys, tmp_path / "sets", f"l2,{mine}:my_l2")
    for entry in found["sets"]:
        assert entry["metrics"]["my_l2"]["score"] == entry["metrics"]["l2"]["score"]
    faults = write_faults(tmp_path)
    assert main(["evaluate", str(tmp_path / "sets"), "--metric", f"{faults}:unknown"]) == 1
    assert "distance of row 000000 by unknown is not a number" in one_line(capsys)


def test_every_worker_has_to_see_the_file_of_a_plugin(copied, mine, monkeypatch):
    from bapps_gen.pipelines.scoring import score

    seen: list[str] = []

    def run_jobs(prepare, context, jobs, workers, shared, *_):
        seen.extend(map(str, shared))
        return iter([])

    monkeypatch.setattr(score, "run_jobs", run_jobs)
    run_score(copied, f"{mine}:my_l2")
    assert str(mine) in seen


def test_a_net_of_ones_own_that_gives_nan_is_one_line(copied, tmp_path, capsys):
    file = tmp_path / "nets.py"
    file.write_text(
        "import torch\n"
        "class Broken(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return [x, 0 * x / 0]\n"
        "net = Broken()\n"
    )
    assert run_score(copied, f"features:{file}:net") in (1, 2)
    err = one_line(capsys)
    assert f"{file}:net: map 1 has values that are not finite" in err


def test_benchmarks_are_scored_by_plugins_and_by_files(photos, mine, tmp_path):
    bench = bapps_gen.make_benchmark(
        source=photos, atoms=["gaussian_white"], patches=1, out=tmp_path / "bench", workers=1
    )
    l2 = bapps_gen.score(bench, "l2", workers=1)["l2"]
    columns = {"id": l2.ids.tolist(), "d0": l2.d0.tolist()}
    file = write_table(tmp_path / "theirs.parquet", columns)
    found = bapps_gen.evaluate(bench, ["l2", f"{mine}:my_l2", file], workers=1)
    assert found.curves["l2"] == found.curves["my_l2"] == found.curves["theirs"]


# Files of distances


def write_table(path: Path, columns: dict[str, list]) -> Path:
    """As CSV or Parquet, by the name."""
    table = pa.table(columns)
    if path.suffix == ".csv":
        from pyarrow import csv

        csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def columns_of(folder: Path, name: str = "l2") -> dict[str, list]:
    """Ids and distances of a scored dataset."""
    scores = read_scores(open_dataset(folder), name)
    columns = {"id": scores.ids.tolist(), "d0": scores.d0.tolist()}
    return columns if scores.d1 is None else {**columns, "d1": scores.d1.tolist()}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_of_l2s_distances_scores_and_evaluates_like_l2(judged, tmp_path, capsys, ending):
    assert run_score(judged, "l2") == 0
    columns = columns_of(judged)
    order = np.random.default_rng(0).permutation(12)  # aligned by id, in whatever order
    shuffled = {name: [values[k] for k in order] for name, values in columns.items()}
    file = write_table(tmp_path / f"theirs.{ending}", {"note": ["x"] * 12, **shuffled})
    assert run_score(judged, file) == 0
    np.testing.assert_allclose(distances(judged, "theirs"), distances(judged, "l2"), rtol=1e-12)
    assert list(bapps_gen.score(judged, file, workers=1)) == ["theirs"]
    (found,) = run_evaluate(capsys, judged, f"l2,{file}")["sets"]
    assert found["metrics"]["theirs"]["score"] == found["metrics"]["l2"]["score"]
    assert found["metrics"]["theirs"]["settings"]["file"]


def test_a_file_does_for_pairs_for_recipes_and_for_several_datasets(photos, judged, tmp_path):
    pairs, recipe = tmp_path / "pairs", tmp_path / "recipe"
    assert make_pairs(photos, pairs) == 0
    for folder in (pairs, judged):
        assert run_score(folder, "l2") == 0
    one, two = columns_of(pairs), columns_of(judged)
    both = {
        "id": one["id"] + two["id"],
        "d0": one["d0"] + two["d0"],
        "d1": [None] * len(one["id"]) + two["d1"],
    }
    file = write_table(tmp_path / "both.parquet", both)
    export = ["export", str(judged), "--format", "recipe", "--out", str(recipe), "--quiet"]
    assert main(export) == 0
    for folder, like in ((pairs, pairs), (judged, judged), (recipe, judged)):
        assert run_score(folder, file, workers=2) == 0
        assert np.array_equal(distances(folder, "both"), distances(like, "l2"))


@pytest.mark.parametrize("place", ["nets.py", "./nets.py", "../here/nets.py"])
def test_nets_of_ones_own_are_loaded_from_any_folder(tmp_path, monkeypatch, place):
    here = tmp_path / "here"
    here.mkdir()
    (here / "nets.py").write_text(
        "import torch\n"
        "class Same(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return [x]\n"
        "net = Same()\n"
    )
    monkeypatch.chdir(here)
    spec = metric_spec(f"features:{place}:net")
    monkeypatch.chdir(tmp_path)
    assert metric_spec(spec.given).given == spec.given
    assert load_metric(spec.given).settings["file"]


def test_sets_in_the_original_layout_have_their_stems_as_ids(tmp_path, capsys):
    make_2afc(tmp_path / "cnn", judges := [0.0, 0.2, 1.0])
    ids = [f"{row:06d}" for row in range(3)]
    file = write_table(tmp_path / "oracle.csv", {"id": ids, "d0": judges, "d1": [0.5] * 3})
    (found,) = run_evaluate(capsys, tmp_path / "cnn", file)["sets"]
    assert found["metrics"]["oracle"]["score"] == pytest.approx((1.0 + 0.8 + 1.0) / 3)


def test_a_changed_file_of_distances_is_read_again(judged, tmp_path, capsys):
    assert run_score(judged, "l2") == 0
    columns = columns_of(judged)
    file = write_table(tmp_path / "theirs.parquet", columns)
    run_evaluate(capsys, judged, file)
    write_table(file, {**columns, "d0": [2 * value for value in columns["d0"]]})
    run_evaluate(capsys, judged, file)
    assert distances(judged, "theirs")[0].tolist() == [2 * value for value in columns["d0"]]


FAULTS = {
    "missing": (lambda c: {n: v[1:] for n, v in c.items()}, r"lacks row \w{8}-00000000; add"),
    "several missing": (lambda c: {n: v[3:] for n, v in c.items()}, "lacks row .* and 2 others"),
    "doubled": (
        lambda c: {n: [*v, v[4]] for n, v in c.items()},
        r"row \w+-00000004 is there twice",
    ),
    "unknown": (
        lambda c: {"id": [*c["id"], "someone"], "d0": [*c["d0"], 0.0], "d1": [*c["d1"], 0.0]},
        "it has row someone, which the set lacks",
    ),
    "beyond the end": (
        lambda c: {
            "id": [*c["id"], c["id"][0][:-2] + "99"],
            "d0": [*c["d0"], 0.0],
            "d1": [*c["d1"], 0.0],
        },
        r"it has row \w+-00000099, which the set lacks",
    ),
    "not a number": (
        lambda c: {**c, "d1": [float("nan"), *c["d1"][1:]]},
        r"d1 = nan of row \w+-00000000 is not finite; give finite distances",
    ),
    "empty": (lambda c: {**c, "d0": [None, *c["d0"][1:]]}, r"d0 = nan of row \w+-00000000 is"),
    "infinite": (
        lambda c: {**c, "d0": [float("inf"), *c["d0"][1:]]},
        r"d0 = inf of row \w+-00000000 is not finite",
    ),
    "no d1": (lambda c: {n: c[n] for n in ("id", "d0")}, "no column d1; triplets need d0"),
    "no id": (lambda c: {n: c[n] for n in ("d0", "d1")}, r"no column id \(but d0, d1\)"),
    "words": (lambda c: {**c, "d0": ["far"] * len(c["d0"])}, "far|d0 holds no numbers"),
    "no id of a row": (lambda c: {**c, "id": [None, *c["id"][1:]]}, "the id of its row 0 is empty"),
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_file_of_distances_is_one_line(
    judged, tmp_path, capsys, fault, ending
):
    spoil, said = FAULTS[fault]
    assert run_score(judged, "l2") == 0
    file = write_table(tmp_path / f"theirs.{ending}", spoil(columns_of(judged)))
    assert run_score(judged, file) == 2
    err = one_line(capsys)
    assert f"metric {file}: " in err
    assert re.search(said, err), err
    assert not (judged / "scores" / "theirs").exists()


@pytest.mark.parametrize("content", [b"PAR1,\x00\xff\n1,2,3\n", b"id,\xff\n1,2\n"])
@pytest.mark.parametrize("name", ["theirs.parquet", "theirs.csv"])
def test_a_damaged_file_of_distances_is_one_line(judged, tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert run_score(judged, tmp_path / name) == 2
    assert name in one_line(capsys)


@pytest.mark.parametrize("name", ["l2.csv", "with space.csv", "nowhere.csv"])
def test_a_file_has_to_be_there_and_to_have_a_name_of_its_own(judged, tmp_path, capsys, name):
    if name != "nowhere.csv":
        (tmp_path / name).write_text("id,d0,d1\n")
    assert run_score(judged, tmp_path / name) == 2
    assert name in one_line(capsys)


def test_distances_of_rows_are_not_of_pixels(tmp_path):
    file = write_table(tmp_path / "theirs.csv", {"id": ["a"], "d0": [0.5]})
    patches = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(UserError, match="has distances of rows, not of pixels"):
        bapps_gen.load_metric(file).distance(patches, patches)
