"""The server gives out sessions in balance, keeps every vote once, and gives nothing away."""

import json
import sqlite3
from collections import Counter

import pytest
from starlette.testclient import TestClient

from bapps_gen.pipelines.judging.study.server import HEADERS, MAX_BODY, study_app
from bapps_gen.pipelines.judging.study.store import VOTES_NAME


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(study, clock):
    with TestClient(study_app(study, clock=clock)) as client:
        yield client


def start(client, key, **params):
    return client.post("/api/session", json={"key": key.ljust(16, "0"), "params": params})


def planned(study):
    return {trial["trial"]: trial for trial in study.trials().to_pylist()}


def right_answer(trial):
    """What an attentive person answers, as the browser gives it."""
    if trial["left"]:
        wanted = trial["expected"] or "p0"
        return "left" if trial["left"] == wanted else "right"
    return trial["expected"] or "different"


def answer_all(client, study, session, *, right=True):
    trials = planned(study)
    wrong = {"left": "right", "right": "left", "same": "different", "different": "same"}
    for trial in session["trials"]:
        answer = right_answer(trials[trial["trial"]])
        body = {"session": session["session"], "trial": trial["trial"], "rt_ms": 900.0}
        body["answer"] = answer if right else wrong[answer]
        assert client.post("/api/vote", json=body).json() == {"stored": True}
    return client.post("/api/finish", json={"session": session["session"], "browser": {}})


def rows_of(study, session):
    trials = planned(study)
    keys = [trials[trial["trial"]] for trial in session["trials"]]
    return [trial["row"] for trial in keys if trial["phase"] == "test"]


def stored(study):
    with sqlite3.connect(study.folder / VOTES_NAME) as base:
        return base.execute("select token, trial, answer from votes").fetchall()


def test_a_session_goes_from_start_to_completion_code(client, study):
    session = start(client, "a").json()
    assert session["answered"] == []
    early = client.post("/api/finish", json={"session": session["session"], "browser": {}})
    assert early.status_code == 409
    code = answer_all(client, study, session).json()["code"]
    assert len(code) == 10
    again = start(client, "a").json()
    assert again["finished"]
    assert again["code"] == code
    assert len(stored(study)) == len(session["trials"])


def test_a_reload_goes_on_where_the_session_was(client):
    session = start(client, "a").json()
    first = session["trials"][0]["trial"]
    answer = "left" if session["config"]["task"] == "2afc" else "same"
    vote = {"session": session["session"], "trial": first, "answer": answer}
    client.post("/api/vote", json=vote)
    again = start(client, "a").json()
    assert again["session"] == session["session"]
    assert again["answered"] == [first]
    assert again["trials"] == session["trials"]


def test_a_vote_that_is_sent_twice_is_stored_once_and_the_first_stays(client, study):
    session = start(client, "a").json()
    answers = ["left", "right"] if study.protocol.task == "2afc" else ["same", "different"]
    trial = session["trials"][0]["trial"]
    for answer in (answers[0], answers[1], answers[1]):
        body = {"session": session["session"], "trial": trial, "answer": answer}
        assert client.post("/api/vote", json=body).json() == {"stored": True}
    assert stored(study) == [(session["session"], trial, answers[0])]


def test_every_row_gets_its_votes_from_different_people(client, study):
    judged = Counter()
    for person in range(study.info.sessions):
        session = start(client, f"person{person}").json()
        judged.update(rows_of(study, session))
        answer_all(client, study, session)
    assert set(judged.values()) == {2}
    assert len(judged) == 14
    assert start(client, "late").status_code == 409


def test_one_person_gets_one_session_whatever_the_browser(client):
    first = start(client, "a", PROLIFIC_PID="p1")
    assert first.status_code == 200
    assert start(client, "b", PROLIFIC_PID="p1").status_code == 409
    assert start(client, "c", PROLIFIC_PID="p2").status_code == 200


def test_an_abandoned_session_is_given_out_again_and_can_still_be_ended(client, study, clock):
    left = start(client, "a").json()
    others = [start(client, f"b{number}").json() for number in range(study.info.sessions - 1)]
    assert start(client, "c").status_code == 409
    for other in others:
        answer_all(client, study, other)
    clock.now += 60 * study.protocol.timeout_min + 1
    again = start(client, "c").json()
    assert rows_of(study, again) == rows_of(study, left)
    assert again["session"] != left["session"]
    assert answer_all(client, study, left).status_code == 200
    assert answer_all(client, study, again).status_code == 200


def test_a_session_that_failed_its_sentinels_is_given_out_again(client, study):
    failed = start(client, "a").json()
    answer_all(client, study, failed, right=False)
    again = start(client, "b").json()
    assert rows_of(study, again) == rows_of(study, failed)


def test_nothing_that_is_sent_says_what_a_trial_is(client, study):
    session = start(client, "a").json()
    trials = planned(study)
    practice = {t["trial"] for t in session["trials"] if "feedback" in t}
    assert practice == {
        t["trial"] for t in session["trials"] if trials[t["trial"]]["phase"] == "practice"
    }
    for trial in session["trials"]:
        assert set(trial) <= {"trial", "images", "feedback"}
    text = json.dumps(session)
    for word in ("sentinel", "p0", "p1", "noise", "blur", "expected", "row", "sigma"):
        assert f'"{word}"' not in text
    assert "sentinel" not in text


def test_pictures_are_sent_by_their_ids_alone(client):
    session = start(client, "a").json()
    names = [name for trial in session["trials"] for name in trial["images"]]
    answers = [client.get(f"/images/{name}.png") for name in names]
    assert {answer.headers["content-type"] for answer in answers} == {"image/png"}
    assert len({answer.headers["content-length"] for answer in answers}) == 1
    for name in ("0" * 32, "../study", "..%2fstudy", "%2e%2e/pictures.sqlite"):
        assert client.get(f"/images/{name}.png").status_code == 404


