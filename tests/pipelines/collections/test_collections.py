"""Collections: all sets of the paper's table 3, or of a TOML file, made with one command."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bapps_gen.cli import collection as command
from bapps_gen.cli import main
from bapps_gen.cnn_distorters.zoo import distorter_path
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.collection import open_collection
from bapps_gen.manifests.dataset import open_dataset, shard_path
from bapps_gen.pipelines.collections import make as collection_module
from bapps_gen.pipelines.collections.plan import plan_collection
from bapps_gen.pipelines.collections.spec import CollectionSpec, SetEntry, SourceEntry
from bapps_gen.pipelines.collections.toml import BAPPS, preset_spec, read_collection
from bapps_gen.pipelines.datasets.kinds import KINDS
from bapps_gen.pipelines.datasets.request import OPTIONS
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.seeding import named_seed
from bapps_gen.storage import space
from support.collections import small_collection
from support.datasets import contents, make, one_line, photo, save_photo
from support.killing import run_until_killed
from support.real_outputs import save_task

COUNTS = {  # at --scale 0.001, with outputs for superres alone
    "2afc/train/traditional": 57,
    "2afc/train/cnn": 38,
    "2afc/train/mix": 57,
    "2afc/val/traditional": 5,
    "2afc/val/cnn": 5,
    "2afc/val/superres": 11,
    "jnd/val/traditional": 5,
    "jnd/val/cnn": 5,
}
LEFT_OUT = {"2afc/val/frameinterp", "2afc/val/deblur", "2afc/val/color"}
SMALL = small_collection(train_rows=40)


@pytest.fixture(scope="module")
def val_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three photos that are not among `photos`; do not change it."""
    folder = tmp_path_factory.mktemp("val")
    for seed in range(50, 53):
        save_photo(folder / f"photo{seed}.png", photo(seed))
    return folder


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ground truth and outputs of two algorithms; do not change it."""
    return save_task(tmp_path_factory.mktemp("task"), 2)


@pytest.fixture(scope="module")
def preset(
    photos: Path, val_photos: Path, zoo: Path, task: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The preset at a thousandth; do not change it."""
    out = tmp_path_factory.mktemp("collections") / "bapps"
    real = f"superres:reference={task / 'gt'},invert={task / 'invert'},swap={task / 'swap'}"
    options = ("--preset", "bapps", "--scale", "0.001", "--zoo", zoo, "--real", real)
    assert run(out, photos, val_photos, *options) == 0
    return out


@pytest.fixture(scope="module")
def small_made(photos: Path, val_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection of SMALL; do not change it."""
    folder = tmp_path_factory.mktemp("collections")
    toml = described(folder, SMALL)
    assert run(folder / "small", photos, val_photos, "--spec", toml) == 0
    return folder / "small"


@pytest.fixture
def small(small_made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed; its TOML file lies beside."""
    shutil.copytree(small_made, tmp_path / "small")
    described(tmp_path, SMALL)
    return tmp_path / "small"


def described(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def run(out: Path, train: Path | None, val: Path | None, *options: object) -> int:
    """Run `bapps-gen collection` in this process."""
    given = {"--train": train, "--val": val}
    photos = [str(word) for pair in given.items() if pair[1] for word in pair]
    words = map(str, options)
    return main(["collection", "--quiet", "--workers", "1", "--out", str(out), *photos, *words])


def states(out: Path) -> dict[str, str]:
    """The state of every set as `collection.json` has it."""
    return {record.path: record.state for record in open_collection(out).info.sets}


def card_of(out: Path, name: str = "README.md") -> tuple[dict, str]:
    """The YAML and the text of a data card."""
    import yaml

    _, front, text = (out / name).read_text().split("---\n", 2)
    return yaml.safe_load(front), text


# The spec


def test_the_preset_is_table_3_of_the_paper():
    assert {path: rows for path, _, rows in BAPPS} == {
        "2afc/train/traditional": 56_600,
        "2afc/train/cnn": 38_100,
        "2afc/train/mix": 56_600,
        "2afc/val/traditional": 4_700,
        "2afc/val/cnn": 4_700,
        "2afc/val/superres": 10_900,
        "2afc/val/frameinterp": 1_900,
        "2afc/val/deblur": 9_400,
        "2afc/val/color": 4_700,
        "jnd/val/traditional": 4_800,
        "jnd/val/cnn": 4_800,
    }
    spec = preset_spec("bapps")
    assert {path for path, _ in spec.left_out} == {*LEFT_OUT, "2afc/val/superres"}
    assert [entry.path for entry in spec.sets] == [
        p for p, *_ in BAPPS if "val/" not in p or p.endswith(("traditional", "cnn"))
    ]


def test_counts_are_scaled_halves_up_and_never_to_nothing():
    entry = SetEntry("2afc/train/a", "traditional", 50)
    spec = CollectionSpec(
        name="mine", seed=0, sets=(entry, replace(entry, path="2afc/train/b", rows=1))
    )
    for factor, counts in (
        (1, (50, 1)),
        (0.01, (1, 1)),
        (0.05, (3, 1)),
        (0.03, (2, 1)),
        (3, (150, 3)),
    ):
        assert tuple(entry.rows for entry in spec.scaled(factor).sets) == counts
    for factor in (0, -1, 1e9, float("nan")):
        with pytest.raises(UserError, match="scale = "):
            spec.scaled(factor)


def test_a_sets_seed_follows_from_the_collections_seed_and_its_path_alone():
    one, two = SetEntry("2afc/train/a", "traditional", 5), SetEntry("2afc/val/a", "cnn", 7)
    spec = CollectionSpec(name="mine", seed=3, sets=(one, two))
    other = CollectionSpec(name="yours", seed=3, sets=(two, replace(one, kind="cnn", rows=1)))
    assert spec.seed_of(one) == other.seed_of(one) == named_seed(3, "2afc/train/a")
    seeds = {spec.seed_of(one), spec.seed_of(two), replace(spec, seed=4).seed_of(one)}
    assert len(seeds) == 3
    assert spec.seed_of(replace(one, seed=11)) == 11
    assert named_seed(0, "2afc/train/traditional") == 8832284235094752799  # of what is published


def test_the_digest_follows_what_rows_depend_on_and_no_places(tmp_path):
    spec = preset_spec("bapps")
    (first, *others) = spec.sets
    moved = {"shard_size": 10, "plugins": ["elsewhere.py"]}
    assert replace(spec, sets=(replace(first, options=moved), *others)).digest == spec.digest
    for changed in (
        replace(spec, seed=1),
        replace(spec, sets=tuple(others)),
        replace(spec, sets=(replace(first, rows=1), *others)),
        replace(spec, sets=(replace(first, options={"atoms": ["jpeg"]}), *others)),
    ):
        assert changed.digest != spec.digest


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (
            ("traditional",),
            ["2afc/train/traditional", "2afc/val/traditional", "jnd/val/traditional"],
        ),
        (("jnd",), ["jnd/val/traditional", "jnd/val/cnn"]),
        (("2afc/val", "mix"), ["2afc/train/mix", "2afc/val/traditional", "2afc/val/cnn"]),
        (("2afc/train/cnn",), ["2afc/train/cnn"]),
    ],
)
def test_sets_are_chosen_by_any_part_of_their_path(names, paths):
    assert [entry.path for entry in preset_spec("bapps").chosen(names)] == paths


