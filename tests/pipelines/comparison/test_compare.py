"""Metrics compared: intervals, means, differences that are real, and the two tests together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bapps_gen.metrics import METRICS, metric_spec
from bapps_gen.metrics.agreement import two_afc_agreement, weighted_means
from bapps_gen.metrics.bootstrap import bootstrap_draws
from bapps_gen.pipelines.comparison.compare import Comparison
from bapps_gen.pipelines.comparison.families import FAMILIES, family_of
from bapps_gen.pipelines.comparison.paired import paired_differences
from bapps_gen.pipelines.scoring.evaluate import HUMAN, UNBIASED, evaluate
from bapps_gen.pipelines.scoring.options import EvaluationOptions
from support.judged import NOISE, collection, compared, judged_set


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared(collection())


def numbers(comparison: Comparison) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Every number by what it is of, whatever the order."""
    found = {}
    for column in comparison.columns:
        for name, score in column.scores.items():
            found[column.task, column.title, name] = (score.value, score.low, score.high)
        for pair in column.differences:
            sign = 1 if pair.first < pair.second else -1
            names = tuple(sorted((pair.first, pair.second)))
            ends = sorted((sign * pair.low, sign * pair.high))
            found[column.task, column.title, *names] = (sign * pair.value, *ends, pair.p)
    assert comparison.correlation is not None
    assert comparison.correlation.pearson is not None
    found["pearson",] = (comparison.correlation.pearson.value,)
    return found


def test_intervals_contain_their_values(comparison):
    for column in comparison.columns:
        for score in column.scores.values():
            assert score.low <= score.value <= score.high
        for pair in column.differences:
            assert pair.low <= pair.value <= pair.high


def test_columns_are_means_and_then_sets_in_the_papers_order(comparison):
    assert [column.title for column in comparison.task_columns("2afc")] == [
        *("All sets", "Distortions", "Real algorithms"),
        *("Traditional", "CNN-based", "Super-resolution", "Deblurring"),
    ]
    assert [column.title for column in comparison.task_columns("jnd")] == [
        *("All sets", "Traditional", "CNN-based"),
    ]


def test_means_count_each_set_once(comparison):
    every, distortions, real, *sets = comparison.task_columns("2afc")
    for name in (HUMAN, UNBIASED, *NOISE):
        scores = [column.scores[name].value for column in sets]
        assert every.scores[name].value == pytest.approx(np.mean(scores))
        assert distortions.scores[name].value == pytest.approx(np.mean(scores[:2]))
        assert real.scores[name].value == pytest.approx(np.mean(scores[2:]))


def test_means_are_surer_than_sets(comparison):
    every, _, _, *sets = comparison.task_columns("2afc")
    for name in NOISE:
        widths = [column.scores[name].high - column.scores[name].low for column in sets]
        assert every.scores[name].high - every.scores[name].low < min(widths)


def test_the_order_of_sets_and_metrics_changes_no_number(comparison):
    judged = [
        replace(each, distances=dict(reversed(each.distances.items())))
        for each in reversed(collection())
    ]
    turned, known = numbers(compared(judged)), numbers(comparison)
    assert turned.keys() == known.keys()
    for key, value in known.items():
        assert turned[key] == pytest.approx(value), key


def test_a_sets_numbers_do_not_depend_on_other_sets(comparison):
    (column,) = compared([judged_set("cnn")]).columns
    columns = comparison.task_columns("2afc")
    (same,) = [each for each in columns if each.title == "CNN-based"]
    assert column.scores == same.scores
    assert column.differences == same.differences


def test_metrics_that_say_the_same_have_no_difference():
    judged = judged_set()
    d0, d1 = judged.distances["ssim"]
    twins = {**judged.distances, "l2": (3 * d0, 3 * d1)}  # the same order in another unit
    (column,) = compared([replace(judged, distances=twins)]).columns
    (pair,) = [each for each in column.differences if {each.first, each.second} == {"l2", "ssim"}]
    assert (pair.value, pair.low, pair.high) == (0, 0, 0)
    assert (pair.p, pair.adjusted) == (1, 1)
    assert not pair.is_real


