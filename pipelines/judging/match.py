"""Judgments in the original folder layout, brought back to the dataset that was exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import pixel_hash
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.judgements import JudgementsInfo
from bapps_gen.manifests.shard_judgements import Judgment
from bapps_gen.pipelines.datasets.judged import RawFile, answers_file
from bapps_gen.pipelines.datasets.listed_judgments import listed_judgments
from bapps_gen.pipelines.datasets.original import (
    OriginalSet,
    find_sets,
    read_judgment,
    read_row,
)
from bapps_gen.pipelines.judging.judge import judge_by_fractions, task_of

_ROWS = 200
Hashes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Context:
    original: OriginalSet
    patch_size: int


def judge_by_original(
    dataset: Dataset,
    folder: Path,
    workers: Workers,
    *,
    in_shards: bool = True,
    replaces: bool = False,
    progress: Progress | None = None,
) -> JudgementsInfo:
    """Judge a dataset's rows by sets in the original layout, such as its own export.

    Rows are found by the hashes of their pixels, so that names and order of files do not matter.
    Numbers of people come from the export's `manifest.csv`, where it has the same fraction, and
    from its `judgements.json`, whether simulated observers judged.

    Args:
        dataset: whole; a recipe will do.
        folder: of a set, or one above several.
        workers: worker processes that read the pictures.
        in_shards, replaces: see `write_judgments`.
        progress: called with rows read, and in all.

    Raises:
        UserError: when there is no set, or one of the other task or with pictures that the dataset
            does not have; or as `write_judgments`.
        WorkError: as `write_judgments`.
    """
    task, known = task_of(dataset), _ids_by_hashes(dataset)
    judgments: dict[str, Judgment] = {}
    raw: list[RawFile] = []
    simulated = False
    for original in find_sets(folder):
        if original.task != task:
            raise UserError(
                f"{original.folder} is a {original.task} set and {dataset.folder} holds "
                f"{dataset.info.unit}; give sets of one task"
            )
        found = _match(dataset, original, known, workers, progress)
        judgments |= found
        simulated |= original.simulated
        raw.append(answers_file(dataset.info, original.name, found))
    return judge_by_fractions(
        dataset, judgments, raw, simulated=simulated, in_shards=in_shards, replaces=replaces
    )


def _ids_by_hashes(dataset: Dataset) -> dict[Hashes, list[str]]:
    names = [f"{patch}_hash" for patch in dataset.info.patches]
    known: dict[Hashes, list[str]] = {}
    for batch in dataset.batches(["id", *names], 10_000):
        columns = (batch.column(name).to_pylist() for name in names)
        ids = batch.column("id").to_pylist()
        for name, hashes in zip(ids, zip(*columns, strict=True), strict=True):
            known.setdefault(hashes, []).append(name)
    return known


def _match(
    dataset: Dataset,
    original: OriginalSet,
    known: Mapping[Hashes, list[str]],
    workers: Workers,
    progress: Progress | None,
) -> dict[str, Judgment]:
    """The judgments of a set by id of the dataset's rows."""
    total = len(original.stems)
    ranges = [(first, min(first + _ROWS, total)) for first in range(0, total, _ROWS)]
    context = _Context(original, dataset.info.patch_size)
    rows: dict[int, tuple[Hashes, float]] = {}
    for first, read in run_jobs(_prepare, context, ranges, workers, (original.folder,)):
        rows |= dict(enumerate(read, first))
        if progress:
            progress(len(rows), total)
    listed = listed_judgments(original)
    judgments: dict[str, Judgment] = {}
    missing = [row for row in range(total) if rows[row][0] not in known]
    if missing:
        raise UserError(
            f"{len(missing)} of {total} rows of {original.folder} are not in {dataset.folder}, the "
            f"first {original.stems[missing[0]]}; give the dataset that they were exported from"
        )
    for row in range(total):
        hashes, fraction = rows[row]
        line = listed.get(original.stems[row])
        free = [name for name in known[hashes] if name not in judgments]
        wanted = line.id if line and line.id in free else (free or known[hashes])[0]
        judgments[wanted] = fraction, line.count_of(fraction) if line else None
    return judgments


def _prepare(
    context: _Context,
) -> Callable[[tuple[int, int]], tuple[int, Sequence[tuple[Hashes, float]]]]:
    original = context.original

    def read_rows(rows: tuple[int, int]) -> tuple[int, Sequence[tuple[Hashes, float]]]:
        read = []
        for row in range(*rows):
            patches, _ = read_row(original, row, context.patch_size)
            judgment = read_judgment(original.path(len(patches), row))
            read.append((tuple(map(pixel_hash, patches)), judgment))
        return rows[0], read

    return read_rows
