"""What LPIPS knows about a network. Importing this module does not import torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

# The lpips package's ScalingLayer: ImageNet's mean and deviation for RGB in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True, slots=True)
class FeatureNet:
    """A network whose feature maps are compared.

    Attributes:
        name: its own, fit for a path: "alex", "random-alex-3", "timm-resnet18".
        given: the text that names it and loads it again: "alex", "random-alex:3", "trunk:FILE".
        module: normalized RGB, float (N, 3, H, W), to a list of maps (N, C, h, w); frozen, in
            evaluation mode.
        channels: of each map.
        smallest: least height and width in px.
        shift, scale: RGB in [-1, 1] is normalized as (RGB − shift) / scale.
        digest: of what its values depend on: 16 hexadecimal digits of SHA-256.
        has_own_maps: whether each map is memory of its own, which may be written into.
    """

    name: str
    given: str
    module: nn.Module
    channels: tuple[int, ...]
    smallest: int
    shift: tuple[float, float, float]
    scale: tuple[float, float, float]
    digest: str
    has_own_maps: bool = False


def weights_digest(module: nn.Module) -> str:
    """16 hexadecimal digits of SHA-256 over a module's weights, in the order of their names."""
    return tensors_digest(module.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor], digits: int = 16) -> str:
    """Hexadecimal digits of SHA-256 over tensors and their names, in the order of these."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:digits]


def require_torch(who: str) -> None:
    """Raise UserError, beginning with `who` such as "LPIPS needs", where torch is missing."""
    try:
        import_module("safetensors")
        import_module("torch")
    except ImportError as error:
        raise UserError(
            f"{who} {error.name}, which is not installed; run: pip install 'bapps-gen[torch]'"
        ) from error