def test_differences_turn_their_sign_with_the_metrics():
    rng = np.random.default_rng(0)
    draws = {"a": rng.normal(0.7, 0.01, 999), "b": rng.normal(0.6, 0.02, 999)}
    values = {"a": 0.7, "b": 0.6}
    (one,) = paired_differences(values, draws, 30)
    (other,) = paired_differences(dict(reversed(values.items())), draws, 30)
    assert (other.first, other.second) == (one.second, one.first)
    assert other.value == -one.value
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
    assert (other.p, other.adjusted) == (one.p, one.adjusted)


def test_pairs_are_surer_than_their_metrics_apart():
    """What both metrics get wrong together does not blur their difference."""
    (column,) = compared([judged_set(noise={"l2": 0.02, "ssim": 0.03})]).columns
    (pair,) = column.differences
    widths = [score.high - score.low for name, score in column.scores.items() if name in NOISE]
    assert pair.high - pair.low < min(widths)


@pytest.mark.parametrize("photos", [10, 25, 150])
@pytest.mark.parametrize("metrics", [2, 8])
def test_a_difference_by_chance_is_rarely_called_real_however_many_metrics_there_are(
    photos, metrics
):
    rng = np.random.default_rng(2)
    agreement = rng.normal(size=(300, metrics, photos))  # 300 sets, on which metrics are equal
    keys = np.arange(photos, dtype=np.uint64)
    drawn = bootstrap_draws(weighted_means(agreement.reshape(-1, photos)), keys, 500, 0)
    names = [f"m{k}" for k in range(metrics)]
    wrong = 0
    for own, draws in zip(agreement, drawn.T.reshape(300, metrics, -1), strict=True):
        values = dict(zip(names, own.mean(1).tolist(), strict=True))
        pairs = paired_differences(values, dict(zip(names, draws, strict=True)), photos)
        wrong += any(pair.is_real for pair in pairs)
    assert wrong <= 24  # 15 expected, 23 with a chance of 1 in 40


def test_a_metric_that_sees_as_people_do_is_really_better(comparison):
    every = comparison.task_columns("2afc")[0]
    (pair,) = [p for p in every.differences if {p.first, p.second} == {"l2", "lpips-alex"}]
    assert pair.is_real
    assert pair.p < 0.02
    assert pair.adjusted >= pair.p / 2


def test_both_tests_together_are_means_over_the_kinds_that_both_have(comparison):
    found = comparison.correlation
    assert found is not None
    assert found.shared_kinds == ("cnn", "traditional")
    sets = {column.title: column for column in comparison.task_columns("2afc")}
    expected = np.mean([sets[title].scores["l2"].value for title in ("Traditional", "CNN-based")])
    assert found.two_afc["l2"].value == pytest.approx(expected)
    scores = np.array([[side[name].value for name in NOISE] for side in (found.two_afc, found.jnd)])
    assert found.pearson is not None
    assert found.spearman is not None
    assert found.pearson.value == pytest.approx(np.corrcoef(scores)[0, 1])
    assert found.spearman.value == pytest.approx(1.0)
    assert found.pearson.low <= found.pearson.value <= found.pearson.high


def test_without_kinds_in_common_all_sets_count():
    found = compared([judged_set("superres"), judged_set("cnn", "jnd")]).correlation
    assert found is not None
    assert found.shared_kinds == ()
    assert found.sets == ("2afc-superres", "jnd-cnn")


def test_one_test_or_few_metrics_have_no_correlation():
    assert compared([judged_set()]).correlation is None
    assert compared([judged_set(task="jnd")]).correlation is None
    few = {"l2": 0.5, "ssim": 0.2}
    found = compared([judged_set(noise=few), judged_set(task="jnd", noise=few)]).correlation
    assert found is not None
    assert found.pearson is None


