"""Do both tests say the same of metrics? The correlation of 2AFC and JND scores, Figure 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import percentile_intervals
from bapps_gen.pipelines.scoring.evaluate import Estimate, Evaluation, mean_of

FEW_METRICS = 3
"""Of fewer metrics there is no correlation."""

PAPER = 0.928
"""Pearson's correlation that the paper has over its metrics (section 4, Figure 5)."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """How scores of the two tests go together over metrics.

    Args:
        two_afc, jnd: mean scores by metric.
        sets: names of the sets that they are of.
        shared_kinds: of sets, that both tests have, of which the scores are; empty where they have
            none in common, and scores are those of all sets.
        pearson, spearman: correlations with intervals over resamples of rows, the metrics as they
            are; None for fewer than FEW_METRICS metrics, NaN where a score is the same for all.
    """

    two_afc: Mapping[str, Estimate]
    jnd: Mapping[str, Estimate]
    sets: tuple[str, ...]
    shared_kinds: tuple[str, ...]
    pearson: Estimate | None
    spearman: Estimate | None


def correlate(evaluations: Sequence[Evaluation]) -> Correlation | None:
    """The correlation over all metrics; None where one of the tests is missing.

    As in the paper, scores are means over the kinds of sets that both tests have.
    """
    by_task = {
        task: [entry for entry in evaluations if entry.task == task] for task in ("2afc", "jnd")
    }
    if not all(by_task.values()):
        return None
    kinds = [{entry.kind for entry in sets} for sets in by_task.values()]
    shared = kinds[0] & kinds[1]
    chosen = [
        [entry for entry in sets if entry.kind in shared or not shared] for sets in by_task.values()
    ]
    two_afc, jnd = (mean_of("all", sets) for sets in chosen)
    names = [
        name
        for name in evaluations[0].metrics
        if not np.isnan([two_afc.scores[name].value, jnd.scores[name].value]).any()
    ]
    pearson = spearman = None
    if len(names) >= FEW_METRICS:
        sides = (two_afc, jnd)
        values = [np.array([[side.scores[name].value for name in names]]) for side in sides]
        drawn = [np.stack([side.draws[name] for name in names], 1) for side in sides]
        units = min(two_afc.units, jnd.units)
        pearson = _estimate(_pearson(*values), _pearson(*drawn), units)
        spearman = _estimate(_pearson(*map(_ranks, values)), _pearson(*map(_ranks, drawn)), units)
    return Correlation(
        {name: two_afc.scores[name] for name in names},
        {name: jnd.scores[name] for name in names},
        tuple(entry.name for sets in chosen for entry in sets),
        tuple(sorted(shared)),
        pearson,
        spearman,
    )


def _estimate(value: Values, draws: Values, units: int) -> Estimate:
    """A correlation, (1,), with its interval, which noise of resamples must not keep below it."""
    ((low, high),) = percentile_intervals(draws[:, None], units).tolist()
    estimate = float(value[0])
    return Estimate(estimate, min(low, estimate), max(high, estimate))


def _pearson(one: Values, other: Values) -> Values:
    """Correlations over the last axis, (R,)."""
    one, other = (each - each.mean(-1, keepdims=True) for each in (one, other))
    with np.errstate(invalid="ignore"):
        scale = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
        return np.where(scale > 1e-15, (one * other).sum(-1) / scale, np.nan)


def _ranks(values: Values) -> Values:
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=-1)
    ranks[np.isnan(values).any(-1)] = np.nan
    return np.asarray(ranks)
