"""Runs of commands that are killed at any moment at which something on disk changes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

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
    child = os.fork()
    if child == 0:
        code = 70
        try:
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
            code = main(list(words))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(sink)
    changes = 0
    while data := os.read(source, 1 << 16):
        changes += len(data)
    os.close(source)
    _, status = os.waitpid(child, 0)
    return (None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)), changes


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
