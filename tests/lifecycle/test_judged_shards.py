"""Shards with judgments that somebody filled in: read by everything, and never lost."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.shard_judgements import held_judgments
from support.datasets import contents, make, one_line, shard_file, verify

SHARES = [0.5, None, 1.0, 0.0, 0.25, None, 1.0, 0.5]
COUNTS = [2, None, 2, 2, 4, None, 3, 2]


@pytest.fixture
def folder(unjudged, tmp_path):
    return shutil.copytree(unjudged / "set", tmp_path / "set")


def by_pandas(path, shares, counts):
    frame = pd.read_parquet(path)
    frame["judge"], frame["judge_count"] = shares, counts
    frame.to_parquet(path)


def by_pandas_merged(path, shares, counts):
    frame = pd.read_parquet(path).drop(columns=["judge", "judge_count"])
    answers = pd.DataFrame({"id": frame["id"][::-1], "judge": shares[::-1]})
    answers["judge_count"] = pd.array(counts[::-1], "Int64")
    frame.merge(answers, on="id", how="left").to_parquet(path, index=False, row_group_size=2)


def by_pyarrow(path, shares, counts):
    table = pq.read_table(path)
    for name, values in (("judge", shares), ("judge_count", counts)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, path, row_group_size=3, compression="zstd", use_dictionary=False)


def by_pyarrow_without_metadata(path, shares, counts):
    table = pq.read_table(path)
    columns = {name: table[name] for name in table.column_names}
    shares = np.array([np.nan if share is None else share for share in shares])
    table = pa.table(columns | {"judge": pa.array(shares), "judge_count": pa.array(counts)})
    pq.write_table(table, path, compression="none", data_page_version="2.0")


WRITERS = [by_pandas, by_pandas_merged, by_pyarrow, by_pyarrow_without_metadata]


def fill(folder, write, shares=SHARES, counts=COUNTS):
    for shard, rows in ((0, slice(0, 5)), (1, slice(5, None))):
        write(shard_file(folder, shard), shares[rows], counts[rows])


@pytest.mark.parametrize("write", WRITERS)
def test_rewritten_shards_are_read_as_the_rows_that_they_hold(unjudged, folder, write):
    fill(folder, write)
    plain = contents(unjudged / "set")
    filled = [
        row | {"judge": share, "judge_count": count}
        for row, share, count in zip(plain, SHARES, COUNTS, strict=True)
    ]
    assert contents(folder) == filled
    data = bapps_gen.TripletDataset(folder)
    for index in (7, 0, 3, 5, 4, 1):
        row = data.row(index)
        assert (row.id, row.judge) == (plain[index]["id"], SHARES[index])
        assert np.array_equal(row.p1, bapps_gen.TripletDataset(unjudged / "set").row(index).p1)
    assert [row.judge for row in bapps_gen.iter_triplets(folder)] == SHARES
    assert (
        open_dataset(folder).batches().__next__().schema.equals(open_dataset(folder).info.schema())
    )


@pytest.mark.parametrize("write", WRITERS)
def test_every_command_takes_rewritten_shards(unjudged, folder, write, tmp_path, capsys):
    fill(folder, write)
    files = {path: path.read_bytes() for path in folder.glob("data/*")}
    assert verify(folder) == 0
    assert main(["info", str(folder)]) == 0
    assert "judged rows                6" in capsys.readouterr().out
    few, recipe = tmp_path / "few", tmp_path / "recipe"
    where = ["--where", "judge IS NOT NULL", "--out", str(few), "--quiet"]
    assert main(["subset", str(folder), *where]) == 0
    assert [row["judge"] for row in contents(few)] == [s for s in SHARES if s is not None]
    assert main(["export", str(few), "--format", "bapps", "--out", str(tmp_path / "bapps")]) == 0
    assert len(list((tmp_path / "bapps").glob("2afc/*/*/judge/*.npy"))) == 6
    assert main(["export", str(folder), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    again, photos = tmp_path / "again", str(unjudged / "photos")
    assert main(["replay", str(recipe), "--out", str(again), "--source", photos, "--quiet"]) == 0
    assert [row["judge_count"] for row in contents(again)] == COUNTS
    # The command that made the set finds nothing to do.
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5", "--check", "full") == 0
    assert {path: path.read_bytes() for path in folder.glob("data/*")} == files


@pytest.mark.parametrize("write", WRITERS)
def test_a_set_that_grows_keeps_its_judgments(unjudged, folder, write):
    fill(folder, write)
    assert make(unjudged / "photos", folder, 12, "--shard-size", "5") == 0
    rows = contents(folder)
    assert [row["judge"] for row in rows] == SHARES + [None] * 4
    assert [row["judge_count"] for row in rows] == COUNTS + [None] * 4
    assert verify(folder) == 0


@pytest.mark.parametrize("write", WRITERS)
def test_a_damaged_shard_with_judgments_is_not_made_again(unjudged, folder, write, capsys):
    fill(folder, write)
    path = shard_file(folder, 0)
    damage_picture(path)
    damaged = path.read_bytes()
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5", "--check", "full") == 1
    message = one_line(capsys)
    assert "part-00000.parquet is damaged" in message
    assert "holds judgments of 4 rows" in message
    assert f"judge {folder} --template answers.csv" in message
    assert path.read_bytes() == damaged


def damage_picture(path):
    """Flip a byte of the file's first picture."""
    table = pq.read_table(path)
    png = table["ref"][0].as_py()["bytes"]
    data = bytearray(path.read_bytes())
    start = data.find(png[100:140])
    if start < 0:  # compressed: another picture in its place
        images = table["ref"].to_pylist()
        images[0] = images[1]
        index = table.schema.get_field_index("ref")
        column = pa.array(images, table.schema.field(index).type)
        pq.write_table(table.set_column(index, table.schema.field(index), column), path)
        return
    data[start] ^= 1
    path.write_bytes(data)


