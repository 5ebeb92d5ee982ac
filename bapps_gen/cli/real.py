"""`bapps-gen real`: triplets from the outputs of real algorithms."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import CROPS, add_size, make_dataset
from bapps_gen.cli._options import add_options, add_source, add_workers
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.real.tasks import TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Make triplets from the same random patch of a ground-truth image and of the outputs of "
        "two different algorithms. Files are matched by relative path, ignoring the extension; "
        "they must have the same size."
    )
    parser.add_argument(
        "task",
        choices=tuple(TASKS),
        metavar="TASK",
        help="what the algorithms do, and the name of the set: "
        + ", ".join(f"{name} ({task.summary})" for name, task in TASKS.items()),
    )
    add_size(parser)
    images = parser.add_argument_group("images")
    scales = "; ".join(
        f"{name} {task.scale[0]:g} {task.scale[1]:g}" for name, task in TASKS.items()
    )
    differences = "; ".join(f"{name} {task.min_difference:g}" for name, task in TASKS.items())
    add_options(
        images,
        Request,
        *("reference", "outputs", "skip_misaligned", *CROPS, "min_difference"),
        scale_range={"default_text": f"by task: {scales}"},
        min_difference={"default_text": f"by task: {differences}"},
    )
    demo = parser.add_argument_group("demo, instead of --reference and --outputs")
    add_options(demo, Request, "demo")
    add_source(demo)
    add_options(demo, Request, "demo_images", "demo_factor")
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset(options.task, options)
