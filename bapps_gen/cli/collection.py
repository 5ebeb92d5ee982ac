"""`bapps-gen collection`: many datasets with one command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import by_reason, left_out_lines, table_text
from bapps_gen.cli._options import (
    add_check,
    add_local_out,
    add_options,
    add_workers,
    names_of,
    open_source_with_bar,
    progress_bar,
    resumable,
    values_of,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.pipelines.collections.request import CollectionRequest
from bapps_gen.pipelines.real.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bapps_gen.pipelines.collections.make import CollectionReport, SetReport
    from bapps_gen.pipelines.collections.plan import CollectionPlan, PlannedSet
    from bapps_gen.pipelines.sources.source import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Every set is a dataset of its own at OUT/TASK/SPLIT/NAME, such as 2afc/train/traditional, "
        "with a seed that follows from --seed and that path alone. Run the same command again to "
        "go on after an interruption, with a larger --scale to add rows. A set that cannot be made "
        "stops no other; the exit code is then 1."
    )
    what = parser.add_argument_group("what to make")
    which = what.add_mutually_exclusive_group()
    add_options(which, CollectionRequest, "preset", "spec")
    add_options(what, CollectionRequest, "scale")
    what.add_argument(
        "--only",
        type=names_of,
        default=(),
        metavar="A,B",
        help="only these sets: paths, or parts of paths; for example 2afc/val,jnd",
    )
    add_options(what, CollectionRequest, "seed")
    add_local_out(what, "bapps")
    add_check(what)
    what.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be made and whether it can be made, and stop",
    )
    photos = parser.add_argument_group("photos")
    add_options(photos, CollectionRequest, "train", "val", "source", "val_fraction")
    photos.add_argument(
        "--allow-shared-photos",
        action="store_true",
        help="allow the same photo in train and in val",
    )
    real = parser.add_argument_group("sets from real algorithms (left out by default)")
    real.add_argument(
        "--real",
        action="append",
        default=[],
        metavar="SET:reference=DIR,NAME=DIR,…",
        help="ground truth and the outputs of at least two algorithms for superres, frameinterp, "
        "deblur or color, as in `bapps-gen real`; may be repeated",
    )
    real.add_argument(
        "--real-demo",
        action="store_true",
        help="for those not given, make ground truth and outputs from the val photos with "
        "algorithms of OpenCV, SciPy and scikit-image, in a folder named after "
        "--out with '-demo' appended",
    )
    add_options(
        parser.add_argument_group("details"), CollectionRequest, "zoo", "patch_size", "shard_size"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the collection, or what is missing of it; 1 when a set could not be made."""
    from bapps_gen.pipelines.collections.make import make_collection
    from bapps_gen.pipelines.collections.plan import plan_collection

    workers = workers_of(options)
    spec = _request(options).resolve()

    def opener(paths: Sequence[str]) -> Source:
        return open_source_with_bar(list(paths), options.quiet)

    plan = plan_collection(
        spec,
        options.out,
        options.only,
        allow_shared_photos=options.allow_shared_photos,
        opener=opener,
    )
    if options.dry_run:
        print(_plan_table(plan))
    if plan.problems:
        all_failed = len(plan.problems) == len(plan.sets)
        _tell_problems("error" if all_failed else "warning", plan.problems, "cannot be made")
        if options.dry_run or all_failed:
            return 1
    if options.dry_run:
        return 0
    if not options.quiet:
        print(_plan_line(plan), flush=True)
    began = time.monotonic()
    with (
        resumable("whole shards", options.out),
        progress_bar(options.quiet, spec.name, "rows") as progress,
    ):
        report = make_collection(
            plan,
            workers,
            progress,
            None if options.quiet else _tell_demo,
            None if options.quiet else _tell_set,
            _command(options),
            options.check,
        )
    _tell_problems("error", report.problems, "not finished")
    if report.card.name != "README.md":
        print(
            f"bapps-gen: warning: {options.out / 'README.md'} was edited by hand and is left as it "
            f"is; the new data card is {report.card}",
            file=sys.stderr,
        )
    if not options.quiet:
        print(_summary(report, options.out, time.monotonic() - began))
    return 1 if report.problems else 0


def _request(options: argparse.Namespace) -> CollectionRequest:
    """What the options ask for."""
    real = _real(options.real)
    if options.real_demo:
        for name in TASKS:
            real.setdefault(name, {"demo": True})
    return CollectionRequest(**values_of(options, CollectionRequest), real=real)


def _real(given: list[str]) -> dict[str, dict[str, object]]:
    """Options of sets from real algorithms, by name.

    Raises:
        UserError: for one that is not SET:reference=DIR,NAME=DIR,…
    """
    given_sets: dict[str, dict[str, object]] = {}
    for text in given:
        name, colon, rest = text.partition(":")
        pairs = [part.partition("=") for part in rest.split(",")]
        folders = {key.strip(): os.path.expanduser(folder) for key, _, folder in pairs}
        if not colon or not all(key and sign and folder for key, sign, folder in pairs):
            raise UserError(
                f"real = {text} is not of the form SET:reference=DIR,NAME=DIR,NAME=DIR; "
                "give for example superres:reference=truth,bicubic=out/bicubic,mine=out/mine "
                "(folders with a comma in their names go into a TOML file)"
            )
        if name in given_sets or len(folders) < len(pairs):
            raise UserError(f"real = {text} names something twice; give it once")
        reference = folders.pop("reference", None)
        if reference is None:
            raise UserError(f"real = {text} has no reference=DIR; add the ground truth's folder")
        given_sets[name] = {"reference": reference, "outputs": folders}
    return given_sets


