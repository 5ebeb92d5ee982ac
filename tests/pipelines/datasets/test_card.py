"""Data cards of datasets: folders load as they are with `datasets`, whatever lies in them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import read_info
from bapps_gen.pipelines.datasets.card import write_dataset_card
from support.datasets import make, shard_file
from support.real_outputs import save_task

Load = Callable[[Path], Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a folder with the datasets library, offline and with a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The YAML and the text of a data card."""
    text = (folder / "README.md").read_text()
    return yaml.safe_load(text.split("---\n", 2)[1]), text


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    shutil.copytree(dataset, tmp_path / "set")
    return tmp_path / "set"


def test_a_scored_and_validated_set_loads_as_a_folder(copy, load):
    assert main(["score", str(copy), "--metric", "l2", "--quiet", "--workers", "1"]) == 0
    report = str(copy.parent / "report.html")
    assert main(["validate", str(copy), "--quiet", "--workers", "1", "--out", report]) in (0, 1)
    loaded = load(copy)
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 70}
    row = loaded["train"][3]
    assert (row["ref"].size, row["row"], row["judge"]) == ((64, 64), 3, None)
    assert row["steps0"][0]["params"][0].keys() == {"name", "value"}


def test_a_set_from_real_algorithms_loads_as_a_folder(tmp_path, load):
    task = save_task(tmp_path / "task", 2)
    outputs = [f"{name}={task / name}" for name in ("invert", "swap")]
    given = ("--reference", str(task / "gt"), "--outputs", *outputs)
    out = tmp_path / "real"
    options = ("--n", "4", "--quiet", "--workers", "1", "--out", str(out))
    assert main(["real", "superres", *given, *options]) == 0
    assert (out / "outputs.parquet").exists()
    assert len(load(out)["train"]) == 4
    assert str(tmp_path) not in card_of(out)[1]


def test_pairs_and_recipes_load_as_folders(photos, tmp_path, load):
    pairs, recipe = tmp_path / "pairs", tmp_path / "recipe"
    options = ("--source", str(photos), "--n", "5", "--quiet", "--workers", "1")
    assert main(["jnd", "--family", "traditional", *options, "--out", str(pairs)]) == 0
    assert load(pairs)["train"].column_names[:4] == ["id", "row", "ref", "p0"]
    assert main(["export", str(pairs), "--format", "recipe", "--out", str(recipe)]) == 0
    assert load(recipe)["train"].column_names[:3] == ["id", "row", "distortion0"]


def test_the_card_has_the_split_the_types_and_the_counts_and_no_absolute_path(photos, tmp_path):
    out = tmp_path / "set"
    assert make(photos, out, 5, "--split", "val", "--val-fraction", "0.5") == 0
    front, text = card_of(out)
    (config,) = front["configs"]
    assert config["data_files"] == [{"split": "val", "path": ["data/*.parquet"]}]
    (facts,) = front["dataset_info"]
    assert facts["splits"][0]["num_examples"] == 5
    assert {"name": "ref", "dtype": "image"} in facts["features"]
    assert str(tmp_path) not in text
    assert str(photos) not in text


def test_the_library_notices_a_missing_shard(copy, load):
    from datasets.exceptions import NonMatchingSplitsSizesError

    shard_file(copy, 1).unlink()
    with pytest.raises(NonMatchingSplitsSizesError):
        load(copy)


def test_more_rows_are_counted_and_an_edited_card_is_left_alone(photos, tmp_path):
    out = tmp_path / "set"
    assert make(photos, out, 5) == 0
    assert make(photos, out, 8) == 0
    assert card_of(out)[0]["dataset_info"][0]["splits"][0]["num_examples"] == 8
    edited = (out / "README.md").read_text().replace("license: other", "license: mit")
    (out / "README.md").write_text(edited)
    assert make(photos, out, 9) == 0
    assert (out / "README.md").read_text() == edited
    assert "num_examples: 9" in (out / "README.new.md").read_text()


def test_a_fifo_in_place_of_a_card_stops_nothing(dataset, tmp_path):
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "README.md").unlink()
    os.mkfifo(copy / "README.md")
    write_dataset_card(copy, read_info(copy), complete=True)
    assert (copy / "README.new.md").is_file()
