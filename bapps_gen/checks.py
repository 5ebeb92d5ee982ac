"""Options declared once, as metadata of dataclass fields, and the checks that follow from them.

An `Option` says what a field of a spec or request is: type, bounds, unit, default, and help. Checks
in `__post_init__` (`check_options`), values read from JSON and TOML (`parse_fields`), the command
line (`cli._options`), and the reference in the docs all derive from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from bapps_gen.errors import UserError, out_of_range, unknown_name


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple):
        raise TypeError
    low, high = map(_number, value)
    return low, high


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _path(value: Any) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return tuple(map(_text, value))


def _table(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else [tuple(pair) for pair in value]
    return tuple((_text(name), _text(text)) for name, text in pairs)


TYPES: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "integer": (_integer, "a whole number"),
    "number": (_number, "a number"),
    "range": (_range, "a list of two numbers"),
    "text": (_text, "a text"),
    "path": (_path, "a file or folder"),
    "flag": (_flag, "true or false"),
    "names": (_names, "a list of names"),
    "table": (_table, 'a table such as { name = "DIR", other = "DIR" }'),
}
"""Types of options: what makes the value from a plain one (TypeError or ValueError where it
cannot), and what is allowed, for people."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a field of a spec or request is.

    Args:
        type: a key of TYPES.
        help: for the command line and the docs, without the default.
        default: of the field; MISSING where it has to be given.
        low, high: bounds, of both numbers of a range; None for no bound.
        unit: such as "rows" or "px"; what the command line shows in place of the value.
        choices: the allowed texts; () for any.
        flag: its name on the command line and in errors, without dashes in front; the field's
            where it is empty.
        default_text: the default, for people, where the value itself does not say it.
        remedy: what to do about a value out of range.
        is_place: whether it names files or folders, which a TOML file gives relative to its own.
    """

    type: str
    help: str
    default: Any = MISSING
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    flag: str = ""
    default_text: str = ""
    remedy: str = ""
    is_place: bool = False

    def field(self, default: Any = MISSING) -> Any:
        """A dataclass field that is this option; `default` stands in for the option's own."""
        chosen = self.default if default is MISSING else default
        return field(default=chosen, metadata={"option": self})

    @property
    def allowed(self) -> str:
        """What values are allowed, for people."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        plain = TYPES[self.type][1]
        if self.type == "range":
            plain = "two numbers"
        if self.low is None and self.high is None:
            return plain
        if self.high is None:
            bounds = f"of at least {self.low:g}"
        elif self.low is None:
            bounds = f"of at most {self.high:g}"
        else:
            bounds = f"from {_plain(self.low)} to {_plain(self.high)}"
        return f"{plain} {bounds}" + (", the lower first" if self.type == "range" else "")

    def check(self, name: str, value: Any) -> None:
        """Raise UserError unless a value of the option's type lies within its bounds.

        Args:
            name: for the error.
            value: None is taken only where it is the default.
        """
        if value is None and self.default is None:
            return
        if self.choices:
            if value not in self.choices:
                raise unknown_name(name, str(value), self.choices, f"use {self.allowed}")
        elif self.type == "range":
            low = -float("inf") if self.low is None else self.low
            high = float("inf") if self.high is None else self.high
            check_pair(name, value, low, high)
        elif self.type in ("integer", "number"):
            whole = self.type == "integer"
            low = -float("inf") if self.low is None else self.low
            high = float("inf") if self.high is None else self.high
            if isinstance(value, bool) or not low <= value <= high or (whole and value % 1):
                raise out_of_range(
                    name, value, self.allowed, self.remedy or "give one in that range"
                )

    def parse(self, name: str, value: Any) -> Any:
        """The option's value from a plain one, as JSON and TOML have it; bounds are not checked.

        Raises:
            UserError: when it is of another type.
        """
        if value is None and self.default is None:
            return None
        convert, allowed = TYPES[self.type]
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
    """Raise UserError unless every option of a dataclass instance lies within its bounds."""
    for entry, option in options_of(record):
        option.check(flag_of(entry, option), getattr(record, entry.name))


def parse_fields(record: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments of a dataclass from plain values, as JSON and TOML have them.

    Args:
        record: the dataclass; its fields that are no options are passed on as they are.
        values: by name of the field.
        where: what has them, for errors, such as "set 'jnd/val/cnn'".

    Raises:
        UserError: for an unknown or missing name, or a value of another type.
    """
    entries = {entry.name: entry for entry in fields(record) if entry.init}
    for name in values:
        if name not in entries:
            known = ", ".join(sorted(entries))
            raise unknown_name(f"entry of {where}:", name, entries, f"it has {known}")
    required = {
        name
        for name, entry in entries.items()
        if entry.default is MISSING and entry.default_factory is MISSING
    }
    if missing := required - set(values):
        raise UserError(f"{where} lacks {', '.join(sorted(missing))}; add it")
    parsed = {}
    for name, value in values.items():
        option = entries[name].metadata.get("option")
        parsed[name] = value if option is None else option.parse(f"{where}: {name}", value)
    return parsed


def check_range(name: str, value: float, low: float, high: float, *, whole: bool = False) -> None:
    """Raise UserError unless low ≤ value ≤ high, and is whole where that is asked."""
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not low <= value <= high or (whole and value != int(value)):
        raise out_of_range(name, value, f"{kind} from {low} to {high}", "give one in that range")


def check_pair(name: str, pair: tuple[float, float], low: float, high: float) -> None:
    """Raise UserError unless low ≤ pair[0] ≤ pair[1] ≤ high."""
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise out_of_range(
            name,
            " ".join(f"{value:g}" for value in pair),
            f"two numbers from {low:g} to {high:g}, the lower first",
            "give LOW and HIGH in that range",
        )


def check_names(name: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise UserError for a name that is not among those known, with the nearest."""
    for one in given:
        if one not in known:
            raise unknown_name(name, one, known, f"use {', '.join(known)}")
