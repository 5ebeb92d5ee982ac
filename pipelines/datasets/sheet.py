"""The rows of a dataset as contact sheets show them: patches, and what was done to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from bapps_gen.errors import out_of_range
from bapps_gen.imaging.encode import decode_png
from bapps_gen.imaging.sheet import SheetRow
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import ManifestRow, Step
from bapps_gen.manifests.schema import table_rows
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

    Raises:
        UserError: when a row is not in the dataset, or it has no pictures.
        WorkError: when a shard is missing or damaged.
    """
    info = dataset.info
    dataset.require_pictures()
    for row in rows:
        if not 0 <= row < info.rows:
            raise out_of_range("row", row, f"from 0 to {info.rows - 1}", "choose one of these")
    chosen = {row.row: _sheet_row(row, pngs) for row, pngs in pictured_rows(dataset, rows)}
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


def _sheet_row(row: ManifestRow, pngs: Sequence[bytes]) -> SheetRow:
    patches = tuple(map(decode_png, pngs))
    first = (f"row {row.row}, {row.crop.side} px", row.source_path)
    return SheetRow(patches, (first, *map(describe_steps, row.steps)))


def describe_steps(steps: Sequence[Step]) -> tuple[str, ...]:
    """Two lines a step: its name, and its parameters or, of a real algorithm, its task."""
    lines = []
    for step in steps:
        task, _, algorithm = step.distortion.partition(":")
        if task in TASKS:  # both would not fit on one line
            lines += [algorithm, f"  {task}"]
            continue
        lines.append(step.distortion)
        lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in step.params))
    return tuple(lines)
