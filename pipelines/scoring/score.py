"""Scoring a dataset: distances of every row by metrics, stored beside it, resumed where missing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import TypeVar

import numpy as np
import pyarrow as pa

from bapps_gen.errors import WorkError
from bapps_gen.execution.jobs import RayCluster, Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.benchmark import BENCHMARK_NAME
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.dataset import INFO_NAME
from bapps_gen.manifests.scores import (
    SCORES,
    Scored,
    ScoreInfo,
    score_fault,
    score_info,
    score_path,
    write_scores,
)
from bapps_gen.metrics import metric_spec
from bapps_gen.metrics.base import Distances, Metric, Patches
from bapps_gen.pipelines.scoring.options import (
    MetricOptions,
    check_metrics,
    check_patch_size,
    resolve_dtype,
)
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import claim

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

CPU_BATCH_ROWS = 100
DEVICE_BATCH_ROWS = 512
_DECODERS = 8  # threads that decode pictures while a GPU computes; more do not help


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """What every worker needs: the dataset, what to write for each metric, and how."""

    dataset: Scored
    infos: dict[str, ScoreInfo]
    options: MetricOptions
    threads: int


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """The metrics that a shard lacks."""

    shard: int
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What a run did: rows of which some distances were computed now, and rows that had all."""

    made: int
    kept: int


def workers_for(metrics: Sequence[str], options: MetricOptions, workers: int) -> int:
    """Processes to use: those asked for, but one where a GPU does the work."""
    if any(metric_spec(name).net for name in metrics):
        from bapps_gen.lpips.metric import find_device

        if find_device(options.device).type != "cpu":
            return 1
    return workers


