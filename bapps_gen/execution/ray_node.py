"""What happens inside a worker on a Ray cluster: the check of its node, and the jobs."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bapps_gen
from bapps_gen.errors import BappsGenError, WorkError, one_line
from bapps_gen.execution.jobs import begin_worker
from bapps_gen.storage.locations import Location

# Distributions whose versions decide what pixels and distances come out.
_DECISIVE = (
    "numpy",
    "scipy",
    "opencv-python-headless",
    "scikit-image",
    "pillow",
    "simplejpeg",
    "imagecodecs",
    "torch",
)
# The work that needs it says so where it is missing, and sets without networks do without.
_MAY_LACK = "torch"

_HEAD_BYTES = 65536

_VARIABLES = ("BAPPS_GEN_WEIGHTS", "TORCH_HOME")
"""Environment variables by which weights are found."""

Terms = Mapping[str, Any]
"""What a node has to agree with, as plain values, so that another version can read them."""


def terms(shared: Iterable[str | Location] = ()) -> Terms:
    """What every node has to have: this version, these libraries, and these files."""
    return {
        "version": bapps_gen.__version__,
        "libraries": {name: _version(name) for name in _DECISIVE},
        "shared": {str(path): _look(Path(str(path))) for path in shared if "://" not in str(path)},
        "folder": os.getcwd(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def fault(terms: Terms) -> str | None:
    """One line on why this node cannot do the work, or None."""
    node = socket.gethostname()
    if terms["version"] != bapps_gen.__version__:
        return (
            f"node {node} has bapps-gen {bapps_gen.__version__}, but the run is of "
            f"{terms['version']}; install the same version on every node"
        )
    for name, wanted in terms["libraries"].items():
        here = _version(name)
        if here != wanted and not (here is None and name == _MAY_LACK):
            return (
                f"node {node} has {name} {here or '(none)'}, but the run is of {wanted or 'none'}, "
                "so rows could differ; install the same versions on every node, such as those of "
                "constraints.txt"
            )
    for path, wanted in terms["shared"].items():
        if _look(Path(terms["folder"], path)) != wanted:
            return (
                f"node {node} does not see {path} as it is where the run was started; put --out, "
                "--source and whatever else the run reads on a file system that all nodes share, "
                "under the same path"
            )
    return None


def start(terms: Terms, payload: bytes) -> str | None:
    """Make this process a worker; one line on why it cannot be one, or None."""
    found = fault(terms)
    if found is None:
        os.environ.update(terms["environment"])
        if os.path.isdir(terms["folder"]):  # relative paths are meant from there
            os.chdir(terms["folder"])
        begin_worker(*pickle.loads(payload))
    return found


def work(packed: bytes) -> bytes:
    """Do a job: a pickled (function, arguments); gives a pickled (True, result).

    Or (False, exception): Ray would wrap it, and its text with it.
    """
    try:
        function, arguments = pickle.loads(packed)
        return pickle.dumps((True, function(*arguments)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _packed_error(error)


def _packed_error(error: Exception) -> bytes:
    if not isinstance(error, BappsGenError):
        error.add_note(f"on node {socket.gethostname()}:\n{traceback.format_exc()}")
    try:
        packed = pickle.dumps((False, error))
        pickle.loads(packed)
    except Exception:  # an exception that does not travel
        return pickle.dumps((False, WorkError(f"{type(error).__name__}: {one_line(error)}")))
    return packed


def _version(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]  # builds for processors and GPUs are one version
    except PackageNotFoundError:
        return None


def _look(path: Path) -> tuple[str, int, str]:
    """What tells one file from another at a glance: (kind, size, digest of its first 64 KiB)."""
    try:
        if path.is_dir():
            return "folder", 0, ""
        with open(path, "rb") as file:
            head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
        return "file", path.stat().st_size, head
    except OSError:
        return "nothing", 0, ""
