"""The plan: all randomness of a row, drawn in one call from (kind, seed, row)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bapps_gen.cnn_distorters.as_distortions import cnn_name, with_planned
from bapps_gen.distortions.definition import MAX_PARAMETERS, Parameter
from bapps_gen.distortions.lengths import Draw, scaled_draw
from bapps_gen.distortions.registry import Registry, load_registry
from bapps_gen.errors import UserError
from bapps_gen.manifests.rows import PATCH_SIZE, Step
from bapps_gen.pipelines.rows.crops import (
    CROP_WORDS,
    CROPS_TRIED,
    CropDraw,
    CropPlanner,
    crops_of,
    uniform_numbers,
)
from bapps_gen.pipelines.rows.spec import TripletSpec
from bapps_gen.seeding import SLOT_ROW

MAX_STEPS = 2
"""Steps a side (paper, section 2.1: distortions are composed in pairs)."""

_STEP_WORDS = 2 + MAX_PARAMETERS  # noise seed, severity, parameters
_FIRST_CROP = 4  # after the words that choose the two distortions
_FIRST_STEP = _FIRST_CROP + CROPS_TRIED * CROP_WORDS
_END_STEP = _FIRST_STEP + 2 * MAX_STEPS * _STEP_WORDS
_CNN_WORDS = 4  # form and order of a mixed row, and its two CNN distorters; after all else

FOLDING_PARAMETER = "folding"
"""The parameter of warps that `TripletSpec.folding` sets."""

LEAST_SHARE = 0.25
"""The least share of a pair's severity that either of two steps has (own choice)."""


@dataclass(frozen=True, slots=True)
class TripletPlan:
    """What is drawn for one row.

    Args:
        row: row index.
        image: index of the image in the source.
        crops: in the order to try, should one be flat or hide every difference.
        sides: the steps of p0, and of p1 in a triplet.
    """

    row: int
    image: int
    crops: tuple[CropDraw, ...]
    sides: tuple[tuple[Step, ...], ...]


