"""The rows of a dataset as contact sheets show them: patches, and what was done to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from bapps_gen.errors import out_of_range
from bapps_gen.imaging.encode import decode_png
from bapps_gen.imaging.sheet import SheetRow
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import ManifestRow, Step
from bapps_gen.manifests.schema import table_rows
from bapps_gen.manifests.scores import scored_metrics, shard_distances
from bapps_gen.pipelines.real.tasks import TASKS

MAX_SHOWN = 400


def pick_rows(total: int, count: int) -> list[int]:
    """`count` rows at equal distances among `total`, the first among them."""
    if not 1 <= count <= MAX_SHOWN:
        raise out_of_range("count", count, f"a whole number from 1 to {MAX_SHOWN}", "show fewer")
    count = min(count, total)
    return [index * total // count for index in range(count)]


def read_sheet_rows(dataset: Dataset, rows: Sequence[int]) -> list[SheetRow]:
    """The rows of a dataset, ready to be drawn, in the order asked.

    Captions have distances by every metric that the rows' shards were scored by, and judgments.

    Raises:
        UserError: when a row is not in the dataset, or it has no pictures.
        WorkError: when a shard is missing or damaged.
    """
    info = dataset.info
    dataset.require_pictures()
    for row in rows:
        if not 0 <= row < info.rows:
            raise out_of_range("row", row, f"from 0 to {info.rows - 1}", "choose one of these")
    distances = _distances(dataset, rows)
    chosen = {
        row.row: _sheet_row(row, pngs, distances[row.row])
        for row, pngs in pictured_rows(dataset, rows)
    }
    return [chosen[row] for row in rows]


def pictured_rows(
    dataset: Dataset, rows: Collection[int]
) -> Iterator[tuple[ManifestRow, tuple[bytes, ...]]]:
    """Some rows of a dataset in its order, each with its PNG files.

    Raises:
        WorkError: when a shard is missing or damaged.
    """
    wanted = set(rows)
    for shard in sorted({row // dataset.info.shard_rows for row in wanted}):
        for batch in dataset.shard_batches(shard):
            for index, row in enumerate(batch.column("row").to_pylist()):
                if row in wanted:
                    yield _pictured_row(batch.slice(index, 1), dataset.info.patches)


def _pictured_row(
    batch: pa.RecordBatch, patches: Sequence[str]
) -> tuple[ManifestRow, tuple[bytes, ...]]:
    (row,) = table_rows(batch)
    (pictures,) = batch.select(list(patches)).to_pylist()
    return row, tuple(pictures[name]["bytes"] for name in patches)


def _sheet_row(
    row: ManifestRow, pngs: Sequence[bytes], distances: Mapping[str, Sequence[float]]
) -> SheetRow:
    patches = tuple(map(decode_png, pngs))
    captions: list[tuple[str, ...]] = [
        (f"row {row.row} · crop {row.crop.side} px → {patches[0].shape[0]} px", row.source_path)
    ]
    for side, (steps, judgment) in enumerate(zip(row.steps, _judgments(row), strict=True)):
        by_metric = ", ".join(
            f"{metric} {values[side]:.3f}" for metric, values in distances.items()
        )
        captions.append((*describe_steps(steps), by_metric, judgment))
    return SheetRow(patches, tuple(captions))


def _distances(dataset: Dataset, rows: Collection[int]) -> dict[int, dict[str, tuple[float, ...]]]:
    """Stored distances of some rows, one a side, by row and metric."""
    found: dict[int, dict[str, tuple[float, ...]]] = {row: {} for row in rows}
    metrics = scored_metrics(dataset.folder)
    for shard in {row // dataset.info.shard_rows for row in rows}:
        first, end = dataset.info.shard_range(shard)
        for metric in metrics:
            values = shard_distances(dataset, metric, shard)
            if values is not None:
                for row in found.keys() & range(first, end):
                    found[row][metric] = values[row - first]
    return found


def _judgments(row: ManifestRow) -> tuple[str, ...]:
    """What people said of each side; empty where nobody was asked."""
    if row.same is not None:
        return (f"the same to {row.same:.0%}{_of(row.same_count)}",)
    if row.judge is None:
        return ("",) * len(row.steps)
    shares = (1 - row.judge, row.judge)
    return tuple(f"preferred by {share:.0%}{_of(row.judge_count)}" for share in shares)


def _of(people: int | None) -> str:
    return "" if people is None else f" of {people}"


def describe_steps(steps: Sequence[Step]) -> tuple[str, ...]:
    """Two lines a step: its name, and its severity and parameters or a real algorithm's task."""
    lines = []
    for step in steps:
        task, _, algorithm = step.distortion.partition(":")
        if task in TASKS:  # both would not fit on one line
            lines += [algorithm, f"  {task}"]
            continue
        values = [] if step.severity is None else [f"severity {step.severity:.2f}"]
        values += [f"{name} {value:.3g}" for name, value in step.params]
        lines += [step.distortion, "  " + ", ".join(values)]
    return tuple(lines)
