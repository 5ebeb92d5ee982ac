"""Fast lin against the loop that runs the net every epoch: equal without dropout, alike with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bapps_gen.lpips.metric import Lpips
from bapps_gen.manifests.features import GAIN
from bapps_gen.metrics.agreement import two_afc_agreement
from bapps_gen.pipelines.metric_training.engine import Engine
from bapps_gen.pipelines.metric_training.fast import FastLin
from bapps_gen.pipelines.metric_training.loop import LoopData, LoopEngine
from bapps_gen.seeding import SLOT_METRIC_ORDER, generator
from support.metric_training import judged_patches, small_net, training_options

CPU = torch.device("cpu")
ROWS, VAL_ROWS = 200, 60


class Rows:
    """Stored features of rows; with `positions_seen` False as if each map had one position."""

    def __init__(
        self, patches: NDArray[np.uint8], dtype: Any, *, positions_seen: bool = True
    ) -> None:
        net = small_net()
        model = Lpips(net, None, device=CPU, dtype="float32")
        sides = model.pooled_with_positions(*(patches[:, side] for side in range(3)))
        means, positions = (np.stack([side.numpy() for side in pair], 1) for pair in sides)
        self.channels, self.gain, self.dtype = net.channels, GAIN, dtype
        self.means = (means * GAIN).astype(dtype)
        self.positions = positions if positions_seen else np.ones_like(positions)

    def __len__(self) -> int:
        return len(self.means)

    def gather(self, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        """As `StoredFeatures.gather`."""
        out[:] = self.means[rows]


class Result:
    """Losses by step, and weights and held-out distances, of a training."""

    def __init__(self, engine: Engine, epochs: int, seed: int) -> None:
        losses = []
        for epoch in range(1, epochs + 1):
            order = generator(seed, epoch, SLOT_METRIC_ORDER).permutation(ROWS)
            losses.append(engine.train_epoch(epoch, order, 5e-3, lambda _: None))
        self.losses = np.concatenate(losses)
        weights = engine.weights()
        self.linear = np.concatenate(
            [weights[f"lin{tap}.model.1.weight"].ravel() for tap in (0, 1)]
        )
        self.ranking = np.concatenate(
            [weights[name].ravel() for name in sorted(weights) if name.startswith("ranking.")]
        )
        self.distances = np.stack(engine.validate())


def loop(epochs: int, *, weighted: bool = False, dropout_seed: int = 0, **changes: Any) -> Result:
    """What the loop gives; another seed of dropout leaves initial weights and order as they are."""
    patches, judge = judged_patches(ROWS + VAL_ROWS)
    options = training_options(mode="lin", **changes)
    data = LoopData(patches, judge[:ROWS], row_weights() if weighted else None)
    engine = LoopEngine(small_net(), data, options, CPU)
    engine.options = replace(options, seed=options.seed + dropout_seed)
    return Result(engine, epochs, options.seed)


def fast(
    epochs: int,
    dtype: Any = np.float32,
    *,
    weighted: bool = False,
    positions_seen: bool = True,
    **changes: Any,
) -> Result:
    """What fast lin gives."""
    patches, judge = judged_patches(ROWS + VAL_ROWS)
    options = training_options(mode="lin", **changes)
    parts = [Rows(part, dtype, positions_seen=positions_seen) for part in np.split(patches, [ROWS])]
    weights = row_weights() if weighted else None
    return Result(FastLin(*parts, judge[:ROWS], weights, options), epochs, options.seed)


def row_weights() -> NDArray[np.float64]:
    """Different ones, of mean 1."""
    drawn = np.random.default_rng(5).integers(1, 6, ROWS).astype(np.float64)
    return drawn / drawn.mean()


# What is stored as float16 has 11 bits: each mean is off by 2.4e-4 of itself or less. Distances are
# sums over channels, whose errors cancel in part; steps of Adam depend on ratios of gradients.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float16, 5e-4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_without_dropout_both_are_equal_to_rounding(
    dtype: Any, tolerance: float, weighted: bool
) -> None:
    # The last batch is smaller than the others.
    plain, quick = (
        loop(4, dropout=0.0, batch=30, weighted=weighted),
        fast(4, dtype, dropout=0.0, batch=30, weighted=weighted),
    )
    for name in ("losses", "linear", "ranking", "distances"):
        a, b = getattr(plain, name), getattr(quick, name)
        np.testing.assert_allclose(b, a, atol=tolerance * np.abs(a).max(), rtol=0, err_msg=name)


def test_with_dropout_both_are_alike() -> None:
    """Over seeds, what the two give differs by no more than chance.

    Each seed is trained by both from the same weights in the same order; what differs is dropout.
    """
    seeds = range(6)
    judge = judged_patches(ROWS + VAL_ROWS)[1][ROWS:]
    plain = [loop(3, seed=seed) for seed in seeds]
    again = [loop(3, seed=seed, dropout_seed=100) for seed in seeds]
    quick = [fast(3, seed=seed) for seed in seeds]
    for name in ("linear", "ranking"):
        assert deviation(plain, quick, name) < 1.8
    # Dropout of whole channels, of which the loop knows nothing, is seen to differ.
    coarse = [fast(3, seed=seed, positions_seen=False) for seed in seeds]
    assert deviation(plain, coarse, "linear") > 2.2

    expected, correlations = correlations_of(plain, again), correlations_of(plain, quick)
    assert_no_difference(expected, correlations)
    scores = [
        np.array([two_afc_agreement(*each.distances, judge).mean() for each in results])
        for results in (plain, quick)
    ]
    assert_no_difference(*scores)


def deviation(ones: list[Result], others: list[Result], name: str) -> float:
    """Root mean square, over weights, of the mean difference in its standard errors.

    By chance √((n − 1) / (n − 3)), as of Student's t: 1.29 for 6 seeds.
    """
    differences = np.stack(
        [getattr(a, name) - getattr(b, name) for a, b in zip(ones, others, strict=True)]
    )
    errors = differences.std(0, ddof=1) / np.sqrt(len(ones))
    moved = errors > 0
    return float(np.sqrt(np.mean((differences.mean(0)[moved] / errors[moved]) ** 2)))


def correlations_of(ones: list[Result], others: list[Result]) -> NDArray[np.float64]:
    """Of the linear weights of each seed."""
    pairs = zip(ones, others, strict=True)
    return np.array([np.corrcoef(a.linear, b.linear)[0, 1] for a, b in pairs])


def assert_no_difference(ones: NDArray[np.float64], others: NDArray[np.float64]) -> None:
    """The mean difference is within three standard errors of zero."""
    differences = ones - others
    assert abs(differences.mean()) < 3 * differences.std(ddof=1) / np.sqrt(len(ones))
