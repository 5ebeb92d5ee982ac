"""The feature layers of AlexNet, VGG-16 and SqueezeNet 1.1, with torchvision's key names.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014); Simonyan
and Zisserman, "Very deep convolutional networks" (ICLR 2015); Iandola et al., "SqueezeNet"
(2016), version 1.1. Layer numbers are those of torchvision's `features`, so that its published
weights load strictly; layers after the last one that LPIPS taps are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bapps_gen.lpips.net_names import SMALLEST

# On processors oneDNN is fastest channels last, but for maps of at most this many pixels: there
# its blocked kernels, which it takes for plain NCHW, are 1.2 (float32) to 1.8 times (bfloat16)
# as fast.
SMALL_MAP = 16


@dataclass(frozen=True, slots=True)
class TrunkSpec:
    """What is fixed about one trunk.

    Attributes:
        stem: how its weights files are named.
        hub_file: torchvision's file name; the part after the dash is the start of its SHA-256.
        taps: the layers of `features` whose outputs LPIPS compares.
        channels: of each tap.
        smallest: the least height and width (px) that every layer accepts.
        layers: makes the modules of `features`.
    """

    stem: str
    hub_file: str
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    smallest: int
    layers: Callable[[], list[nn.Module]]


class Trunk(nn.Module):
    """The layers of one network up to the last tap; gives the outputs of all taps."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channels = spec.channels
        self.smallest = spec.smallest
        self.features = nn.Sequential(*spec.layers())

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to one (N, C, h, w) per tap, after the ReLU."""
        taps = self.spec.taps
        outputs = []
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.features):
            if isinstance(layer, nn.Conv2d) and x.shape[2] * x.shape[3] <= SMALL_MAP:
                x = x.contiguous()
            x = layer(x)
            if number in taps:
                outputs.append(x)
        return outputs


class Fire(nn.Module):
    """SqueezeNet's module: a 1×1 squeeze, then 1×1 and 3×3 expansions in parallel."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu_()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu_()


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def _alexnet() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        _relu(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        _relu(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        _relu(),
        nn.Conv2d(384, 256, 3, padding=1),
        _relu(),
        nn.Conv2d(256, 256, 3, padding=1),
        _relu(),
    ]


def _vgg16() -> list[nn.Module]:
    layers: list[nn.Module] = []
    inputs = 3
    for block, (width, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        if block:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), _relu()]
            inputs = width
    return layers


def _squeezenet() -> list[nn.Module]:
    def pool() -> nn.MaxPool2d:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return [
        nn.Conv2d(3, 64, 3, stride=2),
        _relu(),
        pool(),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        pool(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        pool(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    ]


TRUNKS = {
    "alex": TrunkSpec(
        stem="alexnet",
        hub_file="alexnet-owt-7be5be79.pth",
        taps=(1, 4, 7, 9, 11),
        channels=(64, 192, 384, 256, 256),
        smallest=SMALLEST["alex"],
        layers=_alexnet,
    ),
    "vgg": TrunkSpec(
        stem="vgg16",
        hub_file="vgg16-397923af.pth",
        taps=(3, 8, 15, 22, 29),
        channels=(64, 128, 256, 512, 512),
        smallest=SMALLEST["vgg"],
        layers=_vgg16,
    ),
    "squeeze": TrunkSpec(
        stem="squeezenet1_1",
        hub_file="squeezenet1_1-b8a52dc0.pth",
        taps=(1, 4, 7, 9, 10, 11, 12),
        channels=(64, 128, 256, 384, 384, 512, 512),
        smallest=SMALLEST["squeeze"],
        layers=_squeezenet,
    ),
}


def trunk_shapes(net: str) -> dict[str, torch.Size]:
    """The name and shape of every weight of a trunk."""
    with torch.device("meta"):
        return {name: value.shape for name, value in Trunk(TRUNKS[net]).state_dict().items()}


def build_trunk(net: str, weights: Mapping[str, Tensor]) -> Trunk:
    """A trunk with the weights of `load_trunk_weights`, frozen, in evaluation mode."""
    # On the meta device no random initial values are drawn from torch's global generator.
    with torch.device("meta"):
        trunk = Trunk(TRUNKS[net])
    trunk.load_state_dict(dict(weights), strict=True, assign=True)
    return trunk.eval().requires_grad_(False)
