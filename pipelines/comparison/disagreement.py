"""Rows where two metrics disagree most, and rows where a metric disagrees with people.

What a metric says of a triplet is d0 − d1. So that metrics of different units compare, it is
replaced by its rank among the rows with its sign: ±1 where the metric is the surest of one patch,
0 only where both are equally far.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.agreement import Values


def between_metrics(first: Values, second: Values) -> Values:
    """How far two metrics disagree, float64 (N,), from 0 where they prefer the same patch to 1.

    Half the difference of their signed ranks, where these have opposite signs.

    Args:
        first, second: d0 − d1 of each row by the metrics, (N,).
    """
    one, other = _signed_ranks(first), _signed_ranks(second)
    return np.where(one * other < 0, np.abs(one - other) / 2, 0.0)


def with_people(margin: Values, judgment: Values, votes: Values) -> Values:
    """How far a metric disagrees with people, float64 (N,), from 0 to 1.

    The product of how sure both are, where they prefer different patches: the metric by the rank
    of its |d0 − d1|, people by |2p − 1| of the share p = (k + ½)/(n + 1) of their votes, in which
    five of five count more than two of two (Krichevsky and Trofimov's estimate).

    Args:
        margin: d0 − d1 of each row, positive where the metric prefers p1.
        judgment: fraction of votes for p1.
        votes: number of votes, 1 where unknown.
    """
    ranks = _signed_ranks(margin)
    lean = 2 * (judgment * votes + 0.5) / (votes + 1) - 1
    return np.where(ranks * lean < 0, np.abs(ranks * lean), 0.0)


def strongest(
    amount: Values, masks: Mapping[str, NDArray[np.bool_]], most: int
) -> list[tuple[str, int]]:
    """Rows of the largest amounts by name, the largest first.

    Args:
        amount: of disagreement, (N,); rows of 0 are not chosen.
        masks: rows with each distortion; of each the strongest row is taken, and none twice: a row
            stands for the first that it has and that lacks one. Without any, rows are taken for
            themselves, under an empty name.
        most: rows at most where there are no masks.
    """
    order = np.argsort(-amount, kind="stable")
    order = order[amount[order] > 0]
    if not masks:
        return [("", int(row)) for row in order[:most]]
    remaining = dict(masks)
    chosen = []
    for row in order.tolist():
        name = next((name for name, mask in remaining.items() if mask[row]), None)
        if name is not None:
            del remaining[name]
            chosen.append((name, row))
        if not remaining:
            break
    return chosen


def shares(amount: Values, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, tuple[float, int]]:
    """Of the rows of each mask that has any, the share with a disagreement, and their number."""
    return {
        name: (float((amount[mask] > 0).mean()), int(mask.sum()))
        for name, mask in masks.items()
        if mask.any()
    }


def _signed_ranks(values: Values) -> Values:
    """Ranks of absolute values among all, from 1/N to 1, with their signs; 0 of 0."""
    from scipy.stats import rankdata

    return np.asarray(np.sign(values) * rankdata(np.abs(values)) / len(values))
