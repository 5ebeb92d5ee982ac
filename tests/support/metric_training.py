"""Small nets and judged patches for tests of training metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bapps_gen.lpips.feature_net import FeatureNet
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions

SIDE = 16

NET = """\
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 5, stride=2)
        self.second = torch.nn.Conv2d(8, 12, 3, stride=2)

    def forward(self, x):
        first = self.first(x).relu()
        return [first, self.second(first).relu()]
"""


class SmallNet(nn.Module):
    """Two maps, of 8 and 12 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Both maps."""
        first = self.first(x).relu()
        return [first, self.second(first).relu()]


def small_net(seed: int = 0) -> FeatureNet:
    """A feature net of random weights."""
    generator = torch.Generator().manual_seed(seed)
    module = SmallNet()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
    module.eval().requires_grad_(False)
    return FeatureNet(
        "small",
        "small",
        module,
        (8, 12),
        8,
        (-0.03, -0.088, -0.188),
        (0.458, 0.448, 0.45),
        "0" * 16,
    )


def judged_patches(rows: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Patches (rows, 3, S, S, 3) and judgments of observers to whom only changes of red matter.

    p0 and p1 are the reference with noise of two strengths in red, and with stronger noise in blue.
    """
    rng = np.random.default_rng(seed)
    patches = np.empty((rows, 3, SIDE, SIDE, 3))
    patches[:, 0] = rng.uniform(60, 196, (rows, 1, 1, 3)) + rng.normal(0, 12, (rows, SIDE, SIDE, 3))
    strengths = rng.uniform(0, 25, (rows, 2, 3)) * [1.0, 0.0, 3.0]
    noise = rng.normal(0, 1, (rows, 2, SIDE, SIDE, 3))
    patches[:, 1:] = patches[:, :1] + noise * strengths[:, :, None, None]
    judge = (strengths[:, 0, 0] > strengths[:, 1, 0]).astype(np.float64)
    return np.clip(patches, 0, 255).astype(np.uint8), judge


def training_options(**changes: Any) -> MetricTrainingOptions:
    """Options of a short training on the CPU in float32."""
    plain = {"epochs": 2, "decay_epochs": 1, "device": "cpu", "precision": "float32", "batch": 20}
    return MetricTrainingOptions(**(plain | changes))


def short_training(judged: Path, mode: str) -> MetricTrainingOptions:
    """A short training with dropout."""
    return MetricTrainingOptions(
        net=f"features:{judged}/net.py:Net",
        mode=mode,
        epochs=2,
        decay_epochs=1,
        batch=20,
        learning_rate=1e-3,
        val_fraction=0.3,
        device="cpu",
    )
