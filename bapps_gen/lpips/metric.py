"""The LPIPS distance.

Zhang et al., CVPR 2018, section 3 and equation 1: features of every tap are unit-normalized over
channels, their squared differences weighted by channel, averaged over space and summed over taps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from bapps_gen.errors import UserError, WorkError, first_line, out_of_range
from bapps_gen.lpips.differences import squared_differences, unit_features
from bapps_gen.lpips.feature_net import FeatureNet
from bapps_gen.lpips.inputs import Images, as_batches

# Pixels per pass, so that memory does not grow with N and features stay near the processor's cache.
CHUNK_PIXELS = 32 * 64 * 64
GPU_CHUNK_PIXELS = 256 * 64 * 64

Passes = Callable[[Tensor, int], list[Tensor]]
"""Scaled images and the number of groups that they are, to a tensor for each map."""


class Lpips:
    """LPIPS with one feature net. Make it with `bapps_gen.lpips.load_lpips`.

    Images are uint8 (N, H, W, 3) or (H, W, 3), 0 to 255; or floating (N, 3, H, W) or (3, H, W)
    with `value_range` declared, for example (-1, 1) or (0, 1). NumPy arrays and torch tensors
    are both accepted. Channels are RGB.

    Results are torch tensors on the metric's device, float32 (float64 for a float64 trunk), of
    shape (N,); (N, taps) with `per_layer`, which sum to the distance; (N, H, W) with `spatial`,
    whose maps are each tap's map enlarged bilinearly; (N, taps, H, W) with both. They carry
    gradients when an image requires them and gradients are enabled, and are finite everywhere,
    equal images included. `torch.autocast` around a call has no effect on it.
    """

    def __init__(
        self,
        net: FeatureNet,
        linear: Sequence[Tensor] | None,
        *,
        device: torch.device,
        dtype: str,
        compile: bool = False,
    ) -> None:
        self.device = device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self._result_dtype = torch.float64 if dtype == "float64" else torch.float32
        self.net = net
        self._smallest = net.smallest
        if linear is None:
            linear = [torch.ones(count) for count in net.channels]
        self._shift = torch.tensor(net.shift, dtype=torch.float64)
        self._scale = torch.tensor(net.scale, dtype=torch.float64)
        try:
            self.trunk = net.module.to(device, self.dtype)
            self._linear = [weight.to(device, self._result_dtype) for weight in linear]
        except (TypeError, RuntimeError, AssertionError) as error:
            raise UserError(f"device {device} cannot hold a {dtype} network: {error}") from error
        self._compiled = compile
        self._fast_maps, self._fast_means = (
            (torch.compile(passes, dynamic=False) if compile else passes)
            for passes in (self._maps, self._means)
        )

    def distance(
        self,
        a: Images,
        b: Images,
        *,
        value_range: tuple[float, float] | None = None,
        spatial: bool = False,
        per_layer: bool = False,
    ) -> Tensor:
        """d(a, b), (N,): 0 for equal images, larger for more different ones; symmetric.

        Raises:
            UserError: for images of a wrong or differing shape, kind or range, or not finite.
        """
        (distance,) = self._run({"a": a, "b": b}, value_range, spatial, per_layer)
        return distance

    def triplet(
        self,
        ref: Images,
        p0: Images,
        p1: Images,
        *,
        value_range: tuple[float, float] | None = None,
        spatial: bool = False,
        per_layer: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """d(ref, p0) and d(ref, p1), each (N,); the reference's features are computed once.

        Raises:
            UserError: for images of a wrong or differing shape, kind or range, or not finite.
        """
        d0, d1 = self._run({"ref": ref, "p0": p0, "p1": p1}, value_range, spatial, per_layer)
        return d0, d1

    def pooled(
        self, ref: Images, *others: Images, value_range: tuple[float, float] | None = None
    ) -> list[Tensor]:
        """Differences by channel, (N, K), of each of the others from the references.

        Means over positions of the squared differences of unit-normalized features, the channels
        of all maps after one another: K is 1,152 for alex, 1,472 for vgg. Linear weights, also
        other ones than the metric's own, times these are the distances, to rounding. Carries no
        gradients.

        Raises:
            UserError: for images of a wrong or differing shape, kind or range, or not finite.
        """
        return self.pooled_with_positions(ref, *others, value_range=value_range)[0]

    def pooled_with_positions(
        self, ref: Images, *others: Images, value_range: tuple[float, float] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As `pooled`; also the effective number of positions of each map, (N, maps).

        That is as many as would make up the means if all had the same difference: from 1, where
        one position differs, to all h · w. With squared differences x of a map it is
        (Σ_c mean²) · h · w / Σ_c mean of x², with sums over channels and means over positions.

        Raises:
            UserError: as `pooled`.
        """
        named = {"ref": ref} | {f"p{index}": other for index, other in enumerate(others)}
        images, span = as_batches(named, value_range, self._smallest)
        means: list[Tensor] = []
        positions: list[Tensor] = []
        with torch.no_grad():
            for x, rows, groups in self._chunks(images, span, attached=False):
                maps = [each[:, :rows] for each in self._pass(x, self._fast_means, groups)]
                means.append(torch.cat([each[..., :-1] for each in maps], 2))
                positions.append(torch.stack([each[..., -1] for each in maps], 2))
        if not means:
            sizes = sum(self.net.channels), len(self.net.channels)
            none = (
                torch.empty((len(others), 0, size), dtype=self._result_dtype, device=self.device)
                for size in sizes
            )
            return list(next(none)), list(next(none))
        return list(torch.cat(means, 1)), list(torch.cat(positions, 1))

    def embed(self, images: Images, *, value_range: tuple[float, float] | None = None) -> Tensor:
        """Images as vectors, (N, K), whose squared Euclidean distances are the LPIPS distances.

        For distances between all pairs of many images: the trunk runs once an image. K depends on
        trunk and size: 31,872 for alex at 64×64. Carries no gradients.

        Raises:
            UserError: for images of a wrong shape, kind or range, or not finite.
        """
        (batch,), span = as_batches({"images": images}, value_range, self._smallest)
        count, _, height, width = batch.shape
        gain, offset = self._scaling(span, width)
        step = self._chunk(height * width)
        results = []
        with torch.no_grad(), _own_precision(self.device):
            for start in range(0, max(count, 1), step):
                part = batch[start : start + step].to(self.device)
                x = self._scaled(part, gain, offset).to(self.dtype)
                taps = []
                for features, weight in zip(self.trunk(x), self._linear, strict=True):
                    unit = unit_features(
                        features, self._result_dtype, may_overwrite=self.net.has_own_maps
                    )
                    # The mean over positions and the weights, which are not negative, as roots.
                    unit.mul_((weight / (unit.shape[1] * unit.shape[2])).sqrt())
                    taps.append(unit.flatten(1))
                results.append(torch.cat(taps, 1))
        return torch.cat(results)

    def _run(
        self,
        named: dict[str, Images],
        value_range: tuple[float, float] | None,
        spatial: bool,
        per_layer: bool,
    ) -> list[Tensor]:
        """One result for each image after the first, against the first; names are for errors."""
        images, span = as_batches(named, value_range, self._smallest)
        height, width = images[0].shape[2:]
        attached = torch.is_grad_enabled() and any(image.requires_grad for image in images)
        passes = self._maps if attached else self._fast_maps
        results = []
        with torch.set_grad_enabled(attached):
            for x, rows, groups in self._chunks(images, span, attached):
                maps = self._pass(x, passes, groups)
                taps = [self._reduce(m[:, :rows], height, width, spatial) for m in maps]
                layers = torch.stack(taps, 2)
                results.append(layers if per_layer else layers.sum(2))
        if not results:
            size = (len(images) - 1, 0) + (len(self._linear),) * per_layer
            size += (height, width) * spatial
            return list(torch.empty(size, dtype=self._result_dtype, device=self.device))
        return list(torch.cat(results, 1))

    def _chunks(
        self, images: list[Tensor], span: tuple[float, float], attached: bool
    ) -> Iterator[tuple[Tensor, int, int]]:
        """Scaled images of as many rows as a pass takes: (groups · n, 3, H, W), n, groups.

        n is less than the number of rows in the tensor where those are filled up.
        """
        count, _, height, width = images[0].shape
        gain, offset = self._scaling(span, width)
        step = self._chunk(height * width)
        if attached:  # the graph keeps every feature anyway
            step = max(count, 1)
        for start in range(0, count, step):
            parts = [image[start : start + step].to(self.device) for image in images]
            rows = parts[0].shape[0]
            if self._compiled and not attached and rows < step:
                # One compiled shape serves every batch: fill up with copies of the last row.
                parts = [
                    torch.cat([part, part[-1:].expand(step - rows, -1, -1, -1)]) for part in parts
                ]
            yield self._scaled(torch.cat(parts), gain, offset), rows, len(parts)

    def _scaling(self, span: tuple[float, float], width: int) -> tuple[Tensor, Tensor]:
        """From the images' range to [-1, 1] and to the trunk's, as a gain and an offset."""
        low, high = span
        gain = 2.0 / ((high - low) * self._scale)
        offset = (-1.0 - self._shift) / self._scale - low * gain
        # Repeated for a whole row of pixels: long contiguous runs are several times faster.
        gain, offset = (
            value.to(self._result_dtype).repeat(width).to(self.device) for value in (gain, offset)
        )
        return gain, offset

    def _scaled(self, images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        _, _, height, width = images.shape
        x = images.permute(0, 2, 3, 1).to(self._result_dtype).flatten(2)
        return torch.addcmul(offset, x, gain).view(-1, height, width, 3).permute(0, 3, 1, 2)

    def _chunk(self, pixels: int) -> int:
        return max(1, (CHUNK_PIXELS if self.device.type == "cpu" else GPU_CHUNK_PIXELS) // pixels)

    def _pass(self, x: Tensor, passes: Passes, groups: int) -> list[Tensor]:
        """`_maps` or `_means` in the dtypes declared, with failures of the machine in one line."""
        try:
            with _own_precision(self.device):
                return passes(x, groups)
        except torch.OutOfMemoryError as error:
            raise WorkError(
                f"{self.device} has too little memory: {first_line(error)[:160]}"
            ) from error
        except RuntimeError as error:
            if self._compiled and not torch.is_grad_enabled():
                raise WorkError(
                    f"torch.compile failed: {first_line(error)[:160]}; leave compile out"
                ) from error
            raise

    def _maps(self, x: Tensor, groups: int) -> list[Tensor]:
        """Scaled images (groups · n, 3, H, W), the references first, to (groups - 1, n, h, w)
        weighted differences for each tap."""
        return [
            difference @ weight
            for difference, weight in zip(self._differences(x, groups), self._linear, strict=True)
        ]

    def _means(self, x: Tensor, groups: int) -> list[Tensor]:
        """As `_maps`, to (groups - 1, n, C + 1): the means of the differences over positions, and
        the effective number of these."""
        return [_means(difference) for difference in self._differences(x, groups)]

    def _differences(self, x: Tensor, groups: int) -> Iterator[Tensor]:
        for features in self.trunk(x.to(self.dtype)):
            yield squared_differences(
                features, groups, self._result_dtype, may_overwrite=self.net.has_own_maps
            )

    @staticmethod
    def _reduce(maps: Tensor, height: int, width: int, spatial: bool) -> Tensor:
        if not spatial:
            return maps.mean((-2, -1))
        return F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


def _means(differences: Tensor) -> Tensor:
    """Means over positions of (groups, n, h, w, C), and their effective number, last."""
    total = differences.shape[2] * differences.shape[3]
    means = differences.mean((2, 3))
    norms = torch.linalg.vector_norm(differences.flatten(2), dim=-1, keepdim=True)
    effective = (torch.linalg.vector_norm(means, dim=-1, keepdim=True) * total / norms).square()
    effective = torch.where(norms > 0, effective, float(total)).clamp(1.0, float(total))
    return torch.cat((means, effective), -1)


def find_device(name: str) -> torch.device:
    """The device of that name; "auto" is the first there is of cuda, mps and cpu.

    Raises:
        UserError: when this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        allowed = "auto, cpu, cuda, cuda:1 or mps"
        raise out_of_range("device", name, allowed, "take cpu, or auto") from error
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device '{name}' cannot be used: {first_line(error)[:160]}; take cpu, or auto"
        ) from error
    return device


def native_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # torch keeps this check private, and no other library that we depend on has it.
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


@contextmanager
def _own_precision(device: torch.device) -> Iterator[None]:
    """Neither a caller's autocast nor TF32, the default of convolutions on NVIDIA GPUs, which would
    cost three decimal places."""
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )
    with torch.autocast(device.type, enabled=False), exact:
        yield
