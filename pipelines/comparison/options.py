"""Options of the comparison's page, light to import."""

from __future__ import annotations

from dataclasses import dataclass

from bapps_gen.checks import Option, check_options

EXAMPLES = Option(
    "integer",
    "report: rows shown of each disagreement between two metrics, or between a metric and people; "
    "0 for none",
    default=6,
    low=0,
    high=100,
    metavar="N",
)

REFERENCES = Option(
    "integer",
    "report: references of the sets that are distorted at rising severities to see how sensitive "
    "metrics are; 0 leaves that out",
    default=16,
    low=0,
    high=1000,
    metavar="N",
)


@dataclass(frozen=True, slots=True)
class SectionOptions:
    """What further sections of a comparison's page show.

    Args:
        examples: rows of each disagreement.
        references: references that are distorted for sensitivity.

    Raises:
        UserError: for a value out of range.
    """

    examples: int = EXAMPLES.field()
    references: int = REFERENCES.field()

    def __post_init__(self) -> None:
        check_options(self)
