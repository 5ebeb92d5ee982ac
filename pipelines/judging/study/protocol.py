"""The protocol of a study: how many judgments, which checks, and what people see for how long.

Defaults follow the paper's section 2.2; where it is silent they are this project's own choice, and
the comments say so. A TOML file gives other values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bapps_gen.checks import Option, convert_options, parse_fields
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.manifests.votes import ANSWERS
from bapps_gen.pipelines.judging.options import MIN_SENTINELS
from bapps_gen.storage.documents import read_toml

MAX_SESSION_ROWS = 2000
"""That a person judges in a session."""


def _count(text: str, default: int | None, low: int, high: int, **more: Any) -> Option:
    return Option("integer", text, default, low, high, **more)


def _ms(text: str, default: float, low: float = 50.0) -> Option:
    return Option("number", text, default, low, 60_000.0, unit="ms")


TASK = Option(
    "text",
    "what people do: choose the more similar of two patches (2afc), or say whether two are the "
    "same (jnd)",
    choices=tuple(ANSWERS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a study runs.

    `trials`, `sentinels`, `practice` and `question` have defaults by task; `judgments` of None
    is by the datasets' splits.

    Raises:
        UserError: for a value of another type or out of range.

    Example:
        >>> import bapps_gen
        >>> protocol = bapps_gen.Protocol(task="jnd", trials=80, gap_ms=500)
        >>> protocol.sentinels, protocol.practice, protocol.judgments_of("val")
        (40, 10, 3)
    """

    task: str = TASK.field(required=True)
    judgments: int | None = _count(
        "judgments of each row, each by another person",
        None,
        1,
        1000,
        default_text="2 of sets for training, 5 of other sets; 3 of pairs",
    ).field()
    trials: int = _count(
        "rows that a person judges in a session",
        None,
        1,
        MAX_SESSION_ROWS,
        default_text="100; 160 pairs",
    ).field()
    sentinels: int = _count(
        "trials with an obvious answer in a session", None, 0, 500, default_text="15; 40 of pairs"
    ).field()
    identical: int = _count(
        "of the sentinels of pairs, how many are identical; the others have strong noise",
        32,
        0,
        500,
    ).field()
    practice: int = _count(
        "trials with feedback before a session", None, 0, 100, default_text="0; 10 of pairs"
    ).field()
    min_sentinels: float = MIN_SENTINELS.field()
    # Own choice: the paper says "a large" and "a small amount of Gaussian noise".
    small_noise: float = Option(
        "number",
        "standard deviation of a sentinel's small noise",
        0.02,
        0.0,
        1.0,
        unit="of full scale",
    ).field()
    large_noise: float = Option(
        "number",
        "standard deviation of a sentinel's large noise",
        0.25,
        0.0,
        1.0,
        unit="of full scale",
    ).field()
    reference_ms: float = _ms("how long the first patch of a pair is shown", 1000.0).field()
    gap_ms: float = _ms("pause between the patches of a pair", 250.0).field()
    distorted_ms: float = _ms("how long the second patch of a pair is shown", 1000.0).field()
    feedback_ms: float = _ms("how long feedback on practice is shown", 1000.0).field()
    break_after: int = _count(
        "trials after which a break is offered; 0 for none", 50, 0, 2000
    ).field()
    zoom: int = _count(
        "whole times that patches are enlarged; 0 for what fits the screen", 0, 0, 32
    ).field()
    phones: bool = Option("flag", "whether phones may take part", default=False).field()
    min_width: int = _count(
        "smallest width of the window, in CSS px", 700, 200, 4000, unit="px"
    ).field()
    timeout_min: float = Option(
        "number",
        "minutes without a vote after which a session counts as abandoned and is given out again",
        60.0,
        1.0,
        100_000.0,
        unit="minutes",
    ).field()
    sessions_per_person: int = _count("sessions that one person may take", 1, 1, 1000).field()
    title: str = Option("text", "title of the page", "Comparing pictures").field()
    question: str = Option("text", "what people are asked", default_text="by task").field(None)
    consent: str | None = Option(
        "text", "Markdown file with the consent text", default_text="a short one", is_place=True
    ).field(None)
    instructions: str | None = Option(
        "text", "Markdown file with the instructions", default_text="short ones", is_place=True
    ).field(None)
    thanks: str | None = Option(
        "text", "Markdown file that is shown at the end", default_text="a short one", is_place=True
    ).field(None)
    completion_code: str | None = Option(
        "text", "code that people see at the end", default_text="one made for each session"
    ).field(None)
    completion_url: str | None = Option(
        "text", "address that people are sent to at the end, with {code} in it", default_text="none"
    ).field(None)

    def __post_init__(self) -> None:
        TASK.check("task", self.task)
        for name, value in _TASK_DEFAULTS[self.task].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # the record is frozen
        convert_options(self)
        if self.task == "jnd" and self.identical > self.sentinels:
            raise out_of_range(
                "identical",
                self.identical,
                f"at most the {self.sentinels} sentinels",
                "give fewer, or more sentinels",
            )
        if self.completion_url and not re.match("https?://[^/]", self.completion_url):
            raise out_of_range(
                "completion_url",
                self.completion_url,
                "an address with https:// or http://",
                "give that of the platform",
            )
        if self.small_noise >= self.large_noise:
            raise out_of_range(
                "small_noise",
                self.small_noise,
                f"below large_noise = {self.large_noise:g}",
                "give less, or more large noise",
            )

    def judgments_of(self, split: str | None) -> int:
        """Judgments of each row of a dataset of a split: 2 in train, 5 otherwise; 3 of pairs."""
        if self.judgments is not None:
            return self.judgments
        if self.task == "jnd":
            return 3
        return 2 if split == "train" else 5

    @property
    def shown_answers(self) -> tuple[str, str]:
        """The answers as the browser gives them: the side chosen, or whether the two are same."""
        return ("left", "right") if self.task == "2afc" else ANSWERS["jnd"]

    def values(self) -> dict[str, Any]:
        """Plain values, as `study.json` holds them."""
        return asdict(self)


