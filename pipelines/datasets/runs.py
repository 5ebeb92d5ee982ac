"""Shards that one worker makes together, because their rows are rendered together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bapps_gen.execution.jobs import Workers
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.pipelines.datasets.kind import Kind
from bapps_gen.pipelines.rows import renderer

Run = tuple[int, ...]
"""Shards of one job, in order."""


def shard_runs(kind: Kind, info: DatasetInfo, shards: Sequence[int], workers: Workers) -> list[Run]:
    """The jobs that fill some shards: one each, or more where rows are rendered together.

    CNN distorters pass a fixed number of patches at a time, padded where they run out. A shard of
    100 rows has two patches for each of 96 distorters; rendered on its own it would be mostly
    padding. A run has about as many rows as are rendered together, and no worker is left without.
    """
    together = renderer.group_rows(info.patch_size) // info.shard_rows if kind.has_distorters else 1
    jobs = -(-len(shards) // max(1, together))
    count = workers if isinstance(workers, int) else workers.workers or 1
    jobs = min(len(shards), -(-jobs // count) * count)
    ends = [len(shards) * job // max(1, jobs) for job in range(jobs + 1)]
    return [tuple(shards[first:end]) for first, end in pairwise(ends)]
