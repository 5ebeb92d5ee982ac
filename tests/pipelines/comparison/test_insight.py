"""A closer look at metrics on whole sets: what observers saw is recognized, and pages show it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bapps_gen.pipelines.comparison.insight import describe
from bapps_gen.pipelines.comparison.insight_page import insight_view, sensitivity_view
from bapps_gen.pipelines.comparison.rows import rows_of
from bapps_gen.pipelines.comparison.sensitivity import measure
from bapps_gen.pipelines.comparison.values import insight_values, sensitivity_values
from bapps_gen.pipelines.scoring.judged import Judged, find_judged, judged_dataset, judged_original
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.pipelines.validation.html import environment
from support.original_layout import make_2afc

METRICS = ("l2", "ssim", "psnr")
PAGE = """
{% extends "page.html.j2" %}{% import "insight.html.j2" as insight %}
{% block title %}page{% endblock %}{% block style %}{% include "insight.css" %}{% endblock %}
{% block main %}{{ insight.task_sections(view) }}
{% if sensitivity %}{{ insight.sensitivity(sensitivity) }}{% endif %}{% endblock %}
"""


@pytest.fixture(scope="module")
def sets(judged):
    options = MetricOptions()
    return [judged_dataset(entry, METRICS, options, 1) for entry in find_judged(judged)]


@pytest.fixture(scope="module")
def triplets(sets):
    return describe(rows_of("2afc", sets), examples=3, resamples=20)


@pytest.fixture(scope="module")
def pairs(sets):
    return describe(rows_of("jnd", sets), examples=3, resamples=20)


def synthetic(**changes):
    """A set of triplets without anything but distances and votes."""
    rng = np.random.default_rng(0)
    d0, d1 = rng.random((2, 60))
    judge = (d0 > d1).astype(float)
    plain = {
        "name": "set",
        "task": "2afc",
        "judgment": judge,
        "distances": {"m": (d0, d1)},
        "left_out": 0,
        "settings": {"m": {}},
        "kind": "own",
        "index": np.arange(60),
    }
    return Judged(**(plain | changes))


def described(judged):
    return describe(rows_of(judged.task, [judged]), examples=3, resamples=10)


def page_of(insight, shown=3, sensitivity=None):
    view = insight_view(insight, shown)
    return environment().from_string(PAGE).render(view=view, sensitivity=sensitivity)


def test_the_metric_that_made_the_votes_has_the_steepest_curve_and_the_least_loss(triplets, pairs):
    for found in (triplets, pairs):
        decided = {name: entry.decided for name, entry in found.psychometric.items()}
        assert max(decided, key=decided.__getitem__) == "ssim"
        losses = {name: entry.log_loss for name, entry in found.calibration.items()}
        assert min(losses, key=losses.__getitem__) == "ssim"


def test_the_noise_of_the_observers_is_the_scale_of_the_metric_that_they_saw_by(triplets):
    entry = triplets.psychometric["ssim"]
    assert entry.curve.scale == pytest.approx(0.05, abs=0.02)
    low, high = entry.interval
    assert low <= entry.curve.scale <= high
    assert entry.curve.lapse < 0.1


def test_no_distortion_is_far_below_people_for_the_metric_that_made_the_votes(triplets):
    for part in triplets.distortions:
        if not part.few:
            assert part.shortfall["ssim"].value < 0.1


def test_metrics_in_other_units_disagree_on_no_row_and_have_the_same_agreement(triplets):
    assert triplets.opposed["l2", "psnr"] == 0
    for part in triplets.distortions:
        assert part.metrics["l2"].value == pytest.approx(part.metrics["psnr"].value)


def test_examples_are_rows_on_which_preferences_are_opposite(triplets):
    rows = triplets.rows
    for entry in triplets.disagreements:
        assert entry.examples
        for example in entry.examples:
            first = rows.axis(entry.first)[example.row]
            if entry.second is None:
                assert first * (rows.chosen[example.row] - 0.5) < 0
            else:
                assert first * rows.axis(entry.second)[example.row] < 0
            named = "+".join(rows.distorted_by(example.row)).split("+")
            assert example.distortion in named


def test_shares_of_disagreement_are_those_of_opposite_preferences(triplets, pairs):
    for found in (triplets, pairs):
        between = [entry for entry in found.disagreements if entry.second is not None]
        assert {entry.first for entry in between} == {"ssim"}  # the metric that made the votes
        opposed = {frozenset(pair): share for pair, share in found.opposed.items()}
        for entry in between:
            assert entry.share == opposed[frozenset((entry.first, entry.second))]


def test_the_order_of_sets_and_rows_plays_no_part():
    one = synthetic(photos=np.repeat(np.arange(20, dtype=np.uint64), 3))
    order = np.random.default_rng(1).permutation(60)
    moved = replace(
        one,
        judgment=one.judgment[order],
        distances={name: tuple(side[order] for side in d) for name, d in one.distances.items()},
        photos=one.photos[order],
    )
    first, second = described(one), described(moved)
    for name in ("m",):
        assert first.calibration[name].error == pytest.approx(second.calibration[name].error)
        assert first.calibration[name].brier == pytest.approx(second.calibration[name].brier)
        for this, other in zip(first.gaps[name], second.gaps[name], strict=True):
            assert this.agreement.low == pytest.approx(other.agreement.low)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"distances": {"m": (np.ones(60), np.ones(60))}},
        {"distances": {"m": (np.full(60, -np.inf), np.linspace(-40, -10, 60))}},
        {"judgment": np.ones(60)},
        {"judgment": np.full(60, 0.5)},
        {"counts": np.where(np.arange(60) < 30, 2.0, np.nan)},
        {"task": "jnd", "distances": {"m": (np.full(60, -np.inf),)}},
        {"task": "jnd", "distances": {"m": (np.linspace(0, 1, 60),)}, "judgment": np.zeros(60)},
    ],
    ids=["separated", "ties", "infinite", "one-sided", "split", "counts", "pairs", "all-different"],
)
@pytest.mark.filterwarnings("error")
def test_odd_sets_give_finite_numbers_and_a_page(changes):
    found = described(synthetic(**changes))
    json.dumps(insight_values(found), allow_nan=False)
    assert "do not say how their patches were distorted" in page_of(found)


def test_sets_in_the_original_layout_have_sheets_without_distortions(tmp_path):
    layout = tmp_path / "2afc" / "val" / "cnn"
    make_2afc(layout, [0.0, 0.25, 1.0, 0.75])
    (original,) = find_judged(layout)
    judged = judged_original(original, ["l2", "ssim"], MetricOptions(), 1, patch_size=64)
    flipped = replace(judged, judgment=1 - judged.judgment)
    page = page_of(described(flipped)) + page_of(described(judged))
    assert "data:image/png" in page


def test_values_are_plain_and_counts_add_up(triplets, pairs):
    for found in (triplets, pairs):
        values = json.loads(json.dumps(insight_values(found), allow_nan=False))
        rows = values["rows"]
        assert values["simulated"]
        for name in METRICS:
            assert sum(part["rows"] for part in values["calibration"][name]["bins"]) == rows
            assert sum(point["rows"] for point in values["psychometric"][name]["points"]) == rows
        for entry in values["disagreement"]:
            assert sum(part["rows"] for part in entry["by_distortion"].values()) == sum(
                part["rows"] for part in values["by_distortion"]
            )
    assert set(insight_values(triplets)["by_difference"]) == set(METRICS)
    assert insight_values(pairs)["by_difference"] == {}


def test_every_figure_of_votes_says_that_observers_were_simulated(triplets, pairs):
    for found in (triplets, pairs):
        page = page_of(found)
        label = '<small class="simulated">simulated observers</small>'
        assert all(
            label in card for card in re.findall(r'<figure class="card">.*?</figure>', page, re.S)
        )
        assert page.count(label) == page.count('<figure class="card">') + page.count("scroll heat")
        sides = page.count('<img alt="p')
        assert page.count("(simulated)") == sides > 0
        assert "<script" not in page
    people = replace(triplets, rows=replace(triplets.rows, simulated=False))
    page = page_of(people)
    assert "imulated" not in page.replace(".simulated", "")
    assert "Where metrics disagree with people" in page


def test_sheets_can_be_left_out(triplets):
    assert "data:image" not in page_of(triplets, shown=0).replace('href="data:,"', "")


def test_sensitivity_is_shown_for_every_metric_and_distortion(sets):
    references = np.stack([np.full((64, 64, 3), 90, np.uint8)] * 2)
    references[:, ::7, ::5] = 200
    found = measure(references, METRICS, MetricOptions(), 1)
    json.dumps(sensitivity_values(found), allow_nan=False)
    page = (
        environment()
        .from_string('{% import "insight.html.j2" as insight %}{{ insight.sensitivity(view) }}')
        .render(view=sensitivity_view(found))
    )
    assert page.count("<details>") == len(METRICS)
    assert page.count("cubic_warp") > len(METRICS)


def test_a_metric_that_cannot_be_computed_here_is_left_out_of_sensitivity(tmp_path, caplog):
    table = tmp_path / "mine.csv"
    table.write_text("id,d0,d1\na,1,2\n")
    references = np.zeros((2, 16, 16, 3), np.uint8)
    found = measure(references, ["l2", str(table), "lpips-alex"], MetricOptions(), 1)
    assert list(found) == ["l2"]
    assert "lpips-alex is left out" in caplog.text


def test_a_metric_without_numbers_is_left_out_of_sensitivity(tmp_path, caplog):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import numpy as np\n"
        "def odd(a, b):\n"
        "    'Infinite for what differs.'\n"
        "    return np.where((a == b).all((1, 2, 3)), 0.0, np.inf)\n"
    )
    references = np.full((2, 16, 16, 3), 90, np.uint8)
    references[:, ::3, ::5] = 200
    found = measure(references, ["l2", f"{plugin}:odd"], MetricOptions(), 1)
    assert list(found) == ["l2"]
    assert "left out of sensitivity" in caplog.text
