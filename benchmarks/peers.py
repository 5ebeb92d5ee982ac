"""Two loops that a researcher might write instead, for comparison. Both do the same work:

ten triplets from each photo in turn, random crops at scales of 1/k, one or two operations a side
with the same families and shares, three lossless PNG files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Operation = Callable[[Picture], Picture]

SHARE_OF_SINGLES = 20 / 328
ROWS_PER_PHOTO = 10


def albumentations_sides(rng: np.random.Generator) -> Operation:
    """One or two operations as albumentations 2.0.8 has them composed: OneOf after OneOf.

    The nearest transform stands in for each atom. What the library does not have (shifts in
    CIELAB, noise of a color, the checkerboard, the bilateral filter, ghosting) is the plain
    operation, wrapped as the library wants it.
    """
    import albumentations as A

    plain = plain_operations(rng)

    def own(index: int) -> A.Lambda:
        return A.Lambda(image=lambda image, **_: plain[index](image), p=1)

    atoms = [
        A.RandomBrightnessContrast((-0.3, 0.3), (0, 0), p=1),
        own(1),
        A.RandomBrightnessContrast((0, 0), (-0.6, 0.8), p=1),
        A.HueSaturationValue(0, 60, 0, p=1),
        A.AdditiveNoise("uniform", noise_params={"ranges": [(-0.2, 0.2)]}, p=1),
        A.GaussNoise((0.03, 0.2), p=1),
        *(own(index) for index in (6, 7, 8, 9)),
        A.GaussianBlur(0, (0.5, 2.5), p=1),
        own(11),
        A.Affine(translate_px=(-5, 5), border_mode=cv2.BORDER_REFLECT_101, p=1),
        A.Affine(rotate=(-8, 8), shear=(-8, 8), border_mode=cv2.BORDER_REFLECT_101, p=1),
        A.Perspective((0.03, 0.1), p=1),
        A.GridDistortion(4, (-0.2, 0.2), p=1),
        A.ElasticTransform(30, 6, p=1),
        own(17),
        A.ChromaticAberration(p=1),
        A.ImageCompression(quality_range=(8, 70), p=1),
    ]
    side = A.Compose([A.OneOf(atoms, p=1), A.OneOf(atoms, p=1 - SHARE_OF_SINGLES)])
    return lambda patch: side(image=patch)["image"]


def plain_sides(rng: np.random.Generator) -> Operation:
    """One or two plain operations, one after another."""
    operations = plain_operations(rng)

    def side(patch: Picture) -> Picture:
        for _ in range(1 if rng.random() < SHARE_OF_SINGLES else 2):
            patch = operations[rng.integers(len(operations))](patch)
        return patch

    return side


def plain_operations(rng: np.random.Generator) -> list[Operation]:
    """The twenty atoms as one would write them in an afternoon with cv2 and numpy."""

    def clipped(values: NDArray[np.floating]) -> Picture:
        return np.clip(values + 0.5, 0, 255).astype(np.uint8)

    def lab(patch: Picture, change: Callable[[NDArray[np.float32]], None]) -> Picture:
        values = cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        change(values)
        return clipped(cv2.cvtColor(values, cv2.COLOR_LAB2RGB) * 255)

    def lightness(values: NDArray[np.float32]) -> None:
        values[..., 0] += rng.uniform(-30, 30)

    def color(values: NDArray[np.float32]) -> None:
        values[..., 1:] += rng.uniform(-30, 30, 2)

    def saturation(values: NDArray[np.float32]) -> None:
        values[..., 1:] *= rng.uniform(0.2, 3)

    def contrast(patch: Picture) -> Picture:
        mean = patch.mean()
        return clipped((patch - mean) * rng.uniform(0.4, 2.5) + mean)

    def colored(patch: Picture, exponent: float) -> Picture:
        height, width, _ = patch.shape
        fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        radius = np.hypot(fy, fx)
        radius[0, 0] = 1
        spectrum = np.fft.rfft2(rng.standard_normal(patch.shape), axes=(0, 1))
        noise = np.fft.irfft2(spectrum * (radius ** (-exponent / 2))[..., None], axes=(0, 1))
        return clipped(patch + noise * (255 * rng.uniform(0.03, 0.2) / noise.std()))

    def checkerboard(patch: Picture) -> Picture:
        y, x = np.mgrid[: patch.shape[0], : patch.shape[1]]
        period = rng.integers(2, 5)
        board = np.where((y % period == 0) & (x % period == 0), 1.0, -1.0 / period)
        return clipped(patch + board[..., None] * 255 * rng.uniform(0.03, 0.2))

    def warp(patch: Picture, order: int) -> Picture:
        height, width, _ = patch.shape
        coarse = rng.uniform(-3, 3, (4, 4, 2)).astype(np.float32)
        flow = cv2.resize(coarse, (width, height), interpolation=order)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        return cv2.remap(
            patch, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, None, cv2.BORDER_REFLECT_101
        )

    def affine(patch: Picture, matrix: NDArray[np.float32]) -> Picture:
        return cv2.warpAffine(
            patch, matrix, patch.shape[1::-1], None, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101
        )

    def shifted(patch: Picture) -> Picture:
        dx, dy = rng.uniform(-4, 4, 2)
        return affine(patch, np.float32([[1, 0, dx], [0, 1, dy]]))

    def corners(patch: Picture, count: int) -> NDArray[np.float32]:
        height, width, _ = patch.shape
        return np.float32([[0, 0], [width, 0], [0, height], [width, height]])[:count]

    def sheared(patch: Picture) -> Picture:
        start = corners(patch, 3)
        moved = start + rng.uniform(-5, 5, start.shape).astype(np.float32)
        return affine(patch, cv2.getAffineTransform(start, moved))

    def tilted(patch: Picture) -> Picture:
        start = corners(patch, 4)
        moved = start + rng.uniform(-5, 5, start.shape).astype(np.float32)
        return cv2.warpPerspective(
            patch,
            cv2.getPerspectiveTransform(start, moved),
            patch.shape[1::-1],
            None,
            cv2.INTER_CUBIC,
            cv2.BORDER_REFLECT_101,
        )

    def ghost(patch: Picture) -> Picture:
        weight = rng.uniform(0.1, 0.5)
        return cv2.addWeighted(patch, 1 - weight, shifted(patch), weight, 0)

    def aberration(patch: Picture) -> Picture:
        result = patch.copy()
        result[..., 0] = shifted(patch)[..., 0]
        result[..., 2] = shifted(patch)[..., 2]
        return result

    def jpeg(patch: Picture) -> Picture:
        quality = int(rng.integers(8, 70))
        _, data = cv2.imencode(".jpg", patch[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]

    return [
        lambda patch: lab(patch, lightness),
        lambda patch: lab(patch, color),
        contrast,
        lambda patch: lab(patch, saturation),
        lambda patch: clipped(patch + rng.uniform(-50, 50, patch.shape)),
        lambda patch: clipped(patch + rng.normal(0, 255 * rng.uniform(0.03, 0.2), patch.shape)),
        lambda patch: colored(patch, 1),
        lambda patch: colored(patch, -1),
        lambda patch: colored(patch, rng.uniform(-2, 2)),
        checkerboard,
        lambda patch: cv2.GaussianBlur(patch, (0, 0), rng.uniform(0.5, 2.5)),
        lambda patch: cv2.bilateralFilter(patch, -1, rng.uniform(15, 200), 1.5),
        shifted,
        sheared,
        tilted,
        lambda patch: warp(patch, cv2.INTER_LINEAR),
        lambda patch: warp(patch, cv2.INTER_CUBIC),
        ghost,
        aberration,
        jpeg,
    ]


def write_with_pillow(path: Path, patch: Picture) -> None:
    """A PNG file by Pillow with its own settings."""
    Image.fromarray(patch).save(path)


def write_with_opencv(path: Path, patch: Picture) -> None:
    """A PNG file by OpenCV with its own settings."""
    cv2.imwrite(str(path), patch[..., ::-1])


def read_with_pillow(path: Path) -> Picture:
    """A photo by Pillow."""
    with Image.open(path) as photo:
        return np.array(photo.convert("RGB"))


def read_with_opencv(path: Path) -> Picture:
    """A photo by OpenCV."""
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert photo is not None
    return photo


def run_loop(
    photos: Iterator[Picture],
    folder: Path,
    count: int,
    distort: Operation,
    write: Callable[[Path, Picture], None],
    reductions: Sequence[int],
    rng: np.random.Generator,
) -> None:
    """Write `count` triplets into folder/{ref,p0,p1}, ten from each photo."""
    for part in ("ref", "p0", "p1"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        if index % ROWS_PER_PHOTO == 0:
            photo = next(photos)
        side = 64 * rng.choice(reductions)
        y = rng.integers(photo.shape[0] - side + 1)
        x = rng.integers(photo.shape[1] - side + 1)
        patch = np.ascontiguousarray(photo[y : y + side, x : x + side])
        if side != 64:
            patch = cv2.resize(patch, (64, 64), interpolation=cv2.INTER_AREA)
        write(folder / "ref" / f"{index:06d}.png", patch)
        for part in ("p0", "p1"):
            write(folder / part / f"{index:06d}.png", np.ascontiguousarray(distort(patch)))
