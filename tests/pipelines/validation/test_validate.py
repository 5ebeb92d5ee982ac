"""Validation: its numbers, its thresholds, and its report in a browser."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.scores import read_scores
from bapps_gen.pipelines.validation.facts import TRADITIONAL, Facts, families_of
from bapps_gen.pipelines.validation.figures import curves, round_step
from bapps_gen.pipelines.validation.options import (
    DISTORTIONS,
    Limits,
    Thresholds,
    check_applicable,
    measured,
    missed,
)
from bapps_gen.pipelines.validation.statistics import compare, describe
from support.browser import needs_chromium, seen_in
from support.datasets import make, one_line
from support.original_layout import make_2afc, make_jnd
from support.plugins import write_metrics


def facts(
    distances: object,
    choice: object,
    choices: tuple[str, ...],
    severity: object = None,
    contrast: object = None,
    hashes: object = None,
) -> Facts:
    d = np.array(distances, float)
    rows, sides = d.shape
    numbers = np.arange(rows * (sides + 1)).reshape(rows, sides + 1) if hashes is None else hashes
    keys = [[int(number).to_bytes(16, "big") for number in row] for row in np.array(numbers)]
    return Facts(
        distances=d,
        choice=np.array(choice, int),
        choices=choices,
        severity=np.full(d.shape, np.nan) if severity is None else np.array(severity, float),
        contrast=np.full(rows, 0.2) if contrast is None else np.array(contrast, float),
        hashes=np.array(keys, "V16"),
    )


SMALL = facts(
    distances=[[0.005, 0.9], [0.3, 0.305], [0.3, 0.5], [0.3, 0.5]],
    choice=[[0, 1], [0, 1], [2, 2], [2, 2]],
    choices=("jpeg", "gaussian_blur+jpeg", "pink"),
    severity=[[np.nan, np.nan], [np.nan, np.nan], [0.1, 0.8], [0.3, 0.6]],
    contrast=[0.01, 0.2, 0.3, 0.3],
    hashes=[[1, 2, 3], [4, 5, 6], [7, 8, 8], [7, 8, 8]],
)


def test_shares_are_those_of_a_table_worked_by_hand():
    shares = describe(SMALL, Limits())["shares"]
    assert shares == {
        "invisible": 1 / 8,
        "destroyed": 1 / 8,
        "near_equal": 1 / 4,
        "flat_references": 1 / 4,
        "duplicate_rows": 1 / 4,
        "identical_sides": 1 / 2,
    }
    wider = describe(SMALL, Limits(invisible=0.301, destroyed=0.4, near=0.3, flat=0.25))["shares"]
    assert wider["invisible"] == 4 / 8
    assert wider["destroyed"] == 3 / 8
    assert wider["near_equal"] == 3 / 4
    assert wider["flat_references"] == 2 / 4


def test_distances_are_grouped_by_atom_family_and_composition():
    found = describe(SMALL, Limits())
    assert list(found["atoms"]) == ["pink", "jpeg"]
    assert found["atoms"]["jpeg"]["sides"] == 2
    assert found["atoms"]["jpeg"]["p50"] == pytest.approx((0.005 + 0.3) / 2)
    assert found["families"]["blur + compression"]["sides"] == 2
    assert found["families"]["noise"]["mean"] == pytest.approx(0.4)
    composition = found["compositions"]["gaussian_blur+jpeg"]
    assert composition == {"sides": 2, "median": pytest.approx((0.9 + 0.305) / 2)}
    assert sum(found["histogram"]["counts"]) == 8


def test_severity_is_held_against_lpips_by_spearman():
    entry = describe(SMALL, Limits())["severity"]["pink"]
    expected = spearmanr([0.1, 0.8, 0.3, 0.6], [0.3, 0.5, 0.3, 0.5]).statistic
    assert entry["spearman"] == pytest.approx(expected)
    assert entry["bin_sides"] == [1, 1, 0, 1, 1]
    assert entry["bin_medians"] == [0.3, 0.3, None, 0.5, 0.5]


def test_coverage_counts_what_occurs_of_the_328():
    cover = describe(SMALL, Limits())["coverage"]
    assert (cover["used"], cover["of"]) == (3, 328)
    assert cover["most"][0] == {"distortion": "pink", "sides": 4}
    assert all(entry["sides"] == 0 for entry in cover["least"])


def test_coverage_counts_distortions_of_a_plugin():
    names = ("fade", "fade+jpeg", "jpeg", "cnn:017", "cnn:017+fade", "superres:bicubic")
    rows = [[0, 1], [2, 3], [4, 5]]
    cover = describe(facts([[0.1, 0.2]] * 3, rows, names), Limits())["coverage"]
    assert (cover["used"], cover["of"], cover["others_used"]) == (3, 330, 3)


def test_every_threshold_is_said_with_what_was_measured():
    other = facts([[2.0, 2.0]] * 3, [[0, 0]] * 3, ("bilateral",))
    found = describe(SMALL, Limits(), other)
    for name, too_strict, met in THRESHOLDS:
        for limit in (too_strict, met):
            (line,) = measured(found, Thresholds(**{name: limit}))
            assert line.endswith(" required")
    assert measured(found, Thresholds()) == []
    (line,) = measured(found, Thresholds(max_ks=0.3))
    distance = f"{found['against']['ks']:.4f}"
    assert line == (f"the Kolmogorov-Smirnov distance of LPIPS is {distance}, at most 0.3 required")


def test_judgments_are_counted_where_there_are_any():
    assert "judgments" not in describe(SMALL, Limits())
    judged = replace(SMALL, judgment=np.array([np.nan, 0.0, 0.5, 1.0]))
    found = describe(judged, Limits())
    assert found["judgments"] == 3
    assert [k for k, n in enumerate(found["judgment_histogram"]["counts"]) if n] == [0, 5, 9]


def test_a_correlation_of_few_sides_is_not_shown():
    entry = {"sides": 19, "spearman": 0.9, "bin_medians": [0.1], "bin_sides": [19]}
    (few,) = curves({"jpeg": entry})["cards"]
    (enough,) = curves({"jpeg": {**entry, "sides": 20}})["cards"]
    assert (few["few"], enough["few"]) == (True, False)


def test_a_second_report_does_not_take_the_place_of_the_first(sets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["validate", str(sets[0]), "--workers", "1", "--max-flat", "1"]
    for name in ("report.html", "report-2.html", "report-3.html"):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert f"report: {name}" in out
        assert "of references are flat, at most 100 % required" in out
        assert (tmp_path / name).is_file()
    page = (tmp_path / "report.html").read_text()
    assert "rows per photo" in page
    assert "too few" in page
    first = (tmp_path / "report.html").stat().st_mtime_ns
    assert main([*command, "--out", "report.html", "--quiet"]) == 0  # told to
    assert (tmp_path / "report.html").stat().st_mtime_ns > first


def test_extremes_name_the_right_rows():
    found = describe(SMALL, Limits(), extremes=1)["extremes"]
    assert [found[key][0]["row"] for key in ("lowest", "highest", "nearest")] == [0, 0, 1]


def test_a_set_is_at_no_distance_from_itself_and_at_one_from_its_opposite():
    same = compare(SMALL, SMALL)
    assert (same["ks"], same["wasserstein"], same["use"]) == (0.0, 0.0, 0.0)
    other = facts([[2.0, 2.0]] * 3, [[0, 0]] * 3, ("bilateral",))
    apart = compare(SMALL, other)
    assert apart["ks"] == 1.0
    assert apart["use"] == 1.0
    assert apart["wasserstein"] == pytest.approx(2.0 - SMALL.distances.mean())


def test_the_number_of_traditional_distortions_is_that_of_the_tables():
    assert len(TRADITIONAL) == DISTORTIONS


def test_families_are_in_alphabetical_order():
    assert families_of("jpeg+gaussian_blur") == "blur + compression"
    assert families_of("cnn:017+jpeg") == "cnn + compression"
    assert families_of("vignette") == "own"


THRESHOLDS = (
    ("max_invisible", 0.1, 0.2),
    ("max_destroyed", 0.1, 0.2),
    ("max_near_equal", 0.2, 0.3),
    ("max_duplicates", 0.2, 0.25),
    ("max_flat", 0.0, 0.25),
    ("min_coverage", 4, 3),
    ("min_spearman", 0.99, 0.1),
    ("max_ks", 0.3, 1.0),
    ("max_wasserstein", 0.1, 5.0),
    ("max_use", 0.3, 1.0),
)


@pytest.mark.parametrize(("name", "too_strict", "met"), THRESHOLDS)
def test_every_threshold_is_missed_and_met(name, too_strict, met):
    other = facts([[2.0, 2.0]] * 3, [[0, 0]] * 3, ("bilateral",))
    found = describe(SMALL, Limits(), other)
    assert len(missed(found, Thresholds(**{name: too_strict}))) >= 1
    assert missed(found, Thresholds(**{name: met})) == []


def test_thresholds_cover_every_field():
    assert {name for name, *_ in THRESHOLDS} == set(Thresholds.__dataclass_fields__)


def test_a_threshold_that_a_set_cannot_be_held_to_is_refused():
    with pytest.raises(UserError, match=r"max-ks = 0\.1 needs another set"):
        check_applicable(Thresholds(max_ks=0.1), "triplets", compared=False)
    with pytest.raises(UserError, match="max-near-equal applies to triplets"):
        check_applicable(Thresholds(max_near_equal=0.1), "pairs", compared=False)
    pairs = describe(facts([[0.1], [0.2]], [[0], [0]], ("jpeg",)), Limits())
    with pytest.raises(UserError, match="min-spearman applies to sets with severities only"):
        missed(pairs, Thresholds(min_spearman=0.1))


@pytest.mark.parametrize(
    "bad", [{"max_invisible": 1.5}, {"min_coverage": 400}, {"min_spearman": -2}, {"max_ks": -0.1}]
)
def test_thresholds_out_of_range_are_refused(bad):
    with pytest.raises(UserError, match="is not allowed"):
        Thresholds(**bad)


@pytest.fixture(scope="module")
def sets(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set of 300 triplets of all distortions, and a mild one of noises alone."""
    folder = tmp_path_factory.mktemp("sets")
    assert make(photos, folder / "full", 300, "--singles", "0.5", "--shard-size", "100") == 0
    mild = ("--families", "noise", "--severity", "0", "0.3", "--seed", "1", "--singles", "1")
    assert make(photos, folder / "mild", 120, *mild) == 0
    return folder / "full", folder / "mild"


