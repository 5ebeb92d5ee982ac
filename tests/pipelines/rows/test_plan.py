"""The plan: a pure function of (spec, row)."""

import statistics
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.distortions.definition import check_stored
from bapps_gen.distortions.registry import load_registry
from bapps_gen.errors import UserError
from bapps_gen.manifests.rows import distortion_id
from bapps_gen.pipelines.rows.crops import CropDraw, CropSizes
from bapps_gen.pipelines.rows.options import CROP_SHARE
from bapps_gen.pipelines.rows.plan import Planner
from bapps_gen.pipelines.rows.spec import (
    TripletSpec,
    atom_versions,
    choose_distortions,
    share_of_singles,
    spec_from_values,
)
from bapps_gen.seeding import MAX_SEED
from support.plans import evenness, plan_row

REGISTRY = load_registry()


def make_spec(**values: object) -> TripletSpec:
    choices = values.pop("choices", REGISTRY.ids)
    versions = atom_versions(REGISTRY, choices)
    fixed = {"seed": 0, "images": 7, "source_digest": "x", "choices": choices}
    if "scale" not in values:
        fixed["crop_share"] = CROP_SHARE.default
    return TripletSpec(**{**fixed, "versions": versions, **values})


SPEC = make_spec()


@given(st.integers(0, 10**9), st.integers(0, MAX_SEED))
@settings(max_examples=50)
def test_a_row_is_the_same_whatever_was_planned_before(row, seed):
    spec = replace(SPEC, seed=seed)
    busy = Planner(spec, REGISTRY)
    for other in (row + 1, 0, row + 12345):
        busy.row(other)
    assert busy.row(row) == Planner(spec, REGISTRY).row(row) == plan_row(spec, row)


@given(st.integers(0, 10**9))
@settings(max_examples=100)
def test_every_parameter_is_one_that_a_user_may_give(row):
    for side in plan_row(SPEC, row).sides:
        for step in side:
            given_values = dict(step.params)
            assert REGISTRY.atom(step.distortion).complete(given_values) == given_values
            assert 0.2 <= step.severity <= 1.0
            assert 0 <= step.seed <= MAX_SEED


def test_another_seed_gives_other_rows():
    assert plan_row(SPEC, 0).sides != plan_row(replace(SPEC, seed=1), 0).sides


def test_no_two_steps_share_a_noise_seed():
    planner = Planner(SPEC, REGISTRY)
    seeds = [step.seed for row in range(500) for side in planner.row(row).sides for step in side]
    assert len(set(seeds)) == len(seeds)


def test_the_two_sides_of_a_triplet_have_different_distortions():
    for choices in (REGISTRY.ids, ("jpeg", "pink"), ("jpeg", "pink", "shift+jpeg")):
        planner = Planner(make_spec(choices=choices), REGISTRY)
        for row in range(300):
            first, second = map(distortion_id, planner.row(row).sides)
            assert first != second


def test_a_single_choice_differs_in_its_parameters():
    planner = Planner(make_spec(choices=("gaussian_blur",)), REGISTRY)
    for row in range(50):
        first, second = planner.row(row).sides
        assert first[0].distortion == second[0].distortion == "gaussian_blur"
        assert first[0].params != second[0].params


def test_all_328_are_drawn_evenly():
    planner = Planner(SPEC, REGISTRY)
    rows = 16_400  # 100 sides expected of each
    counts = Counter(distortion_id(side) for row in range(rows) for side in planner.row(row).sides)
    assert evenness(counts, 328) < 5


def test_the_share_of_singles_is_as_asked():
    planner = Planner(make_spec(singles=0.5), REGISTRY)
    singles = sum(len(side) == 1 for row in range(4000) for side in planner.row(row).sides)
    assert 0.47 < singles / 8000 < 0.53


@pytest.mark.parametrize(
    ("asked", "choices", "share"),
    [
        (None, ("jpeg", "shift", "shift+jpeg"), 0.5),
        (None, ("jpeg", "shift"), None),
        (None, ("shift+jpeg",), None),
        (None, (), None),
        ("types", ("jpeg", "shift", "shift+jpeg"), None),
        ("types", ("shift+jpeg",), None),
        (0.0, ("jpeg", "shift+jpeg"), 0.0),
        (1.0, ("jpeg",), 1.0),
    ],
)
def test_half_of_the_sides_are_single_by_default_where_there_are_both(asked, choices, share):
    assert share_of_singles(asked, choices) == share


