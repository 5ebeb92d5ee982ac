"""Training through the net: every epoch runs it on every row.

Section 3 of Zhang et al. (CVPR 2018) and the original program (`lpips/trainer.py`). In mode
"tune" and "scratch" the net's weights are trained; in mode "lin" they stay, which gives what
`fast.py` computes from stored differences at a fraction of the cost.

Where this differs from the original program: it clamps the weights of every 1×1 convolution at 0
after a step, which in SqueezeNet are many of the net's own, and here only linear weights are
clamped; it runs the net twice on each reference, here once. As there, patches are neither flipped
nor cropped, the last batch of an epoch may be smaller, and dropout leaves out single positions of
single channels, different ones in the two pairs of a row. Batch normalization, which the nets of
the paper do not have, keeps its statistics.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bapps_gen.errors import WorkError, first_line
from bapps_gen.execution.threads import map_ahead, one_thread
from bapps_gen.lpips.differences import DistanceModule
from bapps_gen.lpips.feature_net import FeatureNet
from bapps_gen.metrics.trained import RANKING_PREFIX, TRUNK_PREFIX, TrainedMetric, linear_key
from bapps_gen.pipelines.metric_training.engine import Values
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.patches import Patches
from bapps_gen.pipelines.metric_training.ranking import (
    initial_linear,
    initial_ranking,
    ranking_loss,
)
from bapps_gen.seeding import MAX_SEED, SLOT_METRIC_DROPOUT, Streams

_Map = Callable[..., Iterator[Any]]

_PART_ROWS = 10
"""Of a batch, which a thread on the CPU takes at once; sums over parts have a fixed order, so that
weights do not depend on the number of threads."""

_VALIDATION_ROWS = 100
_CHECKED_STEPS = 50
"""Steps between waits for a GPU, in which losses are read and checked."""


@dataclass(frozen=True, slots=True)
class LoopData:
    """What a training reads.

    Args:
        patches: of the rows to train on, and after them of those to validate on.
        judge: share of people who prefer p1 in each row of the training, (N,).
        weights: of these rows, (N,), with mean 1; None where all count the same.
    """

    patches: Patches
    judge: Values
    weights: Values | None = None


class LoopEngine:
    """The `Engine` that trains through the net.

    Args:
        net: with the weights to begin with; it is copied.
        data: what to train and validate on.
        options: of the training; device and precision are not read from them.
        device: where to train.
        precision: "float32", or "bfloat16" for the net; differences, norms, sums, losses and all
            weights are float32.
        compile: compile the net, at its first step.
        threads: of the CPU, where that is the device; weights do not depend on it.
        start: a metric over the net whose linear weights and ranking network are begun with;
            random ones where there is none.

    Raises:
        WorkError: when memory runs out, here or in any method.
    """

    def __init__(
        self,
        net: FeatureNet,
        data: LoopData,
        options: MetricTrainingOptions,
        device: torch.device,
        precision: str = "float32",
        *,
        compile: bool = False,
        threads: int = 1,
        start: TrainedMetric | None = None,
    ) -> None:
        self.data, self.options, self.device, self.compiled = data, options, device, compile
        self.rows = len(data.judge)
        on_cpu = device.type == "cpu"
        self._threads = threads if on_cpu else 1
        self._part_rows = min(_PART_ROWS, options.batch) if on_cpu else options.batch
        parts = -(-options.batch // self._part_rows)
        self._noise = [torch.Generator(device) for _ in range(parts)]
        self._streams = Streams()
        linear = start.linear if start else initial_linear(net.channels, options.seed)
        self.distances = DistanceModule(net, linear)
        self.trunk = copy.deepcopy(net.module)
        self._trains_net = options.mode != "lin"
        self.trunk.requires_grad_(self._trains_net)
        self.ranking = initial_ranking(options.seed)
        if start:
            self.ranking.load_state_dict(start.ranking)
        with self._machine():
            # Weights of convolutions in the order that images are in; values are the same.
            self.trunk.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.distances.trunk = _Passes(
                self.trunk,
                low=precision == "bfloat16",
                trained=self._trains_net,
                compiled=3 * options.batch if compile else 0,
            )
            self.distances.to(device)
            self.ranking.to(device)
            self._parameters = self._named_parameters()
            self.adam = torch.optim.Adam(
                list(self._parameters.values()),
                lr=options.learning_rate,
                betas=(options.beta1, options.beta2),
                fused=device.type in ("cpu", "cuda"),
            )

    def train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        """See `Engine`; ends early where a loss is not finite."""
        for group in self.adam.param_groups:
            group["lr"] = rate
        seed, parts = self.options.seed, len(self._noise)
        words = self._streams.words(seed, epoch, SLOT_METRIC_DROPOUT, parts).tolist()
        for noise, word in zip(self._noise, words, strict=True):
            noise.manual_seed(word & MAX_SEED)
        batch = self.options.batch
        chosen = [order[start : start + batch] for start in range(0, len(order), batch)]
        losses: list[float] = []
        waiting: list[Tensor] = []
        with self._machine() as run:
            for rows, images in zip(chosen, self._images(chosen), strict=True):
                waiting.append(self._step(run, rows, images))
                if len(waiting) == _CHECKED_STEPS or len(losses) + len(waiting) == len(chosen):
                    losses += torch.stack(waiting).tolist()
                    waiting.clear()
                    if not np.isfinite(losses).all():
                        break
                advance(len(rows))
        return np.array(losses)

    def _step(self, run: _Map, rows: NDArray[np.intp], images: Tensor) -> Tensor:
        """One batch; gives its loss."""
        cuts = range(self._part_rows, len(rows), self._part_rows)
        gradients_of = functools.partial(self._gradients, len(rows))
        results = run(
            gradients_of,
            torch.split(images, self._part_rows),
            np.split(rows, cuts),
            self._noise[: 1 + len(cuts)],
        )
        loss, *gradients = map(_sum, zip(*results, strict=True))
        assert loss is not None
        for parameter, gradient in zip(self._parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        self.adam.step()
        with torch.no_grad():
            for weight in self.distances.linear:
                weight.clamp_min_(0.0)
        return loss

    def _gradients(
        self, total: int, images: Tensor, rows: NDArray[np.intp], noise: torch.Generator
    ) -> list[Tensor | None]:
        """What some rows add to the loss of a batch of `total` rows, and to its gradients."""
        dropout = _Dropout(self.options.dropout, noise) if self.options.dropout else None
        d0, d1 = self.distances(*images.unbind(1), dropout=dropout)
        weights = None if self.data.weights is None else self._values(self.data.weights[rows])
        judge = self._values(self.data.judge[rows])
        loss = ranking_loss(self.ranking(d0, d1), judge, weights) * (len(rows) / total)
        parameters = list(self._parameters.values())
        return [loss.detach(), *torch.autograd.grad(loss, parameters, allow_unused=True)]

    def validate(self) -> tuple[Values, Values]:
        """See `Engine`."""
        end = len(self.data.patches)
        chosen = [
            np.arange(start, min(start + _VALIDATION_ROWS, end))
            for start in range(self.rows, end, _VALIDATION_ROWS)
        ]
        with self._machine() as run:
            parts = [
                part
                for images in self._images(chosen)
                for part in run(self._validated, torch.split(images, _PART_ROWS))
            ]
            d0, d1 = torch.cat(parts, 1).double().cpu().numpy()
        return d0, d1

    def _validated(self, images: Tensor) -> Tensor:
        """d0 and d1 of images, (2, N)."""
        with torch.no_grad():
            return torch.stack(self.distances(*images.unbind(1)))

    def _images(self, chosen: list[NDArray[np.intp]]) -> Iterator[Tensor]:
        """Float32 (N, 3, 3, S, S) in [−1, 1] of rows; the next are read while these are used."""

        def read(rows: NDArray[np.intp]) -> Tensor:
            patches = torch.from_numpy(self.data.patches[rows])
            return patches.pin_memory() if self.device.type == "cuda" else patches

        for patches in map_ahead(read, chosen, depth=2, threads=1):
            images = patches.to(self.device, non_blocking=True)
            yield images.permute(0, 1, 4, 2, 3).float().div_(127.5).sub_(1.0)

    def _values(self, values: Values) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)

    @contextlib.contextmanager
    def _machine(self) -> Iterator[_Map]:
        """How functions are mapped over parts: on threads, in order, with the same sums each time.

        Failures of the machine are one line.
        """
        cudnn = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(cudnn)
                stack.enter_context(one_thread())
                if self._threads == 1:
                    yield map
                else:
                    pool = ThreadPoolExecutor(
                        self._threads, initializer=torch.set_num_threads, initargs=(1,)
                    )
                    yield stack.enter_context(pool).map
        except torch.OutOfMemoryError as error:
            raise self._too_little(error) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # the CPU's allocator has no class for it
                raise self._too_little(error) from error
            if self.compiled:
                raise WorkError(
                    f"torch.compile failed or a compiled pass did: {first_line(error)[:160]}; "
                    "give --compile no"
                ) from error
            raise

    def _too_little(self, error: RuntimeError) -> WorkError:
        return WorkError(
            f"{self.device} has too little memory for batches of {self.options.batch} triplets "
            f"({first_line(error)[:120]}); give a smaller --batch"
        )

    def _named_parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        named: dict[str, nn.Parameter] = {
            f"lin{tap}": weight for tap, weight in enumerate(self.distances.linear)
        }
        named |= {f"ranking.{name}": value for name, value in self.ranking.named_parameters()}
        if self._trains_net:
            named |= {f"trunk.{name}": value for name, value in self.trunk.named_parameters()}
        return named

    def state(self) -> dict[str, Tensor]:
        """See `Engine`."""
        state = {}
        for name, parameter in self._parameters.items():
            state[name] = _held(parameter)
            for kind, value in self.adam.state[parameter].items():
                state[f"{name}.adam.{kind}"] = _held(value)
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """See `Engine`."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state[name])
                moments = {
                    # In the parameter's own memory format, as the fused optimizer expects.
                    kind: torch.empty_like(parameter).copy_(state[f"{name}.adam.{kind}"])
                    for kind in ("exp_avg", "exp_avg_sq")
                }
                step = state[f"{name}.adam.step"].to(self.device)
                self.adam.state[parameter] = {"step": step, **moments}

    def weights(self) -> dict[str, Tensor]:
        """See `Engine`."""
        weights = {
            linear_key(tap): _held(weight).view(1, -1, 1, 1)
            for tap, weight in enumerate(self.distances.linear)
        }
        weights |= {
            f"{RANKING_PREFIX}{name}": _held(value)
            for name, value in self.ranking.state_dict().items()
        }
        if self._trains_net:
            weights |= {
                f"{TRUNK_PREFIX}{name}": _held(value)
                for name, value in self.trunk.state_dict().items()
            }
        return weights


