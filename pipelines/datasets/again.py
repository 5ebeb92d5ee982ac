"""Datasets made again: what they were made from is found where users say that it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.datasets.generate import GenerateReport
from bapps_gen.pipelines.datasets.kind import Opener, RowImages
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.replay import check_recipe, replay
from bapps_gen.pipelines.datasets.verify import VerifyReport, verify
from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo, with_plugins
from bapps_gen.storage.locations import Location

Made = TypeVar("Made", Dataset, Benchmark)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where things are now that datasets were made from; where nothing is said, where they were.

    Args:
        opener: opens the images at some paths or URLs.
        source: photos, or ground truth.
        outputs: outputs of algorithms, by name.
        zoo: folder of the CNN distorters.
        plugins: files with distortions of plugins, which are run only if they are given.
        of_collection: whether all this is of a collection: its photos are no ground truth of sets
            from real algorithms, and its zoo is for sets with CNN distorters.
    """

    opener: Opener
    source: Sequence[str] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    zoo: Path | None = None
    plugins: Sequence[str] = ()
    of_collection: bool = False

    def with_plugins(self, made: Made) -> Made:
        """A dataset or benchmark whose plugins are the files given; raises as `with_plugins`."""
        info = with_plugins(made.info, self.plugins, is_collection=self.of_collection)
        return replace(made, info=info)

    def open_zoo(self, dataset: Dataset) -> Zoo | None:
        """The zoo of a dataset, None where it has no CNN distorters; see `open_dataset_zoo`."""
        is_for_it = not self.of_collection or kind_of(dataset.info).has_distorters
        return open_dataset_zoo(dataset.info, self.zoo if is_for_it else None)

    def find_images(self, dataset: Dataset) -> RowImages:
        """The images that a dataset was made from; see `Kind.relocate_images`."""
        kind = kind_of(dataset.info)
        source = () if self.of_collection and kind.has_outputs else self.source
        return kind.relocate_images(dataset, source, self.outputs, self.opener)


def replay_dataset(
    recipe: Dataset,
    folder: Location,
    where: Whereabouts,
    workers: Workers,
    progress: ProgressBars,
    *,
    allow_different: bool = False,
    check: str | None = None,
) -> GenerateReport:
    """Make the dataset of a recipe in a folder; see `replay`, and `Whereabouts` for the rest.

    Args:
        progress: opens the bar of the rows.
    """
    recipe = where.with_plugins(recipe)
    zoo = where.open_zoo(recipe)
    check_recipe(recipe, zoo)
    images = where.find_images(recipe)
    with progress("replay", recipe.info.unit) as report:
        return replay(
            recipe,
            folder,
            images,
            workers,
            allow_different=allow_different,
            progress=report,
            zoo=zoo,
            check=check,
        )


def verify_dataset(
    dataset: Dataset,
    where: Whereabouts,
    workers: Workers,
    progress: ProgressBars,
    *,
    tolerance: int = 0,
    stored_only: bool = False,
) -> VerifyReport:
    """Make the rows of a dataset again and compare them; see `verify`.

    Args:
        progress: opens the bar of the rows.
        stored_only: compare what can be compared without making rows again, as of imported sets.
    """
    dataset = where.with_plugins(dataset)
    images = zoo = None
    if kind_of(dataset.info).is_reproducible and not stored_only:
        zoo = where.open_zoo(dataset)
        images = where.find_images(dataset)
    with progress("verify", "rows") as report:
        return verify(dataset, images, workers, report, zoo=zoo, tolerance=tolerance)
