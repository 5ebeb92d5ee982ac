"""Plans of single rows, by planners that are kept."""

from __future__ import annotations

from functools import lru_cache

from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.spec import RealSpec
from bapps_gen.pipelines.rows.plan import Planner, TripletPlan, planning_registry
from bapps_gen.pipelines.rows.spec import TripletSpec


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
