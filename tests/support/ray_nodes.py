"""A real Ray cluster of two nodes on this machine, apart from any other, and its processes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STORE_BYTES = 100_000_000

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""For nodes and whatever connects to them: nobody else does, and nothing goes to a home folder."""
_START_SECONDS = 300


class Node:
    """One `ray start`, which stays until it is stopped."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
            *("--num-cpus=1", f"--object-store-memory={STORE_BYTES}"),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
            *("--include-log-monitor=false", "--disable-usage-stats", f"--temp-dir={home}"),
            *options,
        ]
        self.log = home / "start.log"
        home.mkdir()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, **ENVIRONMENT, **environment},
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when the node is up."""
        deadline = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def processes(self, name: str) -> list[int]:
        """Process ids below this node whose command has a name in it."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        below, pids = {self.process.pid}, []
        lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
        for _ in range(4):  # generations
            below |= {int(pid) for pid, parent, *_ in lines if int(parent) in below}
        for pid, _, *words in lines:
            if int(pid) in below and words and name in words[0]:
                pids.append(int(pid))
        return pids

    def kill(self) -> None:
        """Let the node go down at once, as one that loses its power."""
        for pid in self.processes(""):
            if pid != self.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.kill()
            self.process.wait()


class Cluster:
    """A head, and nodes that join it; one core each."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options = home, options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        head = ("--head", f"--port={port}", "--include-dashboard=false")
        self.nodes = [Node(home / "0", *head, *options)]
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert self.nodes[0].process.poll() is None, self.nodes[0].log.read_text()
            time.sleep(0.1)

    def add(self, **environment: str) -> Node:
        home = self.home / str(len(list(self.home.iterdir())))
        self.nodes.append(Node(home, f"--address={self.address}", *self.options, **environment))
        return self.nodes[-1]

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()


@contextlib.contextmanager
def two_nodes(*options: str) -> Iterator[Cluster]:
    # Sockets lie in there, whose paths may not be long.
    home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp" if os.path.isdir("/tmp") else None))
    cluster = Cluster(home, *options)
    try:
        cluster.add()
        for node in cluster.nodes:
            node.wait()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
