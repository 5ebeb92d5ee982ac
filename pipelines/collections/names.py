"""What collections publish of files and folders: names, and not where they lie."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from bapps_gen.manifests.origin import public_name
from bapps_gen.pipelines.datasets.request import OPTIONS


def portable_command(command: str) -> str:
    """A command with absolute paths shortened to their last part, which is all others need."""
    words = (re.sub(r"(^|[=,:])([/~][^=,]*)", _shortened, word) for word in shlex.split(command))
    return shlex.join(words)


def portable_text(text: str) -> str:
    """A message with absolute paths shortened to their last part."""
    return re.sub(r"(^|[\s'\"(=])([/~][^\s'\",;:()]+)", _shortened, text)


def _shortened(match: re.Match[str]) -> str:
    if match[2].startswith("//"):  # of a URL
        return match[0]
    return f"{match[1]}{public_name(match[2])}"


def public_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a set with the names of files and folders in place of their paths."""
    return {
        name: _names(value) if name in OPTIONS and OPTIONS[name].is_place else value
        for name, value in options.items()
    }


def _names(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _names(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_names(item) for item in value]
    return public_name(value) if isinstance(value, str) else value
