"""Votes become judgments that every reader of a dataset sees, and change no shard."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bapps_gen
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.pipelines.judging.filters import VoteFilter
from bapps_gen.pipelines.judging.judge import judge_dataset, tallies
from support.datasets import contents, make, photo, save_photo
from support.votes import vote, votes_of


@pytest.fixture
def dataset(tmp_path):
    save_photo(tmp_path / "photos" / "a.png", photo(1))
    assert make(tmp_path / "photos", tmp_path / "set", 8, "--shard-size", "5") == 0
    return open_dataset(tmp_path / "set")


def votes_on(dataset, answers):
    rows = [row["id"] for row in contents(dataset.folder)]
    return votes_of(
        *(
            vote(dataset=dataset.info.digest, row=row, id=rows[row], answer=answer, person=str(n))
            for n, (row, answer) in enumerate(answers)
        )
    )


ANSWERS = [(0, "p1"), (0, "p1"), (0, "p0"), (0, "p0"), (6, "p1"), (7, "p0")]


@pytest.mark.parametrize("in_shards", [True, False])
def test_every_reader_sees_the_judgments(dataset, in_shards):
    before = {path: path.read_bytes() for path in dataset.folder.glob("data/*")}
    info = judge_dataset(dataset, votes_on(dataset, ANSWERS), in_shards=in_shards)
    assert (info.votes, info.people, info.rows, info.simulated) == (6, 6, 3, False)
    assert judgements_info(dataset.folder, dataset.info.digest) == info
    wanted = [0.5, None, None, None, None, None, 1.0, 0.0]
    assert [row["judge"] for row in contents(dataset.folder)] == wanted
    assert [row["judge_count"] for row in contents(dataset.folder)] == [
        *(4, None, None, None, None, None, 1, 1)
    ]
    assert [triplet.judge for triplet in bapps_gen.iter_triplets(dataset)] == wanted
    data = bapps_gen.TripletDataset(dataset)
    assert [data.row(index).judge for index in range(8)] == wanted
    assert [row.judge for shard in (0, 1) for row in dataset.read_rows(shard)] == wanted
    columns = pa.Table.from_batches(dataset.batches(["judge"]))
    assert columns.column_names == ["judge"]
    assert columns["judge"].to_pylist() == wanted
    unchanged = {path: path.read_bytes() for path in dataset.folder.glob("data/*")} == before
    assert unchanged == (not in_shards)


def test_new_votes_replace_the_judgments_of_old_ones(dataset):
    judge_dataset(dataset, votes_on(dataset, ANSWERS))
    with pytest.raises(UserError, match=r"3 rows .* are judged by votes-.*, which were not given"):
        judge_dataset(dataset, votes_on(dataset, [(1, "p1")]))
    judge_dataset(dataset, votes_on(dataset, [(1, "p1")]), replaces=True)
    assert [row["judge"] for row in contents(dataset.folder)] == [None, 1.0, *[None] * 6]


def test_votes_that_the_filter_leaves_out_are_counted(dataset):
    votes = pa.concat_tables(
        [votes_on(dataset, ANSWERS), votes_of(vote(rt_ms=1.0, dataset=dataset.info.digest))]
    )
    assert judge_dataset(dataset, votes).left_out == {"too fast": 1}


def test_votes_on_nothing_here_are_refused(dataset):
    with pytest.raises(UserError, match=r"no vote that counts is on a row of .* 1 too fast"):
        judge_dataset(dataset, votes_of(vote(rt_ms=1.0)))
    with pytest.raises(UserError, match=r"1 rows with votes are not in .* id other; "):
        judge_dataset(dataset, votes_of(vote(dataset=dataset.info.digest, id="other")))


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["p0", "p1"])), min_size=1))
@settings(max_examples=50, deadline=None)
def test_a_judgment_is_the_share_of_votes_for_p1(answers):
    votes = votes_of(*(vote(id=f"r{row}", answer=answer) for row, answer in answers))
    for name, tally in tallies(votes, "2afc").items():
        given_answers = [answer for row, answer in answers if f"r{row}" == name]
        assert tally.votes == len(given_answers)
        assert tally.fraction == np.mean([answer == "p1" for answer in given_answers])
    assert sum(tally.votes for tally in tallies(votes, "2afc").values()) == len(answers)
    assert tallies(votes, "jnd") == {}


def test_a_filter_that_takes_all_counts_all(dataset):
    votes = votes_on(dataset, ANSWERS)
    loose = VoteFilter(min_sentinels=0, min_rt_ms=0, mistimed=True)
    assert judge_dataset(dataset, votes, loose).votes == len(ANSWERS)
