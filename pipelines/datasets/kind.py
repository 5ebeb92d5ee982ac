"""The record of a kind of dataset: everything that differs between kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import Dataset, DatasetInfo
from bapps_gen.manifests.origin import Origin, published
from bapps_gen.pipelines.datasets.selected_rows import (
    SelectedImages,
    SelectionPlanner,
    SelectionRenderer,
    SelectionReplayer,
)
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.renderer import RealRenderer, RealReplayer
from bapps_gen.pipelines.real.spec import RealSpec
from bapps_gen.pipelines.rows.plan import Planner
from bapps_gen.pipelines.rows.renderer import TripletRenderer
from bapps_gen.pipelines.rows.replayer import TripletReplayer
from bapps_gen.pipelines.rows.spec import TripletSpec
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.storage.locations import Location

RowImages = Images | AlignedImages | SelectedImages
"""What rows are made from: photos, or ground truth with the outputs of algorithms."""

RowPlanner = Planner | RealPlanner | SelectionPlanner
RowRenderer = TripletRenderer | RealRenderer | SelectionRenderer
RowReplayer = TripletReplayer | RealReplayer | SelectionReplayer


@dataclass(frozen=True)
class Kind:
    """A kind of dataset; this base is one whose rows cannot be made again.

    Args:
        name: as `dataset.json` has it.
        task: "2afc" for triplets, "jnd" for pairs; empty where both occur.
        options: names of the fields of `Request` that it takes.
        defaults: by name, of those options whose default depends on the kind.
    """

    name: str
    task: str = ""
    options: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    plan_version: ClassVar[int] = 0
    """Of the rules by which rows are planned here."""

    @property
    def is_reproducible(self) -> bool:
        """Whether rows are planned from a spec, so that they can be made again."""
        return False

    @property
    def has_outputs(self) -> bool:
        """Whether rows are cut from the outputs of algorithms rather than distorted here."""
        return False

    @property
    def has_atoms(self) -> bool:
        """Whether traditional distortions are applied."""
        return "atoms" in self.options

    @property
    def has_distorters(self) -> bool:
        """Whether CNN distorters are applied, which is quickest for many rows together."""
        return "distorters" in self.options

    def has_other_plan(self, info: DatasetInfo) -> bool:
        """Whether a dataset was planned by other rules: it can be read, and not made again."""
        version = info.spec.get("plan_version")
        is_number = isinstance(version, int) and not isinstance(version, bool)
        return self.is_reproducible and is_number and version != self.plan_version

    def spec(self, info: DatasetInfo) -> TripletSpec | RealSpec:
        """A dataset's spec.

        Raises:
            UserError: when it is not one of this kind, or planned by other rules.
        """
        raise self.irreproducible(info)

    def planner(self, info: DatasetInfo) -> RowPlanner:
        """Plans a dataset's rows; needs neither its images nor its zoo."""
        raise self.irreproducible(info)

    def renderer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowRenderer:
        """Renders a dataset's rows; its `planner` plans them.

        Raises:
            UserError: when a distortion is unknown or of another version here.
            WorkError: when a distorter's file is missing or damaged.
        """
        raise self.irreproducible(info)

    def replayer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowReplayer:
        """Makes the patches of stored rows again; raises as `renderer` does."""
        raise self.irreproducible(info)

    def check_versions(self, info: DatasetInfo, zoo: Zoo | None) -> None:
        """Raise UserError unless a dataset's plan and distortions are here as it has them."""
        raise self.irreproducible(info)

    def relocate_images(self, dataset: Dataset, where: Whereabouts) -> RowImages:
        """The images that a dataset or recipe was made from, found again by content.

        Raises:
            UserError: when outputs are given that the dataset does not have.
            WorkError: when something is missing or has changed.
        """
        raise self.irreproducible(dataset.info)

    def relocated(self, info: DatasetInfo, images: RowImages) -> DatasetInfo:
        """A description with where the images are now, so that `verify` finds them."""
        return with_origin(info, Origin(images.roots, zoo_of(info)))

    def write_extra_files(self, folder: Location, info: DatasetInfo, images: RowImages) -> None:
        """Write what a dataset has in addition to its shards, unless it is there."""

    def copy_extra_files(self, dataset: Dataset, folder: Location) -> None:
        """Copy what a dataset has in addition to its shards to another folder."""

    def describe(self, info: DatasetInfo) -> str:
        """What a dataset's rows were made with, on one line."""
        return info.kind

    def irreproducible(self, info: DatasetInfo) -> UserError:
        """The error where rows cannot be made again."""
        return UserError(
            f"'{info.kind}' was imported, so its rows cannot be made again; import it again"
        )


def with_origin(info: DatasetInfo, origin: Origin) -> DatasetInfo:
    """A description of images that lie elsewhere."""
    return replace(info, origin=origin, sources=published(origin)["sources"])


def zoo_of(info: DatasetInfo) -> str | None:
    """Where the zoo of a dataset lies, as far as that is known here."""
    return None if info.origin is None else info.origin.zoo
