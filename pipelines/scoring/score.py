"""Scoring a dataset: distances of every row by metrics, stored beside it, resumed where missing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import WorkError
from bapps_gen.execution.jobs import RayCluster, Workers, run_jobs
from bapps_gen.execution.progress import Progress, Rows, advance
from bapps_gen.execution.threads import map_ahead
from bapps_gen.manifests.benchmark import BENCHMARK_NAME
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.dataset import INFO_NAME
from bapps_gen.manifests.scores import (
    SCORES,
    Scored,
    ScoreInfo,
    distance_names,
    score_fault,
    score_info,
    score_path,
    write_scores,
)
from bapps_gen.metrics import MetricSpec
from bapps_gen.metrics.base import Distances, Metric, Patches
from bapps_gen.metrics.distance_file import DistanceFile
from bapps_gen.pipelines.scoring.distances import (
    batch_patches,
    check_finite,
    check_rows,
    chosen_rows,
    distances_of,
    row_ids,
)
from bapps_gen.pipelines.scoring.options import (
    MetricOptions,
    check_metrics,
    check_patch_size,
    resolve_dtype,
)
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import claim

logger = logging.getLogger(__name__)

CPU_BATCH_ROWS = 100
DEVICE_BATCH_ROWS = 512
_DECODERS = 8  # threads that decode pictures while a GPU computes; more do not help


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """What every worker needs: the dataset, what to write for each metric, and how."""

    dataset: Scored
    metrics: tuple[MetricSpec, ...]
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
    """What a run did.

    Args:
        made: rows of which some distances were computed now.
        kept: rows that had all.
        metrics: own names.
    """

    made: int
    kept: int
    metrics: tuple[str, ...]


def workers_for(metrics: Sequence[MetricSpec], options: MetricOptions, workers: int) -> int:
    """Processes to use: those asked for, but one where a GPU does the work."""
    if any(spec.needs_torch for spec in metrics):
        from bapps_gen.lpips.metric import find_device

        if find_device(options.device).type != "cpu":
            return 1
    return workers


def resolve_workers(
    metrics: Sequence[MetricSpec], options: MetricOptions, workers: Workers, jobs: int
) -> tuple[MetricOptions, Workers, int]:
    """Options for workers, the workers, and how many threads each gets.

    On a Ray cluster with GPUs each worker has one for metrics that need torch, unless the device is
    "cpu".

    Raises:
        UserError: for a device that a Ray cluster does not have.
    """
    if isinstance(workers, int):
        processes = min(workers_for(metrics, options, workers), jobs)
        return options, processes, max(1, workers // processes)
    device = "cpu"
    if any(spec.needs_torch for spec in metrics):
        from bapps_gen.execution.ray_cluster import resolve_device

        device = resolve_device(workers, options.device)
        workers = replace(workers, num_gpus=1.0 if device == "cuda" else 0.0)
    return replace(options, device=device), workers, workers.num_cpus


def options_here(options: MetricOptions, workers: Workers) -> MetricOptions:
    """Options for this process: where a Ray cluster does the work, it may have no such device."""
    return replace(options, device="cpu") if isinstance(workers, RayCluster) else options


def one_dtype(
    metrics: Sequence[MetricSpec], options: MetricOptions, workers: Workers
) -> tuple[MetricOptions, MetricOptions]:
    """Options for this process and for the workers, with one dtype for the networks of all metrics.

    For distances that are not stored, where "auto" has no others to agree with.
    """
    here = options_here(options, workers)
    if not any(spec.takes_dtype for spec in metrics):
        return here, options
    dtype = resolve_dtype(here, remote=isinstance(workers, RayCluster)).dtype
    return replace(here, dtype=dtype), replace(options, dtype=dtype)


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
        metrics: names of metrics, or texts that name open ones.
        options: device, and dtype and weights of LPIPS.
        workers: worker processes on the CPU, or a Ray cluster.
        progress: called with rows done and rows in all.
        reuse: take distances of any settings where a metric has them for the whole dataset, so
            that nothing is loaded or computed.

    Raises:
        UserError: for bad options, or a recipe, which has no pictures.
        WorkError: when a shard is damaged or distances cannot be written.
    """
    specs = check_metrics(metrics, options)
    names = tuple(spec.name for spec in specs)
    if not isinstance(dataset, Benchmark):
        check_patch_size(specs, dataset.info.patch_size)
    if not all(spec.by_row for spec in specs):
        dataset.require_pictures()
    if reuse:
        specs = tuple(spec for spec in specs if not _is_scored(dataset, spec))
    here = options_here(options, workers)
    infos = {}
    for spec in specs:
        metric = _with_dtype(dataset, spec, here, workers).load(spec)
        if isinstance(metric, DistanceFile):
            check_rows(metric, dataset)
        infos[spec.name] = ScoreInfo(spec.name, spec.version, metric.settings, dataset.info.digest)
    rows = dataset.info.rows
    if not infos:
        return ScoreReport(0, rows, names)
    dataset.require_whole()
    with contextlib.ExitStack() as stack:
        for name in infos:
            folder = score_path(dataset.folder, name, 0).parent
            stack.enter_context(claim(folder, SCORES))
        jobs = list(_missing(dataset, infos))
        kept = rows - sum(dataset.info.rows_in(job.shard) for job in jobs)
        done, scored = Rows(rows, progress, kept), 0
        if jobs:
            resolved, processes, threads = resolve_workers(specs, options, workers, len(jobs))
            context = ScoreContext(dataset, specs, infos, resolved, threads)
            stack.enter_context(kept_threads(specs))
            name = BENCHMARK_NAME if isinstance(dataset, Benchmark) else INFO_NAME
            shared = [dataset.folder / name, *files_of(specs, options)]
            for shard in run_jobs(prepare_scores, context, jobs, processes, shared, done.reach):
                scored += dataset.info.rows_in(shard)
                done.reach(scored)
    return ScoreReport(rows - kept, kept, names)


