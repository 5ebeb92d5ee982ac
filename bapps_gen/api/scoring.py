"""Metrics: which there are, distances of a dataset's rows, and scores against judgments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, overload

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Names,
    folders,
    local,
    names,
    reporting,
    resolve_options,
    resolve_workers,
)
from bapps_gen.errors import UserError
from bapps_gen.manifests.benchmark_reader import Benchmark, find_benchmark, is_benchmark
from bapps_gen.manifests.dataset import AnyDataset, Dataset, open_dataset
from bapps_gen.manifests.scores import Scored, Scores, read_scores
from bapps_gen.metrics.table import METRICS, MetricSpec

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import Progress
    from bapps_gen.pipelines.benchmarks.evaluate import SeverityEvaluation
    from bapps_gen.pipelines.scoring.evaluate import Evaluation
    from bapps_gen.pipelines.scoring.options import MetricOptions


def list_metrics() -> tuple[MetricSpec, ...]:
    """The metrics that come with the package; `load_metric` says how others are named.

    Returns:
        A record for each: `name`, `version`, what its `distance` is, and its `source`.

    Example:
        >>> import bapps_gen
        >>> [metric.name for metric in bapps_gen.list_metrics()][:5]
        ['l2', 'l2-lab', 'psnr', 'psnr-lab', 'ssim']
    """
    return METRICS


def open_scored(dataset: AnyDataset | Benchmark) -> Scored:
    """The dataset or benchmark in a folder; one that is open is returned as it is."""
    benchmark = find_benchmark(dataset)
    if benchmark is not None:
        return benchmark
    assert not isinstance(dataset, Benchmark)
    return open_dataset(dataset)


def score(
    dataset: AnyDataset | Benchmark,
    metrics: Names = "lpips-alex",
    *,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> dict[str, Scores]:
    """Compute the distances of a dataset's rows or a benchmark's pictures, and keep them there.

    Distances that are there already are read; what an interrupted run has finished is kept.

    Args:
        dataset: its folder, its URL, or the open dataset; or a benchmark.
        metrics: names of metrics (see `list_metrics`), or texts that name others, such as
            "mine.py:MyMetric"; see `load_metric`.
        device: for metrics that compute with torch: "cpu", "cuda", "mps", or "auto" for the first
            there is of cuda, mps, cpu.
        dtype: for LPIPS: "float32"; "bfloat16", which errs by 0.1 to 0.2 %; or "auto", that of
            stored distances if there are any, otherwise bfloat16 where the processor or GPU has it
            in hardware and float32 elsewhere.
        weights: file of the network's weights, for the one LPIPS metric named.
        workers: parallel worker processes; None for all cores.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        By the metrics' own names: `ids` of the rows, and float64 arrays (N,) of distances, `d0`
        between ref and p0 and `d1` between ref and p1 (None in a set of JND pairs); larger is more
        different. Of a benchmark, ids are paths of the distorted pictures, and `d1` is None.

    Raises:
        UserError: for an unknown metric, a missing package, device or weights, or a recipe.
        WorkError: when the dataset is incomplete or damaged, or the folder cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> distances = bapps_gen.score(train, ["l2", "ssim"], workers=1)
        >>> distances["ssim"].d0.shape, bool((distances["ssim"].d0 > 0).all())
        ((6,), True)
    """
    options = metric_options(device, dtype, weights)
    with reporting(progress, "score", "rows") as report:
        return score_and_read(
            open_scored(dataset), names(metrics), options, resolve_workers(workers), report
        )


def score_and_read(
    dataset: Scored,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
) -> dict[str, Scores]:
    """Distances by metrics' own names, as `score` gives them."""
    from bapps_gen.pipelines.scoring.options import check_metrics
    from bapps_gen.pipelines.scoring.score import score as score_rows

    specs = check_metrics(metrics, options)
    score_rows(dataset, metrics, options, workers, progress)
    return {spec.name: read_scores(dataset, spec.name) for spec in specs}


_METRICS = ("l2", "ssim", "ms-ssim", "fsimc", "lpips-alex")


