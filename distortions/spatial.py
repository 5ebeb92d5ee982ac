"""Spatial distortions: shifts, warps, ghosting, chromatic aberration.

All sample between pixels and mirror the image about its edge pixels, so nothing black comes in.
x runs to the right and y down. Whole-image displacements are separable and use a Lanczos kernel,
whose sharpness hardly depends on the subpixel phase: bilinear sampling would add a blur that
comes and goes with it and that is a distortion of its own. Warps meet every phase in one patch;
they sample bilinearly, which adds a median LPIPS (AlexNet) of 0.005 over Lanczos sampling at a
tenth of its cost, and at a third of that of bicubic sampling.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.rng import angles, normals

_BORDER = cv2.BORDER_REFLECT_101
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_LOBES = 3
"""Half width of the Lanczos kernel in px."""

_TAPS = tuple(
    (
        tap,
        (-1) ** tap * math.sin(math.pi / _LOBES * tap),
        (-1) ** tap * math.cos(math.pi / _LOBES * tap),
    )
    for tap in range(1 - _LOBES, _LOBES + 1)
)
"""Offset of each tap, and the sine and cosine of π/3 of it with the sign that sinc gives it."""

_WHOLE = 1e-6
"""A move within this many px of a whole number is rounded to it."""

_SAFE = 0.3
"""Share of the spacing up to which no flow folds over, whatever the directions: linear ones do from
1/(2√2) of it, cubic ones from 0.32 (measured)."""

_STEP = 0.2
"""Largest step of a longer flow, as a share of the spacing: short ones follow it better."""

_CACHED_PIXELS = 2**18
"""Coordinate grids of larger images are not kept, so that caches stay below a few MB."""


def shift(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Move the whole image by `distance` px in the direction `angle` (degrees, 90 is down)."""
    if params["distance"] == 0:
        return patch.copy()
    return _uint8(_saturate(_translate(patch, *_vector(params["distance"], params["angle"]))))


