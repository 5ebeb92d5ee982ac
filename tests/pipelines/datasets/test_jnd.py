"""JND pairs: a reference and one distorted patch, as in triplets or near what is noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from bapps_gen.cnn_distorters.as_distortions import STRENGTH, with_zoo
from bapps_gen.cnn_distorters.zoo import open_zoo
from bapps_gen.distortions.registry import load_registry
from bapps_gen.distortions.steps import parse_step
from bapps_gen.errors import UserError
from bapps_gen.imaging.encode import decode_png, pixel_hash
from bapps_gen.imaging.photo import whole_photo
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.rows import PAIR_PATCHES, Step, distortion_id
from bapps_gen.manifests.scores import read_scores
from bapps_gen.metrics.agreement import jnd_map
from bapps_gen.pipelines.collections.toml import preset_spec, read_collection, with_defaults
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.rows.options import NEAR_SEVERITY, SEVERITY
from bapps_gen.pipelines.rows.plan import LEAST_SHARE, Planner, planning_registry
from bapps_gen.pipelines.rows.render import apply_many, apply_steps, resolve_crop
from bapps_gen.pipelines.rows.spec import (
    TripletSpec,
    choose_distortions,
    spec_from_values,
)
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.seeding import Streams
from support.datasets import contents, one_line, photo, put_values, save_photo, shard_file, verify
from support.plans import check_pure, evenness, plan_row, spec_of
from support.zoos import IDS

FAMILIES = ("traditional", "cnn")
REGISTRY = load_registry()


def make_pairs(family: str, zoo: Path, source: Path, out: Path, rows: int, *options: str) -> int:
    """Run `bapps-gen jnd` in this process."""
    given = {"--shard-size": "30", "--workers": "1"}
    given |= {"--zoo": str(zoo)} if family == "cnn" else {}
    given |= {"--source": str(source), "--out": str(out)}
    words = [word for pair in given.items() for word in pair]
    return main(["jnd", "--quiet", "--family", family, "--n", str(rows), *words, *options])


def patches_of(row: dict) -> tuple[np.ndarray, np.ndarray]:
    return decode_png(row["ref"]["bytes"]), decode_png(row["p0"]["bytes"])


def judge(folder: Path, rows: int | None = None) -> list[float]:
    """Of three people, let fewer say "same" the more a patch has changed; all rows or the first."""
    said = []
    for shard in range(open_dataset(folder).info.shards):
        stored = pq.read_table(shard_file(folder, shard)).to_pylist()
        errors = [np.abs(np.subtract(*patches_of(row), dtype=float)).mean() for row in stored]
        ranks = np.argsort(np.argsort(errors)) / len(errors)
        same = [round(3 - 3 * float(rank)) / 3 for rank in ranks]
        said += same
        kept = [
            value if rows is None or row["row"] < rows else None
            for row, value in zip(stored, same, strict=True)
        ]
        count = [None if value is None else 3 for value in kept]
        put_values(folder, shard, "same", dict(enumerate(kept)))
        put_values(folder, shard, "same_count", dict(enumerate(count)))
    return said


@pytest.fixture(scope="module")
def sets(zoo: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set of 70 pairs of each family in shards of 30; do not change them."""
    folder = tmp_path_factory.mktemp("sets")
    for family in FAMILIES:
        assert make_pairs(family, zoo, photos, folder / family, 70) == 0
    return {family: folder / family for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copy(family: str, sets: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a set, to be damaged or judged."""
    return Path(shutil.copytree(sets[family], tmp_path / "set"))


# The plan


pairs_of = partial(spec_of, is_jnd=True)
TRADITIONAL = pairs_of(REGISTRY.ids)
CNN = pairs_of(distorters=96)
NEAR = {"near_threshold": True, "severity": NEAR_SEVERITY}
NEAR_TRADITIONAL, NEAR_CNN = replace(TRADITIONAL, **NEAR), replace(CNN, **NEAR)
SPECS = pytest.mark.parametrize(
    "spec",
    [TRADITIONAL, CNN, NEAR_TRADITIONAL, NEAR_CNN],
    ids=[*FAMILIES, *(f"{family} near the threshold" for family in FAMILIES)],
)
NEAR_SPECS = pytest.mark.parametrize("spec", [NEAR_TRADITIONAL, NEAR_CNN], ids=FAMILIES)


def plans(spec: TripletSpec, rows: int) -> list[tuple[Step, ...]]:
    """The steps of the one side of each row."""
    planner = Planner(spec, planning_registry(spec))
    sides = [planner.row(row).sides for row in range(rows)]
    assert {len(side) for side in sides} == {1}
    return [side for (side,) in sides]


@SPECS
def test_a_pairs_plan_is_a_pure_function_that_needs_no_zoo(spec):
    check_pure(spec)


def test_distortions_and_distorters_are_drawn_evenly():
    for spec, kinds in ((TRADITIONAL, 328), (CNN, 96)):
        counts = Counter(map(distortion_id, plans(spec, 12_000)))
        assert abs(evenness(counts, kinds)) < 5
    singles = sum(len(steps) == 1 for steps in plans(replace(TRADITIONAL, singles=0.5), 3000))
    assert 0.45 < singles / 3000 < 0.55


def test_steps_are_drawn_as_those_of_triplets():
    low, high = SEVERITY.default
    for pair in plans(TRADITIONAL, 2000):
        assert all(low <= step.severity <= high for step in pair)
    severities = [step.severity for pair in plans(TRADITIONAL, 4000) for step in pair]
    for share in (0.25, 0.5, 0.75):
        middle = low + share * (high - low)
        assert np.quantile(severities, share) == pytest.approx(middle, abs=0.03)
    both = np.array([[s.severity for s in pair] for pair in plans(TRADITIONAL, 4000) if pair[1:]])
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.05
    for (step,) in plans(CNN, 200):
        assert (step.params, step.severity) == ((), None)


def test_near_the_threshold_a_pair_has_the_same_place_distortions_and_noise():
    for spec, near in ((TRADITIONAL, NEAR_TRADITIONAL), (CNN, NEAR_CNN)):
        for row in range(50):
            plan, other = plan_row(spec, row), plan_row(near, row)
            assert (plan.image, plan.crops) == (other.image, other.crops)
            for step, nearer in zip(plan.sides[0], other.sides[0], strict=True):
                assert (step.distortion, step.seed) == (nearer.distortion, nearer.seed)
                assert nearer.severity <= NEAR_SEVERITY[1]


@NEAR_SPECS
@pytest.mark.parametrize("severity", [NEAR_SEVERITY, (0.0, 1.0), (0.3, 0.3)])
def test_near_the_threshold_a_severity_is_drawn_evenly_and_shared_by_its_steps(spec, severity):
    low, high = severity
    steps = plans(replace(spec, severity=severity), 4000)
    totals = np.array([sum(step.severity for step in side) for side in steps])
    assert low - 1e-12 <= totals.min() <= totals.max() <= high + 1e-12
    for share in (0.25, 0.5, 0.75):
        assert np.quantile(totals, share) == pytest.approx(low + share * (high - low), abs=0.02)
    shares = np.array(
        [side[0].severity / sum(step.severity for step in side) for side in steps if len(side) == 2]
    )
    if spec is NEAR_TRADITIONAL:
        assert LEAST_SHARE - 1e-9 <= shares.min() <= shares.max() <= 1 - LEAST_SHARE + 1e-9
        assert shares.mean() == pytest.approx(0.5, abs=0.02)
    else:
        assert not len(shares)


def test_parameters_follow_from_the_severities():
    for side in plans(TRADITIONAL, 300) + plans(NEAR_TRADITIONAL, 300) + plans(NEAR_CNN, 300):
        for step in side:
            if step.distortion.startswith("cnn:"):
                assert step.params == (("strength", STRENGTH.at(step.severity, 0.0)),)
            else:
                names = [part.name for part in REGISTRY.atom(step.distortion).parameters]
                assert [name for name, _ in step.params] == names
    (blur,) = plans(pairs_of(("gaussian_blur",), severity=(0.2, 0.2)), 1)[0]
    assert dict(blur.params)["sigma"] == pytest.approx(0.6)  # the mild end, at 0.2


def test_the_digest_tells_pairs_from_triplets_and_a_triplets_spec_does_not_name_them():
    for spec, near in ((TRADITIONAL, NEAR_TRADITIONAL), (CNN, NEAR_CNN)):
        plain = replace(spec, is_jnd=False)
        assert len({spec.digest, near.digest, plain.digest}) == 3
        assert "pairs" not in plain.values()
        assert "near_threshold" not in spec.values()
        for made in (spec, near, plain):
            assert spec_from_values(json.loads(json.dumps(made.values()))) == made


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"choices": ("jpeg",), "distorters": 2, "sequences": 0.5}, "not both"),
        ({"choices": ("jpeg",), "is_jnd": 1}, "pairs = 1 is not true or false"),
        ({"choices": ("jpeg",), "severity": (0.3, 0.2)}, "severity = 0.3 0.2"),
        ({"distorters": 0}, "no distortion is left"),
        ({"choices": ("jpeg",), "is_jnd": False, "near_threshold": True}, "not triplets"),
    ],
)
def test_a_bad_spec_is_refused_in_one_line(values, words):
    with pytest.raises(UserError) as caught:
        pairs_of(**values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_distorter_is_enough_for_pairs():
    assert {distortion_id(side) for side in plans(pairs_of(distorters=1), 20)} == {"cnn:000"}


def test_a_request_has_the_severities_of_its_kind(photos, zoo):
    inputs = Inputs(lambda: open_source([photos]))

    def severity(kind: str, **options: object) -> object:
        spec = spec_from_values(Request(kind, 5, **options).resolve(inputs).info.spec)
        assert spec.is_jnd == kind.startswith("jnd")
        return spec.severity

    for kind, options in (("jnd-traditional", {}), ("jnd-cnn", {"zoo": zoo})):
        assert severity(kind, **options) == SEVERITY.default
        near = {**options, "near_threshold": True}
        assert severity(kind, **near) == NEAR_SEVERITY
        assert severity(kind, severity=(0.0, 0.9), **near) == (0.0, 0.9)
    assert severity("jnd-traditional", severity=(0.0, 0.9)) == (0.0, 0.9)
    assert severity("traditional") == SEVERITY.default


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(UserError, match="near-threshold is for jnd-traditional or jnd-cnn"):
        Request("traditional", 5, near_threshold=True)
    with pytest.raises(UserError, match="as trained; leave it out, or add near-threshold"):
        Request("jnd-cnn", 5, severity=(0.2, 0.5))


def test_a_collection_may_keep_its_pairs_near_the_threshold(tmp_path):
    spec = with_defaults(preset_spec("bapps"), {"near_threshold": True})
    for entry in spec.sets:
        assert entry.request(0).near_threshold == entry.path.startswith("jnd/")
    assert not any(entry.request(0).near_threshold for entry in preset_spec("bapps").sets)
    table = '[[set]]\npath = "jnd/val/near"\nkind = "jnd-cnn"\nrows = 5\nnear_threshold = true\n'
    (tmp_path / "sets.toml").write_text(table + "severity = [0.2, 0.3]\n")
    (entry,) = read_collection(tmp_path / "sets.toml").sets
    assert entry.request(0).severity == (0.2, 0.3)


# The strength of a distorter


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """uint8 (40, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    picture = photo(3, 300, 300)
    return np.stack([picture[y : y + 64, x : x + 64] for y, x in rng.integers(0, 236, (40, 2))])


def step_of(name: str, strength: float | None, seed: int = 77) -> Step:
    params = () if strength is None else (("strength", strength),)
    return Step(f"cnn:{name}", 1, params, seed, None)


@pytest.mark.parametrize("name", IDS)
def test_strength_goes_from_the_input_to_the_output_evenly(name, zoo, patches):
    opened, streams = open_zoo(zoo), Streams()
    atoms = with_zoo(REGISTRY, opened).atoms
    patch = patches[0]
    trained = opened.render(name, patch[None], [77])[0]
    assert not np.array_equal(trained, patch)
    strengths = (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0)
    made = [apply_steps(patch, (step_of(name, s),), atoms, streams) for s in strengths]
    assert np.array_equal(made[0], patch)
    assert made[0] is not patch
    assert np.array_equal(made[-1], trained)
    assert np.array_equal(apply_steps(patch, (step_of(name, None),), atoms, streams), trained)
    away = [np.abs(picture.astype(int) - patch) for picture in made]
    for less, more in pairwise(away):
        assert (less <= more).all()
    for strength, picture in zip(strengths, made, strict=True):
        exact = patch + strength * (trained.astype(float) - patch)
        assert np.abs(picture - exact).max() <= 0.5


def test_strengths_may_differ_within_a_batch(zoo, patches):
    atoms, streams = with_zoo(REGISTRY, open_zoo(zoo)).atoms, Streams()
    rng = np.random.default_rng(1)
    jpeg = parse_step("jpeg", REGISTRY)
    steps = []
    for place in range(len(patches)):
        strength = rng.choice([None, 0.0, 1.0, rng.random()])
        cnn = step_of(str(rng.choice(IDS)), strength, int(rng.integers(0, 2**63)))
        other = Step("jpeg", 1, tuple(jpeg.params.items()), 0, None)
        steps.append(((cnn,), (other, cnn), (cnn, other), (cnn, cnn))[place % 4])
    before = patches.copy()
    alone = [
        apply_steps(patch, some, atoms, streams) for patch, some in zip(patches, steps, strict=True)
    ]
    assert np.array_equal(apply_many(list(patches), steps, atoms, streams), alone)
    order = rng.permutation(len(patches)).tolist()
    for group in (order[:7], order[7:]):
        few = apply_many([patches[i] for i in group], [steps[i] for i in group], atoms, streams)
        assert np.array_equal(few, [alone[i] for i in group])
    assert np.array_equal(patches, before)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_out_of_range_is_refused(strength, zoo, patches):
    atoms = with_zoo(REGISTRY, open_zoo(zoo)).atoms
    for apply in (
        lambda step: apply_steps(patches[0], (step,), atoms, Streams()),
        lambda step: apply_many([patches[0]], [(step,)], atoms, Streams()),
    ):
        with pytest.raises(UserError, match="strength = "):
            apply(step_of(IDS[0], strength))


def test_severity_is_mild_at_a_fifth_and_as_trained_at_one():
    assert [STRENGTH.at(severity, 0.5) for severity in (0.0, 0.2, 1.0)] == pytest.approx(
        [0.0, 0.4, 1.0]
    )
    assert STRENGTH.default == 1.0


def test_a_strength_is_given_on_the_command_line(zoo, tmp_path, capsys):
    picture = save_photo(tmp_path / "photo.png", photo(0, 90, 133))
    registry = with_zoo(REGISTRY, open_zoo(zoo))
    image = np.ascontiguousarray(cv2.imread(str(picture))[..., ::-1])
    out = tmp_path / "out.png"
    for text, said in (
        ("cnn:001", "strength 1"),
        ("cnn:001:strength=0.5", "strength 0.5"),
        ("cnn:001:severity=0.2,seed=4", "strength 0.4"),
        ("cnn:001:strength=0", "strength 0"),
    ):
        assert (
            main(["distort", str(picture), "--with", text, "-o", str(out), "--zoo", str(zoo)]) == 0
        )
        assert f"cnn:001 v2: {said}, seed" in capsys.readouterr().out
        made = cv2.imread(str(out))[..., ::-1]
        assert np.array_equal(made, parse_step(text, registry).apply(image))
    assert np.array_equal(made, image)


# Sets


def test_a_row_is_a_pair_that_says_how_it_was_made(family, sets, zoo):
    info = open_dataset(sets[family]).info
    assert (info.kind, info.unit, info.patches) == (f"jnd-{family}", "pairs", PAIR_PATCHES)
    assert "cnn:001.strength" not in info.units
    atoms = with_zoo(REGISTRY, open_zoo(zoo)).atoms
    rows = contents(sets[family])
    assert len(rows) == 70
    for row in rows:
        assert not {"p1", "distortion1", "steps1", "p1_hash", "judge"} & set(row)
        assert row["same"] is None
        assert row["same_count"] is None
        ref, p0 = patches_of(row)
        assert (pixel_hash(ref), pixel_hash(p0)) == (row["ref_hash"], row["p0_hash"])
        assert row["ref_hash"] != row["p0_hash"]
        for step in row["steps0"]:
            params = {pair["name"]: pair["value"] for pair in step["params"]}
            stored = Step(step["distortion"], 1, tuple(params.items()), step["seed"], None)
            ref = apply_steps(ref, (stored,), atoms, Streams())
        assert np.array_equal(ref, p0)


def test_a_pair_near_the_threshold_says_so(family, zoo, photos, tmp_path, capsys):
    out = tmp_path / "near"
    assert make_pairs(family, zoo, photos, out, 10, "--near-threshold") == 0
    info = open_dataset(out).info
    assert ("cnn:001.strength" in info.units) == (family == "cnn")
    assert "severity 0.1 to 0.4, near the threshold" in kind_of(info).describe(info)
    rows = contents(out)
    for row in rows:
        assert 0.1 <= sum(step["severity"] for step in row["steps0"]) <= 0.4
        assert bool(row["steps0"][0]["params"]) or family == "traditional"
    assert verify(out, "--source", str(photos)) == 0
    assert make_pairs(family, zoo, photos, out, 10) == 2
    assert "near_threshold" in one_line(capsys)


def test_a_pair_without_a_difference_gives_way_to_another_crop(tmp_path, zoo):
    # Less colour does nothing to the grey two thirds of the photo.
    picture = photo(0, 200, 300)
    picture[:, :200] = picture[:, :200, 1:2]
    save_photo(tmp_path / "photos" / "half.png", picture)
    options = ("--atoms", "saturation", "--rows-per-image", "1")
    out = tmp_path / "set"
    assert make_pairs("traditional", zoo, tmp_path / "photos", out, 30, *options) == 0
    rows = contents(out)
    spec = spec_from_values(open_dataset(out).info.spec)
    moved = 0
    for row in rows:
        assert row["ref_hash"] != row["p0_hash"]
        assert row["crop"]["x"] + row["crop"]["side"] > 200
        blank = whole_photo(np.empty((200, 300, 3), np.uint8))
        first = resolve_crop(plan_row(spec, row["row"]).crops[0], blank, 64)
        moved += first.x != row["crop"]["x"]
    assert moved > 5


def test_severities_too_low_to_change_anything_are_one_line(photos, zoo, tmp_path, capsys):
    options = ("--atoms", "gaussian_blur", "--severity", "0", "0")
    assert make_pairs("traditional", zoo, photos, tmp_path / "set", 3, *options) == 2
    assert "hides the distortions; give a higher --severity" in one_line(capsys)
    assert not list((tmp_path / "set").glob("data/*"))


def test_every_atom_changes_a_photo_at_the_lowest_severity_near_the_threshold(patches):
    low, streams = NEAR_SEVERITY[0], Streams()
    for name, atom in REGISTRY.atoms.items():
        params = atom.draw(low, [0.3] * len(atom.parameters))
        changed = [
            not np.array_equal(atom.apply(patch, params, streams.at(5, place, 3)), patch)
            for place, patch in enumerate(patches)
        ]
        assert all(changed), name


def test_the_chosen_distortions_and_distorters_are_the_only_ones(zoo, photos, tmp_path):
    out = tmp_path / "traditional"
    options = ("--atoms", "jpeg,shift", "--compositions", "pink+jpeg", "--singles", "0.5")
    assert make_pairs("traditional", zoo, photos, out, 40, *options) == 0
    allowed = {"jpeg", "shift", "shift+jpeg", "jpeg+shift", "pink+jpeg"}
    assert {row["distortion0"] for row in contents(out)} <= allowed
    out = tmp_path / "cnn"
    assert make_pairs("cnn", zoo, photos, out, 10, "--distorters", "002") == 0
    assert {row["distortion0"] for row in contents(out)} == {"cnn:002"}
    assert choose_distortions(REGISTRY) == REGISTRY.ids


# Other commands


def test_judgments_are_no_difference(copy):
    judge(copy)
    assert verify(copy) == 0


def test_a_replay_names_the_patch_that_came_out_otherwise(copy, photos, tmp_path, capsys):
    put_values(copy, 0, "p0_hash", {3: "0" * 32})
    given = ["--source", str(photos), "--workers", "1", "--quiet", "--out", str(tmp_path / "again")]
    assert main(["replay", str(copy), *given]) == 1
    assert "row 3: p0 came out with other pixels" in one_line(capsys)
    assert main(["replay", str(copy), *given, "--allow-different"]) == 0


def test_info_and_show_know_pairs(family, sets, tmp_path, capsys):
    assert main(["info", str(sets[family]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["rows"], found["judged_rows"]) == (f"jnd-{family}", 70, 0)
    sheet = tmp_path / "sheet.png"
    assert main(["show", str(sets[family]), "-o", str(sheet), "--count", "4"]) == 0
    assert "4 of 70 pairs" in capsys.readouterr().out
    triplet_width = 2 * (3 * (128 + 4) + 10) + 10
    assert cv2.imread(str(sheet)).shape[1] == 2 * (2 * (128 + 4) + 10) + 10 < triplet_width


def test_the_datasets_library_reads_pairs(family, sets, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(sets[family] / "data" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert len(loaded) == 70
    for row, expected in zip(loaded, contents(sets[family]), strict=True):
        for name, patch in zip(PAIR_PATCHES, patches_of(expected), strict=True):
            assert np.array_equal(np.asarray(row[name]), patch)
    assert row["same"] is None


def test_scores_and_judgements_give_a_map(copy, capsys):
    said = judge(copy)
    given = ["--metric", "l2,ssim", "--workers", "1", "--quiet"]
    assert main(["score", str(copy), *given]) == 0
    capsys.readouterr()
    command = ["evaluate", str(copy), *given, "--resamples", "20", "--json"]
    assert main(command) == 0
    (found,) = json.loads(capsys.readouterr().out)["sets"]
    assert found["task"] == "jnd"
    assert found["rows"] == 70
    for metric in ("l2", "ssim"):
        expected = jnd_map(read_scores(open_dataset(copy), metric).d0, said)
        assert found["metrics"][metric]["score"] == pytest.approx(expected)
    # people here go by the mean error, so that an error metric does better than chance
    assert found["metrics"]["l2"]["score"] > np.mean(said) + 0.2


def test_pairs_are_validated(family, sets, tmp_path, capsys):
    copy = shutil.copytree(sets[family], tmp_path / "set")
    report = tmp_path / "report.html"
    assert main(["validate", str(copy), "--out", str(report), "--workers", "1", "--quiet"]) == 0
    assert report.stat().st_size > 1000


# The original layout


def export(folder: Path, out: Path, *options: str) -> int:
    return main(
        ["export", str(folder), "--quiet", "--format", "bapps", "--out", str(out), *options]
    )


def test_pairs_export_to_the_original_folders(family, copy, tmp_path):
    assert export(copy, tmp_path / "plain") == 0
    place = tmp_path / "plain" / "jnd" / "val" / family
    assert sorted(os.listdir(place)) == ["manifest.csv", "p0", "p1"]  # nobody has judged
    said = judge(copy)
    assert export(copy, tmp_path / "large", "--upscale", "256", "--split", "val") == 0
    place = tmp_path / "large" / "jnd" / "val" / family
    assert sorted(os.listdir(place)) == ["manifest.csv", "p0", "p1", "same"]
    for row, expected in enumerate(contents(copy)):
        for part, patch in zip(("p0", "p1"), patches_of(expected), strict=True):
            picture = cv2.imread(str(place / part / f"{row:06d}.png"))[..., ::-1]
            assert np.array_equal(picture, patch.repeat(4, 0).repeat(4, 1))
        same = np.load(place / "same" / f"{row:06d}.npy")
        assert (same.dtype, same.shape) == (np.float32, (1,))
        assert same[0] == pytest.approx(said[row])


@pytest.mark.parametrize("upscale", ["64", "256"])
def test_what_is_exported_comes_back_by_an_import(copy, family, upscale, tmp_path):
    judge(copy)
    assert export(copy, tmp_path / "out", "--upscale", upscale) == 0
    again = tmp_path / "again"
    given = ["--out", str(again), "--workers", "1", "--quiet"]
    assert main(["import", str(tmp_path / "out" / "jnd" / "val" / family), *given]) == 0
    assert open_dataset(again).info.kind == open_dataset(copy).info.kind
    for made, back in zip(contents(copy), contents(again), strict=True):
        for name in ("ref_hash", "p0_hash", "same"):
            assert made[name] == back[name]
    # and an imported set, whose list has no steps, goes to the same pictures and judgments
    assert export(again, tmp_path / "twice", "--upscale", upscale) == 0
    folders = [tmp_path / name / "jnd" / "val" / family for name in ("out", "twice")]
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*0*.*")}
        for folder in folders
    )
    assert first == second
    assert len(first) == 3 * 70


def test_the_split_is_val_alone_and_a_name_may_be_given(copy, tmp_path, capsys):
    assert export(copy, tmp_path, "--split", "train") == 2
    assert "split = train, but the original layout has pairs in val alone" in one_line(capsys)
    assert not (tmp_path / "jnd").exists()
    assert export(copy, tmp_path, "--name", "mine") == 0
    assert (tmp_path / "jnd" / "val" / "mine" / "p1" / "000069.png").exists()


def test_partial_judgements_are_refused(copy, tmp_path, capsys):
    judge(copy, rows=10)
    assert export(copy, tmp_path / "out") == 2
    assert "60 of 70 rows" in one_line(capsys)


# Bad input