@overload
def evaluate(
    dataset: Benchmark,
    metrics: Names = _METRICS,
    *,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> SeverityEvaluation: ...
@overload
def evaluate(
    dataset: AnyPath | Dataset | Sequence[AnyPath | Dataset],
    metrics: Names = _METRICS,
    *,
    resamples: int = 1000,
    seed: int = 0,
    bilinear: bool = False,
    patch_size: int = 64,
    out: LocalPath | None = None,
    examples: int = 6,
    references: int = 16,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> tuple[Evaluation, ...]: ...
def evaluate(
    dataset: AnyPath | Dataset | Sequence[AnyPath | Dataset] | Benchmark,
    metrics: Names = _METRICS,
    *,
    resamples: int = 1000,
    seed: int = 0,
    bilinear: bool = False,
    patch_size: int = 64,
    out: LocalPath | None = None,
    examples: int = 6,
    references: int = 16,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> tuple[Evaluation, ...] | SeverityEvaluation:
    """Compare metrics with people's judgments, or with the severities of a benchmark.

    Triplets give 2AFC agreement and JND pairs mAP; benchmarks give Spearman's, Pearson's and
    Kendall's correlations of distance and severity.

    Args:
        dataset: a judged dataset, its folder or URL, a set in the original folder layout, or a
            folder that contains several of these, or several of all these; or an open benchmark
            (`open_benchmark`).
        metrics: names of metrics, or texts that name others, as in `score`.
        resamples: of the bootstrap for the 95 % intervals, 10 to 100,000.
        seed: of the bootstrap.
        bilinear: in the original layout: reduce 256 px pictures as the original loader does, for
            its published scores.
        patch_size: in the original layout: height and width of the patches in px, 16 to 512, of
            which pictures may be nearest-neighbor enlargements.
        out: page to write, such as "report.html", with figures and tables, which metrics differ,
            and whether 2AFC and mAP agree; beside it the same name with .json, .csv, .md and .tex.
            None for none; not of benchmarks.
        examples: of the page: rows shown of each disagreement between metrics, or of a metric with
            people, 0 to 100.
        references: of the page: references that are distorted at rising severities to see how
            sensitive metrics are, 0 to 1000; 0 leaves that out.
        device, dtype, weights: as in `score`.
        workers: parallel worker processes; None for all cores.
        progress: True for a bar, or a function of (rows done, rows in all), called for each set.

    Returns:
        For each set: `name`, `task` ("2afc" or "jnd"), `rows` judged, and `metrics`, by name, each
        with `value`, `low` and `high` from 0 to 1; `human` is what a person scores (2AFC) as the
        paper has it, and `human_unbiased` the same without the bias of few votes, where their
        numbers are known; `simulated` says whether simulated observers judged. Of a benchmark:
        `curves` by metric, for each distortion `srcc`, `plcc`, `krcc`, and the `median` distance
        of each level; and `mean(metric, "srcc")` over distortions.

    Raises:
        UserError: when nothing is judged, or as `score`.
        WorkError: as `score`.

    Example:
        >>> import bapps_gen, numpy
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> folder = bapps_gen.export(train, "judged", format="bapps")
        >>> (folder / "judge").mkdir()
        >>> for row in range(6):  # everybody prefers p1
        ...     numpy.save(folder / "judge" / f"{row:06d}.npy", numpy.float32([1.0]))
        >>> (result,) = bapps_gen.evaluate(folder, ["l2"], resamples=10, workers=1)
        >>> result.task, result.rows, 0 <= result.metrics["l2"].value <= 1
        ('2afc', 6, True)
        >>> results = bapps_gen.evaluate(folder, ["l2", "ssim"], out="report.html", workers=1)
        >>> import json, pathlib
        >>> found = json.loads(pathlib.Path("report.json").read_text())
        >>> [(pair["first"], pair["second"]) for pair in found["differences"][0]["pairs"]]
        [('l2', 'ssim')]
    """
    from bapps_gen.pipelines.comparison.options import SectionOptions
    from bapps_gen.pipelines.comparison.report import evaluate_sets
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    options = resolve_options(EvaluationOptions, locals())
    section_options = resolve_options(SectionOptions, locals())
    if isinstance(dataset, Benchmark):
        if out is not None:
            raise UserError(f"out = {out} is for judged sets; leave it out with a benchmark")
        from bapps_gen.pipelines.benchmarks.evaluate import evaluate_benchmark

        with reporting(progress, "score", "pictures") as report:
            return evaluate_benchmark(
                dataset,
                options.metrics,
                metric_options(device, dtype, weights),
                resolve_workers(workers),
                report,
            )
    sets = folders(dataset)
    for folder in sets:
        if is_benchmark(folder):
            raise UserError(f"{folder} is a benchmark; give open_benchmark('{folder}')")
    return evaluate_sets(
        sets,
        options,
        metric_options(device, dtype, weights),
        resolve_workers(workers),
        partial(reporting, progress),
        out=local(out),
        section_options=section_options,
    )


def metric_options(device: str, dtype: str, weights: LocalPath | None) -> MetricOptions:
    """How metrics are computed."""
    from bapps_gen.pipelines.scoring.options import MetricOptions

    return MetricOptions(device, dtype, None if weights is None else str(weights))