def test_an_unknown_choice_names_the_nearest_and_one_left_out_says_why():
    with pytest.raises(UserError, match="did you mean 'traditional'"):
        preset_spec("bapps").chosen(("tradtional",))
    with pytest.raises(UserError, match=r"'superres' is left out of the collection: .*--real"):
        preset_spec("bapps").chosen(("superres",))
    with pytest.raises(UserError, match="did you mean 'bapps'"):
        preset_spec("baps")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_takes_its_options_and_no_others(name):
    kind = KINDS[name]
    assert set(kind.options) <= set(OPTIONS)
    for option in set(OPTIONS) - set(kind.options):
        with pytest.raises(UserError, match=f"unknown option of kind '{name}'"):
            SetEntry(f"{kind.task}/val/a", name, 5, options={option: 1})
    for option in kind.options:  # nothing takes a table of numbers
        with pytest.raises(UserError, match=f"set '{kind.task}/val/a': {option} = "):
            SetEntry(f"{kind.task}/val/a", name, 5, options={option: {"a": 1}})


ENTRY = '[[set]]\npath = "2afc/train/a"\nkind = "traditional"\nrows = 5\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows = [", "is not valid TOML"),
        ("", "has no set"),
        ("[[sets]]", "unknown key 'sets'; did you mean 'set'"),
        ("set = 1", "write [[set]]"),
        ("seed = true\n" + ENTRY, "seed = True"),
        ("seed = -1\n" + ENTRY, "seed = -1"),
        ('name = "a b"\n' + ENTRY, "name of the collection = 'a b'"),
        ("name = 1\n" + ENTRY, "name = 1"),
        (ENTRY.replace("rows = 5", ""), "set 1 has no rows"),
        (ENTRY.replace("5", "0"), "rows = 0"),
        (ENTRY.replace("5", "2.5"), "rows = 2.5"),
        (ENTRY.replace("5", '"5"'), "rows = '5'"),
        (ENTRY + "famlies = []", "unknown key of set 1: 'famlies'; did you mean 'families'"),
        (ENTRY + 'families = "noise"', "families = 'noise' is not allowed: it must be a list"),
        (ENTRY + "sequences = 0.5", "unknown option of kind 'traditional'"),
        (ENTRY + "severity = [0.1]", "severity = [0.1]"),
        (ENTRY + 'reference = "gt"', "unknown option of kind 'traditional'"),
        (ENTRY.replace("traditional", "tradtional"), "did you mean 'traditional'"),
        (ENTRY.replace('"traditional"', '"jnd-cnn"'), "belongs to jnd"),
        (ENTRY.replace("2afc/train/a", "2afc/a"), "path of a set = '2afc/a'"),
        (ENTRY.replace("2afc/train/a", "2afc/train/../a"), "path of a set"),
        (ENTRY.replace("2afc/train/a", "2afc/train/.a"), "path of a set"),
        (ENTRY.replace("2afc/", "2acf/"), "did you mean '2afc'"),
        (ENTRY.replace("/train/", "/trian/"), "did you mean 'train'"),
        (ENTRY + ENTRY, "two sets at '2afc/train/a'"),
        (ENTRY + ENTRY.replace("/a", "/A"), "two sets at"),
        ("[defaults]\nshardsize = 5\n" + ENTRY, "did you mean 'shard_size'"),
        ("[defaults]\nshard_size = 1.5\n" + ENTRY, "shard_size = 1.5"),
        ("[source]\ntrain = 1\n" + ENTRY, "source 'train' = 1"),
        ("[source]\ntrain = []\n" + ENTRY, "no path"),
        ('[source.train]\npath = "a"\n' + ENTRY, "did you mean 'paths'"),
        ('[source.train]\npaths = "a"\nsplit = "dev"\n' + ENTRY, "unknown split 'dev'"),
        ('[source.train]\npaths = "a"\nval_fraction = 1.5\n' + ENTRY, "val-fraction = 1.5"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_that_names_the_file(tmp_path, capsys, text, words):
    path = described(tmp_path, text)
    assert run(tmp_path / "out", tmp_path, tmp_path, "--spec", path) == 2
    said = one_line(capsys)
    assert str(path) in said
    assert words in said
    assert not (tmp_path / "out").exists()


def test_a_file_says_all_that_the_commands_options_can_and_paths_are_relative_to_it(tmp_path):
    text = """
    name = "mine"
    seed = 5
    [source]
    train = ["a", "/b"]
    [source.val]
    paths = "c"
    split = "val"
    val_fraction = 0.25
    [defaults]
    zoo = "zoo"
    shard_size = 7
    [[set]]
    path = "2afc/train/own"
    kind = "traditional"
    rows = 3
    plugins = ["mine.py", "entry_point"]
    shard_size = 9
    [[set]]
    path = "2afc/val/superres"
    kind = "superres"
    rows = 2
    reference = "gt"
    outputs = { one = "x", two = "s3://bucket/y" }
    [[set]]
    path = "jnd/test/cnn"
    kind = "jnd-cnn"
    rows = 4
    source = "val"
    seed = 8
    distorters = ["001-003"]
    """
    spec = read_collection(described(tmp_path, text))
    assert (spec.name, spec.seed) == ("mine", 5)
    assert spec.sources["train"] == SourceEntry((str(tmp_path / "a"), "/b"))
    assert spec.sources["val"] == SourceEntry((str(tmp_path / "c"),), "val", 0.25)
    own, superres, cnn = spec.sets
    request = own.request(0)
    assert request.plugins == (str(tmp_path / "mine.py"), "entry_point")
    assert request.shard_size == 9
    request = superres.request(0)
    assert request.reference == str(tmp_path / "gt")
    assert request.outputs == (("one", str(tmp_path / "x")), ("two", "s3://bucket/y"))
    request = cnn.request(8)
    assert request.zoo == tmp_path / "zoo"
    assert (cnn.source_name, cnn.seed, request.shard_size) == ("val", 8, 7)


# What is made


def test_every_set_has_its_kind_its_count_and_its_place(preset):
    collection = open_collection(preset)
    assert {record.path: record.rows for record in collection.info.sets} == COUNTS
    assert set(collection.info.left_out) == LEFT_OUT
    for record in collection.info.sets:
        dataset = open_dataset(preset / record.path)
        assert dataset.info.rows == len(contents(preset / record.path)) == COUNTS[record.path]
        assert dataset.info.kind == record.kind
        assert dataset.info.spec["seed"] == named_seed(0, record.path) == record.seed
        assert record.state == "complete"
    assert open_dataset(preset / "jnd/val/cnn").info.unit == "pairs"
    assert {path.name for path in preset.iterdir()} == {
        *("2afc", "jnd", "README.md", "collection.json", ".lock")
    }


def test_a_set_is_the_one_that_its_own_command_makes(preset, photos, tmp_path):
    path = "2afc/train/traditional"
    assert make(photos, tmp_path / "set", COUNTS[path], "--seed", str(named_seed(0, path))) == 0
    assert contents(tmp_path / "set") == contents(preset / path)


def test_another_set_more_or_less_changes_none(small_made, photos, val_photos, tmp_path):
    text = 'name = "small"' + "[[set]]".join(["\n", *reversed(SMALL.split("[[set]]")[2:])])
    assert run(tmp_path / "out", photos, val_photos, "--spec", described(tmp_path, text)) == 0
    for path in ("2afc/val/jpegs", "jnd/val/noise"):
        assert contents(tmp_path / "out" / path) == contents(small_made / path)
    assert not (tmp_path / "out/2afc/train").exists()


def test_options_of_a_set_are_heeded(small_made):
    names = {row["distortion1"] for row in contents(small_made / "2afc/val/jpegs")}
    assert names == {"jpeg"}
    assert open_dataset(small_made / "2afc/val/jpegs").info.spec["severity"] == [0.5, 1.0]


def test_one_folder_of_photos_is_parted_by_content_and_read_once(tmp_path, photos, monkeypatch):
    opened = []

    def opener(roots, quiet):
        opened.append(roots)
        return open_source(roots)

    monkeypatch.setattr(command, "open_source_with_bar", opener)
    toml = described(tmp_path, SMALL)
    options = ("--source", photos, "--val-fraction", "0.5", "--spec", toml)
    assert run(tmp_path / "out", None, None, *options) == 0
    assert opened == [[str(photos)]]
    train, val, pairs = (
        {sha256 for _, sha256 in open_dataset(tmp_path / "out" / path).info.source_images}
        for path in ("2afc/train/noise", "2afc/val/jpegs", "jnd/val/noise")
    )
    assert val == pairs
    assert not train & val
    assert len(train | val) == 6


def test_photos_that_are_not_given_are_asked_for(tmp_path, photos, capsys):
    toml = described(tmp_path, SMALL)
    assert run(tmp_path / "out", photos, None, "--spec", toml) == 2
    assert "'2afc/val/jpegs' needs photos; give --val PHOTOS, or --source" in one_line(capsys)
    assert run(tmp_path / "out", photos, photos, "--source", photos, "--spec", toml) == 2
    assert "source goes without train" in one_line(capsys)
    assert run(tmp_path / "out", photos, None, "--spec", toml, "--only", "train") == 0
    assert states(tmp_path / "out")["2afc/val/jpegs"] == "not made"


def test_a_photo_in_train_and_val_is_an_error_unless_it_is_allowed(
    tmp_path, photos, val_photos, capsys
):
    toml, out = described(tmp_path, SMALL), tmp_path / "out"
    shutil.copytree(val_photos, tmp_path / "val")
    shutil.copy(photos / "photo1.png", tmp_path / "val" / "another name.png")
    assert run(out, photos, tmp_path / "val", "--spec", toml) == 2
    assert "1 photo is both in train and in another split" in one_line(capsys)
    assert not out.exists()
    # also when the two are made one after the other
    assert run(out, photos, None, "--spec", toml, "--only", "train") == 0
    assert run(out, None, tmp_path / "val", "--spec", toml, "--only", "val") == 2
    assert "1 photo is" in one_line(capsys)
    options = ("--spec", toml, "--only", "val", "--allow-shared-photos")
    assert run(out, None, tmp_path / "val", *options) == 0
    assert "warning: 1 photo is" in one_line(capsys)
    assert (
        "**Photos both in train and in another split**, byte for byte the same: 1."
        in card_of(out)[1]
    )


# What the datasets library makes of it


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The datasets library, offline and with a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    cache = str(tmp_path / "cache")

    def load(folder: Path, *arguments: str) -> dict:
        return datasets.load_dataset(str(folder), *arguments, cache_dir=cache)

    yield SimpleNamespace(load=load, names=lambda f: datasets.get_dataset_config_names(str(f)))
    datasets.enable_progress_bars()


def test_the_datasets_library_finds_every_configuration_split_and_count(preset, library):
    expected: dict[str, dict[str, int]] = {}
    for path, rows in COUNTS.items():
        task, split, name = path.split("/")
        for config in (task, f"{task}-{name}"):
            splits = expected.setdefault(config, {})
            splits[split] = splits.get(split, 0) + rows
    assert set(library.names(preset)) == set(expected)
    for config, splits in expected.items():
        loaded = library.load(preset, config)
        assert {split: len(rows) for split, rows in loaded.items()} == splits
    default = library.load(preset)
    assert {split: len(rows) for split, rows in default.items()} == expected["2afc"]
    row = library.load(preset, "jnd-cnn")["val"][3]
    assert (row["ref"].size, row["same"]) == ((64, 64), None)
    assert "p1" not in row


def photos_of(small):
    """Where the train and val photos of a collection were."""
    sets = (small / "2afc/train/noise", small / "2afc/val/jpegs")
    return [open_dataset(folder).info.origin.roots[0] for folder in sets]


def test_the_datasets_library_itself_notices_a_missing_shard(small, library):
    from datasets.exceptions import NonMatchingSplitsSizesError

    toml = small.parent / "small.toml"
    text = toml.read_text().replace("rows = 40", "rows = 40\nshard_size = 15")
    photos = photos_of(small)
    shutil.rmtree(small / "2afc/train")
    toml.write_text(text)
    assert run(small, *photos, "--spec", toml) == 0
    assert len(library.load(small)["train"]) == 40
    shard_path(small / "2afc/train/noise", 1).unlink()
    with pytest.raises(NonMatchingSplitsSizesError):
        library.load(small, "2afc-noise")


def test_the_data_card_has_what_the_hub_reads_and_what_people_ask(preset):
    front, text = card_of(preset)
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["default"] is True
    assert [config.get("default") for config in front["configs"][1:]] == [None] * 7
    counts = {entry["config_name"]: entry["splits"] for entry in front["dataset_info"]}
    assert counts["2afc-mix"][0]["num_examples"] == 57
    for path in (*COUNTS, *LEFT_OUT):
        assert f"`{path}`" in text
    info = open_collection(preset).info
    for record in info.sets:
        assert record.spec_digest in text
        assert str(record.seed) in text
    assert "bapps-gen collection --preset bapps --scale 0.001" in text
    assert "20 distortions and 308 compositions" in text
    assert "5 CNN distorters" in text
    assert "outputs of invert, swap" in text
    assert "zhang2018perceptual" in text
    assert "left out: no ground truth" in text
    assert "No photo is both in train and in another split" in text


# Going on


def test_a_larger_scale_adds_rows_and_a_smaller_one_is_refused(small, photos, val_photos, capsys):
    toml = small.parent / "small.toml"
    before = contents(small / "2afc/val/jpegs")
    assert run(small, photos, val_photos, "--spec", toml, "--scale", "2", "--only", "jpegs") == 0
    after = contents(small / "2afc/val/jpegs")
    assert len(after) == 16
    assert after[:8] == before
    assert card_of(small)[0]["dataset_info"][0]["splits"][1]["num_examples"] == 16
    assert states(small) == dict.fromkeys(states(small), "complete")
    capsys.readouterr()
    assert run(small, photos, val_photos, "--spec", toml, "--scale", "0.5") == 2
    assert "40 rows, more than the 20 asked for; repeat the --scale" in one_line(capsys)


def test_ctrl_c_keeps_what_is_there_and_the_next_run_goes_on(
    tmp_path, photos, val_photos, small_made, monkeypatch, capsys
):
    toml, out = described(tmp_path, SMALL), tmp_path / "out"
    real, calls = collection_module.generate, []

    def interrupted(folder, *arguments, **options):
        calls.append(folder)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(folder, *arguments, **options)

    monkeypatch.setattr(collection_module, "generate", interrupted)
    assert run(out, photos, val_photos, "--spec", toml) == 130
    assert f"whole shards are kept in {out}; run the same command" in capsys.readouterr().err
    assert list(states(out).values()) == ["complete", "not made", "not made"]
    front, text = card_of(out)
    assert [config["config_name"] for config in front["configs"]] == ["2afc", "2afc-noise"]
    assert "`jnd/val/noise`: not made" in text
    monkeypatch.undo()
    assert run(out, photos, val_photos, "--spec", toml) == 0
    for path in states(out):
        assert contents(out / path) == contents(small_made / path)


def test_a_killed_run_promises_nothing_of_the_set_that_was_being_filled(
    tmp_path, photos, val_photos
):
    toml, out = described(tmp_path, SMALL), tmp_path / "out"
    words = ["collection", "--out", out, "--train", photos, "--val", val_photos, "--spec", toml]
    words += ["--workers", 1, "--shard-size", 10, "--quiet"]
    assert run_until_killed([str(word) for word in words], 6, before=False) is None
    assert 0 < len(list((out / "2afc/train/noise/data").glob("*.parquet"))) < 4
    assert "dataset_info" not in card_of(out)[0]


# What fails


def test_a_damaged_zoo_stops_no_set_without_it(tmp_path, photos, val_photos, zoo, capsys):
    broken, out = tmp_path / "zoo", tmp_path / "out"
    shutil.copytree(zoo, broken)
    path = distorter_path(broken, "002")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    options = ("--scale", "0.0005", "--zoo", broken)
    assert run(out, photos, val_photos, *options) == 1
    warning, error = capsys.readouterr().err.splitlines()
    for line, words in ((warning, "cannot be made"), (error, "not finished")):
        assert f"2afc/train/cnn, 2afc/train/mix, 2afc/val/cnn, jnd/val/cnn {words}: {path}" in line
    made = {path for path, state in states(out).items() if state == "complete"}
    assert made == {"2afc/train/traditional", "2afc/val/traditional", "jnd/val/traditional"}
    front, text = card_of(out)
    assert {c["config_name"] for c in front["configs"]} >= {"2afc-traditional", "jnd-traditional"}
    assert f"`2afc/train/mix`: failed: {path.name}" in text
    path.write_bytes(whole)
    assert run(out, photos, val_photos, *options) == 0
    assert set(states(out).values()) == {"complete"}
    assert "failed" not in card_of(out)[1]


def test_a_set_that_fails_in_the_making_stops_no_other(
    tmp_path, photos, val_photos, monkeypatch, capsys
):
    real = collection_module.generate

    def failing(folder, *arguments, **options):
        if folder.name == "noise" and folder.parent.name == "train":
            raise WorkError("the disk is full of\nwater")
        return real(folder, *arguments, **options)

    monkeypatch.setattr(collection_module, "generate", failing)
    toml, out = described(tmp_path, SMALL), tmp_path / "out"
    assert run(out, photos, val_photos, "--spec", toml) == 1
    assert "error: 2afc/train/noise not finished: the disk is full of water" in one_line(capsys)
    failed, *others = states(out).values()
    assert failed == "failed: the disk is full of water"
    assert others == ["complete", "complete"]


def test_a_missing_folder_of_outputs_stops_no_other_set(tmp_path, photos, val_photos, task, capsys):
    real = f"superres:reference={task / 'gt'},invert={task / 'invert'},gone={task / 'gone'}"
    options = ("--scale", "0.0002", "--only", "val/traditional,superres,2afc/val/traditional")
    assert run(tmp_path / "out", photos, val_photos, *options, "--real", real) == 2
    assert "unknown set 'val/traditional'" in one_line(capsys)
    options = ("--scale", "0.0002", "--only", "superres,2afc/val/traditional", "--real", real)
    assert run(tmp_path / "out", photos, val_photos, *options) == 1
    assert "gone' does not exist" in capsys.readouterr().err
    assert states(tmp_path / "out")["2afc/val/traditional"] == "complete"
    assert states(tmp_path / "out")["2afc/val/superres"].startswith("failed: source")


def test_where_nothing_can_be_made_nothing_is_written(tmp_path, photos, val_photos, capsys):
    nowhere = tmp_path / "no zoo"
    options = ("--scale", "0.001", "--zoo", nowhere, "--only", "cnn,mix")
    assert run(tmp_path / "out", photos, val_photos, *options) == 1
    assert f"no zoo in {nowhere}" in one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("real", "words"),
    [
        ("superres", "not of the form SET:reference=DIR"),
        ("superres:reference", "not of the form"),
        ("superres:a=b,c=d", "has no reference=DIR"),
        ("superres:reference=a,b=c,b=d", "names something twice"),
        ("supres:reference=a,b=c,d=e", "did you mean 'superres'"),
    ],
)
def test_wrong_real_sets_are_one_line_each(tmp_path, photos, val_photos, capsys, real, words):
    assert run(tmp_path / "out", photos, val_photos, "--real", real) == 2
    assert words in one_line(capsys)


