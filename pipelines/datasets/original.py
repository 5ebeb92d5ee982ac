"""The original folder layout of BAPPS, read and turned into datasets.

`2afc/{train,val}/<set>/{ref,p0,p1}/NNNNNN.png` with `judge/NNNNNN.npy`, the fraction preferring p1,
and `jnd/val/<set>/{p0,p1}` with `same/NNNNNN.npy`, the fraction saying same. Pictures are 64×64 px
or nearest-neighbour enlargements of that, 256×256 px as a rule, which are brought back exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import ImageError, UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.decode import decode_image
from bapps_gen.imaging.encode import encode_png
from bapps_gen.manifests.dataset import DatasetInfo, write_shard
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCH_SIZE, PATCHES, Crop, ManifestRow
from bapps_gen.pipelines.datasets.generate import (
    GenerateReport,
    ShardReport,
    fill_shards,
)
from bapps_gen.pipelines.rows.options import ROWS, SHARD_SIZE
from bapps_gen.pipelines.rows.render import pixel_hash
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location
from bapps_gen.version import __version__

TASKS = {"2afc": ("ref", "p0", "p1", "judge"), "jnd": ("p0", "p1", "same")}
"""The folders of a set by task: pictures, the first of which is the reference, and judgements."""

SPLITS = ("train", "val")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_DEPTH = 4  # folders between the layout's root and a set, one more than released
_HASH_ROWS = 500


@dataclass(frozen=True, slots=True)
class OriginalSet:
    """One set in the original layout.

    Args:
        folder: of the set.
        task: "2afc" or "jnd".
        split: "train" or "val", from the folder's place; empty where it is in neither.
        name: of the set, such as "traditional".
        stems: names of the rows' files without their endings, sorted.
        files: for each folder of the task, the file names in the order of the stems.
    """

    folder: Path
    task: str
    split: str
    name: str
    stems: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """Such as "2afc/val/traditional"."""
        return "/".join(part for part in (self.task, self.split, self.name) if part)

    def path(self, part: int, row: int) -> Path:
        """A row's file in one of the task's folders."""
        return self.folder / TASKS[self.task][part] / self.files[part][row]


def find_sets(folder: Path) -> list[OriginalSet]:
    """The set in a folder, or all sets in folders below it, by path.

    Raises:
        UserError: when there is none, or one whose files do not pair up.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give one in the original layout")
    found = [open_set(place) for place in _set_folders(folder, _DEPTH)]
    if not found:
        raise UserError(
            f"{folder} holds no set in the original layout; "
            "a 2afc set has folders ref, p0, p1 and judge, a jnd set p0, p1 and same"
        )
    return found


def _set_folders(folder: Path, depth: int) -> list[Path]:
    if (folder / "p0").is_dir() and (folder / "p1").is_dir():
        return [folder]
    if not depth:
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    return [place for path in below for place in _set_folders(path, depth - 1)]


def open_set(folder: Path) -> OriginalSet:
    """The set in a folder, its files paired by name.

    Raises:
        UserError: naming the folder or file that is missing or has no partner.
    """
    task = "2afc" if (folder / "ref").is_dir() else "jnd"
    parts = TASKS[task]
    listed = []
    for part in parts:
        if not (folder / part).is_dir():
            raise UserError(
                f"{folder} lacks the folder {part}; "
                "a 2afc set has ref, p0, p1 and judge, a jnd set p0, p1 and same"
            )
        suffixes = (".npy",) if part in ("judge", "same") else PICTURE_SUFFIXES
        listed.append(_by_stem(folder / part, suffixes))
    every = sorted(set().union(*listed))
    if not every:
        raise UserError(f"{folder} holds no files; give a set with pictures")
    for stem in every:
        for part, files in zip(parts, listed, strict=True):
            if stem not in files:
                where = next(p for p, held in zip(parts, listed, strict=True) if stem in held)
                raise UserError(
                    f"{folder / part} has no file for {where}/{stem}; "
                    "every folder of a set needs the same file names"
                )
    place = folder.absolute()
    split = place.parent.name if place.parent.name in SPLITS else ""
    paired = tuple(tuple(held[stem] for stem in every) for held in listed)
    return OriginalSet(folder, task, split, place.name, tuple(every), paired)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """File names by stem; hidden files do not count."""
    found: dict[str, str] = {}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in suffixes or not path.is_file():
            raise UserError(f"{path} is not a {' or '.join(suffixes)} file; remove it")
        if path.stem in found:
            raise UserError(f"{folder} has both {found[path.stem]} and {path.name}; remove one")
        found[path.stem] = path.name
    return found


