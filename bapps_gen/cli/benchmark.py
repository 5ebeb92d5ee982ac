"""`bapps-gen benchmark`: every chosen distortion at every level, on images or patches."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import (
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
from bapps_gen.storage.locations import local_path

if TYPE_CHECKING:
    from bapps_gen.pipelines.benchmarks.make import BenchmarkReport, Estimate

_SCALE_RANGE = (0.25, 1.0)
_MIN_CONTRAST = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Writes DIR/reference/NAME.png, DIR/DISTORTION/LEVEL/NAME.png, manifest.parquet and "
        "manifest.csv (a row for each distorted picture), pairs.csv (ref_name, dist_name, "
        "severity, …) and benchmark.json. Directions, angles and noise are drawn once for each "
        "picture and distortion and held over the levels. Severities are calibrated on 64×64 "
        "patches, and lengths are in px of the picture: on large photos give --max-side 512 or so."
    )
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("benchmark"),
        metavar="DIR",
        help="folder to make or to go on with (default: %(default)s)",
    )
    add_source(parser, "the color photographs that come with scikit-image")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the benchmark (default: %(default)s)"
    )
    add_workers(parser)
    levels = parser.add_argument_group("levels").add_mutually_exclusive_group()
    levels.add_argument(
        "--levels",
        type=int,
        default=5,
        metavar="L",
        help="severities 1/L, 2/L … 1; 0.2 is just noticeable, 1 is strong (default: %(default)s)",
    )
    levels.add_argument(
        "--severities",
        metavar="S,S,…",
        help="these severities instead, rising from 0 to 1, for example 0.2,0.5,1",
    )
    pictures = parser.add_argument_group("pictures (default: whole images)")
    pictures.add_argument(
        "--max-side",
        type=int,
        metavar="PX",
        help="reduce whole images whose longer side is more than this (default: none)",
    )
    pictures.add_argument(
        "--patches",
        type=int,
        metavar="N",
        help="instead of whole images N patches of 64×64 px from each, the same for every "
        "distortion and level",
    )
    pictures.add_argument(
        "--scale-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="scales at which images are read for patches, patch pixels per image pixel; those "
        "of the form 1/k are drawn (default: 0.25 1)",
    )
    pictures.add_argument(
        "--min-contrast",
        type=float,
        metavar="C",
        help="refuse patches whose luma deviates less than this share of full scale; "
        f"0 takes all (default: {_MIN_CONTRAST})",
    )
    choice = parser.add_argument_group(
        "distortions (default: the 20 atoms; what is given here is made, and nothing else)"
    )
    choice.add_argument(
        "--families", type=names_of, default=(), metavar="A,B", help="the atoms of these families"
    )
    choice.add_argument(
        "--atoms", type=names_of, default=(), metavar="A,B", help="these atoms; all for all"
    )
    choice.add_argument(
        "--compositions",
        type=names_of,
        default=(),
        metavar="A+B,C+D",
        help="these pairs; all for all 308",
    )
    choice.add_argument(
        "--distorters",
        type=names_of,
        default=(),
        metavar="IDS",
        help="CNN distorters: ids and ranges of ids, for example 003,010-020; all for the whole "
        "zoo. Severity sets their strength: as trained at 1, 0.4 of the way there at 0.2",
    )
    add_zoo(choice, "the one that comes with this package")
    add_plugin(choice)


def run(options: argparse.Namespace) -> int:
    """Make the benchmark, or what is missing of it."""
    from bapps_gen.cnn_distorters.as_distortions import with_zoo
    from bapps_gen.distortions.registry import load_registry
    from bapps_gen.pipelines.benchmarks.make import describe_benchmark, estimate, make_benchmark
    from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner, BenchmarkSpec

    workers = workers_of(options)
    plugins = tuple(options.plugin)
    values = _picture_values(options)
    registry = load_registry(plugins)
    chosen, zoo, distorters = _chosen(options, registry)
    values |= chosen
    if zoo is not None:
        registry = with_zoo(registry, zoo, distorters)
    # Told before the source is read.
    BenchmarkPlanner(BenchmarkSpec(images=1, source_digest="", **values), registry)
    source = open_source_with_bar(options.source, options.quiet)
    spec = BenchmarkSpec(images=len(source), source_digest=source.digest, **values)
    info = describe_benchmark(spec, source, registry, plugins, zoo)
    if not options.quiet:
        print(_told(estimate(spec, source, registry), options.out), flush=True)
    began = time.monotonic()
    try:
        with progress_bar(options.quiet, "benchmark", "pictures") as progress:
            report = make_benchmark(options.out, spec, info, source, workers, progress, zoo=zoo)
    except KeyboardInterrupt:
        print_resume("whole images", options.out)
        raise
    if not options.quiet:
        print(_summary(report, options.out, time.monotonic() - began))
    return 0


def _picture_values(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of seed, levels and pictures, as arguments of `BenchmarkSpec`."""
    from bapps_gen.pipelines.benchmarks.plan import even_severities

    values = {
        "seed": options.seed,
        "severities": even_severities(options.levels)
        if options.severities is None
        else _numbers("severities", options.severities),
        "patches": options.patches,
        "max_side": options.max_side,
        "scale": None if options.scale_range is None else tuple(options.scale_range),
        "min_contrast": options.min_contrast,
    }
    if options.patches is not None:
        values["scale"] = values["scale"] or _SCALE_RANGE
        if values["min_contrast"] is None:
            values["min_contrast"] = _MIN_CONTRAST
    return values


