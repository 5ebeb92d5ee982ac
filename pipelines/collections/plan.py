"""What making a collection would do: all its sets checked before any pixel is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bapps_gen.errors import BappsGenError, UserError, WorkError, one_line
from bapps_gen.execution.jobs import Workers
from bapps_gen.manifests.collection import (
    COLLECTION,
    is_collection,
    open_collection,
    set_state,
)
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo, read_info
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.collections.spec import CollectionSpec, SetEntry, SourceEntry
from bapps_gen.pipelines.datasets.generate import resolve_info
from bapps_gen.pipelines.datasets.inputs import DatasetPlan, Inputs, demo_folder_of
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.datasets.zoo import pinned_distorters, worker_registry
from bapps_gen.pipelines.real.options import DEMO_LIMIT
from bapps_gen.pipelines.sources.source import Source, open_source, split_source
from bapps_gen.storage.space import free_bytes, size_text

logger = logging.getLogger(__name__)

ROW_BYTES = {"triplets": 26_000, "pairs": 17_300}
"""Bytes of a row in its shard, measured on sets from photos; softer photos take less."""

DEMO_BYTES = 3_000_000
"""Bytes of ground truth and outputs from one photo."""

SURELY = 0.75
"""Share of an estimate that is taken for certain: more than what is free is refused."""


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """A set that was asked for, with what is known of it before anything is rendered.

    Args:
        entry: what was asked for.
        folder: where it goes.
        demo_folder: where ground truth and outputs go if it is a demo.
        request: None where it cannot be made.
        photos: that it is made from, if any.
        plan: None where it cannot be made, or where a demo has to be made before.
        kept: rows that are there already.
        problem: why it cannot be made, or None.
    """

    entry: SetEntry
    folder: Path
    demo_folder: Path
    request: Request | None = None
    photos: Source | None = None
    plan: DatasetPlan | None = None
    kept: int = 0
    problem: str | None = None

    def resolve(self, workers: Workers = 1) -> DatasetPlan:
        """What will be made; a demo makes its ground truth and outputs for that.

        Raises:
            UserError, WorkError: as `Request.resolve`.
        """
        request, photos = self.request, self.photos
        assert request is not None
        opener = None if photos is None else lambda: photos
        split = self.entry.split
        return self.plan or request.resolve(Inputs(opener, self.demo_folder, workers, split=split))

    @property
    def missing_rows(self) -> int:
        """Rows that a run would make."""
        return 0 if self.problem else self.entry.rows - self.kept

    @property
    def missing_bytes(self) -> int:
        """About how many bytes these will take."""
        size = int(self.entry.options.get("patch_size", PATCH_SIZE))
        row = ROW_BYTES["pairs" if self.entry.task == "jnd" else "triplets"]
        need = self.missing_rows * row * size**2 // PATCH_SIZE**2
        if self.entry.demo and self.photos and not self.demo_folder.exists():
            limit = int(self.entry.options.get("demo_images", DEMO_LIMIT.default))
            need += DEMO_BYTES * min(limit, len(self.photos))
        return need


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """What a run of `make_collection` would do.

    Args:
        spec: of the whole collection.
        folder: where it goes.
        sets: those chosen, in order.
        sources: photos that were opened, by name.
        shared_photos: how many contents occur both in train and in another split.
        free_bytes: on the disk.
    """

    spec: CollectionSpec
    folder: Path
    sets: tuple[PlannedSet, ...]
    sources: Mapping[str, Source]
    shared_photos: int
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        """About how many bytes the sets will take that are still to be made."""
        return sum(planned.missing_bytes for planned in self.sets)

    @property
    def problems(self) -> dict[str, str]:
        """Reasons by path of sets that cannot be made."""
        return {planned.entry.path: planned.problem for planned in self.sets if planned.problem}


def plan_collection(
    spec: CollectionSpec,
    folder: Path,
    only: Sequence[str] = (),
    *,
    allow_shared_photos: bool = False,
    opener: Callable[[Sequence[str]], Source] = open_source,
) -> CollectionPlan:
    """Check everything that can be checked before pixels are made. Writes nothing.

    A set that cannot be made (no zoo, say) has a `problem` and stops no other; what concerns them
    all is raised.

    Args:
        only: names of sets, see `CollectionSpec.chosen`; all if empty.
        allow_shared_photos: let the same photo stand both in train and in another split.
        opener: opens the photos at some paths, once for all sets that have them.

    Raises:
        UserError: when the folder holds something else or another collection, photos are not given
            or cannot be used, train and another split share photos, or the disk is too small.
        WorkError: when `collection.json` is damaged.
    """
    chosen = spec.chosen(only)
    _check_folder(spec, folder)
    planned = [_requested(spec, entry, folder) for entry in chosen]
    entries = {
        item.entry.source_name: spec.source_of(item.entry) for item in planned if item.entry.photos
    }
    opened = _opened(entries, opener)
    described = _described(planned, opened)
    shared = _shared_photos(described, folder)
    if shared and not allow_shared_photos:
        raise UserError(
            f"{shared_text(shared)} both in train and in another split, byte for byte the same, "
            "so that metrics would be tested on photos they were trained on; take them out of one, "
            "or give all photos with --source, which parts them by content (or pass "
            "--allow-shared-photos)"
        )
    if shared:
        logger.warning("%s both in train and in another split", shared_text(shared))
    plan = CollectionPlan(spec, folder, tuple(described), opened, shared, free_bytes(folder))
    _check_room(plan)
    return plan


def _check_folder(spec: CollectionSpec, folder: Path) -> None:
    """Raise UserError when a folder holds something else, or another collection."""
    if is_collection(folder):
        held = open_collection(folder).info
        COLLECTION.require_same(
            folder, {"name": held.name, "seed": held.seed}, {"name": spec.name, "seed": spec.seed}
        )
    elif (folder / INFO_NAME).exists():
        raise UserError(f"{folder} is a single dataset, not a collection; choose another --out")
    COLLECTION.refuse_foreign(folder)


def _requested(spec: CollectionSpec, entry: SetEntry, folder: Path) -> PlannedSet:
    """A set with its request, checked as far as it can be without images."""
    planned = PlannedSet(entry, folder / entry.path, demo_folder_of(folder) / entry.path)
    try:
        request = entry.request(spec.seed_of(entry))
        request.check()
    except BappsGenError as error:
        return replace(planned, problem=one_line(error))
    return replace(planned, request=request)


def shared_text(count: int) -> str:
    """ "1 photo is" or "7 photos are"."""
    return "1 photo is" if count == 1 else f"{count:,} photos are"


def _opened(
    entries: Mapping[str, SourceEntry], opener: Callable[[Sequence[str]], Source]
) -> dict[str, Source]:
    """Sources by name; photos of which several parts are taken are read once."""
    whole: dict[tuple[str, ...], Source] = {}
    sources = {}
    for name, entry in entries.items():
        if entry.paths not in whole:
            whole[entry.paths] = opener(entry.paths)
        source = whole[entry.paths]
        if entry.split is not None:
            source = split_source(source, entry.split, entry.val_fraction)
        sources[name] = source
    return sources


def _described(planned: Sequence[PlannedSet], sources: Mapping[str, Source]) -> list[PlannedSet]:
    """With what will be made, zoos read to the end, and what the folders hold."""
    images: dict[str, tuple[tuple[str, str], ...]] = {}
    zoos: dict[tuple[object, ...], str | None] = {}
    described = []
    for item in planned:
        photos = sources[item.entry.source_name] if item.entry.photos else None
        described.append(_checked(replace(item, photos=photos), images, zoos))
    return described


def _checked(
    item: PlannedSet,
    images: dict[str, tuple[tuple[str, str], ...]],
    zoos: dict[tuple[object, ...], str | None],
) -> PlannedSet:
    """A set resolved, and compared with its folder; `images` and `zoos` are those seen so far."""
    if item.request is None:
        return item
    problem = None
    if not item.entry.demo:
        try:
            plan = item.resolve()
        except BappsGenError as error:
            return replace(item, problem=one_line(error))
        # One list of photos for all sets that have the same: there may be millions.
        shared = images.setdefault(plan.info.source_digest, plan.info.source_images)
        plan = replace(plan, info=replace(plan.info, source_images=shared))
        item = replace(item, plan=plan)
        problem = _zoo_problem(plan.info, zoos)
    try:
        kept = _kept_rows(item)
    except WorkError as error:  # a UserError, such as another spec, concerns the whole run
        return replace(item, problem=problem or one_line(error))
    return replace(item, kept=kept, problem=problem)


def _zoo_problem(info: DatasetInfo, seen: dict[tuple[object, ...], str | None]) -> str | None:
    """Why a set's distorters cannot be used; each zoo is loaded once, and not kept."""
    pinned = pinned_distorters(info)
    key = (info.origin and info.origin.zoo, pinned)
    if pinned and key not in seen:
        try:
            worker_registry(info)
            seen[key] = None
        except BappsGenError as error:
            seen[key] = one_line(error)
    return seen.get(key)


