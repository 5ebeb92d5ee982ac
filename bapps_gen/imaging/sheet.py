"""Contact sheets: rows of patches with captions, as one picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bapps_gen.errors import out_of_range

_MARGIN = 10
_GAP = 4
_LINE = 13
_ARROW = 13
_INK = (40, 40, 40)
_FAINT = (120, 120, 120)
MAX_PIXELS = 500_000_000
"""Pixels of a sheet's patches at most: 1.5 GB."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row as drawn: its patches, uint8 (side, side, 3), and lines of text under each.

    Lines are wrapped where they are longer than a patch is wide; empty ones are left out.
    """

    patches: tuple[NDArray[np.uint8], ...]
    captions: tuple[tuple[str, ...], ...]


def check_sheet(patches: int, cell: int) -> None:
    """Raise UserError when a sheet of so many patches, each `cell` px wide, would be too large."""
    if patches * cell**2 > MAX_PIXELS:
        raise out_of_range(
            "size of the sheet",
            f"{patches} patches of {cell}×{cell} px",
            f"at most {MAX_PIXELS // 10**6} million pixels",
            "show fewer rows, or give a smaller zoom",
        )


def draw_sheet(rows: Sequence[SheetRow], *, zoom: int = 2, across: int = 2) -> NDArray[np.uint8]:
    """A picture of triplets, uint8 RGB; `across` triplets a line, patches enlarged `zoom` times."""
    font = ImageFont.load_default(size=11)
    cell = max(patch.shape[0] for row in rows for patch in row.patches) * zoom
    captions = [
        [
            [part for line in lines for part in _wrapped(line, cell - _GAP, font)]
            for lines in row.captions
        ]
        for row in rows
    ]
    tops = [_MARGIN]  # of each line of the sheet, and of what would follow
    for start in range(0, len(rows), across):
        lines = max(len(caption) for row in captions[start : start + across] for caption in row)
        tops.append(tops[-1] + cell + _GAP + lines * _LINE + _MARGIN)
    width = max(len(row.patches) for row in rows) * (cell + _GAP) + _MARGIN
    size = (_MARGIN + width * min(across, len(rows)), tops[-1])
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, row in enumerate(rows):
        top = tops[index // across]
        for column, (patch, caption) in enumerate(zip(row.patches, captions[index], strict=True)):
            left = _MARGIN + index % across * width + column * (cell + _GAP)
            side = cell // patch.shape[0] * patch.shape[0]  # smaller ones at a whole factor, too
            large = Image.fromarray(patch).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(large, (left, top))
            for line, text in enumerate(caption):
                ink = _FAINT if column == 0 or text.startswith(" ") else _INK
                _write(draw, (left, top + cell + _GAP + line * _LINE), text, ink, font)
    return np.asarray(sheet)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, ink: tuple[int, int, int], font: Font
) -> None:
    """Write a line of text; the font has no arrow, so that "→" is drawn."""
    before, arrow, after = text.partition("→")
    draw.text(at, before, ink, font)
    if arrow:
        left, middle = round(at[0] + font.getlength(before)), at[1] + _LINE // 2 + 1
        tip = left + _ARROW - 3
        draw.line((left, middle, tip, middle), ink)
        draw.polygon((tip - 2, middle - 2, tip - 2, middle + 2, tip, middle), ink)
        draw.text((left + _ARROW, at[1]), after.lstrip(), ink, font)


def _wrapped(text: str, width: int, font: Font) -> list[str]:
    """A line of text in lines of at most `width` px, with the same indent; none for an empty one.

    Words are kept whole where they fit: names, numbers with their names, and parts of paths.
    """
    indent = " " * (len(text) - len(text.lstrip()))
    lines: list[str] = []
    for word in re.findall(r"→ \d+ px|\S+ [\d.e+-]+,? ?|[^\s/+_]+[/+_]?\s*|.", text.strip()):
        if lines and font.getlength((lines[-1] + word).rstrip()) <= width:
            lines[-1] += word
            continue
        lines.append(indent)
        for letter in word:
            if lines[-1] != indent and font.getlength((lines[-1] + letter).rstrip()) > width:
                lines.append(indent)
            lines[-1] += letter
    return [line.rstrip() for line in lines]
