"""Image files to uint8 RGB arrays.

Conventions: transparency is composited over white; 16-bit samples v become round(v / 257); CMYK and
YCCK go through Pillow's plain conversion; ICC profiles are not applied; EXIF rotation is applied;
of several pages or frames the first is taken.

Pillow decodes, since it refuses truncated data that OpenCV lets pass; whole color JPEGs, by far
the most, go through simplejpeg (libjpeg-turbo as well), in half the memory. Pillow cuts 16-bit
color to its high byte, though, so 16-bit files are decoded by OpenCV once Pillow has checked
them. Damage that leaves a decodable stream is noticed only where the format has checksums (PNG,
deflated TIFF).
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from bapps_gen.errors import ImageError, UserError, WorkError, one_line
from bapps_gen.storage.locations import missing_path, open_regular

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
"""Endings of files that are taken for images, in lower case."""

MAX_PIXELS = 400_000_000
"""Larger images are refused by their header; our own choice, above any camera's."""

_STRIP_PIXELS = 1 << 19
"""Pixels converted at a time, so that a decoded image is never held in a third copy."""

_READABLE = "JPEG, PNG, TIFF, WebP or BMP"
_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
)
_FULL = 65535

# Tags of TIFF 6.0.
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 258, 262, 277, 284, 338, 339
_SEGMENTS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_WIDTH, _LENGTH = 256, 257
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
_PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # chunks that may hold it
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED = 0, 1, 2, 5
_DEEP_PHOTOMETRIC = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
_PREMULTIPLIED, _ALPHA = 1, 2


def decode_image(data: bytes, *, reserve: Callable[[int], None] | None = None) -> NDArray[np.uint8]:
    """The image in an encoded file.

    Args:
        data: content of a JPEG, PNG, TIFF, WebP or BMP file.
        reserve: called before anything is decoded with the bytes that decoding takes at its
            height: 7 a pixel, the array and Pillow's copy (progressive JPEGs, 16-bit and animated
            files take more).

    Returns:
        uint8 (H, W, 3), RGB, C-contiguous.

    Raises:
        ImageError: for anything but a whole image of a supported kind; its text is the reason.
        WorkError: when memory runs out.
    """
    with _decoding(data):
        return _decode(data, reserve)


def image_size(data: bytes) -> tuple[int, int]:
    """Height and width in px of the array that `decode_image` gives, from the header alone.

    Raises:
        ImageError: when the header is not one of a supported kind. Pixels are not looked at.
        WorkError: when memory runs out.
    """
    with _decoding(data):
        image, _ = _open(data)
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            # Some versions of Pillow turn the size at once, others when the pixels are read.
            width, height = image.tag_v2[_WIDTH], image.tag_v2[_LENGTH]
            orientation = image.tag_v2.get(_ORIENTATION, 1)
        elif image.format == "PNG" and not any(mark in data for mark in _PNG_EXIF):
            orientation = 1  # asking Pillow would decode all of it
        else:
            orientation = image.getexif().get(_ORIENTATION, 1)
        return (width, height) if orientation in _TURNED else (height, width)


@contextlib.contextmanager
def _decoding(data: bytes) -> Iterator[None]:
    """Ignore warnings of decoders, and turn their exceptions into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, WorkError):
        raise
    except MemoryError as error:
        # Not the image's fault: skipping it would make rows depend on the machine.
        raise WorkError(
            f"not enough memory to decode an image of {len(data)} bytes; use fewer workers"
        ) from error
    except Exception as error:  # damaged files make decoders raise nearly every type there is
        raise ImageError(f"damaged or cut short ({one_line(error)})") from error


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read the image in a file as photos are read: turned by its EXIF, in RGB, in 8 bits.

    Args:
        path: of a JPEG, PNG, TIFF or WebP file (8 or 16 bit, gray, RGBA, CMYK).

    Returns:
        uint8 RGB of shape (H, W, 3), 0 to 255.

    Raises:
        UserError: when the file is missing, unreadable or no image; names the path.

    Example:
        >>> import bapps_gen
        >>> bapps_gen.read_image("photos/astronaut.png").shape
        (512, 512, 3)
    """
    path = os.fspath(path)
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        raise UserError(f"image {missing_path(path)}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name one image file in it") from None
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}; make it a readable file"
        ) from error
    try:
        return decode_image(data)
    except ImageError as error:
        raise UserError(f"cannot use {path}: {error}; name a whole {_READABLE} image") from error


