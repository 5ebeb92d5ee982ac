"""The LPIPS distance.

Zhang et al., CVPR 2018, section 3 and equation 1: features of every tap are unit-normalized over
channels, their squared differences weighted by channel, averaged over space and summed over taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.lpips.inputs import Images, as_batches
from bapps_gen.lpips.trunks import Trunk

# The lpips package's ScalingLayer: ImageNet's mean and deviation for RGB in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10
"""Added to the norm, outside the root, as in the lpips package's `normalize_tensor`."""

# Pixels per pass, so that memory does not grow with N and features stay near the processor's cache.
CHUNK_PIXELS = 32 * 64 * 64
GPU_CHUNK_PIXELS = 256 * 64 * 64


class Lpips:
    """LPIPS with one trunk. Make it with `bapps_gen.lpips.load_lpips`.

    Images are uint8 (N, H, W, 3) or (H, W, 3), 0 to 255; or floating (N, 3, H, W) or (3, H, W)
    with `value_range` declared, for example (-1, 1) or (0, 1). NumPy arrays and torch tensors
    are both accepted. Channels are RGB.

    Results are torch tensors on the metric's device, float32 (float64 for a float64 trunk), of
    shape (N,); (N, taps) with `per_layer`, which sum to the distance; (N, H, W) with `spatial`,
    whose maps are each tap's map enlarged bilinearly; (N, taps, H, W) with both. They carry
    gradients when an image requires them and gradients are enabled, and are finite everywhere,
    equal images included.
    """

    def __init__(
        self,
        trunk: Trunk,
        linear: Sequence[Tensor] | None,
        *,
        scale_input: bool,
        device: torch.device,
        dtype: str,
        compile: bool = False,
    ) -> None:
        self.device = device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self._result_dtype = torch.float64 if dtype == "float64" else torch.float32
        self._smallest = trunk.spec.smallest
        if linear is None:
            linear = [torch.ones(count) for count in trunk.spec.channels]
        self._shift = torch.tensor(SHIFT if scale_input else (0.0, 0.0, 0.0), dtype=torch.float64)
        self._scale = torch.tensor(SCALE if scale_input else (1.0, 1.0, 1.0), dtype=torch.float64)
        try:
            self.trunk = trunk.to(device, self.dtype)
            self._linear = [weight.to(device, self._result_dtype) for weight in linear]
        except (TypeError, RuntimeError, AssertionError) as error:
            raise UserError(f"device {device} cannot hold a {dtype} network: {error}") from error
        self._compiled = compile
        self._fast: Callable[[Tensor, int], list[Tensor]] = (
            torch.compile(self._maps, dynamic=False) if compile else self._maps
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
        images, span = as_batches({"a": a, "b": b}, value_range, self._smallest)
        return self._run(images, span, spatial, per_layer)[0]

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
        named = {"ref": ref, "p0": p0, "p1": p1}
        images, span = as_batches(named, value_range, self._smallest)
        d0, d1 = self._run(images, span, spatial, per_layer)
        return d0, d1

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
        with torch.no_grad(), _exact_float32(self.device):
            for start in range(0, max(count, 1), step):
                part = batch[start : start + step].to(self.device)
                x = self._scaled(part, gain, offset).to(self.dtype)
                taps = []
                for features, weight in zip(self.trunk(x), self._linear, strict=True):
                    flat = features.permute(0, 2, 3, 1).contiguous().to(self._result_dtype)
                    flat.div_(torch.linalg.vector_norm(flat, dim=-1, keepdim=True) + EPSILON)
                    # The mean over positions and the weights, which are not negative, as roots.
                    flat.mul_((weight / (flat.shape[1] * flat.shape[2])).sqrt())
                    taps.append(flat.flatten(1))
                results.append(torch.cat(taps, 1))
        return torch.cat(results)

    def _run(
        self, images: list[Tensor], span: tuple[float, float], spatial: bool, per_layer: bool
    ) -> list[Tensor]:
        """One result for each image after the first, against the first."""
        count, _, height, width = images[0].shape
        gain, offset = self._scaling(span, width)
        attached = torch.is_grad_enabled() and any(image.requires_grad for image in images)
        step = self._chunk(height * width)
        if attached:  # the graph keeps every feature anyway
            step = max(count, 1)
        results = []
        with torch.set_grad_enabled(attached):
            for start in range(0, count, step):
                parts = [image[start : start + step].to(self.device) for image in images]
                rows = parts[0].shape[0]
                if self._compiled and not attached and rows < step:
                    # One compiled shape serves every batch: fill up with copies of the last row.
                    parts = [
                        torch.cat([part, part[-1:].expand(step - rows, -1, -1, -1)])
                        for part in parts
                    ]
                x = self._scaled(torch.cat(parts), gain, offset)
                maps = self._pass(x, len(parts), attached)
                taps = [self._reduce(m[:, :rows], height, width, spatial) for m in maps]
                layers = torch.stack(taps, 2)
                results.append(layers if per_layer else layers.sum(2))
        if not results:
            size = (len(images) - 1, 0) + (len(self._linear),) * per_layer
            size += (height, width) * spatial
            return list(torch.empty(size, dtype=self._result_dtype, device=self.device))
        return list(torch.cat(results, 1))

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

    def _pass(self, x: Tensor, groups: int, attached: bool) -> list[Tensor]:
        """The trunk and the maps in exact float32, with failures of the machine in one line."""
        maps = self._maps if attached else self._fast
        try:
            with _exact_float32(self.device):
                return maps(x, groups)
        except torch.OutOfMemoryError as error:
            raise WorkError(
                f"{self.device} has too little memory: {first_line(error)[:160]}"
            ) from error
        except RuntimeError as error:
            if self._compiled and not attached:
                raise WorkError(
                    f"torch.compile failed: {first_line(error)[:160]}; leave compile out"
                ) from error
            raise

    def _maps(self, x: Tensor, groups: int) -> list[Tensor]:
        """Scaled images (groups · n, 3, H, W), the references first, to (groups - 1, n, h, w)
        weighted differences for each tap."""
        maps = []
        for features, weight in zip(self.trunk(x.to(self.dtype)), self._linear, strict=True):
            # Norms and sums along contiguous memory; most features come channels last already.
            flat = features.permute(0, 2, 3, 1).contiguous().to(self._result_dtype)
            # vector_norm, unlike a root of a sum, has the gradient 0 at 0.
            norm = torch.linalg.vector_norm(flat, dim=-1, keepdim=True) + EPSILON
            if torch.is_grad_enabled():
                unit = (flat / norm).unflatten(0, (groups, -1))
                difference = (unit[1:] - unit[:1]).square()
            else:  # in place: fresh memory costs as much here as the arithmetic
                unit = flat.div_(norm).unflatten(0, (groups, -1))
                difference = unit[1:].sub_(unit[:1]).square_()
            maps.append(difference @ weight)
        return maps

    @staticmethod
    def _reduce(maps: Tensor, height: int, width: int, spatial: bool) -> Tensor:
        if not spatial:
            return maps.mean((-2, -1))
        return F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


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


def _exact_float32(device: torch.device) -> AbstractContextManager[None]:
    """No TF32, the default of convolutions on NVIDIA GPUs: it would cost three decimal places."""
    if device.type != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )
