"""Agreement on parts of the rows: counts add up, and what a metric gets wrong stands first."""

from itertools import pairwise

import numpy as np
import pytest

from bapps_gen.metrics.agreement import human_agreement, jnd_map, two_afc_agreement
from bapps_gen.pipelines.comparison.breakdown import (
    FEW_ROWS,
    distortion_masks,
    family_masks,
    gap_parts,
    parts_of,
    severity_masks,
    worst_first,
)
from bapps_gen.pipelines.comparison.resampling import Resampling
from bapps_gen.pipelines.scoring.sides import Sides

NAN = np.nan
NAMES = ("cnn:003", "cnn:017", "gaussian_blur", "gaussian_blur+jpeg", "jpeg", "superres:bicubic")


def sides(choice, severities):
    return Sides(NAMES, np.array(choice, np.int32), np.array(severities, np.float32))


MIXED = sides(
    [[2, 3], [0, 1], [4, 4], [5, -1], [-1, -1]],
    [
        [[0.1, NAN], [0.3, 0.9]],
        [[NAN, NAN], [NAN, NAN]],
        [[0.2, NAN], [1.5, NAN]],
        [[NAN, NAN], [NAN, NAN]],
        [[NAN, NAN], [NAN, NAN]],
    ],
)


def test_a_row_counts_once_for_every_distortion_on_its_sides():
    masks = {name: mask.tolist() for name, mask in distortion_masks(MIXED).items()}
    assert masks == {
        "cnn": [False, True, False, False, False],
        "gaussian_blur": [True, False, False, False, False],
        "jpeg": [True, False, True, False, False],
        "superres:bicubic": [False, False, False, True, False],
    }


def test_counts_by_distortion_add_up_to_those_of_rows():
    rng = np.random.default_rng(0)
    many = sides(rng.integers(-1, 6, (200, 2)), np.full((200, 2, 2), NAN))
    parts = [
        {
            "cnn" if step.startswith("cnn:") else step
            for side in row
            if side >= 0
            for step in NAMES[side].split("+")
        }
        for row in many.choice
    ]
    masks = distortion_masks(many)
    assert sum(int(mask.sum()) for mask in masks.values()) == sum(map(len, parts))


def test_families_are_those_of_the_steps_and_tasks_of_real_algorithms():
    masks = family_masks(MIXED)
    assert list(masks) == ["blur", "cnn", "compression", "superres"]
    assert masks["compression"].tolist() == [True, False, True, False, False]


def test_rows_are_in_the_part_of_their_mean_severity_and_in_none_without_one():
    masks = severity_masks(MIXED)
    assert masks["0.4 – 0.6"].tolist() == [True, False, False, False, False]  # of 0.1 and 0.9
    assert masks["0.8 – 1"].tolist() == [False, False, True, False, False]  # of 0.2 and 1.5
    assert sum(int(mask.sum()) for mask in masks.values()) == 2


def by_row(rows):
    return Resampling(np.arange(rows, dtype=np.uint64), 30)


def data(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    judge = rng.integers(0, 6, rows) / 5
    right = (1 - judge, judge)  # the distance of what fewer prefer is larger
    return judge, {"right": right[::-1], "wrong": right, "blind": (np.zeros(rows),) * 2}


def test_parts_have_the_scores_of_their_rows():
    judge, distances = data()
    mask = np.arange(60) % 2 == 0
    (part,) = parts_of("2afc", judge, distances, {"even": mask}, by_row(60))
    assert part.rows == 30
    assert part.human.value == pytest.approx(human_agreement(judge[mask]).mean())
    for name, (d0, d1) in distances.items():
        expected = two_afc_agreement(d0[mask], d1[mask], judge[mask]).mean()
        assert part.metrics[name].value == pytest.approx(expected)
        shortfall = part.human.value - expected
        assert part.shortfall[name].value == pytest.approx(shortfall)
        assert part.shortfall[name].low <= shortfall <= part.shortfall[name].high
    assert part.metrics["blind"].value == 0.5


def test_parts_of_pairs_have_map_and_no_ceiling():
    rng = np.random.default_rng(1)
    same, distance = rng.random(50), rng.random(50)
    (part,) = parts_of("jnd", same, {"l2": (distance,)}, {"all": np.ones(50, bool)}, by_row(50))
    assert part.metrics["l2"].value == pytest.approx(jnd_map(distance, same))
    assert part.human is None
    assert not part.shortfall


def test_the_order_of_rows_plays_no_part():
    judge, distances = data()
    order = np.random.default_rng(2).permutation(60)
    moved = {name: tuple(side[order] for side in sides) for name, sides in distances.items()}
    every = {"all": np.ones(60, bool)}
    (one,) = parts_of("2afc", judge, distances, every, by_row(60))
    (other,) = parts_of("2afc", judge[order], moved, every, by_row(60).of(order))
    for name in distances:
        for found in (one.metrics, one.shortfall):
            again = other.metrics if found is one.metrics else other.shortfall
            assert (found[name].low, found[name].high) == pytest.approx(
                (again[name].low, again[name].high)
            )


def test_what_a_metric_gets_wrong_stands_first_and_few_rows_last():
    judge, distances = data(100)
    first, second = distances["right"], distances["wrong"]
    half = np.arange(100) < 50
    mixed = {
        "metric": tuple(
            np.where(half, one, other) for one, other in zip(first, second, strict=True)
        )
    }
    few = np.arange(100) >= 100 - (FEW_ROWS - 1)
    parts = parts_of("2afc", judge, mixed, {"good": half, "few": few, "bad": ~half}, by_row(100))
    assert [part.name for part in worst_first(parts, "metric")] == ["bad", "good", "few"]
    assert [part.few for part in parts] == [False, True, False]


def test_empty_parts_are_left_out():
    judge, distances = data()
    masks = {"none": np.zeros(60, bool)}
    assert parts_of("2afc", judge, distances, masks, by_row(60)) == ()


def test_agreement_by_difference_has_every_row_once_and_ties_together():
    judge, distances = data(200)
    d0, d1 = distances["right"]
    parts = gap_parts(d0, d1, judge, by_row(200))
    assert sum(part.rows for part in parts) == 200
    assert all(one.high < other.low for one, other in pairwise(parts))
    (only,) = gap_parts(np.zeros(200), np.zeros(200), judge, by_row(200))
    assert only.agreement.value == 0.5
    infinite = gap_parts(np.full(200, -np.inf), d1, judge, by_row(200))
    assert infinite[0].agreement.value == pytest.approx((1 - judge).mean())
