"""`manifest.csv` of an export: a line for each row, with what was done to each of its patches."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bapps_gen.manifests.rows import PATCHES

LISTING_NAME = "manifest.csv"

ListRow = Callable[[Mapping[str, Any], str], None]
"""Adds the line of a row, given its columns and the name of its file."""

_JUDGMENTS = {True: ("judge", "judge_count"), False: ("same", "same_count")}


def listed_columns(patches: Sequence[str]) -> tuple[str, ...]:
    """The columns of rows that a line is made from."""
    judgments = _JUDGMENTS[tuple(patches) == PATCHES]
    steps = (f"steps{side}" for side in range(len(patches) - 1))
    names = (f"distortion{side}" for side in range(len(patches) - 1))
    return ("id", "row", *names, *steps, "source_path", *judgments)


@contextlib.contextmanager
def list_rows(folder: Path, patches: Sequence[str]) -> Iterator[ListRow]:
    """Write `manifest.csv` into a folder.

    Args:
        folder: where to write it.
        patches: PATCHES for triplets, PAIR_PATCHES for JND pairs.
    """
    judgments = _JUDGMENTS[tuple(patches) == PATCHES]
    sides = range(len(patches) - 1)
    done = ("distortion", "parameters", "severities")
    with open(folder / LISTING_NAME, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        heads = [f"{name}{side}" for side in sides for name in done]
        writer.writerow(["id", "row", "file", *heads, "source_path", *judgments])

        def add(row: Mapping[str, Any], name: str) -> None:
            values = [row["id"], row["row"], name]
            for side in sides:
                steps = row[f"steps{side}"]
                values += [row[f"distortion{side}"], parameters_text(steps), severity_text(steps)]
            writer.writerow([*values, row["source_path"], *(row[name] for name in judgments)])

        yield add


def parameters_text(steps: Sequence[Mapping[str, Any]]) -> str:
    """Parameters of stored steps as JSON: values by "distortion.parameter"."""
    parameters = {
        f"{step['distortion']}.{pair['name']}": pair["value"]
        for step in steps
        for pair in step["params"]
    }
    return json.dumps(parameters)


def severity_text(steps: Sequence[Mapping[str, Any]]) -> str:
    """Severities of stored steps, joined by "+" as their names are; empty where there is none."""
    severities = (step["severity"] for step in steps)
    return "+".join("" if severity is None else f"{severity}" for severity in severities)
