"""`bapps-gen export`: a dataset or a collection in other forms."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import add_dataset, progress_bar
from bapps_gen.storage.locations import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(parser, "folder or URL of a dataset, or folder of a collection for all its sets")
    parser.add_argument(
        "--format",
        required=True,
        choices=("bapps", "webdataset", "recipe"),
        help="the original folders, tar shards, or a manifest without pixels",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder to write"
    )
    parser.add_argument(
        "--judged-only",
        action="store_true",
        help="leave out rows that nobody judged; files keep the numbers of their rows",
    )
    layout = parser.add_argument_group("with --format bapps")
    layout.add_argument(
        "--split",
        choices=("train", "val"),
        help="folder of the split; pairs have val alone, as in the original (default: that of the "
        "photos, otherwise train)",
    )
    layout.add_argument(
        "--name",
        metavar="SET",
        help="name of the set (default: its kind; of JND pairs, their family)",
    )
    layout.add_argument(
        "--upscale",
        type=int,
        metavar="PX",
        help="enlarge by nearest neighbor to a multiple of the patch size, 256 for the released "
        "form (default: as they are)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(options: argparse.Namespace) -> int:
    """Export."""
    from bapps_gen.api.datasets import export, open_dataset
    from bapps_gen.manifests.collection import Collection, find_collection

    layout = {name: getattr(options, name) for name in ("split", "name", "upscale")}
    given = {name: value for name, value in layout.items() if value is not None}
    given["judged_only"] = options.judged_only
    held = find_collection(options.dataset) or open_dataset(options.dataset)
    with progress_bar(options.quiet, "export", "rows") as progress:
        folder = export(
            held, options.out, format=options.format, **given, progress=progress or False
        )
    if not options.quiet:
        if isinstance(held, Collection):
            print(f"{len(held.datasets())} sets in {folder}")
        else:
            print(f"{held.info.rows} {held.info.unit} in {folder}")
    return 0
