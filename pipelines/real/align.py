"""Aligns ground truth and the outputs of algorithms by file name."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bapps_gen.errors import ImageError, SourceError, UserError
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.decode import IMAGE_SUFFIXES, image_size
from bapps_gen.manifests.outputs import OutputFiles
from bapps_gen.pipelines.sources.relocate import Images, relocate_images, relocated_indices
from bapps_gen.pipelines.sources.source import Source

logger = logging.getLogger(__name__)

_NAMED = 5
"""Images named in an error."""
_WARNED = 20
"""Images left out that have a line of their own in the log."""
_MAX_THREADS = 16


@dataclass(frozen=True)
class AlignedImages:
    """Ground-truth images, each with an output of every algorithm.

    Args:
        reference: the ground truth.
        algorithms: names, in order.
        outputs: for each algorithm, its outputs in the order of the ground truth.
    """

    reference: Images
    algorithms: tuple[str, ...]
    outputs: tuple[Source, ...]

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def roots(self) -> tuple[str, ...]:
        """Absolute paths and URLs that the images are read from."""
        return (*self.reference.roots, *(root for part in self.outputs for root in part.roots))

    def files(self, index: int) -> OutputFiles:
        """(name, SHA-256) of every output of the algorithm at an index of `algorithms`."""
        return [(entry.name, entry.sha256) for entry in self.outputs[index].entries]


def outputs_digest(files: OutputFiles) -> str:
    """SHA-256 over the contents of outputs in the order of the images, 64 hexadecimal digits.

    Names do not matter: the images that they belong to are in the reference's digest.
    """
    return hashlib.sha256("".join(f"{sha256}\n" for _, sha256 in files).encode()).hexdigest()


def algorithm_digests(images: AlignedImages) -> tuple[tuple[str, str], ...]:
    """(name, digest of its outputs) of every algorithm, as a spec has them.

    Raises:
        UserError: when two have the same outputs, or one has the ground truth's files.
    """
    digests = tuple(
        (name, outputs_digest(images.files(index))) for index, name in enumerate(images.algorithms)
    )
    truth = outputs_digest([(entry.name, entry.sha256) for entry in images.reference.entries])
    owners = {truth: "the reference"}
    for name, digest in digests:
        if digest in owners:
            raise UserError(
                f"{owners[digest]} and {name} have the same files; give each --outputs the folder "
                "of another algorithm"
            )
        owners[digest] = name
    return digests


def alignment_keys(source: Source) -> list[str]:
    """What images are aligned by: the name without its extension, relative to the source's root.

    The name of a tar or Parquet file that is all of the source does not count.
    """
    lone = source.lone_file
    keys = []
    for entry in source.entries:
        name = entry.name if lone is None else entry.name.removeprefix(lone).removeprefix("/")
        stem, suffix = os.path.splitext(name)
        keys.append(stem if suffix.lower() in IMAGE_SUFFIXES else name)
    return keys


@dataclass(slots=True)
class _Reasons:
    """Why images cannot be used, by index in the reference, and counts by kind."""

    by_image: dict[int, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(
        default_factory=lambda: {
            "outputs missing": 0,
            "outputs of another size": 0,
            "names that fit several files": 0,
        }
    )

    def add(self, image: int, kind: str, reason: str) -> None:
        self.counts[kind] += 1
        self.by_image.setdefault(image, []).append(reason)


_MISSING, _SIZE, _SEVERAL = _Reasons().counts


def align(
    reference: Source,
    outputs: Mapping[str, Source],
    *,
    skip: bool = False,
    progress: Progress | None = None,
) -> tuple[AlignedImages, dict[str, str]]:
    """Pair every ground-truth image with its output of every algorithm.

    Files are matched by relative path, ignoring the extension. Sizes are compared by the headers of
    the files. Files whose header cannot be read pass this check: like those with damaged pixels
    they are reported and left out when they are used. Outputs that match no ground-truth image
    are reported and not used.

    Args:
        reference: the ground truth.
        outputs: of each algorithm, by name.
        skip: leave out images that lack an output, whose output has another size, or whose name
            fits several files, rather than refuse them all.
        progress: called with (files whose sizes are known, files in all).

    Returns:
        what fits, algorithms by name; and by name why images were left out.

    Raises:
        SourceError: when some images do not fit and `skip` is False, or none does.
    """
    names = tuple(sorted(outputs))
    images = [entry.name for entry in reference.entries]
    keys = alignment_keys(reference)
    reasons = _Reasons()
    wanted = _Indices(keys)
    for image, key in enumerate(keys):
        if several := wanted.several(key):
            listed = ", ".join(images[index] for index in several)
            reasons.add(image, _SEVERAL, f"the reference has several images of this name: {listed}")
    indices: list[list[int]] = []
    for name in names:
        given = alignment_keys(outputs[name])
        _warn_unused(name, outputs[name], given, wanted)
        indices.append(_pair(name, outputs[name], keys, _Indices(given), reasons))
        if all(index < 0 for index in indices[-1]):
            raise SourceError(
                f"no output of {name} has the name of a reference image: outputs are called "
                f"'{given[0]}' and so on, reference images '{keys[0]}'; rename them to align them"
            )
    kept = [image for image in range(len(images)) if image not in reasons.by_image]
    sources = (reference.take(kept), *_take([outputs[name] for name in names], indices, kept))
    _compare_sizes(names, sources, kept, reasons, progress)
    left_out = {images[index]: "; ".join(why) for index, why in sorted(reasons.by_image.items())}
    if left_out:
        _report(left_out, reasons, len(images), skip)
        kept = [image for image in kept if image not in reasons.by_image]
        sources = (reference.take(kept), *_take([outputs[name] for name in names], indices, kept))
    return AlignedImages(sources[0], names, sources[1:]), left_out


class _Indices:
    """Indices of images by key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.first: dict[str, int] = {}
        self.more: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            first = self.first.setdefault(key, index)
            if first != index:
                self.more.setdefault(key, [first]).append(index)

    def several(self, key: str) -> list[int]:
        """All indices of a key that has more than one; else none."""
        return self.more.get(key, [])


