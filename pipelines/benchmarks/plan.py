"""What a benchmark of distortions is made of: its spec, its draws, and the names of its files."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bapps_gen.checks import check_range
from bapps_gen.distortions.definition import MAX_PARAMETERS, Distortion, SeverityParameter
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.manifests.benchmark import REFERENCE_FOLDER
from bapps_gen.manifests.rows import Step
from bapps_gen.pipelines.benchmarks.options import ALL, MAX_LEVELS, PATCHES, REDUCED_SIDE
from bapps_gen.pipelines.rows.crops import CropDraw, RandomCrops, uniform_numbers
from bapps_gen.pipelines.rows.options import check_scale, reductions_of
from bapps_gen.pipelines.rows.plan import check_version
from bapps_gen.pipelines.rows.spec import choose_distortions
from bapps_gen.seeding import MAX_SEED, SLOT_PATCH, SLOT_VARIANT, Streams, digest_of

BENCHMARK_VERSION = 1
"""Raised whenever the same spec and image give other pictures or rows."""

_TRIES = 64
"""Crops tried for one patch before its image is left out (own choice)."""

_MEMBERS = 2
_STEP_WORDS = 1 + MAX_PARAMETERS  # noise seed, parameters


@dataclass(frozen=True, slots=True)
class BenchmarkSpec:
    """What the pictures of a benchmark are made from.

    A picture depends on the seed, its image's content, its distortion and its severity (and, of a
    patch, on its number): neither on the other images nor on the other distortions or severities.

    Args:
        seed: 0 to 2^63 - 1.
        images: number of images in the source.
        source_digest: digest over names and contents of those images, in order.
        choices: ids of the distortions: atoms, "first+second" pairs, CNN distorters ("cnn:017").
        versions: (name, version) of every atom among them and of every CNN distorter.
        severities: of the levels, rising, each in [0, 1].
        patches: 64×64 patches cut from each image; None distorts images as wholes.
        max_side: longer side in px to which larger whole images are reduced; None reduces none.
        scale, min_contrast: of patches, as in `TripletSpec`; None for whole images.
        distorters: (id, digest of weights and spec) of the CNN distorters.
        benchmark_version: BENCHMARK_VERSION.
    """

    seed: int
    images: int
    source_digest: str
    choices: tuple[str, ...]
    versions: tuple[tuple[str, int], ...]
    severities: tuple[float, ...]
    patches: int | None = None
    max_side: int | None = None
    scale: tuple[float, float] | None = None
    min_contrast: float | None = None
    distorters: tuple[tuple[str, str], ...] = ()
    benchmark_version: int = BENCHMARK_VERSION

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, MAX_SEED, whole=True)
        check_range("images", self.images, 1, 2**31, whole=True)
        if not self.choices:
            raise UserError("no distortion is chosen; widen the choice")
        if not 1 <= len(self.severities) <= MAX_LEVELS:
            raise out_of_range(
                "number of severities",
                len(self.severities),
                f"from 1 to {MAX_LEVELS}",
                "give as many",
            )
        for value in self.severities:
            check_range("severities", value, 0.0, 1.0)
        if any(b <= a for a, b in zip(self.severities, self.severities[1:], strict=False)):
            raise out_of_range(
                "severities",
                ",".join(f"{value:g}" for value in self.severities),
                "rising numbers from 0 to 1",
                "give each once, the lowest first",
            )
        if self.max_side is not None:
            REDUCED_SIDE.check("max-side", self.max_side)
        if self.patches is None:
            if self.scale is not None or self.min_contrast is not None:
                raise UserError(
                    "scale-range and min-contrast are for patches; leave them out or give --patches"
                )
        else:
            PATCHES.check("patches", self.patches)
            if self.max_side is not None:
                raise UserError("max-side is for whole images; with --patches give --scale-range")
            if self.scale is None or self.min_contrast is None:
                raise UserError("patches need a scale-range and a min-contrast; give both")
            check_scale(self.scale)
            check_range("min-contrast", self.min_contrast, 0.0, 0.5)
        if self.benchmark_version != BENCHMARK_VERSION:
            raise UserError(
                f"benchmark_version = {self.benchmark_version} is not {BENCHMARK_VERSION}; "
                "use the version of bapps-gen that made the benchmark"
            )

    def values(self) -> dict[str, Any]:
        """Plain values, as `benchmark.json` holds them."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the canonical JSON of this spec's values."""
        return digest_of(self.values())


def even_severities(levels: int) -> tuple[float, ...]:
    """1/L, 2/L … 1."""
    return tuple(level / levels for level in range(1, levels + 1))


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
            check_version(registry.atom(name), version)
        self.variants = tuple(
            _variant(choice, registry.members(choice), spec.severities) for choice in spec.choices
        )
        self._streams = Streams()
        self._crops: RandomCrops | None = None
        if spec.scale is not None:
            self._crops = RandomCrops(spec.seed, SLOT_PATCH, reductions_of(spec.scale))

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
                    tuple(member.draw(severity or 0.0, numbers[index * _STEP_WORDS + 1 :]).items()),
                    seeds[index],
                    severity,
                )
                for index, member in enumerate(variant.members)
            )
            for severity in variant.severities
        )

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


_PARQUET_ROW = re.compile(r"(?<=\.parquet)#(\d+)$", re.IGNORECASE)


def picture_names(names: Sequence[str]) -> list[str]:
    """For each source image the name of its pictures, without ".png"; sub-folders are kept.

    The image's name without its ending; where two images would so have one name (a.png and
    a.jpg), all of these keep their endings (a.png.png and a.jpg.png), and get a hash of their
    whole name if that does not tell them apart either. Upper and lower case do not tell names
    apart, for they do not on every system. Row 12 of a Parquet file becomes "file.parquet/12".

    The names depend on the set of images, not on their order.
    """
    forms = [0] * len(names)
    made = list(map(usual_name, names))
    folders = set(map(_folded, _folders(made)))
    while True:
        keys = [_folded(f"{name}.png") for name in made]
        counts = Counter(keys)
        clashing = [
            index
            for index, key in enumerate(keys)
            if (counts[key] > 1 or key in folders) and forms[index] < _FORMS - 1
        ]
        if not clashing:
            return made
        for index in clashing:
            forms[index] += 1
            made[index] = _form(names[index], forms[index])


_FORMS = 3


def usual_name(name: str) -> str:
    """The name of an image's pictures where no other image would have the same."""
    return _form(name, 0)


def _form(name: str, form: int) -> str:
    # Names in tar files may have parts that lead out of a folder.
    parts = _PARQUET_ROW.sub(r"/\1.row", name).split("/")
    path = "/".join(part for part in parts if part not in ("", ".", ".."))
    if form == 0:
        return posixpath.splitext(path)[0]
    if form == 1:
        return path
    return f"{path}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _folders(names: Iterable[str]) -> set[str]:
    """All folders that names lie in, at every depth."""
    found: set[str] = set()
    for name in names:
        folder = posixpath.dirname(name)
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