def test_a_shard_that_cannot_be_read_may_hold_judgments_where_others_do(unjudged, folder, capsys):
    fill(folder, by_pandas)
    path = shard_file(folder, 1)
    path.write_bytes(path.read_bytes()[:-20])
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5") == 1
    assert "may hold judgments, as other shards do" in one_line(capsys)
    unjudged_shard = shard_file(unjudged / "set", 0)
    shutil.copy(unjudged_shard, shard_file(folder, 0))
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5") == 0
    assert contents(folder) == contents(unjudged / "set")


def test_the_way_out_of_damage_loses_nothing(unjudged, folder, tmp_path):
    fill(folder, by_pandas)
    path, answers = shard_file(folder, 0), tmp_path / "answers.csv"
    damage_picture(path)
    assert main(["judge", str(folder), "--template", str(answers)]) == 0
    path.unlink()
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5") == 0
    assert main(["judge", str(folder), str(answers)]) == 0
    assert [row["judge"] for row in contents(folder)] == SHARES
    assert [row["judge_count"] for row in contents(folder)] == COUNTS


def test_shards_of_other_rows_are_not_taken(unjudged, folder, capsys):
    other = folder.parent / "other"
    assert make(unjudged / "photos", other, 8, "--shard-size", "5", "--seed", "7") == 0
    by_pandas(shard_file(other, 0), SHARES[:5], COUNTS[:5])
    shutil.copy(shard_file(other, 0), shard_file(folder, 0))
    assert make(unjudged / "photos", folder, 8, "--shard-size", "5") == 1
    assert "is of another spec and holds judgments of 4 rows" in one_line(capsys)


def test_sorted_otherwise_is_said(folder, capsys):
    path = shard_file(folder, 0)
    pd.read_parquet(path).sort_values("distortion0", ascending=False).to_parquet(path)
    assert verify(folder) == 1
    assert "in another order of rows (sort it by the column 'row')" in capsys.readouterr().out


@pytest.mark.parametrize(("share", "count"), [(1.5, 2), (-0.1, 2), (0.5, -1)])
def test_judgments_that_are_none_are_refused(folder, share, count, capsys):
    by_pandas(shard_file(folder, 0), [0.5, share, 1, 1, 1], [1, count, 1, 1, 1])
    assert verify(folder) == 1
    assert "row 1 has a judge" in capsys.readouterr().out


def test_what_a_shard_holds_is_known_whatever_else_is_wrong(folder):
    fill(folder, by_pandas)
    info = open_dataset(folder).info
    damage_picture(shard_file(folder, 0))
    held = held_judgments(shard_file(folder, 0), info)
    assert list(held.rows.values()) == [(0.5, 2), (1, 2), (0, 2), (0.25, 4)]
    assert not held.copied
    shard_file(folder, 0).write_bytes(b"nothing")
    assert held_judgments(shard_file(folder, 0), info) is None