def test_a_demo_is_made_beside_the_collection(tmp_path, photos, val_photos, capsys):
    text = '[[set]]\npath = "2afc/val/color"\nkind = "color"\nrows = 6\ndemo = true\n'
    toml = described(tmp_path, text + "demo_images = 2\n")
    assert run(tmp_path / "out", photos, val_photos, "--spec", toml, "--dry-run") == 0
    assert not (tmp_path / "out-demo").exists()
    assert run(tmp_path / "out", photos, val_photos, "--spec", toml) == 0
    assert len(contents(tmp_path / "out/2afc/val/color")) == 6
    assert (tmp_path / "out-demo/2afc/val/color/reference").is_dir()
    assert "a demo: outputs of" in card_of(tmp_path / "out")[1]
    assert run(tmp_path / "out", photos, val_photos, "--spec", toml) == 0
    for wrong in ('reference = "a"', "demo_images = 0"):
        toml.write_text(text + wrong)
        assert run(tmp_path / "other", photos, val_photos, "--spec", toml) == 1
    toml.write_text(text.replace("demo = true", "demo_images = 3"))
    assert run(tmp_path / "other", photos, val_photos, "--spec", toml) == 1
    lines = capsys.readouterr().err.splitlines()
    assert ["leave out reference" in lines[0], "demo-images = 0" in lines[1]] == [True, True]
    assert "demo-images is for demos" in lines[2]


