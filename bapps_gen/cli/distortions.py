"""`bapps-gen distortions`: the table, generated from the records."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._collections import table_text
from bapps_gen.cli._options import add_options
from bapps_gen.pipelines.datasets.request import Request

if TYPE_CHECKING:
    from bapps_gen.distortions.definition import Parameter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="as JSON, including compositions")
    parser.add_argument("--compositions", action="store_true", help="also list the compositions")
    add_options(parser, Request, "plugins")


def run(options: argparse.Namespace) -> int:
    """Print the distortions."""
    from bapps_gen.distortions.compositions import COMPOSITIONS_VERSION
    from bapps_gen.distortions.registry import load_registry

    registry = load_registry(tuple(options.plugins or ()))
    if options.json:
        table = {
            "atoms": [
                {
                    "name": atom.name,
                    "version": atom.version,
                    "family": atom.family,
                    "summary": atom.summary,
                    "has_identity": atom.has_identity,
                    "parameters": [_as_values(parameter) for parameter in atom.parameters],
                }
                for atom in registry.atoms.values()
            ],
            "compositions_version": COMPOSITIONS_VERSION,
            "compositions": [choice for choice in registry.ids if "+" in choice],
        }
        print(json.dumps(table, indent=1))
        return 0
    header = ("distortion", "v", "family", "parameter", "unit", "mild → strong")
    rows = []
    for atom in registry.atoms.values():
        lead = (atom.name, str(atom.version), atom.family)
        for parameter in atom.parameters:
            rows.append((*lead, parameter.name, parameter.unit, _span(parameter)))
            lead = ("", "", "")
    print(table_text(header, rows))
    pairs = [choice for choice in registry.ids if "+" in choice]
    print(f"\n{len(registry.atoms)} atoms and {len(pairs)} compositions of two")
    if options.compositions:
        print("\n".join(pairs))
    return 0


def _as_values(parameter: Parameter) -> dict[str, Any]:
    from bapps_gen.distortions.definition import SeverityParameter

    shared = {
        "name": parameter.name,
        "unit": parameter.unit,
        "summary": parameter.summary,
        "allowed": parameter.allowed,
        "default": parameter.default,
        "integer": parameter.integer,
    }
    if isinstance(parameter, SeverityParameter):
        return {**shared, "identity": parameter.identity, "ends": parameter.range}
    return {**shared, "choices": parameter.choices or None, "drawn": parameter.range}


def _span(parameter: Parameter) -> str:
    from bapps_gen.distortions.definition import SeverityParameter

    if isinstance(parameter, SeverityParameter):
        return " or ".join(f"{mild:g} → {strong:g}" for mild, strong in parameter.range)
    if parameter.choices:
        return "one of " + ", ".join(f"{choice:g}" for choice in parameter.choices)
    low, high = parameter.range
    return f"{low:g}" if low == high else f"any of {low:g} … {high:g}"
