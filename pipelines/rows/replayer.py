"""The patches of stored rows, made again from their steps and photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import ImageError, WorkError
from bapps_gen.execution.progress import advance
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.pipelines.rows.render import Image, apply_many, cut_reference
from bapps_gen.pipelines.rows.renderer import Patches
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.seeding import Streams


class TripletReplayer:
    """Makes the patches of stored rows again; holds the caches of one process.

    Works from the stored steps alone, so that any selection of rows can be replayed.
    """

    def __init__(self, registry: Registry, source: Images) -> None:
        self._registry = registry
        self._images = ImageCache(source)
        self._streams = Streams()
        self._indices = {entry.sha256: index for index, entry in enumerate(source.entries)}

    def expect(self, rows: Sequence[ManifestRow]) -> None:
        """Announce the rows that come next, so that their photos are fetched from URLs ahead."""
        known = (row.source_sha256 for row in rows if row.source_sha256 in self._indices)
        self._images.expect(self._indices[sha256] for sha256 in known)

    def patches(self, rows: Sequence[ManifestRow]) -> Iterator[Patches]:
        """The reference and sides of each row, uint8 (64, 64, 3).

        Raises:
            UserError: when a distortion is unknown.
            WorkError: when a row's photo is not in the source or cannot be used.
        """
        references = [self._reference(row) for row in rows]
        repeated = [
            reference
            for reference, row in zip(references, rows, strict=True)
            for _ in range(len(row.steps))
        ]
        steps = [steps for row in rows for steps in row.steps]
        share = len(rows) / max(1, len(steps))
        rendered = apply_many(
            repeated,
            steps,
            self._registry.atoms,
            self._streams,
            lambda patches: advance(patches * share),
        )
        sides = iter(rendered)
        for reference, row in zip(references, rows, strict=True):
            yield reference, *islice(sides, len(row.steps))

    def _reference(self, row: ManifestRow) -> Image:
        for steps in row.steps:
            for step in steps:
                self._registry.atom(step.distortion)
        if row.source_sha256 not in self._indices:
            raise WorkError(
                f"row {row.row}: its image {row.source_path} is not in the source; "
                "give --source with the images that the recipe was made from"
            )
        try:
            image = self._images.get(self._indices[row.source_sha256])
        except ImageError as error:
            raise WorkError(f"row {row.row}: {row.source_path}: {error}") from None
        return cut_reference(image, row.crop)
