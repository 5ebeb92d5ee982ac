"""What the commands that make sets share: their options, and the making."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import (
    add_out,
    add_plugin,
    add_source,
    add_workers,
    add_zoo,
    names_of,
    open_source_with_bar,
    print_resume,
    progress_bar,
    workers_of,
)
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

if TYPE_CHECKING:
    from bapps_gen.execution.progress import Progress
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.pipelines.datasets.generate import GenerateReport
    from bapps_gen.pipelines.datasets.request import SetRequest


def add_set(parser: argparse.ArgumentParser, unit: str = "triplets") -> None:
    """Add what every set of distortions needs: its size, place and seed, and the photos."""
    add_size(parser, unit)
    photos = parser.add_argument_group("photos")
    add_source(photos, "the color photographs that come with scikit-image")
    add_cropping(photos, "photos", "0.25 1", unit)
    photos.add_argument(
        "--split",
        choices=("train", "val"),
        help="use only this part of the photos, parted by their content",
    )
    photos.add_argument(
        "--val-fraction",
        type=float,
        default=0.1,
        metavar="F",
        help="share of photos in val (default: %(default)s)",
    )


def add_size(parser: argparse.ArgumentParser, unit: str = "triplets") -> None:
    """Add --n, --out, --seed, --workers, --quiet and --shard-size."""
    parser.add_argument("--n", type=int, required=True, metavar="N", help=f"number of {unit}")
    add_out(parser, unit)
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the dataset (default: %(default)s)"
    )
    add_workers(parser)
    parser.add_argument(
        "--shard-size",
        type=int,
        default=1000,
        metavar="ROWS",
        help="rows in a Parquet file; rows do not depend on it (default: %(default)s)",
    )


def add_cropping(
    group: argparse._ActionsContainer, images: str, scale: str, unit: str = "triplets"
) -> None:
    """Add --scale-range, None by default, --min-contrast and --rows-per-image.

    Args:
        group: where to.
        images: what crops are taken of.
        scale: the default of --scale-range, for people.
        unit: what a row is.
    """
    group.add_argument(
        "--scale-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help=f"scales at which {images} are read, patch pixels per pixel of theirs; those of the "
        f"form 1/k are drawn (default: {scale})",
    )
    group.add_argument(
        "--min-contrast",
        type=float,
        default=0.02,
        metavar="C",
        help="refuse patches whose luma deviates less than this share of full scale; "
        "0 takes all (default: %(default)s)",
    )
    group.add_argument(
        "--rows-per-image",
        type=int,
        default=10,
        metavar="R",
        help=f"{unit} from an image before the next has its turn (default: %(default)s)",
    )


def add_distortions(parser: argparse.ArgumentParser, title: str, *, severity: bool = True) -> None:
    """Add the choice of traditional distortions; defaults are those of `TripletSpec`.

    Args:
        severity: whether --severity is among the options.
    """
    choice = parser.add_argument_group(title)
    choice.add_argument(
        "--families", type=names_of, default=(), metavar="A,B", help="only these families"
    )
    choice.add_argument("--atoms", type=names_of, default=(), metavar="A,B", help="only these")
    choice.add_argument(
        "--compositions",
        type=names_of,
        default=(),
        metavar="A+B,C+D",
        help="these pairs, alone or beside --families and --atoms",
    )
    choice.add_argument(
        "--singles",
        type=float,
        metavar="S",
        help="share of sides with one distortion instead of two (default: as they fall)",
    )
    if severity:
        choice.add_argument(
            "--severity",
            type=float,
            nargs=2,
            default=(0.2, 1.0),
            metavar=("LOW", "HIGH"),
            help="severities drawn: 0 changes nothing, 0.2 is just noticeable, 1 is strong "
            "(default: 0.2 1)",
        )
    add_plugin(choice)


def add_distorters(
    parser: argparse.ArgumentParser, title: str = "CNN distorters (default: all of the zoo alike)"
) -> None:
    """Add the choice of CNN distorters."""
    choice = parser.add_argument_group(title)
    add_zoo(choice, "the one that comes with this package")
    choice.add_argument(
        "--distorters",
        type=names_of,
        default=(),
        metavar="IDS",
        help="only these: ids and ranges of ids, for example 003,010-020",
    )


def request_of(kind: str, options: argparse.Namespace) -> SetRequest:
    """What the options of `add_set`, `add_distortions` and `add_distorters` ask for.

    A --severity that was not given may be None, for the default of the kind.

    Raises:
        UserError: for a size that is out of range.
    """
    from bapps_gen.pipelines.datasets.request import SetRequest

    given = vars(options)
    choices: dict[str, Any] = {name: given[name] for name in _CHOICES if name in given}
    if given.get("severity") is not None:
        choices["severity"] = tuple(options.severity)
    if options.scale_range is not None:
        choices["scale"] = tuple(options.scale_range)
    if "plugin" in given:
        choices["plugins"] = tuple(options.plugin)
    return SetRequest(
        kind=kind,
        rows=options.n,
        seed=options.seed,
        shard_rows=options.shard_size,
        min_contrast=options.min_contrast,
        rows_per_image=options.rows_per_image,
        **choices,
    )


# options of `add_distortions` and `add_distorters` that have the name they have in a request
_CHOICES = (
    "families",
    "atoms",
    "compositions",
    "singles",
    "zoo",
    "distorters",
    "sequences",
)


def make_set(kind: str, options: argparse.Namespace) -> int:
    """Make a set of one of `requests.KINDS`, or what is missing of it."""
    from bapps_gen.pipelines.datasets.generate import generate
    from bapps_gen.pipelines.datasets.request import prepare_set

    request = request_of(kind, options)
    workers = workers_of(options)
    check_out(options.out)
    prepared = prepare_set(request)
    source = open_source_with_bar(
        options.source, options.quiet, split=options.split, val_fraction=options.val_fraction
    )
    info = prepared.describe(source)

    def fill(progress: Progress | None) -> GenerateReport:
        return generate(options.out, info, source, workers, progress, zoo=prepared.zoo)

    return make_dataset(options, info, fill)


def make_dataset(
    options: argparse.Namespace,
    info: DatasetInfo,
    fill: Callable[[Progress | None], GenerateReport],
) -> int:
    """Call `fill` with a progress bar and say what was made."""
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, info.kind, info.unit) as progress:
            report = fill(progress)
    except KeyboardInterrupt:
        print_resume("whole shards", options.out)
        raise
    if not options.quiet:
        print(summary(report, options.out, info, time.monotonic() - began))
    return 0


def check_out(out: Location) -> None:
    """Raise UserError for a URL that cannot be written to, before anything is loaded."""
    if isinstance(out, Url):
        out.check_writable()
        out.exists()  # raises where there is no bucket, no right or no connection


def summary(report: GenerateReport, out: Location, info: DatasetInfo, seconds: float) -> str:
    """What was made, for people."""
    size = sum(path.stat().st_size for path in (out / "data").glob("*.parquet"))
    lines = [
        f"{report.made + report.kept} {info.unit} in {out} "
        f"({info.shards} shards, {size / 1e6:.1f} MB)",
        f"made {report.made} now in {seconds:.1f} s ({report.made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {report.kept} from before" if report.kept else ""),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} images could not be used; see {out}/dataset.json")
    if report.differing:
        lines.append(f"{report.differing} rows have other pixels than the recipe's")
    lines.append(f"look at them: bapps-gen show {out}")
    return "\n".join(lines)
