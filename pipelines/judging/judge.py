"""Votes turned into the judgments of a dataset's rows, beside its shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.judgements import (
    JUDGEMENTS,
    JUDGEMENTS_FOLDER,
    JudgementsInfo,
    write_judgements,
    write_judgements_info,
)
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.pipelines.judging.filters import VoteFilter, filter_votes
from bapps_gen.seeding import digest_of
from bapps_gen.storage.workspace import claim

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
    return "2afc" if tuple(dataset.info.patches) == PATCHES else "jnd"


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


def judge_dataset(
    dataset: Dataset,
    votes: pa.Table,
    options: VoteFilter | None = None,
    files: Sequence[tuple[str, str]] = (),
) -> JudgementsInfo:
    """Write the judgments that follow from votes beside a dataset's shards.

    Earlier judgments there are replaced, since votes are kept and these follow from them; what
    judgments the shards have themselves stays.

    Args:
        dataset: the dataset, whole.
        votes: with VOTES_SCHEMA; those on other datasets are passed over.
        options: which votes count; the default filter by default.
        files: name and SHA-256 of the files of votes, for the record.

    Returns:
        What was written.

    Raises:
        UserError: when no vote that counts is on a row of the dataset, or one is on a row that it
            does not have.
        WorkError: when a shard is damaged or the disk is full.
    """
    options = options or VoteFilter()
    task = task_of(dataset)
    filtered = filter_votes(votes, options)
    # Sentinels and practice count toward no dataset, but sessions are judged by all of theirs.
    own = filtered.kept.filter(pc.equal(filtered.kept["dataset"], dataset.info.digest))
    rows = tallies(own, task)
    if not rows:
        reasons = ", ".join(f"{number} {reason}" for reason, number in filtered.left_out.items())
        raise UserError(
            f"no vote that counts is on a row of {dataset.folder} (of {votes.num_rows} votes "
            f"{filtered.kept.num_rows} count{'; left out: ' + reasons if reasons else ''}); "
            "give the votes of a study of this dataset, or a looser filter"
        )
    people = {person for person in own["person"].to_pylist() if person}
    info = JudgementsInfo(
        task=task,
        spec_digest=dataset.info.digest,
        digest=digest_of({"filter": asdict(options), "files": [list(entry) for entry in files]}),
        filter=asdict(options),
        votes=sum(tally.votes for tally in rows.values()),
        left_out=filtered.left_out,
        people=len(people),
        rows=len(rows),
        simulated=bool(pc.any(own["simulated"]).as_py()),
        files=tuple(files),
    )
    write_tallies(dataset, info, rows)
    return info


def write_tallies(dataset: Dataset, info: JudgementsInfo, rows: Mapping[str, Tally]) -> None:
    """Write the judgments of a dataset's rows, shard by shard, and what they are, last.

    Args:
        dataset: the dataset, whole.
        info: what the judgments are.
        rows: by id; the others have none.

    Raises:
        UserError: when there is a row that the dataset does not have.
        WorkError: when a shard is damaged or the disk is full.
    """
    ids = [
        [name for batch in dataset.shard_batches(shard, ["id"], 1000) for name in _ids(batch)]
        for shard in range(dataset.info.shards)
    ]
    unknown = set(rows) - {name for shard in ids for name in shard}
    if unknown:
        raise UserError(
            f"{len(unknown)} rows with votes are not in {dataset.folder}, the first with id "
            f"{min(unknown)}; give votes on this dataset"
        )
    with claim(dataset.folder / JUDGEMENTS_FOLDER, JUDGEMENTS):
        for shard, names in enumerate(ids):
            found = [rows.get(name) for name in names]
            write_judgements(
                dataset.folder,
                info,
                shard,
                names,
                [tally and tally.fraction for tally in found],
                [tally and tally.votes for tally in found],
            )
        write_judgements_info(dataset.folder, info)


def _ids(batch: pa.RecordBatch) -> list[str]:
    names: list[str] = batch["id"].to_pylist()
    return names
