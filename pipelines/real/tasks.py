"""The tasks whose algorithms give real distortions, as a literal table."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = (1.0, 1.0)
RESCALED = (0.25, 1.0)
"""As in traditional sets; the paper does not say which scales it used."""


@dataclass(frozen=True, slots=True)
class RealTask:
    """A task.

    Args:
        scale: smallest and largest scale at which ground truth and outputs are read by default.
        summary: in a word or two.
        options: of its demo alone.
        min_difference: that at least one side has to the reference by default, as 1 − SSIM.
    """

    scale: tuple[float, float]
    summary: str
    options: tuple[str, ...] = ()
    min_difference: float = 0.0


STILL = 0.08
"""Most of two interpolated frames is like the ground truth. Nearly all triplets whose sides both
have an LPIPS below 0.01 lie under this (measured: reference/demos.md in the documentation); LPIPS
itself would need torch, and its rounding differs between machines."""

TASKS = {
    "superres": RealTask(WHOLE, "super-resolution", ("demo_factor",)),
    "frameinterp": RealTask(RESCALED, "frame interpolation", min_difference=STILL),
    "deblur": RealTask(WHOLE, "deblurring"),
    "color": RealTask(RESCALED, "colorization"),
}
"""By the names that the sets have in the released BAPPS. The paper (section 2.1, "Distorted image
patches from real algorithms") rescales at random before cropping for frame interpolation, whose
artifacts occur at different scales, and for colorization; it names no rescaling for the others."""
