"""Feature nets: networks whose feature maps LPIPS compares, each loaded by a text that names it.

Importing this module does not import torch; `load_net` does.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from bapps_gen.lpips.feature_net import SCALE, SHIFT, FeatureNet, require_torch, weights_digest
from bapps_gen.lpips.net_names import NET_KINDS, NetText, is_net, parse_net

if TYPE_CHECKING:
    from bapps_gen.lpips.trunks import Trunk

__all__ = [
    "NET_KINDS",
    "SCALE",
    "SHIFT",
    "FeatureNet",
    "NetText",
    "is_net",
    "load_net",
    "parse_net",
    "weights_digest",
]


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

    return _trunk_net(
        text, build_trunk(text.net, load_trunk_weights(text.net, weights, progress=progress))
    )


def _trunk_net(text: NetText, module: Trunk) -> FeatureNet:
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
