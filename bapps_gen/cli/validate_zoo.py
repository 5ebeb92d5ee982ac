"""`bapps-gen validate --zoo`: a page that shows what a zoo's distorters do and which are alike."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bapps_gen.cli._options import add_options, add_source
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def add_zoo_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options for zoos."""
    from bapps_gen.pipelines.validation.options import ZooOptions

    group = parser.add_argument_group(
        "a zoo of CNN distorters",
        "The same patches pass every distorter. Exit code 1 where one is the identity (median "
        "LPIPS < 0.01), a ruin (mean LPIPS > 0.8), off color (mean lightness of dark, middle or "
        "light areas, or mean color of gray ones, changed by more than 8 in CIE L*a*b*) or "
        "unusable, or where two are the same function (median LPIPS < 0.01 between their outputs, "
        "and at most half of that to the input).",
    )
    group.add_argument(
        "--zoo",
        nargs="?",
        const=True,
        type=local_path,
        metavar="DIR",
        help="validate a zoo instead of a dataset (default: the one that comes with this "
        "package); `validate DIR` does the same",
    )
    group.add_argument(
        "--sheet",
        type=local_path,
        metavar="FILE",
        help="picture of all distorters to write: .png, or .webp, which is smaller",
    )
    add_options(group, ZooOptions)
    add_source(group, "the photographs that come with scikit-image")


def names_zoo(options: argparse.Namespace) -> bool:
    """Whether the options ask for a zoo, by --zoo or by the folder of one.

    Raises:
        UserError: when they name nothing or two things, or an option applies to the other.
    """
    from bapps_gen.cnn_distorters.zoo import ZOO_NAME

    if options.zoo is not None and options.dataset is not None:
        raise UserError(f"{options.dataset} and --zoo are two things to validate; name one of them")
    if options.zoo is None and options.dataset is None:
        raise UserError("nothing to validate; name the folder of a dataset, or use --zoo [DIR]")
    if options.zoo is not None or (options.dataset / ZOO_NAME).is_file():
        for flag in _given(options, zoo=False):
            raise UserError(f"--{flag} applies to datasets, not to zoos; leave it out")
        return True
    for flag in _given(options, zoo=True):
        raise UserError(f"--{flag} applies to zoos only; {options.dataset} is not one")
    return False


def _given(options: argparse.Namespace, *, zoo: bool) -> Iterator[str]:
    """Flags of the options given that apply to zoos only, or to datasets only."""
    from bapps_gen.checks import flag_of, options_of
    from bapps_gen.pipelines.scoring.options import MetricOptions
    from bapps_gen.pipelines.validation.options import (
        Limits,
        Thresholds,
        ValidationOptions,
        ZooOptions,
    )

    flags = {name: name for name in (("sheet", "source") if zoo else ("against",))}
    records = (ZooOptions,) if zoo else (ValidationOptions, Limits, Thresholds, MetricOptions)
    for record in records:
        flags |= {entry.name: flag_of(entry, option) for entry, option in options_of(record)}
    for name, flag in flags.items():
        if getattr(options, name) not in (None, []):
            yield flag
