"""Studies go to JATOS, Mechanical Turk and static hosts, and their votes come back, each once."""

import csv
import json
import uuid
import zipfile

import pytest

from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.manifests.votes import read_votes
from bapps_gen.pipelines.judging.study.assign import Assignments
from bapps_gen.pipelines.judging.study.export import FORMATS, export_study, site_files
from bapps_gen.pipelines.judging.study.results import read_results, study_votes

URL = "https://example.org/study"


def result(made, session=0, *, number=1, **changes):
    """A result of a planned session, as the page makes it."""
    trials = Assignments(made).sessions[session]
    answer = "left" if made.protocol.task == "2afc" else "same"
    votes = [
        {"trial": trial.trial, "answer": answer, "rt_ms": 700.5, "time": 1.7e12 + index}
        for index, trial in enumerate(trials)
    ]
    record = {
        "format": "bapps-gen votes",
        "format_version": 1,
        "study": made.info.digest,
        "session": f"{number:032x}",
        "person": f"{number:032x}",
        "votes": votes,
        "browser": {"width": 1200},
    }
    return record | changes


def saved(folder, record, name="votes.json"):
    path = folder / name
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("transport", FORMATS)
def test_a_site_has_all_that_it_refers_to_and_says_nothing_of_trials(study, transport):
    files = dict(site_files(study, transport))
    sessions = Assignments(study).sessions
    for number, trials in enumerate(sessions, 1):
        script = files[f"sessions/{number}.js"].decode()
        shown = json.loads(script.removeprefix("window.studySession = ").removesuffix(";\n"))
        assert [trial["trial"] for trial in shown] == [trial.trial for trial in trials]
        for trial, planned in zip(shown, trials, strict=True):
            assert ("feedback" in trial) == (planned.phase == "practice")
            assert all(f"images/{name}.png" in files for name in trial["images"])
    sizes = {len(data) for name, data in files.items() if name.startswith("images/")}
    assert len(sizes) == 1
    texts = {name: data.decode() for name, data in files.items() if "images/" not in name}
    own = "".join(text for name, text in texts.items() if "vendor" not in name)
    for word in ("sentinel", '"p0"', '"p1"', '"expected"', '"row"', '"phase"', study.info.key):
        assert word not in own
    assert study.info.datasets[0].digest not in own
    index = texts["index.html"]
    for source in ("page/config.js", "page/local.js", "page/transport.js"):
        assert f'src="{source}"' in index
        assert source in files
    assert ("jatos.js" in index) == (transport == "jatos")


def test_a_static_folder_is_written_again_but_never_over_something_else(study, tmp_path):
    out = tmp_path / "site"
    export_study(study, "static", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    export_study(study, "static", out)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert not {path.suffix for path in before} & {".parquet", ".sqlite"}
    with pytest.raises(UserError, match="export = static, not mturk"):
        export_study(study, "mturk", out, URL)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="it is not a study for another place"):
        export_study(study, "static", tmp_path / "other")


def test_a_study_archive_is_what_jatos_imports(study, tmp_path):
    out = tmp_path / "study.jzip"
    export_study(study, "jatos", out)
    first = out.read_bytes()
    with zipfile.ZipFile(out) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".jas"))
        description = json.loads(archive.read(name))
        folder = description["data"]["dirName"]
        assert {entry.partition("/")[0] for entry in archive.namelist()} == {name, folder}
        (component,) = description["data"]["componentList"]
        assert f"{folder}/{component['htmlFilePath']}" in archive.namelist()
        assert f"{folder}/images/" in "".join(archive.namelist())
    assert description["version"] == "3"
    assert component["reloadable"]
    (batch,) = description["data"]["batchList"]
    for record in (description["data"], component, batch):
        uuid.UUID(record["uuid"])
    export_study(study, "jatos", out)
    assert out.read_bytes() == first
    with pytest.raises(UserError, match=r"does not end in \.jzip"):
        export_study(study, "jatos", tmp_path / "study.zip")


def test_a_batch_has_a_line_for_each_session(study, tmp_path):
    export_study(study, "mturk", tmp_path / "mturk", f"{URL}/")
    with open(tmp_path / "mturk" / "batch.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["url"] for row in rows] == [
        f"{URL}/index.html?session={number}" for number in range(1, study.info.sessions + 1)
    ]
    assert 'data-url="${url}"' in (tmp_path / "mturk" / "hit.html").read_text()
    question = (tmp_path / "mturk" / "external-question.xml").read_text()
    assert f"<ExternalURL>{URL}/index.html</ExternalURL>" in question
    assert (tmp_path / "mturk" / "site" / "index.html").is_file()


@pytest.mark.parametrize("url", [None, "http://example.org", "https://", "https://a.org/?x=1"])
def test_a_batch_needs_an_address_with_https(study, tmp_path, url):
    with pytest.raises(UserError, match="HTTPS address"):
        export_study(study, "mturk", tmp_path / "mturk", url)


