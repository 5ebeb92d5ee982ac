"""Rendering one row, whether from a fresh plan or from a stored row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bapps_gen.distortions.records import Distortion
from bapps_gen.errors import ImageError, SourceError, UserError
from bapps_gen.manifests.rows import ManifestRow, Step
from bapps_gen.pipelines.plan import PLACES, Place, Planner, TripletPlan
from bapps_gen.pipelines.recorded import Images
from bapps_gen.pipelines.render import (
    Image,
    apply_steps,
    check_size,
    cut_reference,
    luma_contrast,
    pixel_hash,
    settle_crop,
)
from bapps_gen.pipelines.sources import ImageCache, ImageEntry
from bapps_gen.seeding import Streams

Patches = tuple[Image, Image, Image]

_ATTEMPTS = 64
"""Further images tried for one row when crop after crop is refused (own choice)."""
_ENTRIES_KEPT = 10_000


@dataclass(slots=True)
class TripletRenderer:
    """Renders rows of one dataset; holds the caches of one process.

    `failures` collects the reasons by name of the images found unusable.
    """

    planner: Planner
    atoms: Mapping[str, Distortion]
    source: Images
    images: ImageCache
    digest: str
    streams: Streams = field(default_factory=Streams)
    failures: dict[str, str] = field(default_factory=dict)
    _entries: dict[int, ImageEntry] = field(default_factory=dict)

    def render(self, plan: TripletPlan) -> tuple[ManifestRow, Patches]:
        """The row and its patches: the first of the plan's crops that will do.

        A crop will do when it is not flat and the two sides differ. Images that cannot be used
        are left out; other rows are not touched by that.

        Raises:
            SourceError: when the source has no usable image.
            UserError: when crop after crop is too flat, or shows no difference.
        """
        image = self._load(plan.image)
        found = None
        if image is not None:
            found = self._in_image(plan, plan.image, plan.places, image)
        return found or self._elsewhere(plan)

    def _elsewhere(self, plan: TripletPlan) -> tuple[ManifestRow, Patches]:
        """The same at further places, round the images from the row's own."""
        count, attempts, broken = len(self.source), 0, 0
        for step in range(count + _ATTEMPTS):
            index = self.planner.image(plan.row, step)
            image = self._load(index)
            if image is None:
                broken += 1
            else:
                places = self.planner.further_places(plan.row, attempts)
                found = self._in_image(plan, index, places, image)
                if found is not None:
                    return found
                attempts += 1
            if attempts == _ATTEMPTS or broken == count:
                break
        if not attempts:
            name, reason = next(iter(self.failures.items()))
            raise SourceError(
                f"no usable image among {count} in the source; the first: {name}: {reason}; "
                "use --source with whole images of at least 64×64 px"
            )
        raise UserError(
            f"row {plan.row}: every crop tried ({PLACES * (attempts + 1)}) is flatter than "
            f"min-contrast = {self.planner.spec.min_contrast:g} or hides the distortions; "
            "give a lower --min-contrast or other photos"
        )

    def _load(self, index: int) -> Image | None:
        """A decoded image, or None when it cannot be used; the reason is kept."""
        try:
            image = self.images.get(index)
            check_size(image)
        except ImageError as error:
            self.failures[self._entry(index).name] = str(error)
            return None
        return image

    def _entry(self, index: int) -> ImageEntry:
        # A source keeps its entries in Arrow columns; taking one out costs as much as hashing.
        if index not in self._entries:
            if len(self._entries) == _ENTRIES_KEPT:
                self._entries.clear()
            self._entries[index] = self.source.entries[index]
        return self._entries[index]

    def _in_image(
        self, plan: TripletPlan, index: int, places: tuple[Place, ...], image: Image
    ) -> tuple[ManifestRow, Patches] | None:
        for place in places:
            crop = settle_crop(place, *image.shape[:2])
            reference = cut_reference(image, crop)
            least = self.planner.spec.min_contrast
            if least and luma_contrast(reference) < least:
                continue
            first, second = render_sides(reference, plan.sides, self.atoms, self.streams)
            hashes = (pixel_hash(reference), pixel_hash(first), pixel_hash(second))
            if hashes[1] == hashes[2]:
                continue
            entry = self._entry(index)
            row = ManifestRow(
                id=f"{self.digest[:8]}-{plan.row:08d}",
                row=plan.row,
                source_path=entry.name,
                source_sha256=entry.sha256,
                crop=crop,
                steps=plan.sides,
                hashes=hashes,
                spec_digest=self.digest,
            )
            return row, (reference, first, second)
        return None


def render_sides(
    reference: Image,
    sides: tuple[tuple[Step, ...], ...],
    atoms: Mapping[str, Distortion],
    streams: Streams,
) -> tuple[Image, Image]:
    """p0 and p1 of a reference."""
    first, second = (apply_steps(reference, steps, atoms, streams) for steps in sides)
    return first, second
