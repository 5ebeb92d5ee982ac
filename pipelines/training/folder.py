"""Where a zoo's folder keeps the traces of training: losses, contact sheets, checkpoints, crops."""

from __future__ import annotations

from pathlib import Path

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
