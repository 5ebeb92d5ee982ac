"""What `run.py` asks of the ways of training: `fast.py` over stored features, `loop.py` through
the net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.trained import NetRecord

if TYPE_CHECKING:
    from torch import Tensor

Values = NDArray[np.float64]


class Engine(Protocol):
    """A metric and its ranking network in training.

    What it does follows from its data, its options, the epoch and its state alone, so that a
    training goes on from a state as if it had not been interrupted.
    """

    def train_epoch(
        self,
        epoch: int,
        order: NDArray[np.intp],
        rate: float,
        advance: Callable[[int], None],
    ) -> Values:
        """Take one step for each batch of rows.

        Args:
            epoch: its number from 1, for the random numbers of dropout.
            order: every row of the training once, (N,).
            rate: learning rate.
            advance: called now and then with how many more rows are done.

        Returns:
            The loss of each step, float64 (steps,).
        """
        ...

    def validate(self) -> tuple[Values, Values]:
        """d0 and d1 of the rows of the validation, float64 (M,) each, without dropout."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on: weights and the optimizer's moments, exactly.

        On the CPU, and copied.
        """
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """The trained weights on the CPU by their names in a trained metric's file, copied.

        "lin0.model.1.weight" of shape (1, C, 1, 1) and so on; "ranking.layers.0.weight" and so
        on; for tune and scratch also "trunk.…", by the names in the net's state dict.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained, before the costly part of it begins.

    Args:
        net: the feature net.
        settings: what the weights depend on besides the net, the options and the rows: the
            precision that "auto" stands for, and the metric that is begun with.
        engine: makes the engine; features or decoded patches first, where they are missing.
    """

    net: NetRecord
    settings: Mapping[str, str]
    engine: Callable[[], Engine]
