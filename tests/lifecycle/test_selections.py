"""Subsets and merged sets of datasets of every kind: rows as they were, verified and replayed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.imaging.encode import decode_png, encode_png
from support.datasets import contents, one_line, put_values, values_of, verify
from support.subjects import DATASETS, REPLAYED, ROWS, over


def chosen(rows: list[dict]) -> list[dict]:
    """Rows without what is new in a subset: their number, and the names of pictures."""
    kept = []
    for row in rows:
        row = {name: value for name, value in row.items() if name != "row"}
        for name in ("ref", "p0", "p1"):
            if name in row:
                row[name] = row[name]["bytes"]
        kept.append(row)
    return kept


def subset(folder: Path, where: str, out: Path) -> Path:
    assert main(["subset", str(folder), "--where", where, "--out", str(out), "--quiet"]) == 0
    return out


@over(DATASETS)
def test_a_subset_has_the_rows_of_the_whole(made, tmp_path):
    few = subset(made, "row % 3 = 1", tmp_path / "few")
    rows = contents(few)
    assert [row["row"] for row in rows] == list(range(len(rows)))
    assert chosen(rows) == chosen(contents(made)[1::3])
    assert verify(few) == 0
    assert verify(few, "--stored-only") == 0


@over(DATASETS)
def test_a_subset_of_a_subset_is_that_of_both_conditions(subject, made, tmp_path):
    few = subset(made, "ends_with(id, '5') OR ends_with(id, '2')", tmp_path / "few")
    fewer = subset(few, "ends_with(id, '5')", tmp_path / "fewer")
    at_once = subset(made, "ends_with(id, '5')", tmp_path / "at-once")
    assert subject.files(fewer) == subject.files(at_once)
    assert bapps_gen.open_dataset(fewer).info.digest == bapps_gen.open_dataset(at_once).info.digest
    assert verify(fewer) == 0


@over(DATASETS)
def test_merged_subsets_have_the_rows_of_the_whole(made, tmp_path):
    parts = [
        subset(made, f"row {sign} 40", tmp_path / name) for sign, name in (("<", "a"), (">=", "b"))
    ]
    whole = tmp_path / "whole"
    assert main(["merge", *map(str, parts), "--out", str(whole), "--quiet"]) == 0
    assert chosen(contents(whole)) == chosen(contents(made))
    assert len(bapps_gen.open_dataset(whole).info.parts) == 1
    assert verify(whole) == 0


@over(DATASETS)
def test_one_changed_pixel_of_a_subset_is_found(made, tmp_path, capsys):
    few = subset(made, "row >= 10", tmp_path / "few")
    patch = decode_png(values_of(few, 1, "p0")[7]["bytes"]).copy()
    patch[3, 4, 1] ^= 1
    put_values(few, 1, "p0", {7: {"bytes": encode_png(patch), "path": None}})
    assert verify(few) == 1
    assert "row 37: the stored p0 is not the picture" in capsys.readouterr().out


@over(REPLAYED)
def test_other_steps_and_ids_than_those_of_the_plan_are_found(made, tmp_path, capsys):
    few = subset(made, "row >= 10", tmp_path / "few")
    steps, ids = values_of(few, 1, "steps0")[4], values_of(few, 1, "id")
    steps[0]["seed"] += 1
    put_values(few, 1, "steps0", {4: steps})
    put_values(few, 1, "id", {6: ids[9], 8: f"{ids[8][:9]}00009999", 10: "nothing"})
    assert verify(few) == 1
    out = capsys.readouterr().out
    assert "row 34: steps differs" in out
    assert "row 36: hashes differs" in out
    assert "row 38: has the id" in out
    assert "row 40: has the id nothing" in out


@over(REPLAYED)
def test_rows_in_another_order_are_found(made, tmp_path, capsys):
    few = subset(made, "row >= 10", tmp_path / "few")
    shard = few / "data" / "part-00000.parquet"
    for name in bapps_gen.open_dataset(few).info.schema().names:
        if name != "row":
            values = values_of(few, 0, name)
            put_values(few, 0, name, {3: values[5], 5: values[3]})
    assert shard.exists()
    assert verify(few) == 1
    assert "the rows are not those that were chosen" in capsys.readouterr().out


@over(REPLAYED)
def test_the_recipe_of_a_subset_replays_to_the_same_files(subject, inputs, made, tmp_path):
    few = subset(made, "row % 2 = 0", tmp_path / "few")
    recipe, out = tmp_path / "recipe", tmp_path / "again"
    assert main(["export", str(few), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    options = [str(word) for word in (*subject.replay(inputs), "--workers", 1, "--quiet")]
    assert main(["replay", str(recipe), "--out", str(out), *options]) == 0
    assert subject.files(out) == subject.files(few)
    assert verify(out) == 0


@over(REPLAYED)
def test_a_subset_of_a_recipe_is_a_recipe(subject, inputs, made, tmp_path):
    recipe = bapps_gen.export(made, tmp_path / "recipe", format="recipe")
    few = bapps_gen.subset(recipe, "row < 9", out=tmp_path / "few")
    assert not few.info.pictures
    assert verify(tmp_path / "few", *map(str, subject.replay(inputs))) == 0


def made_of(name: str, inputs, folder: Path) -> Path:
    (subject,) = (subject for subject in DATASETS if subject.name == name)
    assert subject.make(inputs, folder / name) == 0
    return folder / name


def test_sets_of_several_kinds_are_one(inputs, tmp_path):
    sets = [made_of(name, inputs, tmp_path) for name in ("traditional", "mix", "color")]
    merged = bapps_gen.merge(sets, out=tmp_path / "merged")
    assert (len(merged), merged.info.kind) == (3 * ROWS, "merged")
    assert chosen(contents(tmp_path / "merged")) == [
        row for folder in sets for row in chosen(contents(folder))
    ]
    assert verify(tmp_path / "merged") == 0
    assert verify(tmp_path / "merged", "--stored-only") == 0
    # Sets that were merged may go, and come back from a recipe.
    recipe = bapps_gen.export(merged, tmp_path / "recipe", format="recipe")
    for folder in sets:
        shutil.rmtree(folder)
    again = bapps_gen.replay(
        recipe,
        tmp_path / "again",
        source=[inputs.photos, inputs.task / "gt"],
        outputs={name: inputs.task / name for name in ("invert", "swap", "halve")},
        zoo=inputs.zoo,
        workers=1,
    )
    assert verify(tmp_path / "again") == 0
    assert contents(again.folder) == contents(merged.folder)
    color = bapps_gen.subset(merged, "starts_with(distortion0, 'color:')", out=tmp_path / "color")
    assert color.info.kind == "color"
    assert verify(tmp_path / "color") == 0


def test_a_description_of_a_merged_set_has_no_paths(inputs, tmp_path):
    sets = [made_of(name, inputs, tmp_path) for name in ("mix", "color")]
    merged = bapps_gen.merge(sets, out=tmp_path / "merged").folder
    published = [path for path in merged.rglob("*") if path.suffix in (".json", ".md")]
    local = [path for path in published if path.name == "sources.local.json"]
    assert len(local) == 3
    for path in set(published) - set(local):
        assert str(tmp_path) not in path.read_text()
        assert str(inputs.photos) not in path.read_text()
    recipe = bapps_gen.export(merged, tmp_path / "recipe", format="recipe")
    assert not list(recipe.rglob("sources.local.json"))


def test_imported_rows_among_others_keep_their_judgments(inputs, tmp_path):
    (imported,) = bapps_gen.import_original(
        inputs.originals / "2afc", tmp_path / "imported", workers=1
    )
    made = made_of("traditional", inputs, tmp_path)
    merged = bapps_gen.merge([imported, made], out=tmp_path / "merged")
    judged = [triplet.judge for triplet in merged]
    assert judged == [0.5] * ROWS + [None] * ROWS
    assert verify(tmp_path / "merged") == 0
    with pytest.raises(bapps_gen.UserError, match="imported"):
        bapps_gen.replay(merged, tmp_path / "again")
    again = bapps_gen.subset(merged, "judge IS NOT NULL", out=tmp_path / "judged")
    assert [triplet.id for triplet in again] == [triplet.id for triplet in imported]


def test_pairs_are_not_merged_with_triplets(inputs, tmp_path, capsys):
    sets = [made_of(name, inputs, tmp_path) for name in ("traditional", "jnd-traditional")]
    assert main(["merge", *map(str, sets), "--out", str(tmp_path / "merged")]) == 2
    assert "merge triplets with triplets" in one_line(capsys)
    assert not (tmp_path / "merged").exists()
