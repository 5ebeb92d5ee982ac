"""Votes and answers turned into the judgments of a dataset's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bapps_gen.errors import UserError
from bapps_gen.manifests.answers import Answer, Answers
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.judgements import JudgementsInfo
from bapps_gen.manifests.rows import task_of_patches
from bapps_gen.manifests.shard_judgements import Judgment
from bapps_gen.manifests.votes import VOTES_SCHEMA, votes_table
from bapps_gen.pipelines.datasets.judged import RawFile
from bapps_gen.pipelines.judging.filters import filter_votes
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.judging.write import (
    raw_votes,
    read_raw,
    require_known,
    shard_ids,
    write_judgments,
)
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location

_COUNTED: Mapping[str, str] = {"2afc": "p1", "jnd": "same"}
"""The answer whose share is the judgment, by task."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes on a row: how many, and how many for p1, or for "same"."""

    votes: int
    counted: int

    @property
    def fraction(self) -> float:
        """Share of people who prefer p1, or who call the two the same."""
        return self.counted / self.votes


def task_of(dataset: Dataset) -> str:
    """The task that a dataset's rows are for: "2afc" of triplets, "jnd" of pairs."""
    return task_of_patches(dataset.info.patches)


def tallies(votes: pa.Table, task: str) -> dict[str, Tally]:
    """The votes on each row, by id.

    Args:
        votes: that count, with VOTES_SCHEMA; those of other tasks are passed over.
        task: "2afc" or "jnd".
    """
    votes = votes.filter(pc.equal(votes["task"], task))
    counted = pc.cast(pc.equal(votes["answer"], _COUNTED[task]), pa.int64())
    sums = (
        pa.table({"id": votes["id"], "counted": counted})
        .group_by("id", use_threads=False)
        .aggregate([("counted", "sum"), ("counted", "count")])
    )
    columns = (sums[name].to_pylist() for name in ("id", "counted_count", "counted_sum"))
    return {name: Tally(count, total) for name, count, total in zip(*columns, strict=True)}


def missing_votes(counted: Mapping[str, Tally], wanted: Mapping[str, int]) -> int:
    """How many votes rows still lack.

    Args:
        counted: the votes that count, by id of a row.
        wanted: how many each row is to have, by id.
    """
    held = {name: tally.votes for name, tally in counted.items()}
    return sum(max(0, number - held.get(name, 0)) for name, number in wanted.items())


def judge_dataset(
    dataset: Dataset,
    votes: pa.Table,
    options: VoteFilter | None = None,
    files: Sequence[Location] = (),
    *,
    in_shards: bool = True,
    replaces: bool = False,
) -> JudgementsInfo:
    """Judge a dataset's rows by votes.

    Args:
        dataset: the dataset, whole.
        votes: with VOTES_SCHEMA; those on rows of other datasets are passed over.
        options: which votes count; the default filter by default.
        files: that the votes were read from; copies are kept. Where there are none, the votes are
            written to a file.
        in_shards, replaces: see `write_judgments`.

    Returns:
        What was written.

    Raises:
        UserError: when no vote that counts is on a row of the dataset, or as `write_judgments`.
        WorkError: as `write_judgments`.
    """
    options = options or VoteFilter()
    filtered = filter_votes(votes, options)
    # Sentinels and practice count toward no dataset, but sessions are judged by all of theirs.
    # Ids are unique over datasets: votes on a subset are votes on the whole, and the reverse.
    ids = pa.array([name for shard in shard_ids(dataset) for name in shard], pa.string())
    is_own = pc.equal(filtered.kept["dataset"], dataset.info.digest)
    own = filtered.kept.filter(pc.or_(is_own, pc.is_in(filtered.kept["id"], ids)))
    rows = tallies(own, task_of(dataset))
    if not rows:
        reasons = ", ".join(f"{number} {reason}" for reason, number in filtered.left_out.items())
        raise UserError(
            f"no vote that counts is on a row of {dataset.folder} (of {votes.num_rows} votes "
            f"{filtered.kept.num_rows} count{'; left out: ' + reasons if reasons else ''}); "
            "give the votes of a study of this dataset, or a looser filter"
        )
    info = JudgementsInfo(
        task=task_of(dataset),
        spec_digest=dataset.info.digest,
        digest=digest_of(asdict(options)),
        filter=asdict(options),
        votes=sum(tally.votes for tally in rows.values()),
        left_out=filtered.left_out,
        people=len({person for person in own["person"].to_pylist() if person}),
        rows=len(rows),
        simulated=bool(pc.any(own["simulated"]).as_py()),
        files=(),
        in_shards=in_shards,
    )
    judgments = {name: (tally.fraction, tally.votes) for name, tally in rows.items()}
    raw = read_raw(files) or [raw_votes(votes)]
    return write_judgments(dataset, info, judgments, raw, replaces=replaces)


