"""Load on a study's server: many sessions at once over HTTP, while the server is killed.

    python benchmarks/study_load.py --sessions 200 --kills 4

Sessions start together and answer every trial, each as fast as the server takes its votes. SIGKILL
ends the server several times in the middle, and it is started again on the same folder. People's
pages send a vote until it is acknowledged, and so do these. At the end every acknowledged vote has
to be in the database, once, with the answer that was given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TOKEN = "password of a benchmark"
DOUBLE_CLICKS = 0.05  # share of votes
PAUSE = 0.5  # seconds between tries while the server is away


@dataclass
class Load:
    """What was seen.

    Args:
        acknowledged: answers by session and trial.
        waits: seconds for each vote that was acknowledged at the first try.
        retried: requests that were sent again.
        pictures: that were fetched.
        seconds: from the first session to the last.
        away: seconds of these in which the server was killed and not started yet.
        lost: acknowledged votes that are not stored.
        doubled: votes that are stored twice, or differ from what was acknowledged.
        unknown: stored votes that nobody was told of; there can be as many as were retried.
    """

    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    retried: int = 0
    pictures: int = 0
    seconds: float = 0.0
    away: float = 0.0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0


class KilledServer:
    """A server that is started on the same port however often it is killed."""

    def __init__(self, study: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._study = study
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; requests may come before it listens."""
        words = ["study", "serve", str(self._study), "--port", str(self.port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bapps_gen", *words, "--admin-token", TOKEN],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


@contextmanager
def running(study: Path) -> Iterator[KilledServer]:
    """A server for a block."""
    server = KilledServer(study)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Client:
    """One browser's connection, kept open. Libraries for HTTP take more time than the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of an answer; OSError or EOFError when there is none."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(head.encode() + data)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines[1:] if line)
            content = await reader.readexactly(int(fields["content-length"]))
        except (OSError, EOFError):
            self.close()
            raise
        if fields.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), content

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def send(client: Client, load: Load, path: str, body: Any) -> Any:
    """Post until it is answered, as the page does."""
    began, tries = time.perf_counter(), 0
    while True:
        try:
            status, content = await client.request("POST", path, body)
        except (OSError, EOFError):
            tries += 1
            load.retried += 1
            await asyncio.sleep(PAUSE)
            continue
        if status != 200:
            raise RuntimeError(f"{path}: {status} {content!r}")
        if not tries and path == "/api/vote":
            load.waits.append(time.perf_counter() - began)
        return json.loads(content)


async def take_session(port: int, load: Load, number: int, pictures: int) -> None:
    """One session from start to completion code; some votes are sent twice."""
    rng = random.Random(number)
    client = Client(port)
    key = f"{number:032x}"
    session = await send(client, load, "/api/session", {"key": key, "params": {}})
    answers = ("left", "right") if session["config"]["task"] == "2afc" else ("same", "different")
    names = [name for trial in session["trials"] for name in trial["images"]][:pictures]
    while names:
        try:
            status, _ = await client.request("GET", f"/images/{names[-1]}.png")
        except (OSError, EOFError):
            await asyncio.sleep(PAUSE)
            continue
        if status != 200:
            raise RuntimeError(f"a picture: {status}")
        load.pictures += 1
        names.pop()
    for trial in session["trials"]:
        body = {"session": session["session"], "trial": trial["trial"], "rt_ms": 900.0}
        body["answer"] = rng.choice(answers)
        for _ in range(2 if rng.random() < DOUBLE_CLICKS else 1):
            if await send(client, load, "/api/vote", body) != {"stored": True}:
                raise RuntimeError("a vote was not acknowledged")
        load.acknowledged[(body["session"], body["trial"])] = body["answer"]
    await send(client, load, "/api/finish", {"session": session["session"], "browser": {}})
    client.close()


async def run_load(study: Path, sessions: int, kills: int, pictures: int = 0) -> Load:
    """Sessions at once on one study; the server is killed as often as asked for.

    Args:
        study: folder of a study with as many planned sessions or more.
        sessions: how many start at once.
        kills: how often the server is killed, spread over the votes.
        pictures: that each session fetches first.
    """
    load = Load()
    with running(study) as server:
        await _until_started(server.port)
        began = time.perf_counter()
        tasks = [
            asyncio.create_task(take_session(server.port, load, number, pictures))
            for number in range(sessions)
        ]
        total = sessions * _trials(study)
        for kill in range(1, kills + 1):
            while len(load.acknowledged) < kill * total / (kills + 1):
                if any(task.done() and task.exception() for task in tasks):
                    break
                await asyncio.sleep(0.05)
            server.kill()
            stopped = time.perf_counter()
            server.start()
            await _until_started(server.port)
            load.away += time.perf_counter() - stopped
        await asyncio.gather(*tasks)
        load.seconds = time.perf_counter() - began
    _compare(study, load)
    return load


async def _until_started(port: int) -> None:
    client = Client(port)
    while True:
        try:
            await client.request("GET", "/")
            client.close()
            return
        except (OSError, EOFError):
            await asyncio.sleep(PAUSE / 5)


def _trials(study: Path) -> int:
    """Trials of a session."""
    from bapps_gen.pipelines.judging.study.study import open_study

    info = open_study(study).info
    return info.trials // info.sessions


def _compare(study: Path, load: Load) -> None:
    """Fill in what was lost, doubled or unknown."""
    with sqlite3.connect(study / "votes.sqlite") as base:
        stored = base.execute("select token, trial, answer from votes").fetchall()
    counts = Counter((token, trial) for token, trial, _ in stored)
    answers = {(token, trial): answer for token, trial, answer in stored}
    load.lost = sum(key not in answers for key in load.acknowledged)
    load.doubled = sum(count > 1 for count in counts.values()) + sum(
        answers.get(key, answer) != answer for key, answer in load.acknowledged.items()
    )
    load.unknown = sum(key not in load.acknowledged for key in answers)


def _processor_ms() -> float:
    """Processor time of all servers that have ended, with their starts."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (usage.ru_utime + usage.ru_stime)


def make_study_for(folder: Path, sessions: int, trials: int) -> Path:
    """A study with as many sessions, from scikit-image's photographs."""
    import bapps_gen
    from bapps_gen.pipelines.judging.study.protocol import Protocol
    from bapps_gen.pipelines.judging.study.study import make_study

    dataset = bapps_gen.make_dataset("traditional", rows=trials, out=folder / "set", workers=1)
    sentinels = max(1, trials // 7)
    protocol = Protocol(task="2afc", trials=trials, sentinels=sentinels, judgments=sessions)
    return make_study(folder / "study", [dataset], protocol).folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--trials", type=int, default=100, help="rows of a session")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=20, help="that each session fetches")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        study = make_study_for(Path(name), options.sessions, options.trials)
        load = asyncio.run(run_load(study, options.sessions, options.kills, options.pictures))
    ms = 1000 * np.array(load.waits)
    p50, p99 = np.percentile(ms, [50, 99])
    print(
        f"{options.sessions} sessions at once, {options.kills} times killed: "
        f"{len(load.acknowledged)} votes and {load.pictures} pictures in {load.seconds:.1f} s, "
        f"of these {load.away:.1f} s without a server: "
        f"{len(load.acknowledged) / (load.seconds - load.away):.0f} votes/s; "
        f"a vote takes {p50:.0f} ms (median), {p99:.0f} ms (p99); "
        f"{load.retried} requests sent again; lost {load.lost}, doubled {load.doubled}; "
        f"{_processor_ms() / len(load.acknowledged):.2f} ms of the servers' processor time per vote"
    )
    if load.lost or load.doubled or load.unknown:
        raise SystemExit(f"lost {load.lost}, doubled {load.doubled}, unknown {load.unknown}")


if __name__ == "__main__":
    main()
