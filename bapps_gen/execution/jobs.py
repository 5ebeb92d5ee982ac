"""Mapping jobs over processes: in-process, local processes started afresh ("spawn"), or Ray.

All go through the `concurrent.futures.Executor` interface, and none changes what a job gives.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from bapps_gen.errors import WorkError
from bapps_gen.storage.locations import Location

Context = TypeVar("Context")
Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 2  # jobs queued for each worker, so that none waits and few are lost on Ctrl-C


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster that jobs are mapped over.

    Args:
        address: "host:port" of the head, or "auto" for the cluster that this machine is part of.
            None takes that in $RAY_ADDRESS, then this machine's, and starts one here if there is
            none.
        workers: jobs side by side at most; None for as many as the cluster has room for.
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
    """The same place with no more workers than jobs."""
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


def run_jobs(
    prepare: Callable[[Context], Callable[[Job], Result]],
    context: Context,
    jobs: Sequence[Job],
    workers: Workers,
    shared: Iterable[str | Location] = (),
) -> Iterator[Result]:
    """Yield `prepare(context)(job)` for every job, in the order of completion.

    Each worker calls `prepare` once, at its first job, and keeps what it returns. With one
    worker everything happens in this process. Otherwise the context is sent once to each of
    `workers` spawned processes, or to every worker on a Ray cluster. Closing the iterator (or
    Ctrl-C) cancels what has not begun and stops the workers; a worker dies with its parent,
    however that ends.

    A job whose worker on a Ray cluster dies begins again on another, so jobs may be done twice:
    they write files whole or not at all, and the same each time.

    Args:
        shared: files and folders that the jobs use; on a Ray cluster every node has to see them.

    Raises:
        WorkError: when a worker process is killed, for example for want of memory, or a node
            lacks something.
    """
    workers = at_most(workers, len(jobs))
    if not jobs:
        return
    if isinstance(workers, RayCluster):
        from bapps_gen.execution.ray import RayExecutor

        cluster = RayExecutor(workers, prepare, context, shared)
        try:
            yield from _completed(cluster, jobs, cluster.limit() * _AHEAD)
        except BaseException:
            cluster.stop()
            raise
        finally:
            cluster.shutdown(wait=True, cancel_futures=True)
        return
    if workers == 1:
        _prepare_libraries()
        work = prepare(context)
        for job in jobs:
            yield work(job)
        return
    pool = _Processes(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(prepare, context),
    )
    processes: list[Any] = []
    try:
        for result in _completed(pool, jobs, workers * _AHEAD):
            processes = list((pool._processes or {}).values())
            yield result
    except BrokenProcessPool:
        raise WorkError(
            "a worker process was killed, perhaps for want of memory; "
            "run the same command again to resume, with fewer --workers if it happens again"
        ) from None
    except BaseException:
        # A shard takes longer than a person who pressed Ctrl-C will wait; it is made again.
        for process in processes or list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def disconnect() -> None:
    """Let go of a Ray cluster, if this process was connected to one by `run_jobs`."""
    module = sys.modules.get("bapps_gen.execution.ray_cluster")
    if module is not None:
        module.disconnect()


def _completed(pool: Executor, jobs: Iterable[Job], ahead: int) -> Iterator[Any]:
    waiting = iter(jobs)
    running: set[Future[Any]] = {pool.submit(_work, job) for job in islice(waiting, ahead)}
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        running |= {pool.submit(_work, job) for job in islice(waiting, len(done))}
        for future in done:
            yield future.result()


class _Processes(ProcessPoolExecutor):
    """Local processes that Ctrl-C passes by from their first instant.

    A terminal sends SIGINT to workers too, and one that still imports its modules would print a
    traceback. A process inherits the signal mask of the thread that starts it, and submitting is
    what starts processes. A SIGINT that comes meanwhile reaches this process right after.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """What a worker process holds between jobs."""

    prepare: Callable[[Any], Callable[[Any], Any]]
    context: Any
    work: Callable[[Any], Any] | None = None


def begin_worker(prepare: Callable[[Any], Callable[[Any], Any]], context: Any) -> None:
    """Make this process one that does jobs."""
    _Worker.prepare = staticmethod(prepare)
    _Worker.context = context
    _Worker.work = None
    _prepare_libraries()


def _start_worker(prepare: Callable[[Any], Callable[[Any], Any]], context: Any) -> None:
    begin_worker(prepare, context)
    # The parent alone answers Ctrl-C; it then ends its workers. Blocked until now (_Processes).
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _work(job: Any) -> Any:
    # Prepared here and not at the start, where an exception would break the pool.
    if _Worker.work is None:
        _Worker.work = staticmethod(_Worker.prepare(_Worker.context))
    return _Worker.work(job)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _prepare_libraries() -> None:
    """One thread a process: OpenCV's own threads slow 64×64 patches down."""
    import cv2

    cv2.setNumThreads(0)
