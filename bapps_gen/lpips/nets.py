"""Feature nets: networks whose feature maps LPIPS compares, each loaded by a text that names it.

Importing this module does not import torch; `load_net` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError
from bapps_gen.lpips.feature_net import SCALE, SHIFT, FeatureNet, require_torch, weights_digest
from bapps_gen.lpips.net_names import SMALLEST, NetText, parse_net

if TYPE_CHECKING:
    from torch import Tensor

    from bapps_gen.lpips.alexnet_forms import AlexNetForm
    from bapps_gen.lpips.trunks import Trunk


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
    if weights is not None and text.kind not in SMALLEST:
        raise UserError(
            f"weights = {weights} applies to {', '.join(SMALLEST)}; {given} has its own weights, "
            "leave it out"
        )
    if text.kind in SMALLEST:
        from bapps_gen.lpips.weights import load_trunk_weights

        return trunk_net(text, text.net, load_trunk_weights(text.net, weights, progress=progress))
    if text.kind == "trunk":
        from bapps_gen.lpips.weights import load_trunk_file

        assert text.path is not None
        return trunk_net(text, *load_trunk_file(text.path))
    if text.kind == "random":
        from bapps_gen.lpips.made_weights import gaussian_weights

        return trunk_net(text, text.net, gaussian_weights(text.net, text.seed))
    if text.kind == "kmeans":
        from bapps_gen.lpips.made_weights import builtin_kmeans

        weights_of, digest = builtin_kmeans(text.net)
        return replace(trunk_net(text, text.net, weights_of), digest=digest)
    if text.kind in ("features", "timm"):
        from bapps_gen.lpips.open_nets import features_net, timm_net

        return features_net(text) if text.kind == "features" else timm_net(text)
    from bapps_gen.lpips.alexnet_forms import FORMS, load_alexnet

    assert text.path is not None
    form = FORMS[text.kind]
    return _own_net(text, load_alexnet(text.kind, text.path), form.shift, form.scale)


def trunk_net(text: NetText, net: str, weights: Mapping[str, Tensor]) -> FeatureNet:
    """The feature net of a trunk with some weights.

    Args:
        text: what names it.
        net: "alex", "vgg" or "squeeze".
        weights: by torchvision's names, float32.

    Raises:
        RuntimeError: for weights of another network.
    """
    from bapps_gen.lpips.trunks import build_trunk

    return _own_net(text, build_trunk(net, weights), SHIFT, SCALE)


def _own_net(
    text: NetText,
    module: Trunk | AlexNetForm,
    shift: tuple[float, float, float],
    scale: tuple[float, float, float],
) -> FeatureNet:
    digest = weights_digest(module)
    return FeatureNet(
        text.name,
        text.given,
        module,
        module.channels,
        module.smallest,
        shift,
        scale,
        digest,
        has_own_maps=True,
    )
