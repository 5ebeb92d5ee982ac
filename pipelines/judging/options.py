"""Options of filters, of simulated observers and of the choice of rows, light to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass

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


MIN_SENTINELS = Option(
    "number",
    "smallest share of sentinels that a session must have answered right; votes of others are left "
    "out. 0 takes all",
    default=0.93,  # section 2.2: about 90 % of people passed at least 93 %, 14 of 15
    low=0.0,
    high=1.0,
    metavar="SHARE",
)

MIN_RT = Option(
    "number",
    "shortest reaction time; faster votes are left out",
    default=200.0,  # own choice: about the time of the fastest reactions to a picture
    low=0.0,
    high=60_000.0,
    unit="ms",
    flag="min-rt",
    metavar="MS",
)

MISTIMED = Option(
    "flag", "count votes on pictures that were not seen for the right time too", default=False
)

WHERE = Option(
    "text",
    "condition in SQL on the columns of a vote, such as \"rt_ms < 10000 AND study <> ''\"; votes "
    "for which it does not hold are left out",
    metavar="SQL",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteFilter:
    """Which votes count.

    Raises:
        UserError: for a value out of range; a condition is tried when it is used.
    """

    min_sentinels: float = MIN_SENTINELS.field()
    min_rt_ms: float = MIN_RT.field()
    mistimed: bool = MISTIMED.field()
    where: str | None = WHERE.field(None)

    def __post_init__(self) -> None:
        convert_options(self)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that name this filter."""
        from bapps_gen.seeding import digest_of

        return digest_of(asdict(self))


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
