"""Small documents: JSON that this package writes and reads, TOML that users write."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from bapps_gen.errors import UserError, WorkError, one_line
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location, open_regular, require_regular


def write_json(path: Location, values: Any) -> None:
    """Write plain values as JSON, whole or not at all.

    Raises:
        ValueError: when a number is not finite, which JSON cannot say.
        WorkError: as `whole_file`.
    """
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Location) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError, NotADirectoryError: when there is none, for the caller to say what that
            means.
        UserError: when it cannot be read.
        WorkError: when it is damaged.
    """
    try:
        if isinstance(path, Path):
            require_regular(path)
        return parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise WorkError(f"{path} is damaged ({error}); restore it from a copy") from None


def parse_json(text: str | bytes) -> Any:
    """What a text in JSON says.

    Raises:
        ValueError: when it is not JSON, has numbers that JSON cannot say, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The content of a TOML file that a user wrote.

    Args:
        what: completes "a TOML file …" in the error, such as "that describes a collection".

    Raises:
        UserError: when it cannot be read, or is not TOML.
    """
    try:
        with open_regular(path) as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a TOML file {what}") from error
    except RecursionError:
        raise UserError(f"{path} is nested too deeply; write it flatter") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {one_line(error)}; correct it there") from error
