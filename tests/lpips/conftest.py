"""LPIPS written a second time, in NumPy float64, and weights to try both with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.torch import save_file

import bapps_gen.lpips
from bapps_gen.lpips.trunks import trunk_shapes

F64 = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]

BUNDLED = Path(bapps_gen.lpips.__file__).parent / "weights"
VGG16 = Path(__file__).parents[3] / "shared" / "weights" / "vgg16.safetensors"


def conv(x: F64, w: F64, b: F64, stride: int = 1, pad: int = 0) -> F64:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    out = np.tensordot(windows, w, axes=((1, 4, 5), (1, 2, 3)))
    return np.moveaxis(out + b, -1, 1)


def pool(x: F64, size: int, stride: int, ceil: bool = False) -> F64:
    extra = [(-(length - size)) % stride if ceil else 0 for length in x.shape[2:]]
    x = np.pad(x, ((0, 0), (0, 0), (0, extra[0]), (0, extra[1])), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].max((-2, -1))


def taps(net: str, weights: Weights, x: F64) -> list[F64]:
    def layer(x: F64, name: str, stride: int = 1, pad: int = 0) -> F64:
        w, b = (
            weights[f"features.{name}.{kind}"].astype(np.float64) for kind in ("weight", "bias")
        )
        return np.maximum(conv(x, w, b, stride, pad), 0)

    def fire(x: F64, name: str) -> F64:
        x = layer(x, f"{name}.squeeze")
        return np.concatenate(
            [layer(x, f"{name}.expand1x1"), layer(x, f"{name}.expand3x3", pad=1)], 1
        )

    outputs = []
    if net == "alex":
        x = layer(x, "0", 4, 2)
        outputs.append(x)
        x = layer(pool(x, 3, 2), "3", 1, 2)
        outputs.append(x)
        x = layer(pool(x, 3, 2), "6", 1, 1)
        outputs.append(x)
        x = layer(x, "8", 1, 1)
        outputs.append(x)
        outputs.append(layer(x, "10", 1, 1))
    elif net == "vgg":
        for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
            if outputs:
                x = pool(x, 2, 2)
            for number in block:
                x = layer(x, str(number), 1, 1)
            outputs.append(x)
    else:
        x = layer(x, "0", 2)
        outputs.append(x)
        for block in ((3, 4), (6, 7)):
            x = pool(x, 3, 2, ceil=True)
            for number in block:
                x = fire(x, str(number))
            outputs.append(x)
        x = pool(x, 3, 2, ceil=True)
        for number in (9, 10, 11, 12):
            x = fire(x, str(number))
            outputs.append(x)
    return outputs


def enlarge(x: F64, size: tuple[int, int]) -> F64:
    """Bilinear, pixel centers at half integers, edges repeated, over the last two axes."""
    for axis, length in zip((-2, -1), size, strict=True):
        old = x.shape[axis]
        center = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, None)
        low = np.minimum(center.astype(int), old - 1)
        share = (center - low).reshape((-1, 1) if axis == -2 else (1, -1))
        high = np.minimum(low + 1, old - 1)
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def reference_maps(
    net: str,
    weights: Weights,
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    version: str = "0.1",
    lpips: bool = True,
) -> list[F64]:
    """Each tap's (N, h, w) map of weighted differences of uint8 (N, H, W, 3) images."""
    linear = load_file(BUNDLED / "lpips_linear.safetensors")

    def features(images: NDArray[np.uint8]) -> list[F64]:
        x = np.moveaxis(images.astype(np.float64) / 127.5 - 1, -1, 1)
        if version == "0.1":
            shift, scale = np.array([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])
            x = (x - shift[:, None, None]) / scale[:, None, None]
        return [f / (np.sqrt((f**2).sum(1, keepdims=True)) + 1e-10) for f in taps(net, weights, x)]

    maps = []
    for tap, (fa, fb) in enumerate(zip(features(a), features(b), strict=True)):
        w = linear[f"v{version}.{net}.lin{tap}"] if lpips else np.ones(fa.shape[1])
        maps.append(((fa - fb) ** 2 * w[:, None, None]).sum(1))
    return maps


@pytest.fixture(scope="session")
def reference() -> Callable[..., list[F64]]:
    return reference_maps


@pytest.fixture(scope="session")
def upsample() -> Callable[[F64, tuple[int, int]], F64]:
    return enlarge


@pytest.fixture(scope="session")
def triplets() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Five (64, 64, 3) patches of a photograph, the same with noise, and the same displaced."""
    from skimage import data

    photo = data.astronaut()
    rng = np.random.default_rng(7)
    corners = rng.integers(0, 448, (5, 2))
    ref = np.stack([photo[y : y + 64, x : x + 64] for y, x in corners])
    noisy = np.clip(ref + rng.normal(0, 20, ref.shape), 0, 255).astype(np.uint8)
    return ref, noisy, np.roll(ref, 3, 2)


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A weights file for a trunk: alex's is the bundled one, others have seeded random weights."""
    folder = tmp_path_factory.mktemp("trunks")

    def make(net: str) -> Path:
        if net == "alex":
            return BUNDLED / "alexnet.safetensors"
        path = folder / f"{net}.safetensors"
        if not path.exists():
            save_file(random_weights(net), path)
        return path

    return make


def random_weights(net: str) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(3)
    made = {}
    for name, shape in trunk_shapes(net).items():
        spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.1
        made[name] = torch.from_numpy(rng.normal(0, spread, shape).astype(np.float32))
    return made


@pytest.fixture(scope="session")
def squeeze_weights() -> dict[str, torch.Tensor]:
    return random_weights("squeeze")


@pytest.fixture(scope="session")
def vgg16() -> Path:
    if not VGG16.is_file():
        pytest.skip("torchvision's VGG-16 weights are not here")
    return VGG16
