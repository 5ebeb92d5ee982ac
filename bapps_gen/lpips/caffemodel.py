"""Weights out of Caffe's binary files, without Caffe or a library for protocol buffers.

A file is one NetParameter message of caffe.proto (BVLC, 2014 and later). The format: protocol
buffers encoding, protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bapps_gen.errors import UserError
from bapps_gen.storage.locations import open_regular

# Numbers of fields in caffe.proto: NetParameter, and the layers of its two generations.
_LAYER, _LAYER_V1 = 100, 2
_NAME_BLOBS = {_LAYER: (1, 7), _LAYER_V1: (4, 6)}
# BlobProto; the four sizes are those of files from before shapes.
_SHAPE, _FLOATS, _DOUBLES = 7, 5, 8
_OLD_SIZES = (1, 2, 3, 4)


def read_caffemodel(path: Path) -> dict[str, list[Tensor]]:
    """The blobs of every layer that has any, float32, by the layer's name.

    Raises:
        UserError: for a file that is missing, damaged or of another format.
    """
    try:
        with open_regular(path) as file:
            data = memoryview(file.read())
    except OSError as error:
        raise UserError(f"weights file {path} cannot be read: {error.strerror}") from None
    try:
        layers = dict(_layers(data))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise UserError(
            f"weights file {path} cannot be read: it is damaged or no Caffe model ({error});"
            " replace it"
        ) from None
    if not layers:
        raise UserError(f"weights file {path} has no layers with weights; give a trained model")
    return layers


def _layers(data: memoryview) -> Iterator[tuple[str, list[Tensor]]]:
    for number, value in _fields(data):
        if number not in _NAME_BLOBS or not isinstance(value, memoryview):
            continue
        name_field, blob_field = _NAME_BLOBS[number]
        name, blobs = "", []
        for inner, part in _fields(value):
            if inner == name_field and isinstance(part, memoryview):
                name = bytes(part).decode()
            elif inner == blob_field and isinstance(part, memoryview):
                blobs.append(_blob(part))
        if blobs:
            yield name, blobs


def _blob(data: memoryview) -> Tensor:
    sizes: dict[int, int] = {}
    shape: list[int] | None = None
    values: list[NDArray[np.float32]] = []
    for number, value in _fields(data):
        if number == _SHAPE and isinstance(value, memoryview):
            shape = [size for field, part in _fields(value) if field == 1 for size in _whole(part)]
        elif number in (_FLOATS, _DOUBLES) and isinstance(value, memoryview):
            # Packed, or one number in each field.
            kind = "<f4" if number == _FLOATS else "<f8"
            values.append(np.frombuffer(value, kind).astype(np.float32))
        elif number in _OLD_SIZES and isinstance(value, int):
            sizes[number] = value
    if shape is None:
        shape = [sizes.get(number, 1) for number in _OLD_SIZES]
    flat = np.concatenate(values) if values else np.zeros(0, np.float32)
    return torch.from_numpy(flat.reshape(shape))


def _whole(value: int | memoryview) -> list[int]:
    """Whole numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message; of fixed width as its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | memoryview
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 2, 5):
            length = {1: 8, 5: 4}.get(kind, 0)
            if kind == 2:
                length, at = _varint(data, at)
            if number == 0 or length > len(data) - at:
                raise ValueError("a field is longer than the file")
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        yield number, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")
