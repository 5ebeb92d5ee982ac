"""What the commands for one dataset do with a collection of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence

from bapps_gen.errors import BappsGenError, one_line
from bapps_gen.storage.locations import Location


def over_sets(folder: Location, work: Callable[[Location], int]) -> int:
    """Do some work on a dataset, or on every set of a collection of which something was made.

    An error in one set of a collection is reported and stops no other.

    Args:
        work: gives the exit code of a dataset's folder.

    Returns:
        The exit code: the largest of all; 1 after an error.
    """
    from bapps_gen.manifests.collection import is_collection, open_collection

    if not is_collection(folder):
        return work(folder)
    collection = open_collection(folder)
    made = {record.path for record, _ in collection.datasets()}
    code = 0
    for record in collection.info.sets:
        path = collection.set_folder(record)
        if record.path not in made:
            print(f"{path}: not made yet")
            continue
        try:
            code = max(code, work(path))
        except BappsGenError as error:
            print(f"bapps-gen: error: {path}: {one_line(error)}", file=sys.stderr)
            code = 1
    return code


def by_reason(reasons: Mapping[str, str]) -> dict[str, str]:
    """Sets by the reason that they share, joined by commas."""
    joined: dict[str, str] = {}
    for path, reason in reasons.items():
        joined[reason] = f"{joined[reason]}, {path}" if reason in joined else path
    return joined


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """A line for each reason for which sets are left out of a collection."""
    return [f"left out: {paths}: {why}" for why, paths in by_reason(left_out).items()]


def table_text(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()
) -> str:
    """A table in columns; those in `right`, by index, are aligned right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )
