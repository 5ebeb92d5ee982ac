"""What the command line prints: names from files of others do nothing to a terminal."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any

# Controls, marks that turn the direction of text or end lines, and what UTF-8 cannot say.
_ODD = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_OUT = re.compile(f"[{_ODD}\r]")
_ERR = re.compile(rf"\x1b(?!\[A)|(?!\x1b)[{_ODD}]")
"""Progress bars go to the start of their line and up by one."""


class _Escaping:
    """A text stream that writes odd characters as `\\u001b`, as JSON does."""

    def __init__(self, stream: Any, odd: re.Pattern[str]) -> None:
        self._stream = stream
        self._odd = odd

    def write(self, text: str) -> int:
        """Write a text, escaped."""
        self._stream.write(self._odd.sub(_escaped, text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts, escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


@contextlib.contextmanager
def escaping() -> Iterator[None]:
    """Escape what is printed within the block, on stdout and stderr."""
    with (
        contextlib.redirect_stdout(_Escaping(sys.stdout, _OUT)),
        contextlib.redirect_stderr(_Escaping(sys.stderr, _ERR)),
    ):
        yield
