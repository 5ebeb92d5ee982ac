"""`bapps-gen info`: what a dataset holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of a dataset")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the summary."""
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.summary import summarize

    dataset = open_dataset(options.dataset, incomplete=True)
    found = summarize(dataset)
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 0
    width = max(len(name) for name in found)
    for name, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item:g}" for key, item in value.items()) or "none"
        print(f"{name.replace('_', ' ').ljust(width)}  {value}")
    return 0
