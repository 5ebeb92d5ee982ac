"""Reports of votes: numbers that can be checked by hand, pages, and what is refused."""

import datetime
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.manifests.votes import write_votes
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.validation.study_numbers import describe_votes, histogram, proportion
from support.browser import needs_chromium, seen_in
from support.datasets import one_line
from support.votes import vote, votes_of

ALL = VoteFilter(min_sentinels=0, min_rt_ms=0)
START = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def at(seconds):
    return START + datetime.timedelta(seconds=seconds)


def answers(row, **by_person):
    """The votes of some people on a row."""
    return [
        vote(id=f"row{row}", row=row, person=person, session=person, trial=f"{row}{person}",
             answer=answer)
        for person, answer in by_person.items()
    ]  # fmt: skip


def described(*votes, options=ALL, width=0.02, **more):
    return describe_votes(votes_of(*votes), options, width=width, **more)


def test_two_people_agree_as_often_as_pairs_of_votes_are_equal():
    found = described(*answers(0, a="p0", b="p0", c="p1"), *answers(1, a="p1", b="p1", c="p1"))
    ceiling = found["agreement"]["ceiling"]
    assert ceiling["unbiased"]["value"] == pytest.approx((1 / 3 + 1) / 2)
    assert ceiling["paper"]["value"] == pytest.approx((1 / 9 + 4 / 9 + 1) / 2)
    assert found["rows_by_votes"] == {"3": 2}
    people = found["agreement"]["people"]
    assert people["count"] == 3
    # Of the others' votes, a and b agree with one of two and two of two, c with none and two.
    assert people["mean"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)


def test_one_vote_a_row_has_no_agreement():
    found = described(*answers(0, a="p0"), *answers(1, a="p1"))
    agreement = found["agreement"]
    assert (agreement["ceiling"], agreement["alpha"], agreement["people"]) == (None, None, None)
    assert found["plan"] is None


def test_a_side_bias_is_the_share_of_left_sides_with_its_chance():
    votes = [
        vote(trial=f"t{k}", id=f"r{k}", left="p0" if k % 2 else "p1", answer="p0") for k in range(6)
    ]
    left = described(*votes)["left"]
    assert (left["count"], left["of"], left["share"], left["p_value"]) == (3, 6, 0.5, 1.0)
    votes = [vote(trial=f"t{k}", id=f"r{k}", left="p1", answer="p1") for k in range(20)]
    left = described(*votes)["left"]
    assert left["share"] == 1
    assert left["p_value"] == pytest.approx(2 * 0.5**20)


