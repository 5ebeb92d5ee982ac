"""`bapps-gen distort`: distortions on one image of any size."""

from __future__ import annotations

import argparse
import sys

from bapps_gen.cli._options import add_options
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.storage.locations import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Give parameters (--with gaussian_blur:sigma=2) or a severity from 0 to 2 "
        "(--with gaussian_blur:severity=0.5); `bapps-gen distortions` lists both. CNN distorters "
        "distort as they were trained (--with cnn:017) or by a strength from 0 to 1, the share of "
        "the way there (--with cnn:017:strength=0.5); `bapps-gen distorters` lists them."
    )
    parser.add_argument("image", metavar="IMAGE", help="photo to distort, of 8×8 px or more")
    parser.add_argument(
        "--with",
        dest="steps",
        action="append",
        required=True,
        metavar="NAME[:KEY=VALUE,…]",
        help="a distortion; repeated, they are applied in order",
    )
    parser.add_argument(
        "-o", "--out", type=local_path, required=True, metavar="FILE", help="picture to write"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of noise and random parameters (default: %(default)s)",
    )
    add_options(parser, Request, "plugins", "zoo")


def run(options: argparse.Namespace) -> int:
    """Distort, and print the parameters."""
    from bapps_gen.api.distortions import load_distortions
    from bapps_gen.checks import check_range
    from bapps_gen.distortions.definition import MIN_SIDE
    from bapps_gen.distortions.steps import parse_step
    from bapps_gen.errors import UserError
    from bapps_gen.imaging.decode import read_image
    from bapps_gen.imaging.files import check_image_name, is_lossy, write_image
    from bapps_gen.seeding import MAX_SEED

    check_range("seed", options.seed, 0, MAX_SEED - len(options.steps), whole=True)
    check_image_name(options.out)
    registry = load_distortions(options.steps, options.plugins or (), options.zoo)
    # Each step has its own seed, so that two noises differ.
    steps = [
        parse_step(text, registry, options.seed + index) for index, text in enumerate(options.steps)
    ]
    image = read_image(options.image)
    if min(image.shape[:2]) < MIN_SIDE:
        raise UserError(
            f"{options.image} is {image.shape[1]}×{image.shape[0]} px; "
            f"distortions need {MIN_SIDE}×{MIN_SIDE} px or more"
        )
    for step in steps:
        image = step.apply(image)
    write_image(options.out, image)
    if is_lossy(options.out):
        print(
            f"bapps-gen: {options.out} is a JPEG, which changes pixels a little more; "
            "write a PNG to keep them",
            file=sys.stderr,
        )
    for step in steps:
        params = [f"{name} {value:.4g}" for name, value in step.params.items()]
        values = ", ".join([*params, f"seed {step.seed}"])
        print(f"{step.distortion.name} v{step.distortion.version}: {values}")
    return 0