class Planner(CropPlanner):
    """Plans rows of one spec. Rows may be planned in any order: `row(i)` is pure.

    What the two sides of a row are, where p0 and p1 always differ (the paper names the kinds of
    sets, tables 2 and 3, and not how they are drawn; the mixed rule is our own):

    - traditional: two of the spec's choices, sampled uniformly or by the share of singles.
    - CNN: two of the spec's distorters, sampled uniformly.
    - mixed: with probability `1 - sequences`, one CNN distorter against one traditional
      distortion, each sampled as in the two other kinds, in either order with equal probability.
      Otherwise two CNN distorters, each followed by one atom, all sampled uniformly, so that the
      two sides of a triplet are about equally strong.

    A JND pair has one side, sampled like p0 of a traditional or a CNN triplet: the paper shows "a
    randomly distorted image" (section 2.2). Near the threshold of noticing, which is our own
    addition, a pair has one severity, sampled uniformly. A single distortion has all of it. Two
    share it, the first having a quarter to three quarters, since the effects of two add up
    (measured in explanation/jnd.md). A CNN distorter has a strength that follows from its
    severity; otherwise it distorts as it was trained.

    Raises:
        UserError: when the registry has other versions of the atoms than the spec.
    """

    def __init__(self, spec: TripletSpec, registry: Registry) -> None:
        super().__init__(
            spec.kind,
            spec.seed,
            spec.images,
            spec.crop_sizes,
            spec.min_contrast,
            spec.rows_per_image,
            spec.patch_size,
        )
        self.spec = spec
        factor = 1.0 if spec.fixed_px else spec.patch_size / PATCH_SIZE
        self._cnn = _Pool(cnn_name(name) for name, _ in spec.distorters)
        # Unpacked once for the inner loop: name, version, and how to draw each parameter.
        self._members: dict[str, _Members] = {
            choice: tuple(
                (
                    atom.name,
                    atom.version,
                    tuple((part.name, self._draw(part, factor)) for part in atom.parameters),
                )
                for atom in registry.members(choice)
            )
            for choice in (*spec.choices, *self._cnn.ids)
        }
        for name, version in spec.versions:
            check_version(name, registry.atom(name).version, version)
        self._all = _Pool(spec.choices)
        self._singles = _Pool(choice for choice in spec.choices if "+" not in choice)
        self._compositions = _Pool(choice for choice in spec.choices if "+" in choice)
        self._words = _END_STEP + (_CNN_WORDS if spec.distorters else 0)

    def _draw(self, parameter: Parameter, factor: float) -> Draw:
        folds = self.spec.folding and parameter.name == FOLDING_PARAMETER
        return _allow_folding if folds else scaled_draw(parameter, factor)

    def row(self, row: int) -> TripletPlan:
        """The plan of a row ≥ 0."""
        words = self._streams.words(self._seed, row, SLOT_ROW, self._words)
        uniform = uniform_numbers(words)
        seeds: list[int] = (words[_FIRST_STEP:_END_STEP:_STEP_WORDS] >> np.uint64(1)).tolist()

        crops = crops_of(self.sizes, uniform[_FIRST_CROP:_FIRST_STEP])
        sides = [
            self._steps(members, uniform, seeds, side * MAX_STEPS)
            for side, members in enumerate(self._sides(uniform))
        ]
        return TripletPlan(row, self.image(row), crops, tuple(sides))

    def _sides(self, uniform: list[float]) -> tuple[_Members, ...]:
        """What p0, and p1 in a triplet, are made with."""
        members = self._members
        if not self._cnn.ids:
            first = self._traditional(uniform[0]).draw(uniform[2])
            if self.spec.is_jnd:
                return (members[first],)
            second = self._traditional(uniform[1]).draw(uniform[3], first)
            return members[first], members[second]
        form, order, one, other = uniform[_END_STEP:]
        first = self._cnn.draw(one)
        if self.spec.is_jnd:
            return (members[first],)
        second = self._cnn.draw(other, first)
        if self.spec.sequences is None:
            return members[first], members[second]
        if form < self.spec.sequences:
            return (
                members[first] + members[self._singles.draw(uniform[2])],
                members[second] + members[self._singles.draw(uniform[3])],
            )
        against = self._traditional(uniform[0]).draw(uniform[2])
        sides = members[first], members[against]
        return sides if order < 0.5 else sides[::-1]

    def _traditional(self, category: float) -> _Pool:
        if self.spec.singles is None:
            return self._all
        return self._singles if category < self.spec.singles else self._compositions

    def _steps(
        self, members: _Members, uniform: list[float], seeds: list[int], slot: int
    ) -> tuple[Step, ...]:
        word = _FIRST_STEP + slot * _STEP_WORDS
        severities = self._severities(uniform[word + 1 :: _STEP_WORDS], len(members))
        steps = []
        for (name, version, parameters), severity in zip(members, severities, strict=True):
            if name in self._cnn.indices and not self.spec.near_threshold:
                # as trained: nothing to draw but the noise
                steps.append(Step(name, version, (), seeds[slot], None))
            else:
                params = tuple(
                    (key, at(severity, uniform[number]))
                    for number, (key, at) in enumerate(parameters, word + 2)
                )
                steps.append(Step(name, version, params, seeds[slot], severity))
            slot += 1
            word += _STEP_WORDS
        return tuple(steps)

    def _severities(self, uniform: list[float], count: int) -> list[float]:
        """The severities of one side's steps, from a uniform number for each."""
        low, high = self.spec.severity
        if self.spec.near_threshold and count == MAX_STEPS:
            severity = low + (high - low) * uniform[0]
            share = LEAST_SHARE + (1 - 2 * LEAST_SHARE) * uniform[1]
            return [severity * share, severity * (1 - share)]
        return [low + (high - low) * number for number in uniform[:count]]


def check_version(name: str, here: int, made_with: int, what: str = "bapps-gen or plugin") -> None:
    """Raise UserError unless a distortion is of the version that a dataset was made with.

    Args:
        name: of the distortion.
        here, made_with: its versions.
        what: has another version of it.
    """
    if here != made_with:
        raise UserError(
            f"{name} is version {here} here, but the dataset was made with version {made_with}; "
            f"use the {what} that made it"
        )


class _Pool:
    """Ids to draw from, and the index of each."""

    __slots__ = ("ids", "indices")

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = tuple(ids)
        self.indices = {name: index for index, name in enumerate(self.ids)}

    def draw(self, uniform: float, taken: str | None = None) -> str:
        """One id, other than `taken` where another is to be had."""
        count = len(self.ids)
        skipped = self.indices.get(taken) if taken else None
        if skipped is None or count == 1:
            return self.ids[int(uniform * count)]
        index = int(uniform * (count - 1))
        return self.ids[index + (index >= skipped)]


def _allow_folding(severity: float, uniform: float) -> float:
    return 1.0


_Members = tuple[tuple[str, int, tuple[tuple[str, Draw], ...]], ...]
"""For each step: name, version, and name and draw of each parameter."""


def planning_registry(spec: TripletSpec, plugins: tuple[str, ...] = ()) -> Registry:
    """What a spec's rows can be planned with. Needs no zoo: its distorters cannot be applied."""
    return with_planned(load_registry(plugins), (name for name, _ in spec.distorters))
