"""`bapps-gen convert-metric`: trained metrics to and from the `lpips` package."""

from __future__ import annotations

import argparse

from bapps_gen.storage.locations import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "metric",
        type=local_path,
        metavar="FILE",
        help="trained metric, .safetensors; or state dict of the lpips package, .pth",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="FILE",
        help="file to write: .pth for the lpips package (LPIPS(model_path=FILE)), or .safetensors",
    )
    parser.add_argument(
        "--net",
        metavar="NET",
        help="net of a state dict: alex, vgg or squeeze; a trained metric names its own",
    )
    parser.add_argument("--quiet", action="store_true", help="no summary")


def run(options: argparse.Namespace) -> int:
    """Convert one file."""
    from bapps_gen.api.metric_training import convert_metric

    convert_metric(options.metric, options.out, net=options.net)
    if not options.quiet:
        print(f"wrote {options.out}")
    return 0
