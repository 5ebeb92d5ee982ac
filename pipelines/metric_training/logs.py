"""What is known of each epoch of a training, and the values that are logged of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


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
