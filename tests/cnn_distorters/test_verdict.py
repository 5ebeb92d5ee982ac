"""The rules by which distorters are of no use."""

from __future__ import annotations

import numpy as np
import pytest

from bapps_gen.cnn_distorters.color_shift import ColorShift
from bapps_gen.cnn_distorters.verdict import (
    VERDICTS,
    ZooLimits,
    classify,
    collapse_of,
    find_twins,
)
from bapps_gen.errors import UserError


@pytest.mark.parametrize(
    ("distances", "variation", "verdict"),
    [
        ([0.0, 0.009, 0.5], 20.0, "identity"),
        ([0.0, 0.009, 0.5], 0.5, "identity"),
        ([0.0, 0.011, 0.5], 20.0, "ok"),
        ([0.7, 0.8, 0.89], 20.0, "ok"),
        ([0.7, 0.8, 0.89], 0.5, "collapsed"),
        ([0.5, 0.7, 1.3], 20.0, "ruin"),
    ],
)
def test_identities_ruins_and_constants_are_called_so(distances, variation, verdict):
    assert classify(np.array(distances), variation) == verdict
    assert verdict in VERDICTS


def test_limits_move_the_verdict():
    assert classify(np.array([0.3]), limits=ZooLimits(ruin=0.2)) == "ruin"
    assert classify(np.array([0.3]), limits=ZooLimits(identity=0.4)) == "identity"


def test_off_color_networks_are_called_so():
    dim = ColorShift({"dark": 0.3, "middle": -2.0, "light": -12.0}, 1.0)
    tinted = ColorShift({"middle": 1.0}, 9.0)
    distances = np.array([0.3])
    assert classify(distances, shift=dim) == "off-color"
    assert classify(distances, shift=dim, keeps_color=False) == "off-color"
    assert classify(distances, shift=tinted) == "off-color"
    assert classify(distances, shift=tinted, keeps_color=False) == "ok"
    assert classify(distances, shift=dim, limits=ZooLimits(shift=15)) == "ok"
    assert "off-color" in VERDICTS


def test_constant_outputs_have_collapsed():
    noise = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    assert collapse_of(noise) is None
    assert collapse_of(np.repeat(noise[:1], 3, 0)) == "the same for every patch"
    assert collapse_of(noise[:, :1, :1].repeat(8, 1).repeat(8, 2)) == "flat"


def test_twins_lie_close_in_absolute_and_relative_terms():
    between = np.array([0.009, 0.009, 0.02, 0.02, 0.0])
    own = np.array([0.12, 0.012, 0.12, 0.05, 0.0])
    same, near = find_twins(between, own)
    assert same.tolist() == [True, False, False, False, True]
    assert near.tolist() == [False, False, True, False, False]


def test_a_limit_outside_its_range_is_refused():
    with pytest.raises(UserError, match="ruin = -1"):
        ZooLimits(ruin=-1)
