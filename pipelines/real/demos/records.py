"""The records of a demo task and of its algorithms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm of a task.

    Args:
        run: gives an output, uint8 (H, W, 3), RGB, of the size of the ground truth, from what the
            task's `prepare` gives. Pure: never writes into what it gets, and the same input gives
            the same bytes.
        source: the paper or the library's function that it follows.
    """

    run: Callable[[Any], Image]
    source: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One photo made ready for a task.

    Args:
        reference: the ground truth, uint8 (H, W, 3), RGB.
        given: what the algorithms get to see, of a type of the task's own. Nothing of the ground
            truth that an algorithm of the task could not have is in it.
    """

    reference: Image
    given: Any


@dataclass(frozen=True, slots=True)
class DemoTask:
    """A task with its algorithms.

    Args:
        least: smallest height and width in px that `prepare` takes; the ground truth then has at
            least 64×64 px.
        prepare: makes the scene from a part of a photo, uint8 (H, W, 3); donors, which are other
            photos made small, or the same one where there is no other; and a generator.
        algorithms: by name.
        colored: whether gray photos cannot be used.
        donors: how many donors it wants at most.
        networks: ids of the package's CNN distorters that algorithms use.
    """

    least: int
    prepare: Callable[[Image, tuple[Image, ...], np.random.Generator], Scene]
    algorithms: Mapping[str, Algorithm]
    colored: bool = False
    donors: int = 0
    networks: tuple[str, ...] = ()
