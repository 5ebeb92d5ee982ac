"""Agreement with people, against tables worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.metrics import load_metric
from bapps_gen.metrics.agreement import human_agreement, jnd_map, two_afc_agreement
from bapps_gen.metrics.bootstrap import bootstrap_draws, percentile_intervals
from bapps_gen.pipelines.scoring.evaluate import evaluate, resampling_keys
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.options import EvaluationOptions
from support.datasets import put_values
from support.original_layout import make_2afc, make_jnd, patches_of


def test_a_metric_scores_the_fraction_that_agree_with_it():
    d0 = [0.1, 0.4, 0.2, 0.3, 0.0, 0.5]
    d1 = [0.3, 0.2, 0.2, 0.1, 0.9, 0.5]
    judge = [0.0, 1.0, 1.0, 0.4, 0.25, 0.6]
    #   p0 closer and all prefer p0; p1 closer and all prefer it; a tie; p1 closer, 4 of 10 agree;
    #   p0 closer, 3 of 4 agree; a tie whatever people say
    expected = [1.0, 1.0, 0.5, 0.4, 0.75, 0.5]
    assert two_afc_agreement(d0, d1, judge).tolist() == expected


def test_values_come_in_any_shape_of_n_values():
    d0, d1, judge = (np.random.default_rng(k).random(5) for k in range(3))
    flat = two_afc_agreement(d0, d1, judge)
    shaped = two_afc_agreement(d0.reshape(5, 1, 1, 1), d1.reshape(5, 1), judge.reshape(5, 1, 1, 1))
    assert shaped.shape == (5,)
    assert np.array_equal(flat, shaped)


def test_infinite_distances_of_equal_patches_are_ties():
    assert two_afc_agreement([-np.inf, -np.inf], [-np.inf, -3.0], [0.9, 0.2]).tolist() == [0.5, 0.8]


def test_the_human_ceiling_is_the_chance_that_two_people_agree():
    assert human_agreement([0.0, 1.0, 0.5, 0.8]).tolist() == pytest.approx([1.0, 1.0, 0.5, 0.68])


def test_jnd_precision_recall_worked_by_hand():
    # by distance: same 1, 0, ½. Precision 1, ½, ½ at recall ⅔, ⅔, 1: ⅔·1 + ⅓·½
    assert jnd_map([0.2, 0.1, 0.3], [0.0, 1.0, 0.5]) == pytest.approx(2 / 3 + 1 / 6)
    # precision may rise again: same 0, 1, 1. Precision 0, ½, ⅔; the envelope is ⅔ throughout
    assert jnd_map([0.1, 0.2, 0.3], [0, 1, 1]) == pytest.approx(2 / 3)
    assert jnd_map([0.1, 0.2, 0.3], [1, 1, 0]) == 1.0
    assert jnd_map([0.3, 0.2, 0.1], [1, 0, 0]) == pytest.approx(1 / 3)


def test_jnd_pairs_at_equal_distance_enter_together_in_whatever_order():
    assert jnd_map([0.1, 0.1], [1.0, 0.0]) == 0.5
    assert jnd_map([0.1, 0.1], [0.0, 1.0]) == 0.5
    assert jnd_map([0.0, 0.0, 0.2], [1.0, 0.5, 0.0]) == pytest.approx(0.75)


def test_jnd_inputs_of_n_1_1_1_are_taken():
    distance, same = np.array([0.2, 0.1, 0.3]), np.array([0.0, 1.0, 0.5])
    shaped = jnd_map(distance.reshape(3, 1, 1, 1), same.reshape(3, 1, 1, 1))
    assert shaped == jnd_map(distance, same)


def test_jnd_is_the_area_by_the_textbook_without_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        distance, same = rng.random(30), rng.integers(0, 4, 30) / 3
        ranked = same[np.argsort(distance)]
        recall = [sum(ranked[: k + 1]) / sum(ranked) for k in range(30)]
        precision = [sum(ranked[: k + 1]) / (k + 1) for k in range(30)]
        area = sum(
            (recall[k] - (recall[k - 1] if k else 0.0)) * max(precision[k:]) for k in range(30)
        )
        assert jnd_map(distance, same) == pytest.approx(area)


def test_jnd_is_undefined_where_nobody_says_same():
    assert np.isnan(jnd_map([0.1, 0.2], [0.0, 0.0]))


@pytest.mark.parametrize("judge", [[1.2], [-0.1], [np.nan]])
def test_a_judgment_outside_0_to_1_is_refused(judge):
    with pytest.raises(UserError, match="not a fraction from 0 to 1"):
        two_afc_agreement([0.1], [0.2], judge)
    with pytest.raises(UserError, match="not a fraction from 0 to 1"):
        jnd_map([0.1], judge)


def test_numbers_of_values_that_differ_are_refused():
    with pytest.raises(UserError, match="2 distances for 3 values of judge"):
        two_afc_agreement([0.1, 0.2], [0.1, 0.2, 0.3], [0, 1, 1])


def test_a_distance_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="not a number"):
        two_afc_agreement([np.nan], [0.1], [1.0])


def judged_2afc(rows: int) -> Judged:
    rng = np.random.default_rng(4)
    judge = rng.integers(0, 6, rows) / 5
    d0, d1 = rng.random((2, rows))
    return Judged("x", "2afc", judge, {"a": (d0, d1), "b": (judge, 1 - judge)}, 0, {})


def test_intervals_are_those_of_the_normal_approximation_where_it_holds():
    judged = judged_2afc(2000)
    found = evaluate(judged, EvaluationOptions(resamples=10_000, seed=1))
    agreement = two_afc_agreement(*judged.distances["a"], judged.judgment)
    error = agreement.std() / np.sqrt(2000)
    estimate = found.metrics["a"]
    assert estimate.value == pytest.approx(agreement.mean())
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=0.1 * error)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=0.1 * error)
    assert found.human.value == pytest.approx(human_agreement(judged.judgment).mean())


def test_the_ceiling_of_chance_is_a_half_without_the_bias_of_few_votes():
    rng = np.random.default_rng(8)
    judge, counts = rng.binomial(5, 0.5, 2000) / 5, np.full(2000, 5.0)
    counts[:3] = (1, np.nan, 0)
    judged = Judged("x", "2afc", judge, {}, 0, {}, counts, simulated=True)
    found = evaluate(judged, EvaluationOptions(resamples=50))
    assert found.human.value == pytest.approx(0.6, abs=0.01)
    assert found.human_unbiased.value == pytest.approx(0.5, abs=0.02)
    assert found.human_unbiased.low < found.human_unbiased.value < found.human_unbiased.high
    assert found.simulated
    assert evaluate(judged_2afc(9), EvaluationOptions(resamples=10)).human_unbiased is None


def test_intervals_follow_the_seed_alone():
    judged = judged_2afc(50)
    one, again, other = (
        evaluate(judged, EvaluationOptions(resamples=100, seed=seed)) for seed in (3, 3, 4)
    )
    assert one == again
    assert one.metrics["a"].low != other.metrics["a"].low


def test_jnd_intervals_are_those_of_resampled_tables():
    rng = np.random.default_rng(0)
    distance, same = rng.random(40).round(1), rng.integers(0, 4, 40) / 3
    drawing = EvaluationOptions(resamples=200, seed=9)
    judged = Judged("x", "jnd", same, {"a": (distance,)}, 0, {})
    found = evaluate(judged, drawing)
    drawn = []

    def remember(counts: np.ndarray) -> np.ndarray:
        for each in counts:
            rows = np.repeat(np.arange(40), each)
            drawn.append(jnd_map(distance[rows], same[rows]))
        return np.zeros((len(counts), 1))

    bootstrap_draws(remember, resampling_keys(judged)[0], 200, 9)
    estimate = found.metrics["a"]
    ((low, high),) = percentile_intervals(np.array(drawn)[:, None], 40)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.low < jnd_map(distance, same) < estimate.high
    assert found.human is None


def run_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    capsys.readouterr()
    command = ["evaluate", *arguments, "--json", "--quiet", "--workers", "1", "--resamples", "50"]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


def test_the_original_layout_and_its_import_give_the_same_scores(tmp_path, capsys):
    rng = np.random.default_rng(2)
    root = tmp_path / "dataset"
    make_2afc(root / "2afc" / "val" / "cnn", list(rng.integers(0, 6, 12) / 5), sides=(256, 252, 64))
    make_jnd(root / "jnd" / "val" / "cnn", [np.full((1, 1, 1, 1), k / 3) for k in (3, 2, 0, 1)])
    command = ["import", str(root), "--out", str(tmp_path / "sets"), "--workers", "1", "--quiet"]
    assert main(command) == 0
    names = "l2,ssim,lpips-alex"
    direct = run_json(capsys, str(root), "--metric", names)
    imported = run_json(capsys, str(tmp_path / "sets"), "--metric", names)
    assert [entry["task"] for entry in direct["sets"]] == ["2afc", "jnd"]
    for one, two in zip(direct["sets"], imported["sets"], strict=True):
        assert one["human"] == (two["human"] and pytest.approx(two["human"]))
        for name in names.split(","):
            for key in ("score", "low", "high"):
                assert one["metrics"][name][key] == pytest.approx(two["metrics"][name][key])
    judge = [float(np.load(path).item()) for path in sorted(root.glob("2afc/val/cnn/judge/*"))]
    ref, p0, p1 = (np.stack(part) for part in zip(*map(patches_of, range(12)), strict=True))
    expected = two_afc_agreement(*load_metric("ssim").triplet(ref, p0, p1), judge).mean()
    assert direct["sets"][0]["metrics"]["ssim"]["score"] == pytest.approx(expected)


def test_the_original_loaders_bilinear_reduction_can_be_had(tmp_path, capsys):
    from PIL import Image

    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.0, 0.2, 0.4, 1.0])
    found = run_json(capsys, str(folder), "--metric", "l2", "--bilinear")

    def loaded(part: str) -> np.ndarray:
        pictures = []
        for path in sorted((folder / part).iterdir()):
            with Image.open(path) as image:
                pictures.append(np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)))
        return np.stack(pictures)

    d0, d1 = load_metric("l2").triplet(loaded("ref"), loaded("p0"), loaded("p1"))
    expected = two_afc_agreement(d0, d1, [0.0, 0.2, 0.4, 1.0]).mean()
    assert found["sets"][0]["metrics"]["l2"]["score"] == pytest.approx(expected)


def test_the_table_has_people_first_and_means_over_sets(tmp_path, capsys):
    for name in ("cnn", "mix"):
        make_2afc(tmp_path / "2afc" / "val" / name, [0.0, 0.2, 1.0])
    command = ["evaluate", str(tmp_path), "--metric", "l2", "--workers", "1"]
    assert main([*command, "--resamples", "20"]) == 0
    out = capsys.readouterr().out
    assert "2afc/val/cnn: 3 judged rows" in out
    lines = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert lines == ["metric", "human", "l2"] * 3
    assert "2AFC: mean over 2 sets" in out


def test_a_set_that_nobody_judged_is_refused_before_any_work(dataset, capsys):
    assert main(["evaluate", str(dataset), "--metric", "l2", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "no row of" in err
    assert len(err.splitlines()) == 1
    assert not (dataset / "scores").exists()


def test_rows_without_judgment_are_left_out_and_counted(tmp_path, capsys):

    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.0, 0.2, 1.0, 0.6])
    out = tmp_path / "set"
    command = ["import", str(folder), "--out", str(out), "--workers", "1", "--quiet"]
    assert main(command) == 0
    put_values(out, 0, "judge", {1: None, 3: None})
    (found,) = run_json(capsys, str(out), "--metric", "l2")["sets"]
    assert (found["rows"], found["rows_without_judgment"]) == (2, 2)
    assert found["human"]["score"] == 1.0
    assert main(["evaluate", str(out), "--metric", "l2", "--resamples", "10"]) == 0
    assert "2 judged rows; 2 rows without judgment left out" in capsys.readouterr().out


def test_bilinear_goes_with_the_original_layout(tmp_path, dataset: Path, capsys):
    assert main(["evaluate", str(dataset), "--bilinear"]) == 2
    assert "original layout only" in capsys.readouterr().err
