"""Datasets that simulated observers judged, made small."""

from __future__ import annotations

from pathlib import Path

import bapps_gen
from bapps_gen.manifests.dataset import Dataset, open_dataset
from support.datasets import make, photo, save_photo

NET = """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        small = torch.nn.functional.avg_pool2d(x, 4)
        return [x.abs() + 0.1, torch.cat([small, -small], 1).relu()]

net = Net()
"""
"""A Python file with a feature net of 3 and 6 channels."""


def save_net(folder: Path, text: str = NET) -> str:
    """Write a feature net's file; gives the text that names the net."""
    path = folder / "mine.py"
    path.write_text(text)
    return f"features:{path}:net"


def save_photos(folder: Path, seeds: range) -> Path:
    """A folder of photos."""
    for seed in seeds:
        save_photo(folder / f"photo{seed}.png", photo(seed))
    return folder


def judged_set(
    photos: Path, out: Path, rows: int, *options: str, metric: str = "l2", noise: float = 0.01
) -> Dataset:
    """A dataset of triplets whose rows observers with a metric in their heads judged."""
    assert make(photos, out, rows, *options) == 0
    votes = bapps_gen.simulate(out, metric, judgments=3, noise=noise, workers=1)
    bapps_gen.judge(out, votes=votes, in_shards=False)
    return open_dataset(out)
