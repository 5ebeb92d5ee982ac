"""Rows of datasets of every kind: the same whatever the shards, the workers and the number."""

from __future__ import annotations

import pyarrow.parquet as pq

from bapps_gen.cli import main
from bapps_gen.imaging.encode import decode_png, encode_png
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.rows import renderer
from support.datasets import contents, one_line, put_values, values_of, verify
from support.subjects import COUNTED, DATASETS, REPLAYED, ROWS, over


@over(COUNTED)
def test_rows_do_not_depend_on_shards_or_groups(subject, inputs, made, tmp_path, monkeypatch):
    expected = contents(made)
    assert len(expected) == ROWS
    assert subject.make(inputs, tmp_path / "odd", "--shard-size", 7) == 0
    assert contents(tmp_path / "odd") == expected
    monkeypatch.setattr(renderer, "CNN_GROUP_ROWS", 9)
    assert subject.make(inputs, tmp_path / "one", "--shard-size", 1000) == 0
    assert contents(tmp_path / "one") == expected


@over(COUNTED)
def test_asking_for_more_rows_adds_to_a_dataset(subject, inputs, made, copy, tmp_path):
    assert subject.make(inputs, copy, "--n", 95) == 0
    assert subject.make(inputs, tmp_path / "fresh", "--n", 95) == 0
    rows = contents(copy)
    assert rows == contents(tmp_path / "fresh")
    assert rows[:ROWS] == contents(made)


@over(COUNTED)
def test_asking_for_fewer_rows_is_refused(subject, inputs, made, capsys):
    assert subject.make(inputs, made, "--n", 50) == 2
    assert "n = 50 is less than the 70 rows" in one_line(capsys)


@over(DATASETS)
def test_a_dataset_of_another_kind_is_not_written_over(subject, inputs, copy, capsys):
    before = subject.files(copy)
    other = DATASETS[DATASETS.index(subject) - 1]
    assert other.make(inputs, copy) == 2
    assert "another spec" in one_line(capsys)
    assert subject.files(copy) == before


@over(DATASETS)
def test_a_whole_dataset_is_verified_with_its_photos_and_without(subject, made):
    assert verify(made) == 0
    assert verify(made, "--stored-only") == 0


@over(DATASETS)
def test_one_changed_pixel_is_found(subject, copy, capsys):
    patch = decode_png(values_of(copy, 1, "p0")[7]["bytes"]).copy()
    patch[3, 4, 1] ^= 1
    put_values(copy, 1, "p0", {7: {"bytes": encode_png(patch), "path": None}})
    for options in ((), ("--stored-only",)):
        assert verify(copy, *options) == 1
        out = capsys.readouterr().out
        assert "part-00001.parquet row 37: the stored p0 is not the picture of its hash" in out
        assert "1 differences in 70 rows" in out


@over(REPLAYED)
def test_other_steps_than_those_of_the_plan_are_found(subject, copy, capsys):
    steps = values_of(copy, 1, "steps0")[4]
    steps[0]["seed"] += 1
    put_values(copy, 1, "steps0", {4: steps})
    assert verify(copy, "--stored-only") == 1
    assert "part-00001.parquet row 34: its steps are not those of the plan" in (
        capsys.readouterr().out
    )
    assert verify(copy) == 1
    assert "part-00001.parquet row 34: steps differs" in capsys.readouterr().out


@over(REPLAYED)
def test_other_pixels_than_stored_are_found(subject, copy, capsys):
    put_values(copy, 1, "p0_hash", {2: "0" * 32})
    assert verify(copy) == 1
    assert "row 32: hashes differs" in capsys.readouterr().out


@over(REPLAYED)
def test_a_recipe_replays_to_the_same_files(subject, inputs, made, tmp_path):
    recipe, out = tmp_path / "recipe", tmp_path / "again"
    assert main(["export", str(made), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    assert not set(open_dataset(made).info.patches) & set(
        pq.read_schema(recipe / "data" / "part-00000.parquet").names
    )
    places = [str(word) for word in subject.replay(inputs)]
    assert verify(recipe, *places) == 0
    options = [*places, "--workers", "1", "--quiet"]
    assert main(["replay", str(recipe), "--out", str(out), *options]) == 0
    assert subject.files(out) == subject.files(made)
    assert verify(out) == 0


@over([subject for subject in DATASETS if subject not in REPLAYED])
def test_an_imported_dataset_is_not_replayed(subject, made, tmp_path, capsys):
    assert main(["replay", str(made), "--out", str(tmp_path / "again")]) == 2
    assert "was imported" in one_line(capsys)
    assert not (tmp_path / "again").exists()
