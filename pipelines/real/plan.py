"""The plan of a set from real algorithms: which image, where in it, and which two algorithms."""

from __future__ import annotations

from bapps_gen.manifests.rows import Step
from bapps_gen.pipelines.real.spec import STEP_VERSION, RealSpec, step_name
from bapps_gen.pipelines.rows.crops import (
    CROP_WORDS,
    CROPS_TRIED,
    CropPlanner,
    CropSizes,
    crops_of,
    uniform_numbers,
)
from bapps_gen.pipelines.rows.plan import TripletPlan
from bapps_gen.seeding import SLOT_ROW

_FIRST_CROP = 2  # after the words that choose the two algorithms
_WORDS = _FIRST_CROP + CROPS_TRIED * CROP_WORDS


class RealPlanner(CropPlanner):
    """Plans rows of one spec. Rows may be planned in any order: `row(i)` is pure.

    p0 and p1 are the outputs of two different algorithms, every ordered pair as likely as any
    other (the paper does not say how they are chosen).
    """

    def __init__(self, spec: RealSpec) -> None:
        sizes = CropSizes(spec.scale)
        super().__init__(
            spec.kind,
            spec.seed,
            spec.images,
            sizes,
            spec.min_contrast,
            spec.rows_per_image,
            spec.patch_size,
        )
        self.spec = spec
        # A side is one step: nothing but the algorithm's name says what it is.
        self._sides = tuple(
            (Step(step_name(spec.task, name), STEP_VERSION, (), 0, None),) for name in spec.names
        )

    def row(self, row: int) -> TripletPlan:
        """The plan of a row ≥ 0."""
        words = self._streams.words(self._seed, row, SLOT_ROW, _WORDS)
        uniform = uniform_numbers(words)
        count = len(self._sides)
        first = int(uniform[0] * count)
        second = int(uniform[1] * (count - 1))
        second += second >= first
        crops = crops_of(self.sizes, uniform[_FIRST_CROP:])
        sides = (self._sides[first], self._sides[second])
        return TripletPlan(row, self.image(row), crops, sides)
