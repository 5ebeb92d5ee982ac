"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from bapps_gen.errors import UserError, WorkError

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` when the block succeeds.

    The name starts with a dot, so that no reader takes it for data. On failure it is removed.

    Raises:
        WorkError: when the disk is full or the file cannot be written.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}"
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> WorkError:
    """One line for a failed write, with what the user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "free some space, then run the same command again"
    else:
        remedy = "make the folder writable, then run the same command again"
    return WorkError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of runs that were killed; the caller holds the folder's lock."""
    for left in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one run at a time; the system lets go when the process ends, however.

    Raises:
        UserError: when another run holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows, where an open file cannot be replaced anyway
        yield
        return
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder} is being written by another run; wait for it to end or use another --out"
            ) from None
        yield
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        UserError: when a file stands in the way or it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; choose another --out") from None
    except OSError as error:
        raise UserError(
            f"cannot create the folder {folder}: {error.strerror}; choose another --out"
        ) from error
