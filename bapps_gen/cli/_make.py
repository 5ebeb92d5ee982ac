"""What the commands that make datasets share: their options, and the making."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_check,
    add_options,
    add_out,
    add_source,
    image_opener,
    open_source_with_bar,
    progress_bar,
    resumable,
    values_of,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.pipelines.datasets.inputs import DatasetPlan, Inputs, demo_folder_of
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.sources.options import SplitOptions
from bapps_gen.storage.locations import Location

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.pipelines.datasets.generate import GenerateReport
    from bapps_gen.pipelines.datasets.whereabouts import Whereabouts

CROPS = ("patch_size", "scale_range", "min_contrast", "rows_per_image")


def add_size(parser: argparse.ArgumentParser, unit: str = "triplets") -> None:
    """Add --n, --out, --seed and --shard-size."""
    add_options(parser, Request, "rows", rows={"help": f"number of {unit}"})
    add_out(parser, unit)
    add_options(parser, Request, "seed")
    add_options(parser, Request, "shard_size")
    add_check(parser)


def add_photos(parser: argparse.ArgumentParser) -> None:
    """Add --source, how patches are cut from the photos, and --split."""
    photos = parser.add_argument_group("photos")
    add_source(photos)
    add_options(photos, Request, "crop_share", *CROPS)
    add_options(photos, SplitOptions, "split", "val_fraction")


def add_distortions(parser: argparse.ArgumentParser, title: str, *more: str) -> None:
    """Add the choice of traditional distortions in a group, with further options of `Request`."""
    group = parser.add_argument_group(title)
    chosen = ("families", "atoms", "compositions", "singles")
    names = (*chosen, *more, "folding", "fixed_px", "plugins")
    add_options(group, Request, *names)


def add_distorters(
    parser: argparse.ArgumentParser,
    title: str = "CNN distorters (default: sampled uniformly from all of the zoo)",
) -> None:
    """Add the choice of CNN distorters in a group."""
    add_options(parser.add_argument_group(title), Request, "zoo", "distorters")


def add_whereabouts(parser: argparse.ArgumentParser) -> None:
    """Add --source, --outputs and --zoo of commands that make a dataset again."""
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


def whereabouts(options: argparse.Namespace) -> Whereabouts:
    """What `add_whereabouts` and `add_plugins` declared."""
    from bapps_gen.pipelines.datasets.whereabouts import Whereabouts

    given = values_of(options, Request)
    return Whereabouts(
        image_opener(options.quiet),
        options.source,
        dict(given.get("outputs", ())),
        given.get("zoo"),
        options.plugins,
    )


def make_dataset(kind: str, options: argparse.Namespace) -> int:
    """Make a dataset of a kind, or what is missing of it.

    Args:
        kind: name of one of `datasets.kinds.KINDS`.
        options: parsed options, those of `Request` among them.
    """
    from bapps_gen.api._arguments import check_writable
    from bapps_gen.pipelines.datasets.generate import generate

    request = Request(kind, **values_of(options, Request))
    if options.source and not request.needs_photos:
        raise UserError("source is for demos; leave it out, or add --demo")
    workers = workers_of(options)
    check_writable(options.out)
    plan = _resolve(request, options, workers)
    began = time.monotonic()
    with (
        resumable("whole shards", options.out),
        progress_bar(options.quiet, plan.info.kind, plan.info.unit) as progress,
    ):
        report = generate(options.out, plan, workers, progress, options.check)
    if not options.quiet:
        print(summary(report, options.out, plan.info, time.monotonic() - began))
    return 0


def _resolve(request: Request, options: argparse.Namespace, workers: Workers) -> DatasetPlan:
    """What will be made, photos read; a demo is made for that."""
    split = values_of(options, SplitOptions)
    photos = partial(open_source_with_bar, options.source, options.quiet, **split)
    bars = partial(progress_bar, options.quiet)
    if not request.demo:
        return request.resolve(Inputs(photos, progress=bars, split=split.get("split")))
    folder = demo_folder_of(options.out)
    with resumable("pictures", folder):
        plan = request.resolve(Inputs(photos, folder, workers, bars, split.get("split")))
    if not options.quiet:
        print(f"bapps-gen: ground truth and outputs are in {folder}", file=sys.stderr)
    return plan


def summary(report: GenerateReport, out: Location, info: DatasetInfo, seconds: float) -> str:
    """What was made, in a few lines."""
    size = sum(path.stat().st_size for path in (out / "data").glob("*.parquet"))
    lines = [
        f"{report.made + report.kept} {info.unit} in {out} "
        f"({info.shards} shards, {size / 1e6:.1f} MB)",
        f"made {report.made} now in {seconds:.1f} s ({report.made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {report.kept} from before" if report.kept else ""),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} images could not be used; see {out}/dataset.json")
    if report.differing:
        lines.append(f"{report.differing} rows have other pixels than the recipe's")
    lines.append(f"look at them: bapps-gen show {out}")
    return "\n".join(lines)
