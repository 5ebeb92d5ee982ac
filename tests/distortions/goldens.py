"""The golden pictures: what each version of each atom makes of one synthetic patch.

    python tests/distortions/goldens.py

adds the pictures that are missing and removes those of versions that are gone. A picture that is
there stays as it is: whoever changes pixels raises the version.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import Distortion, Patch
from bapps_gen.seeding import generator

PATH = Path(__file__).with_name("goldens.npz")
SEVERITY = 0.6
UNIFORMS = (0.3, 0.7, 0.4, 0.2, 0.9, 0.6)
SEED = 20180618


def scene() -> Patch:
    """A disc, bars, a gradient and some texture, 48×64, made by whole numbers alone."""
    y, x = np.mgrid[:48, :64]
    image = np.stack((3 * x + 20, 4 * y + 30, 200 - 2 * x), axis=-1)
    image[(x - 20) ** 2 + (y - 24) ** 2 < 150] = (220, 60, 40)
    image[(x // 3 % 2 == 1) & (x > 40) & (y < 24)] = (30, 30, 90)
    image += ((x * 37 + y * 91) % 23 - 11)[..., None] * (y > 30)[..., None]
    return image.clip(0, 255).astype(np.uint8)


def key(atom: Distortion) -> str:
    return f"{atom.name}@{atom.version}"


def load() -> tuple[dict[str, NDArray[np.uint8]], dict[str, dict[str, float]]]:
    """Pictures and parameters, both by name and version."""
    with np.load(PATH) as stored:
        pictures = {name: stored[name] for name in stored.files if name != "params"}
        return pictures, json.loads(str(stored["params"]))


def main() -> None:
    pictures, params = load() if PATH.exists() else ({}, {})
    for atom in ATOMS:
        if key(atom) not in pictures:
            params[key(atom)] = atom.draw(SEVERITY, UNIFORMS)
            pictures[key(atom)] = atom.apply(scene(), params[key(atom)], generator(SEED))
    kept = [key(atom) for atom in ATOMS]
    text = json.dumps({name: params[name] for name in kept})
    np.savez_compressed(PATH, params=np.array(text), **{name: pictures[name] for name in kept})


if __name__ == "__main__":
    main()
