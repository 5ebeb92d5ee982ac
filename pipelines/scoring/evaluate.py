"""Metrics against people: 2AFC agreement and JND mean average precision, with intervals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bapps_gen.checks import check_range
from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, open_dataset
from bapps_gen.manifests.rows import PAIR_PATCHES
from bapps_gen.manifests.scores import read_scores
from bapps_gen.pipelines.datasets.generate import Progress
from bapps_gen.pipelines.datasets.original import OriginalSet, find_sets, read_judgement, read_row
from bapps_gen.pipelines.scoring.score import (
    MetricOptions,
    check_metrics,
    distances_of,
    kept_threads,
    options_here,
    score,
    settle_workers,
    share_threads,
)
from bapps_gen.seeding import MAX_SEED
from bapps_gen.storage.locations import Location, Url

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]

CONFIDENCE = 0.95
MAX_RESAMPLES = 100_000
_JOB_ROWS = 200
_DEPTH = 4


def two_afc_agreement(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> Values:
    """How far a metric agrees with people on each triplet, float64 (N,), from 0 to 1.

    The fraction of people that prefer the patch that the metric finds closer; ½ where it finds
    both alike (paper, section 2.2 and the original program). Arrays of any shape with N values,
    such as (N,) or (N, 1, 1, 1).

    Raises:
        UserError: for numbers of values that differ, a distance that is NaN, or a judgement
            outside [0, 1].
    """
    first, second = _distances(d0), _distances(d1)
    prefer = _fractions("judge", judge, first, second)
    return np.where(first < second, 1.0 - prefer, np.where(second < first, prefer, 0.5))


def human_agreement(judge: ArrayLike) -> Values:
    """How far a person agrees with another on each triplet: p² + (1 − p)², float64 (N,).

    Its mean is the human ceiling of the paper's section 4: what a random person scores.
    """
    prefer = _fractions("judge", judge)
    return np.asarray(prefer**2 + (1.0 - prefer) ** 2)


def jnd_map(distance: ArrayLike, same: ArrayLike) -> float:
    """Mean average precision of a metric at telling pairs that people call the same.

    Pairs are ordered by distance; `same` counts as that fraction of a true positive, the rest as
    a false one; the score is the area under the interpolated precision-recall curve, as PASCAL
    VOC 2010 has it and as the original program computes it. Pairs at equal distance enter
    together, so that the score does not depend on their order. Arrays of any shape with N values.

    Returns:
        From 0 to 1; NaN where nobody called any pair the same.

    Raises:
        UserError: as `two_afc_agreement`.
    """
    values = _distances(distance)
    fractions = _fractions("same", same, values)
    return _area(*_ranked(values, fractions), None)


def _ranked(values: Values, fractions: Values) -> tuple[Values, NDArray[np.intp], NDArray[np.intp]]:
    """Fractions by distance, the order, and where runs of equal distance end."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return fractions[order], order, ends


def _area(
    fractions: Values,
    order: NDArray[np.intp],
    ends: NDArray[np.intp],
    counts: NDArray[np.intp] | None,
) -> float:
    """The area for ranked fractions, each taken `counts` times (of the unranked rows)."""
    taken = np.ones(len(order)) if counts is None else counts[order].astype(np.float64)
    positives = np.cumsum(fractions * taken)[ends]
    seen = np.cumsum(taken)[ends]
    if not len(ends) or positives[-1] <= 0.0:
        return float("nan")
    positives, seen = positives[seen > 0], seen[seen > 0]
    precision = np.maximum.accumulate((positives / seen)[::-1])[::-1]
    return float((np.diff(positives / positives[-1], prepend=0.0) * precision).sum())


def _distances(values: ArrayLike) -> Values:
    found = np.asarray(values, np.float64).reshape(-1)
    if np.isnan(found).any():
        raise UserError("a distance is not a number; score the rows again")
    return found


def _fractions(name: str, values: ArrayLike, *distances: Values) -> Values:
    found = np.asarray(values, np.float64).reshape(-1)
    for other in distances:
        if len(other) != len(found):
            raise UserError(f"{len(other)} distances for {len(found)} values of {name}")
    bad = found[~((found >= 0.0) & (found <= 1.0))]
    if len(bad):
        raise UserError(f"{name} = {bad[0]:g} is not a fraction from 0 to 1; correct it")
    return found


