"""CNN distorters as ordinary distortions: "cnn:017" in plans, rows and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.spec import SPEC_VERSION
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.definition import MIN_SIDE, Distortion, Patch, SeverityParameter
from bapps_gen.distortions.registry import Registry
from bapps_gen.distortions.steps import CNN_PREFIX
from bapps_gen.errors import UserError, WorkError
from bapps_gen.seeding import seed_of

CNN_FAMILY = "cnn"

STRENGTH = SeverityParameter(
    "strength",
    "",
    0.0,
    ((0.4, 1.0),),
    (0.0, 1.0),
    "share of the way from the input to the network's output; 1 is as trained",
    default=1.0,
)
"""The parameter of every CNN distorter. Its mild end is our own choice: at 0.4 the median LPIPS
over a zoo's distorters is that of the traditional atoms at severity 0.2, and the two stay together
from 0.1 to 0.4 (explanation/jnd.md), so that one range of severities serves both."""


def cnn_name(distorter: str) -> str:
    """The name of the distortion that a distorter of a zoo is, such as "cnn:017"."""
    return CNN_PREFIX + distorter


@dataclass(frozen=True, slots=True)
class ZooFunction:
    """A distorter of a zoo as the function of a `Distortion`.

    The seed of a step is the one that `Zoo.render` takes. With a strength s, a pixel of value x
    becomes x + s·(y − x), rounded, y being the network's 8-bit output: the input at 0, the output
    at 1. Float64 with one rounding per operation (IEEE 754) gives the same value on every machine.
    """

    zoo: Zoo
    distorter: str

    def __call__(
        self, patch: Patch, params: Mapping[str, float], rng: np.random.Generator
    ) -> Patch:
        """One patch; `params` has the strength, or is empty for 1."""
        strengths = (strength_of(params),)
        rendered: Patch = self.many(patch[None], (seed_of(rng),), strengths)[0]
        return rendered

    def many(
        self,
        patches: NDArray[np.uint8],
        seeds: Sequence[int],
        strengths: Sequence[float],
    ) -> NDArray[np.uint8]:
        """Many patches at once, uint8 (N, H, W, 3), with a seed and a strength for each.

        Several times as fast as one after another, with the same bytes.

        Raises:
            UserError: for a strength outside [0, 1].
        """
        for strength in strengths:
            check_range("strength", strength, 0.0, 1.0)
        rendered = self._render(patches, seeds)
        for index, strength in enumerate(strengths):
            if strength != 1:
                change = rendered[index].astype(np.float64) - patches[index]
                rendered[index] = np.rint(patches[index] + strength * change)
        return rendered

    def _render(self, patches: NDArray[np.uint8], seeds: Sequence[int]) -> NDArray[np.uint8]:
        try:
            return self.zoo.render(self.distorter, patches, seeds)
        except (MemoryError, RuntimeError) as error:
            # torch has no exception of its own for processors that run out of memory
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            height, width = patches.shape[1:3]
            raise WorkError(
                f"too little memory for distorter '{self.distorter}' on {width}×{height} px; "
                "use a smaller image"
            ) from error


def strength_of(params: Mapping[str, float]) -> float:
    """The strength in the parameters of a CNN distorter's step, 1 where it has none."""
    return params.get(STRENGTH.name, 1.0)


def with_zoo(registry: Registry, zoo: Zoo, distorters: Iterable[str] | None = None) -> Registry:
    """A registry with the distorters of a zoo, or some of them, under names such as "cnn:017".

    Their one parameter is `STRENGTH`; a step without it distorts as it was trained. Their seed
    feeds the noise of those that are denoisers.

    Raises:
        UserError: for an id that the zoo does not have.
    """
    chosen = zoo.ids if distorters is None else tuple(distorters)
    return _with_records(
        registry,
        (_record(name, zoo.spec(name).task, ZooFunction(zoo, name)) for name in chosen),
    )


def with_planned(registry: Registry, distorters: Iterable[str]) -> Registry:
    """A registry with CNN distorters that can be planned with, and not applied. Needs no zoo."""
    return _with_records(registry, (_record(name, "planned only", _no_zoo) for name in distorters))


def _no_zoo(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    raise UserError("a CNN distorter needs its zoo; give it with --zoo")


def _record(name: str, summary: str, function: Any) -> Distortion:
    return Distortion(
        name=cnn_name(name),
        version=SPEC_VERSION,
        family=CNN_FAMILY,
        summary=summary,
        parameters=(STRENGTH,),
        function=function,
    )


def _with_records(registry: Registry, records: Iterable[Distortion]) -> Registry:
    return Registry(
        {**registry.atoms, **{record.name: record for record in records}}, registry.compositions
    )


def pin_distorters(zoo: Zoo, distorters: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(id, digest) of distorters, as a spec has them.

    Raises:
        UserError: for an id that the zoo does not have.
    """
    return tuple((name, zoo.digest(name)) for name in distorters)


def distorter_versions(distorters: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """(name, version) of distorters' distortions, by name."""
    return tuple(sorted((cnn_name(name), SPEC_VERSION) for name in distorters))


def load_networks(registry: Registry, distorters: Iterable[str]) -> None:
    """Load the networks of a registry's distorters, for this process to apply.

    Raises:
        WorkError: when a distorter's file is missing or damaged.
    """
    nothing = np.empty((0, MIN_SIDE, MIN_SIDE, 3), np.uint8)
    for name in distorters:
        function = registry.atoms[cnn_name(name)].function
        assert isinstance(function, ZooFunction)
        function.many(nothing, (), ())
