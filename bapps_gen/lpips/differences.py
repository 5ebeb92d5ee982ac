"""The arithmetic of LPIPS on feature maps: unit-normalized over channels, squared differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bapps_gen.lpips.feature_net import FeatureNet

EPSILON = 1e-10
"""Added to the norm, outside the root, as in the lpips package's `normalize_tensor`."""


def unit_features(features: Tensor, dtype: torch.dtype, *, may_overwrite: bool = False) -> Tensor:
    """Feature maps (N, C, h, w) to unit vectors (N, h, w, C) of a dtype; zeros remain zeros.

    Gradients are finite everywhere.

    Args:
        features: the maps.
        dtype: of the result; norms are computed in it.
        may_overwrite: write into the memory of the maps, where no gradients are needed.
    """
    # Norms and sums along contiguous memory; most features come channels last already.
    flat = features.permute(0, 2, 3, 1).contiguous().to(dtype)
    # vector_norm, unlike a root of a sum, has the gradient 0 at 0.
    norm: Tensor = torch.linalg.vector_norm(flat, dim=-1, keepdim=True) + EPSILON
    if may_overwrite and not torch.is_grad_enabled():
        # Fresh memory costs as much here as the arithmetic.
        return flat.div_(norm)
    return flat / norm


def squared_differences(
    features: Tensor, groups: int, dtype: torch.dtype, *, may_overwrite: bool = False
) -> Tensor:
    """Maps (groups · n, C, h, w), the references first, to (groups − 1, n, h, w, C).

    The squared differences of the unit-normalized features of each group from those of the first.
    """
    unit = unit_features(features, dtype, may_overwrite=may_overwrite)
    unit = unit.view(groups, len(unit) // groups, *unit.shape[1:])
    if torch.is_grad_enabled():
        return (unit[1:] - unit[:1]).square()
    return unit[1:].sub_(unit[:1]).square_()


class DistanceModule(nn.Module):
    """The LPIPS distance as a module whose trunk and linear weights can be trained.

    Without gradients for weights `Lpips` is faster; it gives the same values.

    Args:
        net: its module becomes `trunk`; its weights get gradients with `requires_grad_(True)`.
        linear: a (C,) tensor for each map, or None for ones. They become parameters in float32
            (float64 for a float64 trunk).

    Shape:
        Images are floating (N, 3, H, W), RGB in [−1, 1], unchecked. Differences, norms and sums
        are in the dtype of the linear weights, whatever that of the trunk.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: FeatureNet, linear: Sequence[Tensor] | None) -> None:
        super().__init__()
        self.trunk = net.module
        if linear is None:
            linear = [torch.ones(count) for count in net.channels]
        self.linear = nn.ParameterList(weight.detach().clone() for weight in linear)
        shift, scale = (torch.tensor(value).view(3, 1, 1) for value in (net.shift, net.scale))
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(
        self, ref: Tensor, *others: Tensor, dropout: Callable[[Tensor], Tensor] | None = None
    ) -> list[Tensor]:
        """d(ref, other), (N,), for each of the others; the reference's features are shared.

        Args:
            ref: the reference images.
            others: images to compare with them.
            dropout: applied to the squared differences, (others, N, h, w, C), of each map before
                the linear weights, as in section 3 of the paper's training.
        """
        images = torch.cat([ref, *others])
        x = (images - self.shift) / self.scale
        total: Tensor | None = None
        for features, weight in zip(self.trunk(x), self.linear, strict=True):
            difference = squared_differences(features, 1 + len(others), weight.dtype)
            if dropout is not None:
                difference = dropout(difference)
            distance = (difference @ weight).mean((-2, -1))
            total = distance if total is None else total + distance
        assert total is not None
        return list(total)
