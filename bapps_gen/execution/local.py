"""Jobs in parallel processes on this machine, started afresh ("spawn")."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from bapps_gen.errors import WorkError
from bapps_gen.execution.progress import listen
from bapps_gen.execution.workers import begin_worker, do_job

_LOOK_SECONDS = 0.2  # between looks at how far jobs are
_QUEUED = 2  # jobs queued for each worker, so that none waits and few are lost on Ctrl-C


def run_in_processes(
    prepare: Callable[[Any], Callable[[Any], Any]],
    context: Any,
    jobs: Sequence[Any],
    workers: int,
    advanced: Callable[[float], None] | None = None,
) -> Iterator[Any]:
    """As `run_jobs`, over `workers` processes.

    Raises:
        WorkError: when a worker process is killed, for example for lack of memory.
    """
    spawn = multiprocessing.get_context("spawn")
    done = spawn.Value("d", 0.0)
    pool = _Processes(
        workers,
        mp_context=spawn,
        initializer=_start_worker,
        initargs=(prepare, context, done),
    )

    def look() -> None:
        if advanced:
            # Without its lock, which a worker may have held when it was killed.
            advanced(done.get_obj().value)

    processes: list[Any] = []
    try:
        for result in _completed(pool, jobs, workers * _QUEUED, look):
            processes = list((pool._processes or {}).values())
            yield result
    except BrokenProcessPool:
        raise WorkError(
            "a worker process was killed, perhaps for lack of memory; "
            "run the same command again to resume, with fewer --workers if it happens again"
        ) from None
    except BaseException:
        # A shard takes longer than anybody who pressed Ctrl-C will wait; it is made again.
        for process in processes or list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _completed(
    pool: ProcessPoolExecutor, jobs: Iterable[Any], ahead: int, look: Callable[[], None]
) -> Iterator[Any]:
    waiting = iter(jobs)
    running: set[Future[Any]] = {pool.submit(do_job, job) for job in islice(waiting, ahead)}
    while running:
        done, running = wait(running, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
        look()
        running |= {pool.submit(do_job, job) for job in islice(waiting, len(done))}
        for future in done:
            yield future.result()


class _Processes(ProcessPoolExecutor):
    """Local processes that ignore Ctrl-C from their first instant.

    A terminal sends SIGINT to workers too, and one that still imports its modules would print a
    traceback. A process inherits the signal mask of the thread that starts it, and submitting is
    what starts processes. A SIGINT that comes meanwhile reaches this process right after.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _without_program():
                return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_PROGRAM = ("__spec__", "__file__")  # by which a new process would find the program
_starting = threading.Lock()


@contextlib.contextmanager
def _without_program() -> Iterator[None]:
    """Let processes start without running the program that started this one once more.

    `multiprocessing` does that so that jobs may be functions of the program. Ours are all of this
    package, and programs need no `if __name__ == "__main__":` to use it with several workers.
    """
    program = vars(sys.modules["__main__"])
    with _starting:
        hidden = {name: program[name] for name in _PROGRAM if name in program}
        program.update(dict.fromkeys(_PROGRAM))
        try:
            yield
        finally:
            for name in _PROGRAM:
                del program[name]
            program.update(hidden)


def _start_worker(prepare: Callable[[Any], Callable[[Any], Any]], context: Any, done: Any) -> None:
    def add(amount: float) -> None:
        with done.get_lock():
            done.value += amount

    begin_worker(prepare, context)
    listen(add)
    # The parent alone answers Ctrl-C; it then ends its workers. Blocked until now (_Processes).
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
