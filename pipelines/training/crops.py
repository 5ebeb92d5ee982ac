"""Crops of photos to train distorters on, cut once and read by all of them.

Photos are decoded once for the whole zoo instead of once for each distorter. Crops lie as raw
arrays of 12,288 bytes a crop: 16 GB for the paper's 1.3 million.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import BappsGenError, ImageError, SourceError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.rows.crops import CropSizes, ImageOrder, RandomCrops
from bapps_gen.pipelines.rows.options import CROP_SHARE
from bapps_gen.pipelines.rows.render import check_size, luma_contrast
from bapps_gen.pipelines.rows.usable_crops import cut_crops
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.seeding import (
    SLOT_HELD_OUT,
    SLOT_TRAINING_CROP_ORDER,
    SLOT_TRAINING_CROPS,
    digest_of,
)
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.locations import require_regular
from bapps_gen.storage.records import parse_record
from bapps_gen.storage.workspace import make_folder

logger = logging.getLogger(__name__)

CROPS_VERSION = 2
PART_CROPS = 2048

HELD_OUT_SHARE = 0.15
HELD_OUT_PATCHES = 64
HELD_OUT_CONTRAST = 0.02
"""Least deviation of a held-out patch's luma: a flat one says nothing about a distorter."""
_HELD_OUT_TRIES = 20
_MAX_HELD_OUT = 200

_INFO = "crops.json"


@dataclass(frozen=True, slots=True)
class CropPlan:
    """What crops are cut from a source.

    Args:
        source_digest: of the source.
        seed: of the zoo.
        crop_share: see `TripletSpec`; crops are as large as those of triplets by default.
        version: CROPS_VERSION.
    """

    source_digest: str
    seed: int
    crop_share: tuple[float, float] = CROP_SHARE.default
    version: int = CROPS_VERSION

    @property
    def digest(self) -> str:
        """Names the crops; crop i does not depend on how many there are."""
        return digest_of(asdict(self))


