"""The votes of a running study in SQLite: each is on the disk before it is acknowledged.

One thread does all the work. What waits while it writes is committed together, so that many people
at once cost few waits for the disk.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bapps_gen.errors import WorkError, first_line

VOTES_NAME = "votes.sqlite"

_TABLES = """
create table if not exists sessions (
  token text primary key,
  browser text not null unique,
  person text not null,
  plan integer not null,
  started real not null,
  seen real not null,
  finished real,
  passed integer,
  checks text
) without rowid;
create index if not exists sessions_plan on sessions (plan);
create index if not exists sessions_person on sessions (person);
create table if not exists votes (
  token text not null,
  trial text not null,
  answer text not null,
  rt_ms real,
  reference_ms real,
  gap_ms real,
  distorted_ms real,
  timing_ok integer,
  frames text,
  time real not null,
  primary key (token, trial)
) without rowid;
"""

Result = TypeVar("Result")
_Job = tuple[Callable[[sqlite3.Connection], object], Future[object]]


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session that was given out.

    Args:
        token: that names it to the server; unguessable.
        browser: random key that the browser keeps, so that a reload goes on.
        person: salted hash.
        plan: number of the planned session.
        started, seen: times in seconds since 1970: when it was given out, and of its last vote.
        finished: when it was finished, or None.
    """

    token: str
    browser: str
    person: str
    plan: int
    started: float
    seen: float
    finished: float | None


@dataclass(frozen=True, slots=True)
class StoredVote:
    """An answer as the browser gave it; see `VOTES_SCHEMA` for the columns."""

    answer: str
    rt_ms: float | None = None
    reference_ms: float | None = None
    gap_ms: float | None = None
    distorted_ms: float | None = None
    timing_ok: bool | None = None
    frames: str | None = None


class VoteStore:
    """Votes and sessions of one study, for one server.

    Args:
        path: of the SQLite file; made where it is missing.
        timeout_s: seconds without a vote after which a session counts as abandoned.
        clock: seconds since 1970.

    Raises:
        WorkError: when the file cannot be opened or written.
    """

    def __init__(
        self, path: Path, timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path, self._timeout, self._clock = path, timeout_s, clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(opened,), daemon=True)
        self._thread.start()
        try:
            opened.result()
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Finish what waits and close the file."""
        self._jobs.put(None)
        self._thread.join()

    def submit(self, job: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run a job in a transaction; the future is done once that is on the disk."""
        future: Future[Result] = Future()
        self._jobs.put((job, future))  # type: ignore[arg-type]  # a future of its own result
        return future

    def resume(self, browser: str) -> Future[SessionRecord | None]:
        """The session that a browser has, or None."""
        return self.submit(lambda base: _session(base, "browser", browser))

    def start(
        self,
        token: str,
        browser: str,
        person: str,
        choose: Callable[[sqlite3.Connection, float], int | None],
    ) -> Future[SessionRecord | None]:
        """Give a session out: the browser's own if it has one, otherwise the one chosen.

        Args:
            token: for a new session.
            browser: key of the browser.
            person: hash of who asks.
            choose: gives the number of a planned session, from the database and the time before
                which sessions count as abandoned; None where none is left.
        """

        def start(base: sqlite3.Connection) -> SessionRecord | None:
            held = _session(base, "browser", browser)
            if held is not None:
                return held
            now = self._clock()
            plan = choose(base, now - self._timeout)
            if plan is None:
                return None
            values = (token, browser, person, plan, now, now)
            base.execute(
                "insert into sessions (token, browser, person, plan, started, seen)"
                " values (?, ?, ?, ?, ?, ?)",
                values,
            )
            return SessionRecord(*values, None)

        return self.submit(start)

    def session(self, token: str) -> Future[SessionRecord | None]:
        """A session by its token, or None."""
        return self.submit(lambda base: _session(base, "token", token))

    def answered(self, token: str) -> Future[list[str]]:
        """The trials that a session has answered."""
        query = "select trial from votes where token = ?"
        return self.submit(lambda base: [trial for (trial,) in base.execute(query, (token,))])

    def vote(self, token: str, trial: str, vote: StoredVote) -> Future[None]:
        """Store an answer; of a trial that has one already, the first stays."""

        def insert(base: sqlite3.Connection) -> None:
            now = self._clock()
            timing = None if vote.timing_ok is None else int(vote.timing_ok)
            base.execute(
                "insert or ignore into votes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(token, trial, vote.answer, vote.rt_ms, vote.reference_ms, vote.gap_ms),
                    *(vote.distorted_ms, timing, vote.frames, now),
                ),
            )
            base.execute("update sessions set seen = ? where token = ?", (now, token))

        return self.submit(insert)

    def finish(
        self, token: str, checks: str, passed: Callable[[sqlite3.Connection], bool]
    ) -> Future[None]:
        """Mark a session as finished, once.

        Args:
            token: of the session.
            checks: what its browser said of itself.
            passed: whether its sentinels were answered well enough.
        """

        def finish(base: sqlite3.Connection) -> None:
            base.execute(
                "update sessions set finished = ?, passed = ?, checks = ?"
                " where token = ? and finished is null",
                (self._clock(), int(passed(base)), checks, token),
            )

        return self.submit(finish)

    def _work(self, opened: Future[None]) -> None:
        try:
            base = sqlite3.connect(self._path, isolation_level=None)
            base.execute("pragma journal_mode = wal")
            base.execute("pragma synchronous = full")  # a commit waits for the disk
            base.executescript(_TABLES)
        except sqlite3.Error as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        with contextlib.closing(base):
            for batch in self._batches():
                self._commit(base, batch)

    def _batches(self) -> Iterator[list[_Job]]:
        """What waits, all at once, until the store is closed."""
        while True:
            job = self._jobs.get()
            batch = []
            while job is not None:
                batch.append(job)
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            yield batch
            if job is None:
                return

    def _commit(self, base: sqlite3.Connection, batch: list[_Job]) -> None:
        done: list[tuple[Future[object], object]] = []
        try:
            base.execute("begin immediate")
            for job, future in batch:
                done.append((future, job(base)))
            base.execute("commit")
        except Exception as error:  # whatever it is, nobody may wait forever
            with contextlib.suppress(sqlite3.Error):
                base.execute("rollback")
            failure = self._failed(error) if isinstance(error, sqlite3.Error) else error
            for _, future in batch:
                future.set_exception(failure)
            return
        for future, result in done:
            future.set_result(result)

    def _failed(self, error: Exception) -> WorkError:
        return WorkError(
            f"cannot use {self._path} ({first_line(error)}); free some space, make it writable, or "
            "restore it from a copy"
        )


def _session(base: sqlite3.Connection, column: str, value: str) -> SessionRecord | None:
    query = (
        "select token, browser, person, plan, started, seen, finished from sessions"
        f" where {column} = ?"
    )
    found = base.execute(query, (value,)).fetchone()
    return None if found is None else SessionRecord(*found)
