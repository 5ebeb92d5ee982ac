"""Training of one distorter: one pass over crops, with checkpoints, byte-for-byte repeatable."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bapps_gen.cnn_distorters.features import FeatureLoss
from bapps_gen.cnn_distorters.network import UNet
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.trainer import Crops, Trainer, TrainingError, TrainingSettings
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.storage.atomic import whole_file

LOG_STEPS = 20
"""Steps between lines of the loss log, each the mean over them, and between checks for NaN."""

CHECKPOINT_STEPS = 500


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Files of one distorter's training.

    Args:
        checkpoint: state of an unfinished training; removed by the caller when it is done.
        losses: JSON lines of step, images and mean losses; written with every checkpoint.
    """

    checkpoint: Path
    losses: Path


def train_distorter(
    spec: DistorterSpec,
    settings: TrainingSettings,
    crops: Crops,
    files: TrainingFiles,
    *,
    device: torch.device,
    features: FeatureLoss | None,
    progress: Callable[[int], None] | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> UNet:
    """Train one distorter, from its checkpoint if there is one of the same training.

    Args:
        crops: at least `settings.images` images.
        features: the feature loss; may be None if the spec's weight of it is 0.
        progress: called with the number of images seen.
        checkpoint_steps: steps between checkpoints; a multiple of LOG_STEPS.

    Returns:
        The network in evaluation mode.

    Raises:
        TrainingError: when losses or weights are no longer finite, or memory runs out.
        WorkError: when a file cannot be written.
    """
    if checkpoint_steps < 1 or checkpoint_steps % LOG_STEPS:
        raise out_of_range(
            "checkpoint_steps", checkpoint_steps, f"a multiple of {LOG_STEPS}", "round it"
        )
    if len(crops) < settings.images:
        raise UserError(
            f"distorter '{spec.id}' needs {settings.images} crops, there are {len(crops)}; "
            "lower --images"
        )
    lines: list[str] = []
    try:
        trainer = Trainer(spec, settings, crops, device, features)
        first, lines = trainer.resume(files.checkpoint)
        with _flushed_denormals():
            for step in range(first, settings.steps):
                trainer.step(step)
                seen = step + 1
                if seen % LOG_STEPS == 0 or seen == settings.steps:
                    losses = trainer.take_losses(seen)
                    line = {"step": seen, "images": seen * settings.batch, **losses}
                    lines.append(json.dumps(line))
                    if progress:
                        progress(seen * settings.batch)
                if seen == settings.steps:
                    _write_losses(files.losses, lines)
                elif seen % checkpoint_steps == 0:
                    _write_losses(files.losses, lines)
                    trainer.save(files.checkpoint, seen, lines)
    except TrainingError:
        _write_losses(files.losses, lines)  # they show how it came to that
        raise
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"distorter '{spec.id}': {device} has too little memory; use fewer --workers"
        ) from error
    return trainer.finish()


@contextlib.contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as 0: gradients of idle units become denormal and cost far more."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _write_losses(path: Path, lines: Sequence[str]) -> None:
    """Write a loss log whole: whatever was interrupted, it has every line once."""
    with whole_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
