"""AlexNets of self-supervised publications, from the files in which they were published.

They have the form of Caffe's AlexNet (Krizhevsky et al., NeurIPS 2012): 96, 256, 384, 384 and 256
filters, groups, no padding before the first layer. A file says the sizes and groups; what it does
not say, a `Form` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.errors import UserError
from bapps_gen.lpips.caffemodel import read_caffemodel
from bapps_gen.lpips.feature_net import SCALE, SHIFT
from bapps_gen.lpips.net_names import SMALLEST_FORM
from bapps_gen.lpips.weights import read_weights, require_file


@dataclass(frozen=True, slots=True)
class Form:
    """What a publication's weights do not say of its network; FORMS has the sources.

    Attributes:
        shift, scale: RGB in [-1, 1] is given to the first layer as (RGB − shift) / scale.
        has_bgr: whether the first layer's inputs are B, G, R.
        has_lab: whether they are CIELAB.
        slope: of the rectifiers below 0.
        has_lrn: whether local response normalization follows the first two poolings, where there
            is no batch normalization.
    """

    shift: tuple[float, float, float]
    scale: tuple[float, float, float]
    has_bgr: bool = False
    has_lab: bool = False
    slope: float = 0.0
    has_lrn: bool = False


_CAFFE_MEAN = (123.0, 117.0, 104.0)  # of R, G, B, 0 to 255

FORMS: Mapping[str, Form] = {
    # train_val_cfn_jps.prototxt of github.com/MehdiNoroozi/JigsawPuzzleSolver, but for the first
    # layer's stride: 2 there, for tiles; 4 where others run these weights on whole images, as
    # models/self_supervised.py of github.com/ruthcfong/pytorch_models does.
    "puzzle": Form(
        shift=tuple(mean / 127.5 - 1.0 for mean in _CAFFE_MEAN),  # type: ignore[arg-type]
        scale=(1 / 127.5,) * 3,
        has_bgr=True,
        has_lrn=True,
    ),
    # caffemodels/alexnet_train_nolrn_lrelu.prototxt of github.com/jeffdonahue/bigan, whose
    # export_params.py turns R, G, B into B, G, R.
    "bigan": Form(shift=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), has_bgr=True, slope=0.2),
    # splitbrainauto/models/deploy_lab.prototxt of github.com/richzhang/colorization.
    "split-brain": Form(shift=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), has_lab=True),
    # image_transform_layer.py of github.com/pathak22/unsupervised-video, and
    # motionseg/DeepMaskAlexNet.lua, where five convolutions, five rectifiers, three poolings and
    # two other modules come before the linear layers; five others with batch normalization. That
    # the two are response normalizations after poolings, as in Caffe's reference network, is an
    # assumption.
    "video": Form(shift=SHIFT, scale=SCALE, has_lrn=True),
}

# The five convolutions in files: Caffe's names, those of the puzzle's training network, and
# torch's numbers without and with two response normalizations, and with batch normalization.
CONVOLUTIONS: tuple[tuple[str, ...], ...] = (
    tuple(f"conv{number}" for number in range(1, 6)),
    tuple(f"conv{number}_s1" for number in range(1, 6)),
    tuple(f"features.conv{number}" for number in range(1, 6)),
    tuple(f"features.{number}" for number in (0, 3, 6, 8, 10)),
    tuple(f"features.{number}" for number in (0, 4, 8, 10, 12)),
    tuple(f"features.{number}" for number in (0, 4, 8, 11, 14)),
)
# Batch normalization of a convolution: where its mean and variance are, and its gain and offset.
NORMS = ("bn{0}", "bn_conv{0}", "conv{0}_bn", "features.bn{0}")
GAINS = (*NORMS, "scale{0}", "scale_conv{0}", "conv{0}_scale")
LAB_LAYER = "data_lab"
"""Split-brain's first layer, which centers L*; taken as L* − 50 where the file has none."""

SIDES = (11, 5, 3, 3, 3)
STRIDES = (4, 1, 1, 1, 1)
PADDINGS = (0, 2, 1, 1, 1)
NORM_EPSILON = 1e-5
LRN = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}


