"""Folders of ground truth and of algorithms' outputs, as `real` takes them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from bapps_gen.checks import check_range
from bapps_gen.errors import ImageError, SourceError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import encode_png
from bapps_gen.pipelines.real.demos.catalog import DEMO_VERSION, find_task
from bapps_gen.pipelines.real.demos.networks import network_digests
from bapps_gen.pipelines.real.demos.pixels import reduced
from bapps_gen.pipelines.real.demos.records import DemoTask, Image
from bapps_gen.pipelines.real.options import DEMO_FACTOR, DEMO_LIMIT
from bapps_gen.pipelines.rows.options import SEED
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.seeding import SLOT_DEMO, SLOT_IMAGES, generator
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.records import read_values
from bapps_gen.storage.workspace import Layout, claim, make_folder, remove_leftovers

logger = logging.getLogger(__name__)

SIDE = 512
"""Largest height and width of the part of a photo that is used, px (own choice: about 60 patches
that do not overlap, in half a second to two seconds of processor time)."""

INFO_NAME = "demo.json"
REFERENCE_FOLDER = "reference"
OUTPUTS_FOLDER = "outputs"
DEMO = Layout("demo", INFO_NAME, folders=(REFERENCE_FOLDER, OUTPUTS_FOLDER))

_DONOR_SIDE = 256
_LEAST_CHROMA = 2.0  # mean distance of R, G and B from their mean, in levels, of a colored photo
_NAME_LENGTH = 60
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class DemoFolders:
    """Where a demo lies.

    Args:
        reference: folder of the ground truth.
        outputs: folder of each algorithm's outputs, by its name. Pictures of the same photo have
            the same file name and size in all of them.
    """

    reference: Path
    outputs: Mapping[str, Path]


def make_demo(
    task: str,
    images: Source,
    folder: Path,
    *,
    limit: int = DEMO_LIMIT.default,
    seed: int = 0,
    factor: int = DEMO_FACTOR.default,
    workers: Workers = 1,
    progress: Progress | None = None,
) -> DemoFolders:
    """Make the ground truth and the outputs of every algorithm of a task from ordinary photos.

    From each photo one part of at most 512×512 px is used, at a random position; a photo with more
    than twice that along its shorter side is reduced by a whole number first (k×k means). 24 photos
    take 20 to 40 seconds of processor time and about 60 MB of PNG files.

    Photos are taken in a random order, each content once. What is made of one depends on its
    content, the seed, and for "color" on the photos that come next, which serve as donors. Photos
    that cannot be used are left out, with the reason in the log. Interrupted, it goes on where it
    was: files that are there are kept.

    Args:
        task: one of TASKS.
        images: photos to choose from.
        folder: gets `reference/NAME.png`, `outputs/ALGORITHM/NAME.png` and `demo.json`.
        limit: photos used at most.
        seed: 0 to MAX_SEED.
        factor: of super-resolution.
        workers: processes, or a cluster.
        progress: called with (pictures there, pictures in all).

    Raises:
        UserError: for an unknown task, a bad number, a folder that holds something else, or where
            the task needs torch and it is missing.
        SourceError: when no photo can be used.
        WorkError: when a file cannot be written, a photo has changed, or memory runs out.
    """
    DEMO_FACTOR.check("factor", factor)
    DEMO_LIMIT.check("limit", limit)
    demo = find_task(task, factor)
    SEED.check("seed", seed)
    if isinstance(workers, int):
        check_range("workers", workers, 1, 10_000, whole=True)
    parameters: dict[str, Any] = {
        "task": task,
        "seed": seed,
        "limit": limit,
        "version": DEMO_VERSION,
        "source_digest": images.digest,
    }
    if task == "superres":
        parameters["factor"] = factor
    if demo.networks:
        parameters["networks"] = network_digests(demo.networks)
    with claim(folder, DEMO):
        _describe(folder, parameters)
        outputs = {name: folder / OUTPUTS_FOLDER / name for name in demo.algorithms}
        folders = DemoFolders(folder / REFERENCE_FOLDER, outputs)
        for pictures in (folders.reference, *outputs.values()):
            make_folder(pictures)
            remove_leftovers(pictures)
        chosen = _choose(task, demo, images, folders, limit, seed)
        context = _Context(task, factor, images, folders, seed)
        total = len(chosen) * (1 + len(outputs))
        jobs = [job for job in _jobs(chosen, demo.donors) if context.missing(job.photo)]
        done = total - sum(len(context.missing(job.photo)) for job in jobs)
        if progress is not None:
            progress(done, total)
        shared: tuple[str | Path, ...] = (folder / INFO_NAME, *images.roots)
        for written in run_jobs(_prepare, context, jobs, workers, shared):
            done += written
            if progress is not None:
                progress(done, total)
    return folders


def _describe(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Write what is to be made, or compare it with what is there."""
    try:
        held = read_values(folder / INFO_NAME)
    except FileNotFoundError:
        write_json(folder / INFO_NAME, wanted)
        return
    DEMO.require_same(folder, held, wanted)


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo of the source, and the name of its pictures."""

    index: int
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class _Job:
    photo: _Photo
    donors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Context:
    """What a worker needs."""

    task: str
    factor: int
    images: Source
    folders: DemoFolders
    seed: int

    def missing(self, photo: _Photo) -> list[str]:
        """The algorithms whose output is still to be made, and "" for the ground truth."""
        parts = {"": self.folders.reference, **self.folders.outputs}
        return [name for name, part in parts.items() if not (part / photo.file).exists()]


def _choose(
    task: str, demo: DemoTask, images: Source, folders: DemoFolders, limit: int, seed: int
) -> list[_Photo]:
    """The first photos in the seed's order that can be used, each content once."""
    chosen: list[_Photo] = []
    seen: set[str] = set()
    first_reason = ""
    for index in generator(seed, 0, SLOT_IMAGES).permutation(len(images)).tolist():
        if len(chosen) == limit:
            break
        entry = images.entries[index]
        if entry.sha256 in seen:
            continue
        seen.add(entry.sha256)
        photo = _Photo(index, entry.sha256, _file_name(entry.name, entry.sha256))
        try:
            if not (folders.reference / photo.file).exists():
                _check_usable(task, demo, images.load(index))
        except ImageError as error:
            logger.warning("skipped %s: %s", entry.name, error)
            first_reason = first_reason or f"{entry.name}: {error}"
            continue
        chosen.append(photo)
    if not chosen:
        raise SourceError(
            f"no photo of {len(seen)} can be used for {task}; the first: {first_reason}; "
            f"give whole color photos of at least {demo.least} px a side"
        )
    return chosen


