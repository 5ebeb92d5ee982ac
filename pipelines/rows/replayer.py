"""The patches of stored rows, made again from their steps and photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice

from bapps_gen.checks import MAX_SEED, check_range
from bapps_gen.cnn_distorters.as_distortions import ZooFunction
from bapps_gen.distortions.definition import check_stored
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import ImageError, UserError, WorkError
from bapps_gen.execution.progress import advance
from bapps_gen.manifests.rows import ManifestRow, Step
from bapps_gen.pipelines.rows.crops import CropSizes
from bapps_gen.pipelines.rows.plan import check_version
from bapps_gen.pipelines.rows.render import Image, apply_many, cut_stored
from bapps_gen.pipelines.rows.renderer import Patches
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.seeding import Streams


class TripletReplayer:
    """Makes the patches of stored rows again; holds the caches of one process.

    Works from the stored steps alone, so that any selection of rows can be replayed.

    Args:
        registry: of the distortions.
        source: photos.
        sizes: of the crops, which say at what size photos are decoded.
        patch_size: height and width of the patches in px.
    """

    def __init__(
        self, registry: Registry, source: Images, sizes: CropSizes, patch_size: int
    ) -> None:
        self._patch_size = patch_size
        self._registry = registry
        self._images = ImageCache(source, step_of=partial(sizes.step, patch_size=patch_size))
        self._streams = Streams()
        self._indices = {entry.sha256: index for index, entry in enumerate(source.entries)}

    def expect(self, rows: Sequence[ManifestRow]) -> None:
        """Check the rows that come next, and announce them, so that photos are fetched ahead.

        Raises:
            UserError: naming the row, when a step is not one that could be made here: of an unknown
                distortion, another version, or with parameters outside their allowed ranges.
        """
        for row in rows:
            try:
                for step in chain(*row.steps):
                    self._check(step)
            except UserError as error:
                raise UserError(f"row {row.row}: {error}") from None
        known = (row.source_sha256 for row in rows if row.source_sha256 in self._indices)
        self._images.expect(self._indices[sha256] for sha256 in known)

    def patches(self, rows: Sequence[ManifestRow]) -> Iterator[Patches]:
        """The reference and sides of each row, uint8 (H, W, 3) of the set's size.

        Raises:
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
        if row.source_sha256 not in self._indices:
            raise WorkError(
                f"row {row.row}: its image {row.source_path} is not in the source; "
                "give --source with the images that the recipe was made from"
            )
        try:
            image = self._images.get(self._indices[row.source_sha256])
        except ImageError as error:
            raise WorkError(f"row {row.row}: {row.source_path}: {error}") from None
        return cut_stored(image, row, self._patch_size)

    def _check(self, step: Step) -> None:
        atom = self._registry.atom(step.distortion)
        check_version(step.distortion, atom.version, step.version)
        check_range("seed", step.seed, 0, MAX_SEED)
        is_network = isinstance(atom.function, ZooFunction)
        check_stored(atom, step.params, optional=is_network)
