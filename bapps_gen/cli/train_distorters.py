"""`bapps-gen train-distorters`: a zoo of CNN distorters, trained on photos."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import (
    add_local_out,
    add_options,
    add_source,
    add_workers,
    names_of,
    open_source_with_bar,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)
from bapps_gen.storage.locations import local_path

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.pipelines.training.plan import ZooPlan
    from bapps_gen.pipelines.training.reports import DistorterReport, ZooProgress, ZooReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.training.options import TrainingOptions

    add_local_out(parser, "zoo", "ZOO")
    add_source(parser)
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
        help="your own distorters, each a [[distorter]] table (default: the 96 of this package)",
    )
    length = parser.add_argument_group("length")
    add_options(length, TrainingOptions, "preset", "images", "epochs")
    how = parser.add_argument_group("how")
    add_options(how, TrainingOptions, "seed", "device", "precision", "gpus_per_distorter", "vgg")
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Train what is missing; 1 when a distorter failed."""
    from bapps_gen.cnn_distorters.spec import choose_specs, read_specs
    from bapps_gen.cnn_distorters.table import shipped_specs
    from bapps_gen.cnn_distorters.zoo import require_torch

    require_torch()
    from bapps_gen.pipelines.training.devices import default_workers, resolve_workers
    from bapps_gen.pipelines.training.distorters import train_zoo
    from bapps_gen.pipelines.training.options import TrainingOptions
    from bapps_gen.pipelines.training.plan import plan_zoo

    training = record_of(options, TrainingOptions)
    workers, training = resolve_workers(workers_of(options), training)
    known = read_specs(options.specs) if options.specs else shipped_specs()
    specs = choose_specs(known, options.only)
    source = open_source_with_bar(options.source, options.quiet)
    is_remote = not isinstance(workers, int)
    plan = plan_zoo(specs, source, training, is_remote=is_remote)
    if isinstance(workers, int) and not options.workers:
        workers = default_workers(plan.device, workers)
    if not options.quiet:
        print(_introduction(plan, workers))
    began = time.monotonic()
    with (
        resumable("finished distorters and checkpoints", options.out),
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
    if not options.quiet:
        print(_summary(report, options.out, time.monotonic() - began))
    failed = [item.id for item in report.reports if item.failure is not None]
    if failed:
        names = ", ".join(failed)
        print(f"bapps-gen: error: {len(failed)} distorters failed: {names}", file=sys.stderr)
        return 1
    return 0


def _introduction(plan: ZooPlan, workers: Workers) -> str:
    """What is about to be trained, on one line."""
    if isinstance(workers, int):
        parallel = str(workers)
    else:
        parallel = str(workers.workers or "as many as fit the cluster")
    features = "AlexNet" if plan.vgg is None else f"VGG-16 ({plan.vgg})"
    precision = next(iter(plan.settings.values())).precision
    return (
        f"training {len(plan.specs)} distorters on {plan.device} in {precision}, {parallel} in "
        f"parallel, features of {features}"
    )


def _summary(report: ZooReport, out: Path, seconds: float) -> str:
    """What was trained."""
    failed = [item.id for item in report.reports if item.failure is not None]
    trained, total = len(report.reports) - len(failed), len(report.kept) + len(report.reports)
    lines = [
        f"{total - len(failed)} of {total} distorters are in {out}; trained {trained} now in "
        f"{seconds / 60:.1f} min"
        + (f", kept {len(report.kept)} from before" if report.kept else "")
    ]
    odd = [item.id for item in report.reports if item.verdict not in ("ok", "failed")]
    if odd:
        lines.append(f"of little use, look at their sheets: {', '.join(odd)}")
    lines.append(f"look at them: {out}/training/*.png; bapps-gen distorters --zoo {out}")
    return "\n".join(lines)


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
        """Print what became of one distorter."""
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
    """Print why a distorter failed, on stderr."""
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
