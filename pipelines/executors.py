"""Mapping jobs over processes: in-process, or local processes started afresh ("spawn").

Anything with the `concurrent.futures.Executor` interface can stand in for the local pool.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from bapps_gen.errors import WorkError

Context = TypeVar("Context")
Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 2  # jobs queued for each worker, so that none waits and few are lost on Ctrl-C


def available_cores() -> int:
    """Number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def run_jobs(
    prepare: Callable[[Context], Callable[[Job], Result]],
    context: Context,
    jobs: Iterable[Job],
    workers: int,
) -> Iterator[Result]:
    """Yield `prepare(context)(job)` for every job, in the order of completion.

    Each worker calls `prepare` once, at its first job, and keeps what it returns. With one
    worker everything happens in this process. Otherwise the context is sent once to each of
    `workers` spawned processes. Closing the iterator (or Ctrl-C) cancels what has not begun and
    stops the workers; a worker dies with its parent, however that ends.

    Raises:
        WorkError: when a worker process is killed, for example for want of memory.
    """
    if workers == 1:
        _prepare_libraries()
        work = prepare(context)
        for job in jobs:
            yield work(job)
        return
    pool = ProcessPoolExecutor(
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


def _completed(pool: Executor, jobs: Iterable[Job], ahead: int) -> Iterator[Any]:
    waiting = iter(jobs)
    running: set[Future[Any]] = {pool.submit(_work, job) for job in islice(waiting, ahead)}
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        running |= {pool.submit(_work, job) for job in islice(waiting, len(done))}
        for future in done:
            yield future.result()


class _Worker:
    """What a worker process holds between jobs."""

    prepare: Callable[[Any], Callable[[Any], Any]]
    context: Any
    work: Callable[[Any], Any] | None = None


def _start_worker(prepare: Callable[[Any], Callable[[Any], Any]], context: Any) -> None:
    _Worker.prepare = staticmethod(prepare)
    _Worker.context = context
    # The parent alone answers Ctrl-C; it then ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _prepare_libraries()


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
