"""Which votes count: practice, failed sentinels, failed timing and hasty answers are left out.

Nothing is removed from files of votes. A filter is a record of its own, and each vote that does not
count does so for one named reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bapps_gen.pipelines.datasets.where import table_filter
from bapps_gen.pipelines.judging.options import VoteFilter

Mask = NDArray[np.bool_]

REASONS = (
    "practice",
    "sentinel",
    "sentinels failed",
    "timing failed",
    "too fast",
    "condition not met",
    "a person's second vote on a row",
)
"""Why votes do not count, in the order in which reasons apply: a vote has the first that fits."""


@dataclass(frozen=True, slots=True)
class FilteredVotes:
    """What a filter left.

    Args:
        kept: the votes that count, with VOTES_SCHEMA, in the order given.
        left_out: numbers of the others by reason, in the order of REASONS; none of zero.
    """

    kept: pa.Table
    left_out: Mapping[str, int]


def filter_votes(votes: pa.Table, options: VoteFilter | None = None) -> FilteredVotes:
    """The votes that count, and why the others do not.

    Args:
        votes: with VOTES_SCHEMA.
        options: the default filter by default.

    Raises:
        UserError: when the filter's condition is none, or DuckDB is not installed.
    """
    options = options or VoteFilter()
    phase = votes["phase"].to_numpy(zero_copy_only=False)
    fits = {
        "practice": phase == "practice",
        "sentinel": phase == "sentinel",
        "sentinels failed": _of_failed_sessions(votes, options.min_sentinels),
        "timing failed": _numbers(pc.fill_null(pc.invert(votes["timing_ok"]), False))
        & (not options.mistimed),
        "too fast": _numbers(pc.fill_null(pc.less(votes["rt_ms"], options.min_rt_ms), False)),
        "condition not met": _unmet(votes, options.where),
    }
    counts = np.ones(len(votes), bool)
    left_out: dict[str, int] = {}
    for reason in REASONS:
        # Repeated votes are looked for among those that count: a hasty first vote does not
        # displace a second one.
        mask = fits[reason] if reason in fits else _repeated(votes, counts)
        number = int((mask & counts).sum())
        if number:
            left_out[reason] = number
        counts &= ~mask
    return FilteredVotes(votes.filter(pa.array(counts)), left_out)


def sentinel_shares(votes: pa.Table) -> Mapping[str, tuple[int, int]]:
    """Right answers to sentinels, and their number, of each session that had any."""
    sentinels = votes.filter(pc.equal(votes["phase"], "sentinel"))
    right = pc.cast(pc.equal(sentinels["answer"], sentinels["expected"]), pa.int64())
    sums = (
        pa.table({"session": sentinels["session"], "right": right})
        .group_by("session", use_threads=False)
        .aggregate([("right", "sum"), ("right", "count")])
    )
    entries = zip(sums["session"], sums["right_sum"], sums["right_count"], strict=True)
    return {session.as_py(): (right.as_py(), count.as_py()) for session, right, count in entries}


def passes(right: int, count: int, least: float) -> bool:
    """Whether a session passes with so many of its sentinels answered right.

    Args:
        right: answered right.
        count: all of them.
        least: smallest share that passes.
    """
    return right >= round(least * count, 6)  # 0.07 · 100 is a little more than 7 in floating point


def _of_failed_sessions(votes: pa.Table, least: float) -> Mask:
    shares = sentinel_shares(votes)
    failed = [name for name, share in shares.items() if not passes(*share, least)]
    return _numbers(pc.is_in(votes["session"], pa.array(failed, pa.string())))


def _unmet(votes: pa.Table, where: str | None) -> Mask:
    """Votes for which a condition does not hold, or is unknown."""
    unmet = np.full(len(votes), where is not None)
    if where is not None:
        unmet[table_filter(where, "rt_ms < 10000")(votes)] = False
    return unmet


def _repeated(votes: pa.Table, counts: Mask) -> Mask:
    """Votes on a row by a person whose earlier vote on it counts; the unknown are all different."""
    persons = votes["person"].to_pylist()
    keys = zip(votes["task"].to_pylist(), votes["id"].to_pylist(), persons, strict=True)
    seen: set[tuple[str, str, str]] = set()
    repeated = np.zeros(len(votes), bool)
    for index, key in enumerate(keys):
        if counts[index] and key[2]:
            repeated[index] = key in seen
            seen.add(key)
    return repeated


def _numbers(mask: pa.ChunkedArray) -> Mask:
    return np.asarray(mask.to_numpy(zero_copy_only=False), bool)