# The folder


def test_a_folder_of_something_else_is_refused(tmp_path, small, photos, val_photos, capsys):
    toml = small.parent / "small.toml"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file.txt").touch()
    (tmp_path / "file").touch()
    for out, options, words in (
        (tmp_path / "other", (), "holds files but no collection.json"),
        (small / "2afc/val/jpegs", (), "is a single dataset"),
        (small, ("--seed", "1"), "it differs in seed = 0, not 1"),
        (tmp_path / "file", (), "is a file"),
    ):
        assert run(out, photos, val_photos, "--spec", toml, *options) == 2
        assert words in one_line(capsys)
    assert run(small, photos, val_photos, "--preset", "bapps") == 2
    assert "it differs in name = small, not bapps" in one_line(capsys)
    assert run(small, val_photos, photos, "--spec", toml) == 2
    assert "another spec (it differs in images = 6, not 3; source_digest)" in one_line(capsys)
    toml.write_text(SMALL.replace('["noise"]', '["blur"]'))
    assert run(small, photos, val_photos, "--spec", toml) == 2
    assert "another spec (it differs in choices; singles; versions)" in one_line(capsys)
    (small / "collection.json").write_text("{")
    assert run(small, photos, val_photos, "--spec", toml) == 1
    assert "collection.json is damaged" in one_line(capsys)


