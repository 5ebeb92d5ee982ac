"""Simulated observers: people with a metric in their head, who answer a study or a dataset's rows.

The model is signal detection with lapses, our own choice of the simplest one that has what people
show: of a triplet, an observer feels d1 − d0 plus normal noise plus a bias toward the left side,
and prefers p0 where that is above zero; of a pair, an observer feels d0 plus noise and says "same"
where that is below a criterion of their own. With the probability of a lapse, or if careless, they
answer at random. Sentinels are obvious: only lapses and carelessness fail them. All votes say that
they are simulated.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.scores import Scores
from bapps_gen.manifests.votes import VOTES_SCHEMA, votes_table
from bapps_gen.pipelines.judging.judge import task_of
from bapps_gen.pipelines.judging.options import ObserverOptions
from bapps_gen.pipelines.judging.study.plan import StudySet, plan_sessions
from bapps_gen.pipelines.judging.study.protocol import MAX_SESSION_ROWS, Protocol
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.seeding import SLOT_OBSERVER, SLOT_OBSERVER_SESSION, Streams

SAME_SHARE = 0.279
"""Share of test pairs that people called the same (paper, section 2.2): the default criterion is
the distance below which this share of a set's pairs lies."""

CRITERION_SPREAD = 0.2
"""Standard deviation between people of the logarithm of their criterion (own choice)."""

_START = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""When simulated studies begin: a date that nobody takes for a real one."""


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    is_careless: bool
    criterion: float
    """Factor on the criterion that is common to all."""
    pace: float
    """Factor on reaction times."""


@dataclass(frozen=True, slots=True)
class _Feelings:
    """What the metric says of a dataset's rows."""

    digest: str
    ids: tuple[str, ...]
    d0: NDArray[np.float64]
    d1: NDArray[np.float64] | None


def observe_study(
    study: Study, scores: Mapping[str, Scores], options: ObserverOptions | None = None
) -> pa.Table:
    """The votes of simulated observers on a study's planned sessions, sentinels among them.

    Sessions are given out in turn, so that each person takes as many as the others, give or take
    one; the votes that a person gives on a row for the second time are left out when they are
    counted.

    Args:
        study: the study.
        scores: distances of each of its datasets, by digest.
        options: who answers.

    Returns:
        With VOTES_SCHEMA.

    Raises:
        UserError: when a dataset has no distances.
    """
    options = options or ObserverOptions()
    feelings = []
    for entry in study.info.datasets:
        if entry.digest not in scores:
            raise UserError(f"{entry.name} has no distances; score it first")
        feelings.append(_feelings(entry.digest, scores[entry.digest]))
    trials = study.trials().drop_columns("images").to_pylist()
    sessions: dict[int, list[dict[str, Any]]] = {}
    for trial in trials:
        sessions.setdefault(trial["session"], []).append(trial)
    planned = (
        [
            (
                trial["trial"],
                trial["phase"],
                trial["dataset"],
                trial["row"],
                trial["left"],
                trial["expected"],
            )
            for trial in session
        ]
        for session in sessions.values()
    )
    task, digest = study.protocol.task, study.info.digest
    return _answer(planned, feelings, task, digest, options, lambda each: each % options.people)


