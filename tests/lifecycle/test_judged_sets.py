"""Judged datasets: what is made of them stays judged, and neither kills nor growth lose a vote."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.manifests.shard_judgements import held_judgments
from bapps_gen.pipelines.judging.judge import judge_dataset
from support.datasets import contents, make, one_line, photo, save_photo, shard_file, verify
from support.killing import run_until_change
from support.votes import vote, votes_of

SHARES = [0.5, None, 1.0, 0.0, 0.25, None, 1.0, 0.5]
COUNTS = [2, None, 2, 2, 4, None, 3, None]


@pytest.fixture
def folder(unjudged, tmp_path):
    return shutil.copytree(unjudged / "set", tmp_path / "set")


def ids_of(folder):
    return [row["id"] for row in contents(folder)]


def answers_of(folder, shares=SHARES, counts=COUNTS):
    path = folder.parent / "answers.csv"
    rows = zip(ids_of(folder), shares, counts, strict=False)
    lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
    path.write_text("\n".join(["id,judge,count", *lines]) + "\n")
    return path


@pytest.fixture
def judged(folder):
    assert main(["judge", str(folder), str(answers_of(folder))]) == 0
    return folder


def judgments(folder):
    rows = contents(folder)
    return [row["judge"] for row in rows], [row["judge_count"] for row in rows]


def in_shards(folder):
    """What programs see that read the shards alone."""
    shards = sorted((folder / "data").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(path) for path in shards])
    return table["judge"].to_pylist(), table["judge_count"].to_pylist()


def test_answers_are_judgments_beside_the_shards_and_in_them(unjudged, judged):
    assert judgments(judged) == in_shards(judged) == (SHARES, COUNTS)
    others = [name for name in pq.read_schema(shard_file(judged, 0)).names if "judge" not in name]
    for shard in (0, 1):
        before = pq.read_table(shard_file(unjudged / "set", shard), columns=others)
        assert pq.read_table(shard_file(judged, shard), columns=others).equals(before)
        file = pq.ParquetFile(shard_file(judged, shard), page_checksum_verification=True)
        assert file.read().num_rows == before.num_rows
    assert verify(judged) == 0
    kept = judged / "judgements" / "votes" / "answers.csv"
    assert kept.read_bytes() == (judged.parent / "answers.csv").read_bytes()


def test_judging_again_with_the_same_answers_changes_nothing(judged):
    files = {path: path.read_bytes() for path in judged.rglob("*") if path.is_file()}
    assert main(["judge", str(judged), str(judged.parent / "answers.csv")]) == 0
    assert {path: path.read_bytes() for path in judged.rglob("*") if path.is_file()} == files


def test_other_judgments_take_the_place_of_copies_in_the_shards(judged, capsys):
    few = answers_of(judged, [None, 1.0, *[None] * 6], [None, 9])
    assert main(["judge", str(judged), str(few)]) == 2
    assert "6 rows" in (message := one_line(capsys))
    assert "answers.csv" in message
    assert "--replace" in message
    assert judgments(judged) == (SHARES, COUNTS)
    assert main(["judge", str(judged), str(few), "--replace"]) == 0
    wanted = [None, 1.0, *[None] * 6], [None, 9, *[None] * 6]
    assert judgments(judged) == in_shards(judged) == wanted
    assert len(list((judged / "judgements" / "votes").iterdir())) == 2


def test_only_beside_the_shards_on_request(unjudged, judged):
    assert main(["judge", str(judged), str(answers_of(judged)), "--sidecar-only"]) == 0
    assert judgments(judged) == (SHARES, COUNTS)
    for shard in (0, 1):
        path = shard_file(judged, shard)
        assert pq.read_table(path).equals(pq.read_table(shard_file(unjudged / "set", shard)))


def test_judgments_of_their_own_stay_in_shards(folder):
    table = pq.read_table(shard_file(folder, 0))
    index = table.schema.get_field_index("judge")
    own = pa.array([0.125, 0.25, 0.375, 0.5, 0.625], pa.float32())
    pq.write_table(table.set_column(index, table.schema.field(index), own), shard_file(folder, 0))
    assert main(["judge", str(folder), str(answers_of(folder))]) == 0
    assert in_shards(folder)[0] == [*own.to_pylist(), *SHARES[5:]]
    assert judgments(folder)[0] == [0.5, 0.25, 1.0, 0.0, 0.25, *SHARES[5:]]


def test_a_judged_set_that_grows_stays_judged(unjudged, judged):
    assert make(unjudged / "photos", judged, 12, "--shard-size", "5") == 0
    wanted = SHARES + [None] * 4, COUNTS + [None] * 4
    assert judgments(judged) == in_shards(judged) == wanted
    info = open_dataset(judged).info
    assert held_judgments(shard_file(judged, 1), info).copied
    assert verify(judged) == 0


def test_a_shard_that_was_lost_is_made_again_with_its_judgments(unjudged, judged):
    files = {path: path.read_bytes() for path in judged.glob("data/*")}
    shard_file(judged, 0).unlink()
    data = bytearray(shard_file(judged, 1).read_bytes())
    data[len(data) // 3] ^= 1
    shard_file(judged, 1).write_bytes(data)
    assert make(unjudged / "photos", judged, 8, "--shard-size", "5") == 0
    assert judgments(judged) == in_shards(judged) == (SHARES, COUNTS)
    assert {path: path.read_bytes() for path in judged.glob("data/*")} == files


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def killed_again_and_again(words, folder):
    """Kill a command at later and later changes on disk until it ends; yields after each kill."""
    limit, code = 0, None
    while code is None:
        code, _ = run_until_change(words, folder, limit)
        yield limit
        limit += 3
    assert code == 0
    assert limit > 12


def test_judging_that_is_killed_anywhere_goes_on(unjudged, judged, tmp_path):
    again = shutil.copytree(unjudged / "set", tmp_path / "again")
    words = ["judge", str(again), str(judged.parent / "answers.csv")]
    for _ in killed_again_and_again(words, again):
        for shares in (judgments(again)[0], in_shards(again)[0]):
            assert all(got in (None, share) for got, share in zip(shares, SHARES, strict=True))
    assert files_of(again) == files_of(judged)


def test_growth_that_is_killed_anywhere_keeps_judgments(unjudged, judged):
    words = ["traditional", "--quiet", "--n", "12", "--source", str(unjudged / "photos")]
    words += ["--out", str(judged), "--workers", "1", "--shard-size", "5"]
    for _ in killed_again_and_again(words, judged):
        shares, counts = in_shards(judged)
        assert (shares[:8], counts[:8]) == (SHARES, COUNTS)
    assert judgments(judged) == in_shards(judged) == (SHARES + [None] * 4, COUNTS + [None] * 4)


def test_what_is_made_of_a_judged_set_is_judged(unjudged, judged, tmp_path):
    few, recipe, again, both = (tmp_path / name for name in ("few", "recipe", "again", "both"))
    rest = tmp_path / "rest"
    bapps_gen.subset(judged, "row % 2 = 0", out=few)
    bapps_gen.subset(judged, "row % 2 = 1", out=rest)
    assert judgments(few) == in_shards(few) == (SHARES[::2], COUNTS[::2])
    held = judgements_info(few, open_dataset(few).info.digest)
    assert (held.rows, held.votes) == (4, 11)
    assert (few / "judgements" / "votes" / "answers.csv").exists()
    bapps_gen.merge([few, rest], out=both)
    assert judgments(both) == (SHARES[::2] + SHARES[1::2], COUNTS[::2] + COUNTS[1::2])
    bapps_gen.export(judged, recipe, format="recipe")
    assert judgments(recipe) == in_shards(recipe) == (SHARES, COUNTS)
    bapps_gen.replay(recipe, again, source=unjudged / "photos", workers=1)
    assert judgments(again) == in_shards(again) == (SHARES, COUNTS)
    digest = open_dataset(again).info.digest
    assert judgements_info(again, digest) == judgements_info(judged, digest)
    for made in (few, rest, both, again):
        assert verify(made) == 0


def test_votes_on_a_subset_are_votes_on_the_whole(judged, tmp_path):
    few = bapps_gen.subset(judged, "row >= 5", out=tmp_path / "few")
    votes = votes_of(
        *(
            vote(dataset=few.info.digest, row=0, id=few[0].id, answer=answer, simulated=True)
            for answer in ("p0", "p1", "p1", "p1")
        )
    )
    whole = open_dataset(judged)
    info = judge_dataset(whole, votes, replaces=True)
    assert info.simulated
    assert judgments(judged)[0] == [None] * 5 + [0.75, None, None]
    assert "1 of 8 rows, by 4 votes, simulated, not by people" in (judged / "README.md").read_text()


def test_the_card_and_info_say_who_judged(judged, capsys):
    assert "| judged | 6 of 8 rows, by 13 votes |" in (judged / "README.md").read_text()
    assert main(["info", str(judged)]) == 0
    out = capsys.readouterr().out
    assert "judged rows                6" in out
    assert "judged by                  13 votes" in out


def test_hugging_face_loads_the_judgments(judged, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset(str(judged), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["judge"][:] == SHARES
    assert rows["judge_count"][:] == COUNTS
    assert rows.features["judge"].dtype == "float32"


def exported(judged, tmp_path):
    """An export of the judged rows, its files in another order under other names."""
    few = bapps_gen.subset(judged, "judge IS NOT NULL", out=tmp_path / "few")
    folder = bapps_gen.export(few, tmp_path / "original", format="bapps", upscale=256)
    for part in ("ref", "p0", "p1", "judge"):
        for path in (folder / part).iterdir():
            path.rename(path.with_name(f"{9 - int(path.stem)}-picture{path.suffix}"))
    return folder


def test_import_finds_the_rows_of_a_dataset_by_their_pixels(unjudged, judged, tmp_path):
    folder, target = exported(judged, tmp_path), tmp_path / "target"
    shutil.copytree(unjudged / "set", target)
    assert main(["import", str(folder), "--dataset", str(target), "--quiet"]) == 0
    assert judgments(target)[0] == in_shards(target)[0] == SHARES
    steps = [row["steps0"] for row in contents(unjudged / "set")]
    assert [row["steps0"] for row in contents(target)] == steps


def test_import_takes_numbers_of_people_from_the_manifest_of_an_export(unjudged, judged, tmp_path):
    few = bapps_gen.subset(judged, "judge IS NOT NULL", out=tmp_path / "few")
    folder = bapps_gen.export(few, tmp_path / "original", format="bapps")
    counts = [count for count, share in zip(COUNTS, SHARES, strict=True) if share is not None]
    assert main(["import", str(folder), "--out", str(tmp_path / "new"), "--quiet"]) == 0
    assert judgments(tmp_path / "new")[1] == counts
    target = shutil.copytree(unjudged / "set", tmp_path / "target")
    assert main(["import", str(folder), "--dataset", str(target), "--quiet"]) == 0
    assert judgments(target) == (SHARES, COUNTS)
    np.save(folder / "judge" / "000000.npy", np.float32([0.75]))
    assert main(["import", str(folder), "--dataset", str(target), "--quiet"]) == 0
    assert judgments(target) == ([0.75, *SHARES[1:]], [None, *COUNTS[1:]])


def test_import_of_other_pictures_is_refused(judged, tmp_path, capsys):
    folder = exported(judged, tmp_path)
    other = tmp_path / "other"
    save_photo(tmp_path / "elsewhere" / "b.png", photo(9))
    assert make(tmp_path / "elsewhere", other, 8) == 0
    assert main(["import", str(folder), "--dataset", str(other), "--quiet"]) == 2
    assert "6 of 6 rows of" in (message := one_line(capsys))
    assert "are not in" in message


def test_a_damaged_shard_of_an_imported_set_is_made_again_with_what_it_held(judged, tmp_path):
    folder, out = exported(judged, tmp_path), tmp_path / "imported"
    (folder / "judgements.json").unlink()  # as in sets of other programs
    words = ["import", str(folder), "--out", str(out), "--quiet"]
    assert main(words) == 0
    path = shard_file(out, 0)
    frame = pd.read_parquet(path)
    frame["judge_count"] = range(1, 7)  # what the folder does not say
    images = list(frame["ref"])
    frame["ref"] = [images[1], *images[1:]]
    frame.to_parquet(path)
    shares = [row["judge"] for row in contents(out)]
    assert main(words) == 0
    assert verify(out, "--stored-only") == 0
    assert judgments(out) == (shares, [1, 2, 3, 4, 5, 6])
