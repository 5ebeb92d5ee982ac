"""Lengths in px that grow and shrink with the patch.

Ranges are those of 64 px patches. On larger ones the same blur or displacement in px would be
weaker to the eye, since patches are shown at one size; so sets of another size multiply lengths by
size / 64 as they are drawn, and rows have the values that were applied (own choice; the paper has
64 px alone). Everything else stays: shares, levels and angles, and what belongs to the lattice of
pixels, which are the grain of noise, JPEG's blocks, and the stride of a checkerboard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bapps_gen.distortions.definition import Distortion, Parameter, RandomParameter

Draw = Callable[[float, float], float]
"""The value of a parameter at a severity and a uniform number."""


def is_length(parameter: Parameter) -> bool:
    """Whether a parameter scales with the patch: one in px that is not one of a few choices."""
    return parameter.unit == "px" and not (
        isinstance(parameter, RandomParameter) and parameter.choices
    )


def scaled_draw(parameter: Parameter, factor: float) -> Draw:
    """How a parameter is drawn where lengths are `factor` times as long, within what it allows."""
    if factor == 1 or not is_length(parameter):
        return parameter.at
    low, high = parameter.allowed

    def at(severity: float, uniform: float) -> float:
        value = min(high, max(low, parameter.at(severity, uniform) * factor))
        return float(round(value)) if parameter.integer else value

    return at


def scaled_values(
    distortion: Distortion, severity: float, uniforms: Sequence[float], factor: float
) -> dict[str, float]:
    """As `Distortion.draw`, where lengths are `factor` times as long."""
    return {
        parameter.name: scaled_draw(parameter, factor)(severity, uniform)
        for parameter, uniform in zip(distortion.parameters, uniforms, strict=False)
    }
