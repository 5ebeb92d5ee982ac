"""Where jobs run, and what a worker process holds between jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster that jobs are mapped over.

    Args:
        address: "host:port" of the head, or "auto" for the cluster that this machine is part of.
            None takes that in $RAY_ADDRESS, then this machine's, and starts one here if there is
            none.
        workers: most jobs at a time; None for as many as the cluster has the capacity for.
        num_cpus: cores that a job asks for.
        num_gpus: GPUs that a job asks for; a fraction lets several share one.
    """

    address: str | None = None
    workers: int | None = None
    num_cpus: int = 1
    num_gpus: float = 0.0


Workers = int | RayCluster
"""Where jobs run: so many processes on this machine (1 is this process), or a Ray cluster."""


def at_most(workers: Workers, jobs: int) -> Workers:
    """The same, with no more workers than jobs."""
    if isinstance(workers, int):
        return min(workers, jobs)
    if workers.workers is None:
        return workers
    return replace(workers, workers=min(workers.workers, jobs))


def available_cores() -> int:
    """Number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def begin_worker(prepare: Callable[[Any], Callable[[Any], Any]], context: Any) -> None:
    """Make this process one that does jobs: `do_job` calls what `prepare(context)` returns."""
    _Worker.prepare = staticmethod(prepare)
    _Worker.context = context
    _Worker.work = None
    prepare_libraries()


def do_job(job: Any) -> Any:
    """Do a job in a process that has begun as a worker; the first prepares it."""
    # Not prepared in `begin_worker`, where an exception would break a pool of processes.
    if _Worker.work is None:
        _Worker.work = staticmethod(_Worker.prepare(_Worker.context))
    return _Worker.work(job)


def prepare_libraries() -> None:
    """One thread per process: OpenCV's own threads slow 64×64 patches down."""
    import cv2

    cv2.setNumThreads(0)


class _Worker:
    """What this process holds between jobs."""

    prepare: Callable[[Any], Callable[[Any], Any]]
    context: Any
    work: Callable[[Any], Any] | None = None
