"""What sections of the comparison's page are made from, and what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.pipelines.comparison.compare import Comparison
from bapps_gen.pipelines.comparison.options import SectionOptions
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.options import MetricOptions


@dataclass(frozen=True, slots=True)
class Compared:
    """What a section is made from.

    Args:
        judged: the sets, with the distances of all metrics.
        specs: of the metrics, in the order of the figures.
        comparison: scores and differences.
        metric: how metrics are computed, where a section computes distances of its own.
        shown: what further sections show.
        workers: to compute with.
        progress: opens a progress bar.
    """

    judged: Sequence[Judged]
    specs: Sequence[MetricSpec]
    comparison: Comparison
    metric: MetricOptions
    shown: SectionOptions
    workers: Workers
    progress: ProgressBars


class Result(Protocol):
    """What a section found."""

    def values(self) -> Any:
        """All numbers as plain values for JSON, without pictures."""

    def view(self) -> Mapping[str, Any]:
        """What the section's template shows."""
