"""Training of linear weights over stored features: every epoch in seconds.

The net stays as it is, so that all of a pair is its means of squared differences by channel, and
its distance the product of these with the linear weights. A step is a handful of small matrix
products, written out here: automatic differentiation would cost several times as much as the
arithmetic. It equals a step of the net, the linear weights and the ranking network under
`torch.optim.Adam` to rounding.

Dropout leaves out single positions of single channels before their mean. Over the means alone it
is a factor for each channel of mean 1, and of the variance that it would have there:
p / (1 − p) / E, where E, the effective number of positions, is stored with the means. The factor is
1 ± √variance, so it is never negative; over many channels only these two moments count. Our own
choice, as is the table of signs that a step takes its own from at a random place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
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
        self._judge = torch.from_numpy(judge.astype(np.float32))
        weights = np.ones_like(judge) if row_weights is None else row_weights
        self._row_weights = torch.from_numpy(weights.astype(np.float32))
        self._width = sum(train.channels)
        linear = torch.cat(initial_linear(train.channels, options.seed))
        ranking = initial_ranking(options.seed).state_dict()
        # One vector, so that Adam is one step for all; biases lie behind the weights of a layer.
        layers = [
            torch.cat([ranking[f"layers.{i}.weight"], ranking[f"layers.{i}.bias"][:, None]], 1)
            for i in range(3)
        ]
        self._flat = torch.cat([linear, *(layer.flatten() for layer in layers)])
        self._first, self._second = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        self._steps = 0
        self._gradient = torch.empty_like(self._flat)
        sizes = [self._width, *((rows * columns) for rows, columns in _SHAPES)]
        self._linear, *layers = torch.split(self._flat, sizes)
        self._linear_gradient, *gradients = torch.split(self._gradient, sizes)
        self._layers = [part.view(s) for part, s in zip(layers, _SHAPES, strict=True)]
        self._gradients = [part.view(s) for part, s in zip(gradients, _SHAPES, strict=True)]

    def train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        with one_thread(), torch.no_grad():
            return self._train_epoch(epoch, order, rate, advance)

    def validate(self) -> tuple[Values, Values]:
        held = np.empty((min(_CHUNK_ROWS, len(self._val)), 2, self._width), self._val.dtype)
        distances = np.empty((len(self._val), 2))
        with one_thread(), torch.no_grad():
            for first in range(0, len(self._val), _CHUNK_ROWS):
                rows = np.arange(first, min(first + _CHUNK_ROWS, len(self._val)))
                part = held[: len(rows)]
                self._val.gather(rows, part)
                found = torch.from_numpy(part).float() @ self._linear
                distances[rows] = found.double().div_(self._val.gain).numpy()
        return distances[:, 0], distances[:, 1]

    def state(self) -> dict[str, Tensor]:
        return {
            "weights": self._flat.clone(),
            "first": self._first.clone(),
            "second": self._second.clone(),
            "steps": torch.tensor(self._steps),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        for name, value in {
            "weights": self._flat,
            "first": self._first,
            "second": self._second,
        }.items():
            value.copy_(state[name])
        self._steps = int(state["steps"])

    def weights(self) -> dict[str, Tensor]:
        linear = torch.split(self._linear, list(self._train.channels))
        tensors = {linear_key(tap): part.view(1, -1, 1, 1) for tap, part in enumerate(linear)}
        for number, layer in enumerate(self._layers):
            tensors[f"{RANKING_PREFIX}layers.{number}.weight"] = layer[:, :-1]
            tensors[f"{RANKING_PREFIX}layers.{number}.bias"] = layer[:, -1]
        return {name: value.clone() for name, value in tensors.items()}

    def _train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        logits = torch.empty(len(order))
        place = 0
        for chosen, means in self._batches(epoch, order):
            self._step(means, chosen, rate, logits[place : place + len(chosen)])
            place += len(chosen)
            advance(len(chosen))
        taken = torch.from_numpy(order)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, self._judge[taken], weight=self._row_weights[taken], reduction="none"
        )
        return np.array(
            [part.mean().item() for part in torch.split(losses.double(), self._options.batch)]
        )

    def _batches(self, epoch: int, order: NDArray[np.intp]) -> Iterator[tuple[Tensor, Tensor]]:
        """The rows of each batch, (n,), and their means after dropout, (n, 2, channels).

        A thread reads and prepares the next ones meanwhile: it takes about as long as the steps.
        """
        batch = self._options.batch
        chunk = max(1, _CHUNK_ROWS // batch) * batch
        held = np.empty((min(chunk, len(order)), 2, self._width), self._train.dtype)
        rng = generator(self._options.seed, epoch, SLOT_METRIC_DROPOUT)
        spread = self._spread(rng, batch)

        def prepare(rows: NDArray[np.intp]) -> list[tuple[Tensor, Tensor]]:
            self._train.gather(rows, held[: len(rows)])
            batches = []
            with torch.no_grad():  # a thread begins with gradients
                parts = torch.split(torch.from_numpy(held[: len(rows)]), batch)
                numbers = torch.split(torch.from_numpy(rows), batch)
                for chosen, stored in zip(numbers, parts, strict=True):
                    means = stored.to(torch.float32, copy=True)
                    if spread is not None:
                        spread(means, chosen)
                    batches.append((chosen, means))
            return batches

        chunks = [order[first : first + chunk] for first in range(0, len(order), chunk)]
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            ahead = pool.submit(prepare, chunks[0])
            for following in [*chunks[1:], None]:
                batches = ahead.result()
                if following is not None:
                    ahead = pool.submit(prepare, following)
                yield from batches

    def _spread(
        self, rng: np.random.Generator, batch: int
    ) -> Callable[[Tensor, Tensor], None] | None:
        """What dropout does to the means of a batch, in place; None without dropout."""
        p = self._options.dropout
        if p == 0.0:
            return None
        scales = torch.from_numpy(self._train.positions).rsqrt() * (p / (1.0 - p)) ** 0.5
        rows = max(_SIGN_ROWS, 2 * batch)
        drawn = rng.integers(0, 2, (rows, 2, self._width), np.int8)
        signs = torch.from_numpy(drawn).float().mul_(2.0).sub_(1.0)
        channels, noise = list(self._train.channels), torch.empty((batch, 2, self._width))

        def spread(means: Tensor, chosen: Tensor) -> None:
            count = len(means)
            first = int(rng.integers(0, rows - count + 1))
            part = noise[:count]
            taps = zip(
                torch.split(part, channels, 2),
                torch.split(means, channels, 2),
                torch.split(scales[chosen], 1, 2),
                strict=True,
            )
            for out, values, scale in taps:
                torch.mul(values, scale, out=out)
            means.addcmul_(part, signs[first : first + count])

        return spread

    def _step(self, means: Tensor, chosen: Tensor, rate: float, logits: Tensor) -> None:
        """One step of Adam.

        Args:
            means: of the rows, (n, 2, channels), times the gain.
            chosen: the rows, (n,).
            rate: learning rate.
            logits: for the predictions before the step, (n,).
        """
        first, second, third = self._layers
        count = len(chosen)
        flat = means.view(2 * count, -1)
        d0, d1 = torch.mv(flat, self._linear).div_(self._train.gain).view(count, 2).unbind(1)
        near0, near1 = d0 + EPSILON, d1 + EPSILON
        q0, q1 = d0 / near1, d1 / near0
        ones = torch.ones_like(d0)
        x = torch.stack((d0, d1, d0 - d1, q0, q1, ones))
        h1 = _leaky(torch.mm(first, x))
        h1 = torch.cat((h1, ones[None]))
        h2 = _leaky(torch.mm(second, h1))
        h2 = torch.cat((h2, ones[None]))
        torch.mv(h2.t(), third[0], out=logits)
        # Backward, from the gradient of the mean loss for the logits.
        back = torch.sigmoid(logits).sub_(self._judge[chosen])
        back.mul_(self._row_weights[chosen]).div_(count)
        g1, g2, g3 = self._gradients
        torch.mv(h2, back, out=g3[0])
        b2 = torch.outer(third[0, :HIDDEN], back).mul_(_slopes(h2[:HIDDEN]))
        torch.mm(b2, h1.t(), out=g2)
        b1 = torch.mm(second[:, :HIDDEN].t(), b2).mul_(_slopes(h1[:HIDDEN]))
        torch.mm(b1, x.t(), out=g1)
        i0, i1, i2, i3, i4 = torch.mm(first[:, :INPUTS].t(), b1)
        by0 = i0 + i2 + i3 / near1 - i4 * q1 / near0
        by1 = i1 - i2 + i4 / near0 - i3 * q0 / near1
        sides = torch.stack((by0, by1), 1).view(-1).div_(self._train.gain)
        torch.mv(flat.t(), sides, out=self._linear_gradient)
        self._adam(rate)

    def _adam(self, rate: float) -> None:
        beta1, beta2 = self._options.beta1, self._options.beta2
        self._steps += 1
        self._first.lerp_(self._gradient, 1.0 - beta1)
        self._second.mul_(beta2).addcmul_(self._gradient, self._gradient, value=1.0 - beta2)
        scale = (1.0 - beta2**self._steps) ** 0.5
        below = self._second.sqrt().div_(scale).add_(ADAM_EPSILON)
        self._flat.addcdiv_(self._first, below, value=-rate / (1.0 - beta1**self._steps))
        self._linear.clamp_min_(0.0)


def _leaky(x: Tensor) -> Tensor:
    return torch.nn.functional.leaky_relu(x, SLOPE)


def _slopes(x: Tensor) -> Tensor:
    """The slope of the leaky ReLU that gave x."""
    return torch.where(x > 0, 1.0, SLOPE)
