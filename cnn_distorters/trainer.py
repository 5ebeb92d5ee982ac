"""Steps of one distorter's training: its networks with their optimizers, and their state on disk.

Everything random is a function of (seed, step), so that an interrupted run continues as if it had
not been. The deviations from the paper, which trains each network on 1.3 million images and
publishes no batch size, are in `TrainingSettings`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bapps_gen.cnn_distorters.corruption import corrupt
from bapps_gen.cnn_distorters.discriminator import (
    build_discriminator,
    discriminator_loss,
    generator_loss,
)
from bapps_gen.cnn_distorters.features import FeatureLoss
from bapps_gen.cnn_distorters.network import (
    SeededDropout,
    UNet,
    build_network,
    initialize,
    to_channels_last,
)
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.errors import WorkError, out_of_range
from bapps_gen.seeding import (
    MAX_SEED,
    SLOT_TRAINING_CORRUPTION,
    SLOT_TRAINING_DROPOUT,
    SLOT_TRAINING_ORDER,
    SLOT_TRAINING_WEIGHTS,
    Streams,
    digest_of,
)
from bapps_gen.storage.tensors import read_tensors, write_tensors

logger = logging.getLogger(__name__)

TRAINING_VERSION = 2
"""Raised whenever the same spec, settings and crops train another network."""

CHECKPOINT_KIND = "distorter checkpoint"

BETAS = (0.5, 0.999)
"""Of Adam, as in pix2pix."""

PRECISIONS = ("float32", "bfloat16")

DECAY_SHARE = 0.25
"""Share of the steps, the last ones, over which learning rates fall linearly to 0, as they do in
the second half of pix2pix's training; own choice. Without it the last few batches decide on casts
of color."""

COLOR_WEIGHT = 1.0
COLOR_BLOCK = 16
"""Weight of the color loss, and the side of the squares, in pixels, whose mean colors it compares;
own choices. Feature losses and discriminators hardly see brightness, so that networks with a small
pixelwise loss gave gray where the input is light. Smaller detail is left to the spec's losses."""

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601: all that a colorizer knows of its target's color."""


class TrainingError(WorkError):
    """A distorter whose training failed; it does not stop the others."""


class Crops(Protocol):
    """Training images: uint8 (N, 64, 64, 3), indexed by an array of positions."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What a trained distorter depends on besides its spec and the crops' pixels.

    Args:
        images: crops that are seen, each once; rounded down to whole batches.
        batch: crops in a step (own choice; pix2pix has 1 to 10).
        feature_share: share of every batch on which the feature loss is computed, in (0, 1].
            Below 1 it is a cheaper estimate of the same loss: VGG costs many times what the
            distorters do (own choice for CPU presets).
        feature_net: "vgg" or "alex".
        precision: "bfloat16" computes convolutions in it, with float32 weights; or "float32".
        seed: of the zoo; mixed with the spec's.
        crops_digest: names the crops.
    """

    images: int
    batch: int
    feature_share: float
    feature_net: str
    precision: str
    seed: int
    crops_digest: str

    def __post_init__(self) -> None:
        if self.batch < 1 or self.images < self.batch:
            raise out_of_range(
                "images", self.images, f"at least one batch of {self.batch}", "raise --images"
            )
        if not 0 < self.feature_share <= 1:
            raise out_of_range("feature_share", self.feature_share, "in (0, 1]", "use 1")
        if self.precision not in PRECISIONS:
            raise out_of_range("precision", self.precision, " or ".join(PRECISIONS), "use one")
        if not 0 <= self.seed <= MAX_SEED:
            raise out_of_range("seed", self.seed, f"from 0 to {MAX_SEED}", "use 0")

    @property
    def steps(self) -> int:
        """Steps of a whole training."""
        return self.images // self.batch

    def digest(self, spec: DistorterSpec) -> str:
        """Hash of everything that the trained weights depend on, 32 hexadecimal digits."""
        return digest_of(
            {"training_version": TRAINING_VERSION, "spec": spec.digest, **asdict(self)}
        )


