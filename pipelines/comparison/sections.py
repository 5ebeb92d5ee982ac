"""Further sections of the comparison's page, as a literal table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bapps_gen.pipelines.comparison.compared import Compared, Result
from bapps_gen.pipelines.comparison.insight_sections import (
    closer_at_pairs,
    closer_at_triplets,
    sensitivity_of_metrics,
)


@dataclass(frozen=True, slots=True)
class Section:
    """A section.

    Args:
        name: its key in the JSON file.
        title: among the page's contents.
        template: its file among the templates, which finds `view` there.
        make: finds what it shows; None where the sets have nothing for it.
        style: its style sheet among the templates; empty for none.
    """

    name: str
    title: str
    template: str
    make: Callable[[Compared], Result | None]
    style: str = ""


_STYLE = "insight.css"

SECTIONS: tuple[Section, ...] = (
    Section("triplets", "Triplets closer up", "insight_task.html.j2", closer_at_triplets, _STYLE),
    Section("pairs", "JND pairs closer up", "insight_task.html.j2", closer_at_pairs, _STYLE),
    Section(
        "sensitivity", "Sensitivity", "insight_sensitivity.html.j2", sensitivity_of_metrics, _STYLE
    ),
)
"""In the order of the page, after the paper's figures."""
