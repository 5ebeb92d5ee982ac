"""Files of AlexNets in Caffe's form with random weights, and LPIPS over any net."""

from __future__ import annotations

import struct

import numpy as np
import torch

from bapps_gen.lpips.feature_net import FeatureNet
from bapps_gen.lpips.metric import Lpips


def lpips_over(net: FeatureNet, dtype: str = "float32") -> Lpips:
    """LPIPS with all weights 1 on the CPU."""
    return Lpips(net, None, device=torch.device("cpu"), dtype=dtype)


SHAPES = ((96, 3, 11, 11), (256, 48, 5, 5), (384, 256, 3, 3), (384, 192, 3, 3), (256, 192, 3, 3))


def random_blobs(seed=0, shapes=SHAPES):
    """(weight, bias) of five convolutions."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32),
            rng.normal(0, 0.1, shape[0]).astype(np.float32),
        )
        for shape in shapes
    ]


def state_dict(blobs, form="conv{}"):
    names = [form.format(number) for number in range(1, 6)]
    return {
        f"{name}.{kind}": torch.from_numpy(value)
        for name, pair in zip(names, blobs, strict=True)
        for kind, value in zip(("weight", "bias"), pair, strict=True)
    }


# Caffe's binary files, written as protocol buffers by hand.


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(value, old=False):
    flat = np.asarray(value, "<f4")
    data = field(5, flat.tobytes())
    if old:
        sizes = (1,) * (4 - flat.ndim) + flat.shape
        return b"".join(field(number, size) for number, size in enumerate(sizes, 1)) + data
    return data + field(7, field(1, b"".join(varint(size) for size in flat.shape)))


def caffemodel(layers, old=False):
    """NetParameter of (name, type, blobs); of the generation before LayerParameter with `old`."""
    out = field(1, b"CaffeNet")
    for name, kind, blobs in layers:
        name_field, blob_field = (4, 6) if old else (1, 7)
        content = field(name_field, name.encode())
        content += b"" if old else field(2, kind.encode())
        content += varint(5 << 3 | 5) + struct.pack(
            "<f", 1.0
        )  # a field of fixed width: loss weight
        content += b"".join(field(blob_field, blob(value, old)) for value in blobs)
        out += field(2 if old else 100, content)
    return out


def convolution_layers(blobs):
    return [(f"conv{number}", "Convolution", pair) for number, pair in enumerate(blobs, 1)]