def run_validate(folder: Path, out: Path, *options: str) -> tuple[int, dict]:
    command = ["validate", str(folder), "--out", str(out / "r.html"), "--json", str(out / "r.json")]
    code = main([*command, "--workers", "1", *options])
    return code, json.loads((out / "r.json").read_text())


def test_a_generated_set_has_sensible_numbers(sets, tmp_path):
    code, found = run_validate(sets[0], tmp_path, "--quiet")
    assert code == 0
    assert found["rows"] == 300
    assert set(found["atoms"]) <= {atom.name for atom in ATOMS}
    assert found["shares"]["duplicate_rows"] == 0.0
    assert found["shares"]["identical_sides"] == 0.0
    assert 0.02 < found["distance"]["p50"] < 0.6
    assert np.mean([entry["spearman"] for entry in found["severity"].values()]) > 0.3
    assert (sets[0] / "scores" / "lpips-alex").is_dir()


def test_thresholds_decide_the_exit_code_with_a_line_each(sets, tmp_path, capsys):
    strict = ("--min-coverage", "328", "--max-near-equal", "0", "--max-flat", "1")
    code, found = run_validate(sets[0], tmp_path, "--quiet", *strict)
    assert code == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found["missed"]) == 2
    assert "distortions occur, fewer than 328" in lines[1]
    assert "Thresholds missed" in (tmp_path / "r.html").read_text()
    code, found = run_validate(sets[0], tmp_path, "--quiet", "--max-flat", "1")
    assert (code, found["missed"]) == (0, [])
    assert "All thresholds met" in (tmp_path / "r.html").read_text()


