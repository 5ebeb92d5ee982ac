"""Fast training of linear weights against the loop that runs the net every epoch, and `score`.

    python benchmarks/metric_training_speed.py --source PHOTOS --rows 4000
    python benchmarks/metric_training_speed.py --data JUDGED --precision bfloat16
    python benchmarks/metric_training_speed.py --source PHOTOS --rows 151300 --rounds 1

In one run, in turn, on the same judged triplets with the same net, precision and workers:

- `score`: one pass of LPIPS over all rows, start-up included.
- fast lin: a whole training as `train-metric` does it: features of all rows, then 10 epochs with
  validation, start-up included.
- plain loop: patches are decoded once and kept (a favor: the original program decodes them in every
  epoch); the net runs on all rows in each of 10 epochs. One epoch is measured, with validation, and
  counted ten times.

Nothing is kept from round to round. Ratios are given by the clock and of processor time: on a busy
machine the latter say more, but epochs of fast lin use one core and the rest all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import bapps_gen
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.dataset import Dataset, open_dataset
from bapps_gen.pipelines.metric_training.data import read_rows
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.through_net import plan_loop
from bapps_gen.pipelines.metric_training.train import train_metric
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.pipelines.scoring.score import score

EPOCHS = 10


Seconds = tuple[float, float]
"""By the clock, and of the processor with finished workers included."""


def now() -> Seconds:
    """Seconds so far."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Clock:
    """Seconds by step of the work, as `ProgressBars`."""

    def __init__(self) -> None:
        self.seconds: dict[str, Seconds] = {}

    @contextlib.contextmanager
    def __call__(self, name: str, unit: str = "") -> Iterator[Progress | None]:
        began = now()
        yield None
        ended = now()
        self.seconds[name] = ended[0] - began[0], ended[1] - began[1]


def judged_set(folder: Path, source: list[str], rows: int) -> Path:
    """A set with votes of simulated observers."""
    out = folder / "set"
    bapps_gen.make_dataset("traditional", rows=rows, out=out, source=source, seed=11)
    bapps_gen.judge(out, votes=bapps_gen.simulate(out, "l2", noise=0.02))
    return out


def measure(data: Path, options: MetricTrainingOptions, workers: int) -> dict[str, Seconds]:
    """One round."""
    dataset = open_dataset(data)
    metric_options = MetricOptions(options.device, options.precision, options.weights)
    clock = Clock()
    with empty_copy(dataset) as scored, clock("score"):
        score(scored, [f"lpips-{options.net}"], metric_options, workers)
    with empty_copy(dataset) as fresh, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fast.safetensors"
        with clock("fast lin"):
            train_metric(out, [fresh.folder], [], options, workers, clock)
    clock.seconds["10 epochs"] = clock.seconds.pop("train")
    with tempfile.TemporaryDirectory() as folder:
        rows = read_rows([data], [], options)
        engine = plan_loop(rows, options, Path(folder), workers, clock).engine()
        order = np.random.default_rng(0).permutation(len(rows.train))
        with clock("plain epoch"):
            engine.train_epoch(1, order, 1e-4, lambda _: None)
            engine.validate()
    decode, epoch = clock.seconds["decode"], clock.seconds["plain epoch"]
    clock.seconds["plain loop"] = decode[0] + EPOCHS * epoch[0], decode[1] + EPOCHS * epoch[1]
    return clock.seconds


@contextlib.contextmanager
def empty_copy(dataset: Dataset) -> Iterator[Dataset]:
    """The dataset without distances and features, in links to its files."""
    with tempfile.TemporaryDirectory(dir=dataset.folder.parent) as folder:
        copy = Path(folder) / "set"
        leave_out = shutil.ignore_patterns("scores", "features")
        shutil.copytree(dataset.folder, copy, copy_function=os.link, ignore=leave_out)
        yield open_dataset(copy)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", action="append", default=[], help="photos to make a set from")
    parser.add_argument("--rows", type=int, default=2000, help="of that set")
    parser.add_argument("--data", type=Path, help="a judged set instead")
    parser.add_argument("--net", default="alex")
    parser.add_argument("--weights")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    options = MetricTrainingOptions(
        net=args.net, weights=args.weights, precision=args.precision, device="cpu"
    )
    assert options.total_epochs == EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or judged_set(Path(folder), args.source, args.rows)
        rounds = [measure(data, options, args.workers) for _ in range(args.rounds)]
        rows = open_dataset(data).info.rows
    report(rounds, rows, args.workers, options)


def report(
    rounds: list[dict[str, Seconds]], rows: int, workers: int, options: MetricTrainingOptions
) -> None:
    """Print medians over rounds, and ratios."""
    print(
        f"{options.net}, {options.precision}, {rows} rows, {workers} workers, medians of "
        f"{len(rounds)} rounds"
    )
    for name in rounds[0]:
        clock, processor = np.median([each[name] for each in rounds], 0)
        print(f"  {name:12} {clock:8.1f} s, {processor:8.1f} s of the processor")
    for index, kind in enumerate(("by the clock", "of processor time")):

        def ratio(above: str, below: str, i: int = index) -> float:
            return float(np.median([each[above][i] / each[below][i] for each in rounds]))

        print(
            f"ratios {kind}: plain loop / fast lin {ratio('plain loop', 'fast lin'):.1f}, "
            f"fast lin / score {ratio('fast lin', 'score'):.2f}, "
            f"its features / score {ratio('features', 'score'):.2f}, "
            f"its 10 epochs / score {ratio('10 epochs', 'score'):.2f}"
        )


if __name__ == "__main__":
    main()
