"""What the commands that make sets of triplets share: their options, and the making."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.cli.options import (
    add_out,
    add_plugin,
    add_source,
    add_workers,
    add_zoo,
    names_of,
    open_source_with_bar,
    progress_bar,
    workers_of,
)

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.distortions.catalogue import Catalogue
    from bapps_gen.pipelines.generate import GenerateReport


def add_set(parser: argparse.ArgumentParser) -> None:
    """Add what every set needs: its size, place and seed, and the photos."""
    parser.add_argument("--n", type=int, required=True, metavar="N", help="number of triplets")
    add_out(parser)
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


def add_distortions(parser: argparse.ArgumentParser, title: str) -> None:
    """Add the choice of traditional distortions; defaults are those of `TripletSpec`."""
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


def add_distorters(parser: argparse.ArgumentParser) -> None:
    """Add the choice of CNN distorters."""
    choice = parser.add_argument_group("CNN distorters (default: all of the zoo alike)")
    add_zoo(choice, "the one that comes with this package")
    choice.add_argument(
        "--distorters",
        type=names_of,
        default=(),
        metavar="IDS",
        help="only these: ids and ranges of ids, for example 003,010-020",
    )


def distortion_values(options: argparse.Namespace, catalogue: Catalogue) -> dict[str, Any]:
    """What the options of `add_distortions` say, as arguments of `TripletSpec`."""
    from bapps_gen.pipelines.spec import atom_versions, choose_distortions

    choices = choose_distortions(
        catalogue,
        families=options.families,
        atoms=options.atoms,
        compositions=options.compositions,
    )
    return {
        "choices": choices,
        "versions": atom_versions(catalogue, choices),
        "singles": options.singles,
        "severity": tuple(options.severity),
    }


def chosen_zoo(options: argparse.Namespace) -> tuple[Zoo, tuple[str, ...]]:
    """The zoo, and the ids of the distorters that are chosen from it.

    Raises:
        UserError: for a missing zoo or an unknown id.
    """
    from bapps_gen.cnn_distorters.zoo import open_zoo

    zoo = open_zoo(options.zoo)
    from bapps_gen.pipelines.train import choose_specs  # needs torch, which open_zoo asks for

    specs = choose_specs([zoo.spec(name) for name in zoo.ids], options.distorters)
    return zoo, tuple(spec.id for spec in specs)


def make_set(
    kind: str,
    options: argparse.Namespace,
    catalogue: Catalogue,
    values: dict[str, Any],
    zoo: Zoo | None = None,
) -> int:
    """Make a set, or what is missing of it.

    Args:
        kind: of the set, such as "traditional".
        options: of `add_set`.
        catalogue: everything that its rows may be made with.
        values: arguments of `TripletSpec` beside those that `options` hold.
        zoo: that its CNN distorters come from.
    """
    from bapps_gen.pipelines.generate import describe_dataset, generate
    from bapps_gen.pipelines.spec import TripletSpec

    workers = workers_of(options)
    plugins = tuple(getattr(options, "plugin", ()))
    values = {
        "seed": options.seed,
        "scale": tuple(options.scale_range),
        "min_contrast": options.min_contrast,
        "rows_per_image": options.rows_per_image,
        **values,
    }
    TripletSpec(images=1, source_digest="", **values)  # told before the source is read
    source = open_source_with_bar(
        options.source, options.quiet, split=options.split, val_fraction=options.val_fraction
    )
    spec = TripletSpec(images=len(source), source_digest=source.digest, **values)
    info = describe_dataset(
        kind, spec, source, catalogue, plugins, options.n, options.shard_size, zoo
    )
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, kind, "triplets") as progress:
            report = generate(options.out, info, source, workers, progress, zoo=zoo)
    except KeyboardInterrupt:
        print_resume(options.out)
        raise
    if not options.quiet:
        print(summary(report, options.out, info.shards, time.monotonic() - began))
    return 0


def check_early(options: argparse.Namespace) -> None:
    """Raise UserError for mistakes that can be told before anything is loaded."""
    from bapps_gen.pipelines.generate import check_layout

    check_layout(options.n, options.shard_size)
    workers_of(options)


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