# Section 2.2: "160 pairs and 40 sentinels (32 identical, 8 with large Gaussian noise)", 10 pairs of
# practice; 15 sentinels in 2AFC. Own choice: 100 triplets, about 6 minutes at 3 s a judgment.
_TASK_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "2afc": {
        "trials": 100,
        "sentinels": 15,
        "practice": 0,
        "question": "Which is more similar to the one in the middle?",
    },
    "jnd": {
        "trials": 160,
        "sentinels": 40,
        "practice": 10,
        "question": "Are the two pictures the same or different?",
    },
}


def protocol_of(
    path: Path | None, changes: Mapping[str, Any] | None = None, task: str = "2afc"
) -> Protocol:
    """The protocol in a TOML file, or the default one.

    Paths in the file are relative to its own folder.

    Args:
        path: of the file; None for none.
        changes: values in place of those of the file.
        task: where nothing says which.

    Raises:
        UserError: when the file cannot be read, has unknown keys, or a value is not allowed.
    """
    parsed: dict[str, Any] = {}
    if path is not None:
        values = read_toml(path, "with the protocol of a study")
        parsed = dict(parse_fields(Protocol, values, str(path)))
        for name in ("consent", "instructions", "thanks"):
            if parsed.get(name):
                parsed[name] = str(path.parent / parsed[name])
    changes = {name: value for name, value in (changes or {}).items() if value is not None}
    known = [entry.name for entry in fields(Protocol)]
    for name in changes:
        if name not in known:
            raise unknown_name("value of a protocol:", name, known, "see the table of its keys")
    wanted = changes.get("task", parsed.get("task"))
    if parsed.get("task", wanted) != wanted:
        raise UserError(f"task = {wanted} is not that of {path}, {parsed['task']}; leave one out")
    return Protocol(**{"task": task, **parsed, **changes})