def test_sets_with_one_side_of_a_family_are_compared_without_warnings():
    one = facts([[0.1, 0.2]], [[0, 1]], ("jpeg", "shift"))
    other = facts([[0.3, 0.2]], [[0, 1]], ("jpeg", "shift"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(one, other)
    assert {group["family"]: group["ks"] for group in found["families"]} == {
        "compression": 1.0,
        "spatial": 0.0,
    }


def test_two_sets_are_compared(sets, tmp_path):
    code, found = run_validate(sets[0], tmp_path, "--quiet", "--against", str(sets[1]))
    assert code == 0
    assert found["against"]["rows"] == 120
    assert found["against"]["ks"] > 0.2
    assert found["against"]["use"] > 0.5
    in_common = found["against"]["overlap"]
    assert in_common["photos"]["share"] == in_common["photos"]["share_other"] == 1
    assert in_common["sides"]["count"] == 0
    assert "overlapping crops" in (tmp_path / "r.html").read_text()
    code, _ = run_validate(
        sets[0], tmp_path, "--quiet", "--against", str(sets[1]), "--max-ks", "0.1"
    )
    assert code == 1


def test_scores_that_are_there_are_used_as_they_are(sets, tmp_path, capsys):
    copied = Path(shutil.copytree(sets[1], tmp_path / "set"))
    command = ["score", str(copied), "--dtype", "bfloat16", "--workers", "1", "--quiet"]
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in copied.glob("scores/*/*.parquet")}
    code, found = run_validate(copied, tmp_path, "--quiet")
    assert code == 0
    assert found["settings"]["dtype"] == "bfloat16"
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("metric", ["l2", "psnr", "mine.py:Likeness"])
def test_sets_are_validated_by_any_metric(sets, tmp_path, metric, capsys):
    file = write_metrics(tmp_path)
    text = metric.replace("mine.py", str(file))
    name = "likeness" if text != metric else metric
    copied = Path(shutil.copytree(sets[1], tmp_path / "set"))
    code, found = run_validate(copied, tmp_path, "--metric", text, "--against", str(sets[0]))
    assert code == 0
    assert f"median {name} " in capsys.readouterr().out
    assert (found["metric"], found["label"]) == (name, name)
    scores = read_scores(open_dataset(copied), name)
    distances = np.append(scores.d0, scores.d1)
    distances[np.isinf(distances)] = distances[~np.isinf(distances)].min()
    assert found["distance"]["p50"] == pytest.approx(np.median(distances))
    for drawn in (found["histogram"], found["against"]["histogram"]):
        assert drawn["low"] <= distances.min() <= distances.max() <= drawn["top"]
    assert sum(found["histogram"]["counts"]) == 240
    assert (found["shares"]["invisible"], found["shares"]["destroyed"]) == (None, None)
    page = (tmp_path / "r.html").read_text()
    assert "LPIPS" not in page
    assert f"median {name}" in page
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"data:image[^\"]*", "", page))