def test_warps_fold_over_only_where_the_spec_allows_it():
    choices = ("linear_warp", "cubic_warp")
    spec = make_spec(choices=choices)
    assert "folding" not in spec.values()
    assert spec_from_values(spec.values() | {"folding": True}) == replace(spec, folding=True)
    for allowed in (False, True):
        planner = Planner(replace(spec, folding=allowed), REGISTRY)
        for row in range(20):
            for (step,) in planner.row(row).sides:
                assert dict(step.params)["folding"] == allowed


def test_severities_up_to_2_give_values_that_are_allowed():
    planner = Planner(make_spec(severity=(1.0, 2.0)), REGISTRY)
    for row in range(300):
        for step in (step for side in planner.row(row).sides for step in side):
            assert 1 <= step.severity <= 2
            check_stored(REGISTRY.atom(step.distortion), step.params)


@pytest.mark.parametrize("images", [1, 3, 7, 100, 250])
def test_images_have_their_turns_evenly(images):
    planner = Planner(replace(SPEC, images=images), REGISTRY)
    counts = Counter(planner.row(row).image for row in range(2000))
    assert len(counts) == min(images, 200)
    assert max(counts.values()) - min(counts.values()) <= 10


def test_neighbouring_rows_come_from_different_images():
    planner = Planner(replace(SPEC, images=300), REGISTRY)
    images = [planner.row(row).image for row in range(100)]
    assert len(set(images)) == 100


def test_every_image_is_tried_before_a_row_gives_up():
    planner = Planner(SPEC, REGISTRY)
    for row in (0, 5, 999, 1000):
        order = [planner.image(row, step) for step in range(7)]
        assert sorted(order) == list(range(7))
        assert order[0] == planner.row(row).image


def test_further_places_differ_between_rows_and_attempts():
    planner = Planner(SPEC, REGISTRY)
    tried = [planner.further_crops(row, attempt) for row in range(3) for attempt in range(3)]
    tried += [planner.row(row).crops for row in range(3)]
    assert len(set(tried)) == 12
    assert planner.further_crops(1, 1) == tried[4]


def test_scales_are_drawn_from_the_range_and_evenly_by_logarithm():
    planner = Planner(make_spec(scale=(0.2, 0.6)), REGISTRY)
    draws = [draw for row in range(3000) for draw in planner.row(row).crops]
    counts = Counter(reduction_of(draw, 1000) for draw in draws)
    assert set(counts) == {2, 3, 4, 5}
    weights = {reduction: count * reduction for reduction, count in counts.items()}
    assert max(weights.values()) < 1.15 * min(weights.values())
    assert {reduction_of(draw, 200) for draw in draws} == {2, 3}


def reduction_of(draw: CropDraw, shorter: int) -> int:
    return draw.sizes.reduction(draw.size, shorter, 64)


@given(
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    st.integers(64, 12_000),
    st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=300)