def test_results_of_every_kind_become_the_same_votes(study, tmp_path):
    record = result(study)
    text = json.dumps(record)
    lines = tmp_path / "jatos.txt"
    parts = [{**record, "votes": [vote]} for vote in record["votes"]]
    lines.write_text("".join(json.dumps(part) + "\n\n" for part in parts))
    archive = tmp_path / "jatos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("study_result_1/comp-result_1/data.txt", lines.read_text())
        file.writestr("study_result_2/comp-result_2/data.txt", text)  # after a reload
        file.writestr("metadata.json", "{}")
    wanted = read_results(study, [saved(tmp_path, record)])
    assert wanted.num_rows == len(record["votes"])
    assert read_results(study, [lines]) == wanted
    assert read_results(study, [archive]) == wanted
    assert read_results(study, [lines, archive, lines]) == wanted
    assert wanted["rt_ms"].to_pylist() == [700.5] * wanted.num_rows
    assert set(wanted["phase"].to_pylist()) == {"test", "sentinel", "practice"}


def test_results_of_mechanical_turk_are_of_its_workers(study, tmp_path):
    text = json.dumps(result(study))
    table = tmp_path / "Batch_1_results.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["HITId", "WorkerId", "AssignmentStatus", "Answer.votes"])
        writer.writerow(["H1", "A1WORKER", "Submitted", text])
        writer.writerow(["H2", "A2WORKER", "Submitted", ""])
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    answer = (
        '<?xml version="1.0"?><QuestionFormAnswers xmlns="http://example.org/a.xsd"><Answer>'
        f"<QuestionIdentifier>votes</QuestionIdentifier><FreeText>{escaped}</FreeText></Answer>"
        "</QuestionFormAnswers>"
    )
    listed = {"Assignments": [{"WorkerId": "A1WORKER", "Answer": answer}]}
    votes = read_results(study, [table])
    assert votes.num_rows == len(result(study)["votes"])
    assert read_results(study, [saved(tmp_path, listed, "listed.json")]) == votes
    assert len(set(votes["person"].to_pylist())) == 1
    assert votes["person"][0].as_py() not in ("A1WORKER", f"{1:032x}")


def test_results_join_the_votes_of_the_server_and_repeat_nothing(study, tmp_path):
    from starlette.testclient import TestClient

    from bapps_gen.pipelines.judging.study.server import study_app

    with TestClient(study_app(study)) as client:
        session = client.post("/api/session", json={"key": "k" * 16, "params": {}}).json()
        answer = "left" if study.protocol.task == "2afc" else "same"
        trial = session["trials"][0]["trial"]
        body = {"session": session["session"], "trial": trial, "answer": answer}
        client.post("/api/vote", json=body)
    own = saved(tmp_path, result(study))
    copy = saved(tmp_path, result(study), "votes (1).json")
    longer = saved(tmp_path, result(study, 1, number=2), "other.json")
    out = tmp_path / "votes.parquet"
    command = ["study", "votes", str(study.folder), "--out", str(out), "--results"]
    for _ in range(2):
        assert main([*command, str(own), str(copy), str(longer)]) == 0
        votes = read_votes([out])
        sessions = Assignments(study).sessions
        assert votes.num_rows == 1 + len(sessions[0]) + len(sessions[1])
        assert len(set(votes["person"].to_pylist())) == 3
    times = votes["time"].to_pylist()
    assert times == sorted(times)
    assert study_votes(study).num_rows == 1


def swapped(study):
    record = result(study)
    record["votes"][0]["answer"] = "right" if study.protocol.task == "2afc" else "different"
    return record


BROKEN = {
    "of another study": lambda study: result(study, study="0" * 32),
    "is not in": lambda study: result(
        study, votes=[{"trial": "0" * 32, "answer": "left", "time": 1}]
    ),
    "has two votes on trial": lambda study: result(study, votes=2 * result(study)["votes"][:1]),
    "is not of session": lambda study: result(
        study, votes=result(study)["votes"] + result(study, 1)["votes"][:1]
    ),
    "answer = 'p0' is not allowed": lambda study: result(
        study, votes=[{**result(study)["votes"][0], "answer": "p0"}]
    ),
    "has another vote than in": swapped,
    "no result of a study": lambda study: result(study, more=1),
    "format = x is not allowed": lambda study: result(study, format="x"),
    "votes.0?.*time is missing": lambda study: result(
        study, votes=[{"trial": "0" * 32, "answer": "left"}]
    ),
    "must be a table of keys": lambda study: [result(study)],
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_result_that_was_changed_is_refused_in_one_line(study, tmp_path, message, capsys):
    good = saved(tmp_path, result(study), "good.json")
    bad = saved(tmp_path, BROKEN[message](study), "bad.json")
    with pytest.raises(UserError, match=message) as caught:
        read_results(study, [good, bad])
    assert "bad.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    out = tmp_path / "votes.parquet"
    command = ["study", "votes", str(study.folder), "--out", str(out), "--results", str(bad)]
    assert main([*command, str(good)]) == 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b'{"format": '),
        ("a.json", b"[" * 100_000),
        ("a.json", b"\xff\xfe"),
        ("a.zip", b"PK\x03\x04 no archive"),
        ("a.csv", b"a,b\n1,2\n"),
        ("a.json", b'{"Assignments": [{"WorkerId": "A", "Answer": "<a"}]}'),
        ("a.json", b'{"Assignments": 5}'),
        ("missing.json", None),
    ],
)
def test_a_file_that_is_none_of_results_is_refused_in_one_line(study, tmp_path, name, data):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name) as caught:
        read_results(study, [tmp_path / name])
    assert "\n" not in str(caught.value)
