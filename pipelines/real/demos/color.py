"""Colorization: a gray photo colored from a little of its colors, or from other photos.

The paper's outputs are of networks that know the gray photo alone (section 2.1). Algorithms
without training need more: a few colored points (hints), the chroma at a sixteenth of the
resolution, or other photos (donors) to learn from. All keep the photo's luma (BT.601).
Numbers of hints, neighbors and features are this project's own choices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.pipelines.real.demos.pixels import Plane, join_luma, reduced, split_luma, to_unit
from bapps_gen.pipelines.real.demos.records import DemoTask, Image, Scene

SPARSE, DENSE = 6, 20
"""Hints lie in a jittered grid of so many cells a side."""
REDUCTION = 16

_SOLVED_SIDE = 128  # hints are propagated at this resolution at most
_LEARNED_SIDE = 64  # and chroma is predicted at this


@dataclass(frozen=True, slots=True)
class Hints:
    """Colored points.

    Args:
        points: row and column in px, int (N, 2).
        chroma: Cr and Cb about 0, float32 (N, 2).
    """

    points: NDArray[np.intp]
    chroma: Plane


@dataclass(frozen=True, slots=True)
class Gray:
    """A gray photo, and what is known of colors.

    Args:
        luma: uint8 (H, W).
        hints: by cells a side.
        coarse: chroma reduced by REDUCTION, float32 (h, w, 2), about 0.
        donors: other photos, uint8 (H', W', 3).
    """

    luma: Image
    hints: dict[int, Hints]
    coarse: Plane
    donors: tuple[Image, ...]

    @property
    def unit(self) -> Plane:
        """Luma in [0, 1], float32 (H, W)."""
        return to_unit(self.luma)


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """The photo's luma, two sets of hints, its coarse chroma, and the donors."""
    luma, chroma = split_luma(photo)
    height, width = luma.shape
    hints = {cells: _draw_hints(chroma, cells, rng) for cells in (SPARSE, DENSE)}
    coarse = cv2.resize(
        chroma,
        (math.ceil(width / REDUCTION), math.ceil(height / REDUCTION)),
        interpolation=cv2.INTER_AREA,
    )
    levels = np.rint(luma * 255).astype(np.uint8)
    return Scene(photo.copy(), Gray(levels, hints, np.asarray(coarse), donors))


def _draw_hints(chroma: Plane, cells: int, rng: np.random.Generator) -> Hints:
    """One point in each cell of a grid."""
    drawn = rng.random((cells, cells, 2))
    grid = np.moveaxis(np.mgrid[:cells, :cells], 0, -1)
    points = ((grid + drawn) / cells * chroma.shape[:2]).astype(np.intp).reshape(-1, 2)
    return Hints(points, np.ascontiguousarray(chroma[points[:, 0], points[:, 1]]))


def gray(given: Gray) -> Image:
    """No color at all."""
    return np.repeat(given.luma[..., None], 3, axis=-1)


def levin(given: Gray, cells: int) -> Image:
    """Hints spread where luma is similar (Levin, Lischinski and Weiss, SIGGRAPH 2004).

    Each pixel's chroma is the mean of its eight neighbors', weighted by likeness of luma; the
    sparse linear system is solved at a resolution of at most 128 px and enlarged by luma.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    small = reduced(given.unit, _SOLVED_SIDE)
    height, width = small.shape
    hints = given.hints[cells]
    scale = np.array(small.shape) / given.luma.shape
    points = (hints.points * scale).astype(np.intp)
    flat = points[:, 0] * width + points[:, 1]
    fixed, which = np.unique(flat, return_index=True)

    rows, columns, weights = _affinities(small)
    free = ~np.isin(rows, fixed)
    own = np.arange(height * width)
    matrix = coo_array(
        (
            np.concatenate([np.ones(own.size), -weights[free]]),
            (np.concatenate([own, rows[free]]), np.concatenate([own, columns[free]])),
        ),
        (own.size, own.size),
    )
    known = np.zeros((own.size, 2))
    known[fixed] = hints.chroma[which]
    chroma = splu(matrix.tocsc()).solve(known).reshape(height, width, 2)
    return _join_guided(given, small, chroma.astype(np.float32))


def _affinities(
    luma: Plane,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pixel, neighbor and weight for all eight neighbors; a pixel's weights sum to 1.

    Weights are exp(-(difference of luma)² / (0.6 × variance in the 3×3 window)): equation 2 of
    the paper with the constant of its authors' program, which holds edges better than the
    paper's 2. Variances below 1e-5 are raised to that, and weights by 1e-6.
    """
    height, width = luma.shape
    values = luma.astype(np.float64)
    mean = cv2.blur(values, (3, 3), borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(values * values, (3, 3), borderType=cv2.BORDER_REFLECT)
    variance = np.maximum(square - mean * mean, 1e-5)
    number = np.arange(height * width).reshape(height, width)
    found = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down, right) == (0, 0):
                continue
            here = (
                slice(max(0, -down), height - max(0, down)),
                slice(max(0, -right), width - max(0, right)),
            )
            there = (
                slice(max(0, down), height + min(0, down)),
                slice(max(0, right), width + min(0, right)),
            )
            weight = np.exp(-((values[here] - values[there]) ** 2) / (0.6 * variance[here])) + 1e-6
            found.append((number[here].ravel(), number[there].ravel(), weight.ravel()))
    rows, columns, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    total = np.bincount(rows, weights, height * width)
    return rows, columns, weights / total[rows]


