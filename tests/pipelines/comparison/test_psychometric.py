"""Psychometric functions: they recover how votes were made, and stay finite whatever votes are."""

import warnings
from dataclasses import astuple

import numpy as np
import pytest
from scipy.special import ndtr

from bapps_gen.pipelines.comparison import psychometric
from bapps_gen.pipelines.comparison.psychometric import (
    JND,
    STEEPEST,
    Curve,
    finite_values,
    fit_curve,
    margins,
    points,
    quantile_groups,
    scale_interval,
)
from bapps_gen.pipelines.comparison.resampling import Resampling


def votes_by(curve, x, votes, seed=0):
    """Shares of votes that a curve's observers give, and their numbers."""
    rng = np.random.default_rng(seed)
    return rng.binomial(votes, curve.probability(x)) / votes, np.full(len(x), float(votes))


def by_row(rows):
    return Resampling(np.arange(rows, dtype=np.uint64), 40)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("unit", [1e-3, 1.0, 40.0])
def test_the_function_that_made_the_votes_is_recovered_in_any_unit(unit):
    made = Curve(0.0, 0.3 * unit, 0.05)
    x = np.random.default_rng(1).normal(0, unit, 4000)
    fitted = fit_curve(x, *votes_by(made, x, 5))
    assert fitted.scale == pytest.approx(made.scale, rel=0.08)
    assert fitted.lapse == pytest.approx(made.lapse, abs=0.02)
    assert fitted.location == 0
    assert not fitted.separated


def test_the_threshold_of_pairs_is_recovered():
    made = Curve(0.2, 0.05, 0.04)
    x = np.random.default_rng(2).uniform(0, 0.5, 4000)
    fitted = fit_curve(x, *votes_by(made, x, 3), locate=True)
    assert fitted.location == pytest.approx(0.2, abs=0.01)
    assert fitted.scale == pytest.approx(0.05, rel=0.15)


def test_three_of_four_who_follow_the_metric_choose_the_nearer_patch_one_jnd_apart():
    curve = Curve(0.0, 2.0, 0.1)
    followed = (curve.probability(curve.jnd) - 0.05) / 0.9
    assert followed == pytest.approx(0.75)
    assert ndtr(JND) == pytest.approx(0.75)


def test_the_interval_holds_the_scale_that_made_the_votes():
    made = Curve(0.0, 0.3, 0.02)
    x = np.random.default_rng(3).normal(0, 1, 800)
    chosen, votes = votes_by(made, x, 5)
    low, high = scale_interval(fit_curve(x, chosen, votes), x, chosen, votes, by_row(800))
    assert low < 0.3 < high
    assert high - low < 0.2


def test_votes_that_the_metric_separates_have_the_steepest_curve_that_there_is():
    x = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    fitted = fit_curve(x, (x > 0).astype(float), np.full(6, 5.0))
    assert fitted.separated
    assert fitted.scale == pytest.approx(1.0 / STEEPEST, rel=0.01)
    assert np.isfinite(fitted.probability(x)).all()


@pytest.mark.parametrize("chosen", [0.0, 1.0], ids=["all-for-p0", "all-for-p1"])
def test_one_sided_votes_give_no_curve_or_a_finite_one(chosen):
    x = np.random.default_rng(4).normal(0, 1, 50)
    fitted = fit_curve(x, np.full(50, chosen), np.full(50, 2.0))
    assert fitted is None or np.isfinite([fitted.scale, fitted.lapse]).all()
    located = fit_curve(np.abs(x), np.full(50, chosen), np.full(50, 2.0), locate=True)
    assert located is None or np.isfinite([located.scale, located.location]).all()


def test_a_metric_that_says_the_same_of_all_rows_has_no_curve():
    assert fit_curve(np.zeros(30), np.full(30, 0.7), np.ones(30)) is None
    assert fit_curve(np.full(30, 0.2), np.full(30, 0.7), np.ones(30), locate=True) is None
    assert fit_curve(np.ones(30), np.full(30, 0.7), np.zeros(30)) is None


def test_a_metric_that_people_contradict_has_no_curve():
    x = np.random.default_rng(5).normal(0, 1, 500)
    assert fit_curve(x, ndtr(-3 * x), np.full(500, 5.0)) is None


def test_a_row_of_two_votes_weighs_as_two_rows_of_one():
    x = np.random.default_rng(6).normal(0, 1, 200)
    chosen, _ = votes_by(Curve(0.0, 0.5, 0.05), x, 2)
    once = fit_curve(x, chosen, np.full(200, 2.0))
    twice = fit_curve(np.tile(x, 2), np.tile(chosen, 2), np.ones(400))
    assert once.scale == pytest.approx(twice.scale, rel=1e-4)


def test_many_rows_are_fitted_as_they_would_be_one_by_one(monkeypatch):
    x = np.random.default_rng(9).standard_t(3, 5000)  # with outliers
    chosen, votes = votes_by(Curve(0.0, 0.5, 0.05), x, 5)
    grouped = fit_curve(x, chosen, votes)
    monkeypatch.setattr(psychometric, "GROUPS", 5000)
    one_by_one = fit_curve(x, chosen, votes)
    assert grouped.scale == pytest.approx(one_by_one.scale, rel=1e-3)
    assert grouped.lapse == pytest.approx(one_by_one.lapse, abs=1e-3)


def test_margins_are_positive_where_p1_is_nearer_and_zero_at_ties():
    infinite = -np.inf  # as −PSNR of equal patches
    d0 = [3.0, 1.0, 2.0, infinite, -30.0, infinite]
    d1 = [1.0, 1.5, 2.0, infinite, infinite, -20.0]
    x = margins(d0, d1)
    assert x.tolist() == [2.0, -0.5, 0.0, 0.0, 2.0, -2.0]
    assert finite_values([-np.inf, 0.0, 0.0]).tolist() == [-1.0, 0.0, 0.0]
    assert finite_values([-np.inf, -30.0, -20.0]).tolist() == [-30.0, -30.0, -20.0]


def test_points_hold_every_row_once_and_shares_rise_as_the_votes_do():
    x = np.random.default_rng(7).normal(0, 1, 1000)
    chosen, votes = votes_by(Curve(0.0, 0.3, 0.02), x, 5)
    drawn = points(x, chosen, votes, by_row(1000))
    assert sum(point.rows for point in drawn) == 1000
    assert sum(point.votes for point in drawn) == 5000
    assert [point.x for point in drawn] == sorted(point.x for point in drawn)
    assert drawn[0].observed.value < 0.1 < 0.9 < drawn[-1].observed.value
    assert all(point.observed.low <= point.observed.value <= point.observed.high for point in drawn)


def test_points_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, 300).round(1)  # with ties
    chosen, votes = votes_by(Curve(0.0, 0.3, 0.02), x, 5)
    order = rng.permutation(300)
    keys = by_row(300)
    again = points(x[order], chosen[order], votes[order], keys.of(order))
    for one, other in zip(points(x, chosen, votes, keys), again, strict=True):
        assert one.rows == other.rows
        assert astuple(one.observed) == pytest.approx(astuple(other.observed))


def test_equal_values_stay_in_one_group():
    values = np.array([0.0] * 90 + [1.0] * 10)
    groups = quantile_groups(values, 5)
    assert [len(group) for group in groups] == [90, 10]
    assert [len(group) for group in quantile_groups(np.zeros(7), 5)] == [7]
    assert [len(group) for group in quantile_groups(np.arange(10.0), 5)] == [2] * 5
