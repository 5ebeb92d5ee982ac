"""The 308 compositions: two traditional distortions applied one after the other.

They are the ordered pairs of distinct distortions, less those of two noises and those of two
spatial distortions; why these is in explanation/paper.md of the documentation, under "Counts".
"""

from __future__ import annotations

COMPOSITIONS_VERSION = 1
"""Raised with any change of the list or of its order."""

# The names are frozen here, apart from the table of atoms, so that a change of the table (or a
# plugin) changes neither the ids nor their order.
_FAMILIES = {
    "photometric": ("lightness_shift", "color_shift", "contrast", "saturation"),
    "noise": (
        "uniform_white",
        "gaussian_white",
        "pink",
        "blue",
        "gaussian_colored",
        "checkerboard",
    ),
    "blur": ("gaussian_blur", "bilateral"),
    "spatial": (
        "shift",
        "affine_warp",
        "homography",
        "linear_warp",
        "cubic_warp",
        "ghosting",
        "chromatic_aberration",
    ),
    "compression": ("jpeg",),
}
_NOT_WITH_ITSELF = ("noise", "spatial")
_FROZEN = tuple((name, family) for family, names in _FAMILIES.items() for name in names)

COMPOSITIONS: tuple[tuple[str, str], ...] = tuple(
    (first, second)
    for first, family in _FROZEN
    for second, other in _FROZEN
    if first != second and not (family == other and family in _NOT_WITH_ITSELF)
)
"""(first, second): the first is applied first; the id is "first+second"."""
