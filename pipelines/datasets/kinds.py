"""The kinds of datasets: a record each, with everything that differs between them.

`kind_of` gives the record of a dataset that exists, `KINDS` those that can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo, SelectionInfo
from bapps_gen.manifests.origin import ORIGIN_NAME, Origin, public_outputs
from bapps_gen.manifests.outputs import copy_outputs, has_outputs, read_outputs, write_outputs
from bapps_gen.pipelines.datasets.kind import (
    Kind,
    RowImages,
    RowPlanner,
    RowRenderer,
    RowReplayer,
    with_origin,
    zoo_of,
)
from bapps_gen.pipelines.datasets.selection_kind import selection_kind
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.pipelines.datasets.zoo import (
    dataset_registry,
    plugins_of,
    worker_registry,
)
from bapps_gen.pipelines.real.align import AlignedImages, relocate_aligned
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.renderer import RealRenderer, RealReplayer
from bapps_gen.pipelines.real.spec import (
    REAL_PLAN_VERSION,
    STEP_VERSION,
    RealSpec,
    real_spec_from_values,
)
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.plan import Planner, check_version, planning_registry
from bapps_gen.pipelines.rows.renderer import TripletRenderer
from bapps_gen.pipelines.rows.replayer import TripletReplayer
from bapps_gen.pipelines.rows.spec import PLAN_VERSION, TripletSpec, spec_from_values
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images, relocate_images
from bapps_gen.storage.locations import Location
from bapps_gen.storage.records import shown
from bapps_gen.storage.url import is_url


@dataclass(frozen=True)
class DistortionKind(Kind):
    """Rows are cut from photos and distorted here."""

    plan_version: ClassVar[int] = PLAN_VERSION

    @property
    def is_reproducible(self) -> bool:
        return True

    def spec(self, info: DatasetInfo) -> TripletSpec:
        return spec_from_values(info.spec)

    def planner(self, info: DatasetInfo) -> RowPlanner:
        spec = self.spec(info)
        return Planner(spec, planning_registry(spec, plugins_of(info)))

    def renderer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowRenderer:
        photos, registry = cast(Images, images), worker_registry(info, zoo)
        planner = Planner(self.spec(info), registry)
        cache = ImageCache(photos, step_of=planner.step)
        return TripletRenderer(planner, registry.atoms, photos, cache, info.digest)

    def replayer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowReplayer:
        photos, registry = cast(Images, images), worker_registry(info, zoo)
        return TripletReplayer(registry, photos, self.spec(info).crop_sizes, info.patch_size)

    def check_versions(self, info: DatasetInfo, zoo: Zoo | None) -> None:
        self.spec(info)
        registry = dataset_registry(info, zoo)
        for name, version in info.distortions.items():
            check_version(name, registry.atom(name).version, version)

    def relocate_images(self, dataset: Dataset, where: Whereabouts) -> RowImages:
        where.check_outputs(dataset)
        return relocate_images(dataset.info.source_images, where.open_images(dataset))

    def describe(self, info: DatasetInfo) -> str:
        if self.has_other_plan(info):
            return super().describe(info)
        spec, parts = self.spec(info), []
        severity = "severity {:g} to {:g}".format(*spec.severity)
        if spec.near_threshold:
            severity += ", near the threshold of noticing"
        if spec.choices:
            compositions = sum("+" in choice for choice in spec.choices)
            parts.append(
                f"{len(spec.choices) - compositions} distortions and {compositions} compositions "
                f"of two, {severity}"
            )
        if spec.distorters:
            graded = f", {severity}" if spec.near_threshold else ""
            parts.append(f"{len(spec.distorters)} CNN distorters{graded}")
        if spec.sequences is not None:
            share = 100 * spec.sequences
            parts.append(f"a CNN distorter followed by a distortion in {share:g} %")
        return "; ".join(parts)


@dataclass(frozen=True)
class RealKind(Kind):
    """Rows are cut from ground truth and the outputs of real algorithms; its name is the task."""

    plan_version: ClassVar[int] = REAL_PLAN_VERSION

    @property
    def is_reproducible(self) -> bool:
        return True

    @property
    def has_outputs(self) -> bool:
        return True

    def spec(self, info: DatasetInfo) -> RealSpec:
        return real_spec_from_values(info.spec)

    def planner(self, info: DatasetInfo) -> RowPlanner:
        return RealPlanner(self.spec(info))

    def renderer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowRenderer:
        planner = RealPlanner(self.spec(info))
        return RealRenderer(planner, cast(AlignedImages, images), info.digest)

    def replayer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowReplayer:
        return RealReplayer(cast(AlignedImages, images), self.name, info.patch_size)

    def check_versions(self, info: DatasetInfo, zoo: Zoo | None) -> None:
        self.spec(info)
        for name, version in info.distortions.items():
            check_version(name, STEP_VERSION, version, "bapps-gen")

    def relocate_images(self, dataset: Dataset, where: Whereabouts) -> RowImages:
        where.check_outputs(dataset)
        if where.of_collection:
            where = replace(where, source=())
        info = dataset.info
        names = tuple(info.outputs)
        files = read_outputs(dataset.folder, info.digest, names)
        urls = {name: root for name, root in info.outputs.items() if is_url(root)}
        known = urls if info.origin is None else info.origin.outputs
        roots = {**known, **where.outputs}
        for name in names:
            if name not in roots:
                raise UserError(
                    f"where the outputs of '{name}' lie is not known here: there is no "
                    f"{ORIGIN_NAME}; give --outputs {name}=DIR"
                )
        return relocate_aligned(
            info.source_images,
            tuple(zip(names, files, strict=True)),
            where.open_images(dataset),
            lambda name: where.opener((roots[name],)),
        )

    def describe(self, info: DatasetInfo) -> str:
        if self.has_other_plan(info):
            return super().describe(info)
        return f"outputs of {', '.join(self.spec(info).names)}"

    def relocated(self, info: DatasetInfo, images: RowImages) -> DatasetInfo:
        aligned = cast(AlignedImages, images)
        parts = zip(aligned.algorithms, aligned.outputs, strict=True)
        outputs = {name: part.roots[0] for name, part in parts}
        origin = Origin(aligned.reference.roots, zoo_of(info), outputs)
        return replace(with_origin(info, origin), outputs=public_outputs(origin))

    def write_extra_files(self, folder: Location, info: DatasetInfo, images: RowImages) -> None:
        """Write `outputs.parquet`."""
        if not has_outputs(folder, info.digest):
            aligned = cast(AlignedImages, images)
            names = [name for name, _ in info.source_images]
            algorithms = enumerate(aligned.algorithms)
            files = ((name, aligned.files(index)) for index, name in algorithms)
            write_outputs(folder, info.digest, names, files)

    def copy_extra_files(self, dataset: Dataset, folder: Location) -> None:
        """Copy `outputs.parquet`."""
        copy_outputs(dataset, folder)


_CROPS = ("patch_size", "scale_range", "min_contrast", "rows_per_image", "shard_size")
_PHOTOS = ("crop_share", *_CROPS)
_CHOICE = ("families", "atoms", "compositions", "singles", "plugins")
_TRADITIONAL = (*_CHOICE, "severity", "folding", "fixed_px")
_CNN = ("zoo", "distorters")
_REAL = ("reference", "outputs", "skip_misaligned", "min_difference", "demo", "demo_images")

IMPORTED = Kind("imported")
"""Sets of the original layout, judged ones among them."""

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        DistortionKind("traditional", "2afc", (*_PHOTOS, *_TRADITIONAL)),
        DistortionKind("cnn", "2afc", (*_PHOTOS, *_CNN)),
        DistortionKind("mix", "2afc", (*_PHOTOS, *_TRADITIONAL, *_CNN, "sequences")),
        *(
            RealKind(
                name,
                "2afc",
                (*_CROPS, *_REAL, *task.options),
                {"scale_range": task.scale, "min_difference": task.min_difference},
            )
            for name, task in TASKS.items()
        ),
        # Named as imported sets of the original layout are.
        DistortionKind("jnd-traditional", "jnd", (*_PHOTOS, *_TRADITIONAL, "near_threshold")),
        DistortionKind("jnd-cnn", "jnd", (*_PHOTOS, *_CNN, "severity", "near_threshold")),
    )
}
"""Kinds that can be asked for, by name."""


def kind_of(info: DatasetInfo) -> Kind:
    """The kind of a dataset that exists.

    Raises:
        WorkError: when this version does not know it.
    """
    if isinstance(info, SelectionInfo):
        return selection_kind(info, {part.digest: kind_of(part) for part in info.parts})
    if "imported" in info.spec:  # their names are those of other kinds
        return IMPORTED
    if info.kind not in KINDS:
        raise WorkError(
            f"{INFO_NAME}: kind = {shown(info.kind)} is not known; "
            "read it with the version of bapps-gen that made it"
        )
    kind = KINDS[info.kind]
    if kind.has_other_plan(info):
        return kind
    try:
        spec = kind.spec(info)
    except UserError as error:
        raise WorkError(f"{INFO_NAME} is damaged: {error}; restore it from a copy") from None
    if spec.kind != kind.name:
        raise WorkError(
            f"{INFO_NAME} is damaged: kind = {kind.name}, but its spec is of kind {spec.kind}; "
            "restore it from a copy"
        )
    if spec.images != len(info.source_images):
        raise WorkError(
            f"{INFO_NAME} is damaged: spec.images = {spec.images}, but source_images lists "
            f"{len(info.source_images)}; restore it from a copy"
        )
    return kind
