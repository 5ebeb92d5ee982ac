"""Checks of the images that LPIPS is given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bapps_gen.checks import parse_range
from bapps_gen.errors import UserError, out_of_range

Images = NDArray[Any] | Tensor
"""uint8 (N, H, W, 3) or (H, W, 3); or floating (N, 3, H, W) or (3, H, W) with a declared range."""

# Values may pass the declared range by this share of it, which is float32 rounding.
SLACK = 1e-6


def as_batches(
    images: dict[str, Images], value_range: tuple[float, float] | None, smallest: int
) -> tuple[list[Tensor], tuple[float, float]]:
    """Images by name, of one shape and kind, as (N, 3, H, W) tensors of their dtype; their range.

    uint8 images keep their memory and come out as channels-last views.

    Raises:
        UserError: for anything that is not images of one shape within the range.
    """
    declared = parse_range(value_range)
    if value_range is not None and declared is None:
        raise out_of_range(
            "value_range", value_range, "(low, high) with low < high", "give for example (-1, 1)"
        )
    batches = {name: _as_batch(name, value, declared) for name, value in images.items()}
    (first, reference), *others = batches.items()
    for name, batch in others:
        if batch.shape != reference.shape:
            raise UserError(
                f"{first} and {name} differ in shape: {_size(reference)} and {_size(batch)};"
                " give images of one size and number"
            )
        if (batch.dtype == torch.uint8) != (reference.dtype == torch.uint8):
            raise UserError(
                f"{first} and {name} differ in kind: give both as uint8 or both as float"
            )
    height, width = reference.shape[2:]
    if min(height, width) < smallest:
        raise out_of_range(
            "image size",
            f"{height}x{width}",
            f"at least {smallest}x{smallest} px for this network",
            "give larger images",
        )
    if reference.dtype == torch.uint8:
        return list(batches.values()), (0.0, 255.0)
    assert declared is not None
    return list(batches.values()), declared


def _size(batch: Tensor) -> str:
    count, _, height, width = batch.shape
    return f"{count} of {height}x{width}"


def _as_batch(name: str, images: Images, value_range: tuple[float, float] | None) -> Tensor:
    tensor = _as_tensor(name, images)
    shape = tuple(tensor.shape)
    if tensor.dtype == torch.uint8:
        if value_range is not None:
            raise UserError(
                f"{name} is uint8, whose range is always 0 to 255; leave value_range out"
            )
        if tensor.ndim not in (3, 4) or shape[-1] != 3:
            raise out_of_range(
                f"{name}'s shape", shape, "(N, H, W, 3) or (H, W, 3) for uint8", "reorder its axes"
            )
        return (tensor if tensor.ndim == 4 else tensor[None]).permute(0, 3, 1, 2)
    if value_range is None:
        raise UserError(
            f"{name} is {str(tensor.dtype).removeprefix('torch.')}; declare its range, for example"
            " value_range=(0, 1) or (-1, 1)"
        )
    if tensor.ndim not in (3, 4) or shape[-3] != 3:
        raise out_of_range(
            f"{name}'s shape", shape, "(N, 3, H, W) or (3, H, W) for floats", "reorder its axes"
        )
    _check_range(name, tensor, value_range)
    return tensor if tensor.ndim == 4 else tensor[None]


def _as_tensor(name: str, images: Images) -> Tensor:
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise _kind(name, str(images.dtype))
        if images.dtype.kind == "f" and images.dtype.itemsize not in (2, 4, 8):
            raise _kind(name, str(images.dtype))
        # torch wants memory that is writable, in native byte order and without negative steps.
        native = images.dtype.newbyteorder("=")
        return torch.from_numpy(np.require(images, dtype=native, requirements=["C", "W"]))
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise _kind(name, str(images.dtype))
        return images
    raise UserError(
        f"{name} is a {type(images).__name__}; give a numpy array or a torch tensor of images"
    )


def _kind(name: str, dtype: str) -> UserError:
    return UserError(
        f"{name} is {dtype.removeprefix('torch.')}; give uint8 (N, H, W, 3)"
        " or float (N, 3, H, W) with its value_range"
    )


def _check_range(name: str, tensor: Tensor, value_range: tuple[float, float]) -> None:
    low, high = value_range
    if not tensor.numel():
        return
    # A NaN anywhere makes both extremes NaN, so one pass over the data finds everything.
    least, most = (float(extreme) for extreme in torch.aminmax(tensor.detach()))
    if not (math.isfinite(least) and math.isfinite(most)):
        raise UserError(f"{name} holds values that are not finite; correct or drop those images")
    slack = SLACK * (high - low)
    if least < low - slack or most > high + slack:
        raise out_of_range(
            name,
            f"{least:g} to {most:g}",
            f"within value_range {low:g} to {high:g}",
            "declare the true range or clip the images yourself",
        )