def test_a_metric_of_equal_distances_scores_a_half_for_certain():
    judged = judged_set()
    flat = (np.zeros(120), np.zeros(120))
    distances = {**judged.distances, "l2": flat}
    (column,) = compared([replace(judged, distances=distances)]).columns
    score = column.scores["l2"]
    assert (score.value, score.low, score.high) == (0.5, 0.5, 0.5)
    found = evaluate(replace(judged, distances=distances), EvaluationOptions(resamples=10))
    assert found.ties["l2"] == 1
    assert found.ties["ssim"] == 0


def test_scores_that_are_undefined_are_left_out():
    """Nobody says same of any pair: no metric has an mAP."""
    judged = judged_set(task="jnd")
    (column,) = compared([replace(judged, judgment=np.zeros(120))]).columns
    assert column.differences == ()
    values = compared([replace(judged, judgment=np.zeros(120)), judged_set()]).values()
    assert values["sets"][1]["metrics"]["l2"]["score"] is None
    assert values["correlation"]["pearson"] is None


def test_photos_are_resampled_where_they_are_known_and_enough():
    rng = np.random.default_rng(3)
    rows, photos = 400, 20
    keys = np.repeat(rng.integers(0, 2**64, photos, np.uint64), rows // photos)
    right = np.repeat(rng.random(photos) < 0.7, rows // photos)  # whole photos are wrong together
    d0, d1 = np.where(right, 0.0, 1.0), np.where(right, 1.0, 0.0)
    judged = judged_set(rows=rows)
    judged = replace(judged, judgment=np.zeros(rows), distances={"l2": (d0, d1)}, photos=keys)
    by_photo = evaluate(judged)
    by_row = evaluate(replace(judged, photos=None))
    assert (by_photo.resampled, by_row.resampled) == ("photos", "rows")
    widths = [e.metrics["l2"].high - e.metrics["l2"].low for e in (by_photo, by_row)]
    assert widths[0] > 3 * widths[1]
    few = replace(judged, photos=keys % np.uint64(5))
    assert evaluate(few).resampled == "rows"
    assert by_photo.metrics["l2"].value == by_row.metrics["l2"].value
    agreement = two_afc_agreement(d0, d1, judged.judgment)
    assert by_photo.metrics["l2"].value == pytest.approx(agreement.mean())


def test_sets_of_one_kind_are_told_apart():
    one, other = judged_set(), judged_set(split="train", seed=1)
    titles = [c.title for c in compared([one, replace(other, name="b")]).columns]
    assert titles == ["All sets", "Traditional, val", "Traditional, train"]
    twice = compared([replace(one, name="a"), replace(one, name="b")]).columns
    assert [column.title for column in twice] == ["All sets", "a", "b"]


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_every_metric_that_comes_with_the_package_has_a_family(spec):
    expected = {"lpips": "lpips-lin", "uncalibrated": "supervised"}
    assert family_of(spec).name == expected.get(spec.name.split("-")[0], "low-level")


@pytest.mark.parametrize(
    ("given", "mode", "family"),
    [
        ("random-alex:3", "", "random"),
        ("kmeans-alex", "", "unsupervised"),
        ("puzzle:/x/puzzle.npz", "", "self-supervised"),
        ("trunk:/x/mine.pth", "", "other"),
        ("uncalibrated-vgg", "", "supervised"),
        ("timm:resnet18", "", "supervised"),
        ("/x/mine.safetensors", "lin", "lpips-lin"),
        ("/x/mine.safetensors", "tune", "lpips-tune"),
        ("/x/mine.safetensors", "scratch", "lpips-scratch"),
        ("/x/mine.py:Metric", "", "other"),
        ("features:/x/mine.py:net", "", "other"),
        ("pyiqa:vif", "", "other"),
        ("/x/l2.csv", "", "other"),
    ],
)
def test_families_follow_from_texts_and_modes(given, mode, family):
    spec = replace(metric_spec("l2"), name="own", given=given, mode=mode)
    assert family_of(spec).name == family
    assert family in {each.name for each in FAMILIES}
