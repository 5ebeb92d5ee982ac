"""Plans of single rows, by planners that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from bapps_gen.cnn_distorters.as_distortions import distorter_versions
from bapps_gen.distortions.registry import load_registry
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.spec import RealSpec
from bapps_gen.pipelines.rows.options import CROP_SHARE
from bapps_gen.pipelines.rows.plan import Planner, TripletPlan, planning_registry
from bapps_gen.pipelines.rows.spec import TripletSpec, atom_versions


def spec_of(choices: tuple[str, ...] = (), distorters: int = 0, **values: object) -> TripletSpec:
    """A spec of some distortions, and of so many CNN distorters that nobody has to have.

    Args:
        choices: traditional distortions.
        distorters: how many of the paper's zoo.
        values: of the spec, in place of these.
    """
    ids = tuple(f"{number:03d}" for number in range(distorters))
    fixed = {
        "seed": 0,
        "images": 7,
        "source_digest": "x",
        "choices": choices,
        "crop_share": CROP_SHARE.default,
        "versions": (*atom_versions(load_registry(), choices), *distorter_versions(ids)),
        "distorters": tuple((name, f"digest of {name}") for name in ids),
    }
    return TripletSpec(**{**fixed, **values})


def evenness(counts: Mapping[str, int], kinds: int) -> float:
    """χ² of numbers of draws over its expectation under uniform ones, in standard deviations."""
    assert len(counts) == kinds
    mean = sum(counts.values()) / kinds
    chi = sum((count - mean) ** 2 / mean for count in counts.values())
    return (chi - (kinds - 1)) / (2 * (kinds - 1)) ** 0.5


def check_pure(spec: TripletSpec) -> None:
    """Assert that rows are planned alike in any order, and otherwise with another seed."""
    planner = Planner(spec, planning_registry(spec))
    for row in (5, 0, 123_456, 7):
        planner.row(row + 1)
        assert planner.row(row) == plan_row(spec, row)
    assert plan_row(spec, 0).sides != plan_row(replace(spec, seed=1), 0).sides


@lru_cache(maxsize=4)
def _planner(spec: TripletSpec) -> Planner:
    return Planner(spec, planning_registry(spec))


@lru_cache(maxsize=4)
def _real_planner(spec: RealSpec) -> RealPlanner:
    return RealPlanner(spec)


def plan_row(spec: TripletSpec, row: int) -> TripletPlan:
    """The plan of a row of a set from photos."""
    return _planner(spec).row(row)


def plan_real_row(spec: RealSpec, row: int) -> TripletPlan:
    """The plan of a row of a set from real algorithms."""
    return _real_planner(spec).row(row)
