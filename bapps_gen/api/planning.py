"""Planning studies: simulated observers, rows worth judging, and reports of votes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Names,
    local,
    locations,
    names,
    reporting,
    require_known,
    resolve_workers,
    several,
)
from bapps_gen.api.datasets import AnyDataset, Dataset, open_dataset
from bapps_gen.api.scoring import metric_options, score_and_read
from bapps_gen.api.validation import Validation, check_parent
from bapps_gen.errors import UserError
from bapps_gen.manifests import dataset as stored
from bapps_gen.storage.locations import Location, location_of

if TYPE_CHECKING:
    import pyarrow as pa

    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import ProgressBars
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.manifests.scores import Scores
    from bapps_gen.pipelines.judging.options import ObserverOptions
    from bapps_gen.pipelines.judging.study.study import Study
    from bapps_gen.pipelines.scoring.options import MetricOptions
    from bapps_gen.pipelines.validation.study import StudyReport

Several = AnyDataset | Sequence[AnyDataset]
"""One dataset or several."""


def simulate(
    dataset: AnyDataset | Study,
    metric: str = "lpips-alex",
    *,
    datasets: Several = (),
    judgments: int | None = None,
    out: LocalPath | None = None,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    **observers: Any,
) -> pa.Table:
    """Let simulated observers, who judge by a metric, answer a dataset's rows or a study.

    Every vote says that it is simulated, and so does all that is made of them. Distances that a
    dataset lacks are computed and kept beside it.

    Args:
        dataset: folder or URL of a dataset, or an open one; or a study or its folder, whose
            sessions are taken, sentinels and practice included.
        metric: by which they judge: a name, or a text as in `score`.
        datasets: of a study: its datasets.
        judgments: of a dataset: votes on each row, each by another person; None for 2 of sets for
            training, 5 of others, 3 of pairs.
        out: file to write, Parquet or CSV by its ending; None for none.
        device, dtype, weights: of LPIPS, as in `score`.
        workers: parallel worker processes; None for all cores.
        progress: True for a bar, or a function of (rows done, rows in all).
        observers: who answers: `people` (40); `noise`, the standard deviation of the noise on what
            they feel, in the metric's unit (0.1); `lapse`, the share of answers given at random
            (0.02); `bias` toward the left side, in the metric's unit (0); `careless`, the share of
            people who answer everything at random (0); `criterion`, the distance below which pairs
            look the same (None for that which 27.9 % of the pairs are below, as in the paper);
            `seed` (0).

    Returns:
        The votes, an Arrow table with one row for each.

    Raises:
        UserError: for a value out of range, or as `score`.
        WorkError: as `score`.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> votes = bapps_gen.simulate(train, "l2", judgments=3, noise=0.02, workers=1)
        >>> votes.num_rows, set(votes["simulated"].to_pylist())
        (18, {True})
    """
    from bapps_gen.manifests.votes import write_votes
    from bapps_gen.pipelines.judging.options import ObserverOptions

    require_known(observers, ObserverOptions, "option of observers")
    if isinstance(dataset, str | os.PathLike):
        dataset = location_of(dataset)
    votes = observed_votes(
        dataset,
        _opened(datasets),
        metric,
        judgments,
        ObserverOptions(**observers),
        metric_options(device, dtype, weights),
        resolve_workers(workers),
        partial(reporting, progress),
    )
    path = local(out)
    if path is not None:
        write_votes(path, votes)
    return votes


def observed_votes(
    target: Location | stored.Dataset | Study,
    datasets: Sequence[stored.Dataset],
    metric: str,
    judgments: int | None,
    observers: ObserverOptions,
    options: MetricOptions,
    workers: Workers,
    progress: ProgressBars,
) -> pa.Table:
    """The votes of simulated observers on a dataset's rows or a study's sessions."""
    from bapps_gen.pipelines.judging.study.observers import observe_dataset, observe_study
    from bapps_gen.pipelines.judging.study.study import STUDY_NAME, Study, open_study

    def scored(dataset: stored.Dataset) -> Scores:
        (scores,) = _scores(dataset, [metric], options, workers, progress).values()
        return scores

    if isinstance(target, Path) and (target / STUDY_NAME).is_file():
        target = open_study(target)
    if isinstance(target, Study):
        if not datasets:
            raise UserError("a study does not hold distances; give its datasets with --datasets")
        if judgments is not None:
            raise UserError("judgments are for a dataset; a study has its own; leave them out")
        scores = {dataset.info.digest: scored(dataset) for dataset in datasets}
        return observe_study(target, scores, observers)
    if datasets:
        raise UserError("--datasets is for a study; leave it out, or name a study")
    dataset = stored.open_dataset(target)
    return observe_dataset(dataset, scored(dataset), judgments, observers)


def select(
    dataset: AnyDataset,
    rows: int,
    *,
    out: LocalPath,
    by: str = "disagreement",
    metrics: Names = ("lpips-alex", "ssim"),
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> Dataset:
    """Write the rows of a dataset that are worth judging as a dataset of their own.

    It is a subset as `subset` makes them: rows keep ids, pictures and distances, and are verified
    and replayed. Distances that the dataset lacks are computed and kept beside it.

    Args:
        dataset: its folder, its URL, or the open dataset.
        rows: how many to choose.
        out: folder of the selection, new or empty.
        by: "disagreement", where metrics disagree most; "uniform", uniformly over the range of the
            first metric's distances; "balanced", every distortion equally often.
        metrics: whose distances count, as in `score`; two or more for "disagreement".
        seed: of the choice among equals.
        device, dtype, weights: of LPIPS, as in `score`.
        workers: parallel worker processes; None for all cores.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        The selection, open.

    Raises:
        UserError: for a value out of range, when `out` is in use, or as `score`.
        WorkError: as `score`, or when `out` cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> hard = bapps_gen.select(train, 2, metrics=["l2", "ssim"], out="hard", workers=1)
        >>> len(hard), hard.info.history
        (2, ('2 of 6 triplets, where l2 and ssim disagree most',))
    """
    selected_rows(
        open_dataset(dataset),
        rows,
        by,
        names(metrics),
        seed,
        Path(out),
        metric_options(device, dtype, weights),
        resolve_workers(workers),
        partial(reporting, progress),
    )
    return open_dataset(out)


def selected_rows(
    dataset: stored.Dataset,
    rows: int,
    by: str,
    metrics: Sequence[str],
    seed: int,
    out: Path,
    options: MetricOptions,
    workers: Workers,
    progress: ProgressBars,
) -> DatasetInfo:
    """Write the rows of a dataset that are worth judging."""
    from bapps_gen.pipelines.datasets.selection import write_subset
    from bapps_gen.pipelines.judging.options import BY, SELECT_SEED
    from bapps_gen.pipelines.judging.select import select_rows

    BY.check("by", by)
    SELECT_SEED.check("seed", seed)
    metrics = {"disagreement": metrics, "uniform": metrics[:1]}.get(by, ())
    scores = _scores(dataset, metrics, options, workers, progress)
    chosen = select_rows(dataset, scores, rows, by, seed)
    described = {
        "disagreement": f"{' and '.join(scores)} disagree most",
        "uniform": f"distances by {', '.join(scores)} are uniform",
        "balanced": "distortions are balanced",
    }
    with progress("select", "rows") as report:
        return write_subset(dataset, lambda _: iter([chosen]), out, described[by], report)


def study_report(
    study: LocalPath | Study | None = None,
    *,
    votes: AnyPath | Sequence[AnyPath] | pa.Table = (),
    datasets: Several = (),
    width: float = 0.02,
    out: LocalPath | None = None,
    **filters: Any,
) -> Validation:
    """Say in numbers, and in a report, what a study's votes are worth.

    Args:
        study: the study or its folder, for what it asks for; None where there is none.
        votes: files of votes, or votes as `simulate` gives them; those that the study's server
            stored by default.
        datasets: with the rows that votes are on, for agreement by distortion and for pictures.
        width: of the human ceiling's 95 % interval, for how many more votes would narrow it to
            that.
        out: HTML report to write; None for none.
        filters: which votes count, as in `bapps-gen study report`.

    Returns:
        `values`, all numbers, as the page "Numbers of a study's report" explains them; `summary`.

    Raises:
        UserError: when there are no votes, votes of both tasks or of another study.
        WorkError: when the study or a dataset is damaged, or the report cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> votes = bapps_gen.simulate(train, "l2", judgments=3, workers=1)
        >>> found = bapps_gen.study_report(votes=votes, datasets=train, out="report.html")
        >>> found.values["simulated"], found.values["people"], found.values["rows"]
        (True, 18, 6)
    """
    from bapps_gen.pipelines.judging.options import VoteFilter

    require_known(filters, VoteFilter, "filter of votes")
    path = local(out)
    if path is not None:
        check_parent(path)
    report = collect_report(study, votes, _opened(datasets), width, filters)
    if path is not None:
        from bapps_gen.pipelines.validation.study_page import write_study_page

        write_study_page(report, path)
    return Validation(report.values(), report.missed, report.summary())


def collect_report(
    study: LocalPath | Study | None,
    votes: AnyPath | Sequence[AnyPath] | pa.Table,
    datasets: Sequence[stored.Dataset],
    width: float,
    filters: Mapping[str, Any],
) -> StudyReport:
    """The report on a study's votes, or on those given."""
    import pyarrow as pa

    from bapps_gen.manifests.votes import read_votes, votes_table
    from bapps_gen.pipelines.judging.options import VoteFilter
    from bapps_gen.pipelines.judging.study.collect import server_votes
    from bapps_gen.pipelines.judging.study.study import open_study
    from bapps_gen.pipelines.validation.study import report_votes

    if isinstance(study, str | os.PathLike):
        study = open_study(Path(study))
    files = () if isinstance(votes, pa.Table) else locations(votes)
    if isinstance(votes, pa.Table):
        held = votes_table(votes, "votes")
    elif files:
        held = read_votes(files)
    elif study is not None:
        held = server_votes(study)
    else:
        raise UserError("neither a study nor votes are given; give one of them")
    if study is not None:
        filters = {"min_sentinels": study.protocol.min_sentinels, **filters}
        name = study.folder.resolve().name
    else:
        name = ", ".join(file.name for file in files) or "votes"
    return report_votes(
        held, VoteFilter(**filters), name=name, study=study, datasets=datasets, width=width
    )


def _scores(
    dataset: stored.Dataset,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: ProgressBars,
) -> dict[str, Scores]:
    """A dataset's distances by metrics' own names, made where they are missing."""
    if not metrics:
        return {}
    with progress("score", "rows") as report:
        return score_and_read(dataset, metrics, options, workers, report)


def _opened(datasets: Several) -> list[stored.Dataset]:
    return [stored.open_dataset(dataset) for dataset in several(datasets)]
