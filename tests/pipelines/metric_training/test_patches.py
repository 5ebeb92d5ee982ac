"""Patches decoded once for training."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bapps_gen.errors import WorkError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import TripletDataset
from bapps_gen.pipelines.metric_training import patches
from bapps_gen.pipelines.metric_training.data import JudgedPart
from bapps_gen.pipelines.metric_training.patches import decode_patches


def part(dataset: Path, rows: Any) -> JudgedPart:
    """Rows of a dataset as if they were judged."""
    chosen = np.asarray(rows)
    values = np.zeros(len(chosen))
    photos = np.full(len(chosen), b"0" * 64)
    return JudgedPart(open_dataset(dataset), chosen, values, values, photos, True)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_of_all_parts_lie_in_order(dataset: Path, tmp_path: Path, workers: int) -> None:
    wanted = [[0, 3, 29, 30, 69], list(range(31, 60, 2))]
    parts = [part(dataset, rows) for rows in wanted]
    held = decode_patches(tmp_path / "patches.u8", parts, workers)
    triplets = TripletDataset(dataset)
    assert held.shape == (20, 3, 64, 64, 3)
    for patch, row in zip(held, itertools.chain(*wanted), strict=True):
        triplet = triplets[row]
        wanted_patch = np.stack([triplet[name] for name in ("ref", "p0", "p1")])
        np.testing.assert_allclose(patch.transpose(0, 3, 1, 2) / 127.5 - 1, wanted_patch, atol=1e-6)


def test_a_file_that_is_whole_is_used_again(
    dataset: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / "patches.u8"
    first = np.array(decode_patches(path, [part(dataset, [1, 2])], 1))
    monkeypatch.setattr(patches, "run_jobs", None)
    np.testing.assert_array_equal(decode_patches(path, [part(dataset, [1, 2])], 1), first)


def test_a_disk_without_room_is_named_before_anything_is_decoded(
    dataset: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(patches, "free_bytes", lambda _: 1000)
    with pytest.raises(WorkError, match="the decoded patches of 2 rows take 74 kB"):
        decode_patches(tmp_path / "patches.u8", [part(dataset, [1, 2])], 1)
    assert not list(tmp_path.iterdir())
