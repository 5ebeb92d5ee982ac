"""`bapps-gen show`: a contact sheet of rows of a dataset or a collection."""

from __future__ import annotations

import argparse
from pathlib import Path

from bapps_gen.cli._options import add_dataset
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(parser, "folder or URL of a dataset, or folder of a collection for all its sets")
    parser.add_argument(
        "-o",
        "--out",
        type=local_path,
        default=Path("sheet.png"),
        metavar="FILE",
        help="picture to write (default: %(default)s)",
    )
    parser.add_argument(
        "--count",
        type=int,
        default=12,
        help="number of rows, at equal steps (default: %(default)s)",
    )
    parser.add_argument("--rows", metavar="I,J", help="these rows instead")
    parser.add_argument(
        "--zoom",
        type=int,
        metavar="N",
        help="times to enlarge a patch (default: to 128 px at most, twice at 64 px)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw the sheet."""
    from bapps_gen.api.datasets import contact_sheet, open_dataset
    from bapps_gen.imaging.files import check_image_name, write_image
    from bapps_gen.manifests.collection import Collection, find_collection

    check_image_name(options.out)
    held = find_collection(options.dataset) or open_dataset(options.dataset)
    rows = None if options.rows is None else _rows(options.rows)
    sheet = contact_sheet(held, rows=rows, count=options.count, zoom=options.zoom)
    write_image(options.out, sheet)
    if isinstance(held, Collection):
        count = min(options.count, len(held.datasets()))
        print(f"rows of {count} sets drawn in {options.out}")
        return 0
    count = min(options.count, len(held)) if rows is None else len(rows)
    print(f"{count} of {len(held)} {held.info.unit} drawn in {options.out}")
    return 0


def _rows(text: str) -> list[int]:
    try:
        rows = [int(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"rows = {text} is not a list of row numbers; write --rows 0,17") from None
    return rows
