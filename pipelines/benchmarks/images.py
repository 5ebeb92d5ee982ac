"""Making all pictures of one image of a benchmark: the unit of work, of retry and of resume."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bapps_gen.cnn_distorters.as_distortions import ZooFunction
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.definition import MIN_SIDE
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import ImageError, WorkError
from bapps_gen.imaging.decode import decode_photo
from bapps_gen.imaging.encode import encode_png, pixel_hash
from bapps_gen.imaging.photo import Photo
from bapps_gen.manifests.benchmark import (
    REFERENCE_FOLDER,
    STAGE_FOLDER,
    BenchmarkInfo,
    BenchmarkRow,
    benchmark_schema,
    benchmark_table,
    write_image_rows,
)
from bapps_gen.manifests.rows import MAX_SIDE, Crop, Step
from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner, Variant
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
from bapps_gen.pipelines.datasets.zoo import worker_registry
from bapps_gen.pipelines.rows.render import (
    Image,
    apply_many,
    apply_steps,
    check_size,
)
from bapps_gen.pipelines.rows.usable_crops import cut_crops
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.seeding import Streams
from bapps_gen.storage.atomic import write_error
from bapps_gen.storage.workspace import make_folder


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture to distort: a whole image or a patch of it.

    Args:
        name: of the picture and those made from it, without ".png".
        pixels: uint8 (H, W, 3).
        patch: its number in the image; None for a whole image.
        crop: of the patch in the image; None for a whole image.
        scale: picture pixels per pixel of the image.
    """

    name: str
    pixels: Image
    patch: int | None
    crop: Crop | None
    scale: float


@dataclass(frozen=True, slots=True)
class BenchmarkContext:
    """What every worker needs; sent once to each."""

    folder: Path
    spec: BenchmarkSpec
    info: BenchmarkInfo
    source: Images
    names: tuple[str, ...]
    zoo: Zoo | None


@dataclass(frozen=True, slots=True)
class ImageReport:
    """A worker's report on an image; `failure` is why it could not be used."""

    image: int
    failure: str | None = None


def prepare_images(context: BenchmarkContext) -> Callable[[int], ImageReport]:
    """A function that makes all pictures of one image."""
    folder = context.folder
    registry = worker_registry(context.info, context.zoo)
    planner = BenchmarkPlanner(context.spec, registry)
    schema = benchmark_schema(context.info)
    streams = Streams()

    def make_image(image: int) -> ImageReport:
        stage = _Stage(folder, image)
        try:
            rows = image_rows(context, planner, registry, streams, image, stage.add)
            stage.publish()
        except ImageError as error:
            return ImageReport(image, str(error))
        finally:
            stage.remove()
        write_image_rows(folder, image, benchmark_table(rows, schema))
        return ImageReport(image)

    return make_image


def image_rows(
    context: BenchmarkContext,
    planner: BenchmarkPlanner,
    registry: Registry,
    streams: Streams,
    image: int,
    store: Callable[[str, Image], int],
) -> list[BenchmarkRow]:
    """Make all pictures of one image.

    Args:
        context: of the benchmark.
        planner, registry, streams: of the worker.
        image: its index in the source.
        store: takes the path and pixels of every picture; gives the size of its file in bytes.

    Returns:
        The rows of the distorted pictures, by patch, distortion and level.

    Raises:
        ImageError: when the image cannot be used.
        WorkError: when there is too little memory.
    """
    spec, entry = planner.spec, context.source.entries[image]
    photo = decode_photo(context.source.read(image), planner.step)
    references = cut_references(planner, photo, entry.sha256, context.names[image])
    height, width = photo.height, photo.width
    del photo
    digits = len(str(len(spec.severities)))
    rows = []
    try:
        paths = [f"{REFERENCE_FOLDER}/{reference.name}.png" for reference in references]
        sizes = [
            store(path, reference.pixels) for path, reference in zip(paths, references, strict=True)
        ]
        hashes = [pixel_hash(reference.pixels) for reference in references]
        for variant in planner.variants:
            made = render_variant(planner, variant, references, entry.sha256, registry, streams)
            for index, level, steps, distorted in made:
                reference = references[index]
                path = f"{variant.folder}/{level:0{digits}d}/{reference.name}.png"
                row = BenchmarkRow(
                    path=path,
                    reference=paths[index],
                    distortion=variant.id,
                    family=variant.family,
                    level=level,
                    severity=variant.severities[level - 1],
                    steps=steps,
                    source_path=entry.name,
                    source_sha256=entry.sha256,
                    patch=reference.patch,
                    crop=reference.crop,
                    scale=reference.scale,
                    width=distorted.shape[1],
                    height=distorted.shape[0],
                    bytes=store(path, distorted),
                    hash=pixel_hash(distorted),
                    reference_bytes=sizes[index],
                    reference_hash=hashes[index],
                    spec_digest=context.info.digest,
                )
                rows.append((index, row))
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.STS_NO_MEM:
            raise
        raise WorkError(
            f"too little memory to distort {entry.name} ({width}×{height} px); run the same "
            "command again with fewer --workers, or start over with a --max-side"
        ) from error
    rows.sort(key=lambda item: item[0])  # stable: by patch, then by distortion and level
    return [row for _, row in rows]


