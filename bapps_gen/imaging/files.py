"""Pictures written to files, in the format that the name's ending says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bapps_gen.errors import UserError
from bapps_gen.storage.atomic import whole_file

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


def is_lossy(path: Path) -> bool:
    """Whether pictures of that name lose detail when they are written."""
    return _KINDS.get(path.suffix.lower()) == "JPEG"


def write_image(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write a picture as PNG, JPEG, TIFF, WebP or BMP, by the name's ending.

    Args:
        path: of the file; appears whole or not at all.
        image: uint8 RGB of shape (H, W, 3).

    Raises:
        UserError: for another ending or array, or when the folder does not exist.
        WorkError: when the file cannot be written.

    Example:
        >>> import bapps_gen
        >>> image = bapps_gen.read_image("photos/astronaut.png")
        >>> bapps_gen.write_image("blurred.png", bapps_gen.distort(image, "gaussian_blur"))
        >>> bapps_gen.read_image("blurred.png").shape
        (512, 512, 3)
    """
    path = Path(path)
    check_image_name(path)
    if not isinstance(image, np.ndarray):
        raise UserError(f"image is a {type(image).__name__}; give a uint8 array (H, W, 3)")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"image is {image.dtype} {image.shape}; give uint8 RGB (H, W, 3)")
    kind = _KINDS[path.suffix.lower()]
    with whole_file(path, alone=True) as temporary:
        Image.fromarray(image).save(temporary, kind, **_OPTIONS.get(kind, {}))
