"""Rows of a CNN dataset a second at several shard sizes, shards rendered together and one by one.

    OMP_NUM_THREADS=1 python benchmarks/cnn_shard_sizes.py [--source PHOTOS] [--rows N] [--rounds R]

One process makes the same rows with the zoo of the package, in shards of 100, 1000 and 2000 rows:
in runs of shards, as the commands do, and with each shard a job of its own. Ways alternate, and
networks are loaded beforehand. Medians of rows per second of processor time, which says more than
the clock on a machine that others use, and ratios to the largest shards.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bapps_gen.pipelines.datasets.generate import ShardContext, prepare_shards
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.datasets.runs import shard_runs
from bapps_gen.pipelines.sources.source import open_source

SIZES = (100, 1000, 2000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--source", action="append", default=[], help="photos")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = open_source(options.source)
    rates: dict[tuple[int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(options.rounds):
            for size in SIZES:
                request = Request("cnn", options.rows, shard_size=size)
                plan = request.resolve(Inputs(lambda: source))
                folder = Path(scratch) / "set"
                (folder / "data").mkdir(parents=True)
                make_shards = prepare_shards(ShardContext(folder, plan))
                shards = range(plan.info.shards)
                together = shard_runs(kind_of(plan.info), plan.info, shards, 1)
                ways = {"together": together, "one by one": [(shard,) for shard in shards]}
                if len(shards) == len(together):
                    del ways["one by one"]
                for way, runs in ways.items():
                    began = time.process_time()
                    for run in runs:
                        make_shards(run)
                    rate = options.rows / (time.process_time() - began)
                    rates.setdefault((size, way), []).append(rate)
                    print(
                        f"round {turn}: {size} rows a shard, {way}: {rate:.1f} rows/s", flush=True
                    )
                shutil.rmtree(folder)
    best = rates[SIZES[-1], "together"]
    for (size, way), measured in rates.items():
        ratio = statistics.median(a / b for a, b in zip(measured, best, strict=True))
        rate = statistics.median(measured)
        print(f"{size} rows a shard, {way}: {rate:.0f} rows/s, {ratio:.2f} of the largest shards")


if __name__ == "__main__":
    main()
