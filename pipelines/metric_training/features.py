"""One pass of a feature net over judged rows: what it makes of them is kept beside the scores.

The trunk of a metric whose linear weights alone are trained stays as it is, so that all that a
training needs of a pair are its squared differences, by channel, averaged over positions.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import WorkError
from bapps_gen.execution.jobs import RayCluster, Workers, run_jobs
from bapps_gen.execution.progress import Progress, Rows, advance
from bapps_gen.lpips.net_names import SMALLEST, parse_net
from bapps_gen.manifests.dataset import INFO_NAME, Dataset
from bapps_gen.manifests.features import (
    FEATURES,
    FEATURES_FOLDER,
    GAIN,
    FeatureInfo,
    ShardFeatures,
    UnusableFeatures,
    features_path,
    held_features,
    read_features,
    write_features,
)
from bapps_gen.metrics import MetricSpec, metric_spec
from bapps_gen.metrics.deep import LpipsMetric
from bapps_gen.pipelines.metric_training.data import Indices, JudgedPart, JudgedRows
from bapps_gen.pipelines.scoring.options import MetricOptions, check_patch_size, resolve_dtype
from bapps_gen.pipelines.scoring.score import (
    decoded,
    files_of,
    kept_threads,
    options_here,
    resolve_workers,
    share_threads,
)
from bapps_gen.storage.workspace import claim

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """What a pass did: rows whose features were made now, and rows that had them."""

    made: int
    kept: int


def net_metric(net: str) -> MetricSpec:
    """The metric whose features are trained on: a net's own, with all linear weights 1.

    Raises:
        UserError: for a text that names no feature net.
    """
    parse_net(net)  # other texts may name metrics
    return metric_spec(f"uncalibrated-{net}" if net in SMALLEST else net)


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Which features of which rows are wanted.

    Args:
        metric: the net's, with all linear weights 1.
        datasets: each once.
        rows: of each, ascending.
        infos: what the features of each are of; they differ in the dataset's digest alone.
        smallest: least height and width in px that the net takes.
        options: device, dtype (no longer "auto") and weights of the net.
    """

    metric: MetricSpec
    datasets: tuple[Dataset, ...]
    rows: tuple[Indices, ...]
    infos: tuple[FeatureInfo, ...]
    smallest: int
    options: MetricOptions


@dataclass(frozen=True, slots=True)
class _Context:
    plan: FeaturePlan
    threads: int


@dataclass(frozen=True, slots=True)
class _Job:
    dataset: int
    shard: int
    rows: Indices
    wanted: int  # of the rows; others are kept from before


def plan_features(
    parts: Sequence[JudgedPart], net: str, options: MetricOptions, workers: Workers
) -> FeaturePlan:
    """What is to be made of judged rows; the net is loaded.

    Args:
        parts: judged rows; several may be of one dataset.
        net: text that names the feature net.
        options: device, dtype and weights of the net.
        workers: of the pass.

    Raises:
        UserError: for bad options, or patches that are too small for the net.
    """
    spec = net_metric(net)
    datasets, rows = _by_dataset(parts)
    size = datasets[0].info.patch_size
    check_patch_size([spec], size)
    metric, options = _load(spec, datasets, options, workers)
    own = metric.model.net
    check_patch_size([replace(spec, smallest=own.smallest)], size)
    infos = tuple(
        FeatureInfo(own.name, dict(metric.settings), own.channels, dataset.info.digest)
        for dataset in datasets
    )
    return FeaturePlan(spec, datasets, rows, infos, own.smallest, options)


