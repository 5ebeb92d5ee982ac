"""The random numbers of sets: those of different kinds share none."""

import json
import shutil
from itertools import combinations

import pytest

from bapps_gen.cli import main
from bapps_gen.cnn_distorters.as_distortions import distorter_versions
from bapps_gen.distortions.registry import load_registry
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.datasets.kinds import KINDS, kind_of
from bapps_gen.pipelines.real.spec import RealSpec
from bapps_gen.pipelines.rows.spec import TripletSpec, atom_versions
from support.datasets import contents, make, one_line, photo, save_photo
from support.plans import plan_real_row, plan_row
from support.real_outputs import ALGORITHMS, outputs

REGISTRY = load_registry()
IMAGES = 40


def triplet_spec(choices: tuple[str, ...], distorters: int, **values: object) -> TripletSpec:
    ids = tuple(f"{number:03d}" for number in range(distorters))
    return TripletSpec(
        seed=5,
        images=IMAGES,
        source_digest="x",
        scale=(0.25, 1.0),
        choices=choices,
        versions=(*atom_versions(REGISTRY, choices), *distorter_versions(ids)),
        distorters=tuple((name, "digest") for name in ids),
        **values,
    )


def real_spec(task: str) -> RealSpec:
    return RealSpec(
        task=task,
        seed=5,
        images=IMAGES,
        reference_digest="x",
        algorithms=(("a", "1"), ("b", "2"), ("c", "3")),
        scale=(0.25, 1.0),
    )


ATOMS = tuple(REGISTRY.ids)
SPECS = {
    "traditional": triplet_spec(ATOMS, 0),
    "cnn": triplet_spec((), 96),
    "mix": triplet_spec(ATOMS, 96, sequences=0.5),
    "jnd-traditional": triplet_spec(ATOMS, 0, is_jnd=True),
    "jnd-cnn": triplet_spec((), 96, is_jnd=True),
    **{name: real_spec(name) for name in ("superres", "frameinterp", "deblur", "color")},
}


def plans(name: str, rows: int = 200) -> list:
    spec = SPECS[name]
    plan = plan_real_row if isinstance(spec, RealSpec) else plan_row
    return [plan(spec, row) for row in range(rows)]


def test_a_spec_says_of_what_kind_it_is():
    assert set(SPECS) == set(KINDS)
    assert {name: spec.kind for name, spec in SPECS.items()} == {name: name for name in KINDS}
    assert len({spec.digest for spec in SPECS.values()}) == len(KINDS)


def test_no_two_kinds_share_a_crop_or_a_noise_seed():
    crops, seeds = {}, {}
    for name in SPECS:
        made = plans(name)
        crops[name] = {(crop.size, crop.left, crop.top) for plan in made for crop in plan.crops}
        seeds[name] = {step.seed for plan in made for side in plan.sides for step in side} - {0}
    for one, other in combinations(SPECS, 2):
        assert not crops[one] & crops[other]
        assert not seeds[one] & seeds[other]


def test_every_kind_takes_the_images_in_an_order_of_its_own():
    orders = {name: tuple(plan.image for plan in plans(name)) for name in SPECS}
    assert len(set(orders.values())) == len(SPECS)


@pytest.fixture(scope="module")
def sets(zoo, tmp_path_factory):
    """A set of 20 rows of every kind, all with the same seed and photos."""
    folder = tmp_path_factory.mktemp("kinds")
    task, names = folder / "task", ("invert", "swap")
    for seed in range(3):  # large, so that no two crops are the same by chance
        picture = photo(seed, 500, 600)
        save_photo(task / "gt" / f"{seed}.png", picture)
        for name in names:
            save_photo(task / name / f"{seed}.png", ALGORITHMS[name](picture))
    given = ("--zoo", str(zoo), "--source", str(task / "gt"))
    commands = {
        "traditional": ("traditional", *given[2:]),
        "cnn": ("cnn", *given),
        "mix": ("mix", *given),
        "jnd-traditional": ("jnd", "--family", "traditional", *given[2:]),
        "jnd-cnn": ("jnd", "--family", "cnn", *given),
        "superres": ("real", "superres", "--reference", str(task / "gt"), *outputs(task, names)),
        "color": ("real", "color", "--reference", str(task / "gt"), *outputs(task, names)),
    }
    common = ("--n", "20", "--seed", "3", "--workers", "1", "--quiet")
    for name, command in commands.items():
        assert main([*command, *common, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in commands}


def test_no_two_kinds_share_a_reference_or_a_side(sets):
    references, sides = {}, {}
    for name, folder in sets.items():
        rows = contents(folder)
        references[name] = {row["ref_hash"] for row in rows}
        sides[name] = {row[f"{side}_hash"] for row in rows for side in ("p0", "p1") if side in row}
    for one, other in combinations(sets, 2):
        assert not references[one] & references[other]
        assert not sides[one] & sides[other]


# Sets that were planned by other rules


@pytest.fixture(params=["traditional", "superres"])
def older(request, sets, tmp_path):
    """A set as the rules before made it."""
    folder = shutil.copytree(sets[request.param], tmp_path / "older")
    info = json.loads((folder / "dataset.json").read_text())
    info["spec"]["plan_version"] = 1
    info["spec"].pop("min_contrast")  # rules may have had other entries
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def test_a_set_of_other_rules_is_read_and_described(older, tmp_path, capsys):
    dataset = open_dataset(older)
    assert len(contents(older)) == 20
    assert kind_of(dataset.info).describe(dataset.info) == dataset.info.kind
    recipe = ["export", str(older), "--format", "recipe", "--out", str(tmp_path / "recipe")]
    for command in (
        ["info", str(older)],
        ["show", str(older), "-o", str(tmp_path / "sheet.png")],
        ["score", str(older), "--metric", "l2", "--workers", "1"],
        recipe,
    ):
        assert main(command) == 0, command


def test_a_set_of_other_rules_is_not_made_again(older, tmp_path, capsys):
    words = "plan_version = 1 is not 2; use the version of bapps-gen that made the dataset"
    out = ["--out", str(tmp_path / "again")]
    for command in (["verify", str(older)], ["replay", str(older), *out]):
        assert main([*command, "--workers", "1", "--quiet"]) == 2, command
        assert words in one_line(capsys)
    assert not (tmp_path / "again" / "dataset.json").exists()


def test_a_set_of_other_rules_is_not_filled(sets, photos, tmp_path, capsys):
    out = tmp_path / "set"
    assert make(photos, out, 10) == 0
    info = json.loads((out / "dataset.json").read_text())
    info["spec"]["plan_version"] = 1
    (out / "dataset.json").write_text(json.dumps(info))
    assert make(photos, out, 20) == 2
    assert "plan_version" in one_line(capsys)


def test_a_kind_that_is_not_that_of_the_spec_is_damage(sets, tmp_path, capsys):
    folder = shutil.copytree(sets["traditional"], tmp_path / "set")
    info = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**info, "kind": "cnn"}))
    assert main(["info", str(folder)]) == 1
    assert "kind = cnn, but its spec is of kind traditional" in one_line(capsys)
