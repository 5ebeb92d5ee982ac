"""Exported studies run in a real browser, and what they save or send comes back as votes."""

import functools
import http.server
import json
import threading
import zipfile
from contextlib import contextmanager

import pytest

from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.judging.study.assign import Assignments
from bapps_gen.pipelines.judging.study.export import export_study
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.results import read_results
from bapps_gen.pipelines.judging.study.study import make_study
from support.browser import needs_chromium
from support.chromium import browser_context
from support.people import WAIT, Person

pytestmark = [pytest.mark.slow, needs_chromium]

TRIALS = 6

JATOS = """
// Stands in for the library that JATOS serves.
const posted = (path, body) => fetch(path, {method: "POST", body}).then((answer) => {
  if (!answer.ok) throw new Error("not stored");
});
let counter = 0;
window.jatos = {
  workerId: 7, studyResultId: 70, urlQueryParameters: {PROLIFIC_PID: "5f3a-person"},
  onLoad: (then) => setTimeout(then, 50),
  batchSession: {
    get: () => 1,
    set: (name, value) => (counter++ ? Promise.resolve() : Promise.reject(new Error("changed"))),
  },
  appendResultData: (text) => posted("/results", text),
  endStudyAjax: () => posted("/ended", ""),
};
"""


@pytest.fixture
def study(sets, tmp_path):
    protocol = Protocol(task="2afc", judgments=1, trials=4, sentinels=2)
    return make_study(tmp_path / "study", [open_dataset(sets / "2afc")], protocol)


@contextmanager
def hosted(folder):
    """A folder on a plain web host; gives its address and what was posted to it, by path."""
    posted = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["content-length"]))
            posted.append((self.path, data.decode()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()


def browser_answers(votes):
    sides = {"p0": "p1", "p1": "p0"}
    return {
        vote["trial"]: "left" if vote["answer"] == vote["left"] else "right"
        for vote in votes.to_pylist()
        if sides[vote["left"]]
    }


def test_a_static_study_runs_from_a_disk_and_saves_its_votes(study, tmp_path):
    export_study(study, "static", tmp_path / "site")
    with browser_context(accept_downloads=True) as context:
        page = context.new_page()
        address = (tmp_path / "site" / "index.html").as_uri()
        page.goto(f"{address}?session=2&participant=somebody")
        person = Person(study, page)
        person.begin()
        person.answer_triplets(3)
        person.wait()
        page.reload()
        page.get_by_text("Continue").click(timeout=WAIT)
        person.answer_triplets(2)
        with page.expect_download() as download:
            person.answer_triplets(1)
        path = tmp_path / "votes.json"
        download.value.save_as(path)
        page.get_by_text("a file that this page has just saved").wait_for(timeout=WAIT)
        page.reload()
        with page.expect_download() as download:
            page.get_by_text("Save the file again").click(timeout=WAIT)
        again = tmp_path / "again.json"
        download.value.save_as(again)
    assert again.read_text() == path.read_text()
    assert "somebody" not in path.read_text()
    votes = read_results(study, [path, again])
    assert votes.num_rows == TRIALS
    assert browser_answers(votes) == person.answers
    planned = {trial.trial for trial in Assignments(study).sessions[1]}
    assert set(votes["trial"].to_pylist()) == planned
    assert all(0 < ms < 20_000 for ms in votes["rt_ms"].to_pylist())


def test_a_session_that_there_is_not_is_said_so(study, tmp_path):
    export_study(study, "static", tmp_path / "site")
    with browser_context() as context:
        page = context.new_page()
        page.goto(f"{(tmp_path / 'site' / 'index.html').as_uri()}?session=99")
        page.get_by_text("session must be a number from 1 to 4").wait_for(timeout=WAIT)


def test_a_study_in_jatos_sends_votes_as_they_are_given(study, tmp_path):
    export_study(study, "jatos", tmp_path / "study.jzip")
    with zipfile.ZipFile(tmp_path / "study.jzip") as archive:
        archive.extractall(tmp_path / "jatos")
    (folder,) = (path for path in (tmp_path / "jatos").iterdir() if path.is_dir())
    (folder / "jatos.js").write_text(JATOS)
    with hosted(folder) as (address, posted), browser_context() as context:
        page = context.new_page()
        page.goto(f"{address}/index.html")
        person = Person(study, page)
        person.begin()
        person.answer_triplets(3)
        person.wait()
        page.wait_for_timeout(300)
        assert len(posted) == 3
        page.reload()
        page.get_by_text("Continue").click(timeout=WAIT)
        person.answer_triplets(3)
        assert person.wait() == "code"
    assert [path for path, _ in posted] == ["/results"] * 7 + ["/ended"]
    path = tmp_path / "jatos.txt"
    path.write_text("".join(text for _, text in posted))
    assert "5f3a-person" not in path.read_text()
    votes = read_results(study, [path])
    assert browser_answers(votes) == person.answers
    planned = {trial.trial for trial in Assignments(study).sessions[1]}
    assert set(votes["trial"].to_pylist()) == planned  # the counter was 1


@pytest.mark.parametrize("within", ["form", "layout"])
def test_a_hit_submits_its_votes_to_the_requester(study, tmp_path, within):
    host = "https://study.example.org"
    turk = "https://workersandbox.mturk.com"
    export_study(study, "mturk", tmp_path / "mturk", host)
    submitted = []

    def site(route):
        name = route.request.url.removeprefix(f"{host}/").partition("?")[0]
        route.fulfill(path=tmp_path / "mturk" / "site" / name)

    def requester(route):
        submitted.append(route.request.post_data or "")
        route.fulfill(body="thanks", content_type="text/html")

    crowd = """customElements.define("crowd-form", class extends HTMLElement {
      submit() { fetch("/submitted", {method: "POST", body: this.querySelector("input").value}) }
    })"""
    address = (tmp_path / "mturk" / "batch.csv").read_text().splitlines()[2]
    with browser_context() as context:
        page = context.new_page()
        context.route(f"{host}/**", site)
        context.route(f"{turk}/mturk/externalSubmit", requester)
        context.route(f"{turk}/submitted", requester)
        context.route("https://assets.crowd.aws/**", lambda route: route.fulfill(body=crowd))
        layout = (tmp_path / "mturk" / "hit.html").read_text().replace("${url}", address)
        html = "<!DOCTYPE html><link rel=icon href=data:,>" + layout
        context.route(
            f"{turk}/hit?**", lambda route: route.fulfill(body=html, content_type="text/html")
        )
        asked = "assignmentId=A1&hitId=H1&workerId=W1"
        if within == "form":
            page.goto(f"{address}&assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
            page.get_by_text("accept the HIT to begin").wait_for(timeout=WAIT)
            page.goto(f"{address}&{asked}&turkSubmitTo={turk}")
            shown = page
        else:
            page.goto(f"{turk}/hit?{asked}")
            frame = page.locator("iframe").element_handle()
            shown = frame.content_frame()
        person = Person(study, shown)
        if within == "layout":
            shown.keyboard = page.keyboard
        person.begin()
        person.answer_triplets(TRIALS)
        page.wait_for_timeout(1000)
    (text,) = submitted
    if within == "form":
        from urllib.parse import parse_qs

        fields = parse_qs(text)
        assert fields["assignmentId"] == ["A1"]
        text = fields["votes"][0]
    assert "W1" not in text
    path = tmp_path / "votes.json"
    path.write_text(text)
    votes = read_results(study, [path])
    assert browser_answers(votes) == person.answers
    assert json.loads(text)["browser"]["width"] > 0