def ghost(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Blend in a copy that is moved by `distance` px in the direction `angle`, at `weight`."""
    weight = params["weight"]
    if weight == 0:
        return patch.copy()
    moved = _translate(patch, *_vector(params["distance"], params["angle"]))
    return _uint8(cv2.addWeighted(patch, 1 - weight, moved, weight, 0.0, dtype=cv2.CV_8U))


def aberrate(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Displace red and blue in opposite directions against green.

    Lateral (`radial` = 0): red moves by `displacement` px in the direction `angle`, blue the other
    way. Radial (`radial` = 1): red is enlarged about the center so that corners move outward by
    `displacement` px, and blue is reduced as much; `angle` is unused, and the displacement is
    limited to a third of the shorter side. A negative displacement swaps red and blue.
    """
    displacement = params["displacement"]
    if displacement == 0:
        return patch.copy()
    red, green, blue = cv2.split(patch)
    if params["radial"]:
        limit = _limit(patch)
        displacement = max(-limit, min(displacement, limit))
        red, blue = _zoom(red, displacement), _zoom(blue, -displacement)
    else:
        dx, dy = _vector(displacement, params["angle"])
        red, blue = _saturate(_translate(red, dx, dy)), _saturate(_translate(blue, -dx, -dy))
    return _uint8(cv2.merge((red, green, blue)))


def warp_affine(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Apply a random linear map about the center: rotation, scaling and shear together.

    Its four numbers come from `rng`, scaled so that the root mean square displacement of the four
    corners is `displacement` px. The displacement is limited to a third of the shorter side.
    """
    size = (patch.shape[1], patch.shape[0])
    displacement = min(params["displacement"], _limit(patch))
    if displacement == 0:
        return patch.copy()
    half_x, half_y = (size[0] - 1) / 2, (size[1] - 1) / 2
    numbers = normals(rng, 4).tolist()
    unit = displacement / math.hypot(*numbers)
    xx, xy, yx, yy = (unit * number for number in numbers)
    # Corners lie at (±half_x, ±half_y), so each number moves them by that many px.
    rows = (
        (1 + xx / half_x, xy / half_y, -xx - xy),
        (yx / half_x, 1 + yy / half_y, -yx - yy),
    )
    full = np.array(rows)
    return _uint8(cv2.warpAffine(patch, full, size, flags=_WARP, borderMode=_BORDER))


def warp_homography(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Apply the homography that takes each corner `displacement` px off in a random direction.

    The displacement is limited to a third of the shorter side, where the four corners still make
    a convex shape.
    """
    size = (patch.shape[1], patch.shape[0])
    displacement = min(params["displacement"], _limit(patch))
    if displacement == 0:
        return patch.copy()
    right, bottom = size[0] - 1, size[1] - 1
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)
    directions = angles(rng, 4)
    offsets = displacement * np.column_stack((np.cos(directions), np.sin(directions)))
    matrix = cv2.getPerspectiveTransform(corners, corners + offsets.astype(np.float32))
    return _uint8(cv2.warpPerspective(patch, matrix, size, flags=_WARP, borderMode=_BORDER))


def warp_linear(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Warp by a dense flow that is interpolated linearly from random control points."""
    return _warp_by_flow(patch, params, rng, cubic=False)


def warp_cubic(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Warp by a dense flow that is interpolated cubically from random control points."""
    return _warp_by_flow(patch, params, rng, cubic=True)


def control_flow(
    height: int, width: int, params: Mapping[str, float], rng: np.random.Generator, *, cubic: bool
) -> NDArray[np.float32]:
    """A dense flow in px from control points `spacing` px apart: x and y, float32 (2, H, W).

    Each control point is displaced by `displacement` px in a direction of its own, where
    `folding` is 1. Otherwise a displacement of more than _SAFE of the spacing is a path in 2, 4 …
    equal steps, each by the flow at the place that the one before has reached. No step folds over,
    and so their sequence stretches but does not fold over either (scaling and squaring:
    Arsigny et al., MICCAI 2006).
    """
    displacement, spacing = params["displacement"], int(params["spacing"])
    basis_y, basis_x = _basis(height, spacing, cubic), _basis(width, spacing, cubic)
    rows, columns = basis_y.shape[1], basis_x.shape[1]
    directions = angles(rng, rows * columns).reshape(rows, columns)
    control = np.empty((2, rows, columns), np.float32)
    np.cos(directions, out=control[0], casting="same_kind")
    np.sin(directions, out=control[1], casting="same_kind")
    doublings = 0
    if displacement > _SAFE * spacing and not params["folding"]:
        doublings = math.ceil(math.log2(displacement / (_STEP * spacing)))
    control *= np.float32(displacement / 2**doublings)
    flow = (basis_y @ control @ basis_x.T).astype(np.float32, copy=False)
    for _ in range(doublings):
        x, y = flow + _pixels(height, width)
        for part in flow:
            part += cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return flow


def _warp_by_flow(
    patch: Patch, params: Mapping[str, float], rng: np.random.Generator, *, cubic: bool
) -> Patch:
    if params["displacement"] == 0:
        return patch.copy()
    height, width = patch.shape[:2]
    maps = control_flow(height, width, params, rng, cubic=cubic)
    maps += _pixels(height, width)
    return _uint8(cv2.remap(patch, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=_BORDER))


@functools.lru_cache(maxsize=64)
def _basis(length: int, spacing: int, cubic: bool) -> NDArray[np.float32]:
    """Interpolation weights of control points at each pixel, float32 (length, points).

    Points lie `spacing` px apart, with the lattice centered on the image and reaching beyond it
    by what the interpolation needs. Cubic is the interpolating kernel of Keys (IEEE TASSP 1981),
    a = -1/2.
    """
    intervals = math.ceil((length - 1) / spacing)
    first = (length - 1 - intervals * spacing) / 2
    beyond = 1 if cubic else 0
    points = np.arange(-beyond, intervals + 1 + beyond)
    distance = np.abs((np.arange(length)[:, None] - first) / spacing - points[None, :])
    if cubic:
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    else:
        weights = np.maximum(0.0, 1 - distance)
    return weights.astype(np.float32)


def _pixels(height: int, width: int) -> NDArray[np.float32]:
    """x and y of every pixel, float32 (2, H, W), not to be written into."""
    small = height * width <= _CACHED_PIXELS
    return (_positions if small else _positions.__wrapped__)(height, width)


@functools.lru_cache(maxsize=4)
def _positions(height: int, width: int) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :width]
    return np.stack((x, y)).astype(np.float32)


def _vector(length: float, degrees: float) -> tuple[float, float]:
    return length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))


