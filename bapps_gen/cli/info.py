"""`bapps-gen info`: what a dataset holds."""

from __future__ import annotations

import argparse
import json

from bapps_gen.cli._collections import left_out_lines, table_text
from bapps_gen.cli._options import add_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(parser, "folder or URL of a dataset, or folder of a collection for all its sets")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the summary."""
    from bapps_gen.manifests.collection import is_collection
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.inspect import summarize

    if is_collection(options.dataset):
        return _collection(options)
    dataset = open_dataset(options.dataset, incomplete=True)
    values = summarize(dataset)
    if options.json:
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return 0
    width = max(len(name) for name in values)
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item:g}" for key, item in value.items()) or "none"
        print(f"{name.replace('_', ' ').ljust(width)}  {value}")
    return 0


def _collection(options: argparse.Namespace) -> int:
    """Print a table of the sets as they are on disk now."""
    from dataclasses import asdict

    from bapps_gen.manifests.collection import open_collection

    collection = open_collection(options.dataset).refreshed()
    info = collection.info
    if options.json:
        states = [{**asdict(record), "state": record.state} for record in info.sets]
        values = {"folder": str(options.dataset), **asdict(info), "sets": states}
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
    return 0
