"""What is known of judged rows besides distances: ids, distortions, severities, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.row_reader import RowReader
from bapps_gen.metrics.base import Patches
from bapps_gen.pipelines.datasets.original import read_row
from bapps_gen.pipelines.scoring.judged import Judged

_BATCH_ROWS = 10_000
_KEPT_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Sides:
    """How the sides of judged rows were distorted; two in triplets, one in pairs.

    Args:
        names: of the distortions that occur, in alphabetical order, such as "gaussian_blur+jpeg".
        choice: index into `names` of each side's distortion, −1 where unknown, int32 (rows, sides).
        severities: of each side's steps in the order applied, float32 (rows, sides, steps); NaN
            where a side has fewer steps, or a step no severity.
    """

    names: tuple[str, ...]
    choice: NDArray[np.int32]
    severities: NDArray[np.float32]

    @property
    def severity(self) -> NDArray[np.float32]:
        """Of sides with one step, float32 (rows, sides); NaN of others."""
        single = np.array(["+" not in name for name in self.names] + [False])[self.choice]
        first = self.severities[..., 0] if self.severities.size else self.severities.sum(-1)
        return np.where(single, first, np.float32(np.nan))


def judged_sides(judged: Judged) -> Sides | None:
    """How the sides of a set's judged rows were distorted; None in the original layout.

    Memory is that of the result, some 30 bytes a side, and of one batch.

    Raises:
        WorkError: when a shard is missing or damaged.
    """
    if not isinstance(judged.source, Dataset):
        return None
    count = 2 if judged.task == "2afc" else 1
    columns = [f"{kind}{side}" for side in range(count) for kind in ("distortion", "steps")]
    codes: dict[str | None, int] = {None: -1}
    choice, severities = [], []
    for batch in _judged_batches(judged, columns):
        choice.append(
            np.stack(
                [_encoded(batch.column(f"distortion{side}"), codes) for side in range(count)], 1
            )
        )
        severities.append([_severities(batch.column(f"steps{side}")) for side in range(count)])
    del codes[None]
    names = sorted(filter(None, codes))
    renumbered = np.full(len(codes) + 1, -1, np.int32)  # the last is of -1
    for index, name in enumerate(names):
        renumbered[codes[name]] = index
    steps = max(part.shape[1] for parts in severities for part in parts)
    joined = [np.stack([_widened(part, steps) for part in parts], 1) for parts in severities]
    return Sides(tuple(names), renumbered[np.concatenate(choice)], np.concatenate(joined))


def row_ids(judged: Judged, rows: Sequence[int]) -> list[str]:
    """Ids of some judged rows, by their index among these; names of files in the original layout.

    Raises:
        WorkError: when a shard is missing or damaged.
    """
    places = [int(judged.index[row]) for row in rows]
    if not isinstance(judged.source, Dataset):
        return [judged.source.stems[place] for place in places] if judged.source else []
    reader = RowReader(judged.source, ("id",), _KEPT_BYTES)
    return [reader.read(place)["id"] for place in places]


def row_pictures(judged: Judged, rows: Sequence[int]) -> Iterator[tuple[Patches, ...]]:
    """Pictures of some judged rows, by their index among these: uint8 (S, S, 3) each, ref first.

    Raises:
        UserError: naming a file of the original layout that cannot be read.
        WorkError: when a shard is missing or damaged.
    """
    source = judged.source
    assert source is not None, f"{judged.name} has no pictures"
    if isinstance(source, Dataset):
        reader = RowReader(source, source.info.patches, _KEPT_BYTES)
        for row in rows:
            held = reader.read(int(judged.index[row]))
            yield tuple(decode_png(held[name]["bytes"]) for name in source.info.patches)
        return
    for row in rows:
        read, _ = read_row(
            source, int(judged.index[row]), judged.patch_size, bilinear=judged.bilinear
        )
        yield tuple(read)


def _judged_batches(judged: Judged, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of the judged rows alone."""
    assert isinstance(judged.source, Dataset)
    first = 0
    for batch in judged.source.batches(columns, _BATCH_ROWS):
        ends = np.searchsorted(judged.index, (first, first + batch.num_rows))
        taken = judged.index[ends[0] : ends[1]] - first
        first += batch.num_rows
        if len(taken):
            yield batch if len(taken) == batch.num_rows else batch.take(pa.array(taken))


def _encoded(column: pa.Array, codes: dict[str | None, int]) -> NDArray[np.int32]:
    """Codes of a column of text; new ones are added."""
    encoded = column.dictionary_encode(null_encoding="encode")
    known = [codes.setdefault(name, len(codes) - 1) for name in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(known, np.int32)[encoded.indices.to_numpy(zero_copy_only=False)])


def _severities(column: pa.Array) -> NDArray[np.float32]:
    """Severities of steps, float32 (rows, most steps), NaN where there is none."""
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    found = np.full((len(column), max(int(counts.max(initial=0)), 1)), np.nan, np.float32)
    values = pc.struct_field(column.flatten(), "severity").cast(pa.float32())
    rows = np.repeat(np.arange(len(column)), counts)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found[rows, places] = values.to_numpy(zero_copy_only=False)
    return found


def _widened(severities: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    missing = steps - severities.shape[1]
    return np.pad(severities, ((0, 0), (0, missing)), constant_values=np.nan)