def make_features(
    plan: FeaturePlan, workers: Workers, progress: Progress | None = None
) -> FeatureReport:
    """Store the features of a plan, or what is missing of them, beside their datasets.

    What is whole and of this net, dataset and settings is kept, and what is not is made again,
    with a warning. A shard's features appear whole or not at all.

    Args:
        plan: of `plan_features`.
        workers: worker processes on the CPU, or a Ray cluster.
        progress: called with rows done and rows in all.

    Raises:
        UserError: when another run makes them.
        WorkError: when a shard is damaged, features are no numbers, or cannot be written.
    """
    total = sum(map(len, plan.rows))
    if not any(True for _ in _missing(plan)):  # so that trainings in parallel read what is there
        if progress:
            progress(total, total)
        return FeatureReport(0, total)
    with contextlib.ExitStack() as stack:
        for dataset, info in zip(plan.datasets, plan.infos, strict=True):
            stack.enter_context(claim(dataset.folder / FEATURES_FOLDER / info.net, FEATURES))
        jobs = list(_missing(plan, warn=True))
        kept = total - sum(job.wanted for job in jobs)
        done, made = Rows(total, progress, kept), 0
        if jobs:
            resolved, processes, threads = resolve_workers(
                [plan.metric], plan.options, workers, len(jobs)
            )
            context = _Context(replace(plan, options=resolved), threads)
            stack.enter_context(kept_threads([plan.metric]))
            shared = [dataset.folder / INFO_NAME for dataset in plan.datasets]
            files = [*shared, *files_of([plan.metric], plan.options)]
            for rows in run_jobs(_prepare, context, jobs, processes, files, done.reach):
                made += rows
                done.reach(made)
    return FeatureReport(total - kept, kept)


def _by_dataset(parts: Sequence[JudgedPart]) -> tuple[tuple[Dataset, ...], tuple[Indices, ...]]:
    """Each dataset once, with all of its rows that are wanted, ascending."""
    datasets: dict[str, Dataset] = {}
    rows: dict[str, Indices] = {}
    for part in parts:
        digest = part.dataset.info.digest
        datasets[digest] = part.dataset
        rows[digest] = np.union1d(rows.get(digest, part.rows), part.rows)
    return tuple(datasets.values()), tuple(rows.values())


def _load(
    spec: MetricSpec, datasets: Sequence[Dataset], options: MetricOptions, workers: Workers
) -> tuple[LpipsMetric, MetricOptions]:
    """The net as a metric, and options with the dtype that "auto" stands for: that of features
    that are there, where they are of the same weights."""
    here = options_here(options, workers)
    is_remote = isinstance(workers, RayCluster)
    given = replace(here, dtype="float32") if here.dtype == "auto" else here
    metric = _checked(given.load(spec))
    held = {
        info.settings.get("dtype")
        for dataset in datasets
        if (info := held_features(dataset.folder, metric.model.net.name, 0)) is not None
        and info.settings.get("trunk") == metric.settings["trunk"]
    }
    dtype = resolve_dtype(here, remote=is_remote, stored=min(filter(None, held), default=None))
    if dtype.dtype != given.dtype:
        metric = _checked(dtype.load(spec))
    return metric, replace(options, dtype=dtype.dtype)


def _checked(metric: object) -> LpipsMetric:
    assert isinstance(metric, LpipsMetric)  # what texts of feature nets load
    return metric


