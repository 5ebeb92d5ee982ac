"""Distances along severity: rising, and how far apart distortions are."""

import numpy as np
import pytest

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.pipelines.comparison.sensitivity import SEVERITIES, measure, sensitivity
from bapps_gen.pipelines.scoring.options import MetricOptions
from support.datasets import photo

LEVELS = np.array(SEVERITIES)


def test_distances_that_rise_are_monotone_and_equal_ones_need_equal_severities():
    found = sensitivity({name: np.tile(LEVELS, (5, 1)) for name in ("a", "b", "c")})
    assert found.monotone == 1
    assert found.srcc == pytest.approx(1)
    assert found.common == pytest.approx(0.4)
    assert found.needed == pytest.approx({"a": 0.4, "b": 0.4, "c": 0.4})
    assert [level.spread for level in found.levels] == [None] * len(SEVERITIES)


def test_a_distortion_that_is_twice_as_far_needs_half_the_severity():
    distances = {"weak": LEVELS, "plain": 2 * LEVELS, "strong": 4 * LEVELS}
    found = sensitivity({name: np.tile(values, (5, 1)) for name, values in distances.items()})
    assert found.common == pytest.approx(0.8)
    assert found.needed == pytest.approx({"weak": 0.8, "plain": 0.4, "strong": 0.2})
    assert all(level.spread == pytest.approx(1) for level in found.levels)


def test_a_distance_that_no_level_reaches_has_no_severity():
    distances = {"none": 0 * LEVELS, "one": LEVELS, "two": LEVELS}
    found = sensitivity({name: values[None] for name, values in distances.items()})
    assert found.needed["none"] is None


def test_a_constant_metric_is_neither_wrong_nor_defined():
    found = sensitivity({name: np.zeros((4, len(SEVERITIES))) for name in "ab"})
    assert found.srcc is None
    assert all(level.spread is None for level in found.levels)


def test_falling_steps_are_counted():
    values = np.array([[1.0, 2.0, 3.0, 2.5, 4.0, 5.0]])
    assert sensitivity({"a": values}).rising_steps["a"] == pytest.approx(4 / 5)


def test_every_distortion_is_measured_the_same_each_time():
    references = np.stack([photo(seed)[:64, :64] for seed in range(3)])
    options = MetricOptions()
    found = measure(references, ["l2", "psnr"], options, 1)
    assert [curve.distortion for curve in found["l2"].curves] == [atom.name for atom in ATOMS]
    assert found["l2"].monotone > 0.9
    assert found["l2"].srcc == pytest.approx(found["psnr"].srcc)
    again = measure(references, ["l2"], options, 1)["l2"]
    assert again == found["l2"]
