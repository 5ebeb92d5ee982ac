"""The original folder layout of BAPPS, as it is read.

`2afc/{train,val}/<set>/{ref,p0,p1}/NNNNNN.png` with `judge/NNNNNN.npy`, the fraction preferring p1,
and `jnd/val/<set>/{p0,p1}` with `same/NNNNNN.npy`, the fraction saying same. Pictures are
patches, 64×64 px as a rule, or nearest-neighbor enlargements of these, 256×256 px as a rule, which
are brought back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import ImageError, UserError
from bapps_gen.imaging.decode import decode_image
from bapps_gen.manifests.judgements import JudgementsInfo, read_judgements_info
from bapps_gen.manifests.rows import MAX_PATCH_SIZE, MIN_PATCH_SIZE
from bapps_gen.pipelines.sources.options import SPLITS
from bapps_gen.storage.locations import open_regular

TASKS = {"2afc": ("ref", "p0", "p1", "judge"), "jnd": ("p0", "p1", "same")}
"""The folders of a set by task: pictures, the first of which is the reference, and judgments."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_DEPTH = 4  # folders between the layout's root and a set, one more than released


@dataclass(frozen=True, slots=True)
class OriginalSet:
    """One set in the original layout.

    Args:
        folder: of the set.
        task: "2afc" or "jnd".
        split: "train" or "val", from where the folder is; empty where it is in neither.
        name: of the set, such as "traditional".
        stems: names of the rows' files without their endings, sorted.
        files: for each folder of the task, the file names in the order of the stems.
        judged_by: what an export says of its judgments in `judgements.json`; None elsewhere.
    """

    folder: Path
    task: str
    split: str
    name: str
    stems: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    judged_by: JudgementsInfo | None = None

    @property
    def simulated(self) -> bool:
        """Whether simulated observers are known to have judged."""
        return self.judged_by is not None and self.judged_by.simulated

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
        WorkError: when the `judgements.json` of one is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give one in the original layout")
    sets = [open_set(path) for path in _set_folders(folder, _DEPTH)]
    if not sets:
        raise UserError(
            f"{folder} holds no set in the original layout; "
            "a 2afc set has folders ref, p0, p1 and judge, a jnd set p0, p1 and same"
        )
    return sets


def _set_folders(folder: Path, depth: int) -> list[Path]:
    if (folder / "p0").is_dir() and (folder / "p1").is_dir():
        return [folder]
    if not depth:
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    return [inner for path in below for inner in _set_folders(path, depth - 1)]


def open_set(folder: Path) -> OriginalSet:
    """The set in a folder, its files paired by name.

    Raises:
        UserError: naming the folder or file that is missing or has no partner.
        WorkError: when its `judgements.json` is damaged.
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
    absolute = folder.absolute()
    split = absolute.parent.name if absolute.parent.name in SPLITS else ""
    paired = tuple(tuple(held[stem] for stem in every) for held in listed)
    judged_by = read_judgements_info(folder)
    return OriginalSet(folder, task, split, absolute.name, tuple(every), paired, judged_by)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """File names by stem; hidden files do not count."""
    names: dict[str, str] = {}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in suffixes or not path.is_file():
            raise UserError(f"{path} is not a {' or '.join(suffixes)} file; remove it")
        if path.stem in names:
            raise UserError(f"{folder} has both {names[path.stem]} and {path.name}; remove one")
        names[path.stem] = path.name
    return names


def read_judgment(path: Path) -> float:
    """The one number in a .npy file of any shape, a fraction from 0 to 1.

    Raises:
        UserError: for a damaged file, pickled objects (never loaded), or anything but one fraction.
    """
    try:
        with open_regular(path) as file:
            stored = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"cannot read {path} as .npy: {reason}; restore it from a copy") from None
    if not isinstance(stored, np.ndarray) or stored.size != 1 or stored.dtype.kind not in "fiub":
        raise UserError(f"{path} does not hold one number; a judgment is one fraction from 0 to 1")
    value = float(stored.reshape(()))
    if not 0.0 <= value <= 1.0:  # NaN too
        raise UserError(f"{path} holds {value:g}; a judgment is a fraction from 0 to 1")
    return value


def read_patch(path: Path, size: int, *, bilinear: bool = False) -> tuple[NDArray[np.uint8], bytes]:
    """A patch, uint8 (size, size, 3), and its file's content.

    Args:
        path: a picture of that size, or a nearest-neighbor enlargement of one.
        size: height and width of the patch in px.
        bilinear: resample any size by Pillow's antialiased bilinear filter instead, as the
            original loader does; this blurs enlargements a little, and so changes distances.

    Raises:
        UserError: naming the file when it is damaged or is no exact enlargement.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
        image = decode_image(data)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ImageError as error:
        raise UserError(f"cannot use {path}: {error}; restore it from a copy") from error
    if bilinear:
        return _resampled(image, size), data
    patch = reduce_exactly(image, size)
    if patch is None:
        height, width = image.shape[:2]
        fits = height == width and MIN_PATCH_SIZE <= width <= MAX_PATCH_SIZE
        other = f" (--patch-size {width} takes it as it is)" if fits else ""
        raise UserError(
            f"{path} is {width}×{height} px and no nearest-neighbor enlargement of "
            f"{size}×{size} px{other}; replace it, or take the row's files out of all folders"
        )
    return patch, data


def _resampled(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def reduce_exactly(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8] | None:
    """The uint8 (size, size, 3) patch that an image enlarges by nearest neighbor, or None.

    Pixel i of `side` comes from ⌊size·i / side⌋ (as OpenCV has it) or ⌊size·(i + ½) / side⌋ (as
    Pillow and MATLAB have it); where the size divides the side the two are one. Of 64 px, 252 px is
    no multiple: each patch pixel is then 3 or 4 px wide, and where a quotient is whole, programs
    differ in rounding, so that either of two neighbors may be taken. Every pixel is held against
    its source.
    """
    side = image.shape[0]
    if image.shape != (side, side, 3) or side < size:
        return None
    if side == size:
        return image
    position, wanted = np.arange(side), np.arange(size)
    cornered = _between(position * size, side)
    if side % size == 0:
        cornered = cornered[:1]  # blocks of one size, about whose position no two programs differ
    centered = _between((2 * position + 1) * size, 2 * side)
    for taken, sources in (
        (np.searchsorted(cornered[0], wanted, side="right") - 1, cornered),
        ((2 * wanted + 1) * side // (2 * size), centered),
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


def read_row(
    original: OriginalSet, row: int, size: int, *, bilinear: bool = False
) -> tuple[Sequence[NDArray[np.uint8]], bytes]:
    """A row's patches of a size, the reference first, and the content of the reference's file."""
    read = [
        read_patch(original.path(part, row), size, bilinear=bilinear)
        for part in range(len(original.files) - 1)
    ]
    return [patch for patch, _ in read], read[0][1]
