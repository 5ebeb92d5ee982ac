"""The votes of a study, out of its server's database and from results that came back."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from bapps_gen.errors import WorkError, first_line
from bapps_gen.manifests.votes import TIMES, VOTES_SCHEMA, votes_table
from bapps_gen.pipelines.judging.study.store import VOTES_NAME
from bapps_gen.pipelines.judging.study.study import Study

_QUERY = (
    "select token, person, trial, answer, rt_ms, reference_ms, gap_ms, distorted_ms, timing_ok,"
    " time from votes join sessions using (token) order by time, token, trial"
)


def server_votes(study: Study) -> pa.Table:
    """The votes that a study's server stored, in the order given; the server may be running.

    Returns:
        With VOTES_SCHEMA; of no rows where nobody has voted.

    Raises:
        WorkError: when the database or the study is damaged.
    """
    path = study.folder / VOTES_NAME
    if not path.exists():
        return VOTES_SCHEMA.empty_table()
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as base:
            stored = base.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        problem = first_line(error)
        raise WorkError(f"{path} is damaged ({problem}); restore it from a copy") from None
    votes = StudyVotes(study)
    rows = []
    for token, person, trial, answer, *times, timing, time in stored:
        rows.append(
            {
                **votes.of_trial(trial, answer),
                "session": token,
                "person": person,
                **dict(zip(TIMES, times, strict=True)),
                "timing_ok": None if timing is None else bool(timing),
                "time": datetime.datetime.fromtimestamp(time, datetime.UTC),
                "simulated": False,
            }
        )
    return votes_table(pa.Table.from_pylist(rows, schema=VOTES_SCHEMA), str(path))


class StudyVotes:
    """What a study's trials say about the votes on them."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._trials: Mapping[str, dict[str, Any]] = {
            trial["trial"]: trial for trial in study.trials().drop_columns("images").to_pylist()
        }

    @property
    def answers(self) -> tuple[str, str]:
        """The answers of the study's task, as the browser gives them."""
        return self._study.protocol.shown_answers

    def session_of(self, trial: str) -> int:
        """Number of the planned session that a trial is of."""
        session: int = self._trials[trial]["session"]
        return session

    def __contains__(self, trial: str) -> bool:
        return trial in self._trials

    def of_trial(self, trial: str, answer: str) -> dict[str, Any]:
        """The columns of a vote that follow from its trial.

        Args:
            trial: id of one of the study's trials.
            answer: as the browser gives it: "left" or "right"; "same" or "different".
        """
        planned = self._trials[trial]
        left = planned["left"]
        if left:
            answer = left if answer == "left" else {"p0": "p1", "p1": "p0"}[left]
        is_test = planned["phase"] == "test"
        dataset = self._study.info.datasets[planned["dataset"]]
        return {
            "study": self._study.info.digest,
            "trial": trial,
            "dataset": dataset.digest if is_test else "",
            "row": planned["row"],
            "id": planned["id"],
            "task": self._study.protocol.task,
            "phase": planned["phase"],
            "left": left,
            "answer": answer,
            "expected": planned["expected"],
        }