class _Passes(nn.Module):
    """A net's passes in a precision, with gradients where it is trained.

    Args:
        net: the net; its maps are in the precision's dtype.
        low: the net computes in bfloat16, from float32 weights.
        trained: its weights get gradients.
        compiled: images in the passes that are compiled, those of a whole batch; 0 for none. Each
            other shape would be compiled anew.
    """

    def __init__(self, net: nn.Module, *, low: bool, trained: bool, compiled: int) -> None:
        super().__init__()
        self.net, self.low, self.trained, self.compiled = net, low, trained, compiled
        self.fast: Any = torch.compile(net, dynamic=False) if compiled else net

    def forward(self, x: Tensor) -> list[Tensor]:
        low = torch.autocast(x.device.type, torch.bfloat16, enabled=self.low)
        attached = self.trained and torch.is_grad_enabled()
        run = self.fast if attached and len(x) == self.compiled else self.net
        with low, torch.set_grad_enabled(attached):
            maps: list[Tensor] = run(x.contiguous(memory_format=torch.channels_last))
        return maps


@dataclass(frozen=True, slots=True)
class _Dropout:
    """Leaves out a share of values and enlarges the others, so that their mean stays."""

    share: float
    noise: torch.Generator

    def __call__(self, values: Tensor) -> Tensor:
        kept = torch.empty_like(values).bernoulli_(1.0 - self.share, generator=self.noise)
        return values * kept.div_(1.0 - self.share)


def _sum(values: Sequence[Tensor | None]) -> Tensor | None:
    """The sum in the order of the values; None of weights that no map depends on."""
    total: Tensor | None = None
    for value in values:
        if value is not None:
            total = value if total is None else total.add_(value)
    return total


def _held(value: Tensor) -> Tensor:
    """A copy on the CPU, in the plain order of memory."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)
