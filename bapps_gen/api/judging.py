"""Votes, and the judgments of a dataset's rows that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    locations,
    reporting,
    require_known,
    resolve_workers,
)
from bapps_gen.api.datasets import AnyDataset, open_dataset
from bapps_gen.errors import UserError

if TYPE_CHECKING:
    from bapps_gen.manifests.answers import Answers
    from bapps_gen.manifests.judgements import JudgementsInfo


def judge(
    dataset: AnyDataset,
    *,
    votes: AnyPath | Sequence[AnyPath] | pa.Table = (),
    answers: AnyPath | Sequence[AnyPath] | Mapping[str, float | tuple[float, int]] = (),
    original: LocalPath | None = None,
    in_shards: bool = True,
    replace: bool = False,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    **filters: Any,
) -> JudgementsInfo:
    """Judge a dataset's rows by votes, or by answers from elsewhere.

    Judgments lie beside the shards, with the votes as they came, and all readers join them.

    Args:
        dataset: its folder, its URL, or the open dataset; whole.
        votes: files of votes, or votes as `read_votes` gives them.
        answers: instead of votes, CSV files with the columns id, judge and count (same and count
            for pairs) or a line for each answer (id, answer, person); or, by id of a row, the
            fraction of people who prefer p1 (of pairs, who say same), or the fraction and how many
            people they are.
        original: instead of votes, a folder in the original layout, such as an export of the
            dataset, whose rows are found by the hashes of their pixels.
        in_shards: whether copies of the judgments fill the columns of the shards, for programs
            that read these alone. Columns that hold other judgments are left as they are.
        replace: whether judgments by earlier files that are not given now may be given up.
        workers: parallel worker processes that read pictures of `original`; None for all cores.
        progress: True for a bar, or a function of (rows read, rows in all), with `original`.
        filters: which votes count: `min_sentinels`, the smallest share of sentinels that a session
            must have answered right (default .93); `min_rt_ms`, the shortest reaction time (default
            200); `mistimed`, whether votes on pictures that were not seen for the right time
            count; `where`, a condition in SQL on the columns of votes.

    Returns:
        What was written to `judgements/judgements.json`: numbers of rows, votes and people, and of
        votes that do not count by reason.

    Raises:
        UserError: for files that are none of votes or answers; when no vote counts, or one is on a
            row that the dataset does not have; when earlier judgments would be given up.
        WorkError: when the dataset is incomplete or damaged, or cannot be written.

    Example:
        >>> import bapps_gen
        >>> judged = bapps_gen.make_dataset("traditional", rows=6, out="answered", workers=1)
        >>> ids = [row.id for row in judged]
        >>> info = bapps_gen.judge(judged, answers={ids[0]: (0.5, 4), ids[3]: (1.0, 3)})
        >>> info.rows, info.votes
        (2, 7)
        >>> [triplet.judge for triplet in bapps_gen.iter_triplets("answered")]
        [0.5, None, None, 1.0, None, None]
    """
    from bapps_gen.manifests.answers import read_answers
    from bapps_gen.manifests.votes import votes_table
    from bapps_gen.pipelines.judging.judge import judge_by_answers, judge_dataset
    from bapps_gen.pipelines.judging.match import judge_by_original
    from bapps_gen.pipelines.judging.options import VoteFilter

    opened = open_dataset(dataset)
    require_known(filters, VoteFilter, "filter of votes")
    chosen = VoteFilter(**filters)
    options: dict[str, Any] = {"in_shards": in_shards, "replaces": replace}
    if original is not None:
        with reporting(progress, "reading", "rows") as report:
            processes = resolve_workers(workers)
            return judge_by_original(opened, Path(original), processes, progress=report, **options)
    if isinstance(answers, Mapping):
        held = _answers_of(answers, opened.info.unit)
        return judge_by_answers(opened, held, chosen, **options)
    files = locations(answers)
    if files:
        return judge_by_answers(opened, read_answers(files), chosen, files, **options)
    if isinstance(votes, pa.Table):
        return judge_dataset(opened, votes_table(votes, "votes"), chosen, **options)
    files = locations(votes)
    if not files:
        raise UserError("neither votes nor answers are given; give one of them")
    return judge_dataset(opened, read_votes(files), chosen, files, **options)


def read_votes(files: AnyPath | Sequence[AnyPath]) -> pa.Table:
    """The votes of some files, Parquet or CSV, as they came.

    Args:
        files: such as `bapps-gen study votes` writes, or `judgements/votes/` of a dataset holds.

    Returns:
        An Arrow table with a row for each vote, in the order of the files.

    Raises:
        UserError: when a file is not one of votes.
        WorkError: when one is damaged.

    Example:
        >>> import bapps_gen
        >>> voted = bapps_gen.make_dataset("traditional", rows=6, out="voted", workers=1)
        >>> names = "study,session,person,trial,dataset,row,id,task,phase,left,answer,expected,"
        >>> names += "rt_ms,reference_ms,gap_ms,distorted_ms,timing_ok,time,simulated"
        >>> vote = f",s1,Ada,t1,{voted.info.digest},2,{voted[2].id},2afc,test,p0,p1,,812,,,,,,false"
        >>> with open("votes.csv", "w") as file:
        ...     print(names, vote, sep="\\n", file=file)
        >>> votes = bapps_gen.read_votes("votes.csv")
        >>> votes["answer"].to_pylist(), bapps_gen.judge(voted, votes=votes).people
        (['p1'], 1)
    """
    from bapps_gen.manifests.votes import read_votes as read

    return read(locations(files))


def write_answers_template(dataset: AnyDataset, path: LocalPath) -> int:
    """Write a CSV file to fill in judgments, with the ids of a dataset's rows.

    Judgments that there are already are filled in. A damaged dataset gives what can be read.

    Args:
        dataset: its folder, its URL, or the open dataset.
        path: of the file, such as "answers.csv".

    Returns:
        How many rows are judged already.

    Raises:
        WorkError: when it cannot be written.

    Example:
        >>> import bapps_gen
        >>> blank = bapps_gen.make_dataset("traditional", rows=6, out="blank", workers=1)
        >>> bapps_gen.write_answers_template(blank, "answers.csv")
        0
        >>> open("answers.csv").readline()
        'id,judge,count\\n'
    """
    from bapps_gen.manifests.dataset import open_dataset as open_any
    from bapps_gen.pipelines.judging.template import write_template

    return write_template(open_any(dataset, incomplete=True), Path(path))


def _answers_of(answers: Mapping[str, float | tuple[float, int]], unit: str) -> Answers:
    """Answers given as fractions, checked."""
    from bapps_gen.checks import check_range
    from bapps_gen.manifests.answers import Answers

    judgments: dict[str, tuple[float, int | None]] = {}
    for name, value in answers.items():
        fraction, count = value if isinstance(value, tuple) else (value, None)
        check_range(f"the judgment of {name}", fraction, 0, 1)
        if count is not None:
            check_range(f"the number of people who judged {name}", count, 1, 2**31 - 1, whole=True)
        judgments[name] = float(fraction), count
    task = "2afc" if unit == "triplets" else "jnd"
    return Answers(judgments, tasks=frozenset({task} if judgments else ()))
