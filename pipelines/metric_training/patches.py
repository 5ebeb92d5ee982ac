"""Patches of judged rows, decoded once into one file that training reads in any order.

Decoding a row takes 0.5 to 1 ms, reading it decoded 0.01 to 0.05 ms; every epoch reads every row.
A row of 64 px triplets takes 37 kB, 151,300 of them 5.6 GB, of which memory holds what it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import WorkError
from bapps_gen.execution.jobs import run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.pipelines.metric_training.data import JudgedPart
from bapps_gen.pipelines.scoring.distances import batch_patches, chosen_rows
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.space import free_bytes, size_text

Patches = NDArray[np.uint8]
"""uint8 (N, 3, S, S, 3): ref, p0 and p1 of each row."""

PATCHES_NAME = "patches.u8"


@dataclass(frozen=True, slots=True)
class _Context:
    path: Path
    shape: tuple[int, ...]
    parts: tuple[JudgedPart, ...]
    firsts: tuple[int, ...]


def decode_patches(
    path: Path, parts: Sequence[JudgedPart], workers: int, progress: Progress | None = None
) -> Patches:
    """Rows' patches, read-only and memory-mapped, from a file that is made where it is missing.

    Args:
        path: of the file; one of the right size is taken to hold these rows.
        parts: the rows in order, of datasets with one patch size.
        workers: parallel processes that decode.
        progress: called with rows decoded and rows in all.

    Raises:
        WorkError: when a shard is damaged, or the disk has no room for the file.
    """
    size = parts[0].dataset.info.patch_size
    count = sum(len(part.rows) for part in parts)
    shape = (count, 3, size, size, 3)
    total = int(np.prod(shape))
    if not path.is_file() or path.stat().st_size != total:
        if total > free_bytes(path.parent):
            raise WorkError(
                f"{path.parent} has {size_text(free_bytes(path.parent))} free; the decoded patches "
                f"of {count:,} rows take {size_text(total)}; free some space there"
            )
        with whole_file(path, alone=True) as temporary:
            with open(temporary, "wb") as file:
                file.truncate(total)
            jobs = [
                (index, shard)
                for index, part in enumerate(parts)
                for shard in np.unique(part.rows // part.dataset.info.shard_rows).tolist()
            ]
            done = 0
            firsts = np.cumsum([0, *(len(part.rows) for part in parts[:-1])]).tolist()
            context = _Context(temporary, shape, tuple(parts), tuple(firsts))
            for rows in run_jobs(_prepare, context, jobs, workers):
                done += rows
                if progress:
                    progress(done, count)
    return np.memmap(path, np.uint8, "r", shape=shape)


def _prepare(context: _Context) -> Callable[[tuple[int, int]], int]:
    held = np.memmap(context.path, np.uint8, "r+", shape=context.shape)

    def decode(job: tuple[int, int]) -> int:
        """Decode the rows of a shard that are wanted; gives their number."""
        part, first = context.parts[job[0]], context.firsts[job[0]]
        start, end = part.dataset.info.shard_range(job[1])
        low, high = np.searchsorted(part.rows, [start, end]).tolist()
        names = part.dataset.info.patches
        batches = part.dataset.shard_batches(job[1], ["id", *names])
        position = first + low
        for batch in chosen_rows(batches, start, part.rows[low:high]):
            for side, name in enumerate(names):
                patches = batch_patches(batch, name, part.dataset.info.patch_size)
                held[position : position + len(patches), side] = patches
            position += batch.num_rows
        held.flush()
        return int(high - low)

    return decode
