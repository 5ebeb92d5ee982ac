"""CNN distorters as ordinary distortions: "cnn:017" in plans, rows and on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.spec import SPEC_VERSION
from bapps_gen.cnn_distorters.zoo import SHIPPED, ZOO_NAME, Zoo, open_zoo
from bapps_gen.distortions.definition import Distortion, Patch, Scaled
from bapps_gen.distortions.registry import Catalogue, load_catalogue
from bapps_gen.distortions.steps import CNN_PREFIX
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.rows.spec import TripletSpec
from bapps_gen.seeding import seed_of

CNN_FAMILY = "cnn"

STRENGTH = Scaled(
    "strength",
    "",
    0.0,
    ((0.4, 1.0),),
    (0.0, 1.0),
    "share of the way from the input to the network's output; 1 is as trained",
    usual=1.0,
)
"""The parameter of every CNN distorter. Its mild end is our own choice: at 0.4 the median LPIPS
over a zoo's distorters is that of the traditional atoms at severity 0.2, and the two stay together
from 0.1 to 0.4 (docs/jnd.md), so that one range of severities serves both."""


def cnn_name(distorter: str) -> str:
    """The name of the distortion that a distorter of a zoo is, such as "cnn:017"."""
    return CNN_PREFIX + distorter


@dataclass(frozen=True, slots=True)
class ZooFunction:
    """A distorter of a zoo as the function of a `Distortion`.

    The seed of a step is the one that `Zoo.render` takes. With a strength s, a pixel of value x
    becomes x + s·(y − x), rounded, y being the network's 8-bit output: the input at 0, the output
    at 1. It is computed in float64 with one rounding at a time (IEEE 754), equal everywhere.
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
        """Many at once, several times as fast: uint8 (N, H, W, 3), a seed and a strength for each.

        Gives the same bytes as one after another.

        Raises:
            UserError: for a strength outside [0, 1].
        """
        for strength in strengths:
            check_range("strength", strength, 0.0, 1.0)
        rendered = self._render(patches, seeds)
        for place, strength in enumerate(strengths):
            if strength != 1:
                change = rendered[place].astype(np.float64) - patches[place]
                rendered[place] = np.rint(patches[place] + strength * change)
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


def with_zoo(catalogue: Catalogue, zoo: Zoo, distorters: Iterable[str] | None = None) -> Catalogue:
    """A catalogue with the distorters of a zoo, or some of them, under names such as "cnn:017".

    Their one parameter is `STRENGTH`; a step without it distorts as it was trained. Their seed
    feeds the noise of those that are denoisers.

    Raises:
        UserError: for an id that the zoo does not have.
    """
    chosen = zoo.ids if distorters is None else tuple(distorters)
    return _with_records(
        catalogue,
        (_record(name, zoo.spec(name).task, ZooFunction(zoo, name)) for name in chosen),
    )


def planning_catalogue(spec: TripletSpec, plugins: tuple[str, ...] = ()) -> Catalogue:
    """What a spec's rows can be planned with. Needs no zoo: its distorters cannot be applied."""
    return _with_records(
        load_catalogue(plugins),
        (_record(name, "planned only", _no_zoo) for name, _ in spec.distorters),
    )


def _no_zoo(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    raise UserError("a CNN distorter needs its zoo; give --zoo")


def _record(name: str, summary: str, function: Any) -> Distortion:
    return Distortion(
        name=cnn_name(name),
        version=SPEC_VERSION,
        family=CNN_FAMILY,
        summary=summary,
        parameters=(STRENGTH,),
        function=function,
    )


def _with_records(catalogue: Catalogue, records: Iterable[Distortion]) -> Catalogue:
    return Catalogue(
        {**catalogue.atoms, **{record.name: record for record in records}}, catalogue.pairs
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


def zoo_place(zoo: Zoo) -> str | None:
    """Where a zoo is, as `dataset.json` says it: an absolute path, None for the shipped one."""
    return None if zoo.folder == SHIPPED else os.path.abspath(zoo.folder)


def pinned_distorters(info: DatasetInfo) -> tuple[tuple[str, str], ...]:
    """(id, digest) of the CNN distorters that a dataset was made with; none in most kinds."""
    return tuple((str(name), str(digest)) for name, digest in info.spec.get("distorters", ()))


def open_dataset_zoo(info: DatasetInfo, folder: Path | None = None) -> Zoo | None:
    """The zoo that a dataset was made with, or None where it has no CNN distorters.

    Args:
        folder: where the zoo is now; None looks where the dataset says it was.

    Raises:
        UserError: when there is no zoo, or one with other distorters.
        WorkError: when its index is damaged.
    """
    pinned = pinned_distorters(info)
    if not pinned:
        return None
    if folder is None and info.zoo is not None:
        folder = Path(info.zoo)
        if not (folder / ZOO_NAME).exists():
            raise UserError(
                f"the zoo {folder} that the dataset was made with is not there; "
                "give --zoo with the folder that it is in now"
            )
    zoo = open_zoo(folder)
    for name, digest in pinned:
        if name not in zoo.entries:
            what = f"it has no distorter '{name}'"
        elif zoo.digest(name) != digest:
            what = f"its distorter '{name}' has the digest {zoo.digest(name)}, not {digest}"
        else:
            continue
        raise UserError(
            f"{zoo.folder} is not the zoo that the dataset was made with: {what}; "
            "give --zoo with the one that it was made with"
        )
    return zoo


def recipe_files(plugins: Sequence[str], zoo: Zoo | None) -> tuple[str | Path, ...]:
    """Files beside the images that pixels come from: plugins, and the index of a zoo of a user's.

    On a Ray cluster every node has to see them as they are here; see `run_jobs`. The shipped zoo
    is part of the package, and names of entry points are no files anywhere.
    """
    if zoo is None or zoo_place(zoo) is None:
        return tuple(plugins)
    return *plugins, zoo.folder / ZOO_NAME


def dataset_catalogue(info: DatasetInfo, zoo: Zoo | None = None) -> Catalogue:
    """Everything that a dataset's rows are made with.

    Args:
        zoo: of `open_dataset_zoo`; None opens it where the dataset says it was.

    Raises:
        UserError: when a plugin cannot be used, or as `open_dataset_zoo`.
        WorkError: as `open_dataset_zoo`.
    """
    catalogue = load_catalogue(info.plugins)
    zoo = zoo or open_dataset_zoo(info)
    if zoo is None:
        return catalogue
    return with_zoo(catalogue, zoo, (name for name, _ in pinned_distorters(info)))


def worker_catalogue(info: DatasetInfo, zoo: Zoo | None = None) -> Catalogue:
    """As `dataset_catalogue`, with all networks loaded: a damaged file is told before the work.

    Raises:
        WorkError: when a distorter's file is missing or damaged.
    """
    catalogue = dataset_catalogue(info, zoo)
    load_networks(catalogue, (name for name, _ in pinned_distorters(info)))
    return catalogue


def load_networks(catalogue: Catalogue, distorters: Iterable[str]) -> None:
    """Load the networks of a catalogue's distorters, for this process to apply.

    Raises:
        WorkError: when a distorter's file is missing or damaged.
    """
    nothing = np.empty((0, PATCH_SIZE, PATCH_SIZE, 3), np.uint8)
    for name in distorters:
        function = catalogue.atoms[cnn_name(name)].function
        assert isinstance(function, ZooFunction)
        function.many(nothing, (), ())