def files_of(specs: Sequence[MetricSpec], options: MetricOptions) -> list[str | Location]:
    """The files that metrics are loaded from, which all workers have to see."""
    files: list[str | Location] = [options.weights] if options.weights else []
    return files + [file for spec in specs for file in spec.files]


def _with_dtype(
    dataset: Scored, spec: MetricSpec, options: MetricOptions, workers: Workers
) -> MetricOptions:
    """Options with the dtype of a metric's network: "auto" is that of distances that are there."""
    if not spec.takes_dtype:
        return options
    held = next(_held_infos(dataset, spec), None)
    stored = None if held is None else held.settings.get("dtype")
    return resolve_dtype(options, remote=isinstance(workers, RayCluster), stored=stored)


def _held_infos(dataset: Scored, spec: MetricSpec) -> Iterator[ScoreInfo]:
    """What a dataset's distances by a metric are of, shard by shard, where they can be kept."""
    paths = score_path(dataset.folder, spec.name, 0).parent.glob("part-*.parquet")
    shards = sorted(path.name.removeprefix("part-").removesuffix(".parquet") for path in paths)
    for shard in filter(str.isdecimal, shards):
        info = score_info(dataset.folder, spec.name, int(shard))
        if info is not None and _is_of(info, spec, dataset):
            yield info


def _is_of(info: ScoreInfo, spec: MetricSpec, dataset: Scored) -> bool:
    """Whether distances are of a dataset and a metric, whatever its dtype."""
    if (info.version, info.spec_digest) != (spec.version, dataset.info.digest):
        return False
    return all(info.settings.get(name) == value for name, value in spec.settings)


def _is_scored(dataset: Scored, spec: MetricSpec) -> bool:
    info = score_info(dataset.folder, spec.name)
    if info is None or not _is_of(info, spec, dataset):
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
    share_threads(context.metrics, context.threads)
    dataset = context.dataset
    sides = len(distance_names(dataset.info.patches))

    @cache
    def load(spec: MetricSpec) -> Metric:
        info = context.infos[spec.name]
        dtype = info.settings.get("dtype", context.options.dtype)
        metric = replace(context.options, dtype=dtype).load(spec)
        if dict(metric.settings) != dict(info.settings):
            raise WorkError(
                f"metric {spec.given} changed while this ran, or differs from machine to machine; "
                "run the same command again"
            )
        return metric

    def score_shard(job: ScoreJob) -> int:
        specs = [spec for spec in context.metrics if spec.name in job.metrics]
        ids: list[str] = []
        parts: dict[str, list[tuple[Distances, ...]]] = {spec.name: [] for spec in specs}
        for batch_ids, patches in decoded(dataset, job.shard, specs, context.options):
            ids += batch_ids
            for spec in specs:
                distances = distances_of(load(spec), batch_ids, patches, sides)
                check_finite(spec, batch_ids, distances)
                parts[spec.name].append(distances)
                advance(len(batch_ids) / len(specs))
        for name, batches in parts.items():
            columns = [np.concatenate(values) for values in zip(*batches, strict=True)]
            write_scores(dataset.folder, context.infos[name], job.shard, ids, columns)
        return job.shard

    return score_shard


def share_threads(metrics: Sequence[MetricSpec], threads: int) -> None:
    """Give this process its share of the cores for networks.

    The default is one process per core with one thread each: several threads wait for each other
    at every layer, which on busy machines made them five times slower than processes.
    """
    if any(spec.needs_torch for spec in metrics):
        import torch

        torch.set_num_threads(threads)


@contextlib.contextmanager
def kept_threads(metrics: Sequence[MetricSpec]) -> Iterator[None]:
    """Restore this process's number of threads afterwards."""
    if not any(spec.needs_torch for spec in metrics):
        yield
        return
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def decoded(
    dataset: Scored,
    shard: int,
    specs: Sequence[MetricSpec],
    options: MetricOptions,
    rows: NDArray[np.intp] | None = None,
) -> Iterator[tuple[list[str], tuple[Patches, ...]]]:
    """Ids and patches of a shard in batches; ids alone where no metric looks at pixels.

    Args:
        rows: of a dataset: the numbers of those that are wanted; all by default.
    """
    if all(spec.by_row for spec in specs):
        yield row_ids(dataset, shard), ()
        return
    if isinstance(dataset, Benchmark):
        for paths, *pictures in dataset.pictures(*dataset.info.shard_range(shard)):
            yield paths, tuple(pictures)
        return
    names = dataset.info.patches

    def decode(batch: pa.RecordBatch) -> tuple[list[str], tuple[Patches, ...]]:
        patches = (batch_patches(batch, name, dataset.info.patch_size) for name in names)
        return batch.column("id").to_pylist(), tuple(patches)

    on_device = workers_for(specs, options, 2) == 1
    size = DEVICE_BATCH_ROWS if on_device else CPU_BATCH_ROWS
    batches = dataset.shard_batches(shard, ["id", *names], size)
    if rows is not None:
        batches = chosen_rows(batches, dataset.info.shard_range(shard)[0], rows)
    yield from (
        map_ahead(decode, batches, _DECODERS, _DECODERS) if on_device else map(decode, batches)
    )
