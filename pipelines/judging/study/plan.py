"""The plan of a study as data: who judges which rows, in what order, with which sentinels.

It follows from the datasets' sizes, the protocol and the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.seeding import SLOT_STUDY_ROWS, SLOT_STUDY_SESSION, Streams

MAX_SESSIONS = 1_000_000
DIFFERENT_NOISE = 0.1
"""Noise of practice pairs whose answer is "different", of full scale (own choice: visible, but less
than that of the obvious pair)."""


class Picture(NamedTuple):
    """A picture of a trial: a row's patch, or its reference with Gaussian noise.

    Args:
        dataset: index among the study's datasets.
        row: row index.
        patch: "ref", "p0" or "p1".
        sigma: of the noise, of full scale; 0 for none.
        seed: of the noise.
    """

    dataset: int
    row: int
    patch: str
    sigma: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """One question to one person.

    Args:
        phase: "test", "sentinel" or "practice".
        dataset: index among the study's datasets.
        row: row index that is judged; of sentinels and practice, that the pictures are made from.
        left: "p0" or "p1", the side shown left; empty in a JND trial.
        expected: the right answer of a sentinel or practice trial; otherwise empty.
        pictures: as shown: reference, left, right; or first, second. Of a 2AFC sentinel, "p0" is
            the patch with little noise.
    """

    phase: str
    dataset: int
    row: int
    left: str
    expected: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class StudySet:
    """What a plan must know of a dataset.

    Args:
        rows: number of rows.
        judgments: of each row.
    """

    rows: int
    judgments: int


def plan_sessions(
    sets: Sequence[StudySet], protocol: Protocol, seed: int
) -> Iterator[tuple[Trial, ...]]:
    """The trials of each session, in the order shown.

    Rows are judged in rounds, each row once a round in an order of its own, so that no session has
    a row twice and the sessions of a round share none. Sentinels are spread over a session at
    random; practice comes first.

    Args:
        sets: the datasets.
        protocol: of the study.
        seed: of the study.

    Raises:
        UserError: when there would be more than MAX_SESSIONS.
    """
    streams = Streams()
    owners = np.concatenate([np.full(entry.rows, index) for index, entry in enumerate(sets)])
    rows = np.concatenate([np.arange(entry.rows) for entry in sets])
    everything = np.stack([owners, rows], axis=1)
    wanted = np.array([entry.judgments for entry in sets])[owners]
    sessions = sum(
        -(-int((wanted > number).sum()) // protocol.trials) for number in range(wanted.max())
    )
    if sessions > MAX_SESSIONS:
        raise UserError(
            f"{sessions} sessions are more than {MAX_SESSIONS}; give more trials a session or "
            "select fewer rows"
        )
    session = 0
    for number in range(int(wanted.max())):
        left = np.flatnonzero(wanted > number)
        order = streams.at(seed, number, SLOT_STUDY_ROWS).permutation(left)
        for first in range(0, len(order), protocol.trials):
            rng = streams.at(seed, session, SLOT_STUDY_SESSION)
            chosen = order[first : first + protocol.trials]
            yield _session(everything[chosen], everything, protocol, rng)
            session += 1


def _session(
    keys: NDArray[np.intp],
    everything: NDArray[np.intp],
    protocol: Protocol,
    rng: np.random.Generator,
) -> tuple[Trial, ...]:
    sources = everything[rng.integers(0, len(everything), protocol.practice + protocol.sentinels)]
    checks = [(int(dataset), int(row)) for dataset, row in sources]
    tests = [(int(dataset), int(row)) for dataset, row in keys]
    if protocol.task == "2afc":
        practice = [
            _noisy_triplet("practice", *check, protocol, rng)
            for check in checks[: protocol.practice]
        ]
        sentinels = [
            _noisy_triplet("sentinel", *check, protocol, rng)
            for check in checks[protocol.practice :]
        ]
        shown = [_triplet(*test, rng) for test in tests]
    else:
        sigmas = _practice_noise(protocol.practice, protocol.large_noise)
        sigmas = [sigmas[index] for index in rng.permutation(len(sigmas))]
        practice = [
            _noisy_pair("practice", *check, sigma, rng)
            for check, sigma in zip(checks, sigmas, strict=False)
        ]
        strong = protocol.sentinels - min(protocol.identical, protocol.sentinels)
        sigmas = [protocol.large_noise] * strong + [0.0] * (protocol.sentinels - strong)
        sentinels = [
            _noisy_pair("sentinel", *check, sigma, rng)
            for check, sigma in zip(checks[protocol.practice :], sigmas, strict=True)
        ]
        shown = [_pair(*test) for test in tests]
    mixed = [*shown, *sentinels]
    return (*practice, *(mixed[index] for index in rng.permutation(len(mixed))))


def _practice_noise(count: int, large: float) -> list[float]:
    """Noise of practice pairs: of ten, 4 are identical, 1 obvious, 5 different (section 2.2)."""
    obvious = max(1, round(count / 10)) if count else 0
    same = round(count * 0.4)
    return [0.0] * same + [large] * obvious + [DIFFERENT_NOISE] * (count - same - obvious)


def _triplet(dataset: int, row: int, rng: np.random.Generator) -> Trial:
    left, right = ("p0", "p1") if rng.random() < 0.5 else ("p1", "p0")
    pictures = (Picture(dataset, row, name) for name in ("ref", left, right))
    return Trial("test", dataset, row, left, "", tuple(pictures))


def _noisy_triplet(
    phase: str, dataset: int, row: int, protocol: Protocol, rng: np.random.Generator
) -> Trial:
    sides = {
        "p0": Picture(dataset, row, "ref", protocol.small_noise, _seed(rng)),
        "p1": Picture(dataset, row, "ref", protocol.large_noise, _seed(rng)),
    }
    left, right = ("p0", "p1") if rng.random() < 0.5 else ("p1", "p0")
    pictures = (Picture(dataset, row, "ref"), sides[left], sides[right])
    return Trial(phase, dataset, row, left, "p0", pictures)


def _pair(dataset: int, row: int) -> Trial:
    pictures = Picture(dataset, row, "ref"), Picture(dataset, row, "p0")
    return Trial("test", dataset, row, "", "", pictures)


def _noisy_pair(
    phase: str, dataset: int, row: int, sigma: float, rng: np.random.Generator
) -> Trial:
    seed = _seed(rng) if sigma else 0
    pictures = Picture(dataset, row, "ref"), Picture(dataset, row, "ref", sigma, seed)
    return Trial(phase, dataset, row, "", "different" if sigma else "same", pictures)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**63))
