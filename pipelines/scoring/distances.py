"""Distances of rows by one metric, from their pixels or looked up by their ids, and checked; and
the pixels of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import WorkError
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.scores import Scored, distance_names
from bapps_gen.metrics import MetricSpec
from bapps_gen.metrics.base import Distances, Metric, Patches
from bapps_gen.metrics.distance_file import DistanceFile

_ID_ROWS = 10_000


def distances_of(
    metric: Metric, ids: Sequence[str], patches: Sequence[Patches], sides: int
) -> tuple[Distances, ...]:
    """(d0, d1) of triplets (ref, p0, p1), or (d0,) of pairs (ref, p0)."""
    if isinstance(metric, DistanceFile):
        return metric.of_rows(ids, sides)
    if sides == 1:
        return (metric.distance(*patches),)
    return metric.triplet(*patches)


def check_finite(spec: MetricSpec, ids: Sequence[str], distances: Sequence[Distances]) -> None:
    """Raise WorkError where a distance is NaN or infinitely large; −∞ is PSNR of equal patches."""
    for values in distances:
        bad = np.flatnonzero(np.isnan(values) | np.isposinf(values))
        if not len(bad):
            continue
        value = "not a number" if np.isnan(values[bad[0]]) else "infinite"
        remedy = "score in float32 on the CPU, and report it if that does not help"
        if spec.given != spec.name:  # not one that comes with the package
            remedy = "correct the metric, or leave such rows out"
        raise WorkError(f"distance of row {ids[bad[0]]} by {spec.name} is {value}; {remedy}")


def row_ids(dataset: Scored, shard: int) -> list[str]:
    """The ids of a shard's rows: of a benchmark, the paths of its distorted pictures."""
    if isinstance(dataset, Benchmark):
        rows = dataset.table(*dataset.info.shard_range(shard), ["path"])
        return list(rows.column("path").to_pylist())
    batches = dataset.shard_batches(shard, ["id"], _ID_ROWS)
    return [row for batch in batches for row in batch.column("id").to_pylist()]


def check_rows(metric: DistanceFile, dataset: Scored) -> None:
    """Raise UserError unless a file has distances of exactly a dataset's rows.

    It may have those of other datasets, so that one file does for a collection.
    """
    ids = [row for shard in range(dataset.info.shards) for row in row_ids(dataset, shard)]
    digests = () if isinstance(dataset, Benchmark) else dataset.info.row_digests
    metric.check_rows(ids, len(distance_names(dataset.info.patches)), digests)


def chosen_rows(
    batches: Iterable[pa.RecordBatch], first: int, rows: NDArray[np.intp]
) -> Iterator[pa.RecordBatch]:
    """Some rows of batches that begin with the row `first` of a dataset."""
    for batch in batches:
        taken = np.isin(np.arange(first, first + batch.num_rows), rows)
        first += batch.num_rows
        if taken.any():
            yield batch if taken.all() else batch.filter(pa.array(taken))


def batch_patches(batch: pa.RecordBatch, name: str, size: int) -> Patches:
    """One picture column of a batch that has the ids, too, uint8 (N, size, size, 3).

    Raises:
        WorkError: naming the row, where a picture is no patch of that size.
    """
    patches = []
    columns = (batch.column(name).to_pylist() for name in ("id", name))
    for row, image in zip(*columns, strict=True):
        try:
            patch = decode_png(image["bytes"])
        except WorkError as error:
            raise WorkError(f"{name} of row {row}: {error}") from None
        if patch.shape[:2] != (size, size):
            held = "×".join(map(str, patch.shape[1::-1]))
            raise WorkError(f"{name} of row {row} has {held} px, not {size}×{size}")
        patches.append(patch)
    return np.stack(patches)
