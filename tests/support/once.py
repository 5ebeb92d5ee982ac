"""Folders that are made once in a run of tests, whichever worker asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder once in a run: `once(name, build)` calls `build(folder)` in one worker alone.

    The folder does not exist when `build` is called, which has to make it. Nobody may change it.
    A name stands for one `build`: another that takes it is an error.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which the workers have in common
    shared = base / "shared"
    shared.mkdir(exist_ok=True)

    def make_once(name: str, build: Callable[[Path], object]) -> Path:
        folder, finished = shared / name / name, shared / name / ".finished"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            builder = f"{build.__module__}.{build.__qualname__}"
            if not finished.exists():
                shutil.rmtree(folder.parent, ignore_errors=True)
                folder.parent.mkdir()
                build(folder)
                finished.write_text(builder)
            assert finished.read_text() == builder, f"'{name}' is what {finished.read_text()} made"
        return folder

    return make_once