def _command(options: argparse.Namespace) -> str:
    """The command as it can be given again."""
    words = ["bapps-gen", "collection"]
    if options.spec is not None:
        words += ["--spec", str(options.spec)]
    else:
        words += ["--preset", options.preset or "bapps"]
    for name in ("scale", "seed", "val_fraction", "patch_size", "shard_size", "zoo"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("train", "val", "source", "real"):
        paths = getattr(options, name) or ()
        words += [word for path in paths for word in (f"--{name}", path)]
    if options.real_demo:
        words.append("--real-demo")
    if options.only:
        words += ["--only", ",".join(options.only)]
    if options.allow_shared_photos:
        words.append("--allow-shared-photos")
    return shlex.join([*words, "--out", str(options.out)])


def _tell_problems(level: str, problems: Mapping[str, str], what: str) -> None:
    """One line for each problem, with all the sets that have it."""
    for problem, paths in by_reason(problems).items():
        print(f"bapps-gen: {level}: {paths} {what}: {problem}", file=sys.stderr)


def _tell_demo(planned: PlannedSet) -> None:
    """One line where a set takes its time before the bar goes on."""
    from tqdm import tqdm

    if planned.entry.demo and not planned.problem:
        folder = planned.demo_folder
        tqdm.write(f"{planned.entry.path}: ground truth and outputs go to {folder}")


def _tell_set(done: SetReport) -> None:
    """One line for a set that is done, above the progress bar."""
    from tqdm import tqdm

    entry, report = done.planned.entry, done.report
    if report is not None:
        unit = "pairs" if entry.task == "jnd" else "triplets"
        kept = f", {report.kept:,} of them from before" if report.kept else ""
        skipped = f"; {len(report.failures)} photos unusable" if report.failures else ""
        tqdm.write(f"{entry.path}: {entry.rows:,} {unit}{kept}{skipped}", file=sys.stdout)


def _plan_line(plan: CollectionPlan, *, with_reasons: bool = False) -> str:
    """What is to be made; of sets left out, how many, unless the reasons are given elsewhere."""
    from bapps_gen.storage.space import size_text

    rows = sum(planned.missing_rows for planned in plan.sets)
    kept = sum(planned.kept for planned in plan.sets)
    there = f" ({kept:,} are there)" if kept else ""
    left = 0 if with_reasons else len(plan.spec.left_out)
    return (
        f"{len(plan.sets)} sets, {rows:,} rows to make{there}, about "
        f"{size_text(plan.missing_bytes)}; {size_text(plan.free_bytes)} free"
        + (f"; {left} sets left out (--dry-run says why)" if left else "")
    )


def _plan_table(plan: CollectionPlan) -> str:
    from bapps_gen.storage.space import size_text

    head = ("set", "kind", "photos", "rows", "there", "to write", "")
    rows = [
        (
            planned.entry.path,
            planned.entry.kind,
            _images(planned),
            f"{planned.entry.rows:,}",
            f"{planned.kept:,}",
            size_text(planned.missing_bytes),
            "cannot be made" if planned.problem else "can be made",
        )
        for planned in plan.sets
    ]
    lines = [table_text(head, rows, right=(3, 4, 5)), _plan_line(plan, with_reasons=True)]
    lines += left_out_lines(dict(plan.spec.left_out))
    return "\n".join(lines)


def _images(planned: PlannedSet) -> str:
    """What a set is made from, and how many there are."""
    entry = planned.entry
    if planned.problem:
        return "–"
    if planned.photos is not None:
        of = f"demo from {entry.source_name}" if entry.demo else entry.source_name
        return f"{of}: {len(planned.photos)}"
    return f"outputs: {len(planned.plan.images)}" if planned.plan else "–"


def _summary(report: CollectionReport, out: Path, seconds: float) -> str:
    made = sum(done.report.made for done in report.sets if done.report)
    kept = sum(done.report.kept for done in report.sets if done.report)
    info = report.info
    whole = sum(record.complete for record in info.sets)
    size = sum(record.bytes for record in info.sets)
    lines = [
        f"{whole} of {len(info.sets)} sets in {out} are complete ({size / 1e6:.1f} MB)",
        f"made {made:,} rows now in {seconds:.1f} s ({made / max(seconds, 1e-9):.0f}/s)"
        + (f", kept {kept:,} from before" if kept else ""),
        *left_out_lines(info.left_out),
        f"data card: {report.card}; look at the sets: bapps-gen info {out}",
    ]
    return "\n".join(lines)
