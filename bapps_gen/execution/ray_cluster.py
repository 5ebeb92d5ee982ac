"""The connection to a Ray cluster: connects to one or starts one, and checks every node."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bapps_gen.errors import UserError, WorkError, one_line, out_of_range
from bapps_gen.execution.ray_node import requirements
from bapps_gen.execution.workers import RayCluster, available_cores
from bapps_gen.version import __version__

LOCAL = "local"

_CONNECT_SECONDS = 5.0
_STATUS_SECONDS = 180.0  # a busy machine takes long to import Ray
_PROBE_SECONDS = 300.0
_LOCAL_STORE_BYTES = 256_000_000  # for one context and small results; more spills to the disk

_START = "start one with `ray start --head` and on its other nodes `ray start --address=HOST:6379`"


class _State:
    """Whether this process has connected itself, and so has to disconnect again."""

    ours = False
    before: Mapping[str, str | None] = {}
    """What environment variables were before a cluster was started here."""


def connect(cluster: RayCluster) -> None:
    """Connect this process to a cluster, once, until `disconnect`.

    A program that has called `ray.init` itself stays connected as it is.

    Raises:
        UserError: when Ray is missing, the address is wrong or no node has what a job asks for.
        WorkError: when a node lacks what the work needs.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "engine = ray needs Ray, which is not installed; install it on every node with "
            "`pip install 'bapps-gen[ray]'`"
        )
    # Read when Ray is first imported: its reports of what died fill a screen; ours take a line.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    import ray

    if not ray.is_initialized():
        _initialize(_find(cluster.address))
        _State.ours = True
        try:
            _check_nodes(cluster)
        except BaseException:
            disconnect()
            raise
    capacity(cluster)


def disconnect() -> None:
    """Disconnect from the cluster that `connect` connected to, or end the one that it started."""
    if _State.ours:
        import ray

        _State.ours = False
        ray.shutdown()
        _restore_environment()


def capacity(cluster: RayCluster) -> int:
    """How many jobs the cluster can do at a time.

    Raises:
        UserError: when no node has what a job asks for.
    """
    jobs = sum(_capacity_of(node["Resources"], cluster) for node in _nodes())
    if not jobs:
        gpus = f" and {cluster.num_gpus:g} GPU" if cluster.num_gpus else ""
        raise UserError(
            f"no node of the Ray cluster has the {cluster.num_cpus} CPU{gpus} that a job asks "
            "for; see `ray status`, and start a node that has them"
        )
    return jobs


def resolve_device(cluster: RayCluster, device: str) -> str:
    """The device that jobs compute on: "auto" is "cuda" where the cluster has GPUs, else "cpu".

    Raises:
        UserError: for another device, or as `connect`.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise out_of_range("device", device, "auto, cpu or cuda with --engine ray", "choose one")
    connect(cluster)
    if device == "auto":
        return "cuda" if any(node["Resources"].get("GPU") for node in _nodes()) else "cpu"
    return device


def raise_mismatch(answer: str | tuple[str, str] | None) -> None:
    """Raise WorkError for the answer of a node that cannot do the work.

    Args:
        answer: a line, or (node, reason) of a node that cannot import this package; None for a
            node that can.
    """
    if isinstance(answer, str):
        raise WorkError(answer)
    if answer is not None:
        node, reason = answer
        raise WorkError(
            f"node {node} has no bapps-gen {__version__} for the Python that runs Ray "
            f"there ({reason}); install it with `pip install 'bapps-gen[ray]'` on every node"
        )


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _capacity_of(resources: Mapping[str, float], cluster: RayCluster) -> int:
    cores = int(resources.get("CPU", 0.0) // cluster.num_cpus)
    if not cluster.num_gpus:
        return cores
    count = resources.get("GPU", 0.0)
    if cluster.num_gpus < 1:  # a job's share is always of one GPU
        return min(cores, int(count) * int(1 / cluster.num_gpus + 1e-9))
    return min(cores, int(count // cluster.num_gpus))


def _find(address: str | None) -> str:
    """The address to connect to, LOCAL where there is no cluster and none was asked for."""
    wanted = address or os.environ.get("RAY_ADDRESS") or None
    if wanted == LOCAL:
        return LOCAL
    if wanted not in (None, "auto"):
        _check_port(wanted)
    command = [sys.executable, "-m", "ray.scripts.scripts", "status"]
    if wanted is not None:
        command += ["--address", wanted]
    try:
        # Ray itself would wait for minutes where something else answers, or nothing.
        status = subprocess.run(command, capture_output=True, text=True, timeout=_STATUS_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"no Ray cluster answers at {wanted or 'the address of the last one on this machine'}; "
            f"{_START}, or use --address local"
        ) from None
    text = status.stdout + status.stderr
    if "Could not find any running Ray" in text:
        if wanted is None:
            return LOCAL
        raise UserError(f"this machine is part of no running Ray cluster; {_START}")
    if status.returncode and "AuthenticationError" in text and wanted not in (None, "auto"):
        raise UserError(
            f"the Ray cluster at {wanted} asks for a token; set RAY_AUTH_MODE=token, and the "
            "token, as Ray's documentation on token authentication says"
        )
    return wanted or "auto"  # connecting reports whatever else is wrong better


def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(
            f"address = {address} is not allowed: it must be HOST:PORT of the head of a Ray "
            "cluster that this machine is part of (its port is 6379 by default), auto "
            "or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster answers at {address}: {error.strerror or error}; {_START}"
        ) from None


def _initialize(address: str) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        with _keep_handlers():
            if address == LOCAL:
                _State.before = _set_for_local_cluster()
                ray.init(
                    address=LOCAL,
                    num_cpus=available_cores(),
                    object_store_memory=_LOCAL_STORE_BYTES,
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    **quiet,
                )
            else:
                ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        _restore_environment()
        raise WorkError(
            f"cannot use the Ray cluster at {address}: {one_line(error)[:300]}; this machine has "
            "to be a node of it, with the same versions of Ray and Python"
        ) from error


def _set_for_local_cluster() -> dict[str, str | None]:
    """Set the environment for a cluster of this process alone; gives what it was before.

    Left alone, Ray would write a token for it to the user's home, which changes how every later
    cluster of the user's starts; or with no token, anybody on this machine could run code in it.
    """
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED")
    before = {name: os.environ.get(name) for name in names}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return before


def _restore_environment() -> None:
    for name, value in _State.before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    _State.before = {}


@contextlib.contextmanager
def _keep_handlers() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces with its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray sets none either
            signal.signal(signal.SIGTERM, before)


def _check_nodes(cluster: RayCluster) -> None:
    """Ask every node that could do a job whether it can.

    Raises:
        WorkError: naming the first that cannot.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def probe(wanted: Mapping[str, Any]) -> str | tuple[str, str] | None:
        # Sent by value, being local: the node may have no bapps-gen to import it from.
        try:
            from bapps_gen.execution.ray_node import mismatch
        except ImportError as error:
            import socket

            return socket.gethostname(), str(error)
        return mismatch(wanted)

    task = ray.remote(probe)
    wanted = requirements()
    asked = [
        task.options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(wanted)
        for node in _nodes()
        if _capacity_of(node["Resources"], cluster)
    ]
    try:
        answers = ray.get(asked, timeout=_PROBE_SECONDS)
    except ray.exceptions.RayError as error:
        raise WorkError(
            f"a node of the Ray cluster does not answer ({one_line(error)[:200]}); see "
            "`ray status`, and stop or restart the node"
        ) from error
    for answer in answers:
        raise_mismatch(answer)
