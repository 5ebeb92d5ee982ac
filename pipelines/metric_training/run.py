"""The epochs of a training: order of rows, learning rate, validation, checkpoints and logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.progress import Progress
from bapps_gen.metrics.agreement import two_afc_agreement
from bapps_gen.pipelines.metric_training.engine import Engine, Values
from bapps_gen.pipelines.metric_training.log_files import write_logs
from bapps_gen.pipelines.metric_training.logs import Epoch, best_of
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.seeding import SLOT_METRIC_ORDER, digest_of, generator
from bapps_gen.storage.records import parse_record

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_KIND = "metric training"
CHECKPOINT_NAME = "checkpoint.safetensors"

_POINTS, _MOST = 100, 20
"""Means of the loss that are logged: in all about, and of one epoch at most. Our own choice."""

SAVE_SECONDS = 2.0
"""Between checkpoints at least, so that short epochs take no longer for them. Our own choice."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the epochs led to.

    Args:
        history: every epoch, in order.
        best: weights after the epoch of the highest 2AFC score, the first of several, by name.
        last: weights after the last epoch.
    """

    history: tuple[Epoch, ...]
    best: Mapping[str, Tensor]
    last: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class _Header:
    """What the header of a checkpoint holds beside kind and version."""

    spec_digest: str
    history: tuple[Epoch, ...]


def run_epochs(
    folder: Path,
    engine: Engine,
    spec: Mapping[str, Any],
    options: MetricTrainingOptions,
    rows: int,
    val_judge: Values,
    progress: Progress | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    caption: str = "",
    save_seconds: float = SAVE_SECONDS,
) -> Trained:
    """Train for all epochs, or for those that a checkpoint lacks.

    After an epoch one file holds all that the next depends on, so that a training that was stopped
    at any moment goes on from there and gives the same weights.

    Args:
        folder: of checkpoints and logs; the caller holds it.
        engine: before its first epoch.
        spec: all that the weights depend on, as plain values.
        options: of the training.
        rows: to train on.
        val_judge: share of people who prefer p1 in each row of the validation, (M,).
        progress: called with rows done, over all epochs, and rows in all.
        on_epoch: called with each epoch that ends.
        caption: of the picture of the curves: what is trained, and on what.
        save_seconds: least time between checkpoints; 0 for one after each epoch.

    Raises:
        UserError: when the loss is no number.
        WorkError: when a file cannot be written, or the checkpoint is damaged.
    """
    path = folder / CHECKPOINT_NAME
    digest = digest_of(spec)
    history, best = _resume(path, digest, engine)
    total, done_before = options.total_epochs, len(history)
    done = done_before * rows
    steps = history[-1].steps if history else 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(done, total * rows)

    advance(0)
    saved = time.monotonic()
    for epoch in range(done_before + 1, total + 1):
        began = time.monotonic()
        order = generator(options.seed, epoch, SLOT_METRIC_ORDER).permutation(rows)
        losses = engine.train_epoch(epoch, order, options.rate(epoch), advance)
        if not np.isfinite(losses).all():
            raise _not_finite(epoch, losses)
        entry = Epoch(
            epoch,
            steps + len(losses),
            options.rate(epoch),
            float(losses.mean()),
            _points(losses, steps, max(1, min(_MOST, _POINTS // total))),
            _score(engine, val_judge),
            time.time(),
            time.monotonic() - began,
        )
        steps = entry.steps
        history = (*history, entry)
        if best_of(history) is entry:
            best = engine.weights()
        if epoch == total or time.monotonic() - saved >= save_seconds:
            _write_checkpoint(path, digest, history, engine.state(), best)
            write_logs(folder, history, total, caption)
            saved = time.monotonic()
        if on_epoch:
            on_epoch(entry)
    if done_before == total:
        write_logs(folder, history, total, caption)  # the run that trained may have been killed
    return Trained(history, best, engine.weights())


def _score(engine: Engine, judge: Values) -> float:
    d0, d1 = engine.validate()
    if not (np.isfinite(d0).all() and np.isfinite(d1).all()):
        raise _not_finite(None, np.concatenate([d0, d1]))
    return float(two_afc_agreement(d0, d1, judge).mean())


def _not_finite(epoch: int | None, values: Values) -> UserError:
    where = "a distance of the validation" if epoch is None else f"the loss of epoch {epoch}"
    return UserError(
        f"{where} is not a finite number ({values[~np.isfinite(values)][0]:g}); lower "
        "--learning-rate, or take --precision float32"
    )


def _points(losses: Values, before: int, count: int) -> tuple[tuple[int, float], ...]:
    """(step, mean loss since the point before), for at most so many about equal parts."""
    parts = np.array_split(losses, min(count, len(losses)))
    ends = before + np.cumsum([len(part) for part in parts])
    return tuple((int(end), float(part.mean())) for end, part in zip(ends, parts, strict=True))


def _write_checkpoint(
    path: Path,
    digest: str,
    history: Sequence[Epoch],
    state: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
) -> None:
    from bapps_gen.storage.tensors import write_tensors

    tensors = {f"state.{name}": value for name, value in state.items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    header = {"spec_digest": digest, "history": [asdict(entry) for entry in history]}
    write_tensors(path, CHECKPOINT_KIND, header, tensors)


def _resume(
    path: Path, digest: str, engine: Engine
) -> tuple[tuple[Epoch, ...], Mapping[str, Tensor]]:
    """Epochs that are done, and the best weights of these; the engine goes on from there."""
    from bapps_gen.storage.tensors import below, damaged, read_tensors

    if not path.exists():
        return (), {}
    header, tensors = read_tensors(path, CHECKPOINT_KIND)
    try:
        held = parse_record(_Header, header)
    except UserError as error:
        raise damaged(path, f"its header is not a training's ({error})") from error
    if held.spec_digest != digest:
        raise WorkError(f"{path} is of another training; delete {path.parent} to train anew")
    try:
        engine.load_state(below(tensors, "state."))
    except (KeyError, RuntimeError, ValueError) as error:
        raise damaged(path, "its state is not that of this training") from error
    return held.history, below(tensors, "best.")