def bilinear_chroma(given: Gray) -> Image:
    """The coarse chroma enlarged by bilinear interpolation: colors bleed over edges."""
    chroma = cv2.resize(given.coarse, given.luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return join_luma(given.unit, np.asarray(chroma))


def joint_bilateral(given: Gray) -> Image:
    """The coarse chroma by joint bilateral upsampling (Kopf et al., SIGGRAPH 2007).

    The mean of 5×5 coarse pixels, weighted by nearness (σ 1 coarse pixel) and by likeness of luma
    (σ 0.06).
    """
    luma = given.unit
    height, width = luma.shape
    rows, columns = given.coarse.shape[:2]
    coarse_luma = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA)
    y = ((np.arange(height) + 0.5) * rows / height - 0.5).astype(np.float32)
    x = ((np.arange(width) + 0.5) * columns / width - 0.5).astype(np.float32)
    total = np.zeros((height, width, 2), np.float32)
    weights = np.zeros((height, width, 1), np.float32)
    for down in range(-2, 3):
        for right in range(-2, 3):
            row, column = np.rint(y).astype(int) + down, np.rint(x).astype(int) + right
            near = np.exp(-0.5 * ((row - y)[:, None] ** 2 + (column - x) ** 2))
            at = np.ix_(np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1))
            similar = np.exp(-0.5 * ((luma - coarse_luma[at]) / 0.06) ** 2) + 1e-6
            weight = (near * similar).astype(np.float32)[..., None]
            total += weight * given.coarse[at]
            weights += weight
    return join_luma(luma, total / weights)


def guided(given: Gray) -> Image:
    """The coarse chroma as a local linear function of luma (guided filter: He and Sun 2015)."""
    luma = given.unit
    columns, rows = given.coarse.shape[1::-1]
    small = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA)
    return _join_guided(given, np.asarray(small, np.float32), given.coarse, side=3)


def luma_rank(given: Gray) -> Image:
    """A donor's mean chroma at the same rank of luma: a palette laid over the gray scale.

    As histogram matching in the transfer of colors between images (Reinhard et al. 2001 match
    mean and deviation), in 32 steps of rank, from the donor of the most similar luma.
    """
    luma, chroma = split_luma(_most_similar(given))
    order = np.argsort(luma, axis=None, kind="stable")
    parts = np.array_split(chroma.reshape(-1, 2)[order], 32)
    palette = np.array([part.mean(axis=0) for part in parts])
    # the rank of a level is the share of pixels below it and half of those at it
    counts = np.bincount(given.luma.ravel(), minlength=256)
    ranks = (np.cumsum(counts) - counts / 2) / given.luma.size
    middles = (np.arange(32) + 0.5) / 32
    table = np.stack([np.interp(ranks, middles, palette[:, part]) for part in (0, 1)], axis=-1)
    return join_luma(given.unit, table[given.luma])


def welsh(given: Gray) -> Image:
    """Each pixel takes the chroma of one like it in the donor (Welsh, Ashikhmin and Mueller 2002).

    Likeness is of luma, brought to the donor's mean and deviation first, and of its deviation in
    a window of 5×5 px, half each, among about 1,600 pixels in a grid over the donor whose luma is
    distributed most similarly.
    """
    from scipy.spatial import cKDTree

    donor_luma, donor_chroma = split_luma(_most_similar(given))
    luma = given.unit
    spread = max(float(luma.std()), 1e-3)
    matched = (luma - luma.mean()) / spread * donor_luma.std() + donor_luma.mean()
    rows, columns = (
        np.linspace(0, side - 1, min(side, 40)).astype(int) for side in donor_luma.shape
    )
    at = np.ix_(rows, columns)
    known = np.dstack([donor_luma, _deviation(donor_luma, 5)])[at].reshape(-1, 2)
    wanted = np.dstack([matched, _deviation(matched.astype(np.float32), 5)]).reshape(-1, 2)
    _, nearest = cKDTree(known).query(wanted)
    return join_luma(luma, donor_chroma[at].reshape(-1, 2)[nearest].reshape(*luma.shape, 2))


