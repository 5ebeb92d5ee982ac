"""`bapps-gen study` and `bapps-gen judge`, from a dataset to judged rows."""

import contextlib
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.votes import read_votes
from support.datasets import contents, make, photo, save_photo


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "set", 6) == 0
    return folder / "set"


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "study"
    protocol = folder.parent / "protocol.toml"
    protocol.write_text("trials = 3\nsentinels = 2\njudgments = 1\n")
    assert main(["study", "make", str(dataset), "--out", str(folder), "--protocol", str(protocol),
                 "--task", "2afc"]) == 0  # fmt: skip
    return folder


def fetch(address, user=None):
    request = urllib.request.Request(address)
    if user:
        import base64

        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.status, answer.read().decode()


def test_a_study_is_served_until_it_is_stopped(study):
    command = [sys.executable, "-m", "bapps_gen", "study", "serve", str(study)]
    command += ["--port", "0", "--admin-token", "long enough to be one"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = server.stdout.readline()  # once it listens
        address = re.fullmatch(r"people take the study at (http://127\.0\.0\.1:\d+)/\n", said)[1]
        assert "study.js" in fetch(f"{address}/")[1]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{address}/admin")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{address}/admin/votes.csv", "admin:wrong")
        page = fetch(f"{address}/admin", "admin:long enough to be one")[1]
        assert "<td>0 of 6</td>" in page
        votes = fetch(f"{address}/admin/votes.csv", "admin:long enough to be one")[1]
        assert votes.startswith('"study","session",')
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(300) in (0, 130)


def test_slow_and_long_requests_are_ended(study, monkeypatch):
    import uvicorn

    from bapps_gen.pipelines.judging.study import run, server
    from bapps_gen.pipelines.judging.study.study import open_study

    running, addresses = [], queue.Queue()
    monkeypatch.setattr(uvicorn.Server, "install_signal_handlers", lambda self: None, raising=False)
    serve = uvicorn.Server.run
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: running.append(self) or serve(self, sockets)
    )
    arguments = (open_study(study), "127.0.0.1", 0, "long enough to be one", addresses.put)
    thread = threading.Thread(target=run.serve_study, args=arguments, daemon=True)
    thread.start()
    port = int(addresses.get(timeout=300).rpartition(":")[2])

    def reply(data, idle=300, body=300):
        monkeypatch.setattr(run, "IDLE_SECONDS", idle)
        monkeypatch.setattr(server, "BODY_SECONDS", body)
        with socket.create_connection(("127.0.0.1", port), 300) as connection:
            with contextlib.suppress(ConnectionError):  # it need not read all that is too long
                connection.sendall(data)
            return connection.makefile("rb").readline()

    post = b"POST /api/vote HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    assert reply(b"GET / HTTP/1.1\r\nHost: a\r\n", idle=0.5) == b""  # no end of the headers
    assert b" 408 " in reply(post + b"Content-Length: 100\r\n\r\n{", body=0.5)
    assert b" 400 " in reply(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000)
    assert b" 413 " in reply(post + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000)
    running[0].should_exit = True
    thread.join(300)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_one_line(study, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["study", "serve", str(study), "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_an_address_that_others_reach_needs_a_password(study, capsys):
    assert main(["study", "serve", str(study), "--host", "0.0.0.0"]) == 2
    assert "give --admin-token a password" in capsys.readouterr().err
    assert main(["study", "serve", str(study), "--admin-token", "short"]) == 2
    assert "admin-token has 5 characters; give at least 12" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_votes_are_written_and_judge_the_rows(study, dataset, tmp_path, ending, capsys):
    from starlette.testclient import TestClient

    from bapps_gen.pipelines.judging.study.server import study_app
    from bapps_gen.pipelines.judging.study.study import open_study

    with TestClient(study_app(open_study(study))) as client:
        body = {"key": ending.ljust(16, "0"), "params": {}}
        session = client.post("/api/session", json=body).json()
        for trial in session["trials"]:
            vote = {"session": session["session"], "trial": trial["trial"], "answer": "left"}
            client.post("/api/vote", json={**vote, "rt_ms": 700})
    path = tmp_path / f"votes.{ending}"
    assert main(["study", "votes", str(study), "--out", str(path)]) == 0
    assert read_votes([path]).num_rows >= 5
    command = ["judge", str(dataset), "--votes", str(path), "--min-sentinels", "0"]
    assert main(command) == 0
    assert "rows of" in capsys.readouterr().out
    judged = [row for row in contents(dataset) if row["judge"] is not None]
    assert {row["judge"] for row in judged} <= {0.0, 1.0}
    assert len(judged) >= 3


def test_a_subcommand_is_needed_and_its_options_are_known(dataset, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["study"])
    with pytest.raises(SystemExit, match="2"):
        main(["study", "make", str(dataset), "--sed", "1"])
    assert "did you mean '--seed'?" in capsys.readouterr().err
