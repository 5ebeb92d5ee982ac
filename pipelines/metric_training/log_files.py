"""The logs of a training: a table by epoch, every value as JSON lines and for TensorBoard, and a
picture of the curves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bapps_gen.imaging.files import write_image
from bapps_gen.pipelines.metric_training.curves import draw_curves
from bapps_gen.pipelines.metric_training.events import event_file
from bapps_gen.pipelines.metric_training.logs import Epoch, scalars
from bapps_gen.storage.atomic import whole_file

CSV_NAME = "metrics.csv"
LINES_NAME = "metrics.jsonl"
EVENTS_NAME = "events.out.tfevents.0.bapps-gen"
"""TensorBoard takes files for logs whose names contain "tfevents"."""

CURVES_NAME = "curves.png"
LOG_NAMES = (CSV_NAME, LINES_NAME, EVENTS_NAME, CURVES_NAME)


def write_logs(folder: Path, history: Sequence[Epoch], epochs: int, caption: str) -> None:
    """Write the logs of all epochs so far, each file whole or not at all.

    Args:
        folder: of the training.
        history: epochs so far.
        epochs: in all.
        caption: of the picture: what is trained, and on what.

    Raises:
        WorkError: when one cannot be written.
    """
    values = list(scalars(history))
    lines = "".join(json.dumps(asdict(value)) + "\n" for value in values)
    texts = {
        CSV_NAME: _table(history).encode(),
        LINES_NAME: lines.encode(),
        EVENTS_NAME: event_file(values),
    }
    for name, data in texts.items():
        with whole_file(folder / name) as temporary:
            temporary.write_bytes(data)
    write_image(folder / CURVES_NAME, draw_curves(history, epochs, caption))


def _table(history: Sequence[Epoch]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("epoch", "step", "learning_rate", "loss", "val_2afc", "seconds", "wall_time"))
    for entry in history:
        rate = float(f"{entry.rate:.6g}")
        values = (entry.epoch, entry.steps, rate, entry.loss, entry.val_2afc)
        writer.writerow((*values, round(entry.seconds, 3), round(entry.wall_time, 3)))
    return table.getvalue()
