"""Estimates with bootstrap intervals, over the photos that rows were cut from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.bootstrap import (
    Keys,
    Statistics,
    bootstrap_draws,
    percentile_intervals,
)
from bapps_gen.pipelines.scoring.evaluate import Estimate


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are found.

    Args:
        keys: of the rows, (N,): those that share one, such as a photo's, are drawn together.
        resamples: how many.
        seed: of the resamples.
    """

    keys: Keys
    resamples: int
    seed: int = 0

    def of(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Resampling:
        """The same for some of the rows."""
        return replace(self, keys=self.keys[rows])

    def estimates(self, statistics: Statistics) -> list[Estimate | None]:
        """Statistics of the rows with their intervals of 95 %; None where one is undefined."""
        (values,) = statistics(np.ones((1, len(self.keys)), np.intp)).tolist()
        drawn = bootstrap_draws(statistics, self.keys, self.resamples, self.seed)
        intervals = percentile_intervals(drawn, len(np.unique(self.keys))).tolist()
        return [
            None if np.isnan(value) else Estimate(value, low, high)
            for value, (low, high) in zip(values, intervals, strict=True)
        ]
