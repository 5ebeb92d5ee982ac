"""The networks of the zoo as a straightforward program has them, for the benchmarks to compare."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.cnn_distorters.network import Block, InstanceNorm, UNet


class NearestThenConv(nn.Module):
    """Nearest enlargement, then a convolution."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, 2h, 2w)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


def make_plain(network: UNet) -> UNet:
    """Put torch's own modules into a network in place of this package's faster ones."""
    for part in network.modules():
        if not isinstance(part, Block):
            continue
        if isinstance(part.norm, InstanceNorm):
            norm = nn.InstanceNorm2d(part.norm.weight.numel(), affine=True)
            norm.load_state_dict(part.norm.state_dict())
            part.norm = norm
        if part.enlarge == "nearest":
            part.conv = NearestThenConv(part.conv)  # type: ignore[assignment]
            part.enlarge = None
        if part.activation == "tanh":  # the last layer, which has no normalization
            part.norm, part.activation = nn.Tanh(), "none"
    return network
