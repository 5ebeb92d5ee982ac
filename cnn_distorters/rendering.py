"""A distorter's network applied to patches: on the CPU, and the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.distortions.definition import MIN_SIDE
from bapps_gen.errors import out_of_range
from bapps_gen.execution.threads import one_thread
from bapps_gen.seeding import MAX_SEED, Streams

if TYPE_CHECKING:
    import torch

    from bapps_gen.cnn_distorters.network import UNet

BATCH_PIXELS = 8 * 64 * 64
"""Pixels of a rendering pass: 8 patches, whose maps fit the cache. Every pass has the same shape,
padded where patches run out, because oneDNN picks its algorithms, and with them the rounding, by
the shape. Counted as the network pads them, so that small patches take no more memory."""


def rendering_network(spec: DistorterSpec, tensors: Mapping[str, torch.Tensor]) -> UNet:
    """A network that renders: (N, 3, H, W) in [-1, 1] to levels in [0, 255], float32.

    What does not depend on the input is folded in.
    """
    import torch

    from bapps_gen.cnn_distorters.network import Block, build_network, to_channels_last

    network = build_network(spec)
    state = {name: value.float() for name, value in tensors.items()}
    for name, value in network.state_dict().items():
        if value.dtype == torch.int64:
            state[name] = torch.zeros_like(value)
    network.load_state_dict(state, strict=True)
    network.eval().requires_grad_(False)
    for part in network.modules():
        if isinstance(part, Block):
            part.fold()
    last = network.decoder[-1]
    assert isinstance(last, Block)
    last.fold_output(squares=spec.stride > 1)
    to_channels_last(network)
    return network


def render_network(
    network: UNet,
    spec: DistorterSpec,
    patches: NDArray[np.uint8],
    seeds: Sequence[int],
    streams: Streams,
) -> NDArray[np.uint8]:
    """As `Zoo.render`, with a network of `rendering_network`."""
    import torch

    from bapps_gen.cnn_distorters.corruption import corrupt

    count, height, width, _ = patches.shape
    size = max(1, BATCH_PIXELS // (network.padded(height) * network.padded(width)))
    rendered = np.empty_like(patches, order="C")
    batch = np.zeros((size, height, width, 3), np.uint8)
    with one_thread(), torch.inference_mode():
        for start in range(0, count, size):
            rows = min(size, count - start)
            batch[:rows] = corrupt(
                spec, patches[start : start + rows], seeds[start : start + rows], streams
            )
            x = torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
            y = network(x).round_().to(torch.uint8)
            rendered[start : start + rows] = y.permute(0, 2, 3, 1)[:rows].numpy()
    return rendered


def check_patches(patches: NDArray[np.uint8], seeds: Sequence[int]) -> None:
    shape: tuple[int, ...] = getattr(patches, "shape", ())
    if getattr(patches, "dtype", None) != np.uint8 or len(shape) != 4 or shape[3] != 3:
        raise out_of_range(
            "patches", f"{getattr(patches, 'dtype', None)} {shape}", "uint8 (N, H, W, 3)", "convert"
        )
    if min(shape[1:3]) < MIN_SIDE:
        raise out_of_range(
            "patch size", f"{shape[2]}×{shape[1]}", f"{MIN_SIDE} px or more", "use larger patches"
        )
    if len(seeds) != shape[0]:
        raise out_of_range("seeds", len(seeds), f"one for each of {shape[0]} patches", "add them")
    for seed in seeds:
        if not 0 <= int(seed) <= MAX_SEED:
            raise out_of_range("seed", seed, f"from 0 to {MAX_SEED}", "choose one of these")
