"""Image files to uint8 RGB arrays.

Conventions: transparency is composited over white; 16-bit samples v become round(v / 257); colors
are converted to sRGB by the image's ICC profile (`imaging.color`), CMYK and YCCK without one by
Pillow's plain conversion; EXIF rotation is applied; of several pages or frames the first is taken;
camera raw files are developed (`imaging.raw`).

Pillow decodes, since it refuses truncated data that OpenCV lets pass; whole color JPEGs, by far
the most, go through simplejpeg (libjpeg-turbo as well), in half the memory, and at 1/2, 1/4 or 1/8
of their size where that is enough: the decoder then leaves out high frequencies, which gives means
over squares but for rounding. Pillow cuts 16-bit color to its high byte, though, so 16-bit files
are decoded by OpenCV once Pillow has checked them. Damage that leaves a decodable stream is noticed
only where the format has checksums (PNG, deflated TIFF).
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

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
from bapps_gen.imaging.color import Conversion, conversion_of
from bapps_gen.imaging.deep import PNG_EXIF, WHITE_IS_ZERO, decode_deep
from bapps_gen.imaging.photo import (
    TURNED,
    Photo,
    StepOf,
    oriented,
    strips,
    turned_photo,
    whole_photo,
    whole_size,
)
from bapps_gen.imaging.raw import RAW_SUFFIXES, decode_raw, is_raw, raw_size
from bapps_gen.storage.locations import missing_path, open_regular

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"),
    *RAW_SUFFIXES,
)
"""Endings of files that are taken for images, in lower case."""

MAX_PIXELS = 400_000_000
"""Larger images are refused by their header; our own choice, above any camera's."""

_READABLE = "JPEG, PNG, TIFF, WebP, BMP or camera raw"
_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
)

# Tags of TIFF 6.0.
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 262, 277, 284, 339
_SEGMENTS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_WIDTH, _LENGTH = 256, 257
_ORIENTATION = 0x0112
_BLACK_IS_ZERO, _RGB, _SEPARATED = 1, 2, 5
_DEEP_PHOTOMETRIC = (WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)


def decode_image(data: bytes, *, reserve: Callable[[int], None] | None = None) -> NDArray[np.uint8]:
    """The image in an encoded file.

    Args:
        data: content of a JPEG, PNG, TIFF, WebP, BMP or camera raw file.
        reserve: see `decode_photo`.

    Returns:
        uint8 (H, W, 3), RGB, C-contiguous.

    Raises:
        As `decode_photo`.
    """
    return decode_photo(data, reserve=reserve).pixels


def decode_photo(
    data: bytes,
    step_of: StepOf = whole_size,
    *,
    reserve: Callable[[int], None] | None = None,
) -> Photo:
    """The photo in an encoded file, reduced where its decoder can do that.

    That is so of color JPEGs and, to half their size, of camera raw files. What comes out depends
    on the file and the factor alone.

    Args:
        data: content of a JPEG, PNG, TIFF, WebP, BMP or camera raw file.
        step_of: the factor by which it may be reduced.
        reserve: called before anything is decoded with the bytes that decoding takes at its
            height: 7 a pixel, the array and Pillow's copy (progressive JPEGs, 16-bit, animated
            and raw files take more).

    Raises:
        ImageError: for anything but a whole image of a supported kind; its text is the reason.
        UserError: for a camera raw file without the extra `raw`.
        WorkError: when memory runs out.
    """
    with _decoding(data):
        return _decode(data, step_of, reserve)


def image_size(data: bytes) -> tuple[int, int]:
    """Height and width in px of the array that `decode_image` gives, from the header alone.

    Raises:
        ImageError: when the header is not one of a supported kind. Pixels are not looked at.
        WorkError: when memory runs out.
    """
    with _decoding(data):
        if is_raw(data):
            return raw_size(data)
        image, _ = _open(data)
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            # Some versions of Pillow turn the size at once, others when the pixels are read.
            width, height = image.tag_v2[_WIDTH], image.tag_v2[_LENGTH]
            orientation = image.tag_v2.get(_ORIENTATION, 1)
        elif image.format == "PNG" and not any(mark in data for mark in PNG_EXIF):
            orientation = 1  # asking Pillow would decode all of it
        else:
            orientation = image.getexif().get(_ORIENTATION, 1)
        return (width, height) if orientation in TURNED else (height, width)


@contextlib.contextmanager
def _decoding(data: bytes) -> Iterator[None]:
    """Ignore warnings of decoders, and turn their exceptions into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, UserError, WorkError):
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
        path: of a JPEG, PNG, TIFF or WebP file (8 or 16 bit, gray, RGBA, CMYK), or, with the
            extra `raw`, of a camera raw file.

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


def _decode(data: bytes, step_of: StepOf, reserve: Callable[[int], None] | None) -> Photo:
    if is_raw(data):
        return decode_raw(data, step_of, reserve, _check_pixels)
    image, deep = _open(data)
    width, height = image.size
    _check_pixels(height, width)
    is_color_jpeg = image.format == "JPEG" and image.mode == "RGB"
    step = step_of(min(height, width)) if is_color_jpeg else 1
    if reserve is not None:
        reserve(-(-width // step) * -(-height // step) * (3 + 4))
    if image.format == "PNG":
        _verify_png(data)
    conversion = conversion_of(image.info.get("icc_profile"), image.mode)
    if is_color_jpeg:
        pixels = _decode_color_jpeg(data, height, width, step)
        if pixels is not None:
            if conversion:
                conversion.convert(pixels)
            orientation = image.getexif().get(_ORIENTATION, 1)
            return turned_photo(pixels, height, width, step, orientation)
    pixels = decode_deep(data, image) if deep else _decode_with_pillow(image, conversion)
    if conversion and conversion.mode != "CMYK":
        conversion.convert(pixels)
    return whole_photo(pixels)


def _check_pixels(height: int, width: int) -> None:
    """Raise ImageError for an image without pixels, or with too many."""
    if width < 1 or height < 1:
        raise ImageError(f"{width}×{height} px has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width}×{height} px is more than the {MAX_PIXELS // 1_000_000} million pixels allowed"
        )


def _decode_with_pillow(
    image: ImageFile.ImageFile, conversion: Conversion | None
) -> NDArray[np.uint8]:
    """The pixels of an 8-bit image, converted to sRGB by a profile of CMYK only."""
    image.load()
    if image.mode not in _MODES:
        raise ImageError(f"{image.format} of mode {image.mode} is not supported; save it as RGB")
    # Asked after loading: PNG may keep EXIF behind the pixels, and TIFF is turned by Pillow.
    out, view = oriented(image.height, image.width, image.getexif().get(_ORIENTATION, 1))
    for top, bottom in strips(image.height, image.width):
        strip = image.crop((0, top, image.width, bottom))
        if conversion and conversion.mode == "CMYK":
            strip = conversion.apply(strip)
        view[top:bottom] = _to_rgb(strip)
    return out


def _decode_color_jpeg(data: bytes, height: int, width: int, step: int) -> NDArray[np.uint8] | None:
    """A JPEG's pixels in half of Pillow's memory; None where Pillow is left to say what is wrong.

    Strict: libjpeg warns of data cut short, but of harmless oddities too.

    Args:
        height, width: as stored.
        step: 1, 2, 4 or 8; height / step and width / step are rounded up.
    """
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data,
            "RGB",
            fastdct=False,
            fastupsample=False,
            # The smallest size that is at least this; decoders have sixteenths in between.
            min_height=-(-height // step),
            min_width=-(-width // step),
            strict=True,
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