def read_judgement(path: Path) -> float:
    """The one number in a .npy file of any shape, a fraction from 0 to 1.

    Raises:
        UserError: for a damaged file, pickled objects (never loaded), or anything but one fraction.
    """
    try:
        with open(path, "rb") as file:
            stored = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"cannot read {path} as .npy: {reason}; restore it from a copy") from None
    if not isinstance(stored, np.ndarray) or stored.size != 1 or stored.dtype.kind not in "fiub":
        raise UserError(f"{path} does not hold one number; a judgement is one fraction from 0 to 1")
    value = float(stored.reshape(()))
    if not 0.0 <= value <= 1.0:  # NaN too
        raise UserError(f"{path} holds {value:g}; a judgement is a fraction from 0 to 1")
    return value


def read_patch(path: Path, *, bilinear: bool = False) -> tuple[NDArray[np.uint8], bytes]:
    """A patch, uint8 (64, 64, 3), and its file's content.

    Args:
        path: a picture of 64×64 px, or a nearest-neighbour enlargement of that.
        bilinear: resample any size by Pillow's antialiased bilinear filter instead, as the
            original loader does; this blurs enlargements a little, and so changes distances.

    Raises:
        UserError: naming the file when it is damaged or is no exact enlargement.
    """
    try:
        data = path.read_bytes()
        image = decode_image(data)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ImageError as error:
        raise UserError(f"cannot use {path}: {error}; restore it from a copy") from error
    if bilinear:
        return _resampled(image), data
    patch = reduce_exactly(image)
    if patch is None:
        height, width = image.shape[:2]
        raise UserError(
            f"{path} is {width}×{height} px and no nearest-neighbour enlargement of "
            f"{PATCH_SIZE}×{PATCH_SIZE} px; replace it, or take the row's files out of all folders"
        )
    return patch, data


