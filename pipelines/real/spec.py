"""The spec of a set from real algorithms: everything that its rows depend on, and its digest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bapps_gen.checks import check_options, check_range
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.pipelines.real.options import MIN_DIFFERENCE
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.options import (
    MIN_CONTRAST,
    PATCH_SIZE,
    ROWS_PER_IMAGE,
    SCALE_RANGE,
    SEED,
    check_rows_per_image,
    check_scale,
)
from bapps_gen.pipelines.rows.spec import check_plan_version, values_but
from bapps_gen.seeding import digest_of
from bapps_gen.storage.records import parse_record

REAL_PLAN_VERSION = 2
"""Raised whenever the same spec and row give another plan."""

STEP_VERSION = 1
"""Version of the step "take the algorithm's output"; raised if it gave other pixels."""

MAX_ALGORITHMS = 1000
DEMO_PATCH = 256
"""Largest patches of a set from a demo, px: larger ones have hardly a choice of place in it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSpec:
    """What rows are made from. Rows depend on this and on nothing else.

    Args:
        task: "superres", "frameinterp", "deblur" or "color".
        seed: dataset seed, 0 to 2^63 - 1.
        images: number of ground-truth images, each with an output of every algorithm.
        reference_digest: digest over names and contents of those images, in order.
        algorithms: (name, digest over the contents of its outputs in the order of the images), at
            least two, by name.
        scale, min_contrast, rows_per_image: as in a set of triplets; the scale is that of both the
            ground truth and the outputs.
        patch_size: height and width of the patches in px, 16 to 512.
        min_difference: smallest 1 − SSIM of a triplet's side that differs more from the reference.
        plan_version: of the rules by which rows are planned, REAL_PLAN_VERSION.
    """

    task: str
    seed: int = SEED.field(required=True)
    images: int
    reference_digest: str
    algorithms: tuple[tuple[str, str], ...]
    scale: tuple[float, float] = SCALE_RANGE.field(required=True)
    min_contrast: float = MIN_CONTRAST.field()
    rows_per_image: int = ROWS_PER_IMAGE.field()
    min_difference: float = MIN_DIFFERENCE.field()
    plan_version: int = REAL_PLAN_VERSION
    patch_size: int = PATCH_SIZE.field()

    def __post_init__(self) -> None:
        check_task(self.task)
        check_options(self)
        check_range("images", self.images, 1, 2**31, whole=True)
        check_scale(self.scale)
        check_rows_per_image(self.rows_per_image)
        check_algorithms(self.names)
        if list(self.names) != sorted(self.names):
            raise UserError(f"the algorithms {', '.join(self.names)} are not in order; sort them")
        check_plan_version(self.plan_version, REAL_PLAN_VERSION)

    @property
    def kind(self) -> str:
        """Name of the kind of set, which its random numbers depend on."""
        return self.task

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the algorithms."""
        return tuple(name for name, _ in self.algorithms)

    def values(self) -> dict[str, Any]:
        """Plain values, as `dataset.json` holds them; the default size of patches is left out."""
        return values_but(self, _OPTIONAL)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the canonical JSON of this spec's values."""
        return digest_of(self.values())


_OPTIONAL: dict[str, Any] = {"patch_size": PATCH_SIZE.default}


def real_spec_from_values(values: Mapping[str, Any]) -> RealSpec:
    """A spec from plain values, as `dataset.json` holds them.

    Raises:
        UserError: for unknown or missing keys and for values out of range.
    """
    check_plan_version(values.get("plan_version", REAL_PLAN_VERSION), REAL_PLAN_VERSION)
    return parse_record(RealSpec, dict(values), "spec", optional=_OPTIONAL)


def step_name(task: str, algorithm: str) -> str:
    """How manifests name an algorithm, such as "superres:bicubic"."""
    return f"{task}:{algorithm}"


def check_task(task: str) -> None:
    """Raise UserError unless a task is one of TASKS."""
    if task not in TASKS:
        raise unknown_name("task", task, TASKS, f"tasks are {', '.join(TASKS)}")


def check_algorithms(names: tuple[str, ...]) -> None:
    """Raise UserError unless there are at least two algorithms with sound names of their own."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise UserError(
                f"'{name}' is no name for an algorithm: use up to 64 letters, digits, - _ and ., "
                "with a letter or digit first"
            )
        if names.count(name) > 1:
            raise UserError(f"two algorithms have the name '{name}'; give each a name of its own")
    if not 2 <= len(names) <= MAX_ALGORITHMS:
        raise out_of_range(
            "number of algorithms",
            len(names),
            f"from 2 to {MAX_ALGORITHMS}",
            "give --outputs NAME=DIR for each, for a triplet has the outputs of two",
        )


def check_demo(given: Sequence[str], patch_size: int) -> None:
    """Raise UserError where a demo is asked for together with what it makes itself.

    Args:
        given: names of the options for ground truth and outputs that were given.
        patch_size: px; larger ones than DEMO_PATCH are refused.
    """
    for name in given:
        raise UserError(f"a demo makes its {name} itself; leave out {name}, or demo")
    if patch_size > DEMO_PATCH:
        raise out_of_range(
            "patch-size",
            patch_size,
            f"at most {DEMO_PATCH} in a demo, whose pictures have up to 512×512 px",
            "use smaller patches, or outputs of your own",
        )
