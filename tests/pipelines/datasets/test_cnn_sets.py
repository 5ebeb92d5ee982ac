"""Sets with CNN distorters: `cnn`, `mix`, and distorters among the steps of any row."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bapps_gen.cli import main
from bapps_gen.cnn_distorters import rendering
from bapps_gen.cnn_distorters import zoo as zoo_module
from bapps_gen.cnn_distorters.as_distortions import with_zoo
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.zoo import distorter_path, open_zoo
from bapps_gen.distortions.registry import load_registry
from bapps_gen.distortions.steps import parse_step
from bapps_gen.errors import UserError
from bapps_gen.imaging.encode import decode_png, encode_png, pixel_hash
from bapps_gen.imaging.photo import whole_photo
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import iter_triplets
from bapps_gen.manifests.rows import Step, distortion_id
from bapps_gen.pipelines.datasets import zoo as dataset_zoo
from bapps_gen.pipelines.datasets.kinds import KINDS, kind_of
from bapps_gen.pipelines.datasets.runs import shard_runs
from bapps_gen.pipelines.datasets.zoo import recipe_files
from bapps_gen.pipelines.rows.options import CROP_SHARE
from bapps_gen.pipelines.rows.plan import Planner, planning_registry
from bapps_gen.pipelines.rows.render import apply_many, apply_steps, resolve_crop
from bapps_gen.pipelines.rows.spec import TripletSpec, spec_from_values
from bapps_gen.seeding import Streams, generator, seed_of
from support.datasets import (
    contents,
    one_line,
    photo,
    put_values,
    save_photo,
    shard_file,
    values_of,
    verify,
)
from support.plans import check_pure, evenness, plan_row, spec_of
from support.zoos import IDS, SMALL, SPECS, write_zoo

REGISTRY = load_registry()


def make_set(kind: str, zoo: Path, source: Path, out: Path, rows: int, *options: str) -> int:
    """Run `bapps-gen cnn` or `bapps-gen mix` in this process."""
    given = {"--shard-size": "30", "--workers": "1"}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    return main(
        [
            *(kind, "--quiet", "--n", str(rows), "--zoo", str(zoo), "--source", str(source)),
            *("--out", str(out), *(word for pair in given.items() for word in pair)),
        ]
    )


@pytest.fixture(scope="module")
def sets(zoo: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set of 70 triplets of each kind in shards of 30; do not change them."""
    folder = tmp_path_factory.mktemp("sets")
    for kind in ("cnn", "mix"):
        assert make_set(kind, zoo, photos, folder / kind, 70) == 0
    return {kind: folder / kind for kind in ("cnn", "mix")}