class AlexNetForm(nn.Module):
    """Five convolutions with their rectifiers; gives the maps after each rectifier."""

    lab_gain: Tensor
    lab_offset: Tensor

    def __init__(self, form: Form, weights: list[tuple[Tensor, Tensor]], has_lrn: bool) -> None:
        super().__init__()
        self._slope = form.slope
        self._has_lab = form.has_lab
        self._has_lrn = has_lrn
        # No parameters: the publication did not train them either.
        self.register_buffer("lab_gain", torch.ones(3, 1, 1))
        self.register_buffer("lab_offset", torch.tensor([-50.0, 0.0, 0.0]).view(3, 1, 1))
        self.convolutions = nn.ModuleList()
        channels = 3
        for (weight, bias), stride, padding in zip(weights, STRIDES, PADDINGS, strict=True):
            with torch.device("meta"):  # draws nothing from torch's global generator
                conv = nn.Conv2d(
                    channels,
                    len(weight),
                    weight.shape[2],
                    stride=stride,
                    padding=padding,
                    groups=channels // weight.shape[1],
                )
            conv.load_state_dict({"weight": weight, "bias": bias}, assign=True)
            self.convolutions.append(conv)
            channels = len(weight)
        self.channels = tuple(len(weight) for weight, _ in weights)
        self.smallest = SMALLEST_FORM

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to one (N, C, h, w) per convolution."""
        if self._has_lab:
            x = (to_lab(x) * self.lab_gain + self.lab_offset).to(x.dtype)
        maps = []
        for number, conv in enumerate(self.convolutions):
            x = F.leaky_relu(conv(x), self._slope)
            maps.append(x)
            if number < 2:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
                if self._has_lrn:
                    x = F.local_response_norm(x, **LRN)  # type: ignore[arg-type]
        return maps


def load_alexnet(kind: str, path: Path) -> AlexNetForm:
    """The network of a publication with the weights in a file, frozen, in float32.

    Args:
        kind: a key of FORMS.
        path: .caffemodel, or .safetensors, .pth or .pt with named tensors.

    Raises:
        UserError: for a file that is missing, damaged or of another network.
    """
    form = FORMS[kind]
    require_file(path, ".caffemodel, .safetensors or .pth")
    tensors = _named(path)
    names = _convolutions(tensors, path)
    weights = [_convolution(tensors, name, path) for name in names]
    _check_shapes([weight for weight, _ in weights], names, path)
    has_norm = False
    for number, name in enumerate(names):
        norm = _norm(tensors, name, number + 1, path)
        if norm is not None:
            has_norm = True
            gain, offset = norm
            weight, bias = weights[number]
            weights[number] = weight * gain.view(-1, 1, 1, 1), bias * gain + offset
    if form.has_bgr:
        weights[0] = weights[0][0].flip(1), weights[0][1]
    net = AlexNetForm(form, weights, form.has_lrn and not has_norm)
    if form.has_lab and f"{LAB_LAYER}.weight" in tensors:
        gain, offset = _convolution(tensors, LAB_LAYER, path)
        if gain.numel() != 3:
            raise _other(path, f"has {LAB_LAYER} of shape {tuple(gain.shape)}, not (3, 1, 1, 1)")
        net.lab_gain, net.lab_offset = gain.view(3, 1, 1), offset.view(3, 1, 1)
    return net.eval().requires_grad_(False)


def _named(path: Path) -> dict[str, Tensor]:
    """Tensors by "layer.kind", as torch names them."""
    if path.suffix != ".caffemodel":
        return read_weights(path)
    tensors = {}
    for name, blobs in read_caffemodel(path).items():
        if len(blobs) == 3 and blobs[2].numel() == 1:  # batch normalization, as sums
            factor = 1 / float(blobs[2]) if float(blobs[2]) else 0.0
            tensors[f"{name}.running_mean"] = blobs[0].flatten() * factor
            tensors[f"{name}.running_var"] = blobs[1].flatten() * factor
        elif len(blobs) <= 2:
            tensors[f"{name}.weight"] = blobs[0]
            if len(blobs) == 2:
                tensors[f"{name}.bias"] = blobs[1].flatten()
    return tensors


def _convolutions(tensors: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    for names in CONVOLUTIONS:
        if all(
            f"{name}.weight" in tensors and tensors[f"{name}.weight"].ndim == 4 for name in names
        ):
            return names
    known = "; ".join(f"{names[0]} … {names[-1]}" for names in CONVOLUTIONS)
    raise _other(path, f"lacks five convolutions under one of these names: {known}")


def _convolution(tensors: Mapping[str, Tensor], name: str, path: Path) -> tuple[Tensor, Tensor]:
    """Weight and bias in float32, the bias 0 where there is none."""
    weight = tensors[f"{name}.weight"]
    bias = tensors.get(f"{name}.bias", torch.zeros(len(weight)))
    for kind, value in (("weight", weight), ("bias", bias)):
        if not (value.is_floating_point() and bool(value.isfinite().all())):
            raise _other(path, f"has {name}.{kind} that is not finite floating-point")
    if bias.shape != (len(weight),):
        raise _other(path, f"has {name}.bias of shape {tuple(bias.shape)}, not ({len(weight)},)")
    return weight.float(), bias.float()


def _check_shapes(weights: list[Tensor], names: tuple[str, ...], path: Path) -> None:
    channels = 3
    for name, weight, side, number in zip(names, weights, SIDES, range(5), strict=True):
        inputs = weight.shape[1]
        groups = channels // max(inputs, 1)
        fits = groups * inputs == channels and len(weight) % groups == 0
        if tuple(weight.shape[2:]) != (side, side) or not fits or (number == 0 and groups != 1):
            expected = f"(filters, {channels} or a part of it, {side}, {side})"
            raise _other(path, f"has {name}.weight of shape {tuple(weight.shape)}, not {expected}")
        channels = len(weight)


def _norm(
    tensors: Mapping[str, Tensor], convolution: str, number: int, path: Path
) -> tuple[Tensor, Tensor] | None:
    """Gain and offset of the batch normalization after a convolution, None where there is none."""
    norms = [form.format(number) for form in NORMS]
    gains = [form.format(number) for form in GAINS]
    head, _, last = convolution.rpartition(".")
    if last.isdecimal():  # torch's next layer
        norms, gains = ([f"{head}.{int(last) + 1}"],) * 2
    norm = next((name for name in norms if f"{name}.running_mean" in tensors), None)
    if norm is None:
        return None
    mean, variance = (tensors.get(f"{norm}.running_{kind}") for kind in ("mean", "var"))
    size = len(tensors[f"{convolution}.weight"])
    scaled = next((name for name in gains if f"{name}.weight" in tensors), "")
    gain = tensors.get(f"{scaled}.weight", torch.ones(size))
    offset = tensors.get(f"{scaled}.bias", torch.zeros(size))
    if variance is None or any(len(value) != size for value in (mean, variance, gain, offset)):  # type: ignore[arg-type]
        raise _other(path, f"has {norm} of other sizes than {convolution}")
    assert mean is not None
    gain = gain.float() / (variance.float() + NORM_EPSILON).sqrt()
    return gain, offset.float() - mean.float() * gain


def _other(path: Path, problem: str) -> UserError:
    return UserError(
        f"weights file {path} is no AlexNet of the form that was published: it {problem}; give "
        "the publication's own file"
    )


# CIE 1931 2°, illuminant D65, sRGB (IEC 61966-2-1); as scikit-image's rgb2lab.
_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)


def to_lab(x: Tensor) -> Tensor:
    """sRGB in [-1, 1], (N, 3, H, W), to CIELAB: L* 0 to 100, a*, b*; in float32 or better."""
    rgb = ((x if x.dtype == torch.float64 else x.float()) + 1.0) / 2.0
    # The clamps keep the powers' gradients finite where the other branch is taken.
    linear = torch.where(
        rgb > 0.04045, ((rgb.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4), rgb / 12.92
    )
    matrix = torch.tensor(_TO_XYZ, dtype=linear.dtype, device=x.device)
    white = torch.tensor(_WHITE, dtype=linear.dtype, device=x.device)
    xyz = torch.einsum("ij,njhw->nihw", matrix / white[:, None], linear)
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856).pow(1 / 3), 7.787 * xyz + 16.0 / 116.0)
    fx, fy, fz = f.unbind(1)
    return torch.stack([116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)], 1)
