"""Contact sheets: rows of patches with captions, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_MARGIN = 10
_GAP = 4
_LINE = 13
_INK = (40, 40, 40)
_FAINT = (120, 120, 120)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row as drawn: its patches, uint8 (side, side, 3), and lines of text under each."""

    patches: tuple[NDArray[np.uint8], ...]
    captions: tuple[tuple[str, ...], ...]


def draw_sheet(rows: Sequence[SheetRow], *, zoom: int = 2, across: int = 2) -> NDArray[np.uint8]:
    """A picture of triplets, uint8 RGB; `across` triplets a line, patches enlarged `zoom` times."""
    font = ImageFont.load_default(size=11)
    cell = rows[0].patches[0].shape[0] * zoom
    lines = max(len(caption) for row in rows for caption in row.captions)
    width = len(rows[0].patches) * (cell + _GAP) + _MARGIN
    height = cell + _GAP + lines * _LINE + _MARGIN
    down = -(-len(rows) // across)
    size = (_MARGIN + width * min(across, len(rows)), _MARGIN + height * down)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, row in enumerate(rows):
        top = _MARGIN + index // across * height
        for column, (patch, caption) in enumerate(zip(row.patches, row.captions, strict=True)):
            left = _MARGIN + index % across * width + column * (cell + _GAP)
            large = Image.fromarray(patch).resize((cell, cell), Image.Resampling.NEAREST)
            sheet.paste(large, (left, top))
            for line, text in enumerate(caption):
                text = _fitted(text, cell, font)
                ink = _FAINT if column == 0 or text.startswith(" ") else _INK
                draw.text((left, top + cell + _GAP + line * _LINE), text, ink, font)
    return np.asarray(sheet)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
