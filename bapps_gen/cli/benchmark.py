"""`bapps-gen benchmark`: every chosen distortion at every level, on images or patches."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_check,
    add_local_out,
    add_options,
    add_source,
    add_workers,
    open_source_with_bar,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)
from bapps_gen.pipelines.benchmarks.request import BenchmarkRequest

if TYPE_CHECKING:
    from bapps_gen.pipelines.benchmarks.make import BenchmarkReport, Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Writes DIR/reference/NAME.png, DIR/DISTORTION/LEVEL/NAME.png, manifest.parquet and "
        "manifest.csv (a row for each distorted picture), pairs.csv (ref_name, dist_name, "
        "severity, …) and benchmark.json. Directions, angles and noise are drawn once for each "
        "picture and distortion and held over the levels. Severities are calibrated on 64×64 "
        "patches. Lengths grow with --patch-size; on whole images they are in px of the picture: "
        "on large photos give --max-side 512 or so."
    )
    add_local_out(parser, "benchmark")
    add_check(parser)
    add_source(parser)
    add_options(parser, BenchmarkRequest, "seed")
    levels = parser.add_argument_group("levels").add_mutually_exclusive_group()
    add_options(levels, BenchmarkRequest, "levels", "severities")
    pictures = parser.add_argument_group("pictures (default: whole images)")
    add_options(
        pictures,
        BenchmarkRequest,
        *("max_side", "patches", "patch_size", "fixed_px"),
        *("crop_share", "scale_range", "min_contrast"),
    )
    choice = parser.add_argument_group(
        "distortions (default: the 20 atoms; given here, these and no others)"
    )
    add_options(
        choice,
        BenchmarkRequest,
        *("families", "atoms", "compositions", "distorters", "zoo", "plugins"),
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the benchmark, or what is missing of it."""
    from bapps_gen.pipelines.benchmarks.make import estimate, make_benchmark

    request = record_of(options, BenchmarkRequest)
    workers = workers_of(options)
    plan = request.resolve(partial(open_source_with_bar, options.source, options.quiet))
    if not options.quiet:
        print(_estimate(estimate(plan), options.out), flush=True)
    began = time.monotonic()
    with (
        resumable("whole images", options.out),
        progress_bar(options.quiet, "benchmark", "pictures") as progress,
    ):
        report = make_benchmark(options.out, plan, workers, progress, options.check)
    if not options.quiet:
        print(_summary(report, options.out, time.monotonic() - began))
    return 0


def _estimate(expected: Estimate, out: Path) -> str:
    """What is about to be made, on one line."""
    from bapps_gen.storage.space import free_bytes, size_text

    return (
        f"{expected.pictures:,} distorted pictures of {expected.references:,} references, about "
        f"{size_text(expected.bytes)} in {out} ({size_text(free_bytes(out))} are free)"
    )


def _summary(report: BenchmarkReport, out: Path, seconds: float) -> str:
    """What was made, in a few lines."""
    images = report.made + report.kept
    made = report.rows * report.made // max(1, images)
    lines = [
        f"{report.rows:,} distorted pictures of {report.references:,} references from "
        f"{images:,} images in {out}",
        f"made {made:,} now in {seconds:.1f} s ({made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {report.rows - made:,} from before" if report.kept else ""),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} images were left out; see {out}/benchmark.json")
    lines.append(f"pairs for metrics: {out}/pairs.csv; everything else: {out}/manifest.parquet")
    return "\n".join(lines)
