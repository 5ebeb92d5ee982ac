"""Preferences that trained metrics predict by their own ranking networks."""

from __future__ import annotations

import numpy as np

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.metrics.trained import read_trained, trained_path

_NEAREST = 0.001
"""Predictions are at least so far from 0 and 1, as those of psychometric functions."""


def network_predictions(spec: MetricSpec, d0: Values, d1: Values) -> Values | None:
    """The share that a trained metric's ranking network expects to prefer p1, float64 (N,).

    Args:
        spec: of the metric.
        d0, d1: its distances, finite, (N,).

    Returns:
        None for metrics that have no such network.

    Raises:
        UserError: when torch is not installed, or the file is damaged.
    """
    if not spec.mode:
        return None
    weights = read_trained(trained_path(spec.given)[0]).ranking
    if not weights:
        return None
    import torch

    from bapps_gen.pipelines.metric_training.ranking import RankingNetwork

    network = RankingNetwork()
    network.load_state_dict(weights)
    with torch.no_grad():
        logits = network(*(torch.from_numpy(side.astype(np.float32)) for side in (d0, d1)))
    predicted = torch.sigmoid(logits).numpy().astype(np.float64)
    return np.asarray(np.clip(predicted, _NEAREST, 1 - _NEAREST))
