"""`bapps-gen score`: distances of every row by metrics."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import over_sets
from bapps_gen.cli._options import (
    add_dataset,
    add_workers,
    names_of,
    print_resume,
    progress_bar,
    workers_of,
)

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.pipelines.scoring.score import MetricOptions
    from bapps_gen.storage.locations import Location


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(parser, "folder or URL of a dataset, or folder of a collection for all its sets")
    add_metrics(parser, "lpips-alex")
    add_workers(parser)


def add_metrics(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add --metric (where it has a default), --device, --dtype and --weights."""
    if default is not None:
        from bapps_gen.metrics import METRICS

        parser.add_argument(
            "--metric",
            type=names_of,
            default=names_of(default),
            metavar="A,B",
            help=f"of {', '.join(spec.name for spec in METRICS)} (default: {default})",
        )
    network = parser.add_argument_group("LPIPS")
    network.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda or mps (default: %(default)s)",
    )
    network.add_argument(
        "--dtype",
        default="float32",
        metavar="NAME",
        help="float32, or bfloat16, which is faster where the processor has it and errs by 0.1 "
        "to 0.2 %% (default: %(default)s)",
    )
    network.add_argument(
        "--weights",
        metavar="FILE",
        help="weights of the network, .safetensors or .pth (default: bundled for lpips-alex, "
        "otherwise torch's cache or download)",
    )


def metric_options(options: argparse.Namespace) -> MetricOptions:
    """What `add_metrics` declared."""
    from bapps_gen.pipelines.scoring.score import MetricOptions

    return MetricOptions(options.device, options.dtype, options.weights)


def run(options: argparse.Namespace) -> int:
    """Score."""
    workers = workers_of(options)
    return over_sets(options.dataset, lambda folder: _score(folder, options, workers))


def _score(folder: Location, options: argparse.Namespace, workers: Workers) -> int:
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.scoring.score import score

    dataset = open_dataset(folder)
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, "score", "rows") as progress:
            report = score(dataset, options.metric, metric_options(options), workers, progress)
    except KeyboardInterrupt:
        print_resume("finished distances")
        raise
    if not options.quiet:
        seconds = time.monotonic() - began
        names = ", ".join(dict.fromkeys(options.metric))
        print(f"{dataset.info.rows} rows of {folder} have distances by {names}")
        print(
            f"made for {report.made} rows now in {seconds:.1f} s "
            f"({report.made / max(seconds, 1e-9):.0f} rows/s)"
            + (f", kept for {report.kept}" if report.kept else "")
        )
    return 0
