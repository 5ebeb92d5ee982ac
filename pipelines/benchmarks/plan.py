"""The plan of a benchmark: its distortions, and all randomness of its pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from bapps_gen.distortions.definition import MAX_PARAMETERS, Distortion, SeverityParameter
from bapps_gen.distortions.lengths import scaled_values
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError
from bapps_gen.manifests.benchmark import REFERENCE_FOLDER
from bapps_gen.manifests.rows import PATCH_SIZE, Step
from bapps_gen.pipelines.benchmarks.options import ALL
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
from bapps_gen.pipelines.rows.crops import CropDraw, CropSizes, RandomCrops, uniform_numbers
from bapps_gen.pipelines.rows.plan import check_version
from bapps_gen.pipelines.rows.spec import choose_distortions
from bapps_gen.seeding import SLOT_PATCH, SLOT_VARIANT, Streams

_TRIES = 64
"""Crops tried for one patch before its image is left out (own choice)."""

_MEMBERS = 2
_STEP_WORDS = 1 + MAX_PARAMETERS  # noise seed, parameters


def choose_variants(
    registry: Registry,
    *,
    families: tuple[str, ...] = (),
    atoms: tuple[str, ...] = (),
    compositions: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Ids of the traditional distortions of a benchmark, in the registry's order.

    Without arguments: the 20 atoms and the user's own. Otherwise the atoms of `families`, `atoms`
    and `compositions`, together; "all" stands for all atoms or all 308 compositions.

    Raises:
        UserError: for an unknown family, atom or composition, with the nearest name.
    """
    given = bool(families or atoms or compositions)
    if ALL in atoms or not given:
        atoms = tuple(registry.atoms)
    if ALL in compositions:
        named = tuple(name for name in compositions if name != ALL)
        compositions = tuple(dict.fromkeys((*registry.compositions, *named)))
    # Of two atoms, that choice would have their compositions too.
    chosen = choose_distortions(registry, families=families, atoms=atoms, compositions=compositions)
    return tuple(choice for choice in chosen if "+" not in choice or choice in compositions)


@dataclass(frozen=True, slots=True)
class Variant:
    """One distortion of a benchmark.

    Args:
        id: of the distortion.
        folder: name of its folder: the id, with - for : ("cnn-017").
        family: families of its members, joined by +.
        members: the one or two distortions applied, in order.
        severities: of its levels; a single None where no parameter follows severity.
    """

    id: str
    folder: str
    family: str
    members: tuple[Distortion, ...]
    severities: tuple[float | None, ...]


class BenchmarkPlanner:
    """Plans the pictures of one benchmark: everything that is drawn is drawn here.

    Raises:
        UserError: when the registry has other versions of the atoms than the spec, or a
            distortion's folder would be that of the references.
    """

    def __init__(self, spec: BenchmarkSpec, registry: Registry) -> None:
        self.spec = spec
        for name, version in spec.versions:
            check_version(name, registry.atom(name).version, version)
        self.variants = tuple(
            _variant(choice, registry.members(choice), spec.severities) for choice in spec.choices
        )
        self._factor = 1.0 if spec.fixed_px else spec.patch_size / PATCH_SIZE
        self._streams = Streams()
        self._crops: RandomCrops | None = None
        if spec.patches is not None:
            self._sizes = CropSizes(spec.scale, spec.crop_share)
            self._crops = RandomCrops(spec.seed, SLOT_PATCH, self._sizes)

    @property
    def rows_per_image(self) -> int:
        """Distorted pictures made from every image."""
        levels = sum(len(variant.severities) for variant in self.variants)
        return levels * self.references_per_image

    @property
    def references_per_image(self) -> int:
        """Patches of an image, or 1 for whole images."""
        return 1 if self.spec.patches is None else self.spec.patches

    def steps(
        self, sha256: str, patch: int | None, variant: Variant
    ) -> tuple[tuple[Step, ...], ...]:
        """The steps of every level.

        Free parameters, the direction of those that have two, and the seed of the noise are drawn
        once and are the same at all levels, so that severity alone tells levels apart.
        """
        words = self._streams.words(
            self.spec.seed,
            _stream(sha256, patch, variant.id),
            SLOT_VARIANT,
            _MEMBERS * _STEP_WORDS,
        )
        numbers = uniform_numbers(words)
        seeds: list[int] = (words[::_STEP_WORDS] >> np.uint64(1)).tolist()
        return tuple(
            tuple(
                Step(
                    member.name,
                    member.version,
                    # Without a severity no parameter depends on it.
                    tuple(
                        scaled_values(
                            member,
                            severity or 0.0,
                            numbers[index * _STEP_WORDS + 1 :],
                            self._factor,
                        ).items()
                    ),
                    seeds[index],
                    severity,
                )
                for index, member in enumerate(variant.members)
            )
            for severity in variant.severities
        )

    def step(self, shorter: int) -> int:
        """The factor by which photos of a shorter side in px are reduced as they are decoded."""
        if self._crops is None:
            return 1
        return self._sizes.step(shorter, self.spec.patch_size)

    def crops(self, sha256: str, patch: int) -> tuple[CropDraw, ...]:
        """Where to cut a patch, in the order to try."""
        assert self._crops is not None
        return self._crops.at(_stream(sha256, patch, ""), _TRIES)


def _stream(sha256: str, patch: int | None, variant: str) -> int:
    """Index of a stream that depends on content and names alone, not on a position in any list."""
    text = f"{sha256}\0{'' if patch is None else patch}\0{variant}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _variant(
    choice: str, members: tuple[Distortion, ...], severities: tuple[float, ...]
) -> Variant:
    folder = choice.replace(":", "-")
    if folder == REFERENCE_FOLDER:
        raise UserError(
            f"a benchmark cannot have a distortion '{choice}': its folder is that of the "
            "references; rename the distortion"
        )
    parameters = (parameter for member in members for parameter in member.parameters)
    graded = any(isinstance(parameter, SeverityParameter) for parameter in parameters)
    return Variant(
        id=choice,
        folder=folder,
        family="+".join(member.family for member in members),
        members=members,
        severities=severities if graded else (None,),
    )