def _pair(
    name: str, source: Source, keys: Sequence[str], given: _Indices, reasons: _Reasons
) -> list[int]:
    """The index of every image's output, -1 where there is none or there are several."""
    paired = []
    for image, key in enumerate(keys):
        index = given.first.get(key, -1)
        if index < 0:
            reasons.add(image, _MISSING, f"no output of {name}")
        elif several := given.several(key):
            listed = ", ".join(source.entries[other].name for other in several)
            reasons.add(image, _SEVERAL, f"several outputs of {name}: {listed}")
            index = -1
        paired.append(index)
    return paired


def _warn_unused(name: str, source: Source, given: Sequence[str], wanted: _Indices) -> None:
    unused = [index for index, key in enumerate(given) if key not in wanted.first]
    if unused and len(unused) < len(given):
        listed = ", ".join(source.entries[index].name for index in unused[:_NAMED])
        more = ", …" if len(unused) > _NAMED else ""
        logger.warning(
            "%d outputs of %s belong to no reference image and are not used: %s%s",
            *(len(unused), name, listed, more),
        )


def _take(
    sources: Sequence[Source], indices: Sequence[Sequence[int]], kept: Sequence[int]
) -> tuple[Source, ...]:
    return tuple(
        source.take([column[image] for image in kept])
        for source, column in zip(sources, indices, strict=True)
    )


def _compare_sizes(
    names: Sequence[str],
    sources: Sequence[Source],
    kept: Sequence[int],
    reasons: _Reasons,
    progress: Progress | None,
) -> None:
    """Add the images whose outputs are not of their size; the reference is the first source."""
    first, *others = _sizes(sources, progress)
    for name, sizes in zip(names, others, strict=True):
        for image, size, output in zip(kept, first, sizes, strict=True):
            if size and output and size != output:
                reasons.add(image, _SIZE, f"the output of {name} {size_difference(output, size)}")


def size_difference(output: tuple[int, int], reference: tuple[int, int]) -> str:
    """That an output's height and width differ from the reference's, in words."""
    return f"has {output[1]}×{output[0]} px, but the reference has {reference[1]}×{reference[0]} px"


_Size = tuple[int, int] | None


def _sizes(sources: Sequence[Source], progress: Progress | None) -> list[list[_Size]]:
    """Height and width of every image of every source; None for those without a sound header."""
    total, done = sum(map(len, sources)), 0
    lock, stop = threading.Lock(), threading.Event()

    def measure(source: Source) -> list[_Size]:
        nonlocal done
        measured: list[_Size] = []
        for index in range(len(source)):
            if stop.is_set():
                break
            try:
                measured.append(image_size(source.read(index)))
            except ImageError:
                measured.append(None)
            with lock:
                done += 1
                if progress is not None:
                    progress(done, total)
        return measured

    # One thread for each source, whose open files are no other's.
    with ThreadPoolExecutor(min(_MAX_THREADS, len(sources)), "size") as pool:
        try:
            return list(pool.map(measure, sources))
        finally:
            stop.set()


def _report(left_out: Mapping[str, str], reasons: _Reasons, total: int, skip: bool) -> None:
    """Log what is left out, or raise where that is not allowed or nothing remains."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in reasons.counts.items() if count)
    lines = [f"{name}: {reason}" for name, reason in left_out.items()]
    head = (
        f"{len(lines)} of {total} reference images cannot be used ({kinds}): "
        f"{'; '.join(lines[:_NAMED])}{'; …' if len(lines) > _NAMED else ''}"
    )
    if not skip:
        raise SourceError(f"{head}; correct them, or leave them out with --skip-misaligned")
    if len(lines) == total:
        raise SourceError(f"{head}; none is left")
    for line in lines[:_WARNED]:
        logger.warning("left out %s", line)
    if len(lines) > _WARNED:
        logger.warning("left out %d more images; dataset.json names them all", len(lines) - _WARNED)


def relocate_aligned(
    images: Sequence[tuple[str, str]],
    recorded: Sequence[tuple[str, OutputFiles]],
    reference: Source,
    outputs: Callable[[str], Source],
) -> AlignedImages:
    """The images and outputs that a dataset was made from, found again by content.

    Args:
        images: recorded (name, SHA-256) of the ground truth.
        recorded: of each algorithm, the same of its outputs.
        reference: where the ground truth is now.
        outputs: gives where the outputs of an algorithm are now.

    Raises:
        WorkError: naming the first image that is missing or has changed, and how many are.
    """
    parts = []
    for name, files in recorded:
        source = outputs(name)
        remedy = f"--outputs {name}=DIR with those that it was made from"
        parts.append(source.take(relocated_indices(files, source, remedy, f"{name}: ")))
    remedy = "--source with the ground truth that it was made from"
    names = tuple(name for name, _ in recorded)
    return AlignedImages(relocate_images(images, reference, remedy), names, tuple(parts))
