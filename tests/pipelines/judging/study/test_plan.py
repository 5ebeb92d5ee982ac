"""A study's plan: every row judged often enough, by different sessions, with the paper's checks."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.errors import UserError
from bapps_gen.pipelines.judging.study.plan import StudySet, plan_sessions
from bapps_gen.pipelines.judging.study.protocol import Protocol, protocol_of

protocols = st.sampled_from(["2afc", "jnd"]).flatmap(
    lambda task: st.builds(
        Protocol,
        task=st.just(task),
        trials=st.integers(1, 12),
        sentinels=st.integers(0, 6),
        identical=st.just(0),
        practice=st.integers(0, 12),
    )
)
sizes = st.lists(
    st.builds(StudySet, rows=st.integers(1, 30), judgments=st.integers(1, 5)),
    min_size=1,
    max_size=3,
)


def judged_in(session):
    return [(trial.dataset, trial.row) for trial in session if trial.phase == "test"]


@given(sizes, protocols, st.integers(0, 2**63 - 1))
@settings(max_examples=60)
def test_every_row_has_its_judgments_and_no_session_has_one_twice(sets, protocol, seed):
    sessions = list(plan_sessions(sets, protocol, seed))
    judged = Counter(key for session in sessions for key in judged_in(session))
    assert judged == {
        (index, row): entry.judgments
        for index, entry in enumerate(sets)
        for row in range(entry.rows)
    }
    for session in sessions:
        keys = judged_in(session)
        assert len(set(keys)) == len(keys) <= protocol.trials
        phases = [trial.phase for trial in session]
        assert phases.count("sentinel") == protocol.sentinels
        assert phases[: protocol.practice] == ["practice"] * protocol.practice
        assert "practice" not in phases[protocol.practice :]
    assert sessions == list(plan_sessions(sets, protocol, seed))


def test_jnd_sessions_are_those_of_the_paper():
    (session, *_) = plan_sessions([StudySet(160, 3)], Protocol(task="jnd"), 0)
    phases = Counter(trial.phase for trial in session)
    assert phases == {"test": 160, "sentinel": 40, "practice": 10}
    sentinels = Counter(trial.expected for trial in session if trial.phase == "sentinel")
    assert sentinels == {"same": 32, "different": 8}
    practice = Counter(trial.pictures[1].sigma for trial in session if trial.phase == "practice")
    assert sorted(practice.values()) == [1, 4, 5]
    assert practice[0.0] == 4


def test_2afc_sessions_have_15_sentinels_of_large_against_small_noise():
    (session, *_) = plan_sessions([StudySet(100, 2)], Protocol(task="2afc"), 0)
    sentinels = [trial for trial in session if trial.phase == "sentinel"]
    assert len(sentinels) == 15
    for trial in sentinels:
        reference, left, right = trial.pictures
        assert reference.sigma == 0
        assert trial.expected == "p0"
        assert (left.sigma < right.sigma) == (trial.left == "p0")


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_sides_are_shown_left_and_right_at_random(seed):
    sessions = plan_sessions([StudySet(400, 1)], Protocol(task="2afc", trials=400), seed)
    sides = Counter(trial.left for session in sessions for trial in session)
    assert 140 < sides["p0"] < 275
    trials = next(plan_sessions([StudySet(400, 1)], Protocol(task="2afc", trials=400), seed))
    for trial in trials:
        if trial.phase == "test":
            assert [picture.patch for picture in trial.pictures] == (
                ["ref", "p0", "p1"] if trial.left == "p0" else ["ref", "p1", "p0"]
            )


def test_sentinels_lie_anywhere_in_a_session():
    sessions = plan_sessions([StudySet(50, 5)], Protocol(task="2afc", trials=50), 1)
    places = {
        index
        for session in sessions
        for index, trial in enumerate(session)
        if trial.phase == "sentinel"
    }
    assert len(places) > 30


def test_judgments_follow_the_split():
    assert Protocol(task="2afc").judgments_of("train") == 2
    assert (
        Protocol(task="2afc").judgments_of("val") == Protocol(task="2afc").judgments_of(None) == 5
    )
    assert Protocol(task="jnd").judgments_of("train") == 3
    assert Protocol(task="jnd", judgments=7).judgments_of("val") == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('task = "3afc"', r"unknown task '3afc'"),
        ('task = "2afc"\ntrials = 0', r"trials = 0 is not allowed: it must be a whole number"),
        ('task = "2afc"\ntrails = 5', r"did you mean 'trials'\?"),
        ('task = "2afc"\nsmall_noise = 0.5', r"small_noise = 0\.5 is not allowed"),
        ('task = "jnd"\nsentinels = 10', r"identical = 32 is not allowed: it must be at most"),
        ('task = "jnd"\ngap_ms = "long"', r"gap_ms = 'long' is not allowed"),
        ('task = "2afc"\ncompletion_url = "javascript:alert(1)"', r"an address with https"),
    ],
)
def test_a_protocol_that_is_not_allowed_is_refused(tmp_path, text, message):
    path = tmp_path / "protocol.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        protocol_of(path)


def test_texts_of_a_protocol_lie_beside_it(tmp_path):
    path = tmp_path / "protocol.toml"
    path.write_text('consent = "consent.md"\ntrials = 40')
    protocol = protocol_of(path, {"sentinels": 40}, "jnd")
    assert protocol.consent == str(tmp_path / "consent.md")
    assert (protocol.task, protocol.trials, protocol.sentinels) == ("jnd", 40, 40)
    path.write_text('task = "jnd"')
    with pytest.raises(UserError, match="task = 2afc is not that of"):
        protocol_of(path, {"task": "2afc"})
    with pytest.raises(UserError, match="did you mean 'trials'"):
        protocol_of(None, {"trails": 5})
