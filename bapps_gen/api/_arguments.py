"""What arguments of the public functions stand for: workers, photos, zoos, and progress."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bapps_gen.checks import check_range, options_of, or_list
from bapps_gen.errors import unknown_name
from bapps_gen.execution.jobs import RayCluster, available_cores
from bapps_gen.execution.progress import Progress
from bapps_gen.storage.locations import Location, location_of
from bapps_gen.storage.url import Url

if TYPE_CHECKING:
    from bapps_gen.pipelines.sources.source import Source

Record = TypeVar("Record")

AnyPath = str | os.PathLike[str] | Url
"""A local path or a URL such as "s3://bucket/set"."""

LocalPath = str | os.PathLike[str]

Names = LocalPath | Sequence[LocalPath]
"""One name or several; of metrics, some are paths of files."""

Photos = AnyPath | Sequence[AnyPath]
"""Folders of images, images, Parquet files or tar shards; () for scikit-image's photographs."""

AnyProgress = bool | Progress
"""True draws a bar on stderr; a function is called with (done, total)."""

AnyWorkers = int | RayCluster | None
"""So many processes on this machine, a Ray cluster, or None for all cores."""

MAX_WORKERS = 1024
MAX_CLUSTER_WORKERS = 100_000


def resolve_workers(workers: AnyWorkers) -> int | RayCluster:
    """The workers that an argument stands for. A Ray cluster is connected to.

    Raises:
        UserError: when the number is not from 1 to 1024, or to 100,000 on a cluster, or the
            cluster cannot be used.
        WorkError: when a node of the cluster cannot do the work.
    """
    if workers is None:
        return available_cores()
    if isinstance(workers, RayCluster):
        if workers.workers is not None:
            check_range("workers", workers.workers, 1, MAX_CLUSTER_WORKERS, whole=True)
        from bapps_gen.execution.ray_cluster import connect

        connect(workers)
        return workers
    check_range("workers", workers, 1, MAX_WORKERS, whole=True)
    return workers


def several(given: Any) -> tuple[Any, ...]:
    """One text, path, URL or open dataset, or several of them, as a tuple."""
    is_one = isinstance(given, str | os.PathLike | Url) or hasattr(given, "folder")
    return (given,) if is_one else tuple(given)


def locations(paths: Photos) -> tuple[Location, ...]:
    """One path or several as a tuple."""
    return tuple(map(location_of, several(paths)))


def folders(datasets: Any) -> list[Location]:
    """The folders of one dataset or several, open or named."""
    each = several(datasets)
    return [entry.folder if hasattr(entry, "folder") else location_of(entry) for entry in each]


def names(given: Names) -> tuple[str, ...]:
    """One name or several as a tuple of texts."""
    return tuple(map(os.fspath, several(given)))


def plain(value: Any) -> Any:
    """A value with its paths and URLs as texts, as requests have them; secrets stay in URLs."""
    if isinstance(value, Url):
        return value.full
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value


def resolve_options(record: type[Record], arguments: Mapping[str, Any], **more: Any) -> Record:
    """A record of options from the arguments of a public function that are named as they are.

    Args:
        record: a dataclass whose fields are `Option`s.
        arguments: by name, as `locals()` gives them; those that are no options are passed over.
        more: fields of the record that are no options.

    Raises:
        UserError: as the record does.
    """
    given = dict(more)
    for entry, option in options_of(record):
        if entry.name in arguments:
            value = arguments[entry.name]
            given[entry.name] = plain(several(value) if option.type == "names" else value)
    return record(**given)


def require_known(given: Mapping[str, Any], record: type[Any], what: str) -> None:
    """Raise UserError unless all names are fields of a record; `what` they are, for the error."""
    known = list(record.__dataclass_fields__)
    for name in given:
        if name not in known:
            raise unknown_name(what, name, known, f"use {or_list(known)}")


def local(path: LocalPath | None) -> Path | None:
    """A local path, or None."""
    return None if path is None else Path(path)


def open_photos(source: Photos, progress: AnyProgress = False, **split: Any) -> Source:
    """Open photos, with a bar while they are hashed where progress is True.

    Args:
        source: the photos.
        progress: True for a bar.
        split: values of `SplitOptions`.
    """
    from bapps_gen.pipelines.sources.source import open_source

    with stage(progress, "reading the source", "images") as hashed:
        return open_source(locations(source), progress=hashed, **split)


def check_writable(folder: Location) -> None:
    """Raise UserError for a URL that cannot be written to, before anything is loaded."""
    if isinstance(folder, Url):
        folder.check_writable()
        folder.exists()  # raises where there is no bucket, no right or no connection


@contextlib.contextmanager
def bar(what: str, unit: str, *, terminal_only: bool = False) -> Iterator[Progress]:
    """A bar on stderr with rate and time left; gives the function that it listens to.

    Args:
        what: is being done.
        unit: of what is counted.
        terminal_only: draw nothing where stderr is not a terminal.
    """
    from tqdm import tqdm

    with tqdm(
        desc=what,
        unit=f" {unit}",
        disable=None if terminal_only else False,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
    ) as drawn:

        def report(done: int, total: int) -> None:
            if drawn.total is None:
                drawn.initial = done  # what was there already is no part of the rate
            drawn.total = total
            drawn.update(done - drawn.n)

        yield report


def reporting(
    progress: AnyProgress, what: str, unit: str
) -> contextlib.AbstractContextManager[Progress | None]:
    """The function that a run reports to: the one given, that of a bar, or None."""
    if callable(progress):
        return contextlib.nullcontext(progress)
    return bar(what, unit) if progress else contextlib.nullcontext()


def stage(
    progress: AnyProgress, what: str, unit: str
) -> contextlib.AbstractContextManager[Progress | None]:
    """As `reporting`, for what comes before the work itself: functions do not hear of it."""
    return reporting(progress is True, what, unit)
