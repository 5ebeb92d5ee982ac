"""Feature nets: networks whose feature maps LPIPS compares, each loaded by a text that names it.

Importing this module does not import torch; `load_net` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError, unknown_name

if TYPE_CHECKING:
    from torch import nn

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


@dataclass(frozen=True, slots=True)
class NetKind:
    """One way to name feature nets.

    Attributes:
        form: how its texts look, in capitals what is filled in.
        description: what the network is.
        source: where it is from.
    """

    form: str
    description: str
    source: str


NET_KINDS: tuple[NetKind, ...] = (
    NetKind("alex", "AlexNet trained on ImageNet", "torchvision; comes with the package"),
    NetKind("vgg", "VGG-16 trained on ImageNet", "torchvision, downloaded"),
    NetKind("squeeze", "SqueezeNet 1.1 trained on ImageNet", "torchvision, downloaded"),
)


@dataclass(frozen=True, slots=True)
class NetText:
    """What a text that names a feature net says, before anything is loaded.

    Attributes:
        given: the text.
        kind: "imagenet".
        name: that of the FeatureNet.
        net: the architecture, where the text names one of NETS.
        files: local files that are read, which parallel workers need, too.
        smallest: least height and width in px, 1 where it is known only of the loaded network.
    """

    given: str
    kind: str
    name: str
    net: str = ""
    files: tuple[Path, ...] = ()
    smallest: int = 1


SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Least height and width in px that every layer of a trunk accepts."""


def is_net(text: str) -> bool:
    """Whether a text has the form of a feature net's name; it may still name none."""
    return text in SMALLEST


def parse_net(given: str) -> NetText:
    """What a text that names a feature net says.

    Raises:
        UserError: for a text of another form.
    """
    if given in SMALLEST:
        return NetText(given, "imagenet", given, given, smallest=SMALLEST[given])
    forms = [kind.form for kind in NET_KINDS]
    raise unknown_name("feature net", given, SMALLEST, f"give one of {', '.join(forms)}")


def load_net(
    given: str, weights: str | PathLike[str] | None = None, *, progress: bool = False
) -> FeatureNet:
    """The feature net of that name, on the CPU in float32.

    Args:
        given: the text that names it, in one of the forms of NET_KINDS.
        weights: for "alex", "vgg" and "squeeze" their weights file (.safetensors or .pth),
            instead of one from the default locations (`load_trunk`).
        progress: show a bar on stderr if weights have to be downloaded.

    Raises:
        UserError: for an unknown name, or weights that are missing, damaged or of another network.
    """
    text = parse_net(given)
    require_torch("LPIPS needs")
    from bapps_gen.lpips.trunks import build_trunk
    from bapps_gen.lpips.weights import load_trunk_weights

    return trunk_net(
        text, build_trunk(text.net, load_trunk_weights(text.net, weights, progress=progress))
    )


def trunk_net(text: NetText, module: nn.Module) -> FeatureNet:
    """The feature net of one of this package's own trunks."""
    from bapps_gen.lpips.trunks import TRUNKS

    spec = TRUNKS[text.net]
    return FeatureNet(
        text.name,
        text.given,
        module,
        spec.channels,
        spec.smallest,
        SHIFT,
        SCALE,
        weights_digest(module),
        has_own_maps=True,
    )


def weights_digest(module: nn.Module) -> str:
    """16 hexadecimal digits of SHA-256 over a module's weights, in the order of their names."""
    import hashlib

    import torch

    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def path_safe(text: str) -> str:
    """A text as part of a file's name: what is no letter, digit, dot, dash or underscore is "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "net"


def require_torch(who: str) -> None:
    """Raise UserError, beginning with `who` such as "LPIPS needs", where torch is missing."""
    try:
        import_module("safetensors")
        import_module("torch")
    except ImportError as error:
        raise UserError(
            f"{who} {error.name}, which is not installed; run: pip install 'bapps-gen[torch]'"
        ) from error
