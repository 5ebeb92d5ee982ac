"""Training of linear weights over stored features: every epoch in seconds.

The net stays as it is, so that all of a pair is its means of squared differences by channel, and
its distance the product of these with the linear weights. A step is a handful of small matrix
products, written out here: automatic differentiation would cost several times as much as the
arithmetic, and torch's own calls on arrays this small twice as much as NumPy's. It equals a step of
the net, the linear weights and the ranking network under `torch.optim.Adam` to rounding.

Dropout leaves out single positions of single channels before their mean. Over the means alone it
is a factor for each channel of mean 1, and of the variance that it would have there:
p / (1 − p) / E, where E, the effective number of positions, is stored with the means. The factor is
1 ± √variance, so it is never negative; over many channels only these two moments count. Our own
choice, as is the table of signs that a step takes its own from at a random place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from bapps_gen.execution.threads import one_thread
from bapps_gen.metrics.trained import RANKING_PREFIX, linear_key
from bapps_gen.pipelines.metric_training.engine import Values
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.ranking import (
    EPSILON,
    HIDDEN,
    INPUTS,
    SLOPE,
    initial_linear,
    initial_ranking,
)
from bapps_gen.seeding import SLOT_METRIC_DROPOUT, generator

ADAM_EPSILON = 1e-8
"""torch's default, which the original program keeps."""

_SHAPES = ((HIDDEN, INPUTS + 1), (HIDDEN, HIDDEN + 1), (1, HIDDEN + 1))
"""Of the ranking network's layers, each with its biases as the last column."""

_CHUNK_ROWS = 4000  # gathered at once from files
_SIGN_ROWS = 1000  # of the table of signs, which is drawn anew for every epoch


Values32 = NDArray[np.float32]


class PooledRows(Protocol):
    """Stored features of rows; see `features.py`."""

    channels: tuple[int, ...]
    gain: float
    """By which means are multiplied before they are rounded to `dtype`."""

    dtype: type[np.float16 | np.float32]

    positions: NDArray[np.float32]
    """Effective number of positions of each map, (N, 2, maps)."""

    def __len__(self) -> int: ...

    def gather(self, rows: NDArray[np.intp], out: NDArray[np.floating]) -> None:
        """Write the means of some rows, (rows, 2, channels), times `gain`."""
        ...


