"""The study's web application: gives out sessions and pictures, takes votes.

Nothing that it sends says which side of a trial is which, what was done to a picture, or which
trial is a sentinel. Ids cannot be guessed, no text from outside becomes a path, and a vote is
acknowledged once it is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bapps_gen.errors import UserError, WorkError
from bapps_gen.pipelines.judging.study.assign import (
    PERSON_PARAMETERS,
    Assignments,
    person_hash,
    shown_trial,
)
from bapps_gen.pipelines.judging.study.page import page_config, page_files
from bapps_gen.pipelines.judging.study.pictures import PICTURES_NAME, PictureStore, opaque_id
from bapps_gen.pipelines.judging.study.store import (
    VOTES_NAME,
    SessionRecord,
    StoredVote,
    VoteStore,
)
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.records import Matching, Within, parse_record

MAX_BODY = 64 * 1024
"""Bytes of the longest request that is read (own choice; a vote has less than 2 KB)."""

MAX_FRAMES = 1000

BODY_SECONDS = 20.0
"""Seconds that a request's body may take to arrive (own choice; a vote fits one packet)."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

_MILLISECONDS = Within(0, 1e9)
_Opaque = Annotated[str, Matching(r"[0-9a-f]{32}", "an id of this study")]
_BrowserKey = Annotated[str, Matching(r"[0-9A-Za-z_-]{16,128}", "16 to 128 letters and digits")]
_Milliseconds = Annotated[float, _MILLISECONDS]

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Body of `POST /api/session`: the browser's key, and the parameters of the link."""

    key: _BrowserKey
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """Body of `POST /api/vote`."""

    session: _Opaque
    trial: _Opaque
    answer: str
    rt_ms: _Milliseconds | None = None
    reference_ms: _Milliseconds | None = None
    gap_ms: _Milliseconds | None = None
    distorted_ms: _Milliseconds | None = None
    timing_ok: bool | None = None
    frames: tuple[_Milliseconds, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishRequest:
    """Body of `POST /api/finish`: the session, and what the browser says of itself."""

    session: _Opaque
    browser: Mapping[str, Any]


class StudyServer:
    """Answers the requests of one study; see `study_app`."""

    def __init__(self, study: Study, clock: Callable[[], float] | None = None) -> None:
        self.study = study
        self.assignments = Assignments(study)
        path, timeout = study.folder / VOTES_NAME, 60.0 * study.protocol.timeout_min
        self.store = VoteStore(path, timeout, clock) if clock else VoteStore(path, timeout)
        self._pictures = PictureStore(study.folder / PICTURES_NAME, study.key)
        self._files = page_files()
        self._config = page_config(study.protocol, study.info.texts)
        self._plans = {
            trial.trial: plan
            for plan, trials in enumerate(self.assignments.sessions)
            for trial in trials
        }
        self._sessions: dict[str, SessionRecord] = {}  # known ones; their plans never change
        self._answers = study.protocol.shown_answers

    def close(self) -> None:
        """Finish what waits to be written."""
        self.store.close()
        self._pictures.close()

    async def file(self, request: Request) -> Response:
        """The page and its parts."""
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            raise HTTPException(404)
        data, kind = self._files[name]
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def image(self, request: Request) -> Response:
        """A picture by its id."""
        data = self._pictures.image(request.path_params["name"])
        if data is None:
            raise HTTPException(404)
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(data, media_type="image/png", headers=headers)

    async def start(self, request: Request) -> Response:
        """A session for a browser: its own where it has one."""
        asked = await _body(request, SessionRequest)
        person = self._person(asked)
        token = secrets.token_hex(16)
        choose = self.assignments.chooser(person)
        session = await _wait(self.store.start(token, asked.key, person, choose))
        if session is None:
            return _answer(
                {"error": "no session is left for you; thank you for your interest"}, 409
            )
        answered = await _wait(self.store.answered(session.token))
        trials = self.assignments.sessions[session.plan]
        return _answer(
            {
                "session": session.token,
                "config": self._config,
                "trials": [shown_trial(trial) for trial in trials],
                "answered": answered,
                "finished": session.finished is not None,
                **({"code": self._code(session)} if session.finished else {}),
            }
        )

    async def vote(self, request: Request) -> Response:
        """Store a vote; one that is stored already is acknowledged and not changed."""
        asked = await _body(request, VoteRequest)
        session = await self._session(asked.session)
        if self._plans.get(asked.trial) != session.plan:
            raise HTTPException(403, "this trial was not given to this session")
        if asked.answer not in self._answers:
            raise HTTPException(422, f"answer must be {' or '.join(self._answers)}")
        if len(asked.frames) > MAX_FRAMES:
            raise HTTPException(422, f"frames must be at most {MAX_FRAMES}")
        vote = StoredVote(
            answer=asked.answer,
            rt_ms=asked.rt_ms,
            reference_ms=asked.reference_ms,
            gap_ms=asked.gap_ms,
            distorted_ms=asked.distorted_ms,
            timing_ok=asked.timing_ok,
            frames=json.dumps(asked.frames) if asked.frames else None,
        )
        await _wait(self.store.vote(session.token, asked.trial, vote))
        return _answer({"stored": True})

    async def finish(self, request: Request) -> Response:
        """End a session and give its completion code; refused while votes are missing."""
        asked = await _body(request, FinishRequest)
        session = await self._session(asked.session)
        stored = await _wait(self.store.answered(session.token))
        answered = set(stored)
        trials = self.assignments.sessions[session.plan]
        missing = sum(trial.trial not in answered for trial in trials)
        if missing:
            return _answer({"error": f"{missing} trials have no vote yet"}, 409)
        checks = json.dumps(dict(asked.browser))
        passed = partial(self.assignments.passed, token=session.token, plan=session.plan)
        await _wait(self.store.finish(session.token, checks, passed))
        return _answer({"code": self._code(session)})

    async def _session(self, token: str) -> SessionRecord:
        session = self._sessions.get(token) or await _wait(self.store.session(token))
        if session is None:
            raise HTTPException(403, "this session is not known")
        self._sessions[token] = session
        return session

    def _person(self, asked: SessionRequest) -> str:
        for name in PERSON_PARAMETERS:
            if asked.params.get(name):
                return person_hash(self.study.key, name, asked.params[name])
        return person_hash(self.study.key, "browser", asked.key)

    def _code(self, session: SessionRecord) -> str:
        own = self.study.protocol.completion_code
        return own or opaque_id(self.study.key, "code", session.token)[:10].upper()


def study_app(
    study: Study,
    routes: Callable[[StudyServer], list[Route]] = lambda server: [],
    clock: Callable[[], float] | None = None,
) -> Starlette:
    """The web application of a study, for Uvicorn or any other ASGI server.

    Args:
        study: the study.
        routes: gives further routes, such as those of the admin page.
        clock: seconds since 1970; that of the system by default.

    Raises:
        WorkError: when a file of the study is missing or damaged, or cannot be written.
    """
    server = StudyServer(study, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        server.close()

    own = [
        Route("/", server.file),
        Route("/page/{name:path}", server.file),
        Route("/images/{name}.png", server.image),
        Route("/api/session", server.start, methods=["POST"]),
        Route("/api/vote", server.vote, methods=["POST"]),
        Route("/api/finish", server.finish, methods=["POST"]),
    ]
    app = Starlette(
        routes=[*own, *routes(server)],
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _refused,  # type: ignore[dict-item]  # its own type
            WorkError: _failed,  # type: ignore[dict-item]
        },
    )
    # A redirect to the name without a slash would lead to whatever host the request names.
    app.router.redirect_slashes = False
    app.add_middleware(_SecurityHeaders)
    return app


class _SecurityHeaders:
    """Adds HEADERS to every response."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[..., Awaitable[None]]
    ) -> None:
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                pairs = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *pairs]
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _refused(request: Request, error: HTTPException) -> Response:
    return _answer({"error": error.detail}, error.status_code, error.headers)


async def _failed(request: Request, error: WorkError) -> Response:
    """Says nothing of the machine; the page keeps what was not stored and sends it again."""
    _log.error("a request failed: %s", error)
    return _answer({"error": "this cannot be stored or read right now; try again later"}, 503)


def _answer(
    values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(values, status, {"Cache-Control": "no-store", **(headers or {})})


async def _body(request: Request, record: type[Result]) -> Result:
    """The record that a request's JSON body is.

    Raises:
        HTTPException: 408 when it takes too long, 413 when it is too long, 415 when it says it is
            something else, 422 when it is not such a record.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "send application/json")
    data = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > MAX_BODY:
                    raise HTTPException(413, f"send at most {MAX_BODY} bytes")
    except TimeoutError:
        raise HTTPException(408, f"send it within {BODY_SECONDS:g} seconds") from None
    try:
        return parse_record(record, parse_json(data))
    except (ValueError, UserError) as error:
        raise HTTPException(422, str(error)) from None


async def _wait(future: Future[Result]) -> Result:
    return await asyncio.wrap_future(future)
