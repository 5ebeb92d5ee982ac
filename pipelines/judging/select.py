"""Rows worth judging: where metrics disagree, evenly over distances, or of every distortion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.scores import Scores
from bapps_gen.pipelines.judging.options import BY
from bapps_gen.seeding import SLOT_SELECT, generator

BINS = 20
"""Parts of the range of distances that "uniform" takes equally many rows from (own choice)."""

Rows = NDArray[np.intp]


def select_rows(
    dataset: Dataset, scores: Mapping[str, Scores], rows: int, by: str, seed: int = 0
) -> Rows:
    """The numbers of the rows to judge, rising, intp (rows,).

    Args:
        dataset: the dataset, whole.
        scores: its distances by metric: two or more for "disagreement", one or more for "uniform".
        rows: how many, at most those there are.
        by: one of WAYS.
        seed: of the choice among equals.

    Raises:
        UserError: for a value out of range, or too few metrics.
    """
    BY.check("by", by)
    check_range("rows", rows, 1, dataset.info.rows, whole=True)
    needed = {"disagreement": 2, "uniform": 1, "balanced": 0}[by]
    if len(scores) < needed:
        raise out_of_range(
            "number of metrics", len(scores), f"at least {needed} for --by {by}", "give --metrics"
        )
    rng = generator(seed, 0, SLOT_SELECT)
    shuffled = rng.permutation(dataset.info.rows)
    if by == "disagreement":
        amount = disagreement([_margins(each) for each in scores.values()])
        order = shuffled[np.argsort(-amount[shuffled], kind="stable")]
        return np.sort(order[:rows])
    if by == "uniform":
        margins = np.abs(_margins(next(iter(scores.values()))))
        return np.sort(_evenly(margins, shuffled, rows))
    distortions = [*row_distortions(dataset).values()]
    if not any(distortions):
        raise UserError(
            f"{dataset.folder} does not say how rows were distorted; choose another --by"
        )
    return np.sort(_balanced(distortions, shuffled, rows))


def disagreement(margins: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """How far metrics disagree on each row, float64 (N,) in [0, 2].

    Each metric's margins are replaced by their rank among all, with their sign, so that metrics of
    different units compare; the disagreement is the largest rank less the smallest. It is largest
    where one metric is sure of p0 and another of p1: the rows that tell the metrics apart best, as
    in maximum differentiation (Wang and Simoncelli, Journal of Vision 8(12), 2008).

    Args:
        margins: of each metric, (N,): d1 − d0 of triplets, distances of pairs.
    """
    ranked = [signed_ranks(values) for values in margins]
    return np.asarray(np.max(ranked, axis=0) - np.min(ranked, axis=0))


def signed_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of absolute values among all, with their signs, float64 (N,) in [-1, 1]."""
    return np.asarray(np.sign(values) * _ranks(np.abs(values)))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0 to 1; equal values have equal ones."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middles[inverse] / max(1, len(values) - 1))


def _margins(scores: Scores) -> NDArray[np.float64]:
    return scores.d0 if scores.d1 is None else scores.d1 - scores.d0


def _evenly(values: NDArray[np.float64], shuffled: Rows, rows: int) -> Rows:
    """Rows taken in turn from equal parts of the range of values."""
    edges = np.linspace(values.min(), values.max(), BINS + 1)[1:-1]
    part = np.searchsorted(edges, values)[shuffled]
    # How many of its part come before a row: the first of every part, then the second, and so on.
    turn = np.empty(len(shuffled), np.intp)
    for number in range(BINS):
        places = np.flatnonzero(part == number)
        turn[places] = np.arange(len(places))
    return np.asarray(shuffled[np.argsort(turn, kind="stable")][:rows])


def _balanced(distortions: Sequence[tuple[str, ...]], shuffled: Rows, rows: int) -> Rows:
    """Rows so that the distortions on their sides occur as equally often as possible."""
    waiting: dict[str, list[int]] = {}
    for row in shuffled[::-1].tolist():
        for name in distortions[row]:
            waiting.setdefault(name, []).append(row)
    taken: list[int] = []
    chosen: set[int] = set()
    counts: Counter[str] = Counter(dict.fromkeys(sorted(waiting), 0))
    while len(taken) < rows:
        name = min(waiting, key=lambda name: (counts[name], name))
        while waiting[name] and waiting[name][-1] in chosen:
            waiting[name].pop()
        if not waiting[name]:
            del waiting[name]
            continue
        row = waiting[name].pop()
        chosen.add(row)
        taken.append(row)
        counts.update(distortions[row])
    return np.array(taken, np.intp)


def row_distortions(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The distortions on each row's sides, atoms and CNN distorters alike, by the row's id.

    Rows that do not say how they were distorted, such as imported ones, have none.
    """
    sides = [f"distortion{side}" for side in range(len(dataset.info.patches) - 1)]
    found = {}
    for batch in dataset.batches(["id", *sides], 10_000):
        columns = (batch.column(name).to_pylist() for name in ("id", *sides))
        for identity, *names in zip(*columns, strict=True):
            atoms = (atom for name in names for atom in (name or "").split("+") if atom)
            found[identity] = tuple(dict.fromkeys(atoms))
    return found
