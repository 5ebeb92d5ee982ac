"""The exceptions that the command line turns into one clear line and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BappsGenError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""

    exit_code = 1


class UserError(BappsGenError):
    """A mistake in what the user asked for: a wrong option, name, value or file (exit code 2)."""

    exit_code = 2


class WorkError(BappsGenError):
    """Work that failed although the request was sound: full disk, damaged shard (exit code 1)."""


class SourceError(UserError):
    """A source of images that cannot be used: missing, empty, or with no usable image."""


class ImageError(BappsGenError):
    """One image that cannot be decoded; its text names the reason without the image's name."""


def out_of_range(name: str, value: object, allowed: str, remedy: str) -> UserError:
    """The house's form for a bad value: name, value, allowed range and remedy on one line."""
    return UserError(f"{name} = {value} is not allowed: it must be {allowed}; {remedy}")


def unknown_name(kind: str, name: str, known: Iterable[str], remedy: str) -> UserError:
    """An unknown name, with the nearest known one where there is any."""
    near = nearest(name, known)
    guess = f"did you mean '{near}'? " if near else ""
    return UserError(f"unknown {kind} '{name}'; {guess}{remedy}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: one that goes on where `name` ends, or is like it."""
    names = list(known)
    longer = [other for other in names if len(name) > 2 and other.startswith(f"{name}-")]
    near = longer or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return near[0] if near else None


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def one_line(error: BaseException) -> str:
    """An exception's whole text on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
