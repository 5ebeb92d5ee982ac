"""Contact sheets: pictures of a dataset's rows with what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bapps_gen.errors import UserError, out_of_range
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import PATCH_SIZE, PATCHES, Step
from bapps_gen.manifests.schema import table_rows
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.storage.atomic import whole_file

_MARGIN = 10
_GAP = 4
_LINE = 13
_INK = (40, 40, 40)
_FAINT = (120, 120, 120)
MAX_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Shown:
    """One row as drawn: its patches, and lines of text under each."""

    patches: tuple[NDArray[np.uint8], ...]
    captions: tuple[tuple[str, ...], ...]


def pick_rows(total: int, count: int) -> list[int]:
    """`count` rows spread evenly over `total`, the first among them."""
    if not 1 <= count <= MAX_SHOWN:
        raise out_of_range("count", count, f"a whole number from 1 to {MAX_SHOWN}", "show fewer")
    count = min(count, total)
    return [place * total // count for place in range(count)]


def read_shown(dataset: Dataset, rows: Sequence[int]) -> list[Shown]:
    """The rows of a dataset, ready to be drawn, in the order asked.

    Raises:
        UserError: when a row is not in the dataset, or it has no pictures.
        WorkError: when a shard is missing or damaged.
    """
    info = dataset.info
    if not info.pictures:
        raise UserError(
            f"{dataset.folder} is a recipe without pictures; make them with `bapps-gen replay`"
        )
    found: dict[int, Shown] = {}
    for row in rows:
        if not 0 <= row < info.rows:
            raise out_of_range("row", row, f"from 0 to {info.rows - 1}", "choose one of these")
    for shard in sorted({row // info.shard_rows for row in rows}):
        wanted = {row for row in rows if row // info.shard_rows == shard}
        for batch in dataset.shard_batches(shard):
            for place, row in enumerate(batch.column("row").to_pylist()):
                if row in wanted:
                    found[row] = _shown(batch.slice(place, 1))
    return [found[row] for row in rows]


def _shown(batch: pa.RecordBatch) -> Shown:
    (row,) = table_rows(batch)
    names = PATCHES[: len(row.hashes)]
    (stored,) = batch.select(list(names)).to_pylist()
    patches = tuple(decode_png(stored[name]["bytes"]) for name in names)
    first = (f"row {row.row}, {row.crop.side} px", row.source_path)
    return Shown(patches, (first, *map(describe_steps, row.steps)))


def describe_steps(steps: Sequence[Step]) -> tuple[str, ...]:
    """Two lines a step: its name, and its parameters or, of a real algorithm, its task."""
    lines = []
    for step in steps:
        task, _, algorithm = step.distortion.partition(":")
        if task in TASKS:  # both would not fit on one line
            lines += [algorithm, f"  {task}"]
            continue
        lines.append(step.distortion)
        lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in step.params))
    return tuple(lines)


def draw_sheet(shown: Sequence[Shown], *, zoom: int = 2, across: int = 2) -> NDArray[np.uint8]:
    """A picture of triplets, uint8 RGB; `across` triplets a line, patches enlarged `zoom` times."""
    font = ImageFont.load_default(size=11)
    cell = PATCH_SIZE * zoom
    lines = max(len(caption) for row in shown for caption in row.captions)
    width = len(shown[0].patches) * (cell + _GAP) + _MARGIN
    height = cell + _GAP + lines * _LINE + _MARGIN
    down = -(-len(shown) // across)
    size = (_MARGIN + width * min(across, len(shown)), _MARGIN + height * down)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for place, row in enumerate(shown):
        top = _MARGIN + place // across * height
        for column, (patch, caption) in enumerate(zip(row.patches, row.captions, strict=True)):
            left = _MARGIN + place % across * width + column * (cell + _GAP)
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


_KINDS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
# As little loss as a format allows: the distortions are the only damage meant.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
}


def check_image_name(path: Path) -> None:
    """Raise UserError unless a picture can be written under that name."""
    if path.suffix.lower() not in _KINDS:
        raise UserError(f"cannot write '{path.name}': use an ending of {', '.join(_KINDS)}")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; create it first")


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a uint8 RGB picture as PNG, JPEG, TIFF, WebP or BMP, by the name's ending.

    Raises:
        UserError: for another ending, or when the folder does not exist.
        WorkError: when the file cannot be written.
    """
    check_image_name(path)
    kind = _KINDS[path.suffix.lower()]
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, kind, **_OPTIONS.get(kind, {}))
