"""A study served on this machine by Uvicorn, until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bapps_gen.errors import UserError
from bapps_gen.pipelines.judging.study.page import missing_extra
from bapps_gen.pipelines.judging.study.study import Study

MIN_TOKEN = 12
"""Characters of the shortest password of the admin page (own choice)."""

MAX_CONNECTIONS = 2000
MAX_HEADERS = 16 * 1024  # bytes
IDLE_SECONDS = 15.0
"""Seconds after which a connection is closed that neither has a request nor sent a whole one."""


def serve_study(
    study: Study,
    host: str,
    port: int,
    token: str,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve a study until SIGINT or SIGTERM; votes in flight are stored first.

    Args:
        study: the study.
        host: address to listen on.
        port: to listen on; 0 for a free one.
        token: password of the admin page.
        started: called with the server's address once it listens.

    Raises:
        UserError: when it cannot listen there, or a package is missing.
        WorkError: when a file of the study is missing or damaged, or cannot be written.
    """
    try:
        import jinja2  # noqa: F401  # for the admin page, which would ask for it later
        import markdown_it  # noqa: F401  # for texts
        import uvicorn

        from bapps_gen.pipelines.judging.study.admin import admin_routes
        from bapps_gen.pipelines.judging.study.server import study_app
    except ImportError as error:
        raise missing_extra(error) from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise UserError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', error)}; "
            "choose another --port or --host"
        ) from None
    app = study_app(study, lambda server: admin_routes(server, token))
    name = f"[{host}]" if family == socket.AF_INET6 else host
    started(f"http://{name}:{listener.getsockname()[1]}")
    settings = uvicorn.Config(
        app,
        http=_impatient(),
        ws="none",
        log_level="warning",
        access_log=False,  # it would have ids of people in it
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADERS,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _impatient() -> type[asyncio.Protocol]:
    """Uvicorn's protocol that waits for no slow headers: connections without a request end."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class ImpatientProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(IDLE_SECONDS, self._look, None)

        def _look(self, earlier: object) -> None:
            if self.transport.is_closing():
                return
            busy = self.cycle is not None and not self.cycle.response_complete
            if self.cycle is earlier and not busy:
                self.transport.close()
                return
            self.loop.call_later(IDLE_SECONDS, self._look, self.cycle)

    return ImpatientProtocol
