"""The generator: a U-Net built from a spec, after pix2pix (Isola et al., CVPR 2017).

The encoder's convolutions are 3×3, the decoder's 3×3 or, transposed, 4×4. Activations are leaky
ReLUs (0.2) on the way down, ReLUs on the way up, tanh at the end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bapps_gen.cnn_distorters.spec import DistorterSpec

DROPOUT_RATE = 0.5
LEAK = 0.2
LAST_GAIN = 0.1
EPSILON = 1e-5
"""Added to variances, as torch does."""


class SeededDropout(nn.Module):
    """Dropout whose mask comes from the caller's generator, not from the global one.

    Active in training mode only: rendering must give the same pixels every time.
    """

    generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the same shape."""
        if not self.training:
            return x
        keep = 1 - DROPOUT_RATE
        mask = torch.empty_like(x).bernoulli_(keep, generator=self.generator)
        return x * mask.div_(keep)


class InstanceNorm(nn.Module):
    """Normalization of each channel of each image (Ulyanov et al., 2016), with gain and offset.

    torch's own copies channels-last maps to channels first and back. Means as products with a row
    of ones are several times as fast there, and gradients half as dear again.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same, float32 whatever the precision of convolutions."""
        size = x.shape[2:]
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.float().permute(0, 2, 3, 1).flatten(1, 2)
            count = pixels.shape[1]
            average = pixels.new_full((pixels.shape[0], 1, count), 1 / count)
            mean = torch.bmm(average, pixels)
            # In place where no gradient needs the input: large new maps cost more than their sums.
            centered = pixels - mean if torch.is_grad_enabled() else pixels.sub_(mean)
            variance = torch.bmm(average, centered * centered)
            gain = self.weight * torch.rsqrt(variance + EPSILON)
            normalized = torch.addcmul(self.bias, centered, gain)
            return normalized.view(-1, *size, x.shape[1]).permute(0, 3, 1, 2)


class Block(nn.Module):
    """One layer: change of size, convolution, normalization, dropout, activation.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: 1 or 2, by which a decoder's layer enlarges and an encoder's reduces.
        upsampling: of a decoder's layer; None for the encoder's.
        normalization: "none", "batch" or "instance".
        activation: "leaky", "relu", "tanh" or "none".
        dropout: whether there is dropout.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        upsampling: str | None,
        normalization: str,
        activation: str,
        dropout: bool = False,
    ) -> None:
        super().__init__()
        self.enlarge = upsampling if stride == 2 else None
        self.activation = activation
        bias = normalization == "none"
        if self.enlarge == "transposed":
            self.conv: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(
                inputs, outputs, 4, 2, 1, bias=bias
            )
        else:
            step = stride if upsampling is None else 1
            made = outputs * 4 if self.enlarge == "subpixel" else outputs
            self.conv = nn.Conv2d(inputs, made, 3, step, 1, bias=bias)
        self.norm: nn.Module | None = None
        if normalization == "batch":
            self.norm = nn.BatchNorm2d(outputs)
        elif normalization == "instance":
            self.norm = InstanceNorm(outputs)
        self.dropout = SeededDropout() if dropout else None
        self.squares = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h', w')."""
        if self.enlarge == "nearest":
            kernel = _enlarging_kernel(self.conv.weight)
            x = F.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)
        else:
            if self.enlarge == "bilinear":
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.conv(x)
        if self.squares:
            x = _from_squares(x)
        elif self.enlarge == "subpixel":
            x = F.pixel_shuffle(x, 2)
        if self.norm is not None:
            x = self.norm(x)
        if self.dropout is not None:
            x = self.dropout(x)
        if self.activation == "levels":
            return torch.sigmoid(x).mul_(255.0)
        if self.activation == "tanh":
            # As tanh x = 2 σ(2x) - 1, which torch computes ten times as fast on processors.
            return torch.sigmoid(x + x) * 2.0 - 1.0
        if self.activation == "leaky":
            return F.leaky_relu(x, LEAK, inplace=True)
        return F.relu(x, inplace=True) if self.activation == "relu" else x

    def fold(self) -> None:
        """Do beforehand what does not depend on the input; for rendering only.

        Statistics of batch normalization go into the convolution, and a nearest enlargement with
        its convolution becomes the transposed convolution that is the same function.
        """
        weight, bias = self.conv.weight.double(), self.conv.bias
        if isinstance(self.norm, nn.BatchNorm2d):
            norm = self.norm
            assert norm.running_mean is not None
            assert norm.running_var is not None
            gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            offset = norm.bias.double() - norm.running_mean.double() * gain
            if self.enlarge == "subpixel":  # channel c after the shuffle was 4c … 4c + 3 before it
                gain, offset = gain.repeat_interleave(4), offset.repeat_interleave(4)
            shape = (1, -1, 1, 1) if self.enlarge == "transposed" else (-1, 1, 1, 1)
            weight, bias = weight * gain.view(shape), nn.Parameter(offset.float())
            self.norm = None
        if self.enlarge == "nearest":
            weight = _enlarging_kernel(weight)
            inputs, outputs = weight.shape[:2]
            self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
            self.enlarge = "transposed"
        self.conv.weight = nn.Parameter(weight.float())
        self.conv.bias = bias
        self.requires_grad_(False)

    def fold_output(self, *, squares: bool) -> None:
        """Let a folded last layer give levels, 0 to 255, in place of values in [-1, 1].

        Args:
            squares: compute the colors of squares of 2×2 pixels as 12 channels, since processors
                compute 16 channels as fast as 3; for outputs with even sides.
        """
        # 127.5 (tanh x + 1) = 255 σ(2x), and doubling is exact.
        weight = self.conv.weight * 2
        bias = None if self.conv.bias is None else self.conv.bias * 2
        self.activation = "levels"
        if squares:
            weight, bias = self._fold_squares(weight, bias)
        self.conv.weight = nn.Parameter(weight)
        self.conv.bias = None if bias is None else nn.Parameter(bias)
        self.requires_grad_(False)

    def _fold_squares(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.enlarge == "transposed":
            kernel, step = _kernel_of_squares_enlarged(weight), 1
            self.enlarge = None
        elif self.enlarge == "subpixel":
            kernel, step = _squares_first(weight), 1
        else:
            kernel, step = _kernel_of_squares(weight), 2
        self.conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], step, 1)
        if bias is not None:
            bias = _squares_first(bias) if self.enlarge == "subpixel" else bias.repeat(4)
        self.squares = True
        return kernel, bias


