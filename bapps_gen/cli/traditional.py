"""`bapps-gen traditional`: triplets with traditional distortions."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli.options import (
    add_plugin,
    add_source,
    add_workers,
    names_of,
    open_source_with_bar,
    progress_bar,
    workers_of,
)

if TYPE_CHECKING:
    from bapps_gen.pipelines.generate import GenerateReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of `TripletSpec`."""
    parser.add_argument("--n", type=int, required=True, metavar="N", help="number of triplets")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("triplets"),
        metavar="DIR",
        help="folder to make or to go on with (default: %(default)s)",
    )
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

    photos = parser.add_argument_group("photos")
    add_source(photos, "the colour photographs that scikit-image carries")
    photos.add_argument(
        "--scale-range",
        type=float,
        nargs=2,
        default=(0.25, 1.0),
        metavar=("LOW", "HIGH"),
        help="scales at which photos are read, patch pixels per photo pixel; those of the form "
        "1/k are drawn (default: 0.25 1)",
    )
    photos.add_argument(
        "--min-contrast",
        type=float,
        default=0.02,
        metavar="C",
        help="refuse patches whose luma deviates less than this share of full scale; "
        "0 takes all (default: %(default)s)",
    )
    photos.add_argument(
        "--rows-per-image",
        type=int,
        default=10,
        metavar="R",
        help="triplets from a photo before the next has its turn (default: %(default)s)",
    )
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

    choice = parser.add_argument_group("distortions (default: all 328 alike)")
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


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    from bapps_gen.distortions.catalogue import load_catalogue
    from bapps_gen.pipelines.generate import check_layout, describe_dataset, generate
    from bapps_gen.pipelines.spec import TripletSpec, atom_versions, choose_distortions

    # Cheap mistakes are told before the source is read.
    check_layout(options.n, options.shard_size)
    workers = workers_of(options)
    plugins = tuple(options.plugin)
    catalogue = load_catalogue(plugins)
    choices = choose_distortions(
        catalogue,
        families=options.families,
        atoms=options.atoms,
        compositions=options.compositions,
    )
    values = {
        "seed": options.seed,
        "choices": choices,
        "versions": atom_versions(catalogue, choices),
        "singles": options.singles,
        "severity": tuple(options.severity),
        "scale": tuple(options.scale_range),
        "min_contrast": options.min_contrast,
        "rows_per_image": options.rows_per_image,
    }
    TripletSpec(images=1, source_digest="", **values)
    source = open_source_with_bar(
        options.source, options.quiet, split=options.split, val_fraction=options.val_fraction
    )
    spec = TripletSpec(images=len(source), source_digest=source.digest, **values)
    info = describe_dataset(
        "traditional", spec, source, catalogue, plugins, options.n, options.shard_size
    )
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, "traditional", "triplets") as progress:
            report = generate(options.out, info, source, workers, progress)
    except KeyboardInterrupt:
        print_resume(options.out)
        raise
    if not options.quiet:
        print(summary(report, options.out, info.shards, time.monotonic() - began))
    return 0


def print_resume(out: Path) -> None:
    """Say how an interrupted run is taken up again."""
    print(
        f"bapps-gen: whole shards are kept in {out}; run the same command again to resume",
        file=sys.stderr,
    )


def summary(report: GenerateReport, out: Path, shards: int, seconds: float) -> str:
    """What was made, for people."""
    size = sum(path.stat().st_size for path in (out / "data").glob("*.parquet"))
    lines = [
        f"{report.made + report.kept} triplets in {out} ({shards} shards, {size / 1e6:.1f} MB)",
        f"made {report.made} now in {seconds:.1f} s ({report.made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {report.kept} from before" if report.kept else ""),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} images could not be used; see {out}/dataset.json")
    if report.differing:
        lines.append(f"{report.differing} rows have other pixels than the recipe's")
    lines.append(f"look at them: bapps-gen show {out}")
    return "\n".join(lines)