@pytest.mark.parametrize(
    "path", ["/study.json", "/page/../study.json", "/page/%2e%2e/study.json", "/votes.sqlite"]
)
def test_no_file_of_the_study_is_served(client, path):
    assert client.get(path).status_code == 404


def test_the_page_has_no_inline_script_and_every_answer_has_its_headers(client):
    for path in ("/", "/page/study.js", "/page/vendor/jspsych.js", "/missing"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "'unsafe-inline'" not in HEADERS["Content-Security-Policy"].split("style-src")[0]
    page = client.get("/").text
    assert page.count("<script") == page.count("<script src=")


VOTE = {"session": "0" * 32, "trial": "0" * 32, "answer": "left"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("session", {"key": "short", "params": {}}, 422),
        ("session", {"key": "k" * 16}, 422),
        ("session", {"key": "k" * 16, "params": {"a": 1}}, 422),
        ("session", [], 422),
        ("vote", VOTE, 403),
        ("vote", {**VOTE, "trial": "../../x"}, 422),
        ("vote", {**VOTE, "rt_ms": -1}, 422),
        ("vote", {**VOTE, "rt_ms": 1e400}, 422),
        ("vote", {**VOTE, "extra": 1}, 422),
        ("vote", {**VOTE, "frames": "x" * MAX_BODY}, 413),
        ("finish", {"session": "0" * 32, "browser": {}}, 403),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(client, path, body, status):
    data = json.dumps(body).replace("Infinity", "1e400")
    headers = {"content-type": "application/json"}
    answer = client.post(f"/api/{path}", content=data, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert "\n" not in answer.json()["error"]


def test_votes_for_trials_of_another_session_are_refused(client, study):
    one, other = start(client, "a").json(), start(client, "b").json()
    answer = "left" if study.protocol.task == "2afc" else "same"
    body = {"session": one["session"], "trial": other["trials"][-1]["trial"], "answer": answer}
    assert client.post("/api/vote", json=body).status_code == 403
    body["trial"] = one["trials"][0]["trial"]
    assert client.post("/api/vote", json={**body, "answer": "p0"}).status_code == 422
    assert stored(study) == []


def test_people_are_stored_as_hashes_alone(client, study):
    start(client, "a", PROLIFIC_PID="5f3a-person", assignmentId="3XYZ")
    data = b"".join(path.read_bytes() for path in study.folder.glob(f"{VOTES_NAME}*"))
    assert b"5f3a-person" not in data
    assert b"3XYZ" not in data


def test_no_answer_leads_to_the_host_that_a_request_names(client):
    for path in ("/admin/", "/page/study.js/", "/api/vote/"):
        answer = client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
        assert answer.status_code == 404
        assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("name", ["\u0661" * 32, "%00" * 32, "%ff%fe", "' or 1=1 --", "x" * 5000])
def test_ids_that_are_none_are_unknown(client, name):
    assert client.get(f"/images/{name}.png").status_code == 404
    for field in ("session", "trial"):
        body = {"session": "0" * 32, "trial": "0" * 32, "answer": "left", field: name}
        assert client.post("/api/vote", json=body).status_code == 422


def test_votes_that_cannot_be_stored_are_asked_for_again_without_details(study, monkeypatch):
    from concurrent.futures import Future

    from bapps_gen.errors import WorkError
    from bapps_gen.pipelines.judging.study.store import VoteStore

    def full(self, *_):
        failed = Future()
        failed.set_exception(WorkError("cannot use /home/me/votes.sqlite (disk is full)"))
        return failed

    with TestClient(study_app(study)) as client:
        session = start(client, "a").json()
        monkeypatch.setattr(VoteStore, "vote", full)
        answer = "left" if study.protocol.task == "2afc" else "same"
        trial = session["trials"][0]["trial"]
        body = {"session": session["session"], "trial": trial, "answer": answer}
        reply = client.post("/api/vote", json=body)
    assert reply.status_code == 503
    assert "votes.sqlite" not in reply.text
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_wrong_passwords_wait_and_many_are_not_looked_at(study, monkeypatch):
    import base64
    import time
    from concurrent.futures import ThreadPoolExecutor

    from bapps_gen.pipelines.judging.study import admin

    def headers(password):
        return {"authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}

    monkeypatch.setattr(admin, "WRONG_SECONDS", 0.2)
    monkeypatch.setattr(admin, "MAX_WRONG", 3)
    app = study_app(study, lambda server: admin.admin_routes(server, "a long password"))
    with TestClient(app) as client:
        assert client.get("/admin").status_code == 401
        assert client.get("/admin", headers=headers("a long password")).status_code == 200
        began = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: client.get("/admin", headers=headers("x")), range(8)))
        codes = [reply.status_code for reply in replies]
        assert set(codes) <= {401, 429}
        assert time.perf_counter() - began >= 0.2 * codes.count(401)
        for odd in ("Basic", "Basic \u00e9", "Basic YWRtaW4=", "Bearer x"):
            reply = client.get("/admin", headers={"authorization": odd.encode("latin-1")})
            assert reply.status_code == 401


def test_votes_survive_a_server_that_ends(study):
    with TestClient(study_app(study)) as client:
        session = start(client, "a").json()
        answer_all(client, study, session)
    with TestClient(study_app(study)) as client:
        assert start(client, "a").json()["finished"]
    assert len(stored(study)) == len(session["trials"])
