"""`bapps-gen train-distorters`: a zoo of CNN distorters, trained on photos."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import (
    add_source,
    add_workers,
    names_of,
    open_source_with_bar,
    print_resume,
    progress_bar,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path

if TYPE_CHECKING:
    from bapps_gen.pipelines.training.distorters import DistorterReport, ZooProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("zoo"),
        metavar="ZOO",
        help="folder to make or to go on with (default: %(default)s)",
    )
    add_source(parser, "the color photographs that come with scikit-image")
    add_workers(parser)
    which = parser.add_argument_group("distorters")
    which.add_argument(
        "--only",
        type=names_of,
        default=(),
        metavar="IDS",
        help="ids and ranges of ids, for example 003,010-020 (default: all)",
    )
    which.add_argument(
        "--specs",
        type=local_path,
        metavar="FILE.toml",
        help="distorters of your own, each a [[distorter]] table (default: the 96 of this package)",
    )
    length = parser.add_argument_group("length")
    length.add_argument(
        "--preset",
        default="quick",
        metavar="NAME",
        help="quick (about a minute a distorter and core), standard (200,000 crops a distorter) "
        "or paper (1.3 million) (default: %(default)s)",
    )
    length.add_argument(
        "--images", type=int, metavar="N", help="crops each distorter sees (default: the preset's)"
    )
    length.add_argument(
        "--epochs",
        type=int,
        metavar="E",
        help="the same in passes over the photos, one crop a photo (default: the preset's)",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--seed", type=int, default=0, help="seed of the zoo (default: %(default)s)")
    how.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: %(default)s)"
    )
    how.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "bfloat16", "float32"),
        help="auto is bfloat16 where the processor has it (default: %(default)s)",
    )
    how.add_argument(
        "--gpus-per-distorter",
        type=float,
        metavar="F",
        help="share of a GPU that each distorter asks a Ray cluster for, from 0 to 1 "
        "(default: 0.125 with --device cuda, 0 on the CPU)",
    )
    how.add_argument(
        "--vgg",
        type=local_path,
        metavar="FILE",
        help="vgg16 weights for the feature loss, .safetensors or .pth (default: from the folder "
        "in BAPPS_GEN_WEIGHTS or torch's cache; AlexNet's features where there are none)",
    )


def run(options: argparse.Namespace) -> int:
    """Train what is missing; 1 when a distorter failed."""
    from bapps_gen.checks import check_range
    from bapps_gen.cnn_distorters.spec import read_specs
    from bapps_gen.cnn_distorters.table import shipped_specs
    from bapps_gen.cnn_distorters.zoo import require_torch
    from bapps_gen.seeding import MAX_SEED

    require_torch()
    from bapps_gen.execution.jobs import RayCluster
    from bapps_gen.pipelines.training.distorters import (
        choose_specs,
        default_workers,
        plan_zoo,
        settle_cluster,
        train_zoo,
    )

    check_range("seed", options.seed, 0, MAX_SEED, whole=True)
    workers = workers_of(options)
    device, precision = options.device, options.precision
    if isinstance(workers, RayCluster):
        workers, device, precision = settle_cluster(
            workers, device, precision, options.gpus_per_distorter
        )
    elif options.gpus_per_distorter is not None:
        raise UserError("gpus-per-distorter goes with --engine ray alone; add that")
    known = read_specs(options.specs) if options.specs else shipped_specs()
    specs = choose_specs(known, options.only)
    source = open_source_with_bar(options.source, options.quiet)
    plan = plan_zoo(
        specs,
        source,
        preset=options.preset,
        images=options.images,
        epochs=options.epochs,
        seed=options.seed,
        # This machine may lack the device that the nodes of a cluster have.
        device="cpu" if isinstance(workers, RayCluster) else device,
        precision=precision,
        vgg=options.vgg,
    )
    if isinstance(workers, RayCluster):
        plan = replace(plan, device=device)
        side_by_side = str(workers.workers or "as many as fit the cluster")
    else:
        workers = workers if options.workers else default_workers(plan.device, workers)
        side_by_side = str(workers)
    if not options.quiet:
        features = f"features of {'AlexNet' if plan.vgg is None else f'VGG-16 ({plan.vgg})'}"
        precision = next(iter(plan.settings.values())).precision
        print(
            f"training {len(specs)} distorters on {plan.device} in {precision}, "
            f"{side_by_side} side by side, {features}"
        )
    began = time.monotonic()
    try:
        with (
            progress_bar(options.quiet, "cutting crops", "crops") as crops_progress,
            zoo_bar() as bar,
        ):
            report = train_zoo(
                options.out,
                plan,
                source,
                workers,
                on_report=print_failure if options.quiet else bar.report,
                progress=None if options.quiet else bar.progress,
                crops_progress=crops_progress,
            )
    except KeyboardInterrupt:
        print_resume("finished distorters and checkpoints", options.out)
        raise
    failed = [item for item in report.reports if item.failure is not None]
    if not options.quiet:
        seconds = time.monotonic() - began
        print(
            f"{len(report.kept) + len(report.reports) - len(failed)} of {len(specs)} distorters "
            f"are in {options.out}; trained {len(report.reports) - len(failed)} now in "
            f"{seconds / 60:.1f} min"
            + (f", kept {len(report.kept)} from before" if report.kept else "")
        )
        odd = [item.id for item in report.reports if item.verdict in ("identity", "ruin")]
        if odd:
            print(f"of little use, see their LPIPS: {', '.join(odd)}")
        print(
            f"look at them: {options.out}/training/*.png; bapps-gen distorters --zoo {options.out}"
        )
    if failed:
        names = ", ".join(item.id for item in failed)
        print(f"bapps-gen: error: {len(failed)} distorters failed: {names}", file=sys.stderr)
        return 1
    return 0


class _ZooBar:
    """A bar over the whole zoo with time left, and a line on stdout for each distorter."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.began = time.monotonic()
        self.first: ZooProgress | None = None
        self.left = "?"

    def progress(self, now: ZooProgress) -> None:
        """Show how far the zoo is."""
        if self.first is None:  # after the crops are cut, which is no part of the rate
            self.first, self.began = now, time.monotonic()
        seconds = max(time.monotonic() - self.began, 1e-9)
        self.left = _time_left(now.share - self.first.share, 1 - now.share, seconds)
        self.bar.n = now.share
        self.bar.set_postfix_str(
            f"{now.finished}/{now.total} distorters, {now.images / seconds:.0f} images/s, "
            f"{self.left} left"
        )

    def report(self, report: DistorterReport) -> None:
        """Tell of one distorter."""
        if report.record is None:
            print_failure(report)
            return
        lpips = report.record["held_out"]["lpips"]
        odd = "" if report.verdict == "ok" else f", {report.verdict}"
        self.bar.write(
            f"{report.id}: {report.record['images']} images in {report.seconds:.0f} s, LPIPS "
            f"median {lpips['median']:.3f} ({lpips['min']:.3f} to {lpips['max']:.3f}){odd}; "
            f"{self.left} left for the zoo",
            file=sys.stdout,
        )
        sys.stdout.flush()


@contextlib.contextmanager
def zoo_bar() -> Iterator[_ZooBar]:
    """A bar on stderr, drawn where that is a terminal."""
    from tqdm import tqdm

    with tqdm(
        total=1.0,
        disable=None,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
        bar_format="training {percentage:3.0f}%|{bar}| {postfix}",
    ) as bar:
        yield _ZooBar(bar)


def print_failure(report: DistorterReport) -> None:
    """Tell of a distorter that failed, on stderr."""
    if report.failure is not None:
        from tqdm import tqdm

        tqdm.write(f"bapps-gen: error: {report.failure}", file=sys.stderr)


def _time_left(done: float, remaining: float, seconds: float) -> str:
    """Time left, by the rate of this run; shares of the work."""
    if done <= 0:
        return "?"
    left = seconds * remaining / done
    if left >= 3600:
        return f"{left / 3600:.1f} h"
    return f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
