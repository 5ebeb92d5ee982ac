"""Cost per triplet by number of rows, gain of a second worker, and a worker's peak memory.

Every figure is of a whole command, `bapps-gen traditional`, in a process of its own.

    python benchmarks/scaling.py --source PHOTOS [--rows 1000 10000 50000 200000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from bapps_gen.pipelines.sources.source import open_source


def run(source: str, out: Path, rows: int, workers: int) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MB of any one process of a command."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # so that peaks do not add up
        return pool.apply(_run, (source, out, rows, workers))


def _run(source: str, out: Path, rows: int, workers: int) -> tuple[float, float, float]:
    began = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "bapps_gen", "traditional", "--quiet", "--n", str(rows)),
            *("--source", source, "--out", str(out), "--workers", str(workers)),
        ],
        check=True,
    )
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def large_photos(folder: Path) -> None:
    """Six 24-megapixel JPEG photos, enlarged from those that come with scikit-image."""
    builtin = open_source([])
    for index in range(6):
        photo = builtin.load(index % len(builtin))[..., ::-1]
        large = cv2.resize(photo, (6000, 4000), interpolation=cv2.INTER_CUBIC)
        large[:, index] = 0  # no two are the same
        cv2.imwrite(str(folder / f"large{index}.jpg"), large)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 50_000, 200_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        start, _, _ = run(options.source, folder / "start", 1, 1)
        print(f"one triplet, start included: {start:.2f} s")

        for rows in options.rows:
            wall, used, peak = run(options.source, folder / f"n{rows}", rows, 2)
            print(
                f"{rows} rows, 2 workers: {wall:.1f} s, {rows / wall:.0f}/s, "
                f"{used / rows * 1e6:.0f} µs of processor a row, peak {peak:.0f} MB"
            )

        # Start-up apart: what 24,000 further rows take.
        ratios = []
        for turn in range(options.rounds):
            further = {}
            for workers in (1, 2):
                walls = [
                    run(options.source, folder / f"{turn}-{workers}-{rows}", rows, workers)[0]
                    for rows in (8000, 32_000)
                ]
                further[workers] = walls[1] - walls[0]
            ratios.append(further[1] / further[2])
            print(f"  1 worker {24_000 / further[1]:.0f}/s, 2 workers {24_000 / further[2]:.0f}/s")
        print(f"2 workers to 1: {statistics.median(ratios):.2f}×")

        photos = folder / "large"
        photos.mkdir()
        large_photos(photos)
        for rows in (200, 1000, 3000):
            wall, _, peak = run(str(photos), folder / f"large{rows}", rows, 2)
            print(f"24 MP photos, {rows} rows: {wall:.1f} s, peak of a process {peak:.0f} MB")


if __name__ == "__main__":
    main()
