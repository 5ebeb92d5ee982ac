"""Trunk weights that are made, not learned from labels: random Gaussian, and stacked k-means."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.progress import Progress
from bapps_gen.execution.threads import one_thread
from bapps_gen.imaging.decode import read_image
from bapps_gen.lpips.feature_net import SCALE, SHIFT
from bapps_gen.lpips.trunks import TRUNKS, Fire, Trunk, trunk_shapes
from bapps_gen.lpips.weights import load_trunk_weights
from bapps_gen.seeding import SLOT_NET_CROPS, SLOT_NET_WEIGHTS, generator
from bapps_gen.storage.atomic import whole_file

KMEANS_VERSION = 2
"""Raised with every change of weights, which are made again only then."""

CROPS = 160
"""Crops that k-means weights are made from."""
CROP_SIDES = {"alex": 96, "vgg": 64, "squeeze": 96}
"""Their height and width in px: the deepest layer sees at least 4×4 positions of a crop."""
_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")

# Own choices, except for the bias, which is that of Krähenbühl et al.'s program.
_PATCHES = 3_000
_PATCHES_PER_FILTER = 10
_ITERATIONS = 5
_EXACT_DIMENSIONS = 800
_OVERSAMPLING = 16
_REGULARIZATION = 1e-5
_BIAS = 0.1


def gaussian_weights(net: str, seed: int) -> dict[str, Tensor]:
    """Weights of a trunk from a Gaussian distribution of mean 0; biases are 0.

    The deviation is √(2 / inputs of a filter) (He et al., ICCV 2015). Without biases, a factor on
    a layer's weights is a factor on all features from there on, which normalization removes, so
    the distance does not depend on this choice.
    """
    weights = {}
    for index, (name, shape) in enumerate(trunk_shapes(net).items()):
        if name.endswith("bias"):
            weights[name] = torch.zeros(shape)
            continue
        drawn = generator(seed, index, SLOT_NET_WEIGHTS).standard_normal(tuple(shape), np.float32)
        weights[name] = torch.from_numpy(drawn * math.sqrt(2 / math.prod(shape[1:])))
    return weights


def kmeans_weights(
    net: str, crops: NDArray[np.uint8], seed: int = 0, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Weights of a trunk by k-means on what each layer sees of some photos, layer after layer.

    Krähenbühl, Doersch, Donahue and Darrell, "Data-dependent initializations of convolutional
    neural networks" (ICLR 2016): patches of a layer's input are whitened by PCA, with as many
    components as there are filters, and scaled to norm 1; the centers of k-means on them are the
    filters. Weights and biases then give each channel unit variance and the mean of _BIAS over the
    patches. So does the authors' program (github.com/philkr/magic_init), but for its mini-batches
    in k-means and its random projections, which stand for the patches. The paper's last step, which
    rescales whole layers, is left out: it multiplies all features of a layer, which normalization
    removes.

    Args:
        net: "alex", "vgg" or "squeeze".
        crops: uint8 (N, S, S, 3), RGB; see `cut_crops`.
        seed: of the choice of patches and of first centers.
        progress: called with layers done and layers in all.

    Raises:
        UserError: for crops that are all of one color.
    """
    with torch.device("meta"):  # draws nothing from torch's global generator
        trunk = Trunk(TRUNKS[net])
    trunk.to_empty(device="cpu").eval().requires_grad_(False)
    shift, scale = (torch.tensor(value).view(3, 1, 1) for value in (SHIFT, SCALE))
    x = (torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1.0 - shift) / scale
    if not float(x.std((0, 2, 3)).min()) > 0:
        raise UserError("all crops are of one color; give other photos")
    # With several threads sums are rounded otherwise, and patches may go to another center.
    with torch.no_grad(), one_thread():
        count = 0
        for number, layer in enumerate(trunk.features):
            if progress:
                progress(number, len(trunk.features))
            for conv, seen in _convolutions(layer, x):
                _fill(conv, seen, generator(seed, count, SLOT_NET_WEIGHTS))
                count += 1
            x = layer(x.clone())  # layers write into their input
        if progress:
            progress(len(trunk.features), len(trunk.features))
    return dict(trunk.state_dict())


def _convolutions(layer: nn.Module, x: Tensor) -> Iterator[tuple[nn.Conv2d, Tensor]]:
    """The convolutions of a layer and what each sees, in an order in which they can be filled."""
    if isinstance(layer, nn.Conv2d):
        yield layer, x
    elif isinstance(layer, Fire):
        yield layer.squeeze, x
        squeezed = layer.squeeze(x).relu_()
        yield layer.expand1x1, squeezed
        yield layer.expand3x3, squeezed


def _fill(conv: nn.Conv2d, x: Tensor, rng: np.random.Generator) -> None:
    patches = _patches(conv, x, rng)
    mean = patches.mean(0)
    patches -= mean
    filters = _kmeans_filters(patches, conv.out_channels, rng)
    deviation = (patches @ filters.T).std(0, correction=0)
    filters /= deviation[:, None].clamp_min(1e-12)
    assert conv.bias is not None
    conv.weight.copy_(filters.view(conv.weight.shape))
    conv.bias.copy_(_BIAS - filters @ mean)


