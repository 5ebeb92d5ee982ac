"""`bapps-gen validate --zoo`: a page that shows what a zoo's distorters do and which are alike."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import add_source, progress_bar, workers_of
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path
from bapps_gen.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXAMPLES = 5
_SHEET_EXAMPLES = 2
_OWN = ("seed", "patches", "sheet", "source")


def add_zoo_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options for zoos."""
    group = parser.add_argument_group(
        "a zoo of CNN distorters",
        "The same patches pass every distorter. Exit code 1 where one is the identity (median "
        "LPIPS < 0.01), a ruin (mean LPIPS > 0.8) or unusable, or where two are the same function "
        "(median LPIPS < 0.01 between their outputs, and at most half of that to the input).",
    )
    group.add_argument(
        "--zoo",
        nargs="?",
        const=True,
        type=local_path,
        metavar="DIR",
        help="validate a zoo in place of a dataset (default: the one that comes with this "
        "package); `validate DIR` does the same",
    )
    group.add_argument(
        "--sheet",
        type=local_path,
        metavar="FILE",
        help="picture of all distorters to write: .png, or .webp, smaller",
    )
    group.add_argument(
        "--patches", type=int, metavar="N", help="patches to judge by, 8 to 4096 (default: 256)"
    )
    group.add_argument("--seed", type=int, metavar="S", help="of the patches (default: 0)")
    add_source(group, "the photographs that come with scikit-image")


def names_zoo(options: argparse.Namespace) -> bool:
    """Whether the options ask for a zoo, by --zoo or by the folder of one.

    Raises:
        UserError: when they name nothing or two things, or have what goes with zoos only.
    """
    from bapps_gen.cnn_distorters.zoo import ZOO_NAME

    if options.zoo is not None:
        if options.dataset is not None:
            raise UserError(
                f"{options.dataset} and --zoo are two things to validate; name one of them"
            )
        return True
    if options.dataset is None:
        raise UserError("nothing to validate; name the folder of a dataset, or use --zoo [DIR]")
    if (options.dataset / ZOO_NAME).is_file():
        return True
    for name in _OWN:
        if getattr(options, name) not in (None, []):
            raise UserError(f"--{name} goes with zoos; {options.dataset} is none")
    return False


def run_zoo(options: argparse.Namespace, unused: Sequence[tuple[str, Any]]) -> int:
    """Validate a zoo; 1 when a rule is broken.

    Args:
        options: of the command.
        unused: names and defaults of options that go with datasets only.
    """
    from bapps_gen.cnn_distorters.zoo import SHIPPED, open_zoo

    for name, default in unused:
        if getattr(options, name.replace("-", "_")) != default:
            raise UserError(f"--{name} goes with datasets, not with zoos; leave it out")
    workers = workers_of(options)
    for path in (options.out, options.json):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} does not exist; create it first")
    given = options.dataset if options.zoo is None else options.zoo
    zoo = open_zoo(None if given is True else given)

    # After open_zoo, which says in one line if torch is missing.
    from bapps_gen.imaging.files import check_image_name
    from bapps_gen.pipelines.sources.source import open_source
    from bapps_gen.pipelines.validation.zoo import judge_zoo
    from bapps_gen.pipelines.validation.zoo_measures import (
        PATCHES,
        check_distorters,
        measure_zoo,
        pick_shown,
        sample_patches,
    )
    from bapps_gen.pipelines.validation.zoo_page import render_zoo_report
    from bapps_gen.pipelines.validation.zoo_pictures import draw_zoo_sheet, write_zoo_sheet
    from bapps_gen.storage.atomic import whole_file
    from bapps_gen.storage.documents import write_json

    seed = 0 if options.seed is None else options.seed
    count = PATCHES if options.patches is None else options.patches
    if options.sheet is not None:
        check_image_name(options.sheet)
    failures = check_distorters(zoo)
    with progress_bar(options.quiet, "reading the source", "images") as progress:
        source = open_source(options.source, progress=progress)
    cut = sample_patches(source, count, seed)
    shown = pick_shown(cut, _EXAMPLES)
    ids = [name for name in zoo.ids if name not in failures]
    with progress_bar(options.quiet, f"{len(ids)} distorters", "patches") as progress:
        measures = measure_zoo(zoo, ids, cut.patches, shown, workers, progress)
    found = judge_zoo(zoo, measures, source, seed, failures=failures)
    inputs = cut.patches[list(shown)]
    shipped = zoo.folder == SHIPPED
    name = f"the zoo of bapps-gen {__version__}" if shipped else zoo.folder.resolve().name
    with whole_file(options.out) as path:
        path.write_text(render_zoo_report(name, found, inputs, measures.shown), encoding="utf-8")
    if options.json is not None:
        write_json(options.json, found)
    if options.sheet is not None:
        few = slice(_SHEET_EXAMPLES)
        sheet = draw_zoo_sheet(found, inputs[few], measures.shown[:, few])
        write_zoo_sheet(options.sheet, sheet)
    for line in found["missed"]:
        print(f"{zoo.folder}: {line}")
    if not options.quiet:
        print(_summary(found))
        print(f"look at it: {options.out}")
    return 1 if found["missed"] else 0


def _summary(found: Mapping[str, Any]) -> str:
    medians, pairs = found["summary"]["median_lpips"], found["pairs"]
    told = (
        f"{found['summary']['measured']} distorters on {found['patches']} patches: median LPIPS "
        f"{medians['min']:.3f} to {medians['max']:.3f}"
    )
    if pairs is None:
        return told
    closest = pairs["closest"][0]
    return (
        f"{told}; between two {pairs['median']:.3f} in the median, {closest['lpips']:.3f} at the "
        f"least ({' and '.join(closest['ids'])}), {len(pairs['near'])} pairs of near duplicates"
    )