def _limit(patch: Patch) -> float:
    """A third of the shorter side in px: up to 1/(2√2) of it, no corner crosses a diagonal."""
    return (float(min(patch.shape[:2])) - 1) / 3


def _translate(image: cv2.typing.MatLike, dx: float, dy: float) -> cv2.typing.MatLike:
    """The image moved by (dx, dy) px, float32 of the same shape, not clipped."""
    height, width = image.shape[:2]
    left, kernel_x = _delay(dx)
    top, kernel_y = _delay(dy)
    # One border for both axes: how far the windows reach beyond the image on each side.
    span = 2 * _LOBES - 1
    above, before = max(0, -top), max(0, -left)
    below, after = max(0, top + span), max(0, left + span)
    padded = cv2.copyMakeBorder(image, above, below, before, after, _BORDER)
    window = padded[above + top :, before + left :][: height + span, : width + span]
    filtered = cv2.sepFilter2D(window, cv2.CV_32F, kernel_x, kernel_y, anchor=(0, 0))
    return filtered[:height, :width]


def _delay(move: float) -> tuple[int, NDArray[np.float32]]:
    """First tap's offset from the output pixel, and the six Lanczos weights, for a move in px.

    The weights sum to 1, so a constant stays constant; a whole move gives a single 1.
    """
    whole = round(-move)
    if abs(move + whole) < _WHOLE:
        weights = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    else:
        whole = math.floor(-move)
        phase = -move - whole
        # sinc(t) sinc(t / 3) at t = tap - phase, but for factors that all six have in common; the
        # sine of each difference comes from the sine and cosine of the phase alone.
        sine, cosine = math.sin(math.pi / _LOBES * phase), math.cos(math.pi / _LOBES * phase)
        signed = [
            (tap_sine * cosine - tap_cosine * sine) / (tap - phase) ** 2
            for tap, tap_sine, tap_cosine in _TAPS
        ]
        total = sum(signed)
        weights = [value / total for value in signed]
    return whole + 1 - _LOBES, np.array(weights, np.float32)


def _zoom(channel: cv2.typing.MatLike, outward: float) -> cv2.typing.MatLike:
    """One channel scaled about its center so that its corners move outward by this many px."""
    height, width = channel.shape[:2]
    half_x, half_y = (width - 1) / 2, (height - 1) / 2
    radius = math.hypot(half_x, half_y)
    scale = 1 - outward / radius
    matrix = np.array(
        [[scale, 0, half_x * (1 - scale)], [0, scale, half_y * (1 - scale)]], np.float64
    )
    return cv2.warpAffine(channel, matrix, (width, height), flags=_WARP, borderMode=_BORDER)


def _saturate(image: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """Rounded to uint8 and clipped to [0, 255]."""
    return cv2.addWeighted(image, 1.0, image, 0.0, 0.0, dtype=cv2.CV_8U)


def _uint8(image: cv2.typing.MatLike) -> Patch:
    """OpenCV's stubs do not carry the depth that was asked for."""
    return image  # type: ignore[return-value]
