"""Pixels stay what they were under a version; changing them needs a new one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import Distortion
from bapps_gen.seeding import generator


@pytest.fixture(scope="module")
def goldens() -> ModuleType:
    path = Path(__file__).with_name("goldens.py")
    spec = importlib.util.spec_from_file_location("distortion_goldens", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_golden_picture_for_each_atom_at_its_version(goldens: ModuleType) -> None:
    pictures, params = goldens.load()
    versions = {f"{atom.name}@{atom.version}" for atom in ATOMS}
    assert set(pictures) == set(params) == versions, (
        "run python tests/distortions/goldens.py after raising a version"
    )


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)
def test_an_atom_still_makes_its_golden_picture(goldens: ModuleType, atom: Distortion) -> None:
    pictures, params = goldens.load()
    name = f"{atom.name}@{atom.version}"
    assert atom.complete(params[name]) == params[name]
    out = atom.apply(goldens.scene(), params[name], generator(goldens.SEED))
    difference = np.abs(out.astype(int) - pictures[name])
    # Other builds of OpenCV round here and there to the next level; JPEG may differ by more.
    assert difference.mean() < 0.25, f"pixels changed: raise the version of {atom.name}"
    assert np.percentile(difference, 99.5) <= 3
    assert np.abs(pictures[name].astype(int) - goldens.scene()).mean() > 1
