"""What a trained distorter does to held-out patches: its record, its verdict and its sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.checkpoint import weights_of
from bapps_gen.cnn_distorters.color_shift import color_shift, sum_shifts
from bapps_gen.cnn_distorters.rendering import render_network, rendering_network
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.trainer import TrainingError
from bapps_gen.cnn_distorters.verdict import classify, collapse_of
from bapps_gen.imaging.sheet import SheetRow, draw_sheet
from bapps_gen.seeding import Streams

_SHEET_PATCHES = 12


def finite_tensors(spec: DistorterSpec, network: Any) -> dict[str, Any]:
    """A network's weights as they are kept, rounded to float16.

    Raises:
        TrainingError: when one is too large.
    """
    import torch

    tensors: dict[str, Any] = weights_of(network)
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(f"distorter '{spec.id}' diverged: {name} is beyond float16")
    return tensors


def evaluate(
    spec: DistorterSpec, tensors: dict[str, Any], patches: NDArray[np.uint8]
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Distort held-out patches with rounded weights, as every user will have them.

    Args:
        tensors: the distorter's weights, of `finite_tensors`.
        patches: uint8 (N, 64, 64, 3).

    Returns:
        the record's entry on them, and a contact sheet, uint8 (H, W, 3).

    Raises:
        TrainingError: when outputs are flat, or the same for every patch.
    """
    from bapps_gen.cnn_distorters.corruption import corrupt
    from bapps_gen.lpips import load_lpips

    seeds, streams = range(len(patches)), Streams()
    outputs = render_network(rendering_network(spec, tensors), spec, patches, seeds, streams)
    collapse = collapse_of(outputs)
    if collapse is not None:
        raise TrainingError(
            f"distorter '{spec.id}' collapsed: its outputs are {collapse}; lower its "
            f"learning_rate ({spec.learning_rate:g}) or its gan_weight ({spec.gan_weight:g})"
        )
    metric = load_lpips("alex")
    distances = metric.distance(patches, outputs).double().numpy()
    corrupted = corrupt(spec, patches, seeds, streams)
    shift = color_shift(sum_shifts(patches, outputs))
    record = {
        "patches": len(patches),
        "lpips": _statistics(distances),
        "lpips_corrupted": _statistics(metric.distance(patches, corrupted).double().numpy()),
        "color_shift": shift.values(),
        "verdict": classify(distances, shift=shift, keeps_color=spec.keeps_color),
    }
    rows = [
        SheetRow(
            (patches[index], corrupted[index], outputs[index]),
            (("held-out",), (spec.corruption,), (spec.id, f"  LPIPS {distances[index]:.3f}")),
        )
        for index in range(min(_SHEET_PATCHES, len(patches)))
    ]
    return record, draw_sheet(rows, zoom=2, across=3)


def _statistics(values: NDArray[np.float64]) -> dict[str, float]:
    statistics = {
        "min": values.min(),
        "median": np.median(values),
        "mean": values.mean(),
        "max": values.max(),
    }
    return {name: round(float(value), 5) for name, value in statistics.items()}
