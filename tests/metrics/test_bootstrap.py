"""Resampling: rows of one photo together, whatever the order and whichever sets there are."""

from __future__ import annotations

import numpy as np
import pytest

from bapps_gen.metrics.agreement import weighted_means
from bapps_gen.metrics.bootstrap import bootstrap_draws, percentile_intervals


def counts_of(keys: np.ndarray, resamples: int = 50, seed: int = 3) -> np.ndarray:
    """How often each row was drawn in each resample."""
    return bootstrap_draws(lambda counts: counts.astype(np.float64), keys, resamples, seed)


def test_rows_of_one_key_are_drawn_together():
    counts = counts_of(np.array([7, 9, 7, 7], np.uint64))
    assert np.array_equal(counts[:, 0], counts[:, 2])
    assert np.array_equal(counts[:, 0], counts[:, 3])
    assert not np.array_equal(counts[:, 0], counts[:, 1])


def test_what_is_drawn_depends_on_no_other_row_and_on_no_order():
    keys = np.random.default_rng(0).integers(0, 2**64, 40, np.uint64)
    counts = counts_of(keys)
    assert np.array_equal(counts_of(keys[::-1]), counts[:, ::-1])
    assert np.array_equal(counts_of(keys[5:9]), counts[:, 5:9])
    assert not np.array_equal(counts_of(keys, seed=4), counts)
    assert np.array_equal(counts_of(keys, resamples=10), counts[:10])


def test_rows_are_drawn_once_on_average_and_independently():
    counts = counts_of(np.arange(1000, dtype=np.uint64), resamples=1000)
    assert abs(counts.mean() - 1) < 0.005
    assert abs(counts.var() - 1) < 0.01
    assert abs(np.corrcoef(counts[:, :300].T) - np.eye(300)).max() < 0.2
    assert abs(np.corrcoef(counts[:300]) - np.eye(300)).max() < 0.2


def test_the_error_of_a_mean_is_that_of_its_photos():
    rng = np.random.default_rng(1)
    photos = np.repeat(np.arange(50, dtype=np.uint64), 20)
    values = (rng.normal(size=50)[:, None] + 0.1 * rng.normal(size=(50, 20))).reshape(1, -1)
    draws = bootstrap_draws(weighted_means(values), photos, 2000, 0)
    expected = values.reshape(50, 20).mean(1).std() / np.sqrt(50)
    assert abs(draws.std() / expected - 1) < 0.1


@pytest.mark.parametrize("photos", [10, 25, 100])
def test_intervals_hold_the_truth_as_often_as_they_say_however_few_photos(photos):
    rng = np.random.default_rng(4)
    values = rng.normal(size=(1500, photos)).repeat(4, 1)  # 1500 sets with a mean of 0
    values += 0.5 * rng.normal(size=values.shape)
    keys = np.arange(photos, dtype=np.uint64).repeat(4)
    draws = bootstrap_draws(weighted_means(values), keys, 1000, 0)
    low, high = percentile_intervals(draws, photos).T
    assert abs(((low <= 0) & (high >= 0)).mean() - 0.95) < 0.015


def test_what_is_no_number_does_not_count():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    statistics = weighted_means(values)
    assert statistics(np.array([[1, 5, 1], [0, 1, 2]]))[:, 0].tolist() == [2.0, 3.0]
    draws = bootstrap_draws(statistics, np.arange(3, dtype=np.uint64), 100, 0)
    intervals = percentile_intervals(draws, 3)
    assert intervals[0].tolist() == [1.0, 3.0]
    assert np.isnan(intervals[1]).all()
