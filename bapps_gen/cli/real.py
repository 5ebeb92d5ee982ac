"""`bapps-gen real`: triplets from the outputs of real algorithms."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli._make import add_cropping, add_size, check_out, make_dataset
from bapps_gen.cli._options import (
    add_outputs,
    add_source,
    open_source_with_bar,
    outputs_of,
    print_resume,
    progress_bar,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.pipelines.real.tasks import DEMO_IMAGES, TASKS
from bapps_gen.storage.url import Url

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import Progress
    from bapps_gen.pipelines.datasets.generate import GenerateReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Make triplets from the same random place of a ground-truth image and of the outputs of "
        "two different algorithms. Files belong together that have the same name, but for the "
        "ending, relative to their folders; they must have the same size."
    )
    scales = "; ".join(
        f"{name} {' '.join(f'{value:g}' for value in task.scale)}" for name, task in TASKS.items()
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
    images.add_argument(
        "--reference",
        metavar="DIR",
        help="ground truth: folder of images, tar or Parquet file",
    )
    add_outputs(
        images,
        "an algorithm's name and its outputs, in a folder or file like the reference's; at least "
        "two, here or in further --outputs",
    )
    images.add_argument(
        "--skip-misaligned",
        action="store_true",
        help="leave out images that lack an output or have one of another size, and name them, "
        "rather than refuse them all",
    )
    add_cropping(images, "ground truth and outputs", f"by task: {scales}")
    demo = parser.add_argument_group("demo, in place of --reference and --outputs")
    demo.add_argument(
        "--demo",
        action="store_true",
        help="make ground truth and outputs from photos, with algorithms that the libraries "
        "OpenCV, SciPy and scikit-image carry, in the folder of --out with '-demo' behind it",
    )
    add_source(demo, "the color photographs that come with scikit-image")
    demo.add_argument(
        "--demo-images",
        type=int,
        metavar="N",
        help=f"how many images to make at most (default: {DEMO_IMAGES})",
    )


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    from bapps_gen.pipelines.datasets.generate import generate
    from bapps_gen.pipelines.real.request import RealRequest, prepare_real

    workers = workers_of(options)
    check_out(options.out)
    outputs = outputs_of(options)
    _check_options(options, outputs)
    scale = options.scale_range

    def request(reference: str, outputs: dict[str, str]) -> RealRequest:
        return RealRequest(
            task=options.task,
            rows=options.n,
            reference=reference,
            outputs=tuple(outputs.items()),
            seed=options.seed,
            shard_rows=options.shard_size,
            scale=None if scale is None else tuple(scale),
            min_contrast=options.min_contrast,
            rows_per_image=options.rows_per_image,
            skip_misaligned=options.skip_misaligned,
        )

    if options.demo:
        request("", {"a": "", "b": ""})  # tells of a bad value before the demo is made
        asked = request(*_make_demo(options, workers))
    else:
        asked = request(options.reference, outputs)
    with progress_bar(options.quiet, "reading the images", "files") as reading:
        prepared = prepare_real(asked, reading)

    def fill(progress: Progress | None) -> GenerateReport:
        return generate(options.out, prepared.info, prepared.images, workers, progress)

    return make_dataset(options, prepared.info, fill)


def _check_options(options: argparse.Namespace, outputs: dict[str, str]) -> None:
    """Raise UserError for options that do not go together."""
    if options.demo:
        if options.reference or outputs:
            raise UserError(
                "--demo makes ground truth and outputs itself; leave out --reference and "
                "--outputs, or --demo"
            )
        return
    if options.source or options.demo_images is not None:
        name = "--source" if options.source else "--demo-images"
        raise UserError(f"{name} goes with --demo alone; leave it out, or add --demo")
    if not (options.reference and outputs):
        given = "no images"
        if options.reference or outputs:
            given = "only --reference" if options.reference else "only --outputs"
        raise UserError(
            f"{given} given: give --reference DIR and --outputs NAME=DIR for at least two "
            "algorithms, or --demo to try it with algorithms that come with libraries"
        )


def _make_demo(options: argparse.Namespace, workers: Workers) -> tuple[str, dict[str, str]]:
    """Ground truth and outputs of a demo, made or completed: a folder, and one by algorithm."""
    from bapps_gen.checks import check_range
    from bapps_gen.pipelines.real.demos import make_demo

    limit = DEMO_IMAGES if options.demo_images is None else options.demo_images
    check_range("demo-images", limit, 1, 10**6, whole=True)
    if isinstance(options.out, Url):
        raise UserError(
            f"{options.out} is a URL, and a demo is made beside --out; give a local folder, or "
            "make the demo first and give its folders with --reference and --outputs"
        )
    folder = Path(f"{os.path.abspath(options.out)}-demo")  # so that --out is a dataset alone
    source = open_source_with_bar(options.source, options.quiet)
    try:
        with progress_bar(options.quiet, "demo", "pictures") as progress:
            made = make_demo(
                options.task,
                source,
                folder,
                limit=limit,
                seed=options.seed,
                workers=workers,
                progress=progress,
            )
    except KeyboardInterrupt:
        print_resume("pictures", folder)
        raise
    if not options.quiet:
        print(f"bapps-gen: ground truth and outputs are in {folder}", file=sys.stderr)
    return str(made.reference), {name: str(place) for name, place in made.outputs.items()}
