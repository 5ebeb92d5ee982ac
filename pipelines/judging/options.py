"""Options of simulated observers and of the choice of rows, light to import."""

from __future__ import annotations

from dataclasses import dataclass

from bapps_gen.checks import MAX_SEED, Option, convert_options

WAYS = ("disagreement", "uniform", "balanced")

BY = Option(
    "text",
    "disagreement: where metrics disagree most; uniform: uniformly over the first metric's "
    "distances; balanced: every distortion equally often",
    default="disagreement",
    choices=WAYS,
)
SELECT_SEED = Option("integer", "seed of the choice among equals", 0, 0, MAX_SEED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverOptions:
    """Who answers, and how well.

    Raises:
        UserError: for a value out of range.
    """

    people: int = Option("integer", "number of people", 40, 1, 1_000_000).field()
    noise: float = Option(
        "number",
        "standard deviation of the noise on what people feel, in the metric's own unit",
        0.1,
        0.0,
        1e6,
    ).field()
    lapse: float = Option(
        "number", "share of answers that are given at random", 0.02, 0.0, 1.0
    ).field()
    bias: float = Option(
        "number",
        "bias toward the left side, in the metric's own unit; negative toward the right",
        0.0,
        -1e6,
        1e6,
    ).field()
    careless: float = Option(
        "number", "share of people who answer everything at random", 0.0, 0.0, 1.0
    ).field()
    criterion: float | None = Option(
        "number",
        "distance below which pairs look the same",
        None,
        0.0,
        1e6,
        default_text="that which 27.9 % of the pairs are below, as in the paper",
    ).field()
    seed: int = Option("integer", "seed of the observers", 0, 0, 2**63 - 1).field()

    def __post_init__(self) -> None:
        convert_options(self)
