"""Disagreement between metrics, and of a metric with people."""

import numpy as np
import pytest

from bapps_gen.pipelines.comparison.disagreement import (
    between_metrics,
    shares,
    strongest,
    with_people,
)

X = np.array([3.0, 1.0, 0.0, -2.0, -4.0])


def test_metrics_disagree_on_no_row_where_they_prefer_the_same_patch():
    assert not between_metrics(X, X).any()
    assert not between_metrics(X, X**3).any()


def test_metrics_that_are_sure_of_opposite_patches_disagree_most():
    amount = between_metrics(X, -X)
    assert np.argmax(amount) == 4
    assert amount[4] == 1
    assert amount[2] == 0  # both see a tie


def test_units_play_no_part():
    other = np.array([-1.0, 2.0, 1.0, 3.0, -1.5])
    one = between_metrics(X, other)
    curved = np.sign(other) * np.log1p(np.abs(other))
    assert between_metrics(1000 * X, curved).tolist() == one.tolist()


def test_a_metric_disagrees_with_people_where_both_are_sure():
    votes = np.full(5, 5.0)
    agree = (X > 0).astype(float)
    assert not with_people(X, agree, votes).any()
    amount = with_people(X, 1 - agree, votes)
    assert np.argmax(amount) == 4
    assert amount[2] == 0
    split = with_people(X, np.full(5, 0.5), votes)
    assert not split.any()


def test_more_votes_are_surer():
    few = with_people(X, np.ones(5), np.full(5, 2.0))
    many = with_people(X, np.ones(5), np.full(5, 5.0))
    assert (many[3:] > few[3:]).all()


def test_of_each_distortion_the_strongest_row_is_taken_and_no_row_twice():
    amount = np.array([0.9, 0.5, 0.8, 0.0, 0.1])
    masks = {
        "blur": np.array([True, True, False, False, False]),
        "jpeg": np.array([True, True, False, True, False]),
        "none": np.array([False, False, False, True, False]),
        "pink": np.array([False, False, True, False, True]),
    }
    assert strongest(amount, masks, 6) == [("blur", 0), ("pink", 2), ("jpeg", 1)]
    assert strongest(amount, {}, 2) == [("", 0), ("", 2)]


def test_shares_are_of_the_rows_with_a_distortion():
    amount = np.array([0.9, 0.0, 0.8, 0.0])
    found = shares(amount, {"blur": np.array([True, True, False, False])})
    assert found == {"blur": (pytest.approx(0.5), 2)}
