"""Votes become judgments that every reader of a dataset sees, and change no shard."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.manifests.votes import read_votes, write_votes
from bapps_gen.pipelines.judging.filters import REASONS, VoteFilter
from bapps_gen.pipelines.judging.judge import judge_dataset, tallies
from support.datasets import contents, make, photo, save_photo
from support.votes import vote, votes_of


def small_set(folder):
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "set", 8, "--shard-size", "5") == 0
    return open_dataset(folder / "set")


@pytest.fixture
def dataset(tmp_path):
    return small_set(tmp_path)


@pytest.fixture(scope="module")
def dataset_once(tmp_path_factory):
    return small_set(tmp_path_factory.mktemp("judged"))


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
@settings(max_examples=50)
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


def test_votes_are_kept_as_they_came(dataset):
    raw = pa.concat_tables([votes_on(dataset, ANSWERS), votes_of(vote(rt_ms=1.0, id="elsewhere"))])
    path = dataset.folder.parent / "votes.parquet"
    write_votes(path, raw)
    info = judge_dataset(dataset, raw, files=[path])
    kept = dataset.folder / "judgements" / "votes" / "votes.parquet"
    assert kept.read_bytes() == path.read_bytes()
    assert info.files == (("votes.parquet", hashlib.sha256(path.read_bytes()).hexdigest()),)
    write_votes(path, votes_on(dataset, [*ANSWERS, (1, "p1")]))  # more votes under the same name
    info = judge_dataset(dataset, read_votes([path]), files=[path])
    assert len(list(kept.parent.iterdir())) == 2
    assert (kept.parent / info.files[0][0]).read_bytes() == path.read_bytes()
    assert read_votes([kept]).equals(raw)


def test_single_answers_are_votes(dataset, tmp_path):
    ids = [row["id"] for row in contents(dataset.folder)]
    path = tmp_path / "answers.csv"
    lines = [(ids[2], "p1", "a"), (ids[2], "p0", "a"), (ids[2], "p1", "b"), (ids[5], "p0", "")]
    path.write_text("\n".join(["id,answer,person", *(",".join(line) for line in lines)]))
    info = bapps_gen.judge(dataset, answers=path)
    assert (info.votes, info.people, info.left_out) == (3, 2, {REASONS[-1]: 1})
    judged = {
        row["id"]: row["judge"] for row in contents(dataset.folder) if row["judge"] is not None
    }
    assert judged == {ids[2]: 1.0, ids[5]: 0.0}


def test_answers_on_the_other_task_or_on_nothing_are_refused(dataset, tmp_path):
    ids = [row["id"] for row in contents(dataset.folder)]
    path = tmp_path / "answers.csv"
    for text, message in (
        (f"id,same,count\n{ids[0]},1,1", r"holds triplets, which are judged by judge"),
        (f"id,answer\n{ids[0]},same", r"holds triplets, which are judged by judge"),
        ("id,judge,count\n", r"the files judge no row of"),
        ("id,judge,count\nother,1,2", r"1 rows with votes are not in .* id other; "),
        ("id,answer\nother,p0", r"1 rows with votes are not in .* id other; "),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            bapps_gen.judge(dataset, answers=path)
    assert not (dataset.folder / "judgements").exists()
    with pytest.raises(UserError, match=r"neither votes nor answers"):
        bapps_gen.judge(dataset)
    with pytest.raises(UserError, match=r"unknown filter of votes 'min_rt'"):
        bapps_gen.judge(dataset, answers={ids[0]: 1.0}, min_rt=3)
    with pytest.raises(UserError, match=r"the judgment of .* = 2 is not allowed"):
        bapps_gen.judge(dataset, answers={ids[0]: 2})


def test_pairs_are_judged_by_who_says_same(tmp_path):
    save_photo(tmp_path / "photos" / "a.png", photo(1))
    source = str(tmp_path / "photos")
    pairs = bapps_gen.make_dataset(
        "jnd-traditional", rows=4, source=source, out=tmp_path / "set", workers=1
    )
    answers = [("same", 0), ("same", 0), ("different", 0), ("different", 3)]
    votes = votes_of(
        *(
            vote(
                dataset=pairs.info.digest,
                row=row,
                id=next(pairs.rows()).id[:-1] + str(row),
                task="jnd",
                left="",
                answer=answer,
                timing_ok=True,
            )
            for answer, row in answers
        )
    )
    bapps_gen.judge(pairs, votes=votes)
    assert [pair.same for pair in bapps_gen.iter_pairs(pairs)] == [
        pytest.approx(2 / 3),
        None,
        None,
        0.0,
    ]
    template = tmp_path / "answers.csv"
    assert bapps_gen.write_answers_template(pairs, template) == 2
    before = [row["same"] for row in contents(pairs.folder)]
    assert bapps_gen.judge(pairs, answers=template).votes == 4
    assert [row["same"] for row in contents(pairs.folder)] == before


@given(st.data())
@settings(max_examples=10)
def test_a_template_brings_back_what_it_says(dataset_once, data):
    ids = [row["id"] for row in contents(dataset_once.folder)]
    shares = st.integers(0, 4).map(lambda votes: (votes / 4, 4))
    answers = data.draw(st.dictionaries(st.sampled_from(ids), shares, min_size=1))
    bapps_gen.judge(dataset_once, answers=answers, replace=True)
    template = dataset_once.folder.parent / "template.csv"
    assert bapps_gen.write_answers_template(dataset_once, template) == len(answers)
    before = contents(dataset_once.folder)
    bapps_gen.judge(dataset_once, answers=template)
    assert contents(dataset_once.folder) == before
    assert {row["id"]: row["judge"] for row in before if row["judge"] is not None} == {
        name: share for name, (share, _) in answers.items()
    }


def test_votes_on_a_collection_judge_its_sets(tmp_path, capsys):
    save_photo(tmp_path / "photos" / "a.png", photo(1))
    spec, out, path = tmp_path / "sets.toml", tmp_path / "sets", tmp_path / "votes.parquet"
    spec.write_text(
        "\n".join(
            f'[[set]]\npath = "2afc/train/{name}"\nkind = "traditional"\nrows = 4\nseed = {seed}\n'
            for seed, name in enumerate(("first", "second", "third"))
        )
    )
    words = ["--spec", str(spec), "--train", str(tmp_path / "photos"), "--out", str(out)]
    assert main(["collection", *words, "--workers", "1", "--quiet"]) == 0
    sets = [open_dataset(out / "2afc" / "train" / name) for name in ("first", "second", "third")]
    write_votes(path, pa.concat_tables([votes_on(held, [(0, "p1")]) for held in sets[:2]]))
    capsys.readouterr()
    assert main(["judge", str(out), "--votes", str(path)]) == 0
    assert capsys.readouterr().out.count("1 of 4 rows of") == 2
    assert [contents(held.folder)[0]["judge"] for held in sets] == [1.0, 1.0, None]
    assert main(["judge", str(out), str(path)]) == 2
    assert "name a set of the collection" in capsys.readouterr().err
