"""A zoo of CNN distorters, made small and untrained: it distorts as well as any."""

from __future__ import annotations

from pathlib import Path

import torch

from bapps_gen.cnn_distorters.checkpoint import weights_of, write_distorter
from bapps_gen.cnn_distorters.network import build_network, initialize
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.zoo import distorter_path, write_index

SMALL = {"layers": 2, "first_channels": 8, "max_channels": 8}
SPECS = (
    DistorterSpec("000", "null", seed=1, **SMALL),
    DistorterSpec("001", "white_noise", 0.1, seed=2, normalization="batch", **SMALL),
    DistorterSpec(
        "002", "pink_noise", 0.1, seed=3, upsampling="bilinear", normalization="instance", **SMALL
    ),
    DistorterSpec("003", "color_removal", 1.0, seed=4, upsampling="transposed", skips=1, **SMALL),
    DistorterSpec("mine-4", "downsampling", 2, seed=5, upsampling="subpixel", **SMALL),
)
IDS = tuple(spec.id for spec in SPECS)


def write_zoo(folder: Path, specs: tuple[DistorterSpec, ...] = SPECS, weights: int = 0) -> Path:
    """A zoo of untrained distorters in a new folder, which is returned."""
    folder.mkdir(parents=True)
    for spec in specs:
        network = build_network(spec)
        initialize(network, torch.Generator().manual_seed(weights + spec.seed))
        write_distorter(distorter_path(folder, spec.id), spec, weights_of(network), {})
    write_index(folder, specs, None)
    return folder
