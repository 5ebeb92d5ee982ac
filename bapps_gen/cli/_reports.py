"""Writing a report: a page, and its numbers as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from bapps_gen.errors import UserError


def check_report(options: argparse.Namespace) -> None:
    """Raise UserError unless a report can be rendered and its files written."""
    from bapps_gen.pipelines.validation.html import environment

    environment()
    for path in (options.out, options.json):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} does not exist; create it first")


def write_report(options: argparse.Namespace, page: str, values: Mapping[str, Any]) -> None:
    """Write the page, and the numbers where they are asked for."""
    from bapps_gen.storage.atomic import whole_file
    from bapps_gen.storage.documents import write_json

    with whole_file(options.out) as path:
        path.write_text(page, encoding="utf-8")
    if options.json is not None:
        write_json(options.json, values)
