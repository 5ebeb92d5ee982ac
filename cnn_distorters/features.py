"""The feature loss: distance of activations of an ImageNet network (Johnson et al., ECCV 2016)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.cnn_distorters.network import to_channels_last
from bapps_gen.lpips import load_trunk
from bapps_gen.lpips.feature_net import SCALE, SHIFT

VGG_TAPS = 3
"""relu1_2, relu2_2 and relu3_3, the last being Johnson et al.'s; deeper ones see 64 px as 8."""

EPSILON = 1e-3
"""Added to the mean square, so that a black batch does not divide by 0."""


class FeatureLoss:
    """Mean over taps of (φ(output) − φ(target))², relative to the mean of φ(target)².

    Squared as in Johnson et al.; absolute differences of such sparse activations are smallest
    near 0, which pulls outputs toward black. Relative, so that a weight means about the same for
    either network (own choice).

    Args:
        net: "vgg" (its first VGG_TAPS taps) or "alex" (all five).
        weights: the file of vgg16 weights.
        device: where it runs.
        dtype: of the convolutions.
    """

    def __init__(
        self, net: str, weights: Path | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        trunk = load_trunk(net, weights)
        self._taps = trunk.spec.taps[: VGG_TAPS if net == "vgg" else None]
        layers = list(trunk.features)[: self._taps[-1] + 1]
        self._layers = nn.Sequential(*layers).to(device, dtype)
        to_channels_last(self._layers)
        self._dtype = dtype
        self._shift = torch.tensor(SHIFT, device=device).view(3, 1, 1)
        self._scale = torch.tensor(SCALE, device=device).view(3, 1, 1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] to a scalar; gradients flow to `output` alone."""
        with torch.no_grad():
            expected = self._features(target)
        actual = self._features(output)
        losses = []
        for a, b in zip(actual, expected, strict=True):
            b = b.float()
            losses.append(F.mse_loss(a.float(), b) / (b.square().mean() + EPSILON))
        return torch.stack(losses).mean()

    def _features(self, x: Tensor) -> list[Tensor]:
        x = ((x.float() - self._shift) / self._scale).to(self._dtype)
        activations = []
        for number, layer in enumerate(self._layers):
            x = layer(x)
            if number in self._taps:
                activations.append(x)
        return activations
