"""Plain CSV files of judgments: a line for each row, or a line for each answer.

`id,judge,count` (of JND pairs `id,same,count`) has the fraction of people and, where it is known,
how many they were; `id,answer` and `id,answer,person` have one person's answer a line. Further
columns are passed over, empty fractions are rows that nobody judged, and columns are separated by
commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.manifests.votes import ANSWERS
from bapps_gen.storage.locations import Location, require_regular
from bapps_gen.storage.records import shown

FORMS = "'id,judge,count', 'id,same,count' or 'id,answer,person'"
_TASKS = {"judge": "2afc", "same": "jnd"}
_MOST_PEOPLE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's answer on a row; `person` is empty where that is unknown."""

    id: str
    answer: str
    person: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What files of answers hold.

    Args:
        judgments: fraction and number of people by id of the row; the number is None where it is
            unknown.
        single: answers one by one.
        tasks: that they are on, "2afc" or "jnd".
    """

    judgments: Mapping[str, tuple[float, int | None]] = field(default_factory=dict)
    single: tuple[Answer, ...] = ()
    tasks: frozenset[str] = frozenset()


def read_answers(paths: Sequence[Location]) -> Answers:
    """The answers of some CSV files.

    Raises:
        UserError: naming file and line, for anything but answers; when two lines give the fraction
            of one row, or fractions and single answers are mixed.
    """
    judgments: dict[str, tuple[float, int | None]] = {}
    single: list[Answer] = []
    tasks: set[str] = set()
    for path in paths:
        names, lines = _lines(path)
        fraction = next((name for name in _TASKS if name in names), None)
        if fraction is None:
            for line, values in lines:
                single.append(_answer(path, line, values))
            continue
        tasks.add(_TASKS[fraction])
        for line, values in lines:
            judgment = _judgment(path, line, values, fraction)
            if judgment is None:
                continue
            if values["id"] in judgments:
                raise UserError(f"{path}: line {line} gives id {values['id']} again; keep one")
            judgments[values["id"]] = judgment
    if judgments and single:
        raise UserError(
            f"the files have fractions ({fraction_names(tasks)}) and single answers; give files of "
            "one kind"
        )
    answered = {each.answer for each in single}
    tasks |= {task for task, known in ANSWERS.items() if answered & set(known)}
    return Answers(judgments, tuple(single), frozenset(tasks))


def fraction_names(tasks: set[str]) -> str:
    """The columns of fractions of some tasks."""
    return " and ".join(name for name, task in _TASKS.items() if task in tasks)


def _lines(path: Location) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and its lines by number with their values by column."""
    try:
        if isinstance(path, Path):
            require_regular(path)
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; name a CSV file of answers") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as CSV ({error}); save it as UTF-8") from None
    head = text.partition("\n")[0]
    separator = next((mark for mark in (",", ";", "\t") if mark in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV ({error}); write {FORMS}") from None
    names = [name.strip() for name in rows[0][1]] if rows else []
    known = {"id"} <= set(names) and bool({"judge", "same", "answer"} & set(names))
    if not known or len(set(names)) != len(names) or {"judge", "same"} <= set(names):
        raise UserError(f"{path} has the columns {shown(', '.join(names))}; it must have {FORMS}")

    def lines() -> Iterator[tuple[int, dict[str, str]]]:
        for line, row in rows[1:]:
            if len(row) != len(names):
                raise UserError(
                    f"{path}: line {line} has {len(row)} values for {len(names)} columns; "
                    "correct it"
                )
            values = dict(zip(names, map(str.strip, row), strict=True))
            if not values["id"]:
                raise UserError(f"{path}: line {line} has no id; give that of a row")
            yield line, values

    return names, lines()


def _judgment(
    path: Location, line: int, values: Mapping[str, str], name: str
) -> tuple[float, int | None] | None:
    text = values[name]
    count = values.get("count") or values.get(f"{name}_count") or ""
    if not text:
        return None
    try:
        fraction = float(text)
    except ValueError:
        fraction = math.nan
    if not 0 <= fraction <= 1:  # NaN too
        raise UserError(
            f"{path}: line {line} has {name} = {shown(text)}; it must be a fraction from 0 to 1"
        )
    if not count:
        return fraction, None
    try:
        number = float(count)
    except ValueError:
        number = math.nan
    if not (1 <= number <= _MOST_PEOPLE and number == int(number)):
        raise UserError(
            f"{path}: line {line} has count = {shown(count)}; it must be a whole number of people, "
            "at least 1, or empty"
        )
    return fraction, int(number)


def _answer(path: Location, line: int, values: Mapping[str, str]) -> Answer:
    known = [answer for answers in ANSWERS.values() for answer in answers]
    if values["answer"] not in known:
        raise UserError(
            f"{path}: line {line} has answer = {shown(values['answer'])}; it must be p0 or p1, the "
            "more similar one, or same or different"
        )
    return Answer(values["id"], values["answer"], values.get("person", ""))
