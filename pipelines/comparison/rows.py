"""Judged rows of one task, of one set or several together, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import Keys, mixed
from bapps_gen.pipelines.comparison.breakdown import (
    Mask,
    distortion_masks,
    family_masks,
    severity_masks,
)
from bapps_gen.pipelines.comparison.calibration import FOLDS
from bapps_gen.pipelines.comparison.psychometric import finite_values, margins
from bapps_gen.pipelines.scoring.evaluate import resampling_keys
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.sides import Sides, judged_sides


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of sets of one task, one set after another; arrays are (N,).

    Args:
        task: "2afc" or "jnd".
        sets: that they are of.
        part: index of each row's set.
        index: of each row among those of its set.
        chosen: share of votes for p1; of pairs, for "different".
        votes: numbers of votes, 1 where they are unknown.
        counted: whether all numbers of votes are known.
        distances: (d0, d1) by metric, or (d0,) of pairs, as they are.
        keys: by which rows are resampled together.
        folds: for cross-fitting; rows of one photo are in one.
        distortions, families, severities: rows with each, by name; empty where unknown.
        simulated: whether any votes came from simulated observers.
        sides: of each set, how its rows were distorted, None where unknown.
    """

    task: str
    sets: tuple[Judged, ...]
    part: NDArray[np.intp]
    index: NDArray[np.intp]
    chosen: Values
    votes: Values
    counted: bool
    distances: Mapping[str, tuple[Values, ...]]
    keys: Keys
    folds: NDArray[np.intp]
    distortions: Mapping[str, Mask]
    families: Mapping[str, Mask]
    severities: Mapping[str, Mask]
    simulated: bool
    sides: tuple[Sides | None, ...] = ()

    @property
    def judgment(self) -> Values:
        """Share of votes as sets have it: for p1, or for "same"."""
        return self.chosen if self.task == "2afc" else 1 - self.chosen

    def axis(self, metric: str) -> Values:
        """What choices are explained by, finite, (N,): d0 − d1, or d0 of pairs."""
        distances = self.distances[metric]
        return margins(*distances) if len(distances) == 2 else finite_values(distances[0])

    def number(self, row: int) -> int:
        """The number of a row in its set, from 0."""
        return int(self.sets[self.part[row]].index[self.index[row]])

    def distorted_by(self, row: int) -> tuple[str, ...]:
        """The distortions of a row's sides, such as "gaussian_blur+jpeg"; "" where unknown."""
        sides = self.sides[self.part[row]]
        if sides is None:
            return ("",) * (2 if self.task == "2afc" else 1)
        return tuple((*sides.names, "")[choice] for choice in sides.choice[self.index[row]])


def rows_of(
    task: str, judged: Sequence[Judged], metrics: Sequence[str] | None = None
) -> Rows | None:
    """The rows of the sets of a task; None where there is none.

    Args:
        task: "2afc" or "jnd".
        judged: sets of any task.
        metrics: names in the order wanted; None for those of the first set.

    Raises:
        WorkError: when a shard is missing or damaged.
    """
    sets = tuple(entry for entry in judged if entry.task == task)
    if not sets:
        return None
    sizes = [len(entry.judgment) for entry in sets]
    judgment = np.concatenate([entry.judgment for entry in sets])
    counts = [
        np.full(size, np.nan) if entry.counts is None else entry.counts
        for entry, size in zip(sets, sizes, strict=True)
    ]
    votes = np.concatenate(counts)
    sides = [judged_sides(entry) for entry in sets]
    keys = np.concatenate([resampling_keys(entry)[0] for entry in sets])
    metrics = list(sets[0].distances) if metrics is None else metrics
    return Rows(
        task,
        sets,
        np.repeat(np.arange(len(sets)), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        judgment if task == "2afc" else 1 - judgment,
        np.where(np.isnan(votes), 1.0, votes),
        not bool(np.isnan(votes).any()),
        {
            name: tuple(
                np.concatenate(parts)
                for parts in zip(*(entry.distances[name] for entry in sets), strict=True)
            )
            for name in metrics
        },
        keys,
        # By a hash of the photo, or of the row where photos are unknown or few.
        (mixed(keys) % np.uint64(FOLDS)).astype(np.intp),
        _joined(distortion_masks, sides, sizes),
        _joined(family_masks, sides, sizes),
        _joined(severity_masks, sides, sizes),
        any(entry.simulated for entry in sets),
        tuple(sides),
    )


def _joined(
    masks_of: Callable[[Sides], dict[str, Mask]],
    sides: Sequence[Sides | None],
    sizes: Sequence[int],
) -> dict[str, Mask]:
    """Masks of several sets as masks of all their rows."""
    parts = [{} if each is None else masks_of(each) for each in sides]
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: np.concatenate(
            [part.get(name, np.zeros(size, bool)) for part, size in zip(parts, sizes, strict=True)]
        )
        for name in names
    }
