"""Subsets and merged sets: rows chosen from datasets, with their ids, judgments and distances."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.dataset import (
    DATA_FOLDER,
    Dataset,
    DatasetInfo,
    SelectionInfo,
    write_info,
)
from bapps_gen.manifests.origin import part_folder
from bapps_gen.manifests.rows import PATCH_SIZE, ManifestRow
from bapps_gen.manifests.scores import (
    Scores,
    read_scores,
    score_info,
    score_path,
    scored_metrics,
    write_scores,
)
from bapps_gen.manifests.shard_judgements import write_judged_shard
from bapps_gen.pipelines.datasets.card import write_dataset_card
from bapps_gen.pipelines.datasets.judged import carry_judgements
from bapps_gen.pipelines.datasets.kind import Kind
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.selected_rows import digest_of_ids
from bapps_gen.pipelines.datasets.selection_kind import copy_part, merged_origin
from bapps_gen.pipelines.datasets.verify import stored_rows
from bapps_gen.pipelines.datasets.zoo import pinned_distorters
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import make_folder, whole_folder
from bapps_gen.version import __version__

logger = logging.getLogger(__name__)

_BATCH_ROWS = 10_000

RowFilter = Callable[[Dataset], Iterator[NDArray[np.intp]]]
"""Gives the numbers of the chosen rows of a dataset, rising, in runs."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Rows chosen from one dataset: their numbers, rising, and the digests of their specs."""

    dataset: Dataset
    numbers: NDArray[np.intp]
    ids: tuple[str, ...]
    origins: frozenset[str]


def write_subset(
    dataset: Dataset,
    choose: RowFilter,
    out: Path,
    described: str,
    progress: Progress | None = None,
) -> SelectionInfo:
    """Write the rows of a dataset that are chosen, with all that belongs to them.

    Args:
        dataset: whole; a recipe gives a recipe.
        choose: gives the rows.
        out: folder to write, new or empty.
        described: the condition, for the description and for errors.
        progress: called with rows written, and in all.

    Raises:
        UserError: when no row is chosen, or `out` is in use.
        WorkError: when a shard is damaged, or `out` cannot be written.
    """
    dataset.require_whole()
    numbers = np.concatenate([np.empty(0, np.intp), *choose(dataset)])
    if not len(numbers):
        raise UserError(
            f"where = {described} holds for none of the {dataset.info.rows} rows of "
            f"{dataset.folder}; widen it"
        )
    history = f"{len(numbers)} of {dataset.info.rows} {dataset.info.unit}, where {described}"
    return _write(out, [_choose(dataset, numbers)], history, progress)


def write_merged(
    datasets: Sequence[Dataset], out: Path, progress: Progress | None = None
) -> SelectionInfo:
    """Write the rows of several datasets as one, in their order.

    Args:
        datasets: two or more, whole, all of triplets or all of pairs.
        out: folder to write, new or empty.
        progress: called with rows written, and in all.

    Raises:
        UserError: when they cannot be one dataset: of triplets and of pairs, with and without
            pictures, with a row in two of them, or with CNN distorters of two zoos; or `out` is
            in use.
        WorkError: when a shard is damaged, or `out` cannot be written.
    """
    if len(datasets) < 2:
        raise UserError("merge takes two datasets or more; name another")
    first = datasets[0]
    for other in datasets[1:]:
        _check_alike(first, other)
    for dataset in datasets:
        dataset.require_whole()
    chosen = [_choose(dataset, np.arange(dataset.info.rows)) for dataset in datasets]
    seen: dict[str, Dataset] = {}
    for part in chosen:
        repeated = next((name for name in part.ids if name in seen), None)
        if repeated is not None:
            count = sum(name in seen for name in part.ids)
            rows = f"row {repeated} is"
            if count > 1:
                rows = f"rows {repeated} and {count - 1} more are"
            raise UserError(
                f"{rows} in {seen[repeated].folder} and in "
                f"{part.dataset.folder}; leave them out of one with `bapps-gen subset`"
            )
        seen |= dict.fromkeys(part.ids, part.dataset)
    sizes = " and ".join(f"{len(part.ids)} {part.dataset.info.kind}" for part in chosen)
    return _write(out, chosen, f"merged {first.info.unit}: {sizes}", progress)