def _patches(conv: nn.Conv2d, x: Tensor, rng: np.random.Generator) -> Tensor:
    """What a convolution sees at random positions, (at least _PATCHES, C · k · k)."""
    side, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    windows = F.pad(x, (padding,) * 4).unfold(2, side, stride).unfold(3, side, stride)
    count = max(_PATCHES, _PATCHES_PER_FILTER * conv.out_channels)
    chosen = rng.integers(0, [windows.shape[0], *windows.shape[2:4]], (count, 3))
    image, row, column = torch.from_numpy(chosen).T
    return windows[image, :, row, column].flatten(1)


def _kmeans_filters(patches: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Centers of k-means on whitened patches, as filters of patches, (count, D)."""
    variances, axes = _principal(patches, min(count, patches.shape[1]), rng)
    gains = (variances + _REGULARIZATION * variances[0]).rsqrt()
    whitening = axes * gains
    white = F.normalize(patches @ whitening, dim=1)
    chosen = torch.from_numpy(rng.permutation(len(white)))
    centers = white[chosen[:count]]
    for _ in range(_ITERATIONS):
        # The nearest center; the squared norm of the sample is the same for all.
        nearest = (white @ centers.T - centers.square().sum(1) / 2).argmax(1)
        sums = torch.zeros_like(centers).index_add_(0, nearest, white)
        sizes = torch.bincount(nearest, minlength=count)
        centers = torch.where(
            sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], white[chosen[-count:]]
        )
    return centers @ whitening.T


def _principal(data: Tensor, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The largest variances of centered data, (count,), and their axes, (D, count).

    Of many dimensions by subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011).
    """
    rows, dimensions = data.shape
    if dimensions <= _EXACT_DIMENSIONS:
        values, vectors = torch.linalg.eigh(data.T @ data / rows)
        return values.flip(0)[:count].clamp_min(0), vectors.flip(1)[:, :count]
    start = rng.standard_normal((dimensions, count + _OVERSAMPLING), np.float32)
    basis = torch.from_numpy(start)
    for _ in range(2):
        basis = torch.linalg.qr(data.T @ (data @ basis))[0]
    inner = data @ basis
    values, vectors = torch.linalg.eigh(inner.T @ inner / rows)
    return values.flip(0)[:count].clamp_min(0), basis @ vectors.flip(1)[:, :count]


def cut_crops(
    photos: Sequence[NDArray[np.uint8]], net: str, count: int = CROPS, seed: int = 0
) -> NDArray[np.uint8]:
    """Square crops of photos for a net, uint8 (count, S, S, 3), as many of each photo."""
    crops = [cut_crop(photos[index % len(photos)], net, index, seed) for index in range(count)]
    return np.stack(crops)


def cut_crop(photo: NDArray[np.uint8], net: str, index: int, seed: int = 0) -> NDArray[np.uint8]:
    """The crop of a number, uint8 (S, S, 3).

    It is of S px to the photo's shorter side, uniformly, shrunk to S px; half are mirrored.
    """
    size = CROP_SIDES[net]
    rng = generator(seed, index, SLOT_NET_CROPS)
    longest = min(photo.shape[:2])
    side = int(rng.integers(min(size, longest), longest, endpoint=True))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    crop = photo[top : top + side, left : left + side]
    if rng.integers(2):
        crop = crop[:, ::-1]
    shrunk = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def builtin_kmeans(net: str) -> tuple[dict[str, Tensor], str]:
    """k-means weights from the photographs that come with scikit-image, and their digest.

    They are kept in torch's cache, beside downloaded weights, so that parallel workers have the
    same and do not make them again.
    """
    # Of the photos' files, since cutting crops takes more than a second.
    digest = kmeans_digest(net, 0, [path.read_bytes() for path in _builtin_photos()])
    # Not with a dash: what follows one would be taken for the file's own SHA-256.
    name = f"bapps-gen-kmeans-{net}_{digest}.safetensors"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        with contextlib.suppress(UserError):  # a damaged one is made again
            return load_trunk_weights(net, path), digest
    weights = kmeans_weights(net, builtin_crops(net))
    with contextlib.suppress(OSError, WorkError):  # a cache that cannot be written is no cache
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_bytes(save(weights))
    return weights, digest


def builtin_crops(net: str) -> NDArray[np.uint8]:
    """`cut_crops` of the color photographs that come with scikit-image."""
    return cut_crops([read_image(path) for path in _builtin_photos()], net)


def _builtin_photos() -> list[Path]:
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in _PHOTOS]


def kmeans_digest(net: str, seed: int, sources: Iterable[bytes]) -> str:
    """Names k-means weights by what they are made from: 16 hexadecimal digits of SHA-256.

    Not by their values, whose last bits differ between processors.

    Args:
        net, seed: as `kmeans_weights` takes them.
        sources: photos or crops.
    """
    digest = hashlib.sha256(
        f"kmeans {KMEANS_VERSION} {net} {seed} {CROPS} {CROP_SIDES[net]}".encode()
    )
    for source in sources:
        digest.update(source)
    return digest.hexdigest()[:16]
