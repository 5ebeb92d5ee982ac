"""The kind of subsets and merged sets: rows chosen from datasets of other kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo, SelectionInfo
from bapps_gen.manifests.origin import Origin, part_folder
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.pipelines.datasets.kind import (
    Kind,
    RowImages,
    RowPlanner,
    RowRenderer,
    RowReplayer,
    zoo_of,
)
from bapps_gen.pipelines.datasets.selected_rows import (
    SelectedImages,
    SelectionPlanner,
    SelectionRenderer,
    SelectionReplayer,
)
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import make_folder


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

    def relocate_images(self, dataset: Dataset, where: Whereabouts) -> RowImages:
        """See `Kind`; `source` has photos, and ground truth where that is all or not known here."""
        parts = self._parts(dataset.info)
        where.check_outputs(dataset)
        has_photos = any(not kind.has_outputs for kind, _ in parts)
        once = cache(where.opener)
        found = {}
        for kind, part in parts:
            no_photos = kind.has_outputs and has_photos and part.origin is not None
            own = replace(
                where,
                opener=once,
                source=() if no_photos else where.source,
                outputs={n: root for n, root in where.outputs.items() if n in part.outputs},
            )
            held = Dataset(part_folder(dataset.folder, part.digest), part)
            found[part.digest] = kind.relocate_images(held, own)
        return SelectedImages(cast(dict[str, Any], found))

    def relocated(self, info: DatasetInfo, images: RowImages) -> DatasetInfo:
        assert isinstance(info, SelectionInfo)
        own, zoo = cast(SelectedImages, images).parts, zoo_of(info)
        parts = []
        for kind, part in self._parts(info):
            known = replace(part, origin=Origin(zoo=zoo if kind.has_distorters else None))
            parts.append(kind.relocated(known, own[part.digest]))
        return replace(info, parts=tuple(parts), **merged_origin(parts))

    def copy_extra_files(self, dataset: Dataset, folder: Location) -> None:
        """Copy what each part has."""
        for kind, part in self._parts(dataset.info):
            copy_part(kind, Dataset(part_folder(dataset.folder, part.digest), part), folder)

    def describe(self, info: DatasetInfo) -> str:
        parts = self._parts(info)
        described = (f"{part.kind} ({kind.describe(part)})" for kind, part in parts)
        return "; ".join(dict.fromkeys(described))

    def irreproducible(self, info: DatasetInfo) -> UserError:
        return UserError("rows of an imported dataset are among these, and cannot be made again")

    def _parts(self, info: DatasetInfo) -> list[tuple[Kind, DatasetInfo]]:
        assert isinstance(info, SelectionInfo)
        given = info.plugin_files
        return [(self.kinds[part.digest], replace(part, plugin_files=given)) for part in info.parts]


def copy_part(kind: Kind, dataset: Dataset, folder: Location) -> None:
    """Copy what a dataset has in addition to its shards to a selection's folder."""
    if kind.has_outputs:
        target = part_folder(folder, dataset.info.digest)
        make_folder(target)
        kind.copy_extra_files(dataset, target)


def merged_origin(parts: Sequence[DatasetInfo]) -> dict[str, Any]:
    """The fields of a selection that say where its parts come from, by name."""
    origins = [part.origin for part in parts if part.origin is not None]
    origin = None
    if origins:
        origin = Origin(
            tuple(dict.fromkeys(root for each in origins for root in each.roots)),
            next((each.zoo for each in origins if each.zoo is not None), None),
            {name: root for each in origins for name, root in each.outputs.items()},
        )
    return {
        "origin": origin,
        "sources": tuple(dict.fromkeys(name for part in parts for name in part.sources)),
        "zoo": next((part.zoo for part in parts if part.zoo is not None), None),
        "outputs": {name: root for part in parts for name, root in part.outputs.items()},
    }
