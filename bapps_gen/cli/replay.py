"""`bapps-gen replay`: a dataset or a collection made again from recipes and the photos."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._make import add_whereabouts, summary, whereabouts
from bapps_gen.cli._options import (
    add_check,
    add_out,
    add_plugins,
    add_workers,
    progress_bar,
    resumable,
    workers_of,
)
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.manifests.collection import Collection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "recipe",
        type=location_of,
        metavar="RECIPE",
        help="folder or URL of a recipe or dataset, or folder of a collection of them",
    )
    add_whereabouts(parser)
    add_out(parser)
    add_check(parser)
    add_plugins(parser)
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="accept pixels that differ from the recipe's hashes, and count them",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Replay."""
    from bapps_gen.api._arguments import check_writable
    from bapps_gen.manifests.collection import find_collection
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.again import replay_dataset

    workers = workers_of(options)
    check_writable(options.out)
    collection = find_collection(options.recipe)
    if collection is not None:
        return _replay_collection(collection, options, workers)
    recipe = open_dataset(options.recipe)
    began = time.monotonic()
    with resumable("whole shards", options.out):
        report = replay_dataset(
            recipe,
            options.out,
            whereabouts(options),
            workers,
            partial(progress_bar, options.quiet),
            allow_different=options.allow_different,
            check=options.check,
        )
    if not options.quiet:
        print(summary(report, options.out, recipe.info, time.monotonic() - began))
    return 0


def _replay_collection(recipes: Collection, options: argparse.Namespace, workers: Workers) -> int:
    from bapps_gen.pipelines.collections.convert import replay_collection

    out = local_path(str(options.out))
    with resumable("whole shards", out), progress_bar(options.quiet, "replay", "rows") as progress:
        made = replay_collection(
            recipes,
            out,
            whereabouts(options),
            workers,
            allow_different=options.allow_different,
            progress=progress,
            check=options.check,
        )
    if not options.quiet:
        print(f"{len(made.datasets())} sets in {out}")
    return 0