def resolve_workers(
    metrics: Sequence[str], options: MetricOptions, workers: Workers, jobs: int
) -> tuple[MetricOptions, Workers, int]:
    """Options for workers, the workers, and how many threads each gets.

    On a Ray cluster with GPUs each worker has one for networks, unless the device is "cpu".

    Raises:
        UserError: for a device that a Ray cluster does not have.
    """
    if isinstance(workers, int):
        processes = min(workers_for(metrics, options, workers), jobs)
        return options, processes, max(1, workers // processes)
    device = "cpu"
    if any(metric_spec(name).net for name in metrics):
        from bapps_gen.execution.ray_cluster import resolve_device

        device = resolve_device(workers, options.device)
        workers = replace(workers, num_gpus=1.0 if device == "cuda" else 0.0)
    return replace(options, device=device), workers, workers.num_cpus


def options_here(options: MetricOptions, workers: Workers) -> MetricOptions:
    """Options for this process: where a Ray cluster does the work, it may have no such device."""
    return replace(options, device="cpu") if isinstance(workers, RayCluster) else options


def score(
    dataset: Scored,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
    *,
    reuse: bool = False,
) -> ScoreReport:
    """Store the distances of every row by metrics, or what is missing of them.

    Distances that are whole and of this dataset, metric version and settings are kept; others are
    computed again, with a warning. A shard's distances appear whole or not at all.

    Args:
        dataset: a whole dataset with pictures, or a benchmark.
        metrics: names of metrics.
        options: device, dtype and weights of LPIPS.
        workers: worker processes on the CPU, or a Ray cluster.
        progress: called with rows done and rows in all.
        reuse: take distances of any settings where a metric has them for the whole dataset, so
            that nothing is loaded or computed.

    Raises:
        UserError: for bad options, or a recipe, which has no pictures.
        WorkError: when a shard is damaged or distances cannot be written.
    """
    metrics = check_metrics(metrics, options)
    if not isinstance(dataset, Benchmark):
        check_patch_size(metrics, dataset.info.patch_size)
    dataset.require_pictures()
    if reuse:
        metrics = tuple(name for name in metrics if not _is_scored(dataset, name))
    here = options_here(options, workers)
    infos = {
        name: ScoreInfo(
            name,
            metric_spec(name).version,
            _with_dtype(dataset, name, here, workers).load(name).settings,
            dataset.info.digest,
        )
        for name in metrics
    }
    rows = dataset.info.rows
    if not infos:
        return ScoreReport(0, rows)
    dataset.require_whole()
    with contextlib.ExitStack() as stack:
        for name in metrics:
            folder = score_path(dataset.folder, name, 0).parent
            stack.enter_context(claim(folder, SCORES))
        jobs = list(_missing(dataset, infos))
        kept = done = rows - sum(dataset.info.rows_in(job.shard) for job in jobs)
        if progress:
            progress(done, rows)
        if jobs:
            resolved, processes, threads = resolve_workers(metrics, options, workers, len(jobs))
            context = ScoreContext(dataset, infos, resolved, threads)
            stack.enter_context(kept_threads(metrics))
            name = BENCHMARK_NAME if isinstance(dataset, Benchmark) else INFO_NAME
            shared: list[str | Location] = [dataset.folder / name]
            shared += [options.weights] if options.weights else []
            for shard in run_jobs(prepare_scores, context, jobs, processes, shared):
                done += dataset.info.rows_in(shard)
                if progress:
                    progress(done, rows)
    return ScoreReport(rows - kept, kept)


def _with_dtype(
    dataset: Scored, name: str, options: MetricOptions, workers: Workers
) -> MetricOptions:
    """Options with the dtype of a metric's network: "auto" is that of distances that are there."""
    if metric_spec(name).net is None:
        return options
    held = next(_held_infos(dataset, name), None)
    stored = None if held is None else held.settings.get("dtype")
    return resolve_dtype(options, remote=isinstance(workers, RayCluster), stored=stored)


def _held_infos(dataset: Scored, name: str) -> Iterator[ScoreInfo]:
    """What a dataset's distances by a metric are of, shard by shard, where they can be kept."""
    paths = score_path(dataset.folder, name, 0).parent.glob("part-*.parquet")
    shards = sorted(path.name.removeprefix("part-").removesuffix(".parquet") for path in paths)
    for shard in filter(str.isdecimal, shards):
        info = score_info(dataset.folder, name, int(shard))
        wanted = (metric_spec(name).version, dataset.info.digest)
        if info is not None and (info.version, info.spec_digest) == wanted:
            yield info


def _is_scored(dataset: Scored, name: str) -> bool:
    info = score_info(dataset.folder, name)
    if info is None or info.version != metric_spec(name).version:
        return False
    if info.spec_digest != dataset.info.digest:
        return False
    return all(score_fault(dataset, info, shard) is None for shard in range(dataset.info.shards))


def _missing(dataset: Scored, infos: dict[str, ScoreInfo]) -> Iterator[ScoreJob]:
    warned: set[tuple[str, str]] = set()
    for shard in range(dataset.info.shards):
        missing = []
        for name, info in infos.items():
            fault = score_fault(dataset, info, shard)
            if fault is None:
                continue
            if fault != "missing" and (name, fault) not in warned:
                warned.add((name, fault))  # once, where a whole set was scored otherwise
                path = score_path(dataset.folder, name, shard)
                logger.warning("%s is %s; computed again", path, fault)
            missing.append(name)
        if missing:
            yield ScoreJob(shard, tuple(missing))


def prepare_scores(context: ScoreContext) -> Callable[[ScoreJob], int]:
    """A function that scores one shard and returns its number; metrics are loaded once."""
    share_threads(tuple(context.infos), context.threads)
    dataset = context.dataset

    @cache
    def load(name: str) -> Metric:
        dtype = context.infos[name].settings.get("dtype", context.options.dtype)
        return replace(context.options, dtype=dtype).load(name)

    def score_shard(job: ScoreJob) -> int:
        metrics = {name: load(name) for name in job.metrics}
        ids: list[str] = []
        parts: dict[str, list[tuple[Distances, ...]]] = {name: [] for name in metrics}
        for batch_ids, patches in _decoded(dataset, job, context.options):
            ids += batch_ids
            for name, metric in metrics.items():
                distances = distances_of(metric, patches)
                _check_numbers(name, batch_ids, distances)
                parts[name].append(distances)
        for name, batches in parts.items():
            columns = [np.concatenate(values) for values in zip(*batches, strict=True)]
            write_scores(dataset.folder, context.infos[name], job.shard, ids, columns)
        return job.shard

    return score_shard


def share_threads(metrics: Sequence[str], threads: int) -> None:
    """Give this process its share of the cores for networks.

    The default is one process per core with one thread each: several threads wait for each other
    at every layer, which on busy machines made them five times slower than processes.
    """
    if any(metric_spec(name).net for name in metrics):
        import torch

        torch.set_num_threads(threads)


@contextlib.contextmanager
def kept_threads(metrics: Sequence[str]) -> Iterator[None]:
    """Restore this process's number of threads afterwards."""
    if not any(metric_spec(name).net for name in metrics):
        yield
        return
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def distances_of(metric: Metric, patches: Sequence[Patches]) -> tuple[Distances, ...]:
    """(d0, d1) of triplets (ref, p0, p1), or (d0,) of pairs (ref, p0)."""
    if len(patches) == 2:
        return (metric.distance(*patches),)
    return metric.triplet(*patches)


def _check_numbers(name: str, ids: Sequence[str], distances: Sequence[Distances]) -> None:
    for values in distances:
        bad = np.flatnonzero(np.isnan(values))
        if len(bad):
            raise WorkError(
                f"{name} of row {ids[bad[0]]} is not a number; "
                "score in float32 on the CPU, and report it if that does not help"
            )


def _decoded(
    dataset: Scored, job: ScoreJob, options: MetricOptions
) -> Iterator[tuple[list[str], tuple[Patches, ...]]]:
    """Ids and patches of a shard in batches."""
    if isinstance(dataset, Benchmark):
        for paths, *pictures in dataset.pictures(*dataset.info.shard_range(job.shard)):
            yield paths, tuple(pictures)
        return
    names = dataset.info.patches

    def decode(batch: pa.RecordBatch) -> tuple[list[str], tuple[Patches, ...]]:
        patches = (batch_patches(batch, name, dataset.info.patch_size) for name in names)
        return batch.column("id").to_pylist(), tuple(patches)

    columns = ["id", *names]
    networks = [name for name in job.metrics if metric_spec(name).net]
    if networks and workers_for(networks, options, 2) == 1:
        batches = dataset.shard_batches(job.shard, columns, DEVICE_BATCH_ROWS)
        with ThreadPoolExecutor(_DECODERS) as pool:
            yield from _ahead(pool, decode, batches)
    else:
        yield from map(decode, dataset.shard_batches(job.shard, columns, CPU_BATCH_ROWS))


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """`map` with a few items worked on ahead, in flat memory."""
    waiting = []
    for item in chain(items, [None] * _DECODERS):
        waiting.append(None if item is None else pool.submit(work, item))
        if len(waiting) > _DECODERS:
            first = waiting.pop(0)
            if first is not None:
                yield first.result()


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
