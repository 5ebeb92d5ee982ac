"""The record of a demo task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

Algorithm = Callable[[Any], Image]
"""From what a task's `prepare` gives to an output: uint8 (H, W, 3), RGB, of the size of the ground
truth. Pure: never writes into what it gets, and the same input gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One photo made ready for a task.

    Args:
        reference: the ground truth, uint8 (H, W, 3), RGB.
        given: what the algorithms get to see, of a type of the task's own.
    """

    reference: Image
    given: Any


@dataclass(frozen=True, slots=True)
class DemoTask:
    """A task with its algorithms.

    Args:
        least: smallest height and width in px that `prepare` takes; the ground truth then has at
            least 64×64 px.
        colored: whether gray photos cannot be used.
        prepare: makes the scene from a part of a photo, uint8 (H, W, 3); donors, which are other
            photos made small, or the same one where there is no other; and a generator.
        algorithms: by name.
        donors: how many donors it wants at most.
    """

    least: int
    colored: bool
    prepare: Callable[[Image, tuple[Image, ...], np.random.Generator], Scene]
    algorithms: Mapping[str, Algorithm]
    donors: int = 0