def _numbers(name: str, text: str) -> tuple[float, ...]:
    from bapps_gen.errors import out_of_range

    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise out_of_range(
            name, text, "numbers with commas between them", "write them like 0.2,0.5,1"
        ) from None


def _chosen(options: argparse.Namespace, registry: Any) -> tuple[dict[str, Any], Any, Any]:
    """The choice as arguments of `BenchmarkSpec`, and the zoo and ids of its CNN distorters."""
    from bapps_gen.cnn_distorters.as_distortions import cnn_name, distorter_versions, pin_distorters
    from bapps_gen.errors import UserError
    from bapps_gen.pipelines.benchmarks.plan import ALL, choose_variants
    from bapps_gen.pipelines.rows.spec import atom_versions

    traditional = (options.families, options.atoms, options.compositions)
    choices: tuple[str, ...] = ()
    if any(traditional) or not options.distorters:
        choices = choose_variants(
            registry,
            families=options.families,
            atoms=options.atoms,
            compositions=options.compositions,
        )
    versions = atom_versions(registry, choices)
    if not options.distorters:
        if options.zoo is not None:
            raise UserError(
                f"zoo = {options.zoo} has no effect without --distorters; "
                "add --distorters all, or leave it out"
            )
        return {"choices": choices, "versions": versions}, None, ()
    from bapps_gen.pipelines.datasets.zoo import choose_distorters

    chosen = () if ALL in options.distorters else options.distorters
    zoo, distorters = choose_distorters(options.zoo, chosen)
    values = {
        "choices": (*choices, *map(cnn_name, distorters)),
        "versions": tuple(sorted((*versions, *distorter_versions(distorters)))),
        "distorters": pin_distorters(zoo, distorters),
    }
    return values, zoo, distorters


def _told(expected: Estimate, out: Path) -> str:
    """What is about to be made, on one line."""
    from bapps_gen.storage.space import free_bytes, size_text

    return (
        f"{expected.pictures:,} distorted pictures of {expected.references:,} references, about "
        f"{size_text(expected.bytes)} in {out} ({size_text(free_bytes(out))} are free)"
    )


def _summary(report: BenchmarkReport, out: Path, seconds: float) -> str:
    """What was made, for people."""
    images = report.made + report.kept
    made = report.rows * report.made // max(1, images)
    lines = [
        f"{report.rows:,} distorted pictures of {report.references:,} references from "
        f"{images:,} images in {out}",
        f"made {made:,} now in {seconds:.1f} s ({made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {report.rows - made:,} from before" if report.kept else ""),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} images were left out; see {out}/benchmark.json")
    lines.append(f"pairs for metrics: {out}/pairs.csv; everything else: {out}/manifest.parquet")
    return "\n".join(lines)
