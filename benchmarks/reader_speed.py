"""Triplets a second that `TripletDataset` reads in random order, against Hugging Face `datasets`.

    OMP_NUM_THREADS=1 python benchmarks/reader_speed.py [--rows N] [--read N] [--rounds R]

Makes a dataset of N rows in a temporary folder (or takes `--dataset`), which may be a URL, and
reads `--read` of its rows through a shuffling `DataLoader`, batches of 32, with no worker and with
two, to float32 tensors in [-1, 1]. `datasets` has its rows converted to Arrow beforehand, as
`load_dataset` does, and they are turned into the same tensors. Each round reads other rows; ways
alternate. Medians, and the median of the rounds' ratios, with the least.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

import bapps_gen
from bapps_gen.manifests.rows import PATCHES

torch.set_num_threads(1)


class Decoded(Dataset[dict[str, Any]]):
    """Rows of `datasets` as `TripletDataset` gives them."""

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows.select_columns(["id", *PATCHES, "judge"])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        patches = np.stack([np.asarray(row[name]) for name in PATCHES])
        scaled = torch.from_numpy(patches).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        judge = torch.tensor(float("nan") if row["judge"] is None else row["judge"])
        return {"id": row["id"], "judge": judge, **dict(zip(PATCHES, scaled, strict=True))}


def rate(data: Dataset[dict[str, Any]], indices: list[int], workers: int) -> float:
    """Rows a second of one pass over some rows in random order, without the start of workers."""
    loader = DataLoader(Subset(data, indices), batch_size=32, shuffle=True, num_workers=workers)
    batches = iter(loader)
    next(batches)
    # Without workers, processor time says more on a machine that others use.
    clock = time.perf_counter if workers else time.process_time
    began = clock()
    rows = sum(len(batch["id"]) for batch in batches)
    return rows / (clock() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--dataset", help="folder or URL of a dataset")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--read", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.dataset or os.path.join(scratch, "set")
        if options.dataset is None:
            bapps_gen.make_dataset("traditional", rows=options.rows, out=folder)
        datasets.disable_progress_bars()
        loaded = datasets.load_dataset(
            "parquet", data_files=f"{folder}/data/*.parquet", cache_dir=scratch, split="train"
        )
        contenders = {"ours": bapps_gen.TripletDataset(folder), "datasets": Decoded(loaded)}
        shuffled = np.random.default_rng(0).permutation(len(loaded)).tolist()
        for workers in (0, 2):
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for turn in range(options.rounds):
                first = turn * options.read % len(loaded)
                for name, data in contenders.items():
                    indices = shuffled[first : first + options.read]
                    rates[name].append(rate(data, indices, workers))
            ratios = [a / b for a, b in zip(rates["ours"], rates["datasets"], strict=True)]
            ours, theirs = (statistics.median(rates[name]) for name in contenders)
            print(
                f"{workers} workers: {ours:.0f} rows/s, datasets {datasets.__version__} "
                f"{theirs:.0f} rows/s, ratio {statistics.median(ratios):.2f} "
                f"(least {min(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
