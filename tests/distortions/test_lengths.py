"""Lengths in px grow and shrink with the patch; nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import Distortion, SeverityParameter, check_stored
from bapps_gen.distortions.lengths import is_length, scaled_values
from bapps_gen.distortions.registry import load_registry
from bapps_gen.pipelines.rows.plan import Planner
from bapps_gen.pipelines.rows.spec import TripletSpec, atom_versions

REGISTRY = load_registry()
CHOICES = REGISTRY.ids
SPEC = TripletSpec(
    seed=3,
    images=10,
    source_digest="",
    scale=(0.25, 1.0),
    choices=CHOICES,
    versions=atom_versions(REGISTRY, CHOICES),
)
LENGTHS = {
    f"{atom.name}.{parameter.name}"
    for atom in ATOMS
    for parameter in atom.parameters
    if is_length(parameter)
}


def test_blur_displacements_and_the_spacing_of_control_points_are_lengths():
    assert {
        "gaussian_blur.sigma",
        "bilateral.sigma_space",
        "shift.distance",
        "affine_warp.displacement",
        "homography.displacement",
        "linear_warp.displacement",
        "linear_warp.spacing",
        "cubic_warp.displacement",
        "cubic_warp.spacing",
        "ghosting.distance",
        "chromatic_aberration.displacement",
    } <= LENGTHS


def test_what_belongs_to_the_lattice_of_pixels_is_none():
    assert "checkerboard.period" not in LENGTHS
    assert not any(name.split(".")[0] in ("jpeg", "gaussian_white", "pink") for name in LENGTHS)


@pytest.mark.parametrize("size", [16, 17, 96, 224, 512])
def test_rows_of_another_size_differ_in_lengths_alone(size):
    scaled = Planner(replace(SPEC, patch_size=size), REGISTRY)
    fixed = Planner(replace(SPEC, patch_size=size, fixed_px=True), REGISTRY)
    plain = Planner(SPEC, REGISTRY)
    factor, seen = size / 64, set()
    for row in range(300):
        expected = plain.row(row)
        assert fixed.row(row) == expected
        found = scaled.row(row)
        assert (found.image, found.crops) == (expected.image, expected.crops)
        for steps, others in zip(found.sides, expected.sides, strict=True):
            for step, other in zip(steps, others, strict=True):
                assert replace(step, params=()) == replace(other, params=())
                atom = REGISTRY.atom(step.distortion)
                check_stored(atom, step.params)
                for (name, value), (_, at_64) in zip(step.params, other.params, strict=True):
                    length = f"{step.distortion}.{name}"
                    if length not in LENGTHS:
                        assert value == at_64
                        continue
                    seen.add(length)
                    parameter = next(part for part in atom.parameters if part.name == name)
                    low, high = parameter.allowed
                    wanted = min(high, max(low, at_64 * factor))
                    assert value == (round(wanted) if parameter.integer else wanted)
    assert seen == LENGTHS


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)
@pytest.mark.parametrize("size", [16, 512])
def test_the_strongest_lengths_of_every_atom_may_be_given(atom, size):
    for uniform in (0.0, 0.999):
        values = scaled_values(atom, 1.0, [uniform] * len(atom.parameters), size / 64)
        assert atom.complete(values) == values
        plain = atom.draw(1.0, [uniform] * len(atom.parameters))
        for parameter in atom.parameters:
            if is_length(parameter):
                exact = plain[parameter.name] * size / 64
                assert values[parameter.name] == (round(exact) if parameter.integer else exact)


def test_lengths_stay_within_what_a_users_own_distortion_allows():
    reach = SeverityParameter("reach", "px", 0.0, ((1.0, 8.0),), (0.0, 10.0), "how far")
    own = Distortion("own", 1, "own", "", (reach,), lambda patch, params, rng: patch.copy())
    assert scaled_values(own, 1.0, [0.0], 1.25) == {"reach": 10.0}
    assert scaled_values(own, 1.0, [0.0], 8.0) == {"reach": 10.0}
    assert scaled_values(own, 1.0, [0.0], 0.25) == {"reach": 2.0}