def test_a_card_edited_by_hand_is_never_written_over(small, photos, val_photos, capsys):
    toml, card = small.parent / "small.toml", small / "README.md"
    edited = card.read_text().replace("# small", "# My own title")
    card.write_text(edited)
    assert run(small, photos, val_photos, "--spec", toml, "--scale", "1.5") == 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert "README.md was edited by hand" in said
    assert "README.new.md" in said
    assert card.read_text() == edited
    assert card_of(small, "README.new.md")[0]["dataset_info"][0]["splits"][0]["num_examples"] == 60
    card.unlink()
    assert run(small, photos, val_photos, "--spec", toml, "--scale", "1.5") == 0
    assert card.read_text() == (small / "README.new.md").read_text()


def test_an_empty_repository_with_a_card_of_its_own_may_be_filled(tmp_path, photos, val_photos):
    out = tmp_path / "repository"
    out.mkdir()
    for name in ("README.md", ".gitattributes"):
        (out / name).write_text("mine")
    toml = described(tmp_path, SMALL)
    assert run(out, photos, val_photos, "--spec", toml, "--only", "jpegs") == 0
    assert (out / "README.md").read_text() == "mine"
    assert (out / "README.new.md").exists()


def test_a_dry_run_tells_all_and_writes_nothing(tmp_path, photos, val_photos, capsys):
    out = tmp_path / "out"
    options = ("--scale", "0.01", "--zoo", tmp_path / "none", "--dry-run")
    assert run(out, photos, val_photos, *options) == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    row = next(line for line in lines if line.startswith("2afc/train/traditional"))
    assert row.split() == [
        *("2afc/train/traditional", "traditional", "train:", "6", "566", "0", "14.7", "MB"),
        *("can", "be", "made"),
    ]
    assert sum("cannot be made" in line for line in lines) == 4
    assert any("left out: 2afc/val/superres, 2afc/val/frameinterp" in line for line in lines)
    assert "no zoo in" in told.err
    assert not out.exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(
    tmp_path, photos, val_photos, monkeypatch, caplog
):
    spec = replace(
        preset_spec("bapps"),
        sources={"train": SourceEntry((str(photos),)), "val": SourceEntry((str(val_photos),))},
    )
    only = ("2afc/train/traditional",)
    need = plan_collection(spec, tmp_path / "out", only).missing_bytes
    assert need == pytest.approx(56_600 * 26_000, rel=0.01)

    def disk(free: float) -> None:
        usage = SimpleNamespace(free=int(free))
        monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage)

    disk(0.5 * need)
    with pytest.raises(UserError, match=r"about 1.5 GB are needed and 735.8 MB are free"):
        plan_collection(spec, tmp_path / "out", only)
    disk(0.9 * need)
    logging.getLogger("bapps_gen").propagate = True
    plan_collection(spec, tmp_path / "out", only)
    assert "may not fit" in caplog.text


