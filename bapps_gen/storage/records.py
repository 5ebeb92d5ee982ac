"""Records read from files that anybody may have written: plain values as typed dataclasses.

The types of a dataclass's fields say what its file may hold: `str`, `int`, `float`, `bool`, other
dataclasses, `tuple[X, ...]`, `tuple[X, Y]`, `Mapping[str, X]`, `X | None`, or `Any` for plain
values of any kind. `Annotated[int, Within(1, 10)]` and `Annotated[str, Matching(…)]` narrow them.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bapps_gen.errors import UserError, WorkError, unknown_name
from bapps_gen.storage.documents import read_json
from bapps_gen.storage.locations import Location

MAX_DEPTH = 20
"""Lists and mappings within each other, where any plain value is allowed."""

_LARGEST = 2**63 - 1  # as Parquet's columns hold
_SHOWN = 40  # characters of a value that a message repeats

Record = TypeVar("Record")


LOCAL: Mapping[Any, Any] = types.MappingProxyType({"local": True})
"""Metadata of fields of a record that are not in its file."""


@dataclass(frozen=True, slots=True)
class Within:
    """A number from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that a regular expression matches; `allowed` completes "it must be …"."""

    pattern: str
    allowed: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some values."""

    values: tuple[Any, ...]


FILE_NAME = Matching(r"(?!\.{1,2}$)[^/\\]{1,200}", "a file's name without / and \\")
Count = Annotated[int, Within(0, _LARGEST)]
Digest = Annotated[str, Matching(r"[0-9a-f]{32}", "32 hexadecimal digits")]
Sha256 = Annotated[str, Matching(r"[0-9a-f]{64}", "64 hexadecimal digits")]
FileName = Annotated[str, FILE_NAME]


def read_record(
    path: Location,
    record: type[Record],
    version: int,
    *,
    version_key: str = "format_version",
    missing: Mapping[str, Any] | None = None,
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    variants: Mapping[str, type[Record]] | None = None,
) -> Record:
    """The record that a JSON file of this package holds.

    Args:
        path: the file.
        record: its dataclass.
        version: that it must have; checked first, since another may have other entries.
        version_key: the field that says so.
        missing: values of fields that older files lack.
        upgrade: turns the values of older files into those of today.
        variants: by a key that only they have, dataclasses in place of `record`.

    Raises:
        FileNotFoundError, NotADirectoryError: when there is none, for the caller to say what that
            means.
        UserError: when it cannot be read.
        WorkError: naming file and key, when it is damaged or of another version.
    """
    stored = read_json(path)
    if isinstance(stored, dict):
        held = stored.get(version_key, version)
        if held != version:
            raise WorkError(
                f"{path}: {version_key} = {shown(held)} is not {version}; "
                "use the version of bapps-gen that wrote it"
            )
        record = next((kind for key, kind in (variants or {}).items() if key in stored), record)
        stored = {**(missing or {}), **stored}
    try:
        if upgrade is not None and isinstance(stored, dict):
            stored = upgrade(stored)
        return parse_record(record, stored, optional=())
    except UserError as error:
        raise WorkError(f"{path} is damaged: {error}; restore it from a copy") from None


def read_values(path: Location) -> dict[str, Any]:
    """Plain values by key of a JSON file of this package whose keys depend on what it describes.

    Raises:
        As `read_record`.
    """
    stored = read_json(path)
    try:
        values: dict[str, Any] = parse_value(Mapping[str, Any], stored, "the whole")
    except UserError as error:
        raise WorkError(f"{path} is damaged: {error}; restore it from a copy") from None
    return values


def parse_record(
    record: type[Record], values: Any, key: str = "", optional: Collection[str] | None = None
) -> Record:
    """A record from plain values, as JSON and TOML give them.

    Args:
        record: a dataclass.
        values: by name of the field.
        key: where they are, for errors; empty for the top.
        optional: fields that may be missing; by default those that have a default.

    Raises:
        UserError: naming the key, for a missing or unknown one, or a value of the wrong type or
            out of range.
    """
    if not isinstance(values, dict):
        raise _bad(key or "the whole", values, "a table of keys and values")
    converters, required = _fields_of(record)  # type: ignore[arg-type]  # a class can be hashed
    for name in values:
        if name not in converters:
            remedy = f"keys are {', '.join(sorted(converters))}"
            raise unknown_name(f"key of {key}:" if key else "key", shown(name), converters, remedy)
    parsed = {name: converters[name](value, _joined(key, name)) for name, value in values.items()}
    for name in converters if optional is not None else required:
        if name not in values and name not in (optional or ()):
            raise UserError(f"{_joined(key, name)} is missing; add it")
    return record(**parsed)