def test_a_crop_takes_the_share_of_its_photo_that_was_asked_for(share, shorter, uniform):
    sizes = CropSizes(crop_share=tuple(share))
    reduction = sizes.reduction(uniform, shorter, 64)
    low, high = (max(1.0, part * shorter / 64) for part in share)
    assert 1 <= reduction <= shorter // 64
    assert reduction % sizes.step(shorter, 64) == 0
    least, most = min(low - 0.5, 0.7 * low), max(high + 0.5, 1.15 * high)
    assert min(least, shorter // 64) <= reduction <= most


def test_photos_are_decoded_at_a_fraction_of_their_size_where_crops_allow_it():
    usual = CropSizes(crop_share=(0.15, 1.0))
    sides = (64, 400, 1000, 2000, 4000, 8000)
    assert [usual.step(side, 64) for side in sides] == [1, 1, 2, 4, 8, 8]
    assert all(CropSizes(crop_share=(0, 1)).step(side, 64) == 1 for side in sides)
    assert all(CropSizes(scale=(0.125, 0.25)).step(side, 64) == 1 for side in sides)


def test_crops_of_larger_photos_show_the_same_part_of_them():
    sizes = CropSizes(crop_share=(0.15, 1.0))
    spans = {}
    for shorter in (1000, 2000, 4000, 8000):
        shares = [sizes.reduction(n / 1000, shorter, 64) * 64 / shorter for n in range(1000)]
        spans[shorter] = shares[0], statistics.median(shares), shares[-1]
    for smallest, median, largest in spans.values():
        assert 0.11 < smallest < 0.19
        assert 0.3 < median < 0.5
        assert 0.85 < largest <= 1


@pytest.mark.parametrize("shorter", [1000, 1500, 4000])
def test_shares_are_drawn_evenly_by_logarithm(shorter):
    planner = Planner(SPEC, REGISTRY)
    draws = [draw for row in range(4000) for draw in planner.row(row).crops]
    shares = sorted(reduction_of(draw, shorter) * 64 / shorter for draw in draws)
    for part in (0.25, 0.5, 0.75):
        assert abs(shares[int(part * len(shares))] / 0.15 ** (1 - part) - 1) < 0.35


@pytest.mark.parametrize("shorter", [64, 65, 100, 127])
def test_photos_with_room_for_one_patch_are_cut_at_full_resolution(shorter):
    for sizes in (CropSizes(crop_share=(0.15, 1)), CropSizes(scale=(0.25, 0.5))):
        assert {sizes.reduction(n / 10, shorter, 64) for n in range(10)} == {1}


def test_a_spec_survives_json():
    import json

    assert spec_from_values(json.loads(json.dumps(SPEC.values()))) == SPEC


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": -1}, "seed = -1"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"images": 0}, "images"),
        ({"severity": (0.5, 0.2)}, "severity = 0.5 0.2"),
        ({"severity": (0.0, 2.5)}, "severity"),
        ({"scale": (0.0, 1.0)}, "scale-range"),
        ({"crop_share": (0.5, 0.2)}, "crop-share = 0.5 0.2"),
        ({"crop_share": (0.5, 1.2)}, "crop-share = 0.5 1.2"),
        ({"crop_share": None}, "neither is given"),
        ({"scale": (0.5, 1.0), "crop_share": (0.5, 1.0)}, "both are given"),
        ({"scale": (0.6, 0.9)}, "at least one of 1, 1/2"),
        ({"min_contrast": 0.7}, "min-contrast"),
        ({"min_contrast": float("nan")}, "min-contrast"),
        ({"rows_per_image": 7}, "divisor of 1000"),
        ({"choices": ()}, "no distortion"),
        ({"choices": ("jpeg",), "singles": 0.5}, "no composition"),
        ({"choices": ("shift+jpeg",), "singles": 0.5}, "no single"),
        ({"plan_version": 99}, "plan_version"),
    ],
)
def test_a_bad_spec_is_refused_in_one_line(values, words):
    with pytest.raises(UserError) as caught:
        make_spec(**values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_spec_entries_are_refused():
    with pytest.raises(UserError, match="did you mean 'severity'"):
        spec_from_values({**SPEC.values(), "severty": 1})
    with pytest.raises(UserError, match=r"spec\.seed is missing"):
        spec_from_values({key: value for key, value in SPEC.values().items() if key != "seed"})


def test_the_digest_follows_every_entry():
    others = [
        replace(SPEC, seed=1),
        replace(SPEC, severity=(0.2, 0.9)),
        replace(SPEC, source_digest="y"),
        replace(SPEC, singles=0.5),
        replace(SPEC, versions=(*SPEC.versions[1:], ("zoom", 1))),
    ]
    assert len({spec.digest for spec in (SPEC, *others)}) == 6
    assert len(SPEC.digest) == 32


def test_an_atom_of_another_version_is_refused():
    versions = tuple((name, version + (name == "jpeg")) for name, version in SPEC.versions)
    with pytest.raises(UserError, match=r"jpeg is version 1 here, but .* version 2"):
        Planner(replace(SPEC, versions=versions), REGISTRY)


def test_families_keep_what_is_made_of_them_alone():
    chosen = choose_distortions(REGISTRY, families=("blur", "compression"))
    assert set(chosen) == {
        "gaussian_blur",
        "bilateral",
        "jpeg",
        "gaussian_blur+bilateral",
        "bilateral+gaussian_blur",
        "gaussian_blur+jpeg",
        "jpeg+gaussian_blur",
        "bilateral+jpeg",
        "jpeg+bilateral",
    }


def test_atoms_and_compositions_can_be_chosen_together():
    assert choose_distortions(REGISTRY, atoms=("jpeg",), compositions=("shift+pink",)) == (
        "jpeg",
        "shift+pink",
    )
    assert choose_distortions(REGISTRY, compositions=("shift+pink",)) == ("shift+pink",)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"families": ("nose",)}, "did you mean 'noise'"),
        ({"atoms": ("gausian_blur",)}, "did you mean 'gaussian_blur'"),
        ({"compositions": ("pink+blue",)}, "not one of the 308"),
        ({"compositions": ("jpeg+shfit",)}, "did you mean 'shift'"),
    ],
)
def test_unknown_choices_are_told_with_the_nearest_name(choice, words):
    with pytest.raises(UserError, match=words):
        choose_distortions(REGISTRY, **choice)