def _check_alike(first: Dataset, other: Dataset) -> None:
    """Raise UserError unless two datasets can be one."""
    if first.info.unit != other.info.unit:
        raise UserError(
            f"{first.folder} holds {first.info.unit} and {other.folder} {other.info.unit}; merge "
            "triplets with triplets and pairs with pairs"
        )
    if first.info.patch_size != other.info.patch_size:
        raise UserError(
            f"{first.folder} has patches of {first.info.patch_size} px and {other.folder} of "
            f"{other.info.patch_size} px; merge sets of one size"
        )
    if first.info.pictures != other.info.pictures:
        recipe = other if first.info.pictures else first
        raise UserError(
            f"{recipe.folder} is a recipe and the other is not; make its pictures with "
            "`bapps-gen replay`"
        )


def _choose(dataset: Dataset, numbers: NDArray[np.intp]) -> _Chosen:
    """The ids and origins of some rows of a dataset."""
    ids: list[str] = []
    origins: set[str] = set()
    for batch in dataset.batches(["row", "id", "spec_digest"], _BATCH_ROWS):
        first = batch.column("row")[0].as_py()
        low, high = np.searchsorted(numbers, (first, first + batch.num_rows))
        part = batch.take(pa.array(numbers[low:high] - first, pa.int64()))
        ids += part.column("id").to_pylist()
        origins.update(part.column("spec_digest").unique().to_pylist())
    if len(ids) != len(numbers) or len(set(ids)) != len(ids):
        raise WorkError(f"{dataset.folder} has rows with the same id; verify it")
    return _Chosen(dataset, numbers, tuple(ids), frozenset(origins))


def _write(
    out: Path, chosen: Sequence[_Chosen], history: str, progress: Progress | None
) -> SelectionInfo:
    info = _describe(chosen, history)
    kind_of(info)
    with whole_folder(out) as folder:
        (folder / DATA_FOLDER).mkdir()
        ids = [name for part in chosen for name in part.ids]
        carry_judgements(folder, info, ids, [part.dataset for part in chosen])
        waiting: list[tuple[ManifestRow, tuple[bytes, ...] | None]] = []
        shard = 0

        def write() -> None:
            rows, pngs = zip(*waiting, strict=True)
            write_judged_shard(folder, info, shard, rows, pngs if info.pictures else None)
            waiting.clear()

        for number, (row, pngs) in enumerate(_rows_of(chosen)):
            waiting.append((replace(row, row=number), pngs))
            if len(waiting) == info.rows_in(shard):
                write()
                shard += 1
                if progress:
                    progress(number + 1, info.rows)
        write_info(folder, info)
        written: set[str] = set()
        for part in chosen:
            for kind, described, held in _parts_of(part):
                if described.digest not in written and described.digest in part.origins:
                    written.add(described.digest)
                    copy_part(kind, Dataset(held, described), folder)
        _carry_scores(folder, info, chosen)
        write_dataset_card(folder, info, complete=True)
    return info


