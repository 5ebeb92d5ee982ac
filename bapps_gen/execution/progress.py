"""How long work reports how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all: rows, files or pictures."""

ProgressBars = Callable[[str, str], AbstractContextManager[Progress | None]]
"""Opens a bar for a step of the work: called with its name and unit, such as ("score", "rows")."""

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


def no_progress(name: str, unit: str) -> AbstractContextManager[None]:
    """The `ProgressBars` that shows nothing."""
    return nullcontext()


def advance(amount: float) -> None:
    """Say, within a job, that so much more of it is done, in the unit of its `Progress`.

    `run_jobs` passes it on to its caller, who need not wait for the whole job to hear of it.
    """
    listener = _listener.get()
    if listener is not None:
        listener(amount)


def listen(listener: Callable[[float], None]) -> None:
    """From now on, `advance` calls a function in this process."""
    _listener.set(listener)


@contextmanager
def listening(listener: Callable[[float], None]) -> Iterator[None]:
    """Within this, `advance` calls a function."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def part_of(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one part of the work, such as a set, before which `before` rows were done."""
    if progress is None:
        return None
    return lambda rows, _: progress(before + rows, total)


class Rows:
    """What of a whole number of rows is done, of which both jobs and their results tell.

    Args:
        total: rows in all.
        progress: called with rows done, never fewer than before, and rows in all.
        kept: done before; the first call says so.
    """

    def __init__(self, total: int, progress: Progress | None, kept: int = 0) -> None:
        self._total, self._progress, self._kept = total, progress, kept
        self._done = -1
        self.reach(0)

    def reach(self, rows: float) -> None:
        """So many rows are done in addition to those that were kept; fewer than before are none."""
        done = min(self._kept + int(rows + 1e-6), self._total)
        if self._progress and done > self._done:
            self._done = done
            self._progress(done, self._total)
