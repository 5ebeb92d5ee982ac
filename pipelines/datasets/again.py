"""Datasets made again from what they were made from, wherever that is now."""

from __future__ import annotations

from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.datasets.generate import GenerateReport
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.replay import check_recipe, replay
from bapps_gen.pipelines.datasets.verify import VerifyReport, verify
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.storage.locations import Location


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
    images = kind_of(recipe.info).relocate_images(recipe, where)
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
        images = kind_of(dataset.info).relocate_images(dataset, where)
    with progress("verify", "rows") as report:
        return verify(dataset, images, workers, report, zoo=zoo, tolerance=tolerance)
