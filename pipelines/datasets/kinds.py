"""What makes the rows of a dataset, whatever its kind: a planner, and a renderer for the pixels."""

from __future__ import annotations

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.pipelines.datasets.zoo import worker_registry
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.renderer import RealRenderer
from bapps_gen.pipelines.real.spec import is_real, real_spec_from_values
from bapps_gen.pipelines.rows.plan import Planner, planning_registry
from bapps_gen.pipelines.rows.renderer import TripletRenderer
from bapps_gen.pipelines.rows.spec import spec_from_values
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images

RowSource = Images | AlignedImages
"""What rows are made from: photos, or ground truth with the outputs of algorithms."""

RowPlanner = Planner | RealPlanner
RowRenderer = TripletRenderer | RealRenderer


def row_planner(info: DatasetInfo) -> RowPlanner:
    """Plans a dataset's rows; needs neither its images nor its zoo."""
    if is_real(info):
        return RealPlanner(real_spec_from_values(info.spec))
    spec = spec_from_values(info.spec)
    return Planner(spec, planning_registry(spec, info.plugins))


def row_renderer(info: DatasetInfo, source: RowSource, zoo: Zoo | None = None) -> RowRenderer:
    """Renders a dataset's rows; its `planner` plans them.

    Raises:
        UserError: when a distortion is unknown or of another version here.
        WorkError: when a distorter's file is missing or damaged.
    """
    if isinstance(source, AlignedImages):
        return RealRenderer(RealPlanner(real_spec_from_values(info.spec)), source, info.digest)
    registry = worker_registry(info, zoo)
    planner = Planner(spec_from_values(info.spec), registry)
    return TripletRenderer(planner, registry.atoms, source, ImageCache(source), info.digest)
