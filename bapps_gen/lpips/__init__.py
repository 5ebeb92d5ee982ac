"""LPIPS (v0.1 and v0.0) with its weights, available offline through `load_lpips`.

Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018. The values are those of the `lpips` package 0.1.4.

    model = load_lpips(net="alex")
    d = model.distance(a, b)  # uint8 (N, H, W, 3), (N, H, W, 3) -> (N,)
    d0, d1 = model.triplet(ref, p0, p1)

Importing this package does not import torch; `load_lpips` and `load_trunk` do.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bapps_gen.errors import out_of_range, unknown_name
from bapps_gen.lpips.feature_net import require_torch as require_torch
from bapps_gen.lpips.net_names import is_net
from bapps_gen.lpips.nets import load_net

if TYPE_CHECKING:
    from bapps_gen.lpips.metric import Lpips
    from bapps_gen.lpips.trunks import Trunk

__all__ = ["NETS", "VERSIONS", "find_trunk", "load_lpips", "load_trunk"]

NETS = ("alex", "vgg", "squeeze")
VERSIONS = ("0.1", "0.0")
DTYPES = ("float32", "bfloat16", "float64")


def load_lpips(
    net: str = "alex",
    version: str = "0.1",
    lpips: bool = True,
    weights: str | PathLike[str] | None = None,
    device: str = "cpu",
    dtype: Literal["float32", "bfloat16", "float64"] = "float32",
    *,
    compile: bool = False,
    progress: bool = False,
) -> Lpips:
    """LPIPS, as a metric and as a loss: images that require gradients get them.

    The network's own weights get none. With other networks, and with weights that
    `bapps_gen.train_metric` learned, `bapps_gen.load_metric(...).model` is the same.

    Args:
        net: the trunk: "alex" (bundled), "vgg" or "squeeze" (looked for as `load_trunk` describes).
        version: "0.1", or "0.0" (arXiv v1), which lacks the input scaling and has other
            linear weights.
        lpips: False for the baseline without linear weights: squared differences of
            unit-normalized features, summed over channels and layers.
        weights: a trunk's weights file (.safetensors or .pth), instead of one from the default
            locations.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first of cuda, mps, cpu.
        dtype: of the trunk. "bfloat16" is fast where the processor supports it natively. Measured
            on photographs with alex, its errors are 0.1 to 0.2 % of the distance (median; at most
            0.003), but 2 % for barely visible differences. Normalization and everything after it
            stay in float32.
        compile: compile with `torch.compile` at the first use of each image size; needs a C++
            compiler on the CPU. Calls that need gradients run uncompiled.
        progress: show a bar on stderr if the trunk has to be downloaded.

    Returns:
        The metric: `distance(a, b)` and `triplet(ref, p0, p1)` take uint8 images of shape
        (N, H, W, 3) or (H, W, 3), as arrays or tensors, or float images (N, 3, H, W) in the range
        that `value_range=(low, high)` declares, and give a tensor of shape (N,). `spatial=True`
        gives maps, (N, H, W).

    Raises:
        UserError: for an unknown name, or weights that are missing, damaged or of another network.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> ref = data.astronaut()[None, :64, :64]  # uint8 (N, H, W, 3)
        >>> blurred = bapps_gen.distort(ref, "gaussian_blur:sigma=2")
        >>> lpips = bapps_gen.load_lpips("alex")
        >>> lpips.distance(ref, blurred).shape, float(lpips.distance(ref, ref)[0])
        (torch.Size([1]), 0.0)
        >>> import torch  # as a loss
        >>> output = torch.rand(1, 3, 64, 64).requires_grad_()
        >>> target = torch.rand(1, 3, 64, 64)
        >>> lpips.distance(output, target, value_range=(0, 1)).mean().backward()
        >>> output.grad.shape
        torch.Size([1, 3, 64, 64])
    """
    _check_net(net)
    if version not in VERSIONS:
        raise out_of_range("LPIPS version", version, "0.1 or 0.0", "use 0.1, the published metric")
    if dtype not in DTYPES:
        raise unknown_name("dtype", str(dtype), DTYPES, f"choose one of {', '.join(DTYPES)}")
    require_torch("LPIPS needs")
    from bapps_gen.lpips.metric import Lpips, find_device
    from bapps_gen.lpips.weights import load_linear

    target = find_device(device)
    loaded = load_net(net, weights, progress=progress)
    if version == "0.0":
        loaded = replace(loaded, shift=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
    return Lpips(
        loaded,
        load_linear(net, version) if lpips else None,
        device=target,
        dtype=dtype,
        compile=compile,
    )


def load_trunk(
    net: str,
    weights: str | PathLike[str] | None = None,
    *,
    progress: bool = False,
) -> Trunk:
    """The ImageNet trunk alone, a torch module on the CPU in float32, its weights frozen.

    It takes (N, 3, H, W) in ImageNet normalization and returns the list of features that LPIPS
    taps. Weights come from, in this order: the file `weights`; the package (alex only); the
    folder named in the environment variable BAPPS_GEN_WEIGHTS; torch's hub cache; the network.

    Raises:
        UserError: for an unknown name, or weights that are missing, damaged or of another network.
    """
    _check_net(net)
    require_torch("LPIPS needs")
    from bapps_gen.lpips.trunks import build_trunk
    from bapps_gen.lpips.weights import load_trunk_weights

    return build_trunk(net, load_trunk_weights(net, weights, progress=progress))


def find_trunk(net: str) -> Path | None:
    """The file that `load_trunk` would read, or None where it would have to be downloaded.

    Raises:
        UserError: for an unknown name, damaged bundled weights, or a BAPPS_GEN_WEIGHTS that is
            not a folder.
    """
    _check_net(net)
    require_torch("LPIPS needs")
    from bapps_gen.lpips.weights import find_local

    return find_local(net)


def _check_net(net: str) -> None:
    if net not in NETS:
        remedy = f"choose one of {', '.join(NETS)}"
        if is_net(str(net)):
            remedy += f"; LPIPS over other feature nets is load_metric({str(net)!r}).model"
        raise unknown_name("LPIPS network", str(net), NETS, remedy)
