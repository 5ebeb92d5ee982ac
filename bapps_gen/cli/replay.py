"""`bapps-gen replay`: a dataset made again from a recipe and the photos."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bapps_gen.cli.options import (
    add_source,
    add_workers,
    open_source_with_bar,
    progress_bar,
    workers_of,
)
from bapps_gen.cli.traditional import print_resume, summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="folder of a recipe or dataset")
    add_source(parser, "where the recipe says its photos were")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("triplets"),
        metavar="DIR",
        help="folder to make or to go on with (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="take pixels that differ from the recipe's hashes and count them",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Replay."""
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.recorded import find_recorded
    from bapps_gen.pipelines.replay import check_recipe, replay

    workers = workers_of(options)
    recipe = open_dataset(options.recipe)
    check_recipe(recipe)
    roots = options.source or list(recipe.info.source_roots)
    source = find_recorded(recipe.info.source_images, open_source_with_bar(roots, options.quiet))
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, "replay", "triplets") as progress:
            report = replay(
                recipe,
                options.out,
                source,
                workers,
                allow_different=options.allow_different,
                progress=progress,
            )
    except KeyboardInterrupt:
        print_resume(options.out)
        raise
    if not options.quiet:
        print(summary(report, options.out, recipe.info.shards, time.monotonic() - began))
    return 0