class FastLin:
    """Linear weights and their ranking network in training; an `Engine`.

    Args:
        train, val: stored features.
        judge: share of people who prefer p1 in each row of `train`, (N,).
        row_weights: of each row, (N,), with mean 1; None for 1.
        options: of the training.
    """

    def __init__(
        self,
        train: PooledRows,
        val: PooledRows,
        judge: Values,
        row_weights: Values | None,
        options: MetricTrainingOptions,
    ) -> None:
        self._train, self._val, self._options = train, val, options
        self._judge = judge.astype(np.float32)
        weights = np.ones_like(judge) if row_weights is None else row_weights
        self._row_weights = weights.astype(np.float32)
        self._width = sum(train.channels)
        ranking = initial_ranking(options.seed).state_dict()
        # One vector, so that Adam is one step for all; biases lie behind the weights of a layer.
        layers = [
            torch.cat([ranking[f"layers.{i}.weight"], ranking[f"layers.{i}.bias"][:, None]], 1)
            for i in range(3)
        ]
        parts = [
            *initial_linear(train.channels, options.seed),
            *(each.flatten() for each in layers),
        ]
        self._flat = torch.cat(parts).numpy()
        self._first, self._second = np.zeros_like(self._flat), np.zeros_like(self._flat)
        self._steps = 0
        self._gradient, self._scratch = np.empty_like(self._flat), np.empty_like(self._flat)
        self._linear, self._layers = self._parts(self._flat)
        self._linear_gradient, self._gradients = self._parts(self._gradient)

    def _parts(self, flat: Values32) -> tuple[Values32, list[Values32]]:
        """Views of the linear weights and of the layers in a vector of all."""
        sizes = [self._width, *(rows * columns for rows, columns in _SHAPES)]
        linear, *layers = np.split(flat, np.cumsum(sizes)[:-1])
        return linear, [part.reshape(shape) for part, shape in zip(layers, _SHAPES, strict=True)]

    def train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        # A training that diverges ends with an error for its loss.
        with one_thread(), torch.no_grad(), np.errstate(all="ignore"):
            return self._train_epoch(epoch, order, rate, advance)

    def validate(self) -> tuple[Values, Values]:
        held = np.empty((min(_CHUNK_ROWS, len(self._val)), 2, self._width), self._val.dtype)
        distances = np.empty((len(self._val), 2))
        with one_thread(), torch.no_grad():
            for first in range(0, len(self._val), _CHUNK_ROWS):
                rows = np.arange(first, min(first + _CHUNK_ROWS, len(self._val)))
                part = held[: len(rows)]
                self._val.gather(rows, part)
                found = torch.from_numpy(part).float() @ torch.from_numpy(self._linear)
                distances[rows] = found.double().div_(self._val.gain).numpy()
        return distances[:, 0], distances[:, 1]

    def state(self) -> dict[str, Tensor]:
        copies = {name: torch.from_numpy(value.copy()) for name, value in self._vectors().items()}
        return {**copies, "steps": torch.tensor(self._steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        for name, value in self._vectors().items():
            value[:] = state[name].numpy()
        self._steps = int(state["steps"])

    def weights(self) -> dict[str, Tensor]:
        linear = torch.split(torch.from_numpy(self._linear), list(self._train.channels))
        tensors = {linear_key(tap): part.view(1, -1, 1, 1) for tap, part in enumerate(linear)}
        for number, layer in enumerate(map(torch.from_numpy, self._layers)):
            tensors[f"{RANKING_PREFIX}layers.{number}.weight"] = layer[:, :-1]
            tensors[f"{RANKING_PREFIX}layers.{number}.bias"] = layer[:, -1]
        return {name: value.clone() for name, value in tensors.items()}

    def _vectors(self) -> dict[str, Values32]:
        """What Adam keeps of all weights, by name in a checkpoint."""
        return {"weights": self._flat, "first": self._first, "second": self._second}

    def _train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        logits = np.empty(len(order), np.float32)
        place = 0
        for chosen, means in self._batches(epoch, order):
            logits[place : place + len(chosen)] = self._step(means, chosen, rate)
            place += len(chosen)
            advance(len(chosen))
        judge, weights = (
            torch.from_numpy(each[order]) for each in (self._judge, self._row_weights)
        )
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.from_numpy(logits), judge, weight=weights, reduction="none"
        )
        return np.array(
            [part.mean().item() for part in torch.split(losses.double(), self._options.batch)]
        )

    def _batches(
        self, epoch: int, order: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """The rows of each batch, (n,), and their means after dropout, (n, 2, channels)."""
        batch = self._options.batch
        chunk = max(1, _CHUNK_ROWS // batch) * batch
        held = np.empty((min(chunk, len(order)), 2, self._width), self._train.dtype)
        spread = self._spread(generator(self._options.seed, epoch, SLOT_METRIC_DROPOUT), batch)
        for first in range(0, len(order), chunk):
            rows = order[first : first + chunk]
            stored = held[: len(rows)]
            self._train.gather(rows, stored)
            for start in range(0, len(rows), batch):
                chosen = rows[start : start + batch]
                means = torch.from_numpy(stored[start : start + batch]).to(torch.float32, copy=True)
                if spread is not None:
                    spread(means, chosen)
                yield chosen, means

    def _spread(
        self, rng: np.random.Generator, batch: int
    ) -> Callable[[Tensor, NDArray[np.intp]], None] | None:
        """What dropout does to the means of a batch, in place; None without dropout."""
        p = self._options.dropout
        if p == 0.0:
            return None
        scales = torch.from_numpy(self._train.positions).rsqrt() * (p / (1.0 - p)) ** 0.5
        rows = max(_SIGN_ROWS, 2 * batch)
        drawn = rng.integers(0, 2, (rows, 2, self._width), np.int8)
        signs = torch.from_numpy(drawn).float().mul_(2.0).sub_(1.0)
        counts = torch.tensor(self._train.channels)
        to_channels = torch.eye(len(counts)).repeat_interleave(counts, 1)
        noise = torch.empty((batch, 2, self._width))

        def spread(means: Tensor, chosen: NDArray[np.intp]) -> None:
            count = len(means)
            first = int(rng.integers(0, rows - count + 1))
            own = scales[torch.from_numpy(chosen)]
            part = torch.matmul(own, to_channels, out=noise[:count])
            means.addcmul_(means, part.mul_(signs[first : first + count]))

        return spread

    def _step(self, means: Tensor, chosen: NDArray[np.intp], rate: float) -> Values32:
        """One step of Adam.

        Args:
            means: of the rows, (n, 2, channels), times the gain.
            chosen: the rows, (n,).
            rate: learning rate.

        Returns:
            Logits of the predictions before the step, (n,).
        """
        first, second, third = self._layers
        count = len(chosen)
        flat = means.view(2 * count, -1).numpy()
        d = _product(flat, self._linear).reshape(count, 2).T / np.float32(self._train.gain)
        near = (d + np.float32(EPSILON))[::-1]  # (d1, d0): what each is divided by
        x = np.ones((INPUTS + 1, count), np.float32)
        x[:2] = d
        np.subtract(d[0], d[1], out=x[2])
        np.divide(d, near, out=x[3:5])
        h1 = _hidden(first, x)
        h2 = _hidden(second, h1)
        logits = _product(h2.T, third[0])
        # Backward, from the gradient of the mean loss for the logits.
        back: Values32 = expit(logits) - self._judge[chosen]
        back *= self._row_weights[chosen] / np.float32(count)
        g1, g2, g3 = self._gradients
        _product(h2, back, g3[0])
        b2 = third[0, :HIDDEN, None] * back * _slopes(h2)
        _product(b2, h1.T, g2)
        b1 = _product(second[:, :HIDDEN].T, b2) * _slopes(h1)
        _product(b1, x.T, g1)
        by = _product(first[:, :INPUTS].T, b1)
        by_quotients = by[3:5] / near
        by_distances = by[:2] + by_quotients - (by_quotients * x[3:5])[::-1]
        by_distances[0] += by[2]
        by_distances[1] -= by[2]
        sides = (by_distances / np.float32(self._train.gain)).T.ravel()
        _product(flat.T, sides, self._linear_gradient)
        self._adam(rate)
        return logits

    def _adam(self, rate: float) -> None:
        beta1, beta2 = self._options.beta1, self._options.beta2
        self._steps += 1
        scratch = np.multiply(self._gradient, 1.0 - beta1, out=self._scratch)
        self._first *= beta1
        self._first += scratch
        np.square(self._gradient, out=scratch)
        scratch *= 1.0 - beta2
        self._second *= beta2
        self._second += scratch
        np.sqrt(self._second, out=scratch)
        scratch /= (1.0 - beta2**self._steps) ** 0.5
        scratch += ADAM_EPSILON
        np.divide(self._first, scratch, out=scratch)
        scratch *= rate / (1.0 - beta1**self._steps)
        self._flat -= scratch
        np.maximum(self._linear, 0.0, out=self._linear)


def _product(a: Values32, b: Values32, out: Values32 | None = None) -> Values32:
    """a @ b by torch, whose sums do not depend on the number of cores (see `one_thread`)."""
    target = None if out is None else torch.from_numpy(out)
    found = torch.matmul(torch.from_numpy(a), torch.from_numpy(b), out=target)
    return found.numpy()


def _hidden(layer: Values32, inputs: Values32) -> Values32:
    """A layer's outputs through the leaky ReLU, with ones below them for the next one's biases."""
    outputs = np.ones((HIDDEN + 1, inputs.shape[1]), np.float32)
    sums = _product(layer, inputs)
    np.maximum(sums, SLOPE * sums, out=outputs[:HIDDEN])
    return outputs


def _slopes(hidden: Values32) -> Values32:
    """The slopes of the leaky ReLU that gave a layer's outputs."""
    return np.where(hidden[:HIDDEN] > 0, np.float32(1), np.float32(SLOPE))
