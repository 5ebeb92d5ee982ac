"""Where a zoo's folder keeps the traces of training: losses, contact sheets, checkpoints, crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bapps_gen.cnn_distorters.training import TrainingFiles

TRAINING_FOLDER = "training"
CROPS_FOLDER = ".crops"


def training_files(folder: Path, name: str) -> TrainingFiles:
    """Where a zoo keeps the traces of a distorter's training."""
    traces = folder / TRAINING_FOLDER
    return TrainingFiles(traces / f"{name}.checkpoint", traces / f"{name}.losses.jsonl")


def sheet_path(folder: Path, name: str) -> Path:
    """The contact sheet of a distorter."""
    return folder / TRAINING_FOLDER / f"{name}.png"


def losses_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The loss log of a distorter: step, images and mean losses, in order."""
    path = training_files(folder, name).losses
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
