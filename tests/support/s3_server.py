"""An S3-speaking server on loopback: moto behind a front that counts, slows down and refuses."""

from __future__ import annotations

import io
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "bucket"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


class _Gated(io.RawIOBase):
    """A request's body, of which only the beginning comes through until a gate is open."""

    def __init__(self, body: Any, gate: threading.Event) -> None:
        self._body, self._gate, self._left = body, gate, 1 << 16

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            self._gate.wait(600)
        data = self._body.read(min(len(buffer), 1 << 14))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class S3Server:
    """The server; what it holds outlives a stop and a start.

    Attributes:
        requests: (method, path, bytes answered) in the order of their answers.
        passing: how many uploads of shards pass before the gate is closed; None for all.
        gate: while it is closed, uploads of shards stop in the middle.
        stopped: set when an upload has come to a closed gate.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self.port = 0
        self.requests: list[tuple[str, str, int]] = []
        self.passing: int | None = None
        self.gate = threading.Event()
        self.stopped = threading.Event()
        self.open_gate()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=_Quiet
        )
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def close_gate(self, passing: int = 0) -> None:
        """Let so many uploads of shards pass and stop further ones in the middle."""
        self.passing = passing
        self.stopped.clear()
        self.gate.clear()

    def open_gate(self) -> None:
        self.passing = None
        self.gate.set()

    def require_rights(self, required: bool) -> None:
        """Whether clients need rights, which the key of these tests does not have."""
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth",
            data=b"0" if required else b"inf",
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "PUT" and path.endswith(".parquet"):
            if self.passing == 0:
                self.stopped.set()
                environ["wsgi.input"] = io.BufferedReader(_Gated(environ["wsgi.input"], self.gate))
            elif self.passing is not None:
                self.passing -= 1
        body = b"".join(self._app(environ, start))
        self.requests.append((method, path, 0 if method == "HEAD" else len(body)))
        return [body]


class Bucket:
    """The server's bucket, seen from its own side: without a client's caches."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    def names(self, folder: str) -> list[str]:
        self._filesystem.invalidate_cache()
        found = self._filesystem.find(f"{BUCKET}/{folder}")
        return [name.removeprefix(f"{BUCKET}/") for name in found]

    def read(self, name: str) -> bytes:
        return bytes(self._filesystem.cat_file(f"{BUCKET}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        self._filesystem.pipe_file(f"{BUCKET}/{name}", data)

    def remove(self, name: str) -> None:
        self._filesystem.rm_file(f"{BUCKET}/{name}")

    def copy_in(self, folder: Path, name: str) -> str:
        """Put a local folder's files into the bucket; returns their URL."""
        for path, below in _files(folder):
            self.write(f"{name}/{below}", path.read_bytes())
        return f"s3://{BUCKET}/{name}"


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.relative_to(folder).as_posix()
