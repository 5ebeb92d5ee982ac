"""The report of a study: what its votes say, in numbers, with rows to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.pipelines.datasets.sheet import pictured_rows
from bapps_gen.pipelines.judging.judge import task_of
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.judging.select import row_distortions
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.pipelines.validation.options import WIDTH
from bapps_gen.pipelines.validation.study_numbers import (
    PAPER_TIMES,
    describe_votes,
    task_of_votes,
)

Pictures = Mapping[str, tuple[ManifestRow, tuple[bytes, ...]]]
Rows = Mapping[str, tuple[str, ...]]
"""The distortions of a dataset's rows by their ids, in its order."""


@dataclass(frozen=True, slots=True)
class StudyReport:
    """All that a report says of a study's votes.

    Args:
        name: of the study, or of the file of votes.
        result: what `describe_votes` returned.
        pictures: by id, rows among the extremes with their PNG files, of datasets that were given.
        missed: nothing, since a study has no thresholds.
    """

    name: str
    result: Mapping[str, Any]
    pictures: Pictures
    missed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Of the page; says so where votes are simulated."""
        return f"{'Simulated votes' if self.result['simulated'] else 'Votes'} of {self.name}"

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""
        return {"title": self.title, "name": self.name, **self.result}

    def summary(self) -> str:
        """The main numbers on one line."""
        result = self.result
        votes = result["votes"]
        simulated = "simulated " if result["simulated"] else ""
        parts = [
            f"{votes['all']:,} {simulated}votes of {result['people']:,} people, "
            f"{votes['counted']:,} of them count"
        ]
        if result["sentinels"]:
            passed = result["sentinels"]["passed"]
            parts.append(f"{passed['count']} of {passed['of']} sessions passed")
        ceiling = result["agreement"]["ceiling"]
        if ceiling:
            found = ceiling["unbiased"]
            parts.append(
                f"two people agree on {100 * found['value']:.1f} % "
                f"({100 * found['low']:.1f} – {100 * found['high']:.1f} %)"
            )
        return "; ".join(parts)

    def planned(self) -> str | None:
        """What narrows the ceiling's interval, on one line; None where there is no ceiling."""
        plan = self.result["plan"]
        if plan is None:
            return None
        what = "human ceiling" if self.result["task"] == "2afc" else "agreement of two people"
        wide = f"the interval of the {what} is {plan['width_now']:.3f} wide"
        if not plan["more_rows"]:
            return f"{wide}, no more than {plan['width']:g}"
        return (
            f"{wide}; for {plan['width']:g} judge {plan['more_rows']:,} more rows, "
            f"{plan['more_votes']:,} votes"
        )


def report_votes(
    votes: pa.Table,
    options: VoteFilter,
    *,
    name: str,
    study: Study | None = None,
    datasets: Sequence[Dataset] = (),
    width: float = WIDTH.default,
) -> StudyReport:
    """Report on votes.

    Args:
        votes: with VOTES_SCHEMA, as they came.
        options: which of them count.
        name: of the study, or of what the votes are in.
        study: that they are of, for what it asks for; None where unknown.
        datasets: with the rows that they are on, for distortions and pictures.
        width: of the ceiling's interval, for what would narrow it to that.

    Raises:
        UserError: when there are no votes, votes of both tasks, or of another study; or for a
            dataset of the other task, or that has no vote.
        WorkError: when the study or a dataset is damaged.
    """
    WIDTH.check("width", width)
    task = task_of_votes(votes)
    wanted, names, times = None, {}, dict(PAPER_TIMES)
    if study is not None:
        _check_study(votes, study)
        wanted = study.wanted()
        names = {entry.digest: entry.name for entry in study.info.datasets}
        times = {column: float(getattr(study.protocol, column)) for column in PAPER_TIMES}
    names |= {dataset.info.digest: dataset.folder.name for dataset in datasets}
    rows = [row_distortions(dataset) for dataset in datasets]
    _check_datasets(votes, datasets, rows, task)
    distortions = {name: sides for part in rows for name, sides in part.items()}
    result = describe_votes(
        votes,
        options,
        width=width,
        wanted=wanted,
        names=names,
        distortions=distortions if datasets else None,
        times=times,
    )
    return StudyReport(name, result, _pictures(result, datasets, rows))


def _check_study(votes: pa.Table, study: Study) -> None:
    others = set(pc.unique(votes["study"]).to_pylist()) - {study.info.digest, ""}
    if others:
        raise UserError(
            f"there are votes of another study than {study.folder}, of digest {min(others)}; "
            "give that one's folder, or votes alone"
        )


def _check_datasets(
    votes: pa.Table, datasets: Sequence[Dataset], rows: Sequence[Rows], task: str
) -> None:
    voted = set(pc.unique(votes["id"]).to_pylist())
    for dataset, known in zip(datasets, rows, strict=True):
        if task_of(dataset) != task:
            raise UserError(
                f"{dataset.folder} has {dataset.info.unit}, but the votes are of the task {task}; "
                "leave it out"
            )
        if voted.isdisjoint(known):
            raise UserError(f"no vote is on a row of {dataset.folder}; leave it out")


def _pictures(
    result: Mapping[str, Any], datasets: Sequence[Dataset], rows: Sequence[Rows]
) -> Pictures:
    """Rows among the extremes with their pictures, as far as datasets are given and have some."""
    wanted = {entry["id"] for part in result["extremes"].values() for entry in part}
    found: dict[str, tuple[ManifestRow, tuple[bytes, ...]]] = {}
    for dataset, known in zip(datasets, rows, strict=True):
        if dataset.info.pictures:
            own = {number for number, name in enumerate(known) if name in wanted}
            found |= {row.id: (row, pngs) for row, pngs in pictured_rows(dataset, own)}
    return found
