"""Files that appear whole or not at all, in folders and at URLs."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

from bapps_gen.errors import UserError, WorkError
from bapps_gen.storage.locations import Location, Url

TEMPORARY_SUFFIX = ".tmp"
_UPLOADS = "bapps-gen-"


@contextlib.contextmanager
def whole_file(path: Location) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block succeeds.

    It lies beside `path` and is renamed; its name starts with a dot, so that no reader takes it
    for data. For a URL it lies in the system's temporary folder and is uploaded in one piece. On
    failure it is removed.

    Raises:
        WorkError: when the disk is full or the file cannot be written.
    """
    if isinstance(path, Url):
        with _uploaded(path) as temporary:
            yield temporary
        return
    # Not by the process's number alone: processes of several machines may write to one folder.
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
    above = tempfile.gettempdir()
    try:
        # The name says whose it is, so that it can be removed once that process has been killed.
        with tempfile.TemporaryDirectory(
            prefix=f"{_UPLOADS}{os.getpid()}-", ignore_cleanup_errors=True
        ) as folder:
            temporary = Path(folder) / url.name
            yield temporary
            url.upload(temporary)
    except OSError as error:
        raise WorkError(
            f"cannot write {url} by way of {above}: {error.strerror or error}; free some space "
            "there or set TMPDIR to another folder, then run the same command again"
        ) from error


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
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise WorkError(f"{path} is damaged ({error}); restore it from a copy") from None


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk that a folder is on or, while it is not there, will be on."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def size_text(count: float) -> str:
    """Bytes for people, such as "4.1 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("bytes", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def write_error(path: Location, error: OSError) -> WorkError:
    """One line for a failed write, with what the user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "free some space, then run the same command again"
    else:
        remedy = "make the folder writable, then run the same command again"
    return WorkError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def remove_leftovers(folder: Location) -> None:
    """Remove temporary files of runs that were killed; the caller holds the folder's lock.

    Of runs that wrote to URLs, those on this machine are removed from its temporary folder.
    """
    if isinstance(folder, Url):
        for place in Path(tempfile.gettempdir()).glob(f"{_UPLOADS}*-*"):
            process = place.name.removeprefix(_UPLOADS).partition("-")[0]
            if process.isdigit() and not _is_running(int(process)):
                shutil.rmtree(place, ignore_errors=True)
        return
    for left in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere, asking would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


@contextlib.contextmanager
def folder_lock(folder: Location) -> Iterator[None]:
    """Hold a folder for one run at a time; the system lets go when the process ends, however.

    Object stores have no such locks, so at a URL nothing is held. Two runs of one spec write the
    same bytes there, so that neither harms the other; shards of another spec are told by their
    digest.

    Raises:
        UserError: when another run holds it.
    """
    if isinstance(folder, Url):
        yield
        return
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


def make_folder(folder: Location) -> None:
    """Create a folder and its parents; at a URL, where there are none, see that it can be written.

    Raises:
        UserError: when a file stands in the way or it cannot be created.
    """
    if isinstance(folder, Url):
        folder.check_writable()
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; choose another --out") from None
    except OSError as error:
        raise UserError(
            f"cannot create the folder {folder}: {error.strerror}; choose another --out"
        ) from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The content of a TOML file that a user wrote.

    Args:
        what: the file is asked to be, for people, after "a TOML file".

    Raises:
        UserError: when it cannot be read, or is no TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a TOML file {what}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}; mend that place") from error
