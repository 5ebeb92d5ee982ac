"""2AFC and JND scores against the original program's formulas, written out from its trainer.py."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bapps_gen.metrics.agreement import jnd_map, two_afc_agreement, weighted_maps

Values = NDArray[np.float64]

EXACT = 1e-12


def original_2afc(d0: Values, d1: Values, judge: Values) -> Values:
    """Of each triplet: 1 − judge where p0 is closer, judge where p1 is, ½ where both are."""
    return (d0 < d1) * (1.0 - judge) + (d1 < d0) * judge + (d1 == d0) * 0.5


def original_map(distance: Values, same: Values) -> float:
    """Pairs by distance, each by itself; the area with the sentinels of VOC's own program."""
    ranked = same[np.argsort(distance, kind="stable")]
    true, false = np.cumsum(ranked), np.cumsum(1.0 - ranked)
    missed = ranked.sum() - true
    recall = np.concatenate(([0.0], true / (true + missed), [1.0]))
    precision = np.concatenate(([0.0], true / (true + false), [0.0]))
    for index in range(len(precision) - 1, 0, -1):
        precision[index - 1] = max(precision[index - 1], precision[index])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())


def ordered_map(distance: Values, same: Values, direction: int) -> float:
    """The original's score where pairs at equal distance come by `same`, up (1) or down (−1)."""
    order = np.lexsort((direction * same, distance))
    return original_map(distance[order], same[order])


fractions = st.integers(1, 7).flatmap(
    lambda people: st.integers(0, people).map(lambda n: n / people)
)
"""Of 1 to 7 votes."""

float32_fractions = fractions.map(lambda value: float(np.float32(value)))
"""As the original reads them: FloatTensors."""

far = st.floats(0, 10, allow_nan=False)
few = st.integers(0, 3).map(float)
"""Distances of which many are equal."""


def columns(*parts: st.SearchStrategy[float]) -> st.SearchStrategy[list[Values]]:
    rows = st.lists(st.tuples(*parts), min_size=1, max_size=40)
    return rows.map(lambda values: list(np.array(values, np.float64).T))


@given(columns(far | few, far | few, fractions | float32_fractions))
def test_2afc_is_the_originals_ties_included(values):
    d0, d1, judge = values
    found = two_afc_agreement(d0, d1, judge)
    np.testing.assert_allclose(found, original_2afc(d0, d1, judge), rtol=0, atol=EXACT)


@given(columns(far, fractions | float32_fractions))
def test_map_is_the_originals_without_ties(values):
    distance, same = values
    assume(len(np.unique(distance)) == len(distance) and same.any())
    assert jnd_map(distance, same) == pytest.approx(original_map(distance, same), abs=EXACT)


@given(columns(few, fractions | float32_fractions))
def test_map_at_ties_is_the_originals_of_means(values):
    distance, same = values
    assume(same.any())
    means = np.array([same[distance == each].mean() for each in distance])
    assert jnd_map(distance, same) == pytest.approx(original_map(distance, means), abs=EXACT)


@given(columns(few, fractions | float32_fractions))
def test_map_at_ties_is_between_the_originals_worst_and_best_order(values):
    distance, same = values
    assume(same.any())
    worst, best = (ordered_map(distance, same, direction) for direction in (1, -1))
    assert worst - EXACT <= jnd_map(distance, same) <= best + EXACT


@given(columns(few, fractions), st.randoms(use_true_random=False))
def test_map_does_not_depend_on_the_order_of_rows(values, random):
    distance, same = values
    assume(same.any())
    order = list(range(len(same)))
    random.shuffle(order)
    assert jnd_map(distance[order], same[order]) == pytest.approx(
        jnd_map(distance, same), abs=EXACT
    )


@pytest.mark.parametrize(
    ("distance", "same"),
    [
        ([0.0, 0.1, 0.1, 0.2], [1.0, 1.0, 0.0, 0.0]),
        ([0.0, 0.1, 0.1, 0.1], [1.0, 0.0, 0.5, 1.0]),
    ],
)
def test_the_originals_map_depends_on_the_order_of_ties(distance, same):
    every = {
        original_map(np.array(distance), np.array([same[k] for k in order]))
        for order in permutations(range(4))
        if [distance[k] for k in order] == distance
    }
    worst, best = (
        ordered_map(np.array(distance), np.array(same), direction) for direction in (1, -1)
    )
    assert (min(every), max(every)) == pytest.approx((worst, best))
    assert worst < jnd_map(distance, same) < best


def test_ties_of_pairs_judged_equally_change_nothing():
    distance, same = np.array([0.1, 0.2, 0.2]), np.array([1.0, 0.5, 0.5])
    assert jnd_map(distance, same) == pytest.approx(original_map(distance, same), abs=EXACT)


@given(columns(few | far, fractions), st.data())
def test_map_of_rows_taken_several_times_is_that_of_a_table_with_copies(values, data):
    distance, same = values
    rows = len(same)
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    copies = np.repeat(np.arange(rows), counts)
    assume(same[copies].any())
    ((found,),) = weighted_maps([distance], same)(counts[None])
    assert found == pytest.approx(jnd_map(distance[copies], same[copies]), abs=EXACT)