def _resampled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    size = (PATCH_SIZE, PATCH_SIZE)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def reduce_exactly(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The uint8 (64, 64, 3) patch that an image enlarges by nearest neighbour, or None.

    Pixel i of `side` comes from ⌊64·i / side⌋ (as OpenCV has it) or ⌊64·(i + ½) / side⌋ (as Pillow
    and MATLAB have it); where 64 divides the side the two are one. 252 px is no multiple: each
    patch pixel is then 3 or 4 px wide, and where a quotient is whole, programs differ in rounding,
    so that either of two neighbours may be taken. Every pixel is held against its source.
    """
    side = image.shape[0]
    if image.shape != (side, side, 3) or side < PATCH_SIZE:
        return None
    if side == PATCH_SIZE:
        return image
    place, wanted = np.arange(side), np.arange(PATCH_SIZE)
    cornered = _between(place * PATCH_SIZE, side)
    if side % PATCH_SIZE == 0:
        cornered = cornered[:1]  # blocks of one size, about whose place no two programs differ
    centred = _between((2 * place + 1) * PATCH_SIZE, 2 * side)
    for taken, sources in (
        (np.searchsorted(cornered[0], wanted, side="right") - 1, cornered),
        ((2 * wanted + 1) * side // (2 * PATCH_SIZE), centred),
    ):
        lines = _shrunk(image, taken, sources)
        columns = None if lines is None else _shrunk(lines.swapaxes(0, 1), taken, sources)
        if columns is not None:
            return np.ascontiguousarray(columns.swapaxes(0, 1))
    return None


def _between(dividend: NDArray[np.intp], divisor: int) -> tuple[NDArray[np.intp], ...]:
    """The quotients rounded down, and the same with whole quotients taken one lower."""
    return dividend // divisor, np.maximum(-(-dividend // divisor) - 1, 0)


def _shrunk(
    image: NDArray[np.uint8],
    taken: NDArray[np.intp],
    sources: Sequence[NDArray[np.intp]],
) -> NDArray[np.uint8] | None:
    """The lines taken, if each line of the image is the one taken for one of its sources."""
    lines = image[taken]
    equal = [(lines[source] == image).all((1, 2)) for source in sources]
    return lines if np.logical_or.reduce(equal).all() else None


@dataclass(frozen=True, slots=True)
class _HashContext:
    found: OriginalSet


def _prepare_hashes(context: _HashContext) -> Callable[[tuple[int, int]], tuple[int, list[str]]]:
    found = context.found

    def hash_rows(rows: tuple[int, int]) -> tuple[int, list[str]]:
        lines = []
        for row in range(*rows):
            for part in range(len(found.files)):
                path = found.path(part, row)
                try:
                    with open(path, "rb") as file:
                        digest = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError as error:
                    raise UserError(f"cannot read {path}: {error.strerror}") from error
                lines.append(f"{TASKS[found.task][part]}/{found.files[part][row]} {digest}")
        return rows[0], lines

    return hash_rows


def files_digest(found: OriginalSet, workers: Workers, progress: Progress | None = None) -> str:
    """32 hexadecimal digits of SHA-256 over the names and SHA-256 of all files of a set."""
    total = len(found.stems)
    ranges = [(first, min(first + _HASH_ROWS, total)) for first in range(0, total, _HASH_ROWS)]
    parts: dict[int, list[str]] = {}
    done = 0
    jobs = run_jobs(_prepare_hashes, _HashContext(found), ranges, workers, (found.folder,))
    for first, lines in jobs:
        parts[first] = lines
        done += len(lines) // len(found.files)
        if progress:
            progress(done, total)
    digest = hashlib.sha256()
    for first in sorted(parts):
        for line in parts[first]:
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:32]


def describe_import(found: OriginalSet, digest: str, shard_rows: int) -> DatasetInfo:
    """The `dataset.json` of an imported set, from the digest over its files.

    Raises:
        UserError: when `shard_rows` is out of range.
    """
    ROWS.check("n", len(found.stems))
    SHARD_SIZE.check("shard-size", shard_rows)
    spec = {
        "imported": found.task,
        "set": found.name,
        "split": found.split,
        "files_digest": digest,
    }
    return DatasetInfo(
        kind=f"{found.task}-{found.name}",
        version=__version__,
        spec=spec,
        digest=digest_of(spec),
        rows=len(found.stems),
        shard_rows=shard_rows,
        distortions={},
        units={},
        plugins=(),
        source_roots=(str(found.folder),),
        source_digest=digest,
        source_images=(),
        source_failures={},
        patches=PATCHES if found.task == "2afc" else PAIR_PATCHES,
    )


@dataclass(frozen=True, slots=True)
class ImportContext:
    """What every worker needs; sent once to each."""

    folder: Location
    info: DatasetInfo
    found: OriginalSet


def import_set(
    found: OriginalSet,
    out: Location,
    workers: Workers,
    *,
    shard_rows: int = SHARD_SIZE.default,
    digest: str | None = None,
    progress: Progress | None = None,
) -> GenerateReport:
    """Turn a set into a dataset, or make what is missing of it; see `fill_shards`.

    For JND, p0 becomes the reference and p1 the distorted patch. Rows are in the order of file
    names, their source is the file's stem with the SHA-256 of the reference's file; there are no
    steps. The number of people asked is not in the layout and stays empty.

    Raises:
        UserError: naming the first file that cannot be used, or as `fill_shards`.
        WorkError: as `fill_shards`.
    """
    digest = digest or files_digest(found, workers)
    info = describe_import(found, digest, shard_rows)

    def context(settled: DatasetInfo) -> ImportContext:
        return ImportContext(out, settled, found)

    shared = (found.folder,)
    return fill_shards(out, info, prepare_import, context, workers, progress, shared=shared)


def prepare_import(context: ImportContext) -> Callable[[int], ShardReport]:
    """A function that reads and writes one shard of an imported set."""
    info, found = context.info, context.found

    def make_shard(shard: int) -> ShardReport:
        rows, pngs = [], []
        for row in range(*info.shard_range(shard)):
            patches, data = read_row(found, row)
            judgement = read_judgement(found.path(len(patches), row))
            paired = found.task == "jnd"
            rows.append(
                ManifestRow(
                    id=f"{info.digest[:8]}-{row:08d}",
                    row=row,
                    source_path=found.stems[row],
                    source_sha256=hashlib.sha256(data).hexdigest(),
                    crop=Crop(0, 0, PATCH_SIZE),
                    steps=((),) if paired else ((), ()),
                    hashes=tuple(map(pixel_hash, patches)),
                    spec_digest=info.digest,
                    judge=None if paired else judgement,
                    same=judgement if paired else None,
                )
            )
            pngs.append(tuple(map(encode_png, patches)))
        write_shard(context.folder, info, shard, rows, pngs)
        return ShardReport(shard, len(rows))

    return make_shard


def read_row(
    found: OriginalSet, row: int, *, bilinear: bool = False
) -> tuple[Sequence[NDArray[np.uint8]], bytes]:
    """A row's patches, the reference first, and the content of the reference's file."""
    read = [
        read_patch(found.path(part, row), bilinear=bilinear) for part in range(len(found.files) - 1)
    ]
    return [patch for patch, _ in read], read[0][1]
