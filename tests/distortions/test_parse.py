"""Distortions as users write them on the command line."""

from __future__ import annotations

import numpy as np
import pytest

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import Registry
from bapps_gen.distortions.steps import parse_step
from bapps_gen.errors import UserError


def test_parameters_are_read_by_name(registry: Registry) -> None:
    step = parse_step("jpeg:quality=20,subsampling=444", registry)
    assert step.distortion.name == "jpeg"
    assert step.params == {"quality": 20.0, "subsampling": 444.0}
    assert step.severity is None


def test_a_bare_name_takes_the_defaults(registry: Registry) -> None:
    step = parse_step("gaussian_blur", registry, seed=4)
    assert step.params == registry.atom("gaussian_blur").complete({})
    assert step.seed == 4


def test_severity_sets_scaled_parameters_and_the_seed_draws_the_others(
    registry: Registry,
) -> None:
    first = parse_step("shift:severity=1", registry, seed=1)
    again = parse_step("shift:severity=1,seed=1", registry, seed=9)
    other = parse_step("shift:severity=1", registry, seed=2)
    assert first == again
    assert first.severity == 1.0
    assert first.params["distance"] == other.params["distance"] == 18.0
    assert first.params["angle"] != other.params["angle"]


def test_a_given_value_wins_over_the_draw(registry: Registry) -> None:
    step = parse_step("jpeg:severity=0.5,subsampling=422", registry)
    assert step.params["subsampling"] == 422.0
    assert step.severity == 0.5


def test_a_step_applies_the_same_way_each_time(registry: Registry, photos: list[Patch]) -> None:
    step = parse_step("gaussian_white:sigma=0.1,seed=3", registry)
    assert np.array_equal(step.apply(photos[0]), step.apply(photos[0]))
    assert not np.array_equal(step.apply(photos[0]), photos[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian_blur:sigma=2", "unknown distortion 'gausian_blur'; did you mean 'gaussian_blur'"),
        ("gaussian_blur:radius=2", "has no parameter 'radius'; it has sigma"),
        ("gaussian_blur:sigma=-2", "gaussian_blur:sigma = -2 is not allowed"),
        ("gaussian_blur:sigma=wide", "gaussian_blur:sigma = wide is not allowed"),
        ("gaussian_blur:sigma=nan", "gaussian_blur:sigma = nan is not allowed"),
        ("gaussian_blur:sigma", "'sigma' in .* is not of the form name=value"),
        ("gaussian_blur:", "has nothing after the colon"),
        ("gaussian_blur:sigma=1,", "is not of the form name=value"),
        ("gaussian_blur:sigma=1,sigma=2", "'sigma' is given twice"),
        ("gaussian_blur:severity=2.5", "severity = 2.5 is not allowed: .* from 0 to 2"),
        ("gaussian_blur:severity=.5,severity=.6", "'severity' is given twice"),
        ("gaussian_blur:seed=-1", "seed = -1 is not allowed"),
        ("gaussian_blur:seed=1.5", "seed = 1.5 is not allowed"),
        ("gaussian_blur:seed=1,seed=2", "'seed' is given twice"),
        ("jpeg:severity=0.5,quality=0", "jpeg:quality = 0 is not allowed"),
        ("gaussian_blur+jpeg", "--with gaussian_blur --with jpeg"),
        ("", "unknown distortion ''"),
    ],
)
def test_a_mistake_is_named_on_one_line(registry: Registry, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_step(text, registry)
    assert "\n" not in str(caught.value)
