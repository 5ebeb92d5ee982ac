"""What is logged of a training: by epoch as CSV, and every value as JSON lines, as TensorBoard has
them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bapps_gen.storage.atomic import whole_file

CSV_NAME = "metrics.csv"
LINES_NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What is logged of an epoch.

    Args:
        epoch: its number from 1.
        steps: steps done by its end, those of epochs before included.
        rate: learning rate.
        loss: mean over its steps.
        losses: (step, mean loss since the one before), at most 20.
        val_2afc: 2AFC score on the rows of the validation, 0 to 1.
        wall_time: when it ended, in seconds since 1970.
        seconds: that it took, with validation.
    """

    epoch: int
    steps: int
    rate: float
    loss: float
    losses: tuple[tuple[int, float], ...]
    val_2afc: float
    wall_time: float
    seconds: float


def best_of(history: Sequence[Epoch]) -> Epoch:
    """The epoch of the highest 2AFC score, the first of several."""
    return max(history, key=lambda entry: (entry.val_2afc, -entry.epoch))


@dataclass(frozen=True, slots=True)
class Scalar:
    """One logged value, in TensorBoard's words."""

    step: int
    wall_time: float
    tag: str
    value: float


def scalars(history: Sequence[Epoch]) -> Iterator[Scalar]:
    """Every logged value in the order of steps; within an epoch, times are interpolated."""
    steps = 0
    for entry in history:
        began = entry.wall_time - entry.seconds
        count = entry.steps - steps
        for step, loss in entry.losses:
            share = (step - steps) / count
            yield Scalar(step, began + share * entry.seconds, "train/loss", loss)
        ends = {"train/learning_rate": entry.rate, "val/2afc": entry.val_2afc}
        for tag, value in ends.items():
            yield Scalar(entry.steps, entry.wall_time, tag, value)
        steps = entry.steps


def write_logs(folder: Path, history: Sequence[Epoch]) -> None:
    """Write the logs of all epochs so far, each file whole or not at all.

    Raises:
        WorkError: when one cannot be written.
    """
    lines = [
        json.dumps({field.name: getattr(scalar, field.name) for field in fields(Scalar)})
        for scalar in scalars(history)
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("epoch", "step", "learning_rate", "loss", "val_2afc", "seconds", "wall_time"))
    for entry in history:
        values = (entry.epoch, entry.steps, entry.rate, entry.loss, entry.val_2afc)
        writer.writerow((*values, round(entry.seconds, 3), round(entry.wall_time, 3)))
    for name, text in ((CSV_NAME, table.getvalue()), (LINES_NAME, "\n".join([*lines, ""]))):
        with whole_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
