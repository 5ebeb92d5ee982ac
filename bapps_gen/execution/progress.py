"""How long work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all: rows, files or pictures."""

ProgressBars = Callable[[str, str], AbstractContextManager[Progress | None]]
"""Opens a bar for a step of the work: called with its name and unit, such as ("score", "rows")."""


def no_progress(name: str, unit: str) -> AbstractContextManager[None]:
    """The `ProgressBars` that shows nothing."""
    return nullcontext()
