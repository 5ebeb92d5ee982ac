"""The spec of a set of triplets: everything that its rows depend on, and its digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bapps_gen.checks import check_options, check_range
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.pipelines.rows.crops import CropSizes
from bapps_gen.pipelines.rows.options import (
    CROP_SHARE,
    FIXED_PX,
    FOLDING,
    MIN_CONTRAST,
    NEAR_THRESHOLD,
    PATCH_SIZE,
    ROWS_PER_IMAGE,
    SCALE_RANGE,
    SEED,
    SEQUENCES,
    SEVERITY,
    SINGLES,
    check_crop_sizes,
    check_rows_per_image,
)
from bapps_gen.seeding import digest_of
from bapps_gen.storage.records import parse_record, shown

PLAN_VERSION = 2
"""Raised whenever the same spec and row give another plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletSpec:
    """What rows are made from. Rows depend on this and on nothing else.

    The defaults are this project's own choices; the paper publishes none of these.

    Args:
        seed: dataset seed, 0 to 2^63 - 1.
        images: number of images in the source.
        source_digest: digest over names and contents of those images, in order.
        choices: ids of the distortions to draw from, atoms and "first+second" pairs; none in a
            set of CNN distorters alone.
        versions: (name, version) of every atom among the choices and of every CNN distorter.
        singles: share of sides with a single atom in [0, 1]; None samples uniformly from
            `choices`.
        severity: lowest and highest severity drawn, from 0 to MAX_SEVERITY. Of triplets, for each
            traditional step; of pairs near the threshold, for all steps together, CNN distorters
            included: see `Planner`.
        scale: smallest and largest scale at which images are read, patch pixels per source
            pixel in (0, 1]. Those of the form 1/k are drawn, with weight 1/k: uniformly on
            a logarithmic scale. Every patch pixel is then the mean of k × k source pixels. None
            where `crop_share` is given.
        crop_share: smallest and largest share of a photo's shorter side that a crop takes, in
            [0, 1], sampled uniformly on a logarithmic scale among the whole k; None where `scale`
            is given.
        min_contrast: smallest standard deviation of a reference's luma, of full scale in
            [0, 0.5]; flatter crops are drawn again. 0 takes every crop.
        rows_per_image: rows that share an image before the next is taken, per 1000 rows. The
            paper's traditional set has about 11 triplets from each photo (56.6k from MIT-Adobe
            5k, tables 2 and 3).
        plan_version: of the rules by which rows are planned, PLAN_VERSION.
        distorters: (id, digest of weights and spec) of the CNN distorters to draw from, at least
            two in a set of triplets; none in a traditional set. With `choices` they make a mixed
            set: see `Planner`.
        sequences: in a mixed set, share of triplets with a CNN distorter followed by an atom on
            both sides, in [0, 1]; the others have a CNN distorter against a traditional
            distortion. None in other sets.
        is_jnd: whether rows are JND pairs, a reference and one distorted patch, by traditional
            distortions or by CNN distorters; otherwise they are triplets.
        near_threshold: of JND pairs, whether they are kept near the threshold of noticing: see
            `Planner`.
        patch_size: height and width of the patches in px, 16 to 512.
        fixed_px: whether lengths of distortions keep their px at every size of patches. Otherwise
            they are those of 64 px times patch_size / 64; see `distortions.lengths`.
        folding: whether warps may fold over: their parameter `folding` is 1 then.
    """

    seed: int = SEED.field(required=True)
    images: int
    source_digest: str
    choices: tuple[str, ...]
    versions: tuple[tuple[str, int], ...]
    singles: float | None = replace(SINGLES, words=()).field(None)
    severity: tuple[float, float] = SEVERITY.field()
    scale: tuple[float, float] | None = SCALE_RANGE.field()
    crop_share: tuple[float, float] | None = CROP_SHARE.field(None)
    min_contrast: float = MIN_CONTRAST.field()
    rows_per_image: int = ROWS_PER_IMAGE.field()
    plan_version: int = PLAN_VERSION
    distorters: tuple[tuple[str, str], ...] = ()
    sequences: float | None = SEQUENCES.field(None)
    is_jnd: bool = False
    near_threshold: bool = NEAR_THRESHOLD.field()
    patch_size: int = PATCH_SIZE.field()
    fixed_px: bool = FIXED_PX.field()
    folding: bool = FOLDING.field()

    def __post_init__(self) -> None:
        check_options(self)
        check_range("images", self.images, 1, 2**31, whole=True)
        check_crop_sizes(self.scale, self.crop_share)
        check_rows_per_image(self.rows_per_image)
        check_plan_version(self.plan_version, PLAN_VERSION)
        if not isinstance(self.is_jnd, bool):
            raise UserError(f"pairs = {self.is_jnd!r} is not true or false; give one of these")
        if self.near_threshold and not self.is_jnd:
            raise UserError("near_threshold = true is for JND pairs, not triplets; leave it out")
        check_choices(self.choices, len(self.distorters), self.singles, self.sequences, self.is_jnd)

    @property
    def kind(self) -> str:
        """Name of the kind of set, which its random numbers depend on."""
        name = "mix" if self.choices and self.distorters else "cnn" if self.distorters else ""
        return f"{'jnd-' if self.is_jnd else ''}{name or 'traditional'}"

    @property
    def crop_sizes(self) -> CropSizes:
        """How large crops are."""
        return CropSizes(self.scale, self.crop_share)

    def values(self) -> dict[str, Any]:
        """Plain values, as `dataset.json` holds them; entries of no effect are left out."""
        values = values_but(self, _OPTIONAL)
        return {_STORED.get(name, name): value for name, value in values.items()}

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the canonical JSON of this spec's values."""
        return digest_of(self.values())


