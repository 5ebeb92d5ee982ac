"""Votes for tests: one that counts, and changes of it."""

import datetime
from typing import Any

import pyarrow as pa

from bapps_gen.manifests.votes import VOTES_SCHEMA, votes_table


def vote(**changes: Any) -> dict[str, Any]:
    """A vote that counts, with some columns changed."""
    plain = {
        "study": "",
        "session": "s1",
        "person": "",
        "trial": "t1",
        "dataset": "d" * 32,
        "row": 3,
        "id": "dddddddd-00000003",
        "task": "2afc",
        "phase": "test",
        "left": "p0",
        "answer": "p1",
        "expected": "",
        "rt_ms": 812.5,
        "reference_ms": None,
        "gap_ms": None,
        "distorted_ms": None,
        "timing_ok": None,
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "simulated": False,
    }
    return plain | changes


def votes_of(*votes: dict[str, Any]) -> pa.Table:
    """A table of votes."""
    return votes_table(pa.Table.from_pylist(list(votes), schema=VOTES_SCHEMA), "votes")