def _enlarging_kernel(weight: Tensor) -> Tensor:
    """The kernel of a 3×3 convolution after a nearest enlargement by 2, as one operation.

    Each output pixel sees only 2×2 different inputs, so a transposed convolution of stride 2 with
    a 4×4 kernel gives the same sums with 4 products in place of 9.

    Args:
        weight: (outputs, inputs, 3, 3), of a convolution.

    Returns:
        (inputs, outputs, 4, 4), of a transposed convolution with stride 2 and padding 1.
    """
    wide = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    rows = wide[:, :, 1:] + wide[:, :, :-1]
    kernel: Tensor = (rows[:, :, :, 1:] + rows[:, :, :, :-1]).transpose(0, 1)
    return kernel


def _kernel_of_squares(weight: Tensor) -> Tensor:
    """(C, inputs, 3, 3), of a convolution, to (4C, inputs, 4, 4) of one with stride 2."""
    outputs, inputs = weight.shape[:2]
    kernel = weight.new_zeros(2, 2, outputs, inputs, 4, 4)
    for down in (0, 1):
        for right in (0, 1):
            kernel[down, right, :, :, down : down + 3, right : right + 3] = weight
    return kernel.flatten(0, 2)


def _kernel_of_squares_enlarged(weight: Tensor) -> Tensor:
    """(inputs, C, 4, 4), of a transposed convolution by 2, to (4C, inputs, 3, 3) of one by 1."""
    inputs, outputs = weight.shape[:2]
    kernel = weight.new_zeros(2, 2, outputs, inputs, 3, 3)
    taps = [(side, tap, side + 3 - 2 * tap) for side in (0, 1) for tap in range(3)]
    for down, row, y in taps:
        for right, column, x in taps:
            if y in range(4) and x in range(4):
                kernel[down, right, :, :, row, column] = weight[:, :, y, x].T
    return kernel.flatten(0, 2)


def _squares_first(values: Tensor) -> Tensor:
    """Channels in the order of a sub-pixel shuffle to that of `_from_squares`."""
    return values.reshape(-1, 2, 2, *values.shape[1:]).movedim(0, 2).flatten(0, 2)


