"""What happens in a worker on a Ray cluster: its node is checked, then it does jobs."""

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

from bapps_gen.errors import BappsGenError, WorkError, one_line
from bapps_gen.execution.workers import begin_worker, do_job
from bapps_gen.storage.locations import Location, open_regular
from bapps_gen.version import __version__

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
# Sets without networks do not need it; the work that does reports that it is missing.
_OPTIONAL = "torch"

_HEAD_BYTES = 65536

_VARIABLES = ("BAPPS_GEN_WEIGHTS", "TORCH_HOME")
"""Environment variables by which weights are found."""

Requirements = Mapping[str, Any]
"""What a node has to agree with, as plain values, so that another version can read them."""

_begun = False


def requirements(shared: Iterable[str | Location] = ()) -> Requirements:
    """What every node has to have: this version, these libraries, and these files."""
    return {
        "version": __version__,
        "libraries": {name: _version(name) for name in _DECISIVE},
        "shared": {str(path): _look(Path(str(path))) for path in shared if "://" not in str(path)},
        "folder": os.getcwd(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def mismatch(requirements: Requirements) -> str | None:
    """One line on why this node cannot do the work, or None."""
    node = socket.gethostname()
    if requirements["version"] != __version__:
        return (
            f"node {node} has bapps-gen {__version__}, but the run is of "
            f"{requirements['version']}; install the same version on every node"
        )
    for name, wanted in requirements["libraries"].items():
        here = _version(name)
        if here != wanted and not (here is None and name == _OPTIONAL):
            return (
                f"node {node} has {name} {here or '(none)'}, but the run is of {wanted or 'none'}, "
                "so rows could differ; install the same versions on every node, such as those of "
                "constraints.txt"
            )
    for path, wanted in requirements["shared"].items():
        if _look(Path(requirements["folder"], path)) != wanted:
            return (
                f"node {node} does not see {path} as it is where the run was started; put --out, "
                "--source and whatever else the run reads on a file system that all nodes share, "
                "under the same path"
            )
    return None


def work(requirements: Requirements, payload: tuple[Any], job: bytes) -> tuple[bytes, bool]:
    """Do a job, and before the first one check this node and make this process a worker.

    Args:
        requirements: what this node has to have.
        payload: Ray's reference of a pickled (prepare, context).
        job: pickled.

    Returns:
        (outcome, restarted). The outcome is a pickled (True, result) or (False, exception): Ray
        would wrap exceptions, and their texts with them. `restarted` is True once, in a worker
        that took the place of one that died.
    """
    global _begun
    restarted = False
    if not _begun:
        import ray

        reason = mismatch(requirements)
        if reason is not None:
            return pickle.dumps((False, WorkError(reason))), False
        os.environ.update(requirements["environment"])
        if os.path.isdir(requirements["folder"]):  # relative paths start there
            os.chdir(requirements["folder"])
        begin_worker(*pickle.loads(ray.get(payload[0])))
        _begun = True
        restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)
    try:
        return pickle.dumps((True, do_job(pickle.loads(job))), pickle.HIGHEST_PROTOCOL), restarted
    except Exception as error:
        return _packed_error(error), restarted


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
    """Enough to tell one file from another: (kind, size, digest of its first 64 KiB)."""
    try:
        if path.is_dir():
            return "folder", 0, ""
        with open_regular(path) as file:
            head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
        return "file", path.stat().st_size, head
    except OSError:
        return "nothing", 0, ""
