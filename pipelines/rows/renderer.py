"""Rendering rows from their plans, one after another or, with CNN distorters, many together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from bapps_gen.distortions.definition import Distortion
from bapps_gen.errors import ImageError
from bapps_gen.execution.progress import advance
from bapps_gen.imaging.encode import pixel_hash
from bapps_gen.imaging.photo import Photo
from bapps_gen.manifests.rows import Crop, ManifestRow, row_id, rows_within
from bapps_gen.pipelines.rows.plan import Planner, TripletPlan
from bapps_gen.pipelines.rows.render import (
    Image,
    apply_many,
    apply_steps,
    check_size,
)
from bapps_gen.pipelines.rows.usable_crops import Cut, usable_crops
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.pipelines.sources.source import ImageEntry
from bapps_gen.seeding import Streams

Patches = tuple[Image, ...]
"""The reference, p0 and, in a triplet, p1."""

_ENTRIES_KEPT = 10_000

CNN_GROUP_ROWS = 2000
"""Rows rendered together where there are CNN distorters: about 40 patches for each of 96, and
75 MB of patches (own choice). Fewer of larger patches, which pass a network one by one anyway."""

Item = TypeVar("Item")


def group_rows(patch_size: int) -> int:
    """Rows rendered together where there are CNN distorters, for patches of so many px a side."""
    return rows_within(CNN_GROUP_ROWS, patch_size)


def grouped(items: Iterable[Item], cnn: bool, patch_size: int) -> Iterator[list[Item]]:
    """Rows to be rendered together: many where there are CNN distorters.

    Traditional distortions gain nothing from that and are quickest one row at a time.
    """
    waiting = iter(items)
    while group := list(islice(waiting, group_rows(patch_size) if cnn else 1)):
        yield group


def finished_row(
    plan: TripletPlan, digest: str, entry: ImageEntry, crop: Crop, patches: Patches
) -> tuple[ManifestRow, Patches] | None:
    """The row of a plan that was rendered at some crop of an image, with its patches.

    None where the two patches that people compare do not differ. `digest` is the spec's.
    """
    hashes = tuple(map(pixel_hash, patches))
    if hashes[-1] == hashes[-2]:  # two sides, or a pair's one and its reference
        return None
    row = ManifestRow(
        id=row_id(digest, plan.row),
        row=plan.row,
        source_path=entry.name,
        source_sha256=entry.sha256,
        crop=crop,
        steps=plan.sides,
        hashes=hashes,
        spec_digest=digest,
    )
    return row, patches


@dataclass(slots=True)
class TripletRenderer:
    """Renders rows of one dataset; holds the caches of one process.

    `failures` collects the reasons by name of unusable images.
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

        A crop will do when it is not flat and the two sides differ, or in a pair, when its side
        differs from the reference. Images that cannot be used are left out; other rows are not
        touched by that.

        Raises:
            SourceError: when the source has no usable image.
            UserError: when crop after crop is too flat, or shows no difference.
        """
        for cut in self._crops(plan):
            _, _, reference = cut
            sides = [
                apply_steps(reference, steps, self.atoms, self.streams) for steps in plan.sides
            ]
            rendered = self._finish(plan, cut, sides)
            if rendered is not None:
                return rendered
        raise AssertionError("crops end with an error")

    def render_many(self, plans: Sequence[TripletPlan]) -> list[tuple[ManifestRow, Patches]]:
        """As `render` for each, with the steps of each CNN distorter rendered together."""
        if len(plans) <= 1:
            made_alone = [self.render(plan) for plan in plans]
            advance(len(plans))
            return made_alone
        # A plan's crops are not kept for a second try, since each would keep its decoded image.
        cuts = [next(self._crops(plan)) for plan in plans]
        count = len(plans[0].sides)
        sides = apply_many(
            [reference for _, _, reference in cuts for _ in range(count)],
            [steps for plan in plans for steps in plan.sides],
            self.atoms,
            self.streams,
            lambda patches: advance(patches / count),
        )
        each = [sides[first : first + count] for first in range(0, len(sides), count)]
        made = map(self._finish, plans, cuts, each)
        # Rows whose first crop hides the difference are few: they are rendered from the start.
        return [row or self.render(plan) for plan, row in zip(plans, made, strict=True)]

    def expect(self, plans: Iterable[TripletPlan]) -> None:
        """Say which rows come next, so that their images are fetched from URLs ahead of time."""
        self.images.expect(plan.image for plan in plans)

    def _crops(self, plan: TripletPlan) -> Iterator[Cut]:
        """A row's crops that are not flat, in the order to try; an error when there is no more."""
        remedy = "a lower --min-contrast"
        if self.planner.spec.is_jnd:
            remedy = f"a higher --severity, {remedy}"
        return usable_crops(
            self.planner,
            plan.row,
            plan.crops,
            self._load,
            len(self.source),
            self.failures,
            remedy=remedy,
        )

    def _load(self, index: int) -> Photo | None:
        """A decoded photo, or None when it cannot be used; the reason is kept."""
        try:
            photo = self.images.get(index)
            check_size(photo, self.planner.patch_size)
        except ImageError as error:
            self.failures[self._entry(index).name] = str(error)
            return None
        return photo

    def _entry(self, index: int) -> ImageEntry:
        # A source keeps its entries in Arrow columns; taking one out costs as much as hashing.
        if index not in self._entries:
            if len(self._entries) == _ENTRIES_KEPT:
                self._entries.clear()
            self._entries[index] = self.source.entries[index]
        return self._entries[index]

    def _finish(
        self, plan: TripletPlan, cut: Cut, sides: Sequence[Image]
    ) -> tuple[ManifestRow, Patches] | None:
        index, crop, reference = cut
        return finished_row(plan, self.digest, self._entry(index), crop, (reference, *sides))
