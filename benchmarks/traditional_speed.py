"""Triplets a second against two loops that a researcher might write; ratios from one run.

Every contender does the same work: ten triplets from each photo, crops at scales of 1 to 1/4, one
or two operations a side (the same share of singles), lossless files on disk. Photos are opened as
each would open them: the loops read one for every ten triplets, bapps-gen decodes it once and
keeps it while it has room. With --decoded the loops get theirs decoded beforehand, for nothing.

They take turns in one process, so that a machine's changing speed touches all alike; quoted are
medians of the ratios turn by turn.

    pip install albumentations==2.0.8
    python benchmarks/traditional_speed.py --source PHOTOS [--decoded]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

import peers
from bapps_gen.pipelines.datasets.generate import ShardContext, prepare_shards
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.rows.options import reductions_of
from bapps_gen.pipelines.sources.source import open_source

SCALES = (0.25, 1.0)


def main() -> None:
    """Run the contenders in turn and print their rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=5000, help="triplets a round")
    parser.add_argument("--decoded", action="store_true", help="decode the loops' photos before")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(0)

    source = open_source([options.source])
    paths = [Path(options.source) / entry.name for entry in source.entries]
    rng = np.random.default_rng(0)
    operations = {
        "albumentations + Pillow PNG": (
            peers.albumentations_sides(rng),
            peers.read_with_pillow,
            peers.write_with_pillow,
        ),
        "cv2 + numpy + cv2 PNG": (
            peers.plain_sides(rng),
            peers.read_with_opencv,
            peers.write_with_opencv,
        ),
    }
    decoded = [peers.read_with_opencv(path) for path in paths] if options.decoded else []

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rounds = options.rounds + 1
        request = Request(
            "traditional", rounds * options.rows, shard_size=options.rows, scale_range=SCALES
        )
        plan = request.resolve(Inputs(lambda: source))
        reductions = reductions_of(SCALES)
        (folder / "data").mkdir()
        make_shards = prepare_shards(ShardContext(folder, plan))

        def loop(name: str, turn: int) -> None:
            distort, read, write = operations[name]
            place = folder / f"{name}-{turn}"
            photos = cycle(decoded) if decoded else map(read, cycle(paths))
            peers.run_loop(photos, place, options.rows, distort, write, reductions, rng)

        contenders: dict[str, Callable[[int], object]] = {
            "bapps-gen": lambda turn: make_shards((turn,))
        }
        for name in operations:
            contenders[name] = lambda turn, name=name: loop(name, turn)
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(rounds):
            for name, run in contenders.items():
                began = time.perf_counter()
                run(turn)
                if turn:  # the first round warms up
                    rates[name].append(options.rows / (time.perf_counter() - began))

    ours = rates["bapps-gen"]
    found = {"bapps-gen": {"triplets_per_second": statistics.median(ours)}}
    for name in operations:
        ratios = [mine / theirs for mine, theirs in zip(ours, rates[name], strict=True)]
        found[name] = {
            "triplets_per_second": statistics.median(rates[name]),
            "ratio": statistics.median(ratios),
            "lowest_ratio": min(ratios),
            "highest_ratio": max(ratios),
        }
    for name, values in found.items():
        ratio = f", {values['ratio']:.1f}× slower" if "ratio" in values else ""
        print(f"{name}: {values['triplets_per_second']:.0f} triplets/s{ratio}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
