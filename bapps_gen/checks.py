"""Options declared once, as metadata of dataclass fields, and the checks that follow from them.

An `Option` says what a field of a spec or request is: type, bounds, unit, default, and help. What
derives from it: the field's default, checks on construction (`check_options`, `convert_options`),
values read from TOML (`parse_fields`), the command line (`cli._options.add_options`), and the
reference in the docs.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from bapps_gen.errors import out_of_range, unknown_name

MAX_SEED = 2**63 - 1
"""Seeds are whole numbers from 0 to this, so that they fit a signed 64-bit column."""

MAX_SEVERITY = 2.0
"""Severities go from 0 to 1, which is strong, and on request up to this."""


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def _number(value: Any) -> float:
    if isinstance(value, bool | str | bytes):
        raise TypeError
    return float(value)


def _range(value: Any) -> tuple[float, float]:
    if isinstance(value, str):
        raise TypeError
    low, high = map(_number, value)
    return low, high


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return tuple(map(_number, value))


def _text(value: Any) -> str:
    text = os.fspath(value)  # a path is as good as its text
    if not isinstance(text, str) or not text:
        raise TypeError
    return text


def _path(value: Any) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str | Mapping):
        raise TypeError
    return tuple(map(_text, value))


def _table(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((_text(name), _text(text)) for name, text in pairs)


TYPES: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "integer": (_integer, "a whole number"),
    "number": (_number, "a number"),
    "range": (_range, "a list of two numbers"),
    "numbers": (_numbers, "a list of numbers"),
    "text": (_text, "text"),
    "path": (_path, "a file or folder"),
    "flag": (_flag, "true or false"),
    "names": (_names, "a list of names"),
    "table": (_table, 'a table such as { name = "DIR", other = "DIR" }'),
}
"""Types of options: the function that makes a field's value (TypeError or ValueError where it
cannot), and the description of what is allowed."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a field of a spec or request is.

    Args:
        type: a key of TYPES.
        help: for the command line and the docs, without the default.
        default: of the field.
        low, high: bounds, of both numbers of a range; None for no bound.
        unit: such as "rows" or "px".
        choices: the allowed texts; () for any.
        words: texts that are allowed instead of a number.
        flag: its name on the command line and in errors, without dashes in front; by default that
            of the field.
        metavar: what the command line shows in place of the value; by default the unit, or a
            letter for the type.
        default_text: the default in words, where the value itself does not say it.
        remedy: what to do about a value out of range.
        is_place: whether it names files or folders, which a TOML file gives relative to its own
            folder.
        is_repeated: of names: whether each is given by an option of its own on the command line,
            rather than all in a list with commas.
    """

    type: str
    help: str
    default: Any = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    flag: str = ""
    metavar: str = ""
    default_text: str = ""
    remedy: str = ""
    is_place: bool = False
    is_repeated: bool = False

    def field(self, default: Any = MISSING, *, required: bool = False) -> Any:
        """A dataclass field that is this option.

        Args:
            default: instead of the option's own.
            required: whether it has no default.
        """
        chosen = self.default if default is MISSING else default
        return field(default=MISSING if required else chosen, metadata={"option": self})

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        plain = "two numbers" if self.type == "range" else TYPES[self.type][1]
        if self.low is not None and self.high is not None:
            plain += f" from {_plain(self.low)} to {_plain(self.high)}"
        elif self.low is not None:
            plain += f" of at least {_plain(self.low)}"
        elif self.high is not None:
            plain += f" of at most {_plain(self.high)}"
        plain = or_list([plain, *self.words])
        return plain + (", the lower first" if self.type == "range" else "")

    def check(self, name: str, value: Any) -> None:
        """Raise UserError unless a value of the option's type lies within its bounds.

        Args:
            name: for the error.
            value: as `parse` gives it.
        """
        if isinstance(value, str) and value in self.words:
            return
        if self.choices and value not in self.choices:
            raise unknown_name(name, str(value), self.choices, f"use {self.allowed}")
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if self.type == "range":
            if not (len(value) == 2 and low <= value[0] <= value[1] <= high):
                text = " ".join(f"{number:g}" for number in value)
                remedy = self.remedy or "give LOW and HIGH in that range"
                raise out_of_range(name, text, self.allowed, remedy)
        elif self.type in ("integer", "number"):
            fraction = self.type == "integer" and value % 1
            if isinstance(value, bool) or not low <= value <= high or fraction:
                remedy = self.remedy or "give one in that range"
                raise out_of_range(name, value, self.allowed, remedy)

    def parse(self, name: str, value: Any) -> Any:
        """The option's value from a plain one, as TOML and callers from Python have it.

        Bounds are not checked.

        Raises:
            UserError: when it is of another type.
        """
        if isinstance(value, str) and value in self.words:
            return value
        convert, allowed = TYPES[self.type]
        allowed = or_list([allowed, *self.words])
        try:
            return convert(value)
        except (TypeError, ValueError):
            raise out_of_range(name, repr(value), allowed, "correct it") from None


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def options_of(record: type[Any] | Any) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a dataclass, or of an instance of one, that are options, in order."""
    for entry in fields(record):
        if "option" in entry.metadata:
            yield entry, entry.metadata["option"]


def flag_of(entry: Field[Any], option: Option) -> str:
    """An option's name on the command line and in errors, without dashes in front."""
    return option.flag or entry.name.replace("_", "-")


def check_options(record: Any) -> None:
    """Raise UserError unless every option of a dataclass instance lies within its bounds.

    None is allowed where it is the field's default.
    """
    for entry, option in options_of(record):
        value = getattr(record, entry.name)
        if value is not None or entry.default is not None:
            option.check(flag_of(entry, option), value)


def convert_options(record: Any) -> None:
    """Give every option of a dataclass instance its type, then check it as `check_options` does.

    For `__post_init__` of records that people construct: it takes a list for a tuple, a whole
    number for a float, and a text for a path.

    Raises:
        UserError: for a value of another type or out of range.
    """
    for entry, option in options_of(record):
        value = getattr(record, entry.name)
        if value is not None or entry.default is not None:
            value = option.parse(flag_of(entry, option), value)
            object.__setattr__(record, entry.name, value)  # the record may be frozen
    check_options(record)


def parse_fields(record: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Arguments of a dataclass from plain values, as TOML has them; bounds are not checked.

    Args:
        record: the dataclass. Its fields that are no options are passed on unchanged.
        values: by name of the field.
        where: what has them, for errors, such as "set 'jnd/val/cnn'".

    Raises:
        UserError: for an unknown name, or a value of another type.
    """
    entries = {entry.name: entry for entry in fields(record) if entry.init}
    for name in values:
        if name not in entries:
            remedy = f"use {or_list(sorted(entries))}"
            raise unknown_name(f"option of {where}:", name, entries, remedy)
    parsed = {}
    for name, value in values.items():
        option = entries[name].metadata.get("option")
        parsed[name] = value if option is None else option.parse(f"{where}: {name}", value)
    return parsed


def or_list(names: Collection[str]) -> str:
    """Names in a sentence: "a, b or c"."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else str(last)


def parse_range(value: Any) -> tuple[float, float] | None:
    """(low, high) of two finite numbers with low < high; None of anything else."""
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        return None
    return (low, high) if -math.inf < low < high < math.inf else None


def check_range(name: str, value: float, low: float, high: float, *, whole: bool = False) -> None:
    """Raise UserError unless low ≤ value ≤ high, and it is whole where that is asked."""
    Option("integer" if whole else "number", "", low=low, high=high).check(name, value)
