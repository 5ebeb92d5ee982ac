"""What every one of the 328 distortions promises, whatever the image."""

from __future__ import annotations

import numpy as np
import pytest

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import Distortion, Patch, check_distortion
from bapps_gen.distortions.registry import Registry, load_registry
from bapps_gen.seeding import generator

IDS = load_registry().ids
SIZES = ((8, 8), (9, 31), (64, 64), (65, 130))


def images() -> list[Patch]:
    """Random, gray, black and white images of odd sizes, and a view that is not contiguous."""
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    plain = [np.full((*SIZES[1], 3), level, np.uint8) for level in (0, 119, 255)]
    view = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)[3:33:2, 5:50]
    return [*noisy, *plain, view]


def run(members: tuple[Distortion, ...], image: Patch, severity: float) -> Patch:
    for step, member in enumerate(members):
        uniforms = generator(5, step).random(6).tolist()
        image = member.apply(image, member.draw(severity, uniforms), generator(9, step))
    return image


@pytest.mark.parametrize("distortion_id", IDS)
def test_gives_a_new_uint8_image_of_the_same_shape_and_leaves_the_input(
    registry: Registry, distortion_id: str
) -> None:
    members = registry.members(distortion_id)
    for image in images():
        before = image.copy()
        image.flags.writeable = False
        for severity in (0.0, 0.4, 1.0, 2.0):
            out = run(members, image, severity)
            assert out.dtype == np.uint8
            assert out.shape == image.shape
            assert out.flags.c_contiguous
            assert not np.shares_memory(out, image)
        assert np.array_equal(image, before)


@pytest.mark.parametrize("distortion_id", IDS)
def test_the_same_parameters_and_seed_give_the_same_bytes(
    registry: Registry, distortion_id: str, photos: list[Patch]
) -> None:
    members = registry.members(distortion_id)
    first = run(members, photos[1], 0.7)
    run(members, photos[2], 0.7)
    assert np.array_equal(first, run(members, photos[1], 0.7))
    assert not np.array_equal(first, photos[1])


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)
def test_a_view_gives_what_its_copy_gives(atom: Distortion) -> None:
    whole = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    view = whole[::-1, 20:110:2]
    params = atom.draw(0.6, [0.3] * 6)
    copied = atom.apply(view.copy(), params, generator(3))
    assert np.array_equal(atom.apply(view, params, generator(3)), copied)


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)
def test_another_kind_of_generator_works_too(atom: Distortion, photos: list[Patch]) -> None:
    params = atom.draw(0.6, [0.3] * 6)
    for bits in (np.random.PCG64(1), np.random.MT19937(1), np.random.SFC64(1)):
        out = atom.apply(photos[0], params, np.random.Generator(bits))
        assert out.shape == photos[0].shape
        assert not np.array_equal(out, photos[0])


def test_there_are_20_well_formed_atoms_in_the_order_of_the_table(registry: Registry) -> None:
    families = [atom.family for atom in ATOMS]
    assert families == (
        ["photometric"] * 4 + ["noise"] * 6 + ["blur"] * 2 + ["spatial"] * 7 + ["compression"]
    )
    for atom in ATOMS:
        check_distortion(atom)
    assert [atom.name for atom in ATOMS if not atom.has_identity] == ["jpeg"]
    assert registry.ids[:20] == tuple(atom.name for atom in ATOMS)
    assert len(set(registry.ids)) == 328
