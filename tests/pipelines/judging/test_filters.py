"""Votes that do not count are left out for one named reason, and none is lost or changed."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.errors import UserError
from bapps_gen.manifests.votes import VOTES_SCHEMA
from bapps_gen.pipelines.judging.filters import REASONS, VoteFilter, filter_votes, sentinel_shares
from support.votes import vote, votes_of


def sentinels(session, right, wrong):
    fitting = vote(session=session, phase="sentinel", row=-1, id="", expected="p0", answer="p0")
    return [fitting] * right + [{**fitting, "answer": "p1"}] * wrong


@pytest.mark.parametrize(("right", "wrong", "kept"), [(15, 0, 1), (14, 1, 1), (13, 2, 0)])
def test_fourteen_of_fifteen_sentinels_pass(right, wrong, kept):
    votes = votes_of(*sentinels("s", right, wrong), vote(session="s"))
    assert filter_votes(votes).kept.num_rows == kept
    assert filter_votes(votes, VoteFilter(min_sentinels=0)).kept.num_rows == 1
    assert sentinel_shares(votes) == {"s": (right, right + wrong)}


def test_a_session_without_sentinels_is_not_held_to_have_failed():
    assert filter_votes(votes_of(vote(session="s"))).kept.num_rows == 1


def test_each_reason_is_counted():
    votes = votes_of(
        vote(phase="practice", row=-1, id="", expected="p1"),
        *sentinels("bad", 0, 2),
        vote(session="bad"),
        vote(person="a", timing_ok=False),
        vote(person="b", rt_ms=199.0),
        vote(person="c", answer="p0"),
        vote(person="c", answer="p1"),
        vote(person="c", id="other"),
    )
    result = filter_votes(votes)
    assert result.left_out == {
        "practice": 1,
        "sentinel": 2,
        "sentinels failed": 1,
        "timing failed": 1,
        "too fast": 1,
        "a person's second vote on a row": 1,
    }
    assert result.kept.select(["person", "answer", "id"]).to_pylist() == [
        {"person": "c", "answer": "p0", "id": vote()["id"]},
        {"person": "c", "answer": "p1", "id": "other"},
    ]


def test_unknown_times_and_people_are_kept():
    votes = votes_of(*[vote(person="", rt_ms=None, timing_ok=None)] * 3)
    assert filter_votes(votes).kept.num_rows == 3


def test_a_hasty_first_vote_does_not_displace_a_second_one():
    votes = votes_of(vote(person="a", rt_ms=10.0), vote(person="a", answer="p0"))
    assert filter_votes(votes).kept["answer"].to_pylist() == ["p0"]


changes = st.fixed_dictionaries(
    {
        "session": st.sampled_from("st"),
        "person": st.sampled_from(["", "a", "b"]),
        "phase": st.sampled_from(["test", "test", "sentinel", "practice"]),
        "answer": st.sampled_from(["p0", "p1"]),
        "expected": st.sampled_from(["p0", "p1"]),
        "id": st.sampled_from(["r0", "r1"]),
        "rt_ms": st.none() | st.floats(0, 1000),
        "timing_ok": st.none() | st.booleans(),
    }
)


@given(st.lists(changes, min_size=1, max_size=20))
@settings(max_examples=60)
def test_every_vote_counts_or_has_one_reason(rows):
    votes = votes_of(*(vote(**row) for row in rows))
    result = filter_votes(votes)
    assert result.kept.num_rows + sum(result.left_out.values()) == len(rows)
    assert set(result.left_out) <= set(REASONS)
    assert result.kept.schema.equals(VOTES_SCHEMA)
    assert filter_votes(result.kept).kept.equals(result.kept)


@given(st.lists(changes, min_size=1, max_size=20))
@settings(max_examples=60)
def test_a_looser_filter_keeps_at_least_as_many(rows):
    votes = votes_of(*(vote(**row) for row in rows))
    loose = filter_votes(votes, VoteFilter(min_sentinels=0, min_rt_ms=0, mistimed=True))
    assert loose.kept.num_rows >= filter_votes(votes).kept.num_rows


def test_options_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"min-sentinels = 1\.2 is not allowed"):
        VoteFilter(min_sentinels=1.2)
    assert VoteFilter().digest != VoteFilter(mistimed=True).digest
    assert isinstance(filter_votes(votes_of(vote())).kept, pa.Table)


def test_a_condition_of_ones_own_leaves_votes_out():
    votes = votes_of(vote(rt_ms=300.0), vote(rt_ms=900.0), vote(rt_ms=None))
    result = filter_votes(votes, VoteFilter(where="rt_ms < 500"))
    assert result.kept["rt_ms"].to_pylist() == [300.0]
    assert result.left_out == {"condition not met": 2}  # what is unknown is not met
    assert VoteFilter(where="rt_ms < 500").digest != VoteFilter().digest


@given(st.lists(changes, min_size=1, max_size=20), st.sampled_from("st"))
@settings(max_examples=30)
def test_a_condition_keeps_what_it_says_of_what_counts(rows, session):
    votes = votes_of(*(vote(**row) for row in rows))
    kept = filter_votes(votes, VoteFilter(where=f"session = '{session}'")).kept
    assert set(kept["session"].to_pylist()) <= {session}
    assert filter_votes(kept).kept.equals(kept)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("rt < 500", r"unknown column 'rt'; did you mean 'rt_ms'\?"),
        ("rt_ms <", r"is not a condition on a row .* such as \"rt_ms < 10000\""),
        ("1; DROP TABLE votes", r"is not a condition on a row"),
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", r"is not a condition on a row"),
    ],
)
def test_what_is_no_condition_is_refused(where, message):
    with pytest.raises(UserError, match=message) as caught:
        filter_votes(votes_of(vote()), VoteFilter(where=where))
    assert "_index" not in str(caught.value)