def test_what_counts_as_invisible_in_another_metric_is_given(sets, tmp_path, capsys):
    required = ("--metric", "l2", "--max-invisible", "0.5")
    assert main(["validate", str(sets[1]), "--quiet", *required]) == 2
    assert "max-invisible needs a limit in l2; give --invisible X" in one_line(capsys)
    code, found = run_validate(sets[1], tmp_path, "--quiet", *required, "--invisible", "0.02")
    scores = read_scores(open_dataset(sets[1]), "l2")
    share = (np.append(scores.d0, scores.d1) < 0.02).mean()
    assert found["shares"]["invisible"] == pytest.approx(share)
    assert code == (share > 0.5)


def test_lengths_of_axes_are_divided_into_4_to_10_round_steps():
    for length in (0.07, 0.1, 0.3, 1, 1.1, 4.9, 5.1, 37, 100, 1001):
        assert 4 <= length / round_step(length) <= 10
        assert f"{round_step(length):e}"[0] in "125"


def test_duplicates_and_flat_references_are_found(sets, tmp_path):
    copied = Path(shutil.copytree(sets[1], tmp_path / "set"))
    shutil.rmtree(copied / "scores", ignore_errors=True)
    path = copied / "data" / "part-00000.parquet"
    table = pq.read_table(path)
    metadata = table.schema
    repeated = pa.concat_tables([table.slice(0, 20), table.slice(0, 10)])
    columns = [
        table.column(name) if name in ("id", "row") else repeated.column(name)
        for name in table.schema.names
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=metadata), path)
    code, found = run_validate(copied, tmp_path, "--quiet", "--flat", "0.5")
    assert code == 0
    assert found["counts"]["duplicate_rows"] == 10
    assert found["shares"]["flat_references"] == 1.0