def test_intervals_of_shares_are_those_of_wilson():
    found = proportion(8, 10)
    assert (found["low"], found["high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert proportion(0, 0) is None


def test_sessions_pass_by_their_sentinels_and_sentinels_by_what_is_expected():
    votes = []
    for session, right in (("good", 10), ("bad", 9)):
        for k in range(10):
            answer = "p0" if k < right else "p1"
            votes.append(
                vote(session=session, phase="sentinel", trial=f"{session}{k}", dataset="", id="",
                     row=-1, expected="p0", answer=answer)
            )  # fmt: skip
    found = described(*votes, *answers(0, good="p0", bad="p1"), options=VoteFilter(min_rt_ms=0))
    assert found["sentinels"]["passed"]["count"] == 1
    assert found["sentinels"]["right"]["p0"]["share"] == 0.95
    assert found["votes"]["left_out"] == {"sentinel": 20, "sentinels failed": 1}
    assert found["votes"]["counted"] == 1
    looser = described(*votes, *answers(0, good="p0"), options=VoteFilter(min_sentinels=0.9))
    assert looser["sentinels"]["passed"]["count"] == 2
    assert looser["sentinels"]["passed_paper"]["count"] == 1


def pair(k, **changes):
    plain = {"task": "jnd", "left": "", "trial": f"t{k}", "id": f"r{k}", "answer": "different"}
    return vote(**plain | changes)


def test_pairs_marked_same_and_times_seen_are_counted():
    votes = [pair(k, answer="same" if k < 3 else "different", reference_ms=1000 + k, gap_ms=250.0,
                  distorted_ms=990.0, timing_ok=k != 0) for k in range(8)]  # fmt: skip
    votes += [
        pair(k, phase="sentinel", expected="same", answer="same", id="", row=-1, dataset="")
        for k in range(8, 10)
    ]
    found = described(*votes, options=VoteFilter(min_rt_ms=0))
    shares = {name: share["share"] for name, share in found["same"].items()}
    assert shares == {"all": 0.5, "sentinels": 1.0, "test": 3 / 8}
    assert [share["paper"] for share in found["same"].values()] == [0.364, 0.704, 0.279]
    timing = found["timing"]
    assert timing["right"]["share"] == 7 / 8
    assert timing["reference_ms"]["measured"]["median"] == pytest.approx(1003.5)
    assert sum(timing["gap_ms"]["histogram"]["counts"]) == 8
    assert found["votes"]["left_out"]["timing failed"] == 1
    assert "left" not in found


def test_seconds_are_from_vote_to_vote_of_a_session():
    votes = [vote(trial=f"t{k}", id=f"r{k}", time=at(3 * k), rt_ms=1500.0) for k in range(5)]
    votes += [vote(trial="x", id="x", session="s2", time=at(1000), rt_ms=500.0)]
    seconds = described(*reversed(votes))["seconds"]
    assert seconds["judgment"]["count"] == 4
    assert seconds["judgment"]["median"] == 3.0
    assert seconds["reaction"]["median"] == 1.5
    unknown = described(vote(time=None, rt_ms=None))["seconds"]
    assert unknown["judgment"] is None
    assert unknown["reaction_histogram"] is None


def test_what_lies_beyond_a_histogram_is_in_its_outermost_bars():
    found = histogram(np.array([-5.0, 10.0, 15.0, 20.0, 99.0]), 10.0, 20.0, 2)
    assert found == {"low": 10.0, "top": 20.0, "counts": [2, 3]}


def test_half_the_width_takes_four_times_the_rows_and_what_is_there_is_no_more_work():
    rng = np.random.default_rng(3)
    votes = [
        each
        for row in range(60)
        for each in answers(row, **{f"p{k}": rng.choice(["p0", "p1"]) for k in range(4)})
    ]
    now = described(*votes)["plan"]
    half = described(*votes, width=now["width_now"] / 2)["plan"]
    assert (half["more_rows"], half["more_votes"]) == (180, 720)
    assert described(*votes, width=1.0)["plan"]["more_votes"] == 0


def test_rows_are_counted_for_each_distortion_on_their_sides():
    votes = [*answers(0, a="p0", b="p0"), *answers(1, a="p0", b="p1"), *answers(2, a="p1")]
    sides = {"row0": ("jpeg", "cnn:017"), "row1": ("jpeg",), "row2": ("cnn:003", "cnn:004")}
    found = described(*votes, distortions=sides)["distortions"]
    assert {name: entry["rows"] for name, entry in found.items()} == {"cnn": 2, "jpeg": 2}
    assert found["jpeg"]["agreement"]["value"] == 0.5
    assert found["cnn"]["agreement"]["value"] == 1.0
    assert found["cnn"]["counted_share"] == pytest.approx(1 / 3)


def test_missing_votes_are_those_that_rows_still_lack():
    wanted = {"row0": 2, "row1": 2, "row2": 2}
    found = described(*answers(0, a="p0", b="p0", c="p0"), *answers(1, a="p0"), wanted=wanted)
    assert (found["votes"]["wanted"], found["votes"]["missing"]) == (6, 3)


def test_rows_are_listed_where_people_are_split_and_where_they_agree():
    votes = [*answers(0, a="p0", b="p0"), *answers(1, a="p0", b="p1"), *answers(2, a="p1", b="p1")]
    found = described(*votes, extremes=1)["extremes"]
    assert [entry["id"] for entry in found["split"]] == ["row1"]
    assert [entry["row"] for entry in found["agreed"]] == [0]


def test_votes_of_both_tasks_are_refused_and_so_are_none():
    with pytest.raises(UserError, match="both tasks"):
        described(vote(), pair(1))
    with pytest.raises(UserError, match="no votes yet"):
        described()


@pytest.fixture(scope="module")
def judged(dataset, tmp_path_factory):
    """A small dataset, to which distances may be added."""
    return Path(shutil.copytree(dataset, tmp_path_factory.mktemp("judged") / "set"))


@pytest.fixture(scope="module")
def simulated(judged, tmp_path_factory):
    """A study of a small dataset and the simulated votes on it."""
    folder = tmp_path_factory.mktemp("reported")
    protocol = folder / "protocol.toml"
    protocol.write_text("trials = 5\nsentinels = 15\njudgments = 4\n")
    command = ["study", "make", str(judged), "--out", str(folder / "study")]
    assert main([*command, "--protocol", str(protocol), "--task", "2afc"]) == 0
    command = ["simulate", str(folder / "study"), "--datasets", str(judged), "--metric", "l2"]
    command += ["--careless", "0.1", "--workers", "1", "--out", str(folder / "votes.parquet")]
    assert main([*command, "--quiet"]) == 0
    return folder


def run_report(folder, judged, tmp_path, *options):
    command = ["study", "report", str(folder / "study"), "--votes", str(folder / "votes.parquet")]
    command += ["--datasets", str(judged), "--out", str(tmp_path / "r.html")]
    return main([*command, "--json", str(tmp_path / "r.json"), *options])


def test_the_report_says_that_votes_are_simulated(simulated, judged, tmp_path, capsys):
    assert run_report(simulated, judged, tmp_path, "--width", "0.01") == 0
    out = capsys.readouterr().out
    assert "simulated votes of" in out
    assert "for 0.01 judge" in out
    values = json.loads((tmp_path / "r.json").read_text())
    assert values["simulated"]
    assert values["title"] == "Simulated votes of study"
    assert values["votes"]["missing"] == 0 or values["votes"]["left_out"]
    assert values["distortions"]
    page = (tmp_path / "r.html").read_text()
    assert "<title>Simulated votes of study</title>" in page
    assert "nothing about people" in page
    assert str(tmp_path) not in page + (tmp_path / "r.json").read_text()


def test_votes_of_people_are_not_called_simulated(tmp_path):
    found = bapps_gen.study_report(votes=votes_of(vote()), out=tmp_path / "r.html")
    assert not found.values["simulated"]
    assert found.summary == "1 votes of 0 people, 1 of them count"
    assert "imulated" not in (tmp_path / "r.html").read_text()


def test_an_open_study_is_answered_and_reported_like_its_folder(simulated, judged):
    study = bapps_gen.open_study(simulated / "study")
    votes = bapps_gen.simulate(study, "l2", datasets=judged, careless=0.1, workers=1)
    assert votes.equals(bapps_gen.read_votes(simulated / "votes.parquet"))
    found = bapps_gen.study_report(study, votes=votes)
    assert found.values == bapps_gen.study_report(simulated / "study", votes=votes).values
    assert found.values["distortions"] is None
    with pytest.raises(UserError, match="give its datasets"):
        bapps_gen.simulate(study, "l2")
    with pytest.raises(UserError, match="judgments are for a dataset"):
        bapps_gen.simulate(study, "l2", datasets=judged, judgments=2)
    with pytest.raises(UserError, match="unknown option of observers 'lapses'; did you mean"):
        bapps_gen.simulate(judged, "l2", lapses=0.1)


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(UserError, match=r"needs krippendorff, .* pip install 'bapps-gen\[study\]'"):
        described(vote())


@needs_chromium
def test_chromium_shows_the_report_on_screens_and_phones(simulated, judged, tmp_path):
    assert run_report(simulated, judged, tmp_path) == 0
    looked = "const images = [...page.images];"
    values = """
          sections: page.querySelectorAll("section").length,
          hidden: [...page.querySelectorAll("section")].filter(s => s.clientHeight < 40).length,
          images: images.length, broken: images.filter(i => !i.naturalWidth).length,
          bars: [...page.querySelectorAll(".histogram rect")]
            .filter(r => r.getBoundingClientRect().height > 1).length,
          boxes: page.querySelectorAll(".box").length"""
    for width in (1280, 390):
        seen = seen_in(tmp_path / "r.html", looked, values, width)
        assert seen["sections"] == 8
        assert seen["hidden"] == 0
        assert seen["images"] >= 3
        assert seen["broken"] == 0
        assert seen["bars"] > 5
        assert seen["boxes"] > 3


def test_what_does_not_fit_together_is_refused_in_one_line(simulated, judged, tmp_path, capsys):
    assert main(["study", "report"]) == 2
    assert "neither a study nor votes are given" in one_line(capsys)
    assert main(["study", "report", str(simulated / "study"), "--out", str(tmp_path / "r")]) == 2
    assert "there are no votes yet" in one_line(capsys)
    assert run_report(simulated, judged, tmp_path, "--width", "0") == 2
    assert "width" in one_line(capsys)
    other = tmp_path / "other.parquet"
    write_votes(other, votes_of(vote(study="e" * 32)))
    assert main(["study", "report", str(simulated / "study"), "--votes", str(other)]) == 2
    assert "there are votes of another study than" in one_line(capsys)
    assert main(["study", "report", "--votes", str(other), "--datasets", str(judged)]) == 2
    assert "no vote is on a row of" in one_line(capsys)
    assert (
        main(["study", "report", "--votes", str(other), "--out", str(tmp_path / "no" / "r")]) == 2
    )
    assert "does not exist" in one_line(capsys)
    with pytest.raises(UserError, match="unknown filter of votes 'min_rt'"):
        bapps_gen.study_report(votes=other, min_rt=1)
    assert not (tmp_path / "r.html").exists()
