"""A picture of a training: its loss, and its 2AFC score after every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bapps_gen.pipelines.metric_training.logs import Epoch, best_of

_SCALE = 2  # drawn larger and reduced, so that lines are smooth
_WIDTH, _HEIGHT = 440, 300  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 44, 44
_INK, _FAINT, _GRID = (40, 40, 40), (120, 120, 120), (225, 225, 225)
_LINE, _MARK = (31, 95, 153), (196, 78, 30)
_TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One diagram over epochs, with points in its own units."""

    title: str
    points: Sequence[Point]
    dots: bool
    mark: Point | None = None


def draw_curves(history: Sequence[Epoch], epochs: int, caption: str) -> NDArray[np.uint8]:
    """The curves of a training, uint8 RGB (344, 880, 3).

    Args:
        history: epochs so far.
        epochs: in all.
        caption: what is trained, and on what.
    """
    losses, began = [], 0
    for entry in history:
        count = entry.steps - began
        losses += [(entry.epoch - 1 + (step - began) / count, loss) for step, loss in entry.losses]
        began = entry.steps
    best = best_of(history)
    scores = [(float(entry.epoch), 100 * entry.val_2afc) for entry in history]
    panels = (
        _Panel("training loss (binary cross entropy)", losses, dots=False),
        _Panel(
            f"validation 2AFC in %, best {100 * best.val_2afc:.2f} (epoch {best.epoch})",
            scores,
            dots=True,
            mark=(float(best.epoch), 100 * best.val_2afc),
        ),
    )
    size = (2 * _WIDTH * _SCALE, (_HEIGHT + _TOP) * _SCALE)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    _text(draw, (_LEFT, 14), caption, _INK, 13, "lm")
    for number, panel in enumerate(panels):
        _draw_panel(draw, panel, number * _WIDTH, epochs)
    reduced = picture.resize((2 * _WIDTH, _HEIGHT + _TOP), Image.Resampling.LANCZOS)
    return np.asarray(reduced)


def _draw_panel(draw: ImageDraw.ImageDraw, panel: _Panel, left: float, epochs: int) -> None:
    low, high, step = _range([value for _, value in panel.points])
    x0, x1 = left + _LEFT, left + _WIDTH - _RIGHT
    y0, y1 = _TOP + 20, _TOP + _HEIGHT - _BOTTOM

    def place(point: Point) -> Point:
        x, y = point
        return (x0 + (x1 - x0) * x / epochs, y1 - (y1 - y0) * (y - low) / (high - low))

    _text(draw, (x0, _TOP), panel.title, _INK, 12, "lm")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    for index in range(round((high - low) / step) + 1):
        value = low + index * step
        _, y = place((0.0, value))
        _line(draw, [(x0, y), (x1, y)], _GRID, 1)
        _text(draw, (x0 - 6, y), f"{value:.{decimals}f}", _FAINT, 11, "rm")
    every = max(1, math.ceil(epochs / 10))
    for epoch in range(0, epochs + 1, every):
        x, _ = place((epoch, low))
        _line(draw, [(x, y1), (x, y1 + 4)], _FAINT, 1)
        _text(draw, (x, y1 + 14), str(epoch), _FAINT, 11, "mm")
    _text(draw, ((x0 + x1) / 2, y1 + 32), "epoch", _FAINT, 11, "mm")
    places = [place(point) for point in panel.points]
    _line(draw, places, _LINE, 2)
    for x, y in places if panel.dots and epochs <= 50 else ():
        _dot(draw, (x, y), 3, _LINE)
    if panel.mark is not None:
        _dot(draw, place(panel.mark), 5, _MARK)


def _range(values: Sequence[float]) -> tuple[float, float, float]:
    """The ends of a scale around values, and the step of its labels: 1, 2 or 5 times a power."""
    low, high = min(values), max(values)
    span = max(high - low, 1e-3 * max(abs(high), 1.0))
    raw = span / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return math.floor(low / step) * step, (math.floor(high / step) + 1) * step, step


def _line(
    draw: ImageDraw.ImageDraw, points: Sequence[Point], ink: tuple[int, int, int], width: int
) -> None:
    scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
    draw.line(scaled, fill=ink, width=width * _SCALE, joint="curve")


def _dot(draw: ImageDraw.ImageDraw, point: Point, radius: int, ink: tuple[int, int, int]) -> None:
    x, y = (value * _SCALE for value in point)
    size = radius * _SCALE
    draw.ellipse((x - size, y - size, x + size, y + size), fill=ink)


def _text(
    draw: ImageDraw.ImageDraw,
    point: Point,
    text: str,
    ink: tuple[int, int, int],
    size: int,
    anchor: str,
) -> None:
    font = ImageFont.load_default(size=size * _SCALE)
    x, y = point
    draw.text((x * _SCALE, y * _SCALE), text, fill=ink, font=font, anchor=anchor)