class Trainer:
    """The networks of one distorter with their optimizers."""

    def __init__(
        self,
        spec: DistorterSpec,
        settings: TrainingSettings,
        crops: Crops,
        device: torch.device,
        features: FeatureLoss | None,
    ) -> None:
        self.spec, self.settings, self.crops, self.device = spec, settings, crops, device
        self.features = features if spec.feature_weight else None
        self.luma: Tensor | None = None
        if not spec.keeps_color:
            self.luma = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
        if spec.feature_weight and features is None:
            raise ValueError(f"distorter '{spec.id}' needs a feature loss")
        self.streams = Streams()
        # The table's seeds are small; the multiplication keeps (seed, spec's seed) pairs apart.
        self.seed = (settings.seed * 1_000_003 + spec.seed) & MAX_SEED
        draw = torch.Generator().manual_seed(self._word(0, SLOT_TRAINING_WEIGHTS))
        self.network = build_network(spec, device)
        initialize(self.network, draw)
        to_channels_last(self.network)
        self.discriminator: nn.Module | None = None
        if spec.discriminator_layers:
            self.discriminator = build_discriminator(spec.discriminator_layers, device)
            initialize(self.discriminator, draw)
            to_channels_last(self.discriminator)
        self.dropout = torch.Generator(device)
        for part in self.network.modules():
            if isinstance(part, SeededDropout):
                part.generator = self.dropout
        self.optimizers = {
            name: torch.optim.Adam(
                module.parameters(), lr=spec.learning_rate, betas=BETAS, fused=True
            )
            for name, module in self._modules()
        }
        order = self.streams.at(self.seed, 0, SLOT_TRAINING_ORDER).permutation(len(crops))
        self.order: NDArray[np.int64] = order[: settings.steps * settings.batch]
        self.sums: dict[str, Tensor] = {}
        self.summed = 0
        self.network.train()

    def _modules(self) -> Iterator[tuple[str, nn.Module]]:
        yield "network", self.network
        if self.discriminator is not None:
            yield "discriminator", self.discriminator

    def _word(self, index: int, slot: int) -> int:
        return int(self.streams.words(self.seed, index, slot, 1)[0]) & MAX_SEED

    def step(self, step: int) -> None:
        """One batch: the discriminator first, then the generator against it."""
        spec, batch = self.spec, self.settings.batch
        chosen = self.crops[self.order[step * batch : (step + 1) * batch]]
        words = self.streams.words(self.seed, step, SLOT_TRAINING_CORRUPTION, batch)
        seeds = words & np.uint64(MAX_SEED)
        corrupted = chosen
        if spec.corruption != "null":
            corrupted = corrupt(spec, chosen, seeds, self.streams)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = spec.learning_rate * self._decay(step)
        if spec.dropout_layers:
            self.dropout.manual_seed(self._word(step, SLOT_TRAINING_DROPOUT))
        target, source = self._tensor(chosen), self._tensor(corrupted)
        low = torch.bfloat16 if self.settings.precision == "bfloat16" else torch.float32
        with torch.autocast(self.device.type, low, enabled=low != torch.float32):
            output = self.network(source)
        output = output.float()
        parts: dict[str, Tensor] = {}
        if self.discriminator is not None:
            parts["discriminator"] = self._step_discriminator(target, output.detach(), low)
        parts["color"] = self._color_loss(output, target)
        losses = [COLOR_WEIGHT * parts["color"]]
        if spec.l1_weight:
            parts["l1"] = (output - target).abs().mean()
            losses.append(spec.l1_weight * parts["l1"])
        if self.features is not None:
            share = max(1, round(batch * self.settings.feature_share))
            parts["feature"] = self.features(output[:share], target[:share])
            losses.append(spec.feature_weight * parts["feature"])
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            with torch.autocast(self.device.type, low, enabled=low != torch.float32):
                scores = self.discriminator(output)
            self.discriminator.requires_grad_(True)
            parts["gan"] = generator_loss(spec.gan, scores.float())
            losses.append(spec.gan_weight * parts["gan"])
        optimizer = self.optimizers["network"]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for name, value in parts.items():
            detached = value.detach()
            self.sums[name] = self.sums[name] + detached if name in self.sums else detached
        self.summed += 1

    def _decay(self, step: int) -> float:
        """Share of the learning rate in a step, in (0, 1]."""
        left = self.settings.steps - step
        return min(1.0, left / max(1.0, DECAY_SHARE * self.settings.steps))

    def _color_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference of the mean colors of squares; a colorizer's of their luma."""
        change = F.avg_pool2d(output - target, COLOR_BLOCK)
        return (change if self.luma is None else (change * self.luma).sum(1)).abs().mean()

    def _step_discriminator(self, real: Tensor, fake: Tensor, low: torch.dtype) -> Tensor:
        assert self.discriminator is not None
        optimizer = self.optimizers["discriminator"]
        with torch.autocast(self.device.type, low, enabled=low != torch.float32):
            scores = self.discriminator(torch.cat([real, fake]))
        loss = discriminator_loss(self.spec.gan, *scores.float().chunk(2))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    def _tensor(self, patches: NDArray[np.uint8]) -> Tensor:
        """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1], channels last in memory."""
        moved = torch.from_numpy(np.ascontiguousarray(patches)).to(self.device)
        return moved.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)

    def take_losses(self, step: int) -> dict[str, float]:
        """Mean losses since the last call.

        Raises:
            TrainingError: when one is not finite.
        """
        means = {name: float(value) / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        for name, value in means.items():
            if not np.isfinite(value):
                raise self._diverged(f"the {name} loss is {value} at step {step}")
        return {name: float(f"{value:.6g}") for name, value in sorted(means.items())}

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"distorter '{self.spec.id}' diverged: {what}; lower its learning_rate "
            f"({self.spec.learning_rate:g}) or its gan_weight ({self.spec.gan_weight:g})"
        )

    def finish(self) -> UNet:
        """The trained network on the CPU.

        Raises:
            TrainingError: when a weight is not finite.
        """
        for name, value in self.network.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise self._diverged(f"{name} is not finite")
        return self.network.cpu().eval()

    def _state(self) -> dict[str, Tensor]:
        state = {}
        for name, module in self._modules():
            for key, value in module.state_dict().items():
                state[f"{name}.{key}"] = value
            named = dict(module.named_parameters())
            for key, parameter in named.items():
                for kind, value in self.optimizers[name].state[parameter].items():
                    state[f"{name}.{key}.adam.{kind}"] = value
        return state

    def save(self, path: Path, step: int, losses: Sequence[str]) -> None:
        """Write networks, optimizers, position and lines of the loss log, whole or not at all."""
        header = {**self._header(step), "losses": list(losses)}
        write_tensors(path, CHECKPOINT_KIND, header, self._state())

    def _header(self, step: int) -> dict[str, object]:
        return {
            "step": step,
            "training": self.settings.digest(self.spec),
            "device": self.device.type,
            "torch": torch.__version__,
        }

    def resume(self, path: Path) -> tuple[int, list[str]]:
        """Continue from a checkpoint of the same training.

        Returns:
            the number of steps done, and the lines of the loss log until then.
        """
        nothing: tuple[int, list[str]] = (0, [])
        if not path.exists():
            return nothing
        try:
            header, tensors = read_tensors(path, CHECKPOINT_KIND)
        except WorkError as error:
            logger.warning("%s; distorter %s starts from the beginning", error, self.spec.id)
            return nothing
        step, losses = header.pop("step", None), header.pop("losses", None)
        expected = self._header(0)
        del expected["step"]
        sound = isinstance(step, int) and isinstance(losses, list)
        if header != expected or not sound or not 0 < step < self.settings.steps:
            logger.warning(
                "%s is of another training, device or torch version; "
                "distorter %s starts from the beginning",
                path,
                self.spec.id,
            )
            return nothing
        with torch.no_grad():
            for name, module in self._modules():
                module.load_state_dict(
                    {key: tensors[f"{name}.{key}"] for key in module.state_dict()}
                )
                for key, parameter in module.named_parameters():
                    prefix = f"{name}.{key}.adam"
                    self.optimizers[name].state[parameter] = {
                        "step": tensors[f"{prefix}.step"].to(self.device),
                        # In the parameter's own memory format, as the fused optimizer expects.
                        "exp_avg": torch.empty_like(parameter).copy_(tensors[f"{prefix}.exp_avg"]),
                        "exp_avg_sq": torch.empty_like(parameter).copy_(
                            tensors[f"{prefix}.exp_avg_sq"]
                        ),
                    }
        return step, losses
