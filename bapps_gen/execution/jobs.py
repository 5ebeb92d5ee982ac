"""Mapping jobs over this process, local processes or a Ray cluster; results are the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from bapps_gen.execution.progress import listening
from bapps_gen.execution.workers import (
    RayCluster,
    Workers,
    at_most,
    available_cores,
    prepare_libraries,
)
from bapps_gen.storage.locations import Location

__all__ = ["RayCluster", "Workers", "available_cores", "disconnect", "run_jobs"]

Context = TypeVar("Context")
Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    prepare: Callable[[Context], Callable[[Job], Result]],
    context: Context,
    jobs: Sequence[Job],
    workers: Workers,
    shared: Iterable[str | Location] = (),
    advanced: Callable[[float], None] | None = None,
) -> Iterator[Result]:
    """Yield `prepare(context)(job)` for every job, in the order of completion.

    Each worker calls `prepare` once, at its first job, and keeps what it returns. With one
    worker everything happens in this process. Otherwise the context is sent once to each of
    `workers` spawned processes, or to every worker on a Ray cluster. Closing the iterator (or
    Ctrl-C) cancels what has not begun and stops the workers; a worker dies with its parent,
    however that ends.

    A job whose worker on a Ray cluster dies is retried, so jobs may be done twice: they write
    files whole or not at all, and the same each time.

    Args:
        shared: files and folders that the jobs use; on a Ray cluster every node has to see them.
        advanced: called now and then with the sum of what jobs have reported by `advance`; never
            on a Ray cluster, where only results come back.

    Raises:
        WorkError: when a worker process is killed, for example for lack of memory, or a node
            lacks something.
    """
    workers = at_most(workers, len(jobs))
    if not jobs:
        return
    if isinstance(workers, RayCluster):
        from bapps_gen.execution.ray import run_on_cluster

        yield from run_on_cluster(prepare, context, jobs, workers, shared)
    elif workers == 1:
        prepare_libraries()
        yield from _run_here(prepare(context), jobs, advanced)
    else:
        from bapps_gen.execution.local import run_in_processes

        yield from run_in_processes(prepare, context, jobs, workers, advanced)


def _run_here(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    advanced: Callable[[float], None] | None,
) -> Iterator[Result]:
    total = 0.0

    def add(amount: float) -> None:
        nonlocal total
        total += amount
        if advanced:
            advanced(total)

    for job in jobs:
        with listening(add):  # not while a caller has the result
            result = work(job)
        yield result


def disconnect() -> None:
    """Disconnect from a Ray cluster, if `run_jobs` connected this process to one."""
    module = sys.modules.get("bapps_gen.execution.ray_cluster")
    if module is not None:
        module.disconnect()
