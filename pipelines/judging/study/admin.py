"""The admin page of a study: how far it is, how well people pass, and the votes as CSV."""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bapps_gen.metrics.ceiling import pairwise_agreement
from bapps_gen.pipelines.judging.filters import filter_votes, passes, sentinel_shares
from bapps_gen.pipelines.judging.judge import missing_votes, tallies
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.judging.study.collect import server_votes
from bapps_gen.pipelines.judging.study.server import StudyServer
from bapps_gen.pipelines.judging.study.study import Study

WRONG_SECONDS = 1.0
"""Seconds that each wrong password takes, one after another, so that none is guessed."""

MAX_WRONG = 20
"""Wrong passwords that wait; while there are more, none is looked at."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """How far a study is.

    Args:
        votes: stored, of every phase.
        people: who voted.
        sessions: that have any vote.
        passed: sessions with all sentinels answered whose share of right ones is enough.
        failed: sessions with all sentinels answered whose share is not.
        mistimed: sessions in which more than a tenth of the pairs were not seen for the right time.
        wanted: votes on rows that the study asks for.
        counted: votes on rows that count.
        missing: votes on rows that are still to come: of each row, those it lacks.
        seconds: median time of a judgment, in seconds; None before the first.
        agreement: of rows with two votes that count or more, mean share of pairs of votes that
            agree; None where there are none.
    """

    votes: int
    people: int
    sessions: int
    passed: int
    failed: int
    mistimed: int
    wanted: int
    counted: int
    missing: int
    seconds: float | None
    agreement: float | None


def study_progress(study: Study, votes: pa.Table) -> StudyProgress:
    """How far a study is.

    Args:
        study: the study.
        votes: of its server, with VOTES_SCHEMA.
    """
    least = study.protocol.min_sentinels
    kept = filter_votes(votes, VoteFilter(min_sentinels=least)).kept
    wanted = study.wanted()
    counts = tallies(kept, study.protocol.task)
    shares = {
        session: (right, count)
        for session, (right, count) in sentinel_shares(votes).items()
        if count >= study.protocol.sentinels
    }
    passed = sum(passes(*share, least) for share in shares.values())
    times = kept["rt_ms"].drop_null().to_numpy()
    held = [tally for tally in counts.values() if tally.votes > 1]
    agreeing = pairwise_agreement([each.fraction for each in held], [each.votes for each in held])
    return StudyProgress(
        votes=votes.num_rows,
        people=len(set(votes["person"].to_pylist())),
        sessions=len(set(votes["session"].to_pylist())),
        passed=passed,
        failed=len(shares) - passed,
        mistimed=_mistimed(votes),
        wanted=sum(wanted.values()),
        counted=sum(tally.votes for tally in counts.values()),
        missing=missing_votes(counts, wanted),
        seconds=float(np.median(times)) / 1000 if len(times) else None,
        agreement=float(np.mean(agreeing)) if held else None,
    )


def _mistimed(votes: pa.Table) -> int:
    known = votes.filter(pc.is_valid(votes["timing_ok"]))
    shares = (
        pa.table({"session": known["session"], "ok": pc.cast(known["timing_ok"], pa.float64())})
        .group_by("session", use_threads=False)
        .aggregate([("ok", "mean")])
    )
    return int(pc.sum(pc.less(shares["ok_mean"], 0.9)).as_py() or 0)


def admin_routes(server: StudyServer, token: str) -> list[Route]:
    """The admin page's routes; each asks for the password, by HTTP Basic, of the user "admin"."""

    turn = asyncio.Lock()
    waiting = 0

    def guarded(handler: Handler) -> Handler:
        async def guard(request: Request) -> Response:
            nonlocal waiting
            if waiting >= MAX_WRONG:
                return Response("too many wrong passwords; wait", 429, {"Retry-After": "30"})
            if not _is_admin(request, token):
                if "authorization" in request.headers:
                    waiting += 1
                    try:
                        async with turn:
                            await asyncio.sleep(WRONG_SECONDS)
                    finally:
                        waiting -= 1
                headers = {"WWW-Authenticate": 'Basic realm="study"', "Cache-Control": "no-store"}
                return Response("the password is missing or wrong", 401, headers)
            response = await handler(request)
            response.headers["Cache-Control"] = "no-store"
            return response

        return guard

    async def page(request: Request) -> Response:
        text = await run_in_threadpool(_page, server.study)
        return Response(text, media_type="text/html")

    async def votes(request: Request) -> Response:
        text = await run_in_threadpool(_votes_csv, server.study)
        headers = {"Content-Disposition": 'attachment; filename="votes.csv"'}
        return Response(text, media_type="text/csv", headers=headers)

    return [Route("/admin", guarded(page)), Route("/admin/votes.csv", guarded(votes))]


def _is_admin(request: Request, token: str) -> bool:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, f"admin:{token}".encode())


def _page(study: Study) -> str:
    from jinja2 import Environment

    progress = study_progress(study, server_votes(study))
    template = (files(__package__) / "assets" / "admin.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text: str = environment.from_string(template).render(study=study, progress=progress)
    return text


def _votes_csv(study: Study) -> bytes:
    buffer = io.BytesIO()
    pa_csv.write_csv(server_votes(study), buffer)
    return buffer.getvalue()