def _file_name(name: str, sha256: str) -> str:
    """A flat file name that no other photo has: what is readable of its own, and its digest."""
    path = PurePosixPath(name)
    # a suffix such as "parquet#12" says more than the kind of file
    readable = path.name if "#" in path.suffix else path.stem
    plain = _PLAIN.sub("_", readable).strip("._")[:_NAME_LENGTH]
    return f"{plain}-{sha256[:12]}.png" if plain else f"{sha256[:12]}.png"


def _check_usable(task: str, demo: DemoTask, image: Image) -> None:
    height, width = image.shape[:2]
    if min(height, width) < demo.least:
        raise ImageError(
            f"{width}×{height} px is smaller than the {demo.least}×{demo.least} px that {task} "
            "takes"
        )
    if demo.colored:
        small = reduced(image, _DONOR_SIDE).astype(np.float32)
        if np.abs(small - small.mean(axis=-1, keepdims=True)).mean() < _LEAST_CHROMA:
            raise ImageError("a photo without color")


def _jobs(chosen: list[_Photo], donors: int) -> Iterator[_Job]:
    for index, photo in enumerate(chosen):
        others = [*chosen[index + 1 :], *chosen[:index]][:donors] or [photo]
        yield _Job(photo, tuple(other.index for other in others) if donors else ())


def _prepare(context: _Context) -> Callable[[_Job], int]:
    """A function that writes what is missing of a photo, and tells how many pictures that is."""
    demo, load = find_task(context.task, context.factor), context.images.load

    @cache
    def donor(index: int) -> Image:
        return reduced(load(index), _DONOR_SIDE)

    def make(job: _Job) -> int:
        photo, missing = job.photo, context.missing(job.photo)
        if not missing:  # another worker's copy of this job made it
            return 0
        rng = generator(context.seed, int(photo.sha256[:16], 16), SLOT_DEMO)
        part = _draw_part(load(photo.index), rng)
        scene = demo.prepare(part, tuple(map(donor, job.donors)), rng)
        for name, algorithm in demo.algorithms.items():
            if name in missing:
                _write(context.folders.outputs[name] / photo.file, algorithm.run(scene.given))
        if "" in missing:  # the ground truth last: where it is, the photo can be used
            _write(context.folders.reference / photo.file, scene.reference)
        return len(missing)

    return make


def _draw_part(image: Image, rng: np.random.Generator) -> Image:
    """A part of at most SIDE×SIDE px at a random position, of the photo reduced if it is large."""
    times = max(1, min(image.shape[:2]) // (2 * SIDE))
    if times > 1:
        height, width = (side - side % times for side in image.shape[:2])
        size = (width // times, height // times)
        image = np.asarray(
            cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA), np.uint8
        )
    window = []
    for side, drawn in zip(image.shape[:2], rng.random(2), strict=True):
        start = int(drawn * (max(side - SIDE, 0) + 1))
        window.append(slice(start, start + SIDE))
    return np.ascontiguousarray(image[tuple(window)])


def _write(path: Path, picture: Image) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(encode_png(picture))
