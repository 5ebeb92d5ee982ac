"""Runs of commands that are killed at any moment at which something on disk changes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bapps_gen.cli import main

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def run_until_change(
    words: Sequence[str], folder: Path, limit: int | None
) -> tuple[int | None, int]:
    """Run a command in a copy of this process that is killed before a change within a folder.

    Args:
        words: of the command line.
        folder: changes at other places do not count.
        limit: number of the change, from 0; None never kills.

    Returns:
        The exit code, None where the process was killed; and how many changes it made.
    """
    here = str(folder)
    source, sink = os.pipe()

    def run() -> int:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            writes = (
                event == "open"
                and isinstance(arguments[2], int)
                and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            )
            if not writes and event not in _CHANGES:
                return
            if here not in str(arguments[0]):
                return
            if count == limit:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            os.write(sink, b"x")

        sys.addaudithook(hook)
        return main(list(words))

    child = start_copy(run)
    os.close(sink)
    changes = 0
    while data := os.read(source, 1 << 16):
        changes += len(data)
    os.close(source)
    return exit_code_of(child), changes


def run_until_killed(words: Sequence[str], renames: int, *, before: bool) -> int | None:
    """Run a command in a copy of this process that is killed as a file gets its name.

    Args:
        words: of the command line.
        renames: which of the files, from 1.
        before: whether that is just before it is renamed, else just after.

    Returns:
        The exit code; None where the process was killed.
    """

    def run() -> int:
        rename, left = os.replace, renames

        def replace(*paths: Any, **options: Any) -> None:
            nonlocal left
            left -= 1
            if before and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*paths, **options)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace
        return main(list(words))

    return exit_code_of(start_copy(run))


def start_copy(work: Callable[[], int]) -> int:
    """Do some work in a copy of this process, which exits with the code that it gives.

    Returns:
        The id of the copy, for `exit_code_of`.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def exit_code_of(child: int) -> int | None:
    """The exit code of a copy of this process when it has ended; None where it was killed."""
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def everything(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by path, hidden ones but locks too, and empty folders."""
    held = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name != ".lock":
            held[name] = path.read_bytes()
        elif path.is_dir() and not any(path.iterdir()):
            held[f"{name}/"] = b""
    return held