# Entries that not every set has, and what they are where they have no effect: left out
# then, so that a set's digest does not depend on what other kinds have.
_OPTIONAL: dict[str, Any] = {
    "scale": None,
    "crop_share": None,
    "distorters": (),
    "sequences": None,
    "is_jnd": False,
    "near_threshold": False,
    "patch_size": PATCH_SIZE.default,
    "fixed_px": False,
    "folding": False,
}

_STORED = {"is_jnd": "pairs"}
"""Names in `dataset.json` of fields that have another there."""


def spec_from_values(values: Mapping[str, Any]) -> TripletSpec:
    """A spec from plain values, as `dataset.json` holds them.

    Raises:
        UserError: for unknown or missing keys and for values out of range.
    """
    check_plan_version(values.get("plan_version", PLAN_VERSION), PLAN_VERSION)
    names = {stored: name for name, stored in _STORED.items()}
    given = {names.get(key, key): value for key, value in values.items() if key not in _STORED}
    return parse_record(TripletSpec, given, "spec", optional=_OPTIONAL)


def values_but(spec: Any, without_effect: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's values by name, less those that are as they have no effect."""
    return {
        name: value
        for name, value in asdict(spec).items()
        if name not in without_effect or value != without_effect[name]
    }


def check_plan_version(version: object, current: int) -> None:
    """Raise UserError unless rows are planned by the rules of this version.

    Args:
        version: of a spec.
        current: that can be planned here.
    """
    if version != current:
        raise UserError(
            f"plan_version = {shown(version)} is not {current}; "
            "use the version of bapps-gen that made the dataset"
        )


def check_choices(
    choices: Collection[str],
    distorters: int,
    singles: float | None,
    sequences: float | None,
    is_jnd: bool,
) -> None:
    """Raise UserError unless rows can be drawn from some distortions; see `TripletSpec`.

    Args:
        choices: ids of the traditional distortions.
        distorters: number of CNN distorters.
        singles, sequences, is_jnd: of the spec.
    """
    if not (choices or distorters):
        raise UserError("no distortion is left to draw from; widen the choice")
    is_mixed = bool(choices and distorters)
    if is_jnd and is_mixed:
        raise UserError(
            "pairs are made with traditional distortions or with CNN distorters, not both; "
            "choose one of them"
        )
    if distorters == 1 and not is_jnd:
        raise out_of_range(
            "number of distorters", 1, "at least 2", "choose more, since a triplet has two"
        )
    atoms = sum("+" not in choice for choice in choices)
    if singles is not None and singles > 0 and atoms == 0:
        raise UserError("singles > 0, but the choice has no single atom; widen the choice")
    if singles is not None and singles < 1 and atoms == len(choices):
        raise UserError("singles < 1, but the choice has no composition; widen the choice")
    if is_mixed != (sequences is not None):
        raise UserError(
            "sequences is for sets of CNN distorters and traditional distortions together; "
            "give it there, and only there"
        )
    if sequences is not None and sequences > 0 and atoms == 0:
        raise UserError(
            "sequences > 0, but the choice has no single atom to follow a CNN distorter; "
            "widen the choice or give --sequences 0"
        )


def share_of_singles(singles: float | str | None, choices: Collection[str]) -> float | None:
    """`TripletSpec.singles` as a user asks for it.

    Args:
        singles: a share, "types", or None for the default, where the choices allow one.
        choices: ids of the traditional distortions.
    """
    if singles is None and {"+" in choice for choice in choices} == {True, False}:
        singles = SINGLES.default
    return None if singles is None or isinstance(singles, str) else singles


def choose_distortions(
    registry: Registry,
    *,
    families: tuple[str, ...] = (),
    atoms: tuple[str, ...] = (),
    compositions: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Ids to draw from, in the registry's order.

    Without arguments: every id, 328 and the user's own. `families` and `atoms` keep the singles
    and compositions made of these alone (of either, where both are given); `compositions` adds
    or, given alone, keeps just these.

    Raises:
        UserError: for an unknown family, atom or composition, with the nearest name.
    """
    if not (families or atoms or compositions):
        return registry.ids
    known_families = sorted({atom.family for atom in registry.atoms.values()})
    for family in families:
        if family not in known_families:
            raise unknown_name(
                "family", family, known_families, f"families are {', '.join(known_families)}"
            )
    for name in atoms:
        registry.atom(name)
    for name in compositions:
        registry.members(name)
    kept = set(compositions)
    if families or atoms:
        allowed = {
            name
            for name, atom in registry.atoms.items()
            if name in atoms or atom.family in families
        }
        kept |= {
            choice
            for choice in registry.ids
            if all(atom.name in allowed for atom in registry.members(choice))
        }
    known = [choice for choice in registry.ids if choice in kept]
    return (*known, *sorted(kept - set(known)))


def parameter_units(registry: Registry, names: Iterable[str]) -> dict[str, str]:
    """Unit of every "distortion.parameter" of some distortions."""
    return {
        f"{name}.{parameter.name}": parameter.unit
        for name in names
        for parameter in registry.atom(name).parameters
    }


def atom_versions(registry: Registry, choices: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """(name, version) of every atom that occurs in the choices, by name."""
    versions = {atom.name: atom.version for choice in choices for atom in registry.members(choice)}
    return tuple(sorted(versions.items()))
