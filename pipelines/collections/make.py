"""Making a collection: its sets one after another, resumed where they are missing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bapps_gen.errors import BappsGenError, one_line
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import Progress, part_of
from bapps_gen.manifests.collection import (
    COLLECTION,
    CollectionInfo,
    SetRecord,
    SourceRecord,
    is_collection,
    open_collection,
    refreshed,
    write_collection,
)
from bapps_gen.manifests.origin import public_name
from bapps_gen.pipelines.collections.card import write_collection_card
from bapps_gen.pipelines.collections.names import (
    portable_command,
    portable_text,
    public_options,
)
from bapps_gen.pipelines.collections.plan import CollectionPlan, PlannedSet
from bapps_gen.pipelines.datasets.generate import GenerateReport, generate
from bapps_gen.storage.atomic import write_error
from bapps_gen.storage.workspace import claim
from bapps_gen.version import __version__


@dataclass(frozen=True, slots=True)
class SetReport:
    """What a run did for one set: either a report of its making or a problem."""

    planned: PlannedSet
    report: GenerateReport | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """What a run did, and where the data card lies (next to one that a user has edited)."""

    sets: tuple[SetReport, ...]
    info: CollectionInfo
    card: Path

    @property
    def problems(self) -> dict[str, str]:
        """Reasons by path of sets that are not whole."""
        return {done.planned.entry.path: done.problem for done in self.sets if done.problem}


def make_collection(
    plan: CollectionPlan,
    workers: Workers,
    progress: Progress | None = None,
    started: Callable[[PlannedSet], None] | None = None,
    finished: Callable[[SetReport], None] | None = None,
    command: str = "",
    check: str | None = None,
) -> CollectionReport:
    """Make the sets of a plan, or what is missing of them, with `collection.json` and a data card.

    A set that fails stops no other. Both files are written after every set, however it ends.

    Args:
        progress: called with rows done and rows in all, over all sets.
        started: called before every set.
        finished: called after every set.
        command: that was run, for the card.
        check: how closely whole shards are looked at before they are kept; see `fill_shards`.

    Raises:
        UserError: when another run is at work in the folder.
        WorkError: when the folder cannot be written.
    """
    with claim(plan.folder, COLLECTION):
        manifest = Manifest(plan, command)
        card = manifest.write()
        total = sum(item.kept + item.missing_rows for item in plan.sets)
        done = sum(item.kept for item in plan.sets)
        if progress:
            progress(done, total)
        reports = []
        for item in plan.sets:
            if started:
                started(item)

            try:
                report = _make(item, workers, part_of(progress, done - item.kept, total), check)
            except BaseException:  # stopped: what is there is recorded all the same
                with contextlib.suppress(BappsGenError):
                    manifest.update(item.entry.path, None)
                    manifest.write()
                raise
            if report.report is None:
                total -= item.missing_rows
            else:
                done += item.missing_rows
            manifest.update(item.entry.path, report.problem)
            card = manifest.write()
            reports.append(report)
            if finished:
                finished(report)
        return CollectionReport(tuple(reports), manifest.info, card)


def _make(
    planned: PlannedSet, workers: Workers, progress: Progress | None, check: str | None
) -> SetReport:
    if planned.problem:
        return SetReport(planned, None, planned.problem)
    try:
        report = generate(planned.folder, planned.resolve(workers), workers, progress, check)
    except BappsGenError as error:
        return SetReport(planned, None, one_line(error))
    except OSError as error:
        return SetReport(planned, None, one_line(write_error(planned.folder, error)))
    return SetReport(planned, report, None)


def _public(record: SetRecord) -> SetRecord:
    """A set's record without the places of files and folders."""
    return replace(record, options=public_options(record.options))


class Manifest:
    """What `collection.json` and the data card say, kept up to date with what is on disk."""

    def __init__(self, plan: CollectionPlan, command: str) -> None:
        spec, folder = plan.spec, plan.folder
        held = open_collection(folder).info if is_collection(folder) else None
        records = {record.path: _public(record) for record in held.sets} if held else {}
        sources = {
            name: replace(source, roots=tuple(map(public_name, source.roots)))
            for name, source in (held.sources.items() if held else ())
        }
        chosen = {item.entry.path for item in plan.sets}
        for values in spec.values()["sets"]:
            if values["path"] in chosen or values["path"] not in records:
                records[values["path"]] = _public(SetRecord(**values))
        for name, source in plan.sources.items():
            entry = spec.sources[name]
            sources[name] = SourceRecord(
                tuple(map(public_name, source.roots)),
                entry.split,
                entry.val_fraction if entry.split else None,
                len(source),
                source.digest,
            )
        self._folder = folder
        self._records = {path: refreshed(folder / path, record) for path, record in records.items()}
        for item in plan.sets:
            self.update(item.entry.path, item.problem)
        self._info = CollectionInfo(
            name=spec.name,
            seed=spec.seed,
            scale=spec.scale,
            digest=spec.digest,
            version=__version__,
            command=portable_command(command),
            sets=(),
            left_out={path: why for path, why in spec.left_out if path not in records},
            sources=sources,
            shared_photos=max(plan.shared_photos, held.shared_photos if held else 0),
        )

    @property
    def info(self) -> CollectionInfo:
        """Of the collection as it is now."""
        return replace(self._info, sets=tuple(self._records.values()))

    def update(self, path: str, problem: str | None) -> None:
        """Look again at what there is of a set."""
        problem = None if problem is None else portable_text(problem)
        record = replace(self._records[path], problem=problem)
        self._records[path] = refreshed(self._folder / path, record)

    def write(self) -> Path:
        """Write both, and return where the card is."""
        write_collection(self._folder, self.info)
        return write_collection_card(self._folder, self.info)