def judge_by_answers(
    dataset: Dataset,
    answers: Answers,
    options: VoteFilter | None = None,
    files: Sequence[Location] = (),
    *,
    in_shards: bool = True,
    replaces: bool = False,
) -> JudgementsInfo:
    """Judge a dataset's rows by answers from plain files: fractions as they are, others as votes.

    Args:
        dataset: the dataset, whole.
        answers: as `read_answers` gives them.
        options: which single answers count; fractions all do.
        files: that they were read from; copies are kept.
        in_shards, replaces: see `write_judgments`.

    Raises:
        UserError: when there are none, they are on the other task, or as `write_judgments`.
        WorkError: as `write_judgments`.
    """
    task = task_of(dataset)
    if not answers.judgments and not answers.single:
        raise UserError(f"the files judge no row of {dataset.folder}; fill in answers")
    if answers.tasks - {task}:
        wanted = "judge, or answers p0 and p1" if task == "2afc" else "same, or its answers"
        raise UserError(
            f"{dataset.folder} holds {dataset.info.unit}, which are judged by {wanted}; give "
            "answers on this dataset"
        )
    if answers.single:
        votes = answers_votes(dataset, answers.single)
        return judge_dataset(dataset, votes, options, files, in_shards=in_shards, replaces=replaces)
    return judge_by_fractions(
        dataset, answers.judgments, read_raw(files), in_shards=in_shards, replaces=replaces
    )


def judge_by_fractions(
    dataset: Dataset,
    judgments: Mapping[str, Judgment],
    raw: Sequence[RawFile],
    *,
    simulated: bool = False,
    in_shards: bool = True,
    replaces: bool = False,
) -> JudgementsInfo:
    """Judge a dataset's rows by fractions that were worked out elsewhere.

    Args:
        dataset: the dataset, whole.
        judgments: by id.
        simulated: whether they come from simulated observers.
        raw, in_shards, replaces: see `write_judgments`.

    Raises:
        UserError, WorkError: as `write_judgments`.
    """
    info = JudgementsInfo(
        task=task_of(dataset),
        spec_digest=dataset.info.digest,
        digest=digest_of({}),
        filter={},
        votes=sum(count or 0 for _, count in judgments.values()),
        left_out={},
        people=0,
        rows=len(judgments),
        simulated=simulated,
        files=(),
        in_shards=in_shards,
    )
    return write_judgments(dataset, info, judgments, raw, replaces=replaces)


def answers_votes(dataset: Dataset, answers: Sequence[Answer]) -> pa.Table:
    """Single answers on a dataset's rows as votes, with VOTES_SCHEMA.

    Raises:
        UserError: when one is on a row that the dataset does not have.
    """
    ids = (name for shard in shard_ids(dataset) for name in shard)
    rows = {name: row for row, name in enumerate(ids)}
    require_known(dataset, {answer.id for answer in answers} - set(rows))
    votes = [
        {
            "study": "",
            "session": answer.person,
            "person": answer.person,
            "trial": str(index),
            "dataset": dataset.info.digest,
            "row": rows[answer.id],
            "id": answer.id,
            "task": task_of(dataset),
            "phase": "test",
            "left": "",
            "answer": answer.answer,
            "expected": "",
            "simulated": False,
        }
        for index, answer in enumerate(answers)
    ]
    return votes_table(pa.Table.from_pylist(votes, schema=VOTES_SCHEMA), "answers")
