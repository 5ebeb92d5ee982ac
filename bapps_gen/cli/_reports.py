"""Writing a report: a page, and its numbers as JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError

if TYPE_CHECKING:
    from bapps_gen.pipelines.validation.html import Report


def check_report(options: argparse.Namespace) -> None:
    """Raise UserError unless a report can be rendered and its files written."""
    from bapps_gen.pipelines.validation.html import environment

    environment()
    for path in (options.out, options.json):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} does not exist; create it first")


def finish(options: argparse.Namespace, report: Report, page: str, prefix: str) -> int:
    """Write the page, and the numbers where they are asked for, and print what is missed.

    Args:
        options: of the command.
        report: what the page is of.
        page: as HTML.
        prefix: before each line of what is missed.

    Returns:
        The exit code: 1 where anything is missed.
    """
    from bapps_gen.storage.atomic import whole_file
    from bapps_gen.storage.documents import write_json

    with whole_file(options.out) as path:
        path.write_text(page, encoding="utf-8")
    if options.json is not None:
        write_json(options.json, report.values())
    for line in report.missed:
        print(f"{prefix}{line}")
    if not options.quiet:
        print(report.summary())
        print(f"report: {options.out}")
    return 1 if report.missed else 0
