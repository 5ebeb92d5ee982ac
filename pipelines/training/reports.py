"""What became of distorters, and how far the training of a zoo is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.pipelines.training.plan import ZooPlan
from bapps_gen.storage.atomic import write_error

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class DistorterReport:
    """What became of one distorter.

    Args:
        id: its id.
        seconds: training and evaluation.
        record: of its file; None if it failed.
        failure: why, if it failed.
    """

    id: str
    seconds: float
    record: Mapping[str, Any] | None
    failure: str | None = None

    @property
    def verdict(self) -> str:
        """ "ok", "identity", "ruin", "off-color" or "failed"."""
        return "failed" if self.record is None else str(self.record["held_out"]["verdict"])


@dataclass(frozen=True, slots=True)
class ZooReport:
    """What a run did: reports of distorters tried now, and ids of those that were there before."""

    reports: tuple[DistorterReport, ...]
    kept: tuple[str, ...]
    source_failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ZooProgress:
    """How far a whole zoo is.

    Args:
        share: of the work of all wanted distorters, those from before included, in [0, 1].
        finished: distorters trained, from before or now.
        failed: distorters that failed.
        total: distorters wanted.
        images: crops seen in this run.
    """

    share: float
    finished: int
    failed: int
    total: int
    images: int


class SeenImages:
    """Numbers of crops seen, one for each distorter, in a small file that workers share.

    Written and read as bytes of a file, not mapped: on a network file system, nodes that map the
    same page undo each other's numbers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def counts(self) -> NDArray[np.int64]:
        """The numbers of all distorters, (N,)."""
        return np.fromfile(self._path, np.int64)

    def mark(self, index: int, images: int) -> None:
        """Set the number of one distorter."""
        # Only for display: no reason to stop a training.
        with contextlib.suppress(OSError), open(self._path, "r+b", buffering=0) as file:
            file.seek(index * 8)
            file.write(np.int64(images).tobytes())

    @classmethod
    def create(cls, path: Path, count: int) -> SeenImages:
        """A new file, with zeros.

        Raises:
            WorkError: when it cannot be written.
        """
        try:
            np.zeros(count, np.int64).tofile(path)
        except OSError as error:
            raise write_error(path, error) from error
        return cls(path)


@contextlib.contextmanager
def reporting(
    progress: Callable[[ZooProgress], None] | None,
    plan: ZooPlan,
    kept: Sequence[str],
    reports: Sequence[DistorterReport],
    seen: SeenImages,
) -> Iterator[None]:
    """Call `progress` twice a second, from a thread: training in this process leaves it no time.

    Args:
        kept: ids of distorters that were there before.
        reports: of those done now; it grows meanwhile.
        seen: of the plan's distorters, in order.
    """
    if progress is None:
        yield
        return
    costs = np.array([plan.cost(spec) for spec in plan.specs])
    images = np.array([plan.settings[spec.id].images for spec in plan.specs])
    done_before = np.array([spec.id in kept for spec in plan.specs])
    indices = {spec.id: index for index, spec in enumerate(plan.specs)}
    over = threading.Event()

    def report() -> None:
        counts = seen.counts()
        shares = np.where(done_before, 1.0, counts / images)
        for item in tuple(reports):
            shares[indices[item.id]] = 1.0
        failed = sum(item.failure is not None for item in tuple(reports))
        progress(
            ZooProgress(
                share=float((shares * costs).sum() / costs.sum()),
                finished=len(kept) + len(reports) - failed,
                failed=failed,
                total=len(plan.specs),
                images=int(counts.sum()),
            )
        )

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            report()

    thread = threading.Thread(target=watch, daemon=True)
    report()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        report()
