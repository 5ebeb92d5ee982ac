"""Jobs on a Ray cluster: actors that prepare once, and keep their caches and their GPU.

Ray restarts an actor whose process or node dies, and retries the job that it was at.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bapps_gen.errors import UserError, WorkError, one_line
from bapps_gen.execution.ray_cluster import capacity, connect, raise_mismatch
from bapps_gen.execution.ray_node import requirements
from bapps_gen.execution.workers import RayCluster
from bapps_gen.storage.locations import Location

logger = logging.getLogger(__name__)

MAX_RETRIES = 3
"""How often a job whose worker dies is retried before it is given up; our own choice."""

_LOOK_SECONDS = 10.0  # between looks at the cluster, which may have grown
_PATIENCE_SECONDS = 30.0  # without a worker, before a line says what is waited for
_END_SECONDS = 10.0  # for workers that were stopped to be gone
_GRACE_SECONDS = 0.5  # Ray reports a worker dead a moment before its process is gone


def run_on_cluster(
    prepare: Callable[[Any], Callable[[Any], Any]],
    context: Any,
    jobs: Sequence[Any],
    cluster: RayCluster,
    shared: Iterable[str | Location] = (),
) -> Iterator[Any]:
    """As `run_jobs`, over the workers of a Ray cluster; when this ends, no worker is left.

    Raises:
        UserError: as `connect`.
        WorkError: as `connect`; when a node does not fit, or a job kills every worker.
    """
    connect(cluster)
    import ray  # after `connect`, which keeps it quiet

    actors = _Actors(cluster, prepare, context, shared)
    waiting = deque(jobs)
    running: dict[Any, Any] = {}  # reference of an outcome -> the actor that works on it
    idle: list[Any] = []
    outcomes: list[bytes] = []
    try:
        while waiting or running:
            while waiting and len(running) < actors.limit():
                actor = idle.pop() if idle else actors.create()
                running[actors.give(actor, waiting.popleft())] = actor
            while idle:  # so that those that wait to restart have room
                _kill(idle.pop())
            yield from map(_result, outcomes)  # while the workers are busy
            actors.await_first()
            done, _ = ray.wait(list(running), timeout=_LOOK_SECONDS)
            outcomes = []
            for reference in done:
                outcome, restarted = _fetch(reference)
                outcomes.append(outcome)
                actor = running.pop(reference)
                if restarted:
                    logger.warning(
                        "a worker on the Ray cluster died; its job was retried on a new one"
                    )
                    _kill(actor)  # Ray counts restarts by actor, and the next starts from 0
                else:
                    idle.append(actor)
        yield from map(_result, outcomes)
    finally:
        _stop([*idle, *running.values()], list(running))


class _Actors:
    """Creates workers on a cluster, as many at a time as it has the capacity for."""

    def __init__(
        self,
        cluster: RayCluster,
        prepare: Callable[[Any], Callable[[Any], Any]],
        context: Any,
        shared: Iterable[str | Location],
    ) -> None:
        import ray

        self._cluster = cluster
        payload = ray.put(pickle.dumps((prepare, context), pickle.HIGHEST_PROTOCOL))
        # In a tuple a reference is passed on as it is; a worker fetches the payload once.
        self._start = requirements(shared), (payload,)
        self._class = ray.remote(_worker_class()).options(
            num_cpus=cluster.num_cpus,
            num_gpus=cluster.num_gpus,
            scheduling_strategy="SPREAD",
            max_restarts=MAX_RETRIES,
            max_task_retries=-1,  # as long as the actor is restarted
        )
        self._ready: list[Any] | None = []
        self._capacity, self._looked = capacity(cluster), time.monotonic()

    def create(self) -> Any:
        """A new actor; it waits for a node with room for it."""
        actor = self._class.remote()
        if self._ready is not None:
            self._ready.append(actor.__ray_ready__.remote())
        return actor

    def give(self, actor: Any, job: Any) -> Any:
        """Have an actor do a job; gives the reference of the outcome."""
        return actor.work.remote(*self._start, pickle.dumps(job, pickle.HIGHEST_PROTOCOL))

    def limit(self) -> int:
        """Most jobs at a time; the cluster may have grown or shrunk since the last look.

        Raises:
            WorkError: when no node is left that can do a job.
        """
        if self._cluster.workers is not None:
            return self._cluster.workers
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            try:
                self._capacity = capacity(self._cluster)
            except UserError as error:
                raise WorkError(f"{error}; then run the same command again to resume") from None
            self._looked = time.monotonic()
        return self._capacity

    def await_first(self) -> None:
        """Wait for the first worker to start, and log a line where that takes long."""
        import ray

        if self._ready is None:
            return
        started, _ = ray.wait(self._ready, timeout=_PATIENCE_SECONDS)
        if not started:
            logger.warning(
                "no worker on the Ray cluster yet: its cores or GPUs are in use; see `ray status`"
            )
        self._ready = None


def _worker_class() -> type:
    class BappsGenWorker:
        """Sent by value, being local: the node may have no bapps-gen to import it from."""

        # The node is checked with the first job: a worker that dies of it uses up its retries.
        def work(
            self, requirements: Any, payload: tuple[Any], job: bytes
        ) -> tuple[bytes, bool] | tuple[str, str]:
            try:
                from bapps_gen.execution import ray_node
            except ImportError as error:
                import socket

                return socket.gethostname(), str(error)
            return ray_node.work(requirements, payload, job)

    return BappsGenWorker


def _fetch(reference: Any) -> tuple[bytes, bool]:
    """What `ray_node.work` returned.

    Raises:
        WorkError: when the worker failed or died, or its node lacks this package.
    """
    import ray

    try:
        outcome, restarted = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # not of the job itself, whose errors are outcomes
        raise WorkError(f"a worker on the Ray cluster failed: {one_line(error)[-300:]}") from None
    except ray.exceptions.RayError as error:
        raise WorkError(
            f"a job on the Ray cluster was given up: {MAX_RETRIES + 1} workers ended before it "
            f"was done, and the last {_reason(error)}; run the same command again to resume, with "
            "fewer --workers or on nodes with more memory if it happens again"
        ) from None
    if isinstance(outcome, str):
        raise_mismatch((outcome, restarted))
    return outcome, restarted


def _result(outcome: bytes) -> Any:
    """The result of a job; raises the exception that the job raised."""
    done, value = pickle.loads(outcome)
    if not done:
        raise value
    return value


def _stop(actors: Sequence[Any], running: Sequence[Any]) -> None:
    """Kill the workers, and wait until none writes any more."""
    import ray

    for actor in actors:
        _kill(actor)
    if running:
        with contextlib.suppress(ray.exceptions.RayError):  # the whole cluster may be gone
            ray.wait(list(running), num_returns=len(running), timeout=_END_SECONDS)
        time.sleep(_GRACE_SECONDS)


def _kill(actor: Any) -> None:
    import ray

    with contextlib.suppress(Exception):  # it may be gone already, or the whole cluster
        ray.kill(actor)


def _reason(error: BaseException) -> str:
    """What became of a worker, in a few words; Ray's own take a screen."""
    if "OutOfMemory" in type(error).__name__ or "memory" in str(error):
        return "was killed for lack of memory"
    return "was lost with its node" if "its node has died" in str(error) else "died"
