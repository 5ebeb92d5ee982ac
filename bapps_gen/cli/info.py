"""`bapps-gen info`: what a dataset or a trained metric holds, and what datasets have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._collections import left_out_lines, table_text
from bapps_gen.cli._options import add_dataset, add_several
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import Location

if TYPE_CHECKING:
    from bapps_gen.manifests.dataset import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(
        parser,
        "folder or URL of a dataset, folder of a collection for all its sets, or file of a trained "
        "metric",
    )
    add_several(
        parser,
        "--against",
        "other datasets or collections: count the references, sides, photos and crops "
        "of photos that each set shares with each of theirs; a collection against itself compares "
        "its sets with each other",
        "OTHER",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the summary."""
    from bapps_gen.manifests.collection import is_collection
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.inspect import summarize

    if options.dataset.name.endswith(".safetensors"):
        return _metric(options)
    if is_collection(options.dataset):
        return _collection(options)
    dataset = open_dataset(options.dataset, incomplete=True)
    values = summarize(dataset)
    found = _overlaps([dataset], options.against)
    if options.json:
        values |= {"overlaps": found} if options.against else {}
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return 0
    width = max(len(name) for name in values)
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item:g}" for key, item in value.items()) or "none"
        print(f"{name.replace('_', ' ').ljust(width)}  {value}")
    _print_overlaps(found)
    return 0


def _metric(options: argparse.Namespace) -> int:
    """Print what a trained metric is, what it was trained on, and how well it did."""
    from dataclasses import asdict

    from bapps_gen.metrics.trained import read_trained_header
    from bapps_gen.storage.locations import local_path

    if options.against:
        raise UserError("against is for datasets; leave it out with a trained metric")
    header = read_trained_header(local_path(str(options.dataset)))
    if options.json:
        print(json.dumps(asdict(header), indent=1, ensure_ascii=False))
        return 0
    print(f"{header.mode} over {header.net.name} (weights {header.net.digest or 'unknown'})")
    for name, sets in (("trained on", header.train), ("validated on", header.val)):
        for entry in sets:
            judged = "simulated observers" if entry.simulated else "people"
            print(
                f"{name} {entry.rows} rows of {entry.kind}, digest {entry.dataset}, judged by "
                f"{judged}"
            )
    if header.scores:
        scores = header.scores
        print(
            f"2AFC {100 * scores.val_2afc:.2f} % after epoch {scores.epoch} of "
            f"{len(scores.history)}"
        )
    print("options: " + ", ".join(f"{name} {value}" for name, value in header.spec.items()))
    return 0


def _collection(options: argparse.Namespace) -> int:
    """Print a table of the sets as they are on disk now."""
    from dataclasses import asdict

    from bapps_gen.manifests.collection import open_collection

    collection = open_collection(options.dataset).refreshed()
    info = collection.info
    found = _overlaps([dataset for _, dataset in collection.datasets()], options.against)
    if options.json:
        states = [{**asdict(record), "state": record.state} for record in info.sets]
        values = {"folder": str(options.dataset), **asdict(info), "sets": states}
        values |= {"overlaps": found} if options.against else {}
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return 0
    head = ("set", "kind", "rows", "of", "MB", "state")
    rows = [
        (
            record.path,
            record.kind,
            f"{record.made:,}",
            f"{record.rows:,}",
            f"{record.bytes / 1e6:.1f}",
            record.state,
        )
        for record in info.sets
    ]
    print(f"{info.name}: seed {info.seed}, scale {info.scale:g}, bapps-gen {info.version}")
    print(table_text(head, rows, right=(2, 3, 4)))
    whole = sum(record.complete for record in info.sets)
    size = sum(record.bytes for record in info.sets)
    print(f"{whole} of {len(info.sets)} sets are complete, {size / 1e6:.1f} MB")
    for line in left_out_lines(info.left_out):
        print(line)
    _print_overlaps(found)
    return 0


def _overlaps(mine: Sequence[Dataset], folders: Sequence[Location]) -> list[dict[str, Any]]:
    """What each of some sets has in common with each of the sets in some folders."""
    from bapps_gen.manifests.collection import find_collection
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.overlap import overlaps, read_contents

    if not folders:
        return []
    others: list[Dataset] = []
    for folder in folders:
        collection = find_collection(folder)
        if collection is None:
            others.append(open_dataset(folder, incomplete=True))
        else:
            others += [dataset for _, dataset in collection.datasets()]
    contents = {str(dataset.folder): read_contents(dataset) for dataset in (*mine, *others)}
    sides = ([contents[str(dataset.folder)] for dataset in part] for part in (mine, others))
    return list(overlaps(*sides))


def _print_overlaps(found: Sequence[dict[str, Any]]) -> None:
    """Print a table of what sets have in common, sets that have nothing, and warnings."""
    from bapps_gen.pipelines.datasets.overlap import MEASURES, is_apart, overlap_rows

    if found:
        print()
    if rows := list(overlap_rows(found)):
        head = ("of", "found in", *MEASURES.values())
        print(table_text(head, rows, right=range(2, len(head))))
    for entry in filter(is_apart, found):
        print(f"nothing in common: {entry['dataset']} and {entry['against']}")
    for entry in found:
        for line in entry["warnings"]:
            print(f"warning: {line}")