def test_the_estimate_of_bytes_is_about_right(preset):
    records = open_collection(preset).info.sets
    for kind, bytes_a_row in (("traditional", 26_000), ("jnd-traditional", 17_300)):
        record = next(record for record in records if record.kind == kind)
        # these photos are noisier than most, which costs more
        assert 0.7 * bytes_a_row < record.bytes / record.rows < 2 * bytes_a_row


# Other commands on a collection


def test_info_tells_the_sets_as_they_are_now(small, capsys):
    shard_path(small / "2afc/val/jpegs", 0).unlink()
    assert main(["info", str(small)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small: seed 0, scale 1")
    assert [line.split()[-1] for line in lines[2:5]] == ["complete", "made", "complete"]
    assert main(["info", str(small), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["made"] for entry in found["sets"]] == [40, 0, 6]


def test_verify_goes_over_all_sets_and_reads_photos_once(preset, capsys, monkeypatch):
    from bapps_gen.pipelines.sources import source as sources

    opened = []
    real = sources.open_source

    def counted(roots, **options):
        opened.append(tuple(roots))
        return real(roots, **options)

    monkeypatch.setattr(sources, "open_source", counted)
    assert main(["verify", str(preset), "--workers", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 8
    assert all("every pixel made again" in line for line in told)
    assert len(opened) == 2 + 3  # train, val; ground truth and two outputs


def test_verify_tells_what_differs_in_whatever_set(small, capsys):
    path = shard_path(small / "2afc/val/jpegs", 0)
    path.write_bytes(path.read_bytes().replace(b"jpeg", b"blue", 1)[:-1])
    assert main(["verify", str(small), "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert "jpegs/data/part-00000.parquet is damaged" in told
    assert "jnd/val/noise: 6 rows are as planned" in told
    assert main(["verify", str(small), "--outputs", "a=b"]) == 2


def test_a_collection_becomes_the_original_layout(small, tmp_path):
    out = tmp_path / "out"
    assert main(["export", str(small), "--quiet", "--format", "bapps", "--out", str(out)]) == 0
    for record, dataset in open_collection(small).datasets():
        assert len(list((out / record.path / "p0").iterdir())) == dataset.info.rows
        assert len((out / record.path / "manifest.csv").read_text().splitlines()) == (
            1 + dataset.info.rows
        )


def test_an_incomplete_set_of_a_collection_is_named_before_anything_is_written(small, capsys):
    out = small.parent / "out"
    record, _ = open_collection(small).datasets()[-1]
    next((small / record.path / "data").iterdir()).unlink()
    assert main(["export", str(small), "--quiet", "--format", "bapps", "--out", str(out)]) == 1
    assert record.path in capsys.readouterr().err
    assert not out.exists()


def test_the_split_of_one_set_is_no_option_for_a_collection(small, capsys):
    options = ("--format", "bapps", "--split", "val", "--out", str(small.parent / "out"))
    assert main(["export", str(small), *options]) == 2
    assert "split and name are for one set" in capsys.readouterr().err


def test_a_collection_of_recipes_is_made_again_from_the_photos(small, photos, val_photos, tmp_path):
    recipes, again = tmp_path / "recipes", tmp_path / "again"
    export = ("export", str(small), "--quiet", "--format", "recipe")
    assert main([*export, "--out", str(recipes)]) == 0
    where = ("--source", str(photos), "--source", str(val_photos))
    replay = ("replay", str(recipes), "--quiet", "--workers", "1", *where, "--out", str(again))
    assert main([*replay]) == 0
    shards = sorted(path.relative_to(small) for path in small.rglob("data/*.parquet"))
    assert len(shards) == 3
    for shard in shards:
        assert (again / shard).read_bytes() == (small / shard).read_bytes()
    assert set(states(again).values()) == {"complete"}
    assert card_of(again)[0]["dataset_info"] == card_of(small)[0]["dataset_info"]
    (again / shards[0]).unlink()
    assert main([*replay]) == 0
    assert (again / shards[0]).read_bytes() == (small / shards[0]).read_bytes()


def test_show_draws_rows_of_every_set(small, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["show", str(small), "-o", str(sheet), "--count", "7"]) == 0
    assert "rows of 3 sets" in capsys.readouterr().out
    assert sheet.stat().st_size > 0
    assert main(["show", str(small), "-o", str(sheet), "--count", "2"]) == 0
    assert main(["show", str(small), "-o", str(sheet), "--rows", "1"]) == 2
    assert "one set" in capsys.readouterr().err


def test_score_scores_every_set(small):
    assert main(["score", str(small), "--metric", "l2", "--workers", "1", "--quiet"]) == 0
    assert len(list(small.glob("*/*/*/scores/l2"))) == 3


def test_a_collection_that_is_opened_as_a_set_names_the_sets_in_it(small_made):
    with pytest.raises(UserError, match=r"one of the sets in it, such as .*2afc/train/noise"):
        open_dataset(small_made)


def validated(folder: Path, *options: object) -> tuple[int, dict, str]:
    report, numbers = folder.parent / "report.html", folder.parent / "report.json"
    words = ("--out", report, "--json", numbers, "--workers", "1", "--quiet", *options)
    code = main(["validate", str(folder), *map(str, words)])
    return code, json.loads(numbers.read_text()), report.read_text()


def test_validate_covers_the_collection_in_one_report(small, capsys):
    code, numbers, page = validated(small, "--extremes", "2")
    assert code == 0
    assert [len(numbers["sets"]), numbers["problems"]] == [3, []]
    assert [entry["rows"] for entry in numbers["sets"]] == [40, 8, 6]
    for path in numbers["states"]:
        assert f'id="{path}"' in page
        assert f'aria-label="histogram of LPIPS in {path}"' in page
    # thresholds are asked of the sets that they fit
    code, numbers, page = validated(small, "--max-near-equal", "1", "--min-coverage", "2")
    assert code == 1
    assert numbers["problems"] == ["2afc/val/jpegs: 1 distortions occur, fewer than 2"]
    assert "Requirements not met" in page
    capsys.readouterr()


def test_a_collection_that_is_not_whole_is_not_valid(small, capsys):
    toml = small.parent / "small.toml"
    text = SMALL.replace("rows = 8", "rows = 8\nshard_size = 3")
    photos = photos_of(small)
    shutil.rmtree(small / "2afc/val")
    toml.write_text(text)
    assert run(small, *photos, "--spec", toml) == 0
    shard_path(small / "2afc/val/jpegs", 1).unlink()
    code, numbers, _ = validated(small)
    assert code == 1
    assert numbers["states"]["2afc/val/jpegs"] == "incomplete"
    assert len(numbers["sets"]) == 2
    assert "part-00001.parquet is missing" in numbers["problems"][0]


def test_a_collection_is_compared_with_another_set_by_set(small, small_made, preset, capsys):
    code, numbers, _ = validated(small, "--against", small_made, "--max-ks", "0.001")
    assert code == 0
    assert all(entry["against"]["ks"] == 0 for entry in numbers["sets"])
    words = ["validate", str(small), "--against", str(preset), "--quiet"]
    assert main(words) == 2
    assert "has no set 2afc/train/noise to compare with" in capsys.readouterr().err
    assert np.isfinite(numbers["sets"][0]["distance"]["mean"])


@pytest.mark.slow
def test_the_preset_with_demos_for_all_real_sets(tmp_path, photos, val_photos, zoo, library):
    out = tmp_path / "out"
    options = ("--scale", "0.001", "--zoo", zoo, "--real-demo")
    assert run(out, photos, val_photos, *options) == 0
    assert len(states(out)) == 11
    assert set(states(out).values()) == {"complete"}
    assert {split: len(rows) for split, rows in library.load(out).items()} == {
        "train": 57 + 38 + 57,
        "val": 5 + 5 + 11 + 2 + 9 + 5,
    }
    assert main(["verify", str(out), "--quiet"]) == 0