def stored_values(record: Any) -> dict[str, Any]:
    """What a record's file holds: all fields but the local ones, as plain values."""
    entries = (entry for entry in fields(record) if "local" not in entry.metadata)
    return {entry.name: _stored(getattr(record, entry.name)) for entry in entries}


def _stored(value: Any) -> Any:
    if is_dataclass(value):
        return stored_values(value)
    if isinstance(value, Mapping):
        return {key: _stored(item) for key, item in value.items()}
    return [_stored(item) for item in value] if isinstance(value, list | tuple) else value


def parse_value(kind: Any, value: Any, key: str) -> Any:
    """A value of a type, as that of a field; raises as `parse_record` does."""
    return _converter(kind)(value, key)


def shown(value: Any) -> str:
    """A value in a message: on one line, and not too long."""
    text = value if isinstance(value, str) else _brief(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return f"a table of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} values"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return "a number of more than 63 bits"
    return json.dumps(value, default=str)  # dates, in TOML


def _bad(key: str, value: Any, allowed: str) -> UserError:
    return UserError(f"{key} = {shown(value)} is not allowed: it must be {allowed}")


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


Convert = Callable[[Any, str], Any]


@cache
def _fields_of(record: type[Any]) -> tuple[dict[str, Convert], tuple[str, ...]]:
    """Converters by name of a dataclass's fields, and the names of those without a default."""
    hints = get_type_hints(record, include_extras=True)
    entries = [entry for entry in fields(record) if entry.init and "local" not in entry.metadata]
    required = tuple(
        entry.name
        for entry in entries
        if entry.default is MISSING and entry.default_factory is MISSING
    )
    return {entry.name: _converter(hints[entry.name]) for entry in entries}, required


def _converter(kind: Any) -> Convert:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _checked(_converter(arguments[0]), *arguments[1:])
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        convert = _converter(inner)
        return lambda value, key: None if value is None else convert(value, key)
    if origin is tuple and arguments[1:] == (...,):
        return partial(_sequence, _converter(arguments[0]))
    if origin is tuple:
        return partial(_fixed, tuple(map(_converter, arguments)))
    if origin is not None and issubclass(origin, Mapping):
        return partial(_mapping, _converter(arguments[1]))
    if is_dataclass(kind):
        return lambda value, key: parse_record(kind, value, key)  # type: ignore[arg-type]
    return _PLAIN[kind]


def _checked(convert: Convert, *rules: Within | Matching | OneOf) -> Convert:
    def check(value: Any, key: str) -> Any:
        value = convert(value, key)
        for rule in rules:
            if isinstance(rule, Within) and not rule.low <= value <= rule.high:
                raise _bad(key, value, f"from {rule.low} to {rule.high}")
            if isinstance(rule, Matching) and not re.fullmatch(rule.pattern, value):
                raise _bad(key, value, rule.allowed)
            if isinstance(rule, OneOf) and value not in rule.values:
                raise _bad(key, value, f"one of {', '.join(map(str, rule.values))}")
        return value

    return check


def _sequence(convert: Convert, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _bad(key, value, "a list")
    return tuple([convert(item, key) for item in value])


def _fixed(converters: tuple[Convert, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(converters):
        raise _bad(key, value, f"a list of {len(converters)} values")
    return tuple([convert(item, key) for convert, item in zip(converters, value, strict=True)])


def _mapping(convert: Convert, value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(key, value, "a table of keys and values")
    return {_text(name, key): convert(item, f"{key}.{shown(name)}") for name, item in value.items()}


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise _bad(key, value, "text")
    if "\0" in value or (not value.isascii() and re.search("[\ud800-\udfff]", value)):
        raise _bad(key, value, "text in Unicode without NUL")
    return value


def _integer(value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise _bad(key, value, "a whole number of at most 63 bits")
    return value


def _number(value: Any, key: str) -> float:
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    if not sound or (isinstance(value, int) and abs(value) > _LARGEST) or not math.isfinite(value):
        raise _bad(key, value, "a number")
    return value  # type: ignore[no-any-return]  # 1 stays 1: digests depend on it


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise _bad(key, value, "true or false")
    return value


def _plain(value: Any, key: str, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise _bad(key, value, f"lists and tables at most {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {_text(name, key): _plain(item, key, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key, depth + 1) for item in value]
    return (_text if isinstance(value, str) else _number)(value, key)


_PLAIN: Mapping[Any, Convert] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _flag,
    Any: _plain,
}
