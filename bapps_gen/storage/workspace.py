"""Folders that are made by one run at a time, and resumed: claimed, locked, tidied, compared.

Everything that is made goes through here: sets, benchmarks, zoos, demos, scores, collections. A
`Layout` says what such a folder looks like; `claim` holds one for a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bapps_gen.errors import UserError, WorkError
from bapps_gen.storage.atomic import TEMPORARY_SUFFIX, UPLOAD_PREFIX, write_error
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

LOCK_NAME = ".lock"
_LONGEST_VALUE = 20  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True)
class Layout:
    """What the folder of one kind of result looks like.

    Args:
        what: is made, such as "dataset".
        description: file that says what the folder holds, such as "dataset.json"; None where
            there is none, so that no folder is refused.
        folders: subfolders that are written to. Empty ones may be there before the description.
        scratch: subfolders that hold nothing worth keeping once a run has ended.
        markers: further names that show that a folder is of this kind.
        ignored: beginnings of names that may be in the folder before anything is made.
    """

    what: str
    description: str | None
    folders: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def refuse_foreign(self, folder: Location) -> None:
        """Raise UserError when a folder holds something else; hidden files do not count."""
        if self.description is None or not folder.is_dir():
            return
        if any((folder / name).exists() for name in (self.description, *self.markers)):
            return
        if any(map(self._is_foreign, folder.iterdir())):
            raise UserError(
                f"{folder} holds files but no {self.description}, so it is not a {self.what}; "
                "choose a new or empty folder for --out"
            )

    def _is_foreign(self, path: Location) -> bool:
        if path.name.startswith((".", *self.ignored)):
            return False
        if path.name not in self.folders:
            return True
        return not path.is_dir() or any(not held.name.startswith(".") for held in path.iterdir())

    def require_same(
        self, folder: Location, held: Mapping[str, Any], wanted: Mapping[str, Any]
    ) -> None:
        """Raise UserError, naming what differs, unless a folder's description is the wanted one.

        Args:
            held: what its description says, as read from JSON.
            wanted: the same of what is to be made.
        """
        held, wanted = (json.loads(json.dumps(values)) for values in (held, wanted))
        differing = [
            _difference(name, held.get(name), wanted.get(name))
            for name in sorted({*held, *wanted})
            if held.get(name) != wanted.get(name)
        ]
        if differing:
            raise UserError(
                f"{folder} holds a {self.what} of another spec (it differs in "
                f"{'; '.join(differing)}); choose another --out, or repeat the options it was made "
                "with"
            )

    def tidy(self, folder: Location) -> None:
        """Remove what killed runs left; the caller holds the folder."""
        if not isinstance(folder, Url):
            for name in self.scratch:
                shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("", *self.folders):
            remove_leftovers(folder / name if name else folder)


def _difference(name: str, held: Any, wanted: Any) -> str:
    """A name and, where there are two short values, these."""
    if held is None or wanted is None:
        return name
    values = [value if isinstance(value, str) else json.dumps(value) for value in (held, wanted)]
    if max(map(len, values)) > _LONGEST_VALUE:
        return name
    return f"{name} = {values[0]}, not {values[1]}"


@contextlib.contextmanager
def claim(folder: Location, layout: Layout) -> Iterator[None]:
    """Make a folder where it is missing and hold it for this run, tidied before and after.

    Raises:
        UserError: when it holds something else, another run holds it, or it cannot be made.
    """
    layout.refuse_foreign(folder)
    make_folder(folder)
    with folder_lock(folder):
        layout.tidy(folder)
        try:
            yield
        finally:
            layout.tidy(folder)  # of workers that were stopped while writing


def check_landed(folder: Location, names: Iterable[str], whole: Location) -> None:
    """What stands in for a lock at a URL: every file that was written is there.

    Args:
        folder: where the files were written; nothing is checked in local folders.
        names: of the files.
        whole: what they are part of, for the error.

    Raises:
        WorkError: when one is missing.
    """
    if not isinstance(folder, Url):
        return
    there = {path.name for path in folder.iterdir()}
    wanted = list(names)
    gone = sum(name not in there for name in wanted)
    if gone:
        raise WorkError(
            f"{gone} of {len(wanted)} files are not at {whole} although they were written; "
            "run the same command again"
        )


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
            f"cannot create the folder {folder}: {error.strerror}; make {folder.parent} writable "
            "or choose another folder"
        ) from error


@contextlib.contextmanager
def folder_lock(folder: Location) -> Iterator[None]:
    """Hold a folder for one run at a time; the system releases it when the process ends.

    Object stores have no such locks, so at a URL nothing is held. Two runs of one spec write the
    same bytes there, so that neither harms the other; shards of another spec are recognized by
    their digest.

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
    path = folder / LOCK_NAME
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


def remove_leftovers(folder: Location) -> None:
    """Remove temporary files of runs that were killed; the caller holds the folder's lock.

    Of runs that wrote to URLs, those on this machine are removed from its temporary folder.
    """
    if not isinstance(folder, Url):
        for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            if not path.is_dir():
                path.unlink(missing_ok=True)
        return
    for path in Path(tempfile.gettempdir()).glob(f"{UPLOAD_PREFIX}*-*"):
        process = path.name.removeprefix(UPLOAD_PREFIX).partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)


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
def whole_folder(target: Path) -> Iterator[Path]:
    """A hidden folder next to `target` that takes its name when the block succeeds.

    Those that killed runs left there, under any name, are removed first. On failure nothing is
    left, and neither are folders above that were made for it.

    Raises:
        UserError: when `target` exists and is not empty, or another run is writing it.
        WorkError: when it cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists already; choose another folder or remove it first")
    above = [folder for folder in target.parents if not folder.exists()]
    make_folder(target.parent)
    hidden, held = target.parent / f".{target.name}{TEMPORARY_SUFFIX}", False
    try:
        _remove_dead_folders(target.parent)
        hidden.mkdir(exist_ok=True)
        with folder_lock(hidden):
            held = True
            yield hidden
            if target.exists():
                target.rmdir()
            (hidden / LOCK_NAME).unlink(missing_ok=True)
            hidden.rename(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        if held and hidden.exists():
            shutil.rmtree(hidden, ignore_errors=True)
        if not target.exists():
            for folder in above:
                with contextlib.suppress(OSError):  # others have put something there
                    folder.rmdir()


def _remove_dead_folders(parent: Path) -> None:
    """Remove hidden folders of `whole_folder` that no run holds any more."""
    for folder in parent.glob(f".*{TEMPORARY_SUFFIX}"):
        if folder.is_dir():
            with contextlib.suppress(UserError), folder_lock(folder):
                shutil.rmtree(folder, ignore_errors=True)