def part_images(source: Source) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the images to train on, and of those held out, parted by content.

    The HELD_OUT_SHARE of contents with the smallest hashes (at least one, at most 200) is held
    out, so that copies of a photo never fall into both.

    Raises:
        SourceError: when the source has fewer than two different images.
    """
    hashes = [entry.sha256 for entry in source.entries]
    contents = sorted(set(hashes))
    if len(contents) < 2:
        raise SourceError(
            "the source has too few images: training needs at least 2 different ones, one of them "
            "to be held out; add photos"
        )
    count = max(1, min(_MAX_HELD_OUT, round(HELD_OUT_SHARE * len(contents))))
    held = set(contents[:count])
    kept = tuple(index for index, name in enumerate(hashes) if name not in held)
    return kept, tuple(index for index, name in enumerate(hashes) if name in held)


class Crops:
    """Crops on disk: `len`, and indexing by an array of numbers gives uint8 (N, 64, 64, 3)."""

    def __init__(self, folder: Path, count: int) -> None:
        self._count = count
        self._parts = [
            np.load(_part_path(folder, part), mmap_mode="r")
            for part in range(-(-count // PART_CROPS))
        ]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        crops = np.empty((len(numbers), PATCH_SIZE, PATCH_SIZE, 3), np.uint8)
        for row, number in enumerate(numbers):
            crops[row] = self._parts[number // PART_CROPS][number % PART_CROPS]
        return crops


@dataclass(frozen=True, slots=True)
class _Context:
    folder: Path
    source: Source
    images: tuple[int, ...]
    plan: CropPlan
    count: int


@dataclass(frozen=True, slots=True)
class _Report:
    crops: int
    failures: dict[str, str]


def write_crops(
    folder: Path,
    source: Source,
    images: tuple[int, ...],
    plan: CropPlan,
    count: int,
    workers: Workers,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Cut `count` crops into a folder, or those that it lacks; one image after another in passes.

    Returns:
        by name, why images could not be used; the next image took their place.

    Raises:
        SourceError: when no image can be used.
        WorkError: when a part cannot be written.
    """
    make_folder(folder)
    info = folder / _INFO
    failures: dict[str, str] = {}
    held = _read_info(info)
    if held is None or held[0] != plan.digest:
        for path in folder.glob("part-*.npy"):
            path.unlink()
    else:
        failures = held[1]
    _write_info(info, plan, failures)
    parts = range(-(-count // PART_CROPS))
    todo = [part for part in parts if not _is_whole(folder, part, _rows_of(part, count))]
    done = count - sum(_rows_of(part, count) for part in todo)
    if progress:
        progress(done, count)
    if not todo:
        return failures
    context = _Context(folder, source, images, plan, count)
    for report in run_jobs(_prepare, context, todo, workers, (info, *source.roots)):
        done += report.crops
        for name, reason in report.failures.items():
            if name not in failures:
                logger.warning("skipped %s: %s", name, reason)
        failures |= report.failures
        if progress:
            progress(done, count)
    _write_info(info, plan, failures)
    return failures


@dataclass(frozen=True, slots=True)
class CutPatches:
    """Patches to evaluate distorters on.

    Args:
        patches: uint8 (N, 64, 64, 3).
        images: index in the source of the image that each was meant to come from, (N,).
        failures: by name, why images could not be used; the next image took their place.
    """

    patches: NDArray[np.uint8]
    images: tuple[int, ...]
    failures: dict[str, str]


def cut_patches(source: Source, images: tuple[int, ...], plan: CropPlan, count: int) -> CutPatches:
    """Patches of some contrast, one image after another in passes.

    Those of a smaller count are the first of a larger one.

    Raises:
        SourceError: when the images give too few.
    """
    cutter = _Cutter(source, images, plan, SLOT_HELD_OUT)
    patches: list[NDArray[np.uint8]] = []
    cut_from: list[int] = []
    for number in range(_HELD_OUT_TRIES * count):
        patch = cutter.cut(number)
        if luma_contrast(patch) >= HELD_OUT_CONTRAST:
            patches.append(patch)
            cut_from.append(cutter.image_of(number))
            if len(patches) == count:
                return CutPatches(np.stack(patches), tuple(cut_from), cutter.failures)
    raise SourceError(
        f"the {len(images)} images to evaluate distorters on are too flat; add photos"
    )


class _Cutter:
    """Cuts crops by number; what it gives depends on the plan and the images alone."""

    def __init__(self, source: Source, images: tuple[int, ...], plan: CropPlan, slot: int) -> None:
        self.source, self.images = source, images
        sizes = CropSizes(crop_share=plan.crop_share)
        step_of = partial(sizes.step, patch_size=PATCH_SIZE)
        self.cache = ImageCache(source, step_of=step_of)
        self.failures: dict[str, str] = {}
        self._crops = RandomCrops(plan.seed, slot, sizes)
        self._order = ImageOrder(plan.seed, SLOT_TRAINING_CROP_ORDER, len(images))

    def image_of(self, number: int, step: int = 0) -> int:
        """Index in the source of the image of a crop, or of the one it tries `step` later."""
        return self.images[self._order.at(number, step)]

    def cut(self, number: int) -> NDArray[np.uint8]:
        """A crop, uint8 (64, 64, 3); an unusable image's turn goes to the next that can be used.

        Raises:
            SourceError: when no image can be used.
        """
        for step in range(len(self.images)):
            image = self.image_of(number, step)
            try:
                photo = self.cache.get(image)
                check_size(photo, PATCH_SIZE)
            except ImageError as error:
                self.failures[self.source.entries[image].name] = str(error)
                continue
            ((_, patch),) = cut_crops(photo, self._crops.at(number), 0.0, PATCH_SIZE)
            return patch
        name, reason = next(iter(self.failures.items()))
        raise SourceError(
            f"none of {len(self.images)} images can be used, for example {name}: {reason}; "
            "add photos of at least 64×64 px"
        )


def _prepare(context: _Context) -> Callable[[int], _Report]:
    cutter = _Cutter(context.source, context.images, context.plan, SLOT_TRAINING_CROPS)

    def cut_part(part: int) -> _Report:
        rows = _rows_of(part, context.count)
        first = part * PART_CROPS
        crops = np.empty((rows, PATCH_SIZE, PATCH_SIZE, 3), np.uint8)
        # By image, so that each is decoded once a part.
        for number in sorted(range(first, first + rows), key=cutter.image_of):
            crops[number - first] = cutter.cut(number)
        path = _part_path(context.folder, part)
        content = io.BytesIO()  # np.save to a file hides why a write failed
        np.save(content, crops)
        with whole_file(path) as temporary:
            temporary.write_bytes(content.getbuffer())
        return _Report(rows, dict(cutter.failures))

    return cut_part


def _part_path(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.npy"


def _rows_of(part: int, count: int) -> int:
    return min(PART_CROPS, count - part * PART_CROPS)


def _is_whole(folder: Path, part: int, rows: int) -> bool:
    path = _part_path(folder, part)
    try:
        require_regular(path)
        shape = np.load(path, mmap_mode="r").shape
    except (OSError, ValueError):
        return False
    return bool(shape[1:] == (PATCH_SIZE, PATCH_SIZE, 3) and shape[0] >= rows)


@dataclass(frozen=True, slots=True)
class _CropInfo:
    """What the description of a folder of crops holds."""

    digest: str
    failures: Mapping[str, str]


def _read_info(path: Path) -> tuple[str, dict[str, str]] | None:
    try:
        held = parse_record(_CropInfo, read_json(path))
    except (OSError, BappsGenError):
        return None
    return held.digest, dict(held.failures)


def _write_info(path: Path, plan: CropPlan, failures: dict[str, str]) -> None:
    write_json(path, {"digest": plan.digest, "failures": failures})
