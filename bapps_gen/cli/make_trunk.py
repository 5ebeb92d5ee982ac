"""`bapps-gen make-trunk`: a network's weights from photos without labels."""

from __future__ import annotations

import argparse
from functools import partial

from bapps_gen.cli._options import (
    add_local_out,
    add_options,
    add_source,
    open_source_with_bar,
    progress_bar,
    record_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.training.options import TrunkOptions

    parser.epilog = (
        "Stacked k-means after Krähenbühl et al. (ICLR 2016). The file is used as a feature net, "
        "trunk:FILE: `bapps-gen score DATASET --metric trunk:FILE`."
    )
    add_source(parser)
    add_options(parser, TrunkOptions)
    add_local_out(parser, "trunk.safetensors", "FILE", "file to write, NAME.safetensors")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(options: argparse.Namespace) -> int:
    """Make the weights and say how to use them."""
    from bapps_gen.lpips import require_torch
    from bapps_gen.pipelines.training.options import TrunkOptions
    from bapps_gen.pipelines.training.trunks import make_trunk

    asked = record_of(options, TrunkOptions)
    require_torch("make-trunk needs")
    source = open_source_with_bar(options.source, options.quiet)
    make_trunk(source, asked, options.out, partial(progress_bar, options.quiet))
    if not options.quiet:
        print(f"wrote {options.out}: {asked.net}, made from {len(source)} photos")
        print(f"use it: bapps-gen score DATASET --metric trunk:{options.out}")
    return 0