def neighbors(given: Gray) -> Image:
    """The mean chroma of the 40 pixels of all donors nearest in six features.

    Nearest-neighbor regression. Features are luma, its means over 5 and 17 px, its deviations
    over 3 and 9 px, and (at half the weight) height in the picture, each by its deviation in the
    donors. At a resolution of at most 64 px, enlarged by luma. Means over many are pale, as
    those of networks trained with a squared loss.
    """
    from scipy.spatial import cKDTree

    small = reduced(given.unit, _LEARNED_SIDE)
    parts, colors = [], []
    for donor in given.donors:
        luma, chroma = split_luma(donor)
        donor_luma = reduced(luma, _LEARNED_SIDE)
        donor_chroma = cv2.resize(chroma, donor_luma.shape[::-1], interpolation=cv2.INTER_AREA)
        parts.append(_features(donor_luma))
        colors.append(np.asarray(donor_chroma, np.float32).reshape(-1, 2))
    known, wanted = np.concatenate(parts), _features(small)
    scale = np.maximum(known.std(axis=0), 1e-3) * (1, 1, 1, 1, 1, 2)
    _, nearest = cKDTree(known / scale).query(wanted / scale, k=40)
    mean = np.concatenate(colors)[nearest].mean(axis=1)
    return _join_guided(given, small, mean.reshape(*small.shape, 2))


def _most_similar(given: Gray) -> Image:
    """The donor whose quantiles of luma are nearest, in the mean of absolute differences."""
    steps = np.linspace(0, 1, 33)
    wanted = np.quantile(given.unit, steps)

    def distance(donor: Image) -> float:
        return float(np.abs(np.quantile(split_luma(donor)[0], steps) - wanted).mean())

    return min(given.donors, key=distance)


def _features(luma: Plane) -> Plane:
    """Float32 (pixels, 6)."""
    height = np.linspace(0, 1, len(luma), dtype=np.float32)[:, None]
    planes = [
        luma,
        cv2.blur(luma, (5, 5)),
        cv2.blur(luma, (17, 17)),
        _deviation(luma, 3),
        _deviation(luma, 9),
        np.broadcast_to(height, luma.shape),
    ]
    return np.dstack(planes).reshape(-1, len(planes)).astype(np.float32)


def _deviation(luma: Plane, side: int) -> Plane:
    mean = cv2.blur(luma, (side, side))
    square = cv2.blur(luma * luma, (side, side))
    return np.sqrt(np.maximum(square - mean * mean, 0)).astype(np.float32)


def _join_guided(given: Gray, small: Plane, chroma: Plane, side: int = 5) -> Image:
    """Small chroma enlarged by the luma: in windows of `side` px it is a linear function of that.

    The fast guided filter (He and Sun 2015) with ε = 1e-3.
    """

    luma = given.unit
    if small.shape == luma.shape:
        return join_luma(luma, chroma)

    def mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT))

    middle, average = mean(small), mean(chroma)
    variance = mean(small * small) - middle * middle
    slope = (mean(small[..., None] * chroma) - middle[..., None] * average) / (
        variance[..., None] + 1e-3
    )
    offset = average - slope * middle[..., None]
    size = given.luma.shape[::-1]
    slope, offset = (
        np.asarray(cv2.resize(mean(values), size, interpolation=cv2.INTER_LINEAR))
        for values in (slope, offset)
    )
    return join_luma(luma, slope * luma[..., None] + offset)


TASK = DemoTask(
    least=64,
    colored=True,
    prepare=prepare,
    algorithms={
        "grey": gray,
        "levin-sparse": partial(levin, cells=SPARSE),
        "levin-dense": partial(levin, cells=DENSE),
        "bilinear-chroma": bilinear_chroma,
        "joint-bilateral": joint_bilateral,
        "guided-filter": guided,
        "luma-rank": luma_rank,
        "welsh": welsh,
        "nearest-neighbours": neighbors,
    },
    donors=6,
)
