"""Severity: exactly nothing at 0, never weaker when it rises, always within allowed values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bapps_gen.checks import MAX_SEVERITY
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import (
    MILD_SEVERITY,
    Distortion,
    Patch,
    RandomParameter,
    SeverityParameter,
    check_distortion,
)
from bapps_gen.errors import UserError
from bapps_gen.seeding import MAX_SEED, generator

UNIFORM = st.floats(0, 1, exclude_max=True)
UNIFORMS = st.lists(UNIFORM, min_size=6, max_size=6)
SEEDS = st.integers(0, MAX_SEED)
IMAGES = arrays(np.uint8, st.tuples(st.integers(8, 24), st.integers(8, 24), st.just(3)))

every_atom = pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)


@pytest.mark.parametrize(
    "atom", [atom for atom in ATOMS if atom.has_identity], ids=lambda atom: atom.name
)
@settings(max_examples=15)
@given(image=IMAGES, uniforms=UNIFORMS, seed=SEEDS)
def test_severity_0_returns_the_image_exactly(
    atom: Distortion, image: Patch, uniforms: list[float], seed: int
) -> None:
    out = atom.apply(image, atom.draw(0.0, uniforms), generator(seed))
    assert np.array_equal(out, image)


@every_atom
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uniforms=UNIFORMS, seed=SEEDS)
def test_more_severity_never_changes_less(
    atom: Distortion, photos: list[Patch], uniforms: list[float], seed: int
) -> None:
    means = []
    for severity in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0):
        params = atom.draw(severity, uniforms)
        differences = [
            np.abs(atom.apply(photo, params, generator(seed, index)).astype(int) - photo).mean()
            for index, photo in enumerate(photos)
        ]
        means.append(float(np.mean(differences)))
    # Photos repeat themselves a little, so a displacement may gain nothing over a short way.
    assert all(later >= 0.99 * earlier for earlier, later in itertools.pairwise(means[:6]))
    assert means[5] > 1.5 * means[1] > 0
    # Beyond 1 a place may be as far from its neighbors as it can be.
    assert all(later >= 0.95 * earlier for earlier, later in itertools.pairwise(means[5:]))


@every_atom
@settings(max_examples=50)
@given(severity=st.floats(0, MAX_SEVERITY), uniforms=UNIFORMS)
def test_drawn_values_are_always_allowed(
    atom: Distortion, severity: float, uniforms: list[float]
) -> None:
    drawn = atom.draw(severity, uniforms)
    assert atom.complete(drawn) == drawn


@every_atom
def test_the_mild_end_is_at_severity_a_fifth_and_the_strong_end_at_1(atom: Distortion) -> None:
    scaled = [
        parameter for parameter in atom.parameters if isinstance(parameter, SeverityParameter)
    ]
    assert scaled
    for parameter in scaled:
        for branch, (mild, strong) in enumerate(parameter.range):
            uniform = (branch + 0.5) / len(parameter.range)
            assert parameter.at(0.0, uniform) == parameter.identity
            assert parameter.at(MILD_SEVERITY, uniform) == pytest.approx(mild)
            assert parameter.at(1.0, uniform) == pytest.approx(strong)


@every_atom
@settings(max_examples=30)
@given(uniforms=UNIFORMS, severities=st.tuples(*[st.floats(0, MAX_SEVERITY)] * 2))
def test_parameters_only_leave_the_identity_as_severity_rises_to_2(
    atom: Distortion, uniforms: list[float], severities: tuple[float, float]
) -> None:
    less, more = sorted(severities)
    for parameter, uniform in zip(atom.parameters, uniforms, strict=False):
        if isinstance(parameter, SeverityParameter):
            near, far = (abs(parameter.at(s, uniform) - parameter.identity) for s in (less, more))
            assert near <= far


def test_severity_above_1_goes_on_by_the_same_power_and_stops_at_what_is_allowed() -> None:
    parameter = SeverityParameter("x", "", 0.0, ((1.0, 5.0), (-1.0, -5.0)), (-5.5, 100.0), "")
    assert parameter.at(2.0, 0.0) == pytest.approx(10.0)
    assert parameter.at(1.05, 0.9) == pytest.approx(-5.25)
    assert parameter.at(2.0, 0.9) == -5.5


@every_atom
def test_defaults_are_allowed_and_do_something(atom: Distortion, photos: list[Patch]) -> None:
    params = atom.complete({})
    assert not np.array_equal(atom.apply(photos[0], params, generator(0)), photos[0])


@every_atom
def test_every_parameter_says_its_unit_and_meaning(atom: Distortion) -> None:
    for parameter in atom.parameters:
        assert parameter.summary
        low, high = parameter.allowed
        assert low < high


def test_values_outside_the_allowed_range_are_refused_with_the_range() -> None:
    blur = next(atom for atom in ATOMS if atom.name == "gaussian_blur")
    for value in (-1.0, 1e9, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"gaussian_blur:sigma = .* from 0 to 100 \(px\)"):
            blur.complete({"sigma": value})
    with pytest.raises(UserError, match="gaussian_blur has no parameter 'radius'; it has sigma"):
        blur.complete({"radius": 2})
    jpeg = next(atom for atom in ATOMS if atom.name == "jpeg")
    with pytest.raises(UserError, match=r"quality = 20.5 .* a whole number from 1 to 100"):
        jpeg.complete({"quality": 20.5})
    with pytest.raises(UserError, match=r"subsampling = 411 .* one of 444, 422, 420"):
        jpeg.complete({"subsampling": 411})


@pytest.mark.parametrize(
    ("ends", "allowed"),
    [(((2.0, 1.0),), (0, 9)), (((0.0, 1.0),), (0, 9)), (((1.0, 2.0),), (0, 1.5)), ((), (0, 9))],
)
def test_ends_in_the_wrong_order_or_range_are_refused(
    ends: tuple[tuple[float, float], ...], allowed: tuple[float, float]
) -> None:
    with pytest.raises(UserError, match="parameter x: "):
        SeverityParameter(name="x", unit="", identity=0.0, range=ends, allowed=allowed, summary="")


def test_a_free_parameter_cannot_draw_what_it_does_not_allow() -> None:
    with pytest.raises(UserError, match="parameter x: 2 lies outside"):
        RandomParameter(name="x", unit="", default=0.5, allowed=(0, 1), summary="", range=(0, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Blur!"}, "name 'Blur!' is not allowed"),
        ({"name": 3}, "name 3 is not allowed"),
        ({"version": 0}, "version = 0 is not allowed"),
        ({"version": "1"}, "version is of type str"),
        ({"parameters": []}, "parameters is of type list"),
        ({"parameters": ("sigma",)}, "must be a SeverityParameter or a RandomParameter"),
        ({"function": None}, "cannot be called"),
    ],
)
def test_a_malformed_record_is_refused(changes: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {
        "name": "mine",
        "version": 1,
        "family": "own",
        "summary": "",
        "parameters": (),
        "function": lambda patch, params, rng: patch.copy(),
    }
    record = Distortion(**(fields | changes))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        check_distortion(record)


@pytest.mark.parametrize(
    "names", [("a", "a"), ("severity",), ("seed",), ("a b",), tuple("abcdefg")]
)
def test_parameter_names_that_would_confuse_a_manifest_are_refused(names: tuple[str, ...]) -> None:
    parameters = tuple(
        RandomParameter(name=name, unit="", default=0.0, allowed=(0, 1), summary="")
        for name in names
    )
    record = Distortion("mine", 1, "own", "", parameters, lambda patch, params, rng: patch.copy())
    with pytest.raises(UserError, match="mine: "):
        check_distortion(record)