def _rows_of(
    chosen: Sequence[_Chosen],
) -> Iterator[tuple[ManifestRow, tuple[bytes, ...] | None]]:
    """The chosen rows in order, in flat memory; shards without any are not read."""
    for part in chosen:
        info = part.dataset.info
        for shard in np.unique(part.numbers // info.shard_rows).tolist():
            first, end = info.shard_range(shard)
            low, high = np.searchsorted(part.numbers, (first, end))
            wanted = set(part.numbers[low:high].tolist())
            for number, stored in enumerate(stored_rows(part.dataset, shard), first):
                if number in wanted:
                    yield stored


def _describe(chosen: Sequence[_Chosen], history: str) -> SelectionInfo:
    """The description of chosen rows."""
    parts: dict[str, DatasetInfo] = {}
    lines: list[str] = []
    for entry in chosen:
        info = entry.dataset.info
        lines += info.history if isinstance(info, SelectionInfo) else ()
        for _, part, _ in _parts_of(entry):
            if part.digest in entry.origins:
                # Of two copies of a dataset, the one with more rows has all numbers.
                known = parts.get(part.digest)
                if known is None or known.rows < part.rows:
                    parts[part.digest] = part
    missing = {origin for entry in chosen for origin in entry.origins} - set(parts)
    if missing:
        raise WorkError(
            f"rows are of the spec {min(missing)}, which no dataset here describes; verify them"
        )
    described = tuple(parts.values())
    spec: dict[str, Any] = {
        "parts": [part.digest for part in described],
        "ids": digest_of_ids(name for entry in chosen for name in entry.ids),
    }
    first = chosen[0].dataset.info
    if first.patch_size != PATCH_SIZE:
        spec["patch_size"] = first.patch_size
    distorters: dict[str, str] = {}
    for part in described:
        for name, digest in pinned_distorters(part):
            if distorters.setdefault(name, digest) != digest:
                raise UserError(
                    f"CNN distorter '{name}' is of another zoo in one of the datasets than in "
                    "another; merge datasets of one zoo"
                )
    if distorters:
        spec["distorters"] = [[name, distorters[name]] for name in sorted(distorters)]
    kinds, splits = {part.kind for part in described}, {e.dataset.info.split for e in chosen}
    images = dict.fromkeys(image for part in described for image in part.source_images)
    merged = "merged" if first.unit == "triplets" else "jnd-merged"
    return SelectionInfo(
        kind=kinds.pop() if len(kinds) == 1 else merged,
        version=__version__,
        spec=spec,
        digest=digest_of(spec),
        rows=sum(len(entry.ids) for entry in chosen),
        shard_rows=first.shard_rows,
        distortions=_union(described, "distortions"),
        units=_union(described, "units"),
        plugins=tuple(dict.fromkeys(name for part in described for name in part.plugins)),
        source_digest=_digest_of_sources(described),
        source_images=tuple(images),
        source_failures=_union(described, "source_failures"),
        patches=first.patches,
        pictures=first.pictures,
        split=splits.pop() if len(splits) == 1 else None,
        **merged_origin(described),
        parts=described,
        history=(*dict.fromkeys(lines), history),
    )


def _union(parts: Sequence[DatasetInfo], name: str) -> dict[str, Any]:
    return {key: value for part in parts for key, value in getattr(part, name).items()}


def _digest_of_sources(parts: Sequence[DatasetInfo]) -> str:
    digests = list(dict.fromkeys(part.source_digest for part in parts))
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _parts_of(entry: _Chosen) -> Iterator[tuple[Kind, DatasetInfo, Location]]:
    """Kind, description and folder of the datasets that the rows of one were made as."""
    dataset, info = entry.dataset, entry.dataset.info
    if isinstance(info, SelectionInfo):
        for part in info.parts:
            yield kind_of(part), part, part_folder(dataset.folder, part.digest)
    else:
        yield kind_of(info), info, dataset.folder


def _carry_scores(folder: Path, info: SelectionInfo, chosen: Sequence[_Chosen]) -> None:
    """Write the distances that all of the datasets have, of the same version and settings."""
    for metric in sorted({name for part in chosen for name in scored_metrics(part.dataset.folder)}):
        held = [_scores_of(part.dataset, metric) for part in chosen]
        whole = [scores for scores in held if scores is not None]
        if not whole:
            continue
        made_as = {(each.info.version, tuple(sorted(each.info.settings.items()))) for each in whole}
        if len(whole) < len(held) or len(made_as) > 1:
            logger.warning(
                "%s distances are left out: not all datasets have them, of one version and "
                "settings; make them with `bapps-gen score`",
                metric,
            )
            continue
        parts = list(zip(whole, chosen, strict=True))
        sides = ("d0", "d1") if info.unit == "triplets" else ("d0",)
        columns = [
            np.concatenate([getattr(each, side)[part.numbers] for each, part in parts])
            for side in sides
        ]
        ids = [name for _, part in parts for name in part.ids]
        described = replace(whole[0].info, spec_digest=info.digest)
        make_folder(score_path(folder, metric, 0).parent)
        for shard in range(info.shards):
            rows = slice(*info.shard_range(shard))
            own = [column[rows] for column in columns]
            write_scores(folder, described, shard, ids[rows], own)


def _scores_of(dataset: Dataset, metric: str) -> Scores | None:
    """A dataset's distances; None where it has none, or damaged ones."""
    if score_info(dataset.folder, metric) is None:
        return None
    try:
        return read_scores(dataset, metric)
    except (UserError, WorkError) as error:
        logger.warning("%s", error)
        return None
