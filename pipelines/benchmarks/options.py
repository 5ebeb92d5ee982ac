"""The options of benchmarks, each declared once; those of rows are in `rows.options`."""

from __future__ import annotations

from bapps_gen.checks import Option
from bapps_gen.manifests.rows import MAX_SIDE

ALL = "all"
"""Stands for all atoms, compositions or CNN distorters."""

MAX_LEVELS = 100

LEVELS = Option(
    "integer",
    "severities 1/L, 2/L … 1; 0.2 has a median LPIPS of about 0.03, 1 is strong",
    default=5,
    low=1,
    high=MAX_LEVELS,
    metavar="L",
)

SEVERITIES = Option(
    "numbers",
    "these severities instead, rising, from 0 to 2, for example 0.2,0.5,1",
    metavar="S,S,…",
)

REDUCED_SIDE = Option(
    "integer",
    "reduce whole images whose longer side is more than this",
    low=8,  # the MIN_SIDE of distortions, which imports NumPy
    high=MAX_SIDE,
    unit="px",
    default_text="none",
)

PATCHES = Option(
    "integer",
    "instead of whole images N patches from each, of --patch-size, the same for every distortion "
    "and level",
    low=1,
    high=10_000,
)