def _missing(plan: FeaturePlan, *, warn: bool = False) -> Iterator[_Job]:
    """Shards that lack features of judged rows, with all rows that they should have."""
    each = zip(plan.datasets, plan.infos, plan.rows, strict=True)
    for number, (dataset, info, rows) in enumerate(each):
        warned: set[str] = set()
        for shard in np.unique(rows // dataset.info.shard_rows).tolist():
            own = rows[rows // dataset.info.shard_rows == shard]
            wanted = len(own)
            try:
                held = read_features(dataset, info, shard)
                if np.isin(own, held.rows).all():
                    continue
                own = np.union1d(own, held.rows)
            except UnusableFeatures as fault:
                if warn and str(fault) not in ("missing", *warned):
                    warned.add(str(fault))  # once, where a whole set was made otherwise
                    path = features_path(dataset.folder, info.net, shard)
                    logger.warning("%s is %s; made again", path, fault)
            yield _Job(number, shard, own, wanted)


def _prepare(context: _Context) -> Callable[[_Job], int]:
    """A function that makes the features of one shard and returns how many rows have them."""
    import torch

    plan = context.plan
    share_threads([plan.metric], context.threads)
    metric = _checked(plan.options.load(plan.metric))
    if dict(metric.settings) != dict(plan.infos[0].settings):
        raise WorkError(
            f"{plan.metric.given} changed while this ran, or differs from machine to machine; run "
            "the same command again"
        )

    def make(job: _Job) -> int:
        dataset, info = plan.datasets[job.dataset], plan.infos[job.dataset]
        means: list[NDArray[np.float16]] = []
        positions: list[NDArray[np.float16]] = []
        batches = decoded(dataset, job.shard, [plan.metric], plan.options, job.rows)
        for ids, patches in batches:
            sides = metric.model.pooled_with_positions(*patches)
            pooled, effective = (torch.stack(side, 1) for side in sides)
            bad = torch.nonzero(~pooled.isfinite().flatten(1).all(1))
            if len(bad):
                raise WorkError(
                    f"features of row {ids[bad[0]]} by {info.net} are not finite numbers; correct "
                    "the net, or take --precision float32"
                )
            means.append((pooled * GAIN).half().cpu().numpy())
            positions.append(effective.half().cpu().numpy())
            advance(len(ids) * job.wanted / len(job.rows))
        features = ShardFeatures(
            job.rows.astype(np.int64), np.concatenate(means), np.concatenate(positions)
        )
        write_features(dataset.folder, info, job.shard, features)
        return job.wanted

    return make


class StoredFeatures:
    """Features of judged rows, read in place from the files beside their datasets.

    Args:
        rows: the judged rows.
        info: what they are of; datasets differ in their digest alone.

    Raises:
        WorkError: when features are missing or damaged.
    """

    def __init__(self, rows: JudgedRows, info: FeatureInfo) -> None:
        self.channels = info.channels
        self.gain = GAIN
        self.dtype: type[np.float16 | np.float32] = np.float16
        self._means: list[NDArray[np.float16]] = []
        self._part = np.empty(len(rows), np.intp)
        self._place = np.empty(len(rows), np.intp)
        positions = []
        first = 0
        for part in rows.parts:
            own = replace(info, spec_digest=part.dataset.info.digest)
            for shard, chosen in _by_shard(part):
                held = _require(part.dataset, own, shard)
                place = np.searchsorted(held.rows, chosen)
                end = first + len(chosen)
                self._part[first:end] = len(self._means)
                self._place[first:end] = place
                self._means.append(held.means)
                positions.append(held.positions[place].astype(np.float32))
                first = end
        self.positions = np.concatenate(positions)

    def __len__(self) -> int:
        return len(self._part)

    def gather(self, rows: NDArray[np.intp], out: NDArray[np.floating]) -> None:
        """Write the means of some rows, float16 (rows, 2, channels), times `gain`."""
        parts, places = self._part[rows], self._place[rows]
        if len(self._means) == 1:
            np.take(self._means[0], places, 0, out=out, mode="clip")
            return
        order = np.argsort(parts, kind="stable")
        found, starts = np.unique(parts[order], return_index=True)
        for number, chosen in zip(found, np.split(order, starts[1:]), strict=True):
            out[chosen] = self._means[number][places[chosen]]


def _by_shard(part: JudgedPart) -> Iterable[tuple[int, Indices]]:
    shards = part.rows // part.dataset.info.shard_rows
    found, starts = np.unique(shards, return_index=True)
    return zip(found.tolist(), np.split(part.rows, starts[1:]), strict=True)


def _require(dataset: Dataset, info: FeatureInfo, shard: int) -> ShardFeatures:
    try:
        return read_features(dataset, info, shard)
    except UnusableFeatures as fault:
        path = features_path(dataset.folder, info.net, shard)
        raise WorkError(f"{path} is {fault}; run the same command again") from None
