"""Triplets from real algorithms: the same crop of the ground truth and of two outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bapps_gen.errors import ImageError, WorkError
from bapps_gen.execution.progress import advance
from bapps_gen.imaging.photo import Photo
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.metrics.structural import ssim
from bapps_gen.pipelines.real.align import AlignedImages, size_difference
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.spec import step_name
from bapps_gen.pipelines.rows.plan import TripletPlan
from bapps_gen.pipelines.rows.render import Image, check_size, cut_reference, cut_stored
from bapps_gen.pipelines.rows.renderer import Patches, finished_row
from bapps_gen.pipelines.rows.usable_crops import usable_crops
from bapps_gen.pipelines.sources.cache import CACHE_BYTES, ImageCache

CACHE_LAYERS_BYTES = 2 * CACHE_BYTES
"""A row needs three images of a size, and its neighbors those of other algorithms (own choice):
the ground truth and ten outputs of 2040×1356 px (DIV2K) take 91 MB."""


class Layers:
    """Decoded ground truth and outputs of one process.

    Args:
        images: where they are.
        task: of the set.
        patch_size: height and width of patches in px; smaller images cannot be used.

    `failures` has the reasons by name of unusable ones, an output's name after its
    algorithm's.
    """

    def __init__(self, images: AlignedImages, task: str, patch_size: int) -> None:
        self.images = images
        self.patch_size = patch_size
        self.failures: dict[str, str] = {}
        self._cache = ImageCache(_Flat(images), CACHE_LAYERS_BYTES)
        self._parts = {
            step_name(task, name): part for part, name in enumerate(images.algorithms, 1)
        }

    def load(self, index: int, names: Sequence[str]) -> tuple[Photo, ...] | None:
        """An image and its outputs by the algorithms of some steps, of one size.

        None where one of them cannot be used; the reason is kept.
        """
        loaded: list[Photo] = []
        for part in (0, *(self._parts[name] for name in names)):
            try:
                image = self._cache.get(index * (len(self._parts) + 1) + part)
                if not loaded:
                    check_size(image, self.patch_size)
                elif (size := image.pixels.shape[:2]) != loaded[0].pixels.shape[:2]:
                    raise ImageError(size_difference(size, loaded[0].pixels.shape[:2]))
            except ImageError as error:
                self.failures[self._name(index, part)] = str(error)
                return None
            loaded.append(image)
        return tuple(loaded)

    def knows(self, name: str) -> bool:
        """Whether there are outputs of a step's algorithm."""
        return name in self._parts

    def _name(self, index: int, part: int) -> str:
        if part == 0:
            return self.images.reference.entries[index].name
        name = self.images.outputs[part - 1].entries[index].name
        return f"{self.images.algorithms[part - 1]}/{name}"


@dataclass(frozen=True, slots=True)
class _Flat:
    """All files under one number: image × (algorithms + 1), plus 0 or the algorithm's, from 1."""

    images: AlignedImages

    def read(self, index: int) -> bytes:
        image, part = divmod(index, len(self.images.algorithms) + 1)
        if part == 0:
            return self.images.reference.read(image)
        return self.images.outputs[part - 1].read(image)

    def is_awaited(self, index: int) -> bool:
        """Never: nothing is fetched ahead of time."""
        return False


@dataclass(slots=True)
class RealRenderer:
    """Renders rows of one dataset; holds the caches of one process.

    `failures` collects the reasons by name of unusable files.
    """

    planner: RealPlanner
    images: AlignedImages
    digest: str
    _layers: Layers = field(init=False)

    def __post_init__(self) -> None:
        self._layers = Layers(self.images, self.planner.spec.task, self.planner.patch_size)

    @property
    def failures(self) -> dict[str, str]:
        """Reasons by name."""
        return self._layers.failures

    def expect(self, plans: Iterable[TripletPlan]) -> None:
        """Nothing: outputs of algorithms are read one by one."""

    def render(self, plan: TripletPlan) -> tuple[ManifestRow, Patches]:
        """The row and its patches: the first of the plan's crops that will do.

        A crop will do when the reference is not flat there, the two outputs differ, and one of
        them differs from the reference by at least the spec's `min_difference`. Images that
        cannot be used, or whose output by one of the row's algorithms cannot, are left out; other
        rows are not touched by that.

        Raises:
            SourceError: when there is no usable image.
            UserError: when crop after crop is too flat, or shows no difference.
        """
        names = [steps[0].distortion for steps in plan.sides]
        loaded: tuple[Photo, ...] | None = None

        def load(index: int) -> Photo | None:
            nonlocal loaded
            loaded = self._layers.load(index, names)
            return None if loaded is None else loaded[0]

        least = self.planner.spec.min_difference
        refused = f"shows no difference of {' and '.join(names)}"
        remedy = "a lower --min-contrast"
        if least:
            refused += f" or less than min-difference = {least:g} of both from the reference"
            remedy += " or --min-difference"
        crops = usable_crops(
            self.planner,
            plan.row,
            plan.crops,
            load,
            len(self.images),
            self.failures,
            source="--reference and --outputs",
            refused=refused,
            remedy=remedy,
        )
        for index, crop, reference in crops:
            assert loaded is not None
            size = self.planner.patch_size
            sides = [cut_reference(output, crop, size) for output in loaded[1:]]
            if least and _difference(reference, sides) < least:
                continue
            entry = self.images.reference.entries[index]
            rendered = finished_row(plan, self.digest, entry, crop, (reference, *sides))
            if rendered is not None:
                return rendered
        raise AssertionError("crops end with an error")

    def render_many(self, plans: Sequence[TripletPlan]) -> list[tuple[ManifestRow, Patches]]:
        """As `render` for each."""
        made = []
        for plan in plans:
            made.append(self.render(plan))
            advance(1)
        return made


def _difference(reference: Image, sides: Sequence[Image]) -> float:
    """1 − SSIM between the reference and the side that differs more."""
    return float(np.max(ssim().triplet(reference[None], *(side[None] for side in sides))))


class RealReplayer:
    """Makes the patches of stored rows again; holds the caches of one process.

    Args:
        images: ground truth and outputs.
        task: of the dataset.
        patch_size: of its patches in px.
    """

    def __init__(self, images: AlignedImages, task: str, patch_size: int) -> None:
        self._layers = Layers(images, task, patch_size)
        self._indices = {
            (entry.name, entry.sha256): index
            for index, entry in enumerate(images.reference.entries)
        }

    def expect(self, rows: Sequence[ManifestRow]) -> None:
        """Nothing: outputs of algorithms are read one by one."""

    def patches(self, rows: Sequence[ManifestRow]) -> Iterator[Patches]:
        """The reference and both outputs of each row, uint8 (H, W, 3) of the set's size.

        Raises:
            WorkError: when an image of a row is missing or cannot be used.
        """
        for row in rows:
            names = [step.distortion for steps in row.steps for step in steps]
            index = self._indices.get((row.source_path, row.source_sha256))
            if index is None or not all(map(self._layers.knows, names)):
                raise WorkError(
                    f"row {row.row}: {row.source_path} or its outputs by {' and '.join(names)} are "
                    "not among the images of the recipe; restore the recipe from a copy"
                )
            loaded = self._layers.load(index, names)
            if loaded is None:
                name, reason = list(self._layers.failures.items())[-1]
                raise WorkError(f"row {row.row}: {name}: {reason}")
            advance(1)
            yield tuple(cut_stored(image, row, self._layers.patch_size) for image in loaded)
