"""The tasks whose algorithms give real distortions, as a literal table."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = (1.0, 1.0)
RESCALED = (0.25, 1.0)
"""As in traditional sets; the paper does not say which scales it used."""

DEMO_IMAGES = 24
"""Photos that a demo is made of at most, where nothing else is asked for (own choice)."""


@dataclass(frozen=True, slots=True)
class RealTask:
    """A task.

    Args:
        scale: smallest and largest scale at which ground truth and outputs are read by default.
        summary: in a word or two.
    """

    scale: tuple[float, float]
    summary: str


TASKS = {
    "superres": RealTask(WHOLE, "super-resolution"),
    "frameinterp": RealTask(RESCALED, "frame interpolation"),
    "deblur": RealTask(WHOLE, "deblurring"),
    "color": RealTask(RESCALED, "colorization"),
}
"""By the names that the sets have in the released BAPPS. The paper (section 2.1, "Distorted image
patches from real algorithms") rescales at random before cropping for frame interpolation, whose
artifacts occur at different scales, and for colorization; it names no rescaling for the others."""
