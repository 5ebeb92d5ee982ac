"""Pictures of a zoo: strips of patches for its report, and a sheet of all distorters."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bapps_gen.imaging.files import check_image_name, write_image
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.validation.zoo import ZooReport
from bapps_gen.storage.atomic import whole_file

_STRIP_GAP = 2
_MARGIN = 12
_GAP = 10
_LINE = 15
_INK = (40, 40, 40)
_FAINT = (110, 110, 110)
_BAD = (179, 56, 44)


def strip_size(count: int) -> tuple[int, int]:
    """Width and height of a strip of patches, in pixels."""
    return count * (PATCH_SIZE + _STRIP_GAP) - _STRIP_GAP, PATCH_SIZE


def draw_strip(patches: NDArray[np.uint8]) -> bytes:
    """Patches, uint8 (N, 64, 64, 3), in a row with transparent gaps, as a lossless WebP file."""
    width, height = strip_size(len(patches))
    strip = np.zeros((height, width, 4), np.uint8)
    for index, patch in enumerate(patches):
        left = index * (PATCH_SIZE + _STRIP_GAP)
        strip[:, left : left + PATCH_SIZE, :3] = patch
        strip[:, left : left + PATCH_SIZE, 3] = 255
    content = io.BytesIO()
    Image.fromarray(strip).save(content, "WEBP", lossless=True)
    return content.getvalue()


def magnified(
    inputs: NDArray[np.uint8], outputs: NDArray[np.uint8], gain: float
) -> NDArray[np.uint8]:
    """Changes to the inputs about mid-gray, `gain` times as strong, uint8 of their shape."""
    change = gain * (outputs.astype(np.float32) - inputs) + 128
    return np.clip(np.round(change), 0, 255).astype(np.uint8)


def draw_zoo_sheet(report: ZooReport, *, examples: int = 2, across: int = 14) -> NDArray[np.uint8]:
    """All distorters' outputs for the same patches in one picture, uint8 RGB, the input first.

    Args:
        report: of the zoo.
        examples: patches of each distorter.
        across: distorters per line.
    """
    font = ImageFont.load_default(size=11)
    inputs = report.inputs[:examples]
    count = len(inputs)
    cells: list[tuple[NDArray[np.uint8], str, str, tuple[int, int, int]]] = [
        (inputs, "input", "", _INK)
    ]
    for entry, outputs in zip(report.result["distorters"], report.outputs, strict=True):
        ink = _INK if entry["verdict"] == "ok" else _BAD
        cells.append((outputs[:examples], entry["id"], f"{entry['lpips']['p50']:.2f}", ink))
    width, height = count * PATCH_SIZE + _GAP, PATCH_SIZE + _LINE + _GAP
    across = min(across, len(cells))
    down = -(-len(cells) // across)
    size = (2 * _MARGIN + across * width - _GAP, 2 * _MARGIN + down * height - _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, (patches, name, value, ink) in enumerate(cells):
        left = _MARGIN + index % across * width
        top = _MARGIN + index // across * height
        sheet.paste(Image.fromarray(np.hstack(list(patches))), (left, top))
        base = top + PATCH_SIZE + 1
        draw.text((left, base), name, ink, font)
        right = left + count * PATCH_SIZE - font.getlength(value)
        draw.text((right, base), value, _FAINT, font)
    return np.asarray(sheet)


def write_zoo_sheet(path: Path, report: ZooReport) -> None:
    """Write a sheet of all distorters: WebP nearly lossless at a third of the size, for web pages;
    other formats lossless.

    Raises:
        UserError: for an unknown ending, or when the folder does not exist.
        WorkError: when the file cannot be written.
    """
    check_image_name(path)
    sheet = draw_zoo_sheet(report)
    if path.suffix.lower() != ".webp":
        write_image(path, sheet)
        return
    with whole_file(path, alone=True) as temporary:
        Image.fromarray(sheet).save(temporary, "WEBP", quality=95, method=6)
