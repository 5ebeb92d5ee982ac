"""Images a second in training distorters, against a straightforward loop over the same networks.

    python benchmarks/training_speed.py [--every K] [--steps S] [--rounds R] [--share F]

The straightforward loop does the same work (batch, losses, corruption, Adam) with torch's own
modules, channels first, in float32: discriminator passes for real and fake images apart, an
optimizer with its defaults. One thread; rounds of all ways alternate for each distorter; the
medians are summed over every K-th distorter of the table. The feature loss is VGG's where its
weights are found (BAPPS_GEN_WEIGHTS), else AlexNet's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from plain_unet import make_plain
from torch import Tensor

from bapps_gen.cnn_distorters.corruption import corrupt
from bapps_gen.cnn_distorters.discriminator import (
    build_discriminator,
    discriminator_loss,
    generator_loss,
)
from bapps_gen.cnn_distorters.features import FeatureLoss
from bapps_gen.cnn_distorters.network import SeededDropout, build_network, initialize
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.table import shipped_specs
from bapps_gen.cnn_distorters.trainer import BETAS, Trainer, TrainingSettings
from bapps_gen.lpips import find_trunk, load_trunk
from bapps_gen.lpips.feature_net import SCALE, SHIFT
from bapps_gen.lpips.metric import native_bfloat16
from bapps_gen.seeding import Streams

BATCH = 16
CPU = torch.device("cpu")


class PlainTrainer:
    """The straightforward loop."""

    def __init__(
        self, spec: DistorterSpec, crops: NDArray[np.uint8], share: float, net: str
    ) -> None:
        self.spec, self.crops, self.share = spec, crops, max(1, round(BATCH * share))
        draw = torch.Generator().manual_seed(0)
        network = build_network(spec)
        initialize(network, draw)
        self.network = make_plain(network).train()
        for part in self.network.modules():
            for name, child in part.named_children():
                if isinstance(child, SeededDropout):
                    setattr(part, name, torch.nn.Dropout(0.5))
        self.adam = torch.optim.Adam(self.network.parameters(), lr=spec.learning_rate, betas=BETAS)
        self.discriminator = None
        if spec.discriminator_layers:
            self.discriminator = build_discriminator(spec.discriminator_layers)
            initialize(self.discriminator, draw)
            self.other_adam = torch.optim.Adam(
                self.discriminator.parameters(), lr=spec.learning_rate, betas=BETAS
            )
        trunk = load_trunk(net, find_trunk("vgg") if net == "vgg" else None)
        self.taps = trunk.spec.taps[: 3 if net == "vgg" else None]
        self.layers = list(trunk.features)[: self.taps[-1] + 1]
        self.shift, self.scale = (torch.tensor(value).view(3, 1, 1) for value in (SHIFT, SCALE))
        self.streams = Streams()

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations of all taps."""
        x = (x - self.shift) / self.scale
        found = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self.taps:
                found.append(x)
        return found

    def step(self, step: int) -> None:
        """One batch."""
        spec = self.spec
        chosen = self.crops[step * BATCH : (step + 1) * BATCH]
        corrupted = corrupt(spec, chosen, range(step, step + BATCH), self.streams)
        target, entered = (
            (torch.from_numpy(part).float() / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
            for part in (chosen, corrupted)
        )
        output = self.network(entered)
        loss = spec.l1_weight * (output - target).abs().mean()
        if self.discriminator is not None:
            self.other_adam.zero_grad()
            real, fake = self.discriminator(target), self.discriminator(output.detach())
            discriminator_loss(spec.gan, real, fake).backward()  # type: ignore[no-untyped-call]
            self.other_adam.step()
            loss = loss + spec.gan_weight * generator_loss(spec.gan, self.discriminator(output))
        if spec.feature_weight:
            with torch.no_grad():
                wanted = self.features(target[: self.share])
            for a, b in zip(self.features(output[: self.share]), wanted, strict=True):
                scale = spec.feature_weight / len(wanted)
                loss = loss + scale * F.mse_loss(a, b) / (b.square().mean() + 1e-3)
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()


def trainer(
    spec: DistorterSpec,
    crops: NDArray[np.uint8],
    share: float,
    net: str,
    precision: str,
    features: FeatureLoss,
) -> Callable[[int], None]:
    """A step of this package's training."""
    settings = TrainingSettings(len(crops), BATCH, share, net, precision, 0, "benchmark")
    return Trainer(spec, settings, crops, CPU, features).step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--every", type=int, default=4, help="take every K-th distorter")
    parser.add_argument("--steps", type=int, default=4, help="steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.125, help="of batches with feature loss")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = "alex" if find_trunk("vgg") is None else "vgg"
    precisions = ["float32", *(["bfloat16"] if native_bfloat16(CPU) else [])]
    ways = ["straightforward", *precisions]
    losses = {
        name: FeatureLoss(net, find_trunk("vgg"), CPU, getattr(torch, name)) for name in precisions
    }
    count = options.steps * (options.rounds + 1) * BATCH
    crops = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    specs = shipped_specs()[:: options.every]
    groups = {"all": specs, "without feature loss": [s for s in specs if not s.feature_weight]}
    seconds: dict[tuple[str, str], float] = {}
    for spec in specs:
        steps: dict[str, Callable[[int], None]] = {
            "straightforward": PlainTrainer(spec, crops, options.share, net).step
        }
        for name in precisions:
            steps[name] = trainer(spec, crops, options.share, net, name, losses[name])
        times: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(options.rounds + 1):
            for way in ways:
                began = time.perf_counter()
                for step in range(turn * options.steps, (turn + 1) * options.steps):
                    steps[way](step)
                times[way].append(time.perf_counter() - began)
        for way in ways:  # the first round warms up
            seconds[spec.id, way] = statistics.median(times[way][1:]) / options.steps
    print(f"one thread, batch {BATCH}, features of {net} on {options.share:g} of a batch")
    for group, members in groups.items():
        print(f"{len(members)} distorters, {group}:")
        total = {way: sum(seconds[spec.id, way] for spec in members) for way in ways}
        for way in ways:
            rate = len(members) * BATCH / total[way]
            ratio = total["straightforward"] / total[way]
            print(f"  {way:16} {rate:6.0f} images/s, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