def bootstrap_intervals(
    statistics: Callable[[NDArray[np.intp]], Values], rows: int, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Percentile intervals of 95 % from rows drawn with replacement.

    All statistics see the same draws, so that metrics may be compared.

    Args:
        statistics: gives (K,) values from how often each row was drawn, (rows,).
        rows: how many rows there are.
        resamples: how many times they are drawn.
        seed: of the Philox generator.

    Returns:
        float64 (K, 2), low and high; NaN where no resample has the statistic.
    """
    random = np.random.Generator(np.random.Philox(seed))
    found = np.array(
        [
            statistics(np.bincount(random.integers(0, rows, rows), minlength=rows))
            for _ in range(resamples)
        ]
    )
    tail = 50.0 * (1.0 - CONFIDENCE)
    ends = np.full((found.shape[1], 2), np.nan)
    for place, values in enumerate(found.T):
        whole = values[~np.isnan(values)]
        if len(whole):
            ends[place] = np.percentile(whole, (tail, 100.0 - tail))
    return ends


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One set with distances and judgements, each (N,).

    Args:
        name: of the set.
        task: "2afc" or "jnd".
        judgement: fraction preferring p1, or saying same.
        distances: (d0, d1) by metric, or (d0,) for JND.
        left_out: rows without judgement.
        settings: of each metric.
    """

    name: str
    task: str
    judgement: Values
    distances: Mapping[str, tuple[Values, ...]]
    left_out: int
    settings: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One set's scores; `human` is None for JND, whose score has no such ceiling."""

    name: str
    task: str
    rows: int
    left_out: int
    human: Estimate | None
    metrics: Mapping[str, Estimate]
    settings: Mapping[str, Mapping[str, str]]


def evaluate(judged: Judged, resamples: int = 1000, seed: int = 0) -> Evaluation:
    """Score every metric of a set, 2AFC or mAP by its task.

    Raises:
        UserError: for a number of resamples or a seed out of range.
    """
    check_range("resamples", resamples, 10, MAX_RESAMPLES, whole=True)
    check_range("seed", seed, 0, MAX_SEED, whole=True)
    rows = len(judged.judgement)
    names = list(judged.distances)
    statistics: Callable[[NDArray[np.intp]], Values]
    if judged.task == "2afc":
        names = ["human", *names]
        table = np.stack(
            [
                human_agreement(judged.judgement),
                *(
                    two_afc_agreement(d[0], d[1], judged.judgement)
                    for d in judged.distances.values()
                ),
            ]
        )

        def statistics(counts: NDArray[np.intp]) -> Values:
            return np.asarray(table @ counts / counts.sum())
    else:
        ranked = [_ranked(d, judged.judgement) for (d,) in judged.distances.values()]

        def statistics(counts: NDArray[np.intp]) -> Values:
            return np.array([_area(*entry, counts) for entry in ranked])

    values = statistics(np.ones(rows, np.intp))
    ends = bootstrap_intervals(statistics, rows, resamples, seed)
    estimates = {
        name: Estimate(float(value), float(low), float(high))
        for name, value, (low, high) in zip(names, values, ends, strict=True)
    }
    human = estimates.pop("human", None)
    return Evaluation(
        judged.name, judged.task, rows, judged.left_out, human, estimates, judged.settings
    )


def find_judged(folder: Location) -> list[Dataset | OriginalSet]:
    """The dataset or set in the original layout in a folder, or all in folders below it.

    Raises:
        UserError: when there is none.
    """
    datasets = [open_dataset(place) for place in _dataset_folders(folder, _DEPTH)]
    if datasets:
        return [*datasets]
    if isinstance(folder, Url):
        raise UserError(f"{folder} holds no dataset; give the URL that --out named")
    return [*find_sets(folder)]


def _dataset_folders(folder: Location, depth: int) -> list[Location]:
    if (folder / INFO_NAME).is_file():
        return [folder]
    if not depth or not folder.is_dir() or (folder / "p0").is_dir():
        return []
    below = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    below.sort(key=lambda path: path.name)
    return [place for path in below for place in _dataset_folders(path, depth - 1)]


def judged_dataset(
    dataset: Dataset,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
) -> Judged:
    """A dataset's judgements and distances; distances it lacks are made and stored beside it.

    Rows that nobody judged are left out and counted.

    Raises:
        UserError: when no row is judged, or as `score`.
        WorkError: as `score`.
    """
    metrics = check_metrics(metrics, options)
    task = "jnd" if tuple(dataset.info.patches) == PAIR_PATCHES else "2afc"
    column = "same" if task == "jnd" else "judge"
    parts = [
        batch.column(column).to_numpy(zero_copy_only=False)
        for batch in dataset.batches([column], 10_000)
    ]
    judgement = np.concatenate(parts).astype(np.float64)
    there = ~np.isnan(judgement)
    if not there.any():
        raise UserError(
            f"no row of {dataset.folder} has a {column}; evaluate a set that people have judged"
        )
    score(dataset, metrics, options, workers, progress, reuse=True)
    distances, settings = {}, {}
    for name in metrics:
        stored = read_scores(dataset, name)
        both = (stored.d0,) if stored.d1 is None else (stored.d0, stored.d1)
        distances[name] = tuple(values[there] for values in both)
        settings[name] = stored.info.settings
    left_out = int((~there).sum())
    name = f"{dataset.info.kind} ({dataset.folder})"
    return Judged(name, task, judgement[there], distances, left_out, settings)


@dataclass(frozen=True, slots=True)
class _Context:
    found: OriginalSet
    metrics: tuple[str, ...]
    options: MetricOptions
    bilinear: bool
    threads: int


def judged_original(
    found: OriginalSet,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    *,
    bilinear: bool = False,
    progress: Progress | None = None,
) -> Judged:
    """Judgements and distances of a set in the original layout; nothing is stored.

    Args:
        bilinear: reduce pictures to 64 px as the original loader does, for the published numbers;
            see `read_patch`.

    Raises:
        UserError: naming a file that cannot be used, or for bad options.
    """
    metrics = check_metrics(metrics, options)
    # Loaded here too, so that what is wrong with them is told before the pictures are read.
    here = options_here(options, workers)
    settings = {name: here.load(name).settings for name in metrics}
    total = len(found.stems)
    judgement = np.array(
        [read_judgement(found.path(len(found.files) - 1, row)) for row in range(total)]
    )
    ranges = [(first, min(first + _JOB_ROWS, total)) for first in range(0, total, _JOB_ROWS)]
    told, processes, threads = settle_workers(metrics, options, workers, len(ranges))
    context = _Context(found, metrics, told, bilinear, threads)
    shared: tuple[str | Location, ...] = (
        found.folder,
        *([options.weights] if options.weights else []),
    )
    parts: dict[int, dict[str, tuple[Values, ...]]] = {}
    done = 0
    with kept_threads(metrics):
        for first, distances in run_jobs(_prepare_distances, context, ranges, processes, shared):
            parts[first] = distances
            done = min(done + _JOB_ROWS, total)
            if progress:
                progress(done, total)
    joined = {
        name: tuple(
            np.concatenate(values)
            for values in zip(*(parts[first][name] for first in sorted(parts)), strict=True)
        )
        for name in metrics
    }
    return Judged(found.label, found.task, judgement, joined, 0, settings)


def _prepare_distances(
    context: _Context,
) -> Callable[[tuple[int, int]], tuple[int, dict[str, tuple[Values, ...]]]]:
    share_threads(context.metrics, context.threads)
    metrics = {name: context.options.load(name) for name in context.metrics}

    def distances(rows: tuple[int, int]) -> tuple[int, dict[str, tuple[Values, ...]]]:
        read = [read_row(context.found, row, bilinear=context.bilinear)[0] for row in range(*rows)]
        patches = tuple(np.stack(part) for part in zip(*read, strict=True))
        return rows[0], {name: distances_of(metric, patches) for name, metric in metrics.items()}

    return distances


def mean_scores(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, dict[str, float]]]:
    """For each task with several sets, the mean over sets of every score, "human" among them."""
    for task in ("2afc", "jnd"):
        sets = [entry for entry in evaluations if entry.task == task]
        if len(sets) < 2:
            continue
        means = {}
        if all(entry.human for entry in sets):
            means["human"] = float(np.mean([e.human.value for e in sets if e.human]))
        for name in sets[0].metrics:
            means[name] = float(np.mean([entry.metrics[name].value for entry in sets]))
        yield task, means


def as_values(evaluations: Sequence[Evaluation], resamples: int, seed: int) -> dict[str, Any]:
    """Evaluations as plain values for JSON; what is undefined is None."""

    def estimate(found: Estimate | None) -> dict[str, float | None] | None:
        if found is None:
            return None
        values = {"score": found.value, "low": found.low, "high": found.high}
        return {name: None if np.isnan(value) else value for name, value in values.items()}

    return {
        "confidence": CONFIDENCE,
        "resamples": resamples,
        "seed": seed,
        "sets": [
            {
                "set": entry.name,
                "task": entry.task,
                "score": "2AFC" if entry.task == "2afc" else "mAP",
                "rows": entry.rows,
                "rows_without_judgement": entry.left_out,
                "human": estimate(entry.human),
                "metrics": {
                    name: {
                        **(estimate(found) or {}),
                        "settings": dict(entry.settings.get(name, {})),
                    }
                    for name, found in entry.metrics.items()
                },
            }
            for entry in evaluations
        ],
        "means": dict(mean_scores(evaluations)),
    }
