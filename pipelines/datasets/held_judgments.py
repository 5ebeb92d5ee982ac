"""Judgments that shards hold, when these are to be made again: kept, or the run is refused."""

from __future__ import annotations

from collections.abc import Mapping

from bapps_gen.errors import WorkError
from bapps_gen.manifests.dataset import DatasetInfo, shard_path, shard_problem, shards_on_disk
from bapps_gen.manifests.shard_judgements import (
    HeldJudgments,
    held_judgments,
    judgments_beside,
)
from bapps_gen.storage.locations import Location


def refuse_loss(folder: Location, info: DatasetInfo, problems: Mapping[int, str]) -> None:
    """Raise WorkError when a shard that is to be made again holds judgments that would be lost.

    Those of a shard that a longer dataset needs with more rows are kept, by the ids of its rows;
    so are copies of those that lie beside the shards.

    Args:
        folder: of the dataset.
        info: what it will be.
        problems: what is wrong with shards, by number; "missing" ones hold nothing.
    """
    for shard, problem in problems.items():
        path = shard_path(folder, shard)
        if problem == "missing":
            continue
        held = held_judgments(path, info)
        is_damaged = problem.startswith("damaged")
        if not is_damaged and held and shard_problem(path, info, shard, partial=True) is None:
            continue  # it only has to become longer
        if held is None and _others_hold(folder, info, problems):
            raise _loss(folder, path, problem, "may hold judgments, as other shards do,")
        if held is not None and _lost(folder, info, shard, held):
            rows = f"{len(held.rows)} row{'s' * (len(held.rows) > 1)}"
            raise _loss(folder, path, problem, f"holds judgments of {rows}")


def _lost(folder: Location, info: DatasetInfo, shard: int, held: HeldJudgments) -> bool:
    """Whether a shard holds judgments that are not beside the shards."""
    beside = judgments_beside(folder, info, shard) if held.rows else {}
    return any(beside.get(name) != judgment for name, judgment in held.rows.items())


def _others_hold(folder: Location, info: DatasetInfo, problems: Mapping[int, str]) -> bool:
    """Whether any whole shard holds judgments that are not beside it."""
    for shard, path in shards_on_disk(folder, info).items():
        if shard not in problems:
            held = held_judgments(path, info)
            if held is not None and _lost(folder, info, shard, held):
                return True
    return False


def _loss(folder: Location, path: Location, problem: str, held: str) -> WorkError:
    return WorkError(
        f"{path} is {problem} and {held} that making it again would lose; restore it from a copy, "
        f"or write what can be read with `bapps-gen judge {folder} --template answers.csv`, move "
        "the file away, run this command again, and then "
        f"`bapps-gen judge {folder} answers.csv`"
    )
