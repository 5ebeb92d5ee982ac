"""Dropout over means has the mean and the spread of dropout over single positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.inputs import as_batches
from bapps_gen.lpips.weights import load_linear
from bapps_gen.manifests.features import GAIN
from bapps_gen.pipelines.metric_training.fast import FastLin
from bapps_gen.seeding import SLOT_METRIC_DROPOUT, generator
from support.datasets import photo
from support.metric_training import training_options

ROWS, DRAWS = 12, 300


class Pooled:
    """Features of rows in memory."""

    def __init__(self, means: NDArray[np.float32], positions: NDArray[np.float32]) -> None:
        self.means = (means * GAIN).astype(np.float16)
        self.positions = positions
        self.channels = (64, 192, 384, 256, 256)
        self.gain = GAIN

    def __len__(self) -> int:
        return len(self.means)

    def gather(self, rows: NDArray[np.intp], out: NDArray[np.float16]) -> None:
        out[:] = self.means[rows]


@pytest.mark.parametrize("dropout", [0.2, 0.5])
def test_dropout_has_the_mean_and_spread_that_it_has_in_the_net(dropout: float) -> None:
    model = load_lpips("alex")
    linear = load_linear("alex", "0.1")
    ref = np.stack([photo(seed, 64, 64) for seed in range(ROWS)])
    near = np.clip(ref + np.random.default_rng(0).normal(0, 25, ref.shape), 0, 255)
    near[::2] = np.roll(ref, 2, 1)[::2]
    images, span = as_batches({"ref": ref, "p0": near.astype(np.uint8)}, None, 31)
    torch.manual_seed(0)
    drawn = []
    with torch.no_grad():
        ((x, _, groups),) = model._chunks(images, span, attached=False)
        maps = [each[0] for each in model._differences(x, groups)]
        for _ in range(DRAWS):
            kept = (torch.nn.functional.dropout(each, dropout) for each in maps)
            drawn.append(sum((k @ w).mean((1, 2)) for k, w in zip(kept, linear, strict=True)))
    real = torch.stack(drawn)

    (means,), (positions,) = model.pooled_with_positions(ref, near.astype(np.uint8))
    both = [torch.stack((each, each), 1).numpy() for each in (means, positions)]
    stored = Pooled(*both)
    engine = FastLin(
        stored, stored, np.linspace(0, 1, ROWS), None, training_options(dropout=dropout)
    )
    spread = engine._spread(generator(0, 1, SLOT_METRIC_DROPOUT), ROWS)
    assert spread is not None
    emulated = []
    for _ in range(DRAWS):
        taken = torch.from_numpy(stored.means).float()
        spread(taken, np.arange(ROWS))
        assert (taken >= 0).all()
        emulated.append((taken @ torch.cat(linear) / GAIN).T)
    model_d = torch.cat(emulated)  # both sides of a row are drawn apart

    assert (model_d.mean(0) / real.mean(0)).numpy() == pytest.approx(1.0, abs=0.02)
    ratio = model_d.std(0) / real.std(0)
    assert ratio.median().item() == pytest.approx(1.0, abs=0.08)
    assert ratio.numpy() == pytest.approx(1.0, abs=0.3)


def test_without_dropout_nothing_is_drawn() -> None:
    stored = Pooled(np.zeros((4, 2, 1152), np.float32), np.ones((4, 2, 5), np.float32))
    engine = FastLin(stored, stored, np.zeros(4), None, training_options(dropout=0.0))
    assert engine._spread(generator(0, 1, SLOT_METRIC_DROPOUT), 4) is None
