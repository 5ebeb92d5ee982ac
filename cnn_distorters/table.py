"""The 96 distorters of this package: a literal, versioned table.

The paper makes 96 "denoising autoencoders" over the axes of its table 2 (right) but publishes
neither the values nor the combinations. The values here are our own choice, small enough that two
cores train all 96 in an hour. They were drawn once, uniformly over the values of every axis, and
drawn again where a network

- had more than 420,000 weights, or took more than 150 million operations a patch;
- was an autoencoder that could learn the identity (a path at nearly full resolution);
- had no path from input to output of at least 8×8 positions and 24 channels for a 64×64 patch, or
  normalized by instance over fewer than 4×4 positions: after a short training such networks give
  the mean photo instead of the given one.

For the same reason networks with normalization by instance, which takes the mean out of every
inner map, and those without the pixelwise loss have a skip connection at the highest level.

The seed of a distorter is its number.
"""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import Any

from bapps_gen.cnn_distorters.spec import DistorterSpec

TABLE_VERSION = 2
"""Raised whenever a row changes; ids are never used again for another spec."""

# Columns are the arguments of DistorterSpec in order, without the seed: id, corruption,
# strength; layers, skips, dropout_layers, top_skip, upsampling, normalization, first_stride,
# first_channels, max_channels; discriminator_layers; weights of l1, feature and gan, gan,
# learning_rate.
_ROWS = """
000 null          0    5 2 0 no  bilinear   none     2 8  32 3 1   0.1 0.01  hinge 0.0015
001 null          0    3 1 0 yes subpixel   instance 2 12 64 0 1   0.3 0     bce   0.003
002 null          0    4 2 0 yes subpixel   instance 2 12 32 1 1   0   0.01  hinge 0.0015
003 null          0    3 2 0 no  nearest    none     2 24 48 3 0.1 1   0.01  hinge 0.0007
004 null          0    3 0 1 yes bilinear   instance 2 12 32 0 0.1 0.3 0     bce   0.003
005 null          0    2 0 0 yes transposed instance 2 16 24 3 1   0.1 0.005 hinge 0.0015
006 null          0    3 0 0 yes subpixel   instance 2 12 32 2 0.1 0.3 0.01  bce   0.0007
007 null          0    5 2 1 no  bilinear   none     1 24 32 0 1   0.3 0     bce   0.0015
008 null          0    4 0 2 yes subpixel   none     2 12 96 0 0.3 1   0     bce   0.0015
009 null          0    4 0 1 yes nearest    instance 2 16 48 1 1   0.3 0.01  bce   0.0007
010 null          0    4 0 0 no  subpixel   none     1 8  64 2 0.1 1   0.01  bce   0.0007
011 null          0    2 0 0 no  bilinear   none     2 12 32 3 1   1   0.005 bce   0.0015
012 null          0    5 4 0 no  bilinear   none     2 12 96 0 0.3 0.3 0     bce   0.0015
013 null          0    3 0 2 yes nearest    instance 2 16 64 2 0.1 0.3 0.01  hinge 0.0007
014 null          0    5 2 2 no  transposed batch    1 16 48 2 1   0.1 0.03  bce   0.003
015 null          0    2 0 0 yes bilinear   instance 2 8  96 2 1   0   0.005 hinge 0.0015
016 pink_noise    0.05 5 2 2 no  nearest    none     1 12 24 2 0.1 0.3 0.01  bce   0.0007
017 pink_noise    0.1  2 1 0 no  bilinear   none     2 24 24 1 0.3 0.1 0.01  hinge 0.003
018 pink_noise    0.15 4 0 1 yes bilinear   instance 1 8  48 0 1   0.1 0     hinge 0.0007
019 pink_noise    0.05 4 2 0 no  bilinear   batch    2 16 32 2 0.1 1   0.01  hinge 0.0007
020 pink_noise    0.1  4 0 2 yes transposed instance 2 8  96 1 0.1 0.3 0.005 bce   0.0007
021 pink_noise    0.15 4 3 1 no  nearest    batch    1 24 32 0 0.3 1   0     hinge 0.0015
022 pink_noise    0.05 3 0 0 no  nearest    none     2 24 96 0 1   0.1 0     bce   0.0015
023 pink_noise    0.1  3 0 0 no  bilinear   none     2 16 96 0 0.1 1   0     hinge 0.0007
024 pink_noise    0.15 5 0 0 yes nearest    instance 1 8  24 3 0.3 0.1 0.01  bce   0.003
025 pink_noise    0.05 4 3 0 no  subpixel   none     2 8  24 0 0   0.3 0     hinge 0.0015
026 pink_noise    0.1  4 3 0 no  subpixel   none     2 8  24 0 0.3 1   0     bce   0.0007
027 pink_noise    0.15 5 0 1 yes transposed none     1 24 48 3 1   1   0.03  hinge 0.0015
028 pink_noise    0.05 4 2 1 no  subpixel   batch    2 24 24 2 0.3 0   0.005 hinge 0.0015
029 pink_noise    0.1  2 1 0 no  nearest    instance 2 24 48 1 0   0.3 0.01  bce   0.0015
030 pink_noise    0.15 4 0 2 yes nearest    instance 2 24 96 0 1   0.3 0     bce   0.0015
031 pink_noise    0.05 3 0 1 yes transposed batch    2 8  32 1 0   0.3 0.005 bce   0.0015
032 pink_noise    0.1  4 3 0 no  nearest    none     2 16 24 3 0.1 1   0.005 bce   0.0015
033 pink_noise    0.15 3 0 2 yes subpixel   instance 1 16 48 2 0.3 0   0.01  bce   0.0007
034 pink_noise    0.05 4 2 2 no  nearest    batch    2 8  24 0 1   0   0     bce   0.0007
035 pink_noise    0.1  2 0 0 yes transposed instance 2 12 64 0 1   0.3 0     hinge 0.0015
036 white_noise   0.05 2 1 1 no  bilinear   instance 2 8  24 1 0.3 0.3 0.03  hinge 0.0015
037 white_noise   0.1  3 0 1 no  transposed batch    2 16 32 3 1   0.3 0.03  hinge 0.003
038 white_noise   0.18 4 0 0 yes subpixel   batch    2 8  24 3 0   0.3 0.01  hinge 0.0007
039 white_noise   0.05 3 1 0 no  transposed batch    2 16 48 0 1   0.1 0     bce   0.0015
040 white_noise   0.1  2 0 1 yes subpixel   batch    1 12 64 3 0   0.3 0.005 hinge 0.0007
041 white_noise   0.18 4 2 1 yes transposed instance 2 12 96 0 1   1   0     bce   0.0007
042 white_noise   0.05 5 4 0 no  bilinear   none     1 8  24 0 0.3 0.1 0     bce   0.0007
043 white_noise   0.1  2 0 0 yes subpixel   batch    2 16 64 1 1   0   0.01  bce   0.003
044 white_noise   0.18 3 1 0 yes transposed instance 2 16 32 1 0.3 0   0.01  hinge 0.003
045 white_noise   0.05 3 0 1 yes subpixel   instance 2 12 24 1 0.3 1   0.01  hinge 0.0015
046 white_noise   0.1  3 0 0 no  subpixel   none     1 12 96 0 1   0   0     hinge 0.0015
047 white_noise   0.18 2 0 1 yes subpixel   instance 2 8  24 0 0.1 0.3 0     bce   0.0015
048 white_noise   0.1  3 0 0 yes transposed batch    1 12 24 0 1   1   0     hinge 0.0007
049 white_noise   0.1  4 0 0 no  bilinear   batch    1 24 32 1 0.3 0   0.005 hinge 0.003
050 white_noise   0.18 3 1 2 no  transposed none     1 8  32 0 0.1 1   0     bce   0.0015
051 white_noise   0.05 2 0 1 no  subpixel   batch    1 8  24 1 0.3 0.1 0.01  bce   0.003
052 white_noise   0.1  3 2 0 no  bilinear   instance 1 12 64 1 0.1 1   0.005 bce   0.003
053 white_noise   0.18 3 0 0 no  subpixel   batch    2 16 48 0 1   0.1 0     hinge 0.0015
054 white_noise   0.05 3 1 2 yes nearest    instance 2 24 96 2 1   0.3 0.01  hinge 0.0015
055 white_noise   0.1  3 1 0 no  subpixel   none     2 8  64 0 0.3 1   0     hinge 0.0015
056 color_removal 1    5 2 0 no  nearest    batch    1 8  96 1 1   1   0.03  hinge 0.003
057 color_removal 1    2 0 1 no  subpixel   batch    2 16 48 1 1   0   0.03  bce   0.0015
058 color_removal 0.7  3 2 1 no  transposed instance 2 8  48 0 0.3 0.3 0     bce   0.0007
059 color_removal 1    3 0 2 yes nearest    none     2 8  64 0 0.3 1   0     hinge 0.0007
060 color_removal 1    5 2 1 yes bilinear   none     2 24 48 3 0.1 0.3 0.01  hinge 0.0015
061 color_removal 0.7  2 1 1 no  transposed batch    2 24 32 0 0.1 0.3 0     hinge 0.003
062 color_removal 1    3 0 2 yes nearest    instance 1 24 48 3 0   1   0.01  hinge 0.0015
063 color_removal 1    4 0 2 yes transposed batch    2 24 48 1 1   0.1 0.005 hinge 0.0015
064 color_removal 0.7  3 0 0 no  bilinear   batch    1 8  64 0 0.3 0   0     bce   0.003
065 color_removal 1    3 1 2 no  transposed batch    2 12 32 2 0.1 0.3 0.01  hinge 0.0015
066 color_removal 1    5 0 0 yes subpixel   instance 1 12 64 3 0.1 0.3 0.01  hinge 0.0007
067 color_removal 1    3 0 1 yes nearest    instance 2 12 24 0 0.1 1   0     bce   0.0015
068 color_removal 1    3 2 1 no  bilinear   batch    2 16 64 0 0   0.3 0     bce   0.0015
069 color_removal 1    4 2 2 yes nearest    batch    2 24 64 2 0.1 0.3 0.005 bce   0.0015
070 color_removal 0.7  4 3 2 no  transposed none     2 12 32 2 0.1 0.3 0.005 hinge 0.0007
071 color_removal 1    4 3 0 no  subpixel   instance 2 12 24 2 1   1   0.03  hinge 0.003
072 color_removal 1    4 0 0 yes transposed instance 1 12 32 0 1   0   0     bce   0.0007
073 color_removal 0.7  4 0 0 yes nearest    batch    2 12 24 0 0.3 0   0     hinge 0.0015
074 downsampling  2    5 0 0 yes transposed instance 1 12 64 2 1   0.1 0.03  hinge 0.0015
075 downsampling  3    4 2 1 no  bilinear   none     2 16 48 0 0.1 1   0     hinge 0.0015
076 downsampling  4    3 0 1 yes transposed instance 1 12 24 3 0   0.3 0.01  bce   0.003
077 downsampling  2    3 1 1 yes bilinear   batch    2 24 32 2 0   0.3 0.01  bce   0.003
078 downsampling  3    2 0 0 yes subpixel   none     2 16 64 0 0   0.3 0     hinge 0.0015
079 downsampling  4    2 1 1 no  nearest    none     2 24 48 2 1   0   0.01  hinge 0.003
080 downsampling  2    4 0 1 yes nearest    none     1 12 96 0 0.3 0.3 0     hinge 0.003
081 downsampling  3    4 2 0 yes nearest    batch    2 12 48 0 0.1 0.3 0     bce   0.0007
082 downsampling  4    4 2 0 no  nearest    none     2 16 96 3 1   0.3 0.01  hinge 0.003
083 downsampling  2    5 2 1 yes nearest    batch    2 8  48 3 1   1   0.005 hinge 0.0015
084 downsampling  3    3 2 2 no  bilinear   batch    2 16 64 1 1   0   0.005 bce   0.003
085 downsampling  4    2 1 0 no  bilinear   none     1 24 64 3 0.1 0.3 0.01  bce   0.0015
086 downsampling  2    4 2 0 no  transposed batch    2 24 32 0 1   0.3 0     hinge 0.0015
087 downsampling  3    4 3 0 no  subpixel   batch    2 16 24 3 1   1   0.03  hinge 0.0015
088 downsampling  4    4 3 2 no  bilinear   none     1 16 32 1 1   0.3 0.03  hinge 0.0015
089 downsampling  2    4 3 0 no  bilinear   batch    2 24 96 2 0   0.3 0.005 bce   0.003
090 downsampling  3    3 2 0 no  transposed none     2 8  96 3 0.3 0   0.005 bce   0.0015
091 downsampling  4    4 2 1 yes transposed instance 2 24 32 0 0.3 0   0     bce   0.0015
092 downsampling  2    2 0 1 no  nearest    none     2 8  32 1 0.3 0   0.03  bce   0.003
093 downsampling  3    5 0 0 yes bilinear   batch    2 8  96 2 0   0.3 0.01  bce   0.0015
094 downsampling  4    5 4 2 no  transposed none     2 16 64 0 0.1 0.3 0     bce   0.0015
095 downsampling  2    4 3 0 no  nearest    none     1 16 64 0 0.3 0.3 0     bce   0.0007
"""


@functools.cache
def shipped_specs() -> tuple[DistorterSpec, ...]:
    """The specs of the 96 distorters, ids "000" to "095"."""
    lines = _ROWS.strip().splitlines()
    return tuple(_spec(number, line.split()) for number, line in enumerate(lines))


def _spec(number: int, cells: list[str]) -> DistorterSpec:
    values: dict[str, Any] = {}
    for field, cell in zip(fields(DistorterSpec)[:-1], cells, strict=True):
        match field.type:
            case "int":
                values[field.name] = int(cell)
            case "float":
                values[field.name] = float(cell)
            case "bool":
                values[field.name] = {"yes": True, "no": False}[cell]
            case _:
                values[field.name] = cell
    return DistorterSpec(seed=number, **values)
