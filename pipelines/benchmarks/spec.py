"""What the pictures of a benchmark are made from: its spec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bapps_gen.checks import MAX_SEVERITY, check_options, check_range
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.pipelines.benchmarks.options import MAX_LEVELS, PATCHES, REDUCED_SIDE
from bapps_gen.pipelines.rows.options import (
    CROP_SHARE,
    FIXED_PX,
    MIN_CONTRAST,
    PATCH_SIZE,
    SCALE_RANGE,
    SEED,
    check_crop_sizes,
)
from bapps_gen.pipelines.rows.spec import values_but
from bapps_gen.seeding import digest_of
from bapps_gen.storage.records import parse_record

BENCHMARK_VERSION = 2
"""Raised whenever the same spec and image give other pictures or rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSpec:
    """What the pictures of a benchmark are made from.

    A picture depends on the seed, its image's content, its distortion and its severity (and, of a
    patch, on its number): neither on the other images nor on the other distortions or severities.

    Args:
        seed: 0 to 2^63 - 1.
        images: number of images in the source.
        source_digest: digest over names and contents of those images, in order.
        choices: ids of the distortions: atoms, "first+second" pairs, CNN distorters ("cnn:017").
        versions: (name, version) of every atom among them and of every CNN distorter.
        severities: of the levels, rising, each from 0 to MAX_SEVERITY.
        patches: patches cut from each image; None distorts images as wholes.
        max_side: longer side in px to which larger whole images are reduced; None reduces none.
        scale, crop_share, min_contrast: of patches, as in `TripletSpec`; None for whole images.
        distorters: (id, digest of weights and spec) of the CNN distorters.
        patch_size, fixed_px: of patches, as in `TripletSpec`; whole images keep lengths in px.
        benchmark_version: BENCHMARK_VERSION.
    """

    seed: int = SEED.field(required=True)
    images: int
    source_digest: str
    choices: tuple[str, ...]
    versions: tuple[tuple[str, int], ...]
    severities: tuple[float, ...]
    patches: int | None = PATCHES.field()
    max_side: int | None = REDUCED_SIDE.field()
    scale: tuple[float, float] | None = SCALE_RANGE.field()
    crop_share: tuple[float, float] | None = CROP_SHARE.field(None)
    min_contrast: float | None = MIN_CONTRAST.field(None)
    distorters: tuple[tuple[str, str], ...] = ()
    benchmark_version: int = BENCHMARK_VERSION
    patch_size: int = PATCH_SIZE.field()
    fixed_px: bool = FIXED_PX.field()

    def __post_init__(self) -> None:
        check_options(self)
        check_range("images", self.images, 1, 2**31, whole=True)
        if not self.choices:
            raise UserError("no distortion is chosen; widen the choice")
        if not 1 <= len(self.severities) <= MAX_LEVELS:
            raise out_of_range(
                "number of severities",
                len(self.severities),
                f"from 1 to {MAX_LEVELS}",
                "give as many",
            )
        for value in self.severities:
            check_range("severities", value, 0.0, MAX_SEVERITY)
        if any(b <= a for a, b in zip(self.severities, self.severities[1:], strict=False)):
            raise out_of_range(
                "severities",
                ",".join(f"{value:g}" for value in self.severities),
                f"rising numbers from 0 to {MAX_SEVERITY:g}",
                "give each once, the lowest first",
            )
        if self.patches is None:
            if self.patch_size != PATCH_SIZE.default or self.fixed_px:
                raise UserError(
                    "patch-size and fixed-px are for patches; leave them out or give --patches"
                )
            if any(value is not None for value in (self.scale, self.crop_share, self.min_contrast)):
                raise UserError(
                    "crop-share, scale-range and min-contrast are for patches; leave them out or "
                    "give --patches"
                )
        else:
            if self.max_side is not None:
                raise UserError("max-side is for whole images; with --patches give --crop-share")
            if self.min_contrast is None:
                raise UserError("patches need a min-contrast; give it")
            check_crop_sizes(self.scale, self.crop_share)
        if self.benchmark_version != BENCHMARK_VERSION:
            raise UserError(
                f"benchmark_version = {self.benchmark_version} is not {BENCHMARK_VERSION}; "
                "use the version of bapps-gen that made the benchmark"
            )

    def values(self) -> dict[str, Any]:
        """Plain values, as `benchmark.json` holds them; defaults of patches are left out."""
        values: dict[str, Any] = json.loads(json.dumps(values_but(self, _OPTIONAL)))
        return values

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the canonical JSON of this spec's values."""
        return digest_of(self.values())


_OPTIONAL = {"scale": None, "crop_share": None, "patch_size": PATCH_SIZE.default, "fixed_px": False}


def even_severities(levels: int) -> tuple[float, ...]:
    """1/L, 2/L … 1."""
    return tuple(level / levels for level in range(1, levels + 1))


def benchmark_spec_from_values(values: Mapping[str, Any]) -> BenchmarkSpec:
    """A spec from plain values, as `benchmark.json` holds them.

    Raises:
        UserError: for unknown or missing keys and for values out of range.
    """
    return parse_record(BenchmarkSpec, dict(values), "spec")
