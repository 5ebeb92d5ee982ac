"""What a manifest stores of one triplet: enough to make its pixels again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PATCHES = ("ref", "p0", "p1")
"""The pictures of a triplet."""

PAIR_PATCHES = ("ref", "p0")
"""The pictures of a JND pair."""

PATCH_SIZE = 64
"""Default height and width of a patch in pixels (paper, section 2.1)."""

MIN_PATCH_SIZE, MAX_PATCH_SIZE = 16, 512
"""Bounds of the size of patches in px: enough for two JPEG blocks each way, and a screen."""

MAX_SIDE = 32_766
"""Longest side of a benchmark's picture in px: OpenCV's warps take sides below 2^15 px."""


def task_of_patches(patches: Sequence[str]) -> str:
    """What rows with these pictures are judged by: "2afc" for triplets, "jnd" for pairs."""
    return "jnd" if tuple(patches) == PAIR_PATCHES else "2afc"


def row_id(digest: str, row: int) -> str:
    """The id of a row in all copies of its dataset, whose digest this is."""
    return f"{digest[:8]}-{row:08d}"


@dataclass(frozen=True, slots=True)
class Step:
    """One distortion as applied: its name, version, physical parameters and noise seed.

    `severity` is what the parameters were drawn from, 0 to 2, or None where they were given.
    """

    distortion: str
    version: int
    params: tuple[tuple[str, float], ...]
    seed: int
    severity: float | None


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the source image, in its pixels after EXIF rotation; x to the right, y down."""

    x: int
    y: int
    side: int

    def scale(self, patch_size: int) -> float:
        """Patch pixels per source pixel, in (0, 1], where patches have so many px a side."""
        return patch_size / self.side


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row of a manifest without its pictures: a triplet, or a pair for JND.

    `steps` holds the steps of p0 (and of p1 in a triplet), in the order applied; `hashes` the
    XXH3-128 digests of the raw RGB bytes of each picture. `judge` is the fraction of people that
    prefer p1 over p0, `same` the fraction that call ref and p0 the same, each with the number of
    people asked; None where nobody was.
    """

    id: str
    row: int
    source_path: str
    source_sha256: str
    crop: Crop
    steps: tuple[tuple[Step, ...], ...]
    hashes: tuple[str, ...]
    spec_digest: str
    judge: float | None = None
    judge_count: int | None = None
    same: float | None = None
    same_count: int | None = None


def rows_within(rows: int, patch_size: int) -> int:
    """How many rows take no more memory than `rows` of the default size: at least 1.

    Whatever holds many patches at once takes this many, so that memory does not grow with their
    size. Smaller patches come in the same number.
    """
    return max(1, min(rows, rows * PATCH_SIZE**2 // patch_size**2))


def distortion_id(steps: tuple[Step, ...]) -> str:
    """The id of a sequence of steps: their names joined by "+"."""
    return "+".join(step.distortion for step in steps)