@pytest.fixture
def copy(sets: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the mixed set, to be damaged."""
    shutil.copytree(sets["mix"], tmp_path / "set")
    return tmp_path / "set"


# The plan


CNN = spec_of(distorters=96)
MIX = spec_of(REGISTRY.ids, 96, sequences=0.5)


def sides_of(spec: TripletSpec, rows: int) -> list[tuple[str, str]]:
    planner = Planner(spec, planning_registry(spec))
    return [tuple(map(distortion_id, planner.row(row).sides)) for row in range(rows)]


def is_cnn(side: str) -> bool:
    return side.startswith("cnn:") and "+" not in side


def is_sequence(side: str) -> bool:
    return side.startswith("cnn:") and "+" in side


@pytest.mark.parametrize("spec", [CNN, MIX], ids=["cnn", "mix"])
def test_a_plan_is_a_pure_function_that_needs_no_zoo(spec):
    check_pure(spec)


def test_a_cnn_row_has_two_different_distorters_drawn_evenly():
    sides = sides_of(CNN, 9_600)
    for first, second in sides:
        assert is_cnn(first)
        assert is_cnn(second)
        assert first != second
    assert abs(evenness(Counter(side for row in sides for side in row), 96)) < 5
    assert {first < second for first, second in sides} == {True, False}


def test_half_of_the_mixed_rows_set_a_distorter_against_a_traditional_distortion():
    sides = sides_of(MIX, 16_000)
    against = [row for row in sides if not is_sequence(row[0])]
    sequences = [row for row in sides if is_sequence(row[0])]
    assert 0.48 < len(sequences) / len(sides) < 0.52
    for first, second in sequences:
        assert is_sequence(second)
        assert first.split("+")[0] != second.split("+")[0]
    for row in against:
        assert sorted(map(is_cnn, row)) == [False, True]
        assert not any(map(is_sequence, row))
    assert 0.48 < sum(is_cnn(first) for first, _ in against) / len(against) < 0.52
    traditional = Counter(side for row in against for side in row if not is_cnn(side))
    assert abs(evenness(traditional, 328)) < 5
    atoms = Counter(side.split("+")[1] for row in sequences for side in row)
    assert abs(evenness(atoms, 20)) < 5
    distorters = Counter(side.split("+")[0] for row in sides for side in row if side[3] == ":")
    assert abs(evenness(distorters, 96)) < 5


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_share_of_sequences_is_as_asked(share):
    sides = sides_of(replace(MIX, sequences=share), 3000)
    assert sum(is_sequence(row[0]) for row in sides) / 3000 == pytest.approx(share, abs=0.03)


def test_a_mixed_set_draws_from_the_chosen_distortions_alone():
    spec = spec_of(("jpeg", "pink", "jpeg+pink"), 2, sequences=0.5, singles=0.25)
    sides = [side for row in sides_of(spec, 2000) for side in row]
    traditional = Counter(side for side in sides if not side.startswith("cnn:"))
    assert set(traditional) == {"jpeg", "pink", "jpeg+pink"}
    assert 0.7 < traditional["jpeg+pink"] / traditional.total() < 0.8
    assert {side.split("+")[1] for side in sides if is_sequence(side)} == {"jpeg", "pink"}


def test_a_distorters_step_has_a_seed_of_its_own_and_no_severity():
    planner = Planner(MIX, planning_registry(MIX))
    steps = [step for row in range(500) for side in planner.row(row).sides for step in side]
    assert len({step.seed for step in steps}) == len(steps)
    for step in steps:
        if step.distortion.startswith("cnn:"):
            assert (step.params, step.severity) == ((), None)
        else:
            assert step.params
            assert 0.2 <= step.severity <= 1.0


def test_the_digest_follows_the_distorters_and_the_rule():
    pinned = (("000", "another"), *MIX.distorters[1:])
    specs = [CNN, MIX, replace(MIX, sequences=0.4), replace(MIX, distorters=pinned)]
    assert len({spec.digest for spec in specs}) == 4
    for spec in specs:
        assert spec_from_values(json.loads(json.dumps(spec.values()))) == spec


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"distorters": 1}, "number of distorters = 1"),
        ({"choices": ("jpeg",), "distorters": 2}, "sequences is for"),
        ({"distorters": 2, "sequences": 0.5}, "sequences is for"),
        ({"choices": ("jpeg",), "distorters": 2, "sequences": 1.5}, "sequences = 1.5"),
        ({"choices": ("shift+jpeg",), "distorters": 2, "sequences": 0.5}, "no single atom to"),
        ({"distorters": 0}, "no distortion is left"),
        ({"choices": ("jpeg",), "distorters": 0, "sequences": 0.5}, "sequences is for"),
    ],
)
def test_a_bad_spec_is_refused_in_one_line(values, words):
    with pytest.raises(UserError) as caught:
        spec_of(**values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_traditional_spec_is_what_it_was_before_there_were_distorters():
    choices = ("jpeg", "pink")
    versions = (("jpeg", 1), ("pink", 1))
    fixed = {"seed": 3, "images": 7, "source_digest": "x", "crop_share": CROP_SHARE.default}
    spec = TripletSpec(**fixed, choices=choices, versions=versions)
    assert spec.digest == "93d8485546e61c78b39dea14434e62da"
    assert not {"distorters", "sequences", "pairs"} & set(spec.values())
    full = {"distorters": (), "sequences": None, "pairs": False, **spec.values()}
    assert spec_from_values(full) == spec_from_values(spec.values()) == spec


@pytest.mark.parametrize(
    ("spec", "digest", "plans"),
    [
        (spec_of(REGISTRY.ids, 0), "3f69930107cb42bbed19b71e1754f61b", "1e952db9e4e6768f"),
        (CNN, "34d3335965117ca5127987769f2bb73e", "37a4a9a2a6cfea8d"),
        (MIX, "5dad686ae7f0ba36cfacc76af3604acc", "ef3f2963d9a91d7b"),
        (replace(MIX, sequences=0.0), "bbf0417783c915cf08201cdd9ca41580", "3be74872a485dec2"),
    ],
    ids=["traditional", "cnn", "mix", "no sequences"],
)
def test_specs_and_plans_are_what_they_were_before_there_were_pairs(spec, digest, plans):
    assert spec.digest == digest
    assert plans_digest(spec) == plans


def plans_digest(spec: TripletSpec) -> str:
    """Of 300 rows' plans, numbers to nine digits, for the powers in them may end otherwise."""
    planner = Planner(spec, planning_registry(spec))
    found = hashlib.sha256()
    for plan in map(planner.row, range(300)):
        places = [f"{crop.size:.9g} {crop.left:.9g} {crop.top:.9g}" for crop in plan.crops]
        steps = [
            (
                step.distortion,
                [(name, f"{value:.9g}") for name, value in step.params],
                step.seed,
                None if step.severity is None else f"{step.severity:.9g}",
            )
            for side in plan.sides
            for step in (*side, Step("end of the side", 0, (), 0, None))
        ]
        found.update(repr((plan.image, places, steps)).encode())
    return found.hexdigest()[:16]


# Rendering


def patches(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    picture = photo(3, 300, 300)
    return [picture[y : y + 64, x : x + 64].copy() for y, x in rng.integers(0, 236, (count, 2))]


def sequences(count: int) -> list[tuple[Step, ...]]:
    """Up to four steps in any order, of distorters and atoms."""
    rng = np.random.default_rng(1)
    atoms = [parse_step(text, REGISTRY) for text in ("jpeg", "gaussian_white", "shift")]
    made = []
    for _ in range(count):
        steps = []
        for _ in range(rng.integers(0, 5)):
            seed = int(rng.integers(0, 2**63))
            if rng.random() < 0.5:
                steps.append(Step(f"cnn:{rng.choice(IDS)}", 1, (), seed, None))
            else:
                atom = atoms[rng.integers(len(atoms))]
                steps.append(Step(atom.distortion.name, 1, tuple(atom.params.items()), seed, None))
        made.append(tuple(steps))
    return made


def test_pixels_do_not_depend_on_what_is_rendered_together(zoo):
    atoms, streams = with_zoo(REGISTRY, open_zoo(zoo)).atoms, Streams()
    given, steps = patches(60), sequences(60)
    before = [patch.copy() for patch in given]
    one_by_one = [
        apply_steps(patch, some, atoms, streams) for patch, some in zip(given, steps, strict=True)
    ]
    together = apply_many(given, steps, atoms, streams)
    assert np.array_equal(together, one_by_one)
    order = np.random.default_rng(2).permutation(60).tolist()
    for group in (order[:7], order[7:40], order[40:]):
        few = apply_many([given[i] for i in group], [steps[i] for i in group], atoms, streams)
        assert np.array_equal(few, [together[i] for i in group])
    assert np.array_equal(given, before)


def test_a_distorter_is_given_the_seed_of_its_step(zoo):
    opened = open_zoo(zoo)
    atoms = with_zoo(REGISTRY, opened).atoms
    (patch,) = patches(1)
    for name in IDS:
        step = Step(f"cnn:{name}", 1, (), 77, None)
        expected = opened.render(name, patch[None], [77])[0]
        assert np.array_equal(apply_steps(patch, (step,), atoms, Streams()), expected)
        assert np.array_equal(apply_many([patch], [(step,)], atoms, Streams())[0], expected)
        assert np.array_equal(
            parse_step(f"cnn:{name}:seed=77", with_zoo(REGISTRY, opened)).apply(patch), expected
        )


def test_the_seed_of_a_stream_is_read_back_and_of_others_drawn():
    assert seed_of(generator(2**63 - 1)) == 2**63 - 1
    assert seed_of(generator(0)) == 0
    drawn = [seed_of(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_stored_pictures_are_what_the_zoo_renders(sets, zoo):
    opened = open_zoo(zoo)
    for row in contents(sets["cnn"])[::9]:
        reference = decode_png(row["ref"]["bytes"])
        for side in "01":
            (step,) = row[f"steps{side}"]
            name = step["distortion"].removeprefix("cnn:")
            rendered = opened.render(name, reference[None], [step["seed"]])[0]
            assert np.array_equal(rendered, decode_png(row[f"p{side}"]["bytes"]))


def test_a_crop_that_hides_the_difference_gives_way_to_another(tmp_path):
    # With equal weights, an autoencoder and a coloriser of fully grey input are one function on
    # grey patches; the photo is grey but for its right third.
    specs = (
        DistorterSpec("all", "null", seed=1, **SMALL),
        DistorterSpec("gray", "color_removal", 1.0, seed=1, **SMALL),
    )
    zoo = write_zoo(tmp_path / "zoo", specs)
    picture = photo(0, 200, 300)
    picture[:, :200] = picture[:, :200, 1:2]
    source = tmp_path / "photos"
    save_photo(source / "half.png", picture)
    save_photo(source / "other.png", photo(1))
    out = tmp_path / "set"
    assert make_set("cnn", zoo, source, out, 60) == 0
    rows = contents(out)
    assert len(rows) == 60
    for found in iter_triplets(out):
        assert not np.array_equal(found.p0, found.p1)
    spec = spec_from_values(open_dataset(out).info.spec)
    moved = 0
    for row in rows:
        crop = row["crop"]
        if row["source_path"] == "half.png":
            assert crop["x"] + crop["side"] > 200
        size = (200, 300) if row["source_path"] == "half.png" else (160, 220)
        blank = whole_photo(np.empty((*size, 3), np.uint8))
        moved += asdict(resolve_crop(plan_row(spec, row["row"]).crops[0], blank, 64)) != crop
    assert moved > 5
    assert make_set("cnn", zoo, source, tmp_path / "one", 60, "--shard-size", "1") == 0
    assert contents(tmp_path / "one") == rows


# Sets


@pytest.mark.parametrize("kind", ["cnn", "mix"])
def test_the_sides_differ_and_the_rows_say_how_they_were_made(kind, sets, zoo):
    opened = open_zoo(zoo)
    for found in iter_triplets(sets[kind]):
        assert len({pixel_hash(patch) for patch in (found.ref, found.p0, found.p1)}) == 3
    info = open_dataset(sets[kind]).info
    assert info.kind == kind
    assert (info.zoo, info.origin.zoo) == (zoo.name, str(zoo))
    assert dict(info.spec["distorters"]) == {name: opened.digest(name) for name in IDS}
    assert info.distortions["cnn:mine-4"] == 2
    assert ("jpeg" in info.distortions) == (kind == "mix")


def test_small_shards_are_rendered_together(zoo, photos, tmp_path, monkeypatch):
    """A pass of a network takes eight patches, padded where there are fewer."""
    passes: list[int] = []
    render = rendering.render_network

    def counted(network, spec, patches, seeds, streams):
        if len(patches):  # none are rendered to load a network
            passes.append(-(-len(patches) // 8))
        return render(network, spec, patches, seeds, streams)

    monkeypatch.setattr(zoo_module, "render_network", counted)
    counts = {}
    for size in ("5", "70"):
        passes.clear()
        assert make_set("cnn", zoo, photos, tmp_path / size, 70, "--shard-size", size) == 0
        counts["make", size] = sum(passes)
        passes.clear()
        assert verify(tmp_path / size) == 0
        counts["verify", size] = sum(passes)
    assert contents(tmp_path / "5") == contents(tmp_path / "70")
    assert counts["make", "5"] == counts["make", "70"] <= 2 * 70 // 8 + len(IDS)
    assert counts["verify", "5"] == counts["verify", "70"]


def test_lost_shards_that_do_not_follow_each_other_are_made_again(zoo, photos, tmp_path):
    for name in ("whole", "holes"):
        assert make_set("cnn", zoo, photos, tmp_path / name, 70, "--shard-size", "7") == 0
    expected = contents(tmp_path / "whole")
    for shard in (0, 3, 4, 9):
        shard_file(tmp_path / "holes", shard).unlink()
    assert make_set("cnn", zoo, photos, tmp_path / "holes", 70, "--shard-size", "7") == 0
    assert contents(tmp_path / "holes") == expected


@pytest.mark.parametrize("rows", [1, 100, 5000])
@pytest.mark.parametrize("shard_rows", [1, 100, 1000, 3000])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_runs_have_every_shard_once_and_leave_no_worker_without(sets, rows, shard_rows, workers):
    info = replace(open_dataset(sets["cnn"]).info, rows=rows, shard_rows=shard_rows)
    shards = range(info.shards)
    runs = shard_runs(kind_of(info), info, shards, workers)
    assert [shard for run in runs for shard in run] == list(shards)
    assert len(runs) >= min(workers, len(shards))
    assert all(len(run) == 1 or len(run) * shard_rows <= 2000 for run in runs)
    traditional = shard_runs(KINDS["traditional"], info, shards, workers)
    assert traditional == [(shard,) for shard in shards]


def test_chosen_distorters_are_the_only_ones(zoo, photos, tmp_path):
    out = tmp_path / "set"
    assert make_set("cnn", zoo, photos, out, 20, "--distorters", "001-003,mine-4") == 0
    used = {row[side] for row in contents(out) for side in ("distortion0", "distortion1")}
    assert used == {"cnn:001", "cnn:002", "cnn:003", "cnn:mine-4"}
    info = open_dataset(out).info
    assert [name for name, _ in info.spec["distorters"]] == ["001", "002", "003", "mine-4"]


def test_a_mixed_set_takes_a_users_distortion(zoo, photos, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from bapps_gen.distortions import Distortion, SeverityParameter\n"
        "def fade(patch, params, rng):\n"
        "    return (patch * (1 - params['strength'])).astype('uint8')\n"
        "STRENGTH = SeverityParameter('strength', '', 0.0, ((0.1, 0.8),), (0.0, 1.0), 'black')\n"
        "DISTORTIONS = [Distortion('fade', 1, 'own', 'fades', (STRENGTH,), fade)]\n"
    )
    out = tmp_path / "set"
    options = ("--plugin", str(plugin), "--atoms", "fade", "--sequences", "1")
    assert make_set("mix", zoo, photos, out, 10, *options) == 0
    assert all(row["distortion0"].endswith("+fade") for row in contents(out))
    verified = ["verify", str(out), "--plugin", str(plugin), "--quiet", "--workers", "1"]
    assert main(verified) == 0


def test_other_commands_read_the_sets(sets, tmp_path, capsys):
    assert main(["info", str(sets["mix"])]) == 0
    assert "cnn:001" in capsys.readouterr().out
    assert main(["show", str(sets["mix"]), "-o", str(tmp_path / "sheet.png")]) == 0
    assert main(["export", str(sets["cnn"]), "--format", "bapps", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "2afc" / "train" / "cnn" / "p0" / "000069.png").exists()


# Verifying and replaying


def test_pixels_of_another_machine_pass_within_the_tolerance_and_no_further(copy, capsys):
    patch = decode_png(values_of(copy, 1, "p1")[7]["bytes"]).copy()
    patch[3, 4, 1] += 2 if patch[3, 4, 1] < 128 else 254
    put_values(copy, 1, "p1", {7: {"bytes": encode_png(patch), "path": None}})
    assert verify(copy, "--tolerance", "3") == 1
    assert "row 37: the stored p1 is not the picture of its hash" in capsys.readouterr().out
    put_values(copy, 1, "p1_hash", {7: pixel_hash(patch)})
    assert verify(copy) == 1
    assert "row 37: hashes differs" in capsys.readouterr().out
    assert verify(copy, "--tolerance", "1") == 1
    assert "row 37: its pictures differ from those made again by up to 2" in capsys.readouterr().out
    assert main(["verify", str(copy), "--tolerance", "2", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "1 of them differ by up to 2 levels, within the tolerance of 2" in out


def test_a_wrong_tolerance_is_one_line(sets, zoo, photos, tmp_path, capsys):
    assert verify(sets["cnn"], "--tolerance", "256") == 2
    assert "tolerance = 256" in one_line(capsys)
    recipe = tmp_path / "recipe"
    assert main(["export", str(sets["cnn"]), "--format", "recipe", "--out", str(recipe)]) == 0
    places = ("--zoo", str(zoo), "--source", str(photos))
    assert verify(recipe, *places) == 0
    capsys.readouterr()
    assert verify(recipe, "--tolerance", "1", *places) == 2
    assert "without pictures" in one_line(capsys)


def test_another_zoo_is_refused_everywhere(sets, photos, tmp_path, capsys):
    other = write_zoo(tmp_path / "other", weights=100)
    fewer = write_zoo(tmp_path / "fewer", SPECS[:2])
    recipe, again = tmp_path / "recipe", tmp_path / "again"
    assert main(["export", str(sets["mix"]), "--format", "recipe", "--out", str(recipe)]) == 0
    capsys.readouterr()
    assert verify(sets["mix"], "--zoo", str(other)) == 2
    assert "is not the zoo that the dataset was made with: its distorter '000'" in one_line(capsys)
    assert verify(sets["mix"], "--zoo", str(fewer)) == 2
    assert "it has no distorter '002'" in one_line(capsys)
    replayed = ["replay", str(recipe), "--source", str(photos), "--out", str(again), "--quiet"]
    assert main([*replayed, "--zoo", str(other)]) == 2
    assert "is not the zoo" in one_line(capsys)
    assert not again.exists()
    shutil.copytree(sets["mix"], tmp_path / "set")
    assert make_set("mix", other, photos, tmp_path / "set", 95) == 2
    assert "differs in distorters" in one_line(capsys)


def test_the_shipped_zoo_is_found_where_another_machine_has_it(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo_module, "SHIPPED", zoo)
    shipped, own = pickle.dumps(open_zoo()), pickle.dumps(open_zoo(write_zoo(tmp_path / "own")))
    monkeypatch.setattr(zoo_module, "SHIPPED", tmp_path / "there")
    assert pickle.loads(shipped).folder == tmp_path / "there"
    assert pickle.loads(own).folder == tmp_path / "own"


def test_a_zoo_given_by_a_relative_path_is_found_from_another_folder(
    zoo, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(zoo.parent)
    assert make_set("cnn", Path(zoo.name), photos, tmp_path / "set", 5) == 0
    monkeypatch.chdir(tmp_path)
    assert open_dataset("set").info.origin.zoo == str(zoo)
    assert verify(Path("set")) == 0


def test_every_node_has_to_see_plugins_and_a_zoo_of_ones_own(zoo, monkeypatch):
    opened = open_zoo(zoo)
    assert recipe_files(("mine.py",), opened) == ("mine.py", zoo / "zoo.json")
    assert recipe_files(("mine.py",), None) == ("mine.py",)
    monkeypatch.setattr(dataset_zoo, "SHIPPED", zoo)
    assert recipe_files((), opened) == ()


def test_a_moved_zoo_is_asked_for_and_found(zoo, photos, tmp_path, capsys):
    shutil.copytree(zoo, tmp_path / "zoo")
    out = tmp_path / "set"
    assert make_set("cnn", tmp_path / "zoo", photos, out, 10) == 0
    (tmp_path / "zoo").rename(tmp_path / "moved")
    capsys.readouterr()
    assert verify(out) == 2
    assert f"the zoo {tmp_path / 'zoo'} that the dataset was made with is not there" in one_line(
        capsys
    )
    assert verify(out, "--zoo", str(tmp_path / "moved")) == 0


def test_any_sequence_of_steps_replays(copy, zoo, photos, tmp_path):
    recipe = tmp_path / "recipe"
    assert main(["export", str(copy), "--format", "recipe", "--out", str(recipe)]) == 0
    jpeg = parse_step("jpeg:quality=30", REGISTRY)
    params = [{"name": name, "value": value} for name, value in jpeg.params.items()]
    made = {"params": params, "version": 1, "seed": 5, "severity": None}
    plain = {**made, "params": [], "version": 2}
    steps = [
        {**made, "distortion": "jpeg"},
        {**plain, "distortion": "cnn:002"},
        {**plain, "distortion": "cnn:000"},
        {**made, "distortion": "jpeg"},
    ]
    put_values(recipe, 0, "steps0", {0: steps})
    out = tmp_path / "again"
    given = ["--source", str(photos), "--workers", "1", "--out", str(out), "--allow-different"]
    assert main(["replay", str(recipe), "--zoo", str(zoo), *given]) == 0
    registry = with_zoo(REGISTRY, open_zoo(zoo))
    first = next(iter_triplets(out))
    patch = first.ref
    for text in ("jpeg:quality=30", "cnn:002", "cnn:000", "jpeg:quality=30"):
        patch = parse_step(text, registry, seed=5).apply(patch)
    assert np.array_equal(first.p0, patch)


def test_an_unknown_distorter_in_a_recipe_is_one_line(copy, photos, tmp_path, capsys):
    step, *more = values_of(copy, 0, "steps1")[4]
    put_values(copy, 0, "steps1", {4: [{**step, "distortion": "cnn:01"}, *more]})
    given = ["--source", str(photos), "--workers", "1", "--out", str(tmp_path / "again")]
    assert main(["replay", str(copy), "--quiet", *given]) == 2
    assert "unknown distortion 'cnn:01'; did you mean 'cnn:001'" in one_line(capsys)


# Bad input


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("index", "zoo.json is damaged"),
        ("version", "zoo_version = 99 is not 1"),
        ("missing", "002.safetensors is missing"),
        ("cut", "002.safetensors is damaged"),
        ("swapped", "is not the file that"),
    ],
)
def test_a_damaged_zoo_is_one_line_and_no_shard_is_written(
    damage, words, zoo, photos, tmp_path, capsys
):
    shutil.copytree(zoo, tmp_path / "zoo")
    index, path = tmp_path / "zoo" / "zoo.json", distorter_path(tmp_path / "zoo", "002")
    if damage == "index":
        index.write_text("{")
    elif damage == "version":
        index.write_text(json.dumps({**json.loads(index.read_text()), "zoo_version": 99}))
    elif damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.write_bytes(distorter_path(tmp_path / "zoo", "001").read_bytes())
    out = tmp_path / "set"
    assert make_set("cnn", tmp_path / "zoo", photos, out, 40) == 1
    assert words in one_line(capsys)
    assert not list(out.glob("data/*"))


def test_a_missing_shipped_zoo_is_one_line(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(zoo_module, "SHIPPED", tmp_path / "nowhere")
    arguments = ["--n", "5", "--source", str(photos), "--out", str(tmp_path / "set"), "--quiet"]
    assert main(["cnn", *arguments]) == 2
    assert "the zoo that comes with this package is not in" in one_line(capsys)
    assert not (tmp_path / "set").exists()


def test_a_description_from_before_there_were_distorters_is_read(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    info = json.loads(path.read_text())
    assert info.pop("zoo") is None
    path.write_text(json.dumps(info))
    assert verify(tmp_path / "set") == 0


# One image of any size


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return save_photo(tmp_path / "photo.png", photo(0, 90, 133))


def distort(picture: Path, out: Path, zoo: Path, *steps: str) -> int:
    given = [word for step in steps for word in ("--with", step)]
    return main(["distort", str(picture), *given, "-o", str(out), "--zoo", str(zoo)])


def test_distorters_and_distortions_compose_freely_on_an_image(picture, zoo, tmp_path, capsys):
    texts = ("cnn:001", "jpeg:quality=30", "cnn:mine-4:seed=9", "gaussian_blur:severity=0.3")
    out = tmp_path / "out.png"
    assert distort(picture, out, zoo, *texts) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "cnn:001 v2: strength 1, seed 0"
    assert said[1].startswith("jpeg v1: quality 30")
    assert said[2] == "cnn:mine-4 v2: strength 1, seed 9"
    registry = with_zoo(REGISTRY, open_zoo(zoo))
    image = cv2.imread(str(picture))[..., ::-1]
    for place, text in enumerate(texts):
        image = parse_step(text, registry, place).apply(np.ascontiguousarray(image))
    assert np.array_equal(cv2.imread(str(out))[..., ::-1], image)


@pytest.mark.parametrize("size", [(8, 8), (9, 50), (64, 64), (201, 77)])
def test_a_distorter_takes_images_of_any_size(size, zoo, tmp_path):
    picture, out = save_photo(tmp_path / "photo.png", photo(0, *size)), tmp_path / "out.png"
    for name in IDS:
        assert distort(picture, out, zoo, f"cnn:{name}") == 0
        assert cv2.imread(str(out)).shape == (*size, 3)
        assert not np.array_equal(cv2.imread(str(out)), cv2.imread(str(picture)))


def test_a_zoo_is_opened_only_for_distorters(picture, tmp_path, capsys):
    nowhere = tmp_path / "nowhere"
    assert distort(picture, tmp_path / "out.png", nowhere, "jpeg") == 0
    capsys.readouterr()
    assert distort(picture, tmp_path / "out.png", nowhere, "jpeg", "cnn:001") == 2
    assert "no zoo in" in one_line(capsys)
