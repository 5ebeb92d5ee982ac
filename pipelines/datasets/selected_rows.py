"""Rows chosen from several datasets, planned and rendered as the datasets that they were made as.

A row says where it is from: `spec_digest` names the dataset, and its id ends in its number there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bapps_gen.manifests.rows import ManifestRow, Step
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.plan import RealPlanner
from bapps_gen.pipelines.real.renderer import RealRenderer, RealReplayer
from bapps_gen.pipelines.rows.plan import Planner, TripletPlan
from bapps_gen.pipelines.rows.renderer import Patches, TripletRenderer
from bapps_gen.pipelines.rows.replayer import TripletReplayer
from bapps_gen.pipelines.sources.relocate import Images

_ID = re.compile(r"([0-9a-f]{8})-([0-9]{8,12})")

Item = TypeVar("Item")
Made = TypeVar("Made")


def origin_of(row: ManifestRow) -> tuple[str, int] | None:
    """Digest of the dataset that a row was made as, and its number there; None for another id."""
    found = _ID.fullmatch(row.id)
    if found is None or not row.spec_digest.startswith(found[1]):
        return None
    return row.spec_digest, int(found[2])


def digest_of_ids(ids: Iterable[str]) -> str:
    """32 hexadecimal digits of SHA-256 over the ids of rows in order, a line each."""
    digest = hashlib.sha256()
    for name in ids:
        digest.update(f"{name}\n".encode())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class SelectedImages:
    """What chosen rows are made from, by the digest of the dataset that they were made as."""

    parts: Mapping[str, Images | AlignedImages]

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    @property
    def roots(self) -> tuple[str, ...]:
        """Absolute paths and URLs that images are read from."""
        return tuple(dict.fromkeys(root for part in self.parts.values() for root in part.roots))


@dataclass(frozen=True, slots=True)
class SelectedPlan:
    """The plan of a chosen row: that of the dataset `part`, and its `number` in the selection."""

    part: str
    number: int
    plan: TripletPlan

    @property
    def image(self) -> tuple[str, int]:
        """Plans are rendered in the order of their images."""
        return self.part, self.plan.image

    @property
    def sides(self) -> tuple[tuple[Step, ...], ...]:
        """See `TripletPlan`."""
        return self.plan.sides


@dataclass(frozen=True)
class SelectionPlanner:
    """Plans chosen rows."""

    parts: Mapping[str, Planner | RealPlanner]

    def plan_of(self, row: ManifestRow) -> SelectedPlan:
        """The plan of a stored row, whose origin is one of the parts."""
        origin = origin_of(row)
        assert origin is not None
        part, number = origin
        return SelectedPlan(part, row.row, self.parts[part].row(number))


@dataclass(frozen=True)
class SelectionRenderer:
    """Renders chosen rows."""

    parts: Mapping[str, TripletRenderer | RealRenderer]

    @property
    def planner(self) -> SelectionPlanner:
        """That plans the rows."""
        return SelectionPlanner({part: made.planner for part, made in self.parts.items()})

    def render(self, plan: SelectedPlan) -> tuple[ManifestRow, Patches]:
        """See `TripletRenderer`."""
        row, patches = self.parts[plan.part].render(plan.plan)
        return replace(row, row=plan.number), patches

    def render_many(self, plans: Sequence[SelectedPlan]) -> Iterator[tuple[ManifestRow, Patches]]:
        """See `TripletRenderer`."""

        def rendered(part: str, plans: list[SelectedPlan]) -> Iterable[tuple[ManifestRow, Patches]]:
            made = self.parts[part].render_many([each.plan for each in plans])
            for each, (row, patches) in zip(plans, made, strict=True):
                yield replace(row, row=each.number), patches

        yield from _by_part(plans, lambda plan: plan.part, rendered)


@dataclass(frozen=True)
class SelectionReplayer:
    """Makes the patches of chosen rows again, from their steps."""

    parts: Mapping[str, TripletReplayer | RealReplayer]

    def expect(self, rows: Sequence[ManifestRow]) -> None:
        """See `TripletReplayer`."""
        for part, replayer in self.parts.items():
            replayer.expect([row for row in rows if row.spec_digest == part])

    def patches(self, rows: Sequence[ManifestRow]) -> Iterator[Patches]:
        """See `TripletReplayer`."""
        yield from _by_part(
            rows, lambda row: row.spec_digest, lambda part, own: self.parts[part].patches(own)
        )


def _by_part(
    items: Sequence[Item],
    part_of: Callable[[Item], str],
    work: Callable[[str, list[Item]], Iterable[Made]],
) -> Iterator[Made]:
    """What comes of some items, in their order, those of each part worked on together."""
    parts: dict[str, list[Item]] = {}
    for item in items:
        parts.setdefault(part_of(item), []).append(item)
    made = {part: iter(work(part, own)) for part, own in parts.items()}
    for item in items:
        yield next(made[part_of(item)])
