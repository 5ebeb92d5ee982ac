"""The ranking network: from two distances to the share of people who prefer p1.

Zhang et al., CVPR 2018, section 3, with the inputs and layers of the original program
(`Dist2LogitLayer` and `BCERankingLoss` in its `lpips/lpips.py`). It is used in training alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.seeding import SLOT_METRIC_LINEAR, SLOT_METRIC_RANKING, generator

INPUTS = 5
HIDDEN = 32
SLOPE = 0.2
"""Of the leaky ReLUs."""

EPSILON = 0.1
"""Added to the distances that others are divided by."""


class RankingNetwork(nn.Module):
    """Distances d0 and d1, (N,) each, to logits (N,): their sigmoid predicts the share for p1."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (INPUTS, HIDDEN, HIDDEN, 1)
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)
        )

    def forward(self, d0: Tensor, d1: Tensor) -> Tensor:
        x = ranking_inputs(d0, d1)
        *hidden, last = self.layers
        for layer in hidden:
            x = F.leaky_relu(layer(x), SLOPE)
        logits: Tensor = last(x)
        return logits[:, 0]


def ranking_inputs(d0: Tensor, d1: Tensor) -> Tensor:
    """(d0, d1, d0 − d1, d0 / (d1 + .1), d1 / (d0 + .1)), (N, 5)."""
    return torch.stack((d0, d1, d0 - d1, d0 / (d1 + EPSILON), d1 / (d0 + EPSILON)), 1)


def ranking_loss(logits: Tensor, judge: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross entropy of predictions against judged fractions, the mean over a batch.

    Args:
        logits: of the ranking network, (N,).
        judge: share of people who prefer p1, (N,), 0 to 1.
        weights: of the rows, (N,), whose mean over all rows of the training is 1; None for 1.
    """
    return F.binary_cross_entropy_with_logits(logits, judge, weight=weights)


def initial_ranking(seed: int) -> RankingNetwork:
    """The ranking network before training, float32 on the CPU.

    Weights are uniform within ± 1 / √inputs, torch's default for linear layers.
    """
    with torch.device("meta"):  # no random values are drawn from torch's global generator
        network = RankingNetwork()
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    fans = {name: shapes[f"{name.rpartition('.')[0]}.weight"][1] for name in shapes}
    rng = generator(seed, 0, SLOT_METRIC_RANKING)
    network.load_state_dict(_uniform(shapes, fans, rng), assign=True)
    return network


def initial_linear(channels: Sequence[int], seed: int) -> list[Tensor]:
    """The linear weights before training, a float32 (C,) for each feature map.

    Uniform within ± 1 / √C, torch's default for a 1×1 convolution, then clamped at 0 as after
    every step; the original program clamps after the first step only.
    """
    names = {str(tap): torch.Size((count,)) for tap, count in enumerate(channels)}
    fans = {str(tap): count for tap, count in enumerate(channels)}
    drawn = _uniform(names, fans, generator(seed, 0, SLOT_METRIC_LINEAR))
    return [value.clamp_min_(0.0) for value in drawn.values()]


def _uniform(
    shapes: Mapping[str, torch.Size], fans: Mapping[str, int], rng: np.random.Generator
) -> dict[str, Tensor]:
    """Tensors uniform within ± 1 / √fan, drawn in the order of names."""
    return {
        name: torch.from_numpy(
            rng.uniform(-(fans[name] ** -0.5), fans[name] ** -0.5, tuple(shape)).astype(np.float32)
        )
        for name, shape in shapes.items()
    }
