"""Which session a person gets, and what became of those given out."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from bapps_gen.pipelines.judging.filters import passes
from bapps_gen.pipelines.judging.study.study import Study

PERSON_PARAMETERS = ("PROLIFIC_PID", "workerId", "participant")
"""Parameters of the link that say who takes part; the first that is given counts. They are kept as
salted hashes alone."""


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A trial as the server needs it; see TRIALS_SCHEMA."""

    trial: str
    phase: str
    left: str
    expected: str
    images: tuple[str, ...]


class Assignments:
    """The planned sessions of a study, and the rule by which they are given out.

    A planned session is taken while somebody works on it, and once somebody finished it and passed
    its sentinels; abandoned and failed ones are given out again, to other people. Nobody gets a row
    twice.
    """

    def __init__(self, study: Study) -> None:
        self._limit = study.protocol.sessions_per_person
        self._least = study.protocol.min_sentinels
        sessions = _by_session(study.trials())
        self.sessions: list[tuple[PlannedTrial, ...]] = [_planned(part) for part in sessions]
        self._rows = [
            frozenset(
                (trial["dataset"], trial["row"])
                for trial in part.select(["dataset", "row"]).to_pylist()
                if trial["row"] >= 0
            )
            for part in sessions
        ]

    def chooser(self, person: str) -> Callable[[sqlite3.Connection, float], int | None]:
        """A function that gives a person's next planned session, for `VoteStore.start`."""

        def choose(base: sqlite3.Connection, abandoned: float) -> int | None:
            query = "select plan from sessions where person = ?"
            own = [plan for (plan,) in base.execute(query, (person,))]
            if len(own) >= self._limit:
                return None
            judged = frozenset().union(*(self._rows[plan] for plan in own))
            query = (
                "select distinct plan from sessions"
                " where passed = 1 or (finished is null and seen >= ?)"
            )
            taken = {plan for (plan,) in base.execute(query, (abandoned,))}
            for plan, rows in enumerate(self._rows):
                if plan not in taken and not rows & judged:
                    return plan
            return None

        return choose

    def passed(self, base: sqlite3.Connection, token: str, plan: int) -> bool:
        """Whether a session's sentinels were answered well enough."""
        answers = dict(base.execute("select trial, answer from votes where token = ?", (token,)))
        right, count = sentinels_right(self.sessions[plan], answers)
        return passes(right, count, self._least)


def sentinels_right(
    trials: tuple[PlannedTrial, ...], answers: Mapping[str, str]
) -> tuple[int, int]:
    """Right answers to a session's sentinels, and their number."""
    results = Counter(
        answers.get(trial.trial) == shown_answer(trial)
        for trial in trials
        if trial.phase == "sentinel"
    )
    return results[True], results.total()


def shown_answer(trial: PlannedTrial) -> str:
    """The expected answer as the browser gives it: "left" or "right" of triplets."""
    if not trial.left:
        return trial.expected
    return "left" if trial.expected == trial.left else "right"


def person_hash(key: bytes, kind: str, identity: str) -> str:
    """A salted hash of who takes part, 32 hexadecimal digits.

    Args:
        key: of the study, which is the salt.
        kind: what the identity is, one of PERSON_PARAMETERS or "browser".
        identity: for example a Prolific id. It is stored nowhere.
    """
    text = f"person\0{kind}\0{identity}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]


def shown_trial(trial: PlannedTrial) -> dict[str, Any]:
    """What a browser may know of a trial."""
    shown: dict[str, Any] = {"trial": trial.trial, "images": list(trial.images)}
    if trial.phase == "practice":
        shown["feedback"] = shown_answer(trial)
    return shown


def _by_session(table: pa.Table) -> list[pa.Table]:
    ends = [0]
    sessions = table["session"].to_pylist()
    ends += [index for index in range(1, len(sessions)) if sessions[index] != sessions[index - 1]]
    ends.append(len(sessions))
    return [table.slice(first, end - first) for first, end in pairwise(ends)]


def _planned(part: pa.Table) -> tuple[PlannedTrial, ...]:
    names = ("trial", "phase", "left", "expected", "images")
    columns = [part[name].to_pylist() for name in names]
    return tuple(
        PlannedTrial(trial, phase, left, expected, tuple(images))
        for trial, phase, left, expected, images in zip(*columns, strict=True)
    )