_Made = tuple[int, int, tuple[Step, ...], Image]
"""Index of the reference, level from 1, steps, and the distorted picture."""


def render_variant(
    planner: BenchmarkPlanner,
    variant: Variant,
    references: Sequence[Reference],
    sha256: str,
    registry: Registry,
    streams: Streams,
) -> Iterator[_Made]:
    """Every level of one distortion on every reference of an image."""
    plans = [planner.steps(sha256, reference.patch, variant) for reference in references]
    if any(isinstance(member.function, ZooFunction) for member in variant.members):
        for level in range(len(variant.severities)):
            sequences = [plan[level] for plan in plans]
            pictures = [reference.pixels for reference in references]
            rendered = apply_many(pictures, sequences, registry.atoms, streams)
            for index, picture in enumerate(rendered):
                yield index, level + 1, sequences[index], picture
        return
    for index, (reference, plan) in enumerate(zip(references, plans, strict=True)):
        for level, steps in enumerate(plan, 1):
            yield (
                index,
                level,
                steps,
                apply_steps(reference.pixels, steps, registry.atoms, streams),
            )


def cut_references(
    planner: BenchmarkPlanner, photo: Photo, sha256: str, name: str
) -> list[Reference]:
    """The whole image, reduced where the spec says so, or its patches.

    Patches are cut as those of triplets, each at another position; a flat one is cut elsewhere.

    Raises:
        ImageError: when the image is too small or too large, or has not as many patches.
    """
    spec = planner.spec
    if spec.patches is None:
        whole, scale = reduce_image(photo.pixels, spec.max_side)
        height, width = whole.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise ImageError(f"{width}×{height} px is smaller than {MIN_SIDE}×{MIN_SIDE} px")
        if max(height, width) > MAX_SIDE:
            raise ImageError(
                f"{width}×{height} px has a side of more than {MAX_SIDE} px; give a --max-side"
            )
        return [Reference(name, whole, None, None, scale)]
    check_size(photo, spec.patch_size)
    digits = len(str(spec.patches - 1))
    references: list[Reference] = []
    taken: set[Crop] = set()
    for patch in range(spec.patches):
        draws = planner.crops(sha256, patch)
        cuts = cut_crops(photo, draws, spec.min_contrast or 0.0, spec.patch_size)
        crop, cut = next((cut for cut in cuts if cut[0] not in taken), (None, None))
        if crop is None or cut is None:
            raise ImageError(
                f"no position was found for patch {patch + 1} of {spec.patches} that is not taken "
                f"and not flatter than min-contrast = {spec.min_contrast:g}"
            )
        taken.add(crop)
        scale = crop.scale(spec.patch_size)
        references.append(Reference(f"{name}_{patch:0{digits}d}", cut, patch, crop, scale))
    return references


def reduce_image(pixels: Image, max_side: int | None) -> tuple[Image, float]:
    """An image whose longer side is at most `max_side` px, by area means, and its scale."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if max_side is None or longest <= max_side:
        return np.ascontiguousarray(pixels), 1.0
    scale = max_side / longest
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(
        np.uint8, copy=False
    ), scale


class _Stage:
    """The pictures of one image, out of sight until all are made; then they appear at once."""

    def __init__(self, folder: Path, image: int) -> None:
        self.folder = folder
        self.stage = folder / STAGE_FOLDER / str(image)
        self.paths: list[str] = []
        make_folder(self.stage)

    def add(self, path: str, picture: Image) -> int:
        """Write a picture that will lie at `path`; gives its size in bytes.

        Files are not forced to the disk one by one, which would take longer than all else: their
        sizes are compared when a run is resumed.
        """
        data = encode_png(picture)
        try:
            (self.stage / str(len(self.paths))).write_bytes(data)
        except OSError as error:
            raise write_error(self.folder / path, error) from error
        self.paths.append(path)
        return len(data)

    def publish(self) -> None:
        """Move all pictures to where readers find them."""
        for number, path in enumerate(self.paths):
            target = self.folder / path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self.stage / str(number), target)
            except OSError as error:
                raise write_error(target, error) from error

    def remove(self) -> None:
        """Remove what was not published."""
        shutil.rmtree(self.stage, ignore_errors=True)