def observe_dataset(
    dataset: Dataset,
    scores: Scores,
    judgments: int | None = None,
    options: ObserverOptions | None = None,
) -> pa.Table:
    """The votes of simulated observers on every row of a dataset, without a study.

    Args:
        dataset: the dataset.
        scores: its distances.
        judgments: votes on each row, each by another person; by default as many as the protocol
            of a study asks for: 2 of sets for training, 5 of others, 3 of pairs.
        options: who answers.

    Returns:
        With VOTES_SCHEMA.

    Raises:
        UserError: when there are fewer people than judgments.
    """
    options = options or ObserverOptions()
    task = task_of(dataset)
    wanted = judgments or Protocol(task=task).judgments_of(dataset.info.split)
    if options.people < wanted:
        raise UserError(
            f"people = {options.people} is less than the {wanted} judgments of each row; "
            "give more people or fewer judgments"
        )
    # Each round of judgments has people of its own, so that nobody judges a row twice.
    group = options.people // wanted
    trials = min(max(1, -(-dataset.info.rows // group)), MAX_SESSION_ROWS)
    protocol = Protocol(
        task=task, judgments=wanted, sentinels=0, identical=0, practice=0, trials=trials
    )
    per_round = max(1, -(-dataset.info.rows // trials))
    sets = [StudySet(dataset.info.rows, wanted)]
    planned = (
        [
            (f"{number}-{place}", trial.phase, 0, trial.row, trial.left, trial.expected)
            for place, trial in enumerate(session)
        ]
        for number, session in enumerate(plan_sessions(sets, protocol, options.seed))
    )

    def person_of(session: int) -> int:
        if per_round <= group:
            return session
        number, index = divmod(session, per_round)
        return number * group + index % group

    feelings = [_feelings(dataset.info.digest, scores)]
    return _answer(planned, feelings, task, "", options, person_of)


_Shown = tuple[str, str, int, int, str, str]
"""Of a trial: id, phase, index of the dataset, row, side shown left, right answer."""


def _feelings(digest: str, scores: Scores) -> _Feelings:
    return _Feelings(digest, tuple(scores.ids), scores.d0, scores.d1)


def _answer(
    sessions: Iterable[Sequence[_Shown]],
    feelings: list[_Feelings],
    task: str,
    study: str,
    options: ObserverOptions,
    person_of: Callable[[int], int],
) -> pa.Table:
    """The votes on sessions of trials, each by the person of that number."""
    streams = Streams()
    common = options.criterion
    if common is None and task == "jnd":
        common = float(np.quantile(np.concatenate([part.d0 for part in feelings]), SAME_SHARE))
    columns: dict[str, list[Any]] = {name: [] for name in VOTES_SCHEMA.names}
    for number, session in enumerate(sessions):
        person = _person(streams, person_of(number), options)
        rng = streams.at(options.seed, number, SLOT_OBSERVER_SESSION)
        felt, lapsed, guess, pace = (
            rng.standard_normal(len(session)),
            rng.random(len(session)) < (1.0 if person.is_careless else options.lapse),
            rng.random(len(session)) < 0.5,
            rng.standard_normal(len(session)),
        )
        clock = _START + datetime.timedelta(hours=number)
        for place, (trial, phase, index, row, left, expected) in enumerate(session):
            part, is_test = feelings[index], phase == "test"
            noise = options.noise * felt[place]
            if task == "2afc":
                # Above zero they prefer p0.
                toward = options.bias if left == "p0" else -options.bias
                answers = ("p0", "p1")
                chosen = is_test and _difference(part, row) + noise + toward > 0
            else:
                answers = ("same", "different")
                limit = (common or 0.0) * person.criterion
                chosen = is_test and part.d0[row] + noise < limit
            answer = answers[0] if chosen else answers[1]
            if not is_test:
                answer = expected
            if lapsed[place]:
                answer = answers[int(guess[place])]
            # About 1.5 s, as in the paper's "about 3 s a judgment" with loading and pauses; the
            # spread is our own choice.
            rt_ms = round(1500.0 * person.pace * float(np.exp(0.4 * pace[place])), 1)
            clock += datetime.timedelta(milliseconds=rt_ms + 500)
            values = {
                "study": study,
                "session": f"simulated-{options.seed}-{number}",
                "person": person.name,
                "trial": trial,
                "dataset": part.digest if is_test else "",
                "row": row if is_test else -1,
                "id": part.ids[row] if is_test else "",
                "task": task,
                "phase": phase,
                "left": left,
                "answer": answer,
                "expected": expected,
                "rt_ms": rt_ms,
                "time": clock,
                "simulated": True,
            }
            for name, column in columns.items():
                column.append(values.get(name))
    return votes_table(pa.Table.from_pydict(columns, schema=VOTES_SCHEMA), "simulated votes")


def _difference(part: _Feelings, row: int) -> float:
    assert part.d1 is not None
    return float(part.d1[row] - part.d0[row])


def _person(streams: Streams, number: int, options: ObserverOptions) -> _Person:
    rng = streams.at(options.seed, number, SLOT_OBSERVER)
    careless, criterion, pace = rng.random(), rng.standard_normal(), rng.standard_normal()
    return _Person(
        name=f"simulated-{options.seed}-{number}",
        is_careless=bool(careless < options.careless),
        criterion=float(np.exp(CRITERION_SPREAD * criterion)),
        pace=float(np.exp(0.25 * pace)),
    )
