"""Files that appear whole or not at all, in folders and at URLs."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from bapps_gen.errors import WorkError
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

TEMPORARY_SUFFIX = ".tmp"
UPLOAD_PREFIX = "bapps-gen-"


@contextlib.contextmanager
def whole_file(path: Location, *, alone: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block succeeds.

    It lies beside `path` and is renamed; its name starts with a dot, so that no reader takes it
    for data. For a URL it lies in the system's temporary folder and is uploaded in one piece. On
    failure it is removed.

    Args:
        path: of the file.
        alone: whether no other run writes it meanwhile, so that what killed runs left of it is
            removed; where a folder is claimed, its leftovers are removed all at once.

    Raises:
        WorkError: when the disk is full or the file cannot be written.
    """
    if isinstance(path, Url):
        with _uploaded(path) as temporary:
            yield temporary
        return
    # Not by the process's number alone: processes of several machines may write to one folder.
    if alone:
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}-{token_hex(4)}{TEMPORARY_SUFFIX}"
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


@contextlib.contextmanager
def _uploaded(url: Url) -> Iterator[Path]:
    try:
        # The name says whose it is, so that it can be removed once that process has been killed.
        with tempfile.TemporaryDirectory(
            prefix=f"{UPLOAD_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
        ) as folder:
            temporary = Path(folder) / url.name
            yield temporary
            url.upload(temporary)
    except OSError as error:
        raise WorkError(
            f"cannot write {url} by way of {tempfile.gettempdir()}: {error.strerror or error}; "
            "free some space there or set TMPDIR to another folder, then run the same command again"
        ) from error


def write_error(path: Location, error: OSError) -> WorkError:
    """One line for a failed write, with what the user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "free some space, then run the same command again"
    else:
        remedy = "make the folder writable, then run the same command again"
    return WorkError(f"cannot write {path}: {error.strerror or error}; {remedy}")
