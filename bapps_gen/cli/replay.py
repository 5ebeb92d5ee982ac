"""`bapps-gen replay`: a dataset or a collection made again from recipes and the photos."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from bapps_gen.cli._make import summary
from bapps_gen.cli._options import (
    add_check,
    add_options,
    add_out,
    add_plugins,
    add_source,
    add_workers,
    image_opener,
    print_resume,
    progress_bar,
    values_of,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.pipelines.datasets.request import Request
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
    add_source(parser, "where sources.local.json says they were")
    add_options(
        parser,
        Request,
        *("outputs", "zoo"),
        outputs={
            "help": "where the outputs of an algorithm are now, in a set from real algorithms",
            "default_text": "where sources.local.json says they were",
        },
        zoo={"default_text": "where sources.local.json says it was, if there are CNN distorters"},
    )
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
    from bapps_gen.pipelines.datasets.kinds import kind_of
    from bapps_gen.pipelines.datasets.replay import check_recipe, replay
    from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo, with_plugins

    workers, outputs = workers_of(options), dict(values_of(options, Request).get("outputs", ()))
    check_writable(options.out)
    collection = find_collection(options.recipe)
    if collection is not None:
        if outputs:
            raise UserError("--outputs is for one set of a collection; name its folder")
        return _replay_collection(collection, options, workers)
    recipe = open_dataset(options.recipe)
    recipe = replace(recipe, info=with_plugins(recipe.info, options.plugins))
    zoo = open_dataset_zoo(recipe.info, options.zoo)
    check_recipe(recipe, zoo)
    opener = image_opener(options.quiet)
    source = kind_of(recipe.info).relocate_images(recipe, options.source, outputs, opener)
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, "replay", recipe.info.unit) as progress:
            report = replay(
                recipe,
                options.out,
                source,
                workers,
                allow_different=options.allow_different,
                progress=progress,
                zoo=zoo,
                check=options.check,
            )
    except KeyboardInterrupt:
        print_resume("whole shards", options.out)
        raise
    if not options.quiet:
        print(summary(report, options.out, recipe.info, time.monotonic() - began))
    return 0


def _replay_collection(recipes: Collection, options: argparse.Namespace, workers: Workers) -> int:
    from bapps_gen.pipelines.collections.convert import replay_collection

    out = local_path(str(options.out))
    try:
        with progress_bar(options.quiet, "replay", "rows") as progress:
            made = replay_collection(
                recipes,
                out,
                options.source,
                image_opener(options.quiet),
                workers,
                zoo=options.zoo,
                plugins=options.plugins,
                allow_different=options.allow_different,
                progress=progress,
                check=options.check,
            )
    except KeyboardInterrupt:
        print_resume("whole shards", out)
        raise
    if not options.quiet:
        print(f"{len(made.datasets())} sets in {out}")
    return 0
