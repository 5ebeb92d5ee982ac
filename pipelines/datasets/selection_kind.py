"""The kind of subsets and merged sets: rows chosen from datasets of other kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo, SelectionInfo
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.pipelines.datasets.kind import (
    Kind,
    Opener,
    RowImages,
    RowPlanner,
    RowRenderer,
    RowReplayer,
)
from bapps_gen.pipelines.datasets.selected_rows import (
    SelectedImages,
    SelectionPlanner,
    SelectionRenderer,
    SelectionReplayer,
)
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import make_folder

PARTS_FOLDER = "parts"
"""Holds what datasets that rows were chosen from have in addition to shards, by their digest."""


def selection_kind(info: SelectionInfo, kinds: Mapping[str, Kind]) -> SelectionKind:
    """The kind of a subset or merged set.

    Args:
        info: of the set.
        kinds: of the datasets that its rows were made as, by digest.

    Raises:
        WorkError: when the description contradicts itself.
    """
    if not kinds or info.spec.get("parts") != [part.digest for part in info.parts]:
        raise WorkError(
            f"{INFO_NAME} is damaged: spec.parts are not the digests of parts; "
            "restore it from a copy"
        )
    return SelectionKind(
        info.kind,
        "2afc" if tuple(info.patches) == PATCHES else "jnd",
        tuple(dict.fromkeys(name for kind in kinds.values() for name in kind.options)),
        kinds=kinds,
    )


@dataclass(frozen=True)
class SelectionKind(Kind):
    """Rows are those of other datasets; `kinds` are theirs, by digest."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def is_reproducible(self) -> bool:
        return all(kind.is_reproducible for kind in self.kinds.values())

    @property
    def has_outputs(self) -> bool:
        return any(kind.has_outputs for kind in self.kinds.values())

    def has_other_plan(self, info: DatasetInfo) -> bool:
        return any(kind.has_other_plan(part) for kind, part in self._parts(info))

    def planner(self, info: DatasetInfo) -> RowPlanner:
        planners = {part.digest: kind.planner(part) for kind, part in self._parts(info)}
        return SelectionPlanner(cast(dict[str, Any], planners))

    def renderer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowRenderer:
        own = cast(SelectedImages, images).parts
        renderers = {
            part.digest: kind.renderer(part, own[part.digest], zoo)
            for kind, part in self._parts(info)
        }
        return SelectionRenderer(cast(dict[str, Any], renderers))

    def replayer(self, info: DatasetInfo, images: RowImages, zoo: Zoo | None) -> RowReplayer:
        own = cast(SelectedImages, images).parts
        replayers = {
            part.digest: kind.replayer(part, own[part.digest], zoo)
            for kind, part in self._parts(info)
        }
        return SelectionReplayer(cast(dict[str, Any], replayers))

    def check_versions(self, info: DatasetInfo, zoo: Zoo | None) -> None:
        for kind, part in self._parts(info):
            kind.check_versions(part, zoo)

    def relocate_images(
        self,
        dataset: Dataset,
        source: Sequence[str],
        outputs: Mapping[str, str],
        opener: Opener,
    ) -> RowImages:
        """See `Kind`; `source` has photos where any rows were made from these, or ground truth."""
        parts = self._parts(dataset.info)
        known = {name for _, part in parts for name in part.outputs}
        for name in outputs:
            if name not in known:
                raise UserError(
                    f"outputs = {name}=… cannot be used: {dataset.folder} has "
                    f"{', '.join(sorted(known)) or 'no algorithms'}; leave it out"
                )
        has_photos = any(not kind.has_outputs for kind, _ in parts)
        once = cache(opener)
        found = {}
        for kind, part in parts:
            found[part.digest] = kind.relocate_images(
                Dataset(part_folder(dataset.folder, part), part),
                () if kind.has_outputs and has_photos else source,
                {name: root for name, root in outputs.items() if name in part.outputs},
                once,
            )
        return SelectedImages(cast(dict[str, Any], found))

    def relocated(self, info: DatasetInfo, images: RowImages) -> DatasetInfo:
        assert isinstance(info, SelectionInfo)
        own = cast(SelectedImages, images).parts
        parts = tuple(kind.relocated(part, own[part.digest]) for kind, part in self._parts(info))
        return replace(info, source_roots=images.roots, parts=parts)

    def copy_extra_files(self, dataset: Dataset, folder: Location) -> None:
        """Copy what each part has."""
        for kind, part in self._parts(dataset.info):
            copy_part(kind, Dataset(part_folder(dataset.folder, part), part), folder)

    def describe(self, info: DatasetInfo) -> str:
        parts = self._parts(info)
        described = (f"{part.kind} ({kind.describe(part)})" for kind, part in parts)
        return "; ".join(dict.fromkeys(described))

    def irreproducible(self, info: DatasetInfo) -> UserError:
        return UserError("rows of an imported dataset are among these, and cannot be made again")

    def _parts(self, info: DatasetInfo) -> list[tuple[Kind, DatasetInfo]]:
        assert isinstance(info, SelectionInfo)
        return [(self.kinds[part.digest], part) for part in info.parts]


def part_folder(folder: Location, part: DatasetInfo) -> Location:
    """Where a selection has what one of its parts has in addition to shards."""
    return folder / PARTS_FOLDER / part.digest


def copy_part(kind: Kind, dataset: Dataset, folder: Location) -> None:
    """Copy what a dataset has in addition to its shards to a selection's folder."""
    if kind.has_outputs:
        target = part_folder(folder, dataset.info)
        make_folder(target)
        kind.copy_extra_files(dataset, target)