def _decode(data: bytes, reserve: Callable[[int], None] | None) -> NDArray[np.uint8]:
    image, deep = _open(data)
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{width}×{height} px has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width}×{height} px is more than the {MAX_PIXELS // 1_000_000} million pixels allowed"
        )
    if reserve is not None:
        reserve(width * height * (3 + 4))
    if image.format == "PNG":
        _verify_png(data)
    if deep:
        return _decode_deep(data, image)

    if image.format == "JPEG" and image.mode == "RGB":
        pixels = _decode_color_jpeg(data)
        if pixels is not None:
            out, view = _oriented(image.height, image.width, image.getexif().get(_ORIENTATION, 1))
            if view is out:
                return pixels
            view[:] = pixels
            return out

    image.load()
    if image.mode not in _MODES:
        raise ImageError(f"{image.format} of mode {image.mode} is not supported; save it as RGB")
    # Asked after loading: PNG may keep EXIF behind the pixels, and TIFF is turned by Pillow.
    out, view = _oriented(image.height, image.width, image.getexif().get(_ORIENTATION, 1))
    for top, bottom in _strips(image.height, image.width):
        view[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)))
    return out


def _decode_color_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """A JPEG's pixels in half of Pillow's memory; None where Pillow is left to say what is wrong.

    Strict: libjpeg warns of data cut short, but of harmless oddities too.
    """
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, strict=True
        )
    except ValueError:
        return None
    return pixels


def _open(data: bytes) -> tuple[ImageFile.ImageFile, bool]:
    """The image with its header read, and whether it has 16 bits a sample.

    The plugins are called by signature, not through `Image.open`, whose pixel limit is a global.
    """
    if not data:
        raise ImageError("empty, 0 bytes")
    stream = io.BytesIO(data)
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile(stream), False
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile(stream), data[24:25] == b"\x10"  # bit depth in IHDR
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        deep = _check_tiff(data)
        return TiffImagePlugin.TiffImageFile(stream), deep
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile(stream), False
    if data.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile(stream), False
    raise ImageError(f"not a {_READABLE} image")


def _verify_png(data: bytes) -> None:
    """Check every checksum up to the end mark, which decoding alone does not reach."""
    stream = io.BytesIO(data)
    PngImagePlugin.PngImageFile(stream).verify()
    if stream.read(4) != b"\xae\x42\x60\x82":  # checksum of the end mark itself
        raise ImageError("damaged or cut short (no end mark)")


def _check_tiff(data: bytes) -> bool:
    """Refuse what neither Pillow nor OpenCV reads correctly; True for 16 bits a sample."""
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[2:4] in _BIG else 8])
    stream = io.BytesIO(data)
    stream.seek(tags.next)
    tags.load(stream)

    formats = set(tags.get(_FORMAT, (1,)))
    if formats - {1, 4}:
        kind = "float" if 3 in formats else "signed integer"
        raise ImageError(f"TIFF with {kind} samples is not supported; save it with 8 or 16 bits")
    bits = set(tags.get(_BITS, (1,)))
    if len(bits) > 1 or bits - {1, 2, 4, 8, 16}:
        depths = ", ".join(map(str, sorted(bits)))
        raise ImageError(f"TIFF with {depths} bits is not supported; save it with 8 or 16 bits")
    for offsets, counts in _SEGMENTS:
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if offset + count > len(data):
                raise ImageError(f"cut short: pixels up to byte {offset + count} of {len(data)}")
    photometric = tags.get(_PHOTOMETRIC)
    if bits != {16} or photometric == _SEPARATED:
        return False
    if photometric not in _DEEP_PHOTOMETRIC:
        raise ImageError("16-bit TIFF that is neither gray nor RGB is not supported")
    if tags.get(_PLANAR, 1) == 2 and tags.get(_SAMPLES, 1) > 1:
        raise ImageError("16-bit TIFF with separate planes is not supported; save it interleaved")
    return True


