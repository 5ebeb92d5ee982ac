"""The discriminator: a PatchGAN (Isola et al., CVPR 2017) that judges overlapping squares."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.cnn_distorters.network import LEAK

FIRST_CHANNELS = 16
MAX_CHANNELS = 64
"""Own choice, in proportion to the generators; pix2pix has 64 and 512."""


class PatchDiscriminator(nn.Module):
    """Strided 4×4 convolutions, then one score for each position; without normalization."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        counts = [3, *(min(FIRST_CHANNELS << level, MAX_CHANNELS) for level in range(layers))]
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in pairwise(counts)
        )
        self.score = nn.Conv2d(counts[-1], 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to scores (N, 1, h, w), higher for more real."""
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK, inplace=True)
        return self.score(x)  # type: ignore[no-any-return]


def build_discriminator(layers: int, device: str | torch.device = "cpu") -> PatchDiscriminator:
    """A discriminator with uninitialized weights; see `network.initialize`."""
    with torch.device("meta"):
        discriminator = PatchDiscriminator(layers)
    return discriminator.to_empty(device=device)


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimizes: hinge (Lim and Ye, 2017) or binary cross-entropy."""
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What the generator minimizes; for "bce" the non-saturating form (Goodfellow et al., 2014)."""
    return -fake.mean() if kind == "hinge" else F.softplus(-fake).mean()
