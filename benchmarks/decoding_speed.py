"""What reading photos at the size that their crops need saves: decoding, and whole sets.

Decoding at 1/2, 1/4 and 1/8 of a photo's size against all of it, with the difference from exact
means; and triplets of the default crops, where photos are decoded at a fraction of their size,
against the same rows cut from whole photos. They take turns in one process; quoted are ratios of
processor time, medians over the rounds.

    python benchmarks/decoding_speed.py --source PHOTOS
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from bapps_gen.imaging.decode import decode_photo
from bapps_gen.imaging.photo import whole_size
from bapps_gen.pipelines.datasets.generate import ShardContext, prepare_shards
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.rows.crops import STEPS, CropPlanner
from bapps_gen.pipelines.sources.source import Source, open_source


def main() -> None:
    """Run both comparisons and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of photos, JPEGs most of all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200, help="triplets a round")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    source = open_source([options.source])
    compare_decoding(source, options.rounds)
    compare_sets(source, options.rounds, options.rows)


def compare_decoding(source: Source, rounds: int) -> None:
    """Decoding alone: a line for every photo."""
    for index, entry in enumerate(source.entries):
        data = source.read(index)
        seconds: dict[int, list[float]] = {}
        photos = {}
        for _ in range(rounds + 1):
            for step in (1, *STEPS):
                began = time.process_time()
                photos[step] = decode_photo(data, lambda _, step=step: step)
                seconds.setdefault(step, []).append(time.process_time() - began)
        whole = photos[1]
        parts = [f"{entry.name} {whole.width}×{whole.height}"]
        for step in sorted(STEPS):
            pixels = photos[step].pixels
            height, width = pixels.shape[0] * step, pixels.shape[1] * step
            if photos[step].step == step:
                means = cv2.resize(
                    whole.pixels[:height, :width], pixels.shape[1::-1], interpolation=cv2.INTER_AREA
                )
                error = np.abs(means.astype(int) - pixels)
                pairs = zip(seconds[1][1:], seconds[step][1:], strict=True)
                ratio = statistics.median(a / b for a, b in pairs)
                parts.append(
                    f"1/{step}: {ratio:.2f}× faster, off by {error.mean():.2f} levels, "
                    f"{np.percentile(error, 99):.0f} at most in 99 %"
                )
        print("; ".join(parts), flush=True)


def compare_sets(source: Source, rounds: int, rows: int) -> None:
    """Whole shards, each with photos that are decoded anew."""
    steps = CropPlanner.step
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[bool, list[float]] = {True: [], False: []}
        for reduced in (True, False):
            (Path(scratch) / str(reduced) / "data").mkdir(parents=True)
        request = Request("traditional", (rounds + 1) * rows, shard_size=rows)
        plan = request.resolve(Inputs(lambda: source))
        for turn in range(rounds + 1):
            for reduced in found:
                CropPlanner.step = steps if reduced else lambda _, shorter: whole_size(shorter)  # type: ignore[method-assign]
                make = prepare_shards(ShardContext(Path(scratch) / str(reduced), plan))
                began = time.process_time()
                make((turn,))
                found[reduced].append((time.process_time() - began) / rows)
        CropPlanner.step = steps  # type: ignore[method-assign]
    pairs = zip(found[False][1:], found[True][1:], strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    for reduced, name in ((False, "whole photos"), (True, "at the size needed")):
        print(f"{name}: {1e6 * statistics.median(found[reduced][1:]):.0f} µs a triplet")
    print(f"{ratio:.2f}× faster at the size needed")


if __name__ == "__main__":
    main()
