"""Unusable images that workers met, kept on disk until `dataset.json` lists them.

A worker writes them down before the shards of the rows that they concern, so that a run that is
killed and taken up again lists the same images as one that went through.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from bapps_gen.errors import BappsGenError
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import make_folder

FAILURES_FOLDER = ".failures"


def record_failures(folder: Location, digest: str, failures: Mapping[str, str]) -> None:
    """Write down images that cannot be used, each in a file of its own.

    Args:
        folder: of the dataset.
        digest: of its spec.
        failures: reasons by name.

    Raises:
        WorkError: when they cannot be written.
    """
    if failures:
        make_folder(folder / FAILURES_FOLDER)
    for name, reason in failures.items():
        key = hashlib.sha256(name.encode()).hexdigest()[:32]
        write_json(folder / FAILURES_FOLDER / f"{digest}-{key}.json", {name: reason})


def recorded_failures(folder: Location, digest: str) -> dict[str, str]:
    """Reasons by name of what was recorded for a spec."""
    failures: dict[str, str] = {}
    if (folder / FAILURES_FOLDER).is_dir():
        for path in (folder / FAILURES_FOLDER).iterdir():
            if path.name.startswith(digest):
                try:
                    failures |= {str(name): str(reason) for name, reason in read_json(path).items()}
                except (OSError, BappsGenError, AttributeError):
                    continue  # not ours: these are written whole
    return failures


def remove_failures(folder: Location) -> None:
    """Remove what was recorded."""
    if isinstance(folder, Path):
        shutil.rmtree(folder / FAILURES_FOLDER, ignore_errors=True)
    elif (folder / FAILURES_FOLDER).is_dir():
        for path in (folder / FAILURES_FOLDER).iterdir():
            path.unlink(missing_ok=True)
