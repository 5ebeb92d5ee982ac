"""Calibration: predictions that made the votes hold, and others do not."""

from dataclasses import astuple

import numpy as np
import pytest

from bapps_gen.pipelines.comparison.calibration import calibration, cross_fitted
from bapps_gen.pipelines.comparison.psychometric import Curve
from bapps_gen.pipelines.comparison.resampling import Resampling

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, 3000)
MADE = Curve(0.0, 0.4, 0.04)
VOTES = np.full(3000, 5.0)
CHOSEN = RNG.binomial(5, MADE.probability(X)) / 5
FOLDS = np.arange(3000) % 5


def calibrated(predicted, chosen, votes, *, counted, keys=None):
    keys = np.arange(len(predicted), dtype=np.uint64) if keys is None else keys
    return calibration(predicted, chosen, votes, Resampling(keys, 20), counted=counted)


def test_the_metric_that_made_the_votes_is_calibrated():
    found = calibrated(cross_fitted(X, CHOSEN, VOTES, FOLDS), CHOSEN, VOTES, counted=True)
    assert found.error < 2 * found.error_by_chance
    assert found.brier == pytest.approx(found.brier_floor, abs=0.005)
    assert sum(part.rows for part in found.bins) == 3000
    assert all(
        part.observed.low <= part.predicted <= part.observed.high for part in found.bins[1:-1]
    )


def test_the_error_by_chance_is_that_of_calibrated_predictions_however_alike_votes_are():
    rng = np.random.default_rng(3)
    photos = np.repeat(np.arange(20, dtype=np.uint64), 15)
    found = []
    for _ in range(100):
        predicted = rng.beta(1.5, 1.5, 300).clip(0.001, 0.999)
        whims = np.where(rng.random(300) < 0.4, rng.random(20)[photos.astype(int)], rng.random(300))
        chosen = (whims < predicted).astype(float)  # all five votes on a row are the same
        five = np.full(300, 5.0)
        found.append(calibrated(predicted, chosen, five, counted=True, keys=photos))
    errors = np.mean([(each.error, each.error_by_chance) for each in found], 0)
    assert errors[1] == pytest.approx(errors[0], rel=0.12)


def test_predictions_that_are_too_sure_are_not_calibrated():
    sure = np.where(MADE.probability(X) > 0.5, 0.999, 0.001)
    held = calibrated(cross_fitted(X, CHOSEN, VOTES, FOLDS), CHOSEN, VOTES, counted=True)
    found = calibrated(sure, CHOSEN, VOTES, counted=True)
    assert found.error > 5 * held.error
    assert found.brier > held.brier
    assert found.log_loss > held.log_loss


def test_a_constant_metric_predicts_a_half_with_the_scores_of_that():
    predicted = cross_fitted(np.zeros(3000), CHOSEN, VOTES, FOLDS)
    assert (predicted == 0.5).all()
    found = calibrated(predicted, CHOSEN, VOTES, counted=True)
    assert len(found.bins) == 1
    assert found.brier == pytest.approx(0.25)
    assert found.log_loss == pytest.approx(np.log(2))


def test_no_row_plays_a_part_in_its_own_prediction():
    changed = CHOSEN.copy()
    changed[FOLDS == 2] = 1 - changed[FOLDS == 2]
    mine = FOLDS == 2
    before = cross_fitted(X, CHOSEN, VOTES, FOLDS)
    after = cross_fitted(X, changed, VOTES, FOLDS)
    assert before[mine].tolist() == after[mine].tolist()
    assert before[~mine].tolist() != after[~mine].tolist()


def test_the_order_of_rows_plays_no_part():
    order = np.random.default_rng(1).permutation(3000)
    predicted = MADE.probability(X)
    one = calibrated(predicted, CHOSEN, VOTES, counted=True)
    other = calibrated(
        predicted[order], CHOSEN[order], VOTES[order], counted=True, keys=order.astype(np.uint64)
    )
    assert other.error == pytest.approx(one.error)
    for first, second in zip(one.bins, other.bins, strict=True):
        assert astuple(second.observed) == pytest.approx(astuple(first.observed))


def test_floors_are_those_of_the_votes():
    votes = np.array([5.0, 5.0, 1.0])
    chosen = np.array([1.0, 0.0, 1.0])
    found = calibrated(np.array([0.9, 0.1, 0.6]), chosen, votes, counted=True)
    assert found.brier_floor == found.log_loss_floor == 0
    split = calibrated(np.full(1, 0.5), np.full(1, 0.5), np.full(1, 2.0), counted=True)
    assert split.brier_floor == pytest.approx(0.5)  # 1 of 2: k(n − k) / (n(n − 1))
    unknown = calibrated(np.full(1, 0.5), np.full(1, 0.5), np.ones(1), counted=False)
    assert unknown.brier_floor is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_sided_votes_have_finite_scores(share):
    chosen = np.full(40, share)
    predicted = cross_fitted(X[:40], chosen, np.ones(40), FOLDS[:40])
    found = calibrated(predicted, chosen, np.ones(40), counted=True)
    assert np.isfinite([found.error, found.brier, found.log_loss]).all()
