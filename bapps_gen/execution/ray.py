"""Jobs on a Ray cluster, by the interface of `concurrent.futures.Executor`.

Workers are Ray actors, one for each job side by side, so that each prepares once and keeps its
caches and its GPU. A job whose worker or node dies begins again on another worker.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from typing import Any

from bapps_gen.errors import UserError, WorkError, one_line
from bapps_gen.execution.jobs import RayCluster
from bapps_gen.execution.ray_cluster import connect, raise_fault, room
from bapps_gen.execution.ray_node import terms
from bapps_gen.storage.locations import Location

logger = logging.getLogger(__name__)

MAX_LOSSES = 3
"""How often a job may lose its worker before it is given up; our own choice."""

_LOOK_SECONDS = 10.0  # between looks at the cluster, which may have grown
_PATIENCE_SECONDS = 30.0  # without a worker, before a line says what is waited for
_END_SECONDS = 10.0  # for workers that were stopped to be gone
_GRACE_SECONDS = 0.5  # Ray calls a worker dead a moment before its process is


@dataclass(eq=False, slots=True)
class _Task:
    future: Future[Any]
    packed: bytes
    losses: int = 0


@dataclass(eq=False, slots=True)
class _Slot:
    """A worker. It starts, is idle, or is at a task."""

    actor: Any
    started: bool = False
    task: _Task | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    slot: _Slot
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class _End:
    """The end is wished: when all is done, when what has begun is done, or at once."""

    cancel: bool
    now: bool = False


class RayExecutor(Executor):
    """Runs functions on workers of a Ray cluster that have begun with a context.

    One thread of this process looks after the workers; every method may be called from any.

    Args:
        cluster: where, how many, and what each asks for.
        prepare: as of `run_jobs`.
        context: as of `run_jobs`; it travels once to every node.
        shared: files and folders that every node must see as they are here.

    Raises:
        UserError, WorkError: as `connect`.
    """

    def __init__(
        self,
        cluster: RayCluster,
        prepare: Callable[[Any], Callable[[Any], Any]],
        context: Any,
        shared: Iterable[str | Location] = (),
    ) -> None:
        connect(cluster)
        import ray  # after `connect`, which keeps it quiet

        self._cluster = cluster
        self._terms = terms(shared)
        self._payload = ray.put(pickle.dumps((prepare, context), pickle.HIGHEST_PROTOCOL))
        self._worker = ray.remote(_worker_class())
        self._events: queue.SimpleQueue[_Task | _Answer | _End] = queue.SimpleQueue()
        self._closed = False
        self._waiting: deque[_Task] = deque()
        self._slots: set[_Slot] = set()
        self._idle: list[_Slot] = []
        self._starting = 0
        self._start_losses = 0
        self._broken: BaseException | None = None
        self._end: _End | None = None
        self._room, self._looked = room(cluster), time.monotonic()
        self._served = self._looked  # when a worker was last there
        self._thread = threading.Thread(target=self._look_after, name="ray-executor", daemon=True)
        self._thread.start()

    def limit(self) -> int:
        """How many jobs go side by side at most."""
        return self._cluster.workers or self._room

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call a function of a module that it can import."""
        if kwargs:
            raise TypeError("give arguments by place, not by name")
        if self._closed:
            raise RuntimeError("the executor has been shut down")
        task = _Task(Future(), pickle.dumps((fn, args), pickle.HIGHEST_PROTOCOL))
        self._events.put(task)
        return task.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers go when all is done; or cancel what has not begun."""
        self._finish(_End(cancel_futures), wait)

    def stop(self) -> None:
        """Kill the workers and wait until they are gone; what is not done is cancelled."""
        self._finish(_End(cancel=True, now=True), wait=True)

    def _finish(self, end: _End, wait: bool) -> None:
        self._closed = True
        self._events.put(end)
        if wait:
            self._thread.join()

    def _look_after(self) -> None:
        """What the thread does; everything below happens in it."""
        try:
            while not self._is_over():
                with contextlib.suppress(queue.Empty):
                    self._take(self._events.get(timeout=_LOOK_SECONDS))
                self._look()
                self._assign()
            if self._end is not None and self._end.now:
                self._stop()
        except BaseException as error:
            self._broken = error
        finally:
            self._release(self._broken or CancelledError())

    def _is_over(self) -> bool:
        if self._broken is not None or self._end is None:
            return self._broken is not None
        return self._end.now or not (self._waiting or self._busy())

    def _busy(self) -> int:
        return len(self._slots) - len(self._idle) - self._starting

    def _take(self, event: _Task | _Answer | _End) -> None:
        if isinstance(event, _Task):
            self._waiting.append(event)
        elif isinstance(event, _End):
            self._end = event
            if event.cancel:
                while self._waiting:
                    self._waiting.popleft().future.cancel()
        elif event.slot in self._slots:
            self._hear(event.slot, event.future)

    def _hear(self, slot: _Slot, answer: Future[Any]) -> None:
        task, slot.task = slot.task, None
        error = answer.exception()
        if error is not None:
            self._lose(slot, task, error)
        elif task is None:
            raise_fault(answer.result())
            self._starting -= 1
            self._start_losses = 0
            slot.started = True
            self._idle.append(slot)
        else:
            self._idle.append(slot)
            done, value = pickle.loads(answer.result())
            if done:
                task.future.set_result(value)
            else:
                task.future.set_exception(value)

    def _lose(self, slot: _Slot, task: _Task | None, error: BaseException) -> None:
        """A worker is gone; its task begins again, unless it has lost too many."""
        import ray

        self._slots.discard(slot)
        _kill(slot)
        if isinstance(error, ray.exceptions.RayTaskError):  # by no fault of a job: those answer
            raise WorkError(f"a worker on the Ray cluster failed: {one_line(error)[-300:]}")
        reason = _reason(error)
        if task is None:
            self._starting -= 1
            self._start_losses += 1
            if self._start_losses > MAX_LOSSES:
                raise WorkError(
                    f"{self._start_losses} workers on the Ray cluster ended before they could "
                    f"begin, and the last {reason}; see `ray status` and the logs of Ray, then "
                    "run the same command again to resume"
                )
            return
        task.losses += 1
        if task.losses > MAX_LOSSES:
            task.future.set_exception(
                WorkError(
                    f"a job on the Ray cluster was given up: {task.losses} workers ended before "
                    f"it was done, and the last {reason}; run the same command again to resume, "
                    "with fewer --workers or on nodes with more memory if it happens again"
                )
            )
            return
        logger.warning("a worker on the Ray cluster %s; its job begins again on another", reason)
        self._waiting.appendleft(task)

    def _look(self) -> None:
        """See from time to time how large the cluster is, and whether any worker is there."""
        now = time.monotonic()
        if len(self._slots) > self._starting or not self._waiting:
            self._served = now
        elif now - self._served > _PATIENCE_SECONDS:
            logger.warning(
                "no worker on the Ray cluster yet: its cores or GPUs are in use; see `ray status`"
            )
            self._served = float("inf")  # said once
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            try:
                self._room = room(self._cluster)
            except UserError as error:
                raise WorkError(f"{error}; then run the same command again to resume") from None

    def _assign(self) -> None:
        while self._waiting and self._idle:
            task = self._waiting.popleft()
            if task.losses or task.future.set_running_or_notify_cancel():
                slot = self._idle.pop()
                slot.task = task
                self._ask(slot, slot.actor.work.remote(task.packed))
        more = min(self.limit() - len(self._slots), len(self._waiting) - self._starting)
        for _ in range(more):
            slot = _Slot(
                self._worker.options(
                    num_cpus=self._cluster.num_cpus,
                    num_gpus=self._cluster.num_gpus,
                    scheduling_strategy="SPREAD",
                ).remote()
            )
            self._slots.add(slot)
            self._starting += 1
            self._ask(slot, slot.actor.start.remote(self._terms, self._payload))

    def _ask(self, slot: _Slot, reference: Any) -> None:
        future: Future[Any] = reference.future()
        future.add_done_callback(lambda done: self._events.put(_Answer(slot, done)))

    def _stop(self) -> None:
        """Kill what works, and wait until it is gone: nothing may write when this returns."""
        for slot in self._slots:
            _kill(slot)
        deadline = time.monotonic() + _END_SECONDS
        left = {slot for slot in self._slots if slot.task is not None}
        while left and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=1.0)
                if isinstance(event, _Answer):
                    left.discard(event.slot)
        time.sleep(_GRACE_SECONDS)

    def _release(self, error: BaseException) -> None:
        """Give the workers back, and leave no future open."""
        for slot in self._slots:
            _kill(slot)
        self._closed = True
        left = [*self._waiting, *(slot.task for slot in self._slots if slot.task is not None)]
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                if isinstance(event, _Task):
                    left.append(event)
        for task in left:
            if not task.future.done():
                task.future.set_exception(error)


def _worker_class() -> type:
    class BappsGenWorker:
        """Sent by value, being local: the node may have no bapps-gen to import it from."""

        def start(self, terms: Mapping[str, Any], payload: bytes) -> str | tuple[str, str] | None:
            try:
                from bapps_gen.execution import ray_node as ray_worker
            except ImportError as error:
                import socket

                return socket.gethostname(), str(error)
            return ray_worker.start(terms, payload)

        def work(self, packed: bytes) -> bytes:
            from bapps_gen.execution import ray_node as ray_worker

            return ray_worker.work(packed)

    return BappsGenWorker


def _kill(slot: _Slot) -> None:
    import ray

    with contextlib.suppress(Exception):  # it may be gone already, or the whole cluster
        ray.kill(slot.actor)


def _reason(error: BaseException) -> str:
    """What became of a worker, in a few words; Ray's own take a screen."""
    if type(error).__name__ == "OutOfMemoryError":
        return "was killed for want of memory"
    return "was lost with its node" if "its node has died" in str(error) else "died"