def _from_squares(x: Tensor) -> Tensor:
    """(N, 4C, h, w), channels by row, column and color in squares, to (N, C, 2h, 2w).

    As a sub-pixel shuffle, but of another order that channels-last maps are copied in faster.
    """
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(count, height, width, 2, channels // 2).transpose(2, 3)
    return rows.reshape(count, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """Encoder, decoder and skip connections by concatenation; fully convolutional."""

    def __init__(self, spec: DistorterSpec) -> None:
        super().__init__()
        self.stride = spec.stride
        self.skip_levels = frozenset(spec.skip_levels)
        channels = spec.channels
        last = spec.layers - 1
        self.encoder = nn.ModuleList(
            Block(
                channels[level - 1] if level else 3,
                channels[level],
                stride=2 if level else spec.first_stride,
                upsampling=None,
                normalization=spec.normalization if level else "none",
                activation="leaky",
            )
            for level in range(spec.layers)
        )
        self.decoder = nn.ModuleList(
            Block(
                channels[level] * (2 if level in self.skip_levels else 1),
                channels[level - 1] if level else 3,
                stride=2 if level else spec.first_stride,
                upsampling=spec.upsampling,
                normalization=spec.normalization if level else "none",
                activation="relu" if level else "tanh",
                dropout=last - level < spec.dropout_layers,
            )
            for level in range(last, -1, -1)
        )

    def padded(self, length: int) -> int:
        """The height or width to which so many px are padded."""
        return max(-(-length // self.stride), 2) * self.stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to the same, for any H, W ≥ 2.

        Sizes that are not a multiple of the strides' product, or below twice it, are padded by
        reflection at the right and the bottom, and cropped back.
        """
        height, width = x.shape[-2:]
        x = _mirror(_mirror(x, 2, self.padded(height)), 3, self.padded(width))
        kept = []
        for level, block in enumerate(self.encoder):
            x = block(x)
            kept.append(x if level in self.skip_levels else None)
        for level, block in zip(range(len(kept) - 1, -1, -1), self.decoder, strict=True):
            skip = kept[level]
            x = block(x if skip is None else torch.cat([x, skip], 1))
        return x[:, :, :height, :width]


def _mirror(x: Tensor, axis: int, padded: int) -> Tensor:
    length = x.shape[axis]
    if padded == length:
        return x
    period = 2 * (length - 1)
    index = torch.arange(padded, device=x.device) % period
    return x.index_select(axis, torch.minimum(index, period - index))


def build_network(spec: DistorterSpec, device: str | torch.device = "cpu") -> UNet:
    """A network with uninitialized weights; nothing is drawn from torch's global generator."""
    with torch.device("meta"):
        network = UNet(spec)
    return network.to_empty(device=device)


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Fill all weights: normal after He et al. (ICCV 2015) for convolutions, biases 0.

    A U-Net's last layer gets a tenth of that, so that training starts where tanh is not saturated.
    Drawn on the CPU, so that every device starts from the same values.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                taps = part.kernel_size[0] * part.kernel_size[1]
                if isinstance(part, nn.ConvTranspose2d):
                    taps //= part.stride[0] * part.stride[1]  # each output sees a quarter of them
                drawn = torch.empty(part.weight.shape).normal_(generator=generator)
                part.weight.copy_(drawn * (2.0 / (part.in_channels * taps)) ** 0.5)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, InstanceNorm):
                part.weight.fill_(1)
                part.bias.zero_()
            elif isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()  # running statistics included
        if isinstance(module, UNet):
            last = module.decoder[-1]
            assert isinstance(last, Block)
            last.conv.weight.mul_(LAST_GAIN)


def to_channels_last(module: nn.Module) -> None:
    """Lay a module's kernels out channels last, which is fastest on CPUs and GPUs."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def count_flops(spec: DistorterSpec) -> int:
    """Floating-point operations of the convolutions of one forward pass on 64×64 pixels."""
    channels, pixels, total = spec.channels, 64 * 64, 0
    for level in range(spec.layers):
        stride = 2 if level else spec.first_stride
        outer = channels[level - 1] if level else 3
        inner = channels[level] * (2 if level in spec.skip_levels else 1)
        above, pixels = pixels, pixels // stride**2
        total += pixels * outer * channels[level] * 9
        if stride == 2 and spec.upsampling in ("transposed", "nearest"):
            total += pixels * inner * outer * 16
        else:
            shuffled = stride == 2 and spec.upsampling == "subpixel"
            total += (pixels * 4 if shuffled else above) * inner * outer * 9
    return 2 * total