def _kept_rows(planned: PlannedSet) -> int:
    """Rows that a set's folder holds of what is wanted; of a demo, that it holds at all.

    Raises:
        UserError: when it holds another spec, or more rows.
        WorkError: when its `dataset.json` is damaged.
    """
    folder = planned.folder
    if not folder.exists():
        return 0
    if (folder / INFO_NAME).exists():
        held = read_info(folder).rows
        if held > planned.entry.rows:
            raise UserError(
                f"{folder} has {held} rows, more than the {planned.entry.rows} asked for; repeat "
                "the --scale it was made with or a larger one, or choose another --out"
            )
    if planned.plan is None:
        return set_state(folder)[0]
    info = planned.plan.info
    resolve_info(folder, info)
    return sum(map(info.rows_in, Dataset(folder, info).whole_shards()))


def _shared_photos(planned: Sequence[PlannedSet], folder: Path) -> int:
    """How many contents occur both in train and in another split, sets made before included."""
    sets = [(item.entry.split, item.plan.info) for item in planned if item.plan is not None]
    if is_collection(folder):
        for record, dataset in open_collection(folder).datasets():
            sets.append((record.path.split("/")[1], dataset.info))
    contents: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for split, info in sets:
        side = contents[split == "train"]
        if info.source_digest not in side:
            side[info.source_digest] = {sha256 for _, sha256 in info.source_images}
    train, others = (set[str]().union(*contents[side].values()) for side in (True, False))
    return len(train & others)


def _check_room(plan: CollectionPlan) -> None:
    need, free = plan.missing_bytes, plan.free_bytes
    message = f"about {size_text(need)} are needed and {size_text(free)} are free at {plan.folder}"
    if SURELY * need > free:
        raise UserError(f"{message}; free some space, choose another --out, or lower --scale")
    if need > free:
        logger.warning("%s: it may not fit; what is made is kept", message)