def test_imported_sets_and_pairs_are_validated_too(tmp_path):
    make_2afc(tmp_path / "o" / "2afc" / "val" / "cnn", [0.5] * 5)
    make_jnd(tmp_path / "o" / "jnd" / "val" / "cnn", [0.5] * 4)
    command = ["import", str(tmp_path / "o"), "--out", str(tmp_path / "sets")]
    assert main([*command, "--workers", "1", "--quiet"]) == 0
    code, found = run_validate(tmp_path / "sets" / "2afc" / "val" / "cnn", tmp_path, "--quiet")
    assert code == 0
    assert found["coverage"]["used"] == 0
    assert found["shares"]["near_equal"] is not None
    code, found = run_validate(tmp_path / "sets" / "jnd" / "val" / "cnn", tmp_path, "--quiet")
    assert code == 0
    assert found["sides"] == found["rows"] == 4
    assert found["shares"]["near_equal"] is None
    assert "pairs" in (tmp_path / "r.html").read_text()


def test_the_report_is_one_file_without_scripts_or_addresses(sets, tmp_path):
    run_validate(sets[0], tmp_path, "--quiet", "--against", str(sets[1]))
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert not re.findall(r"https?://", page)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    for heading in (
        "Distances",
        "By family",
        "By single distortion",
        "Severity against LPIPS",
        "Compositions",
        "Coverage",
        "Against mild",
        "Closest to the reference",
        "Farthest from the reference",
        "Nearest to each other",
    ):
        assert f"<h2>{heading}</h2>" in page


def test_names_cannot_break_the_report(sets, tmp_path):
    odd = Path(shutil.copytree(sets[1], tmp_path / "<b>&set"))
    run_validate(odd, tmp_path, "--quiet")
    page = (tmp_path / "r.html").read_text()
    assert "<b>&set" not in page
    assert "&lt;b&gt;&amp;set" in page


def test_parameters_have_histograms_over_the_range_of_their_values(dataset, tmp_path):
    rows = list(bapps_gen.open_dataset(dataset).rows())
    steps = [step for row in rows for side in row.steps for step in side]
    page = tmp_path / "report.html"
    copied = shutil.copytree(dataset, tmp_path / "set")  # where its scores are written
    found = bapps_gen.validate(copied, out=page, workers=1).values["parameters"]
    names = {f"{step.distortion}.{name}" for step in steps for name, _ in step.params}
    assert set(found) == names
    for key, entry in found.items():
        atom, name = key.split(".")
        values = [dict(step.params)[name] for step in steps if step.distortion == atom]
        assert sum(entry["counts"]) == entry["steps"] == len(values)
        assert (entry["low"], entry["high"]) == (min(values), max(values))
        assert entry["median"] == pytest.approx(np.median(values))
    text = page.read_text()
    assert text.count('class="card values"') == len(names)


@needs_chromium
def test_chromium_shows_the_report_without_errors_offline(sets, tmp_path):
    run_validate(sets[0], tmp_path, "--quiet", "--against", str(sets[1]))
    looked = """
        const images = [...page.images];"""
    values = """
          sections: page.querySelectorAll("section").length,
          hidden: [...page.querySelectorAll("section")].filter(s => s.clientHeight < 40).length,
          images: images.length, broken: images.filter(i => !i.naturalWidth).length,
          bars: [...page.querySelectorAll(".histogram rect")]
            .filter(r => r.getBoundingClientRect().height > 1).length,
          boxes: [...page.querySelectorAll(".half")].filter(b => b.clientWidth > 1).length,
          shaded: [...page.querySelectorAll(".heat td[style]")]
            .map(c => page.defaultView.getComputedStyle(c).backgroundColor)
            .filter((c, k, all) => all.indexOf(c) == k).length"""
    for width in (1280, 390):
        seen = seen_in(tmp_path / "r.html", looked, values, width)
        assert seen["sections"] == 12
        assert seen["hidden"] == 0
        assert seen["images"] == 3 * 3 * 9
        assert seen["broken"] == 0
        assert seen["bars"] > 20
        assert seen["boxes"] > 20
        assert seen["shaded"] > 5