_BIG = (b"+\0", b"\0+")


def _to_rgb(strip: Image.Image) -> NDArray[np.uint8]:
    """A strip of an 8-bit image as RGB, transparency composited over white."""
    if "transparency" in strip.info or strip.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        strip = strip.convert("RGBA")
        ground = Image.new("RGB", strip.size, (255, 255, 255))
        ground.paste(strip, mask=strip.getchannel("A"))
        strip = ground
    elif strip.mode != "RGB":
        strip = strip.convert("RGB")
    return np.asarray(strip)


def _decode_deep(data: bytes, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """A 16-bit PNG or TIFF whose structure has been checked."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)  # OpenCV would print what is raised here
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError("damaged, or compressed in a way that is not supported with 16 bits")
    if pixels.ndim == 2:
        pixels = pixels[..., None]

    orientation = 1  # OpenCV has turned a TIFF already
    invert, alpha = False, _ALPHA
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        invert = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        alpha = (*image.tag_v2.get(_EXTRA, ()), 0)[0]
    elif any(mark in data for mark in _PNG_EXIF):  # asking Pillow would decode all of it
        orientation = image.getexif().get(_ORIENTATION, 1)
    clear = image.info.get("transparency") if pixels.shape[2] == 1 else None

    height, width = pixels.shape[:2]
    out, view = _oriented(height, width, orientation)
    for top, bottom in _strips(height, width):
        strip = pixels[top:bottom]
        color = strip[..., 2::-1] if strip.shape[2] >= 3 else strip
        if invert:
            color = _FULL - color
        if strip.shape[2] == 4 and alpha in (_ALPHA, _PREMULTIPLIED):
            view[top:bottom] = _over_white(color, strip[..., 3:], alpha == _PREMULTIPLIED)
        else:
            view[top:bottom] = _EIGHT_BITS[color]
        if clear is not None:
            view[top:bottom][strip[..., 0] == clear] = 255
    return out


_EIGHT_BITS: NDArray[np.uint8] = ((np.arange(_FULL + 1) + 128) // 257).astype(np.uint8)
"""round(v / 257) for every 16-bit v."""


def _over_white(
    color: NDArray[np.uint16], alpha: NDArray[np.uint16], premultiplied: bool
) -> NDArray[np.uint8]:
    """16-bit color and opacity over white, rounded once to 8 bits."""
    opacity = alpha.astype(np.float64) / _FULL
    lit = color.astype(np.float64) if premultiplied else color * opacity
    mixed = (lit + _FULL * (1.0 - opacity)) / 257.0
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _strips(height: int, width: int) -> list[tuple[int, int]]:
    rows = max(1, _STRIP_PIXELS // width)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _oriented(
    height: int, width: int, orientation: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An empty image, and a view of it that takes pixels as they are stored (EXIF 2.32, 4.6.4 A).

    Writing through the view turns the image without another copy of it.
    """
    if orientation in _TURNED:
        out = np.empty((width, height, 3), np.uint8)
    else:
        out = np.empty((height, width, 3), np.uint8)
    view = out
    if orientation in (3, 4, 7, 8):
        view = view[::-1]
    if orientation in (2, 3, 6, 7):
        view = view[:, ::-1]
    if orientation in _TURNED:
        view = view.swapaxes(0, 1)
    return out, view
