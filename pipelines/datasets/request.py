"""What a user asks a set to be, and the `dataset.json` that follows from it and the photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bapps_gen.cnn_distorters.as_distortions import distorter_versions, pin_distorters, with_zoo
from bapps_gen.cnn_distorters.spec import choose_specs
from bapps_gen.cnn_distorters.zoo import Zoo, open_zoo
from bapps_gen.distortions.registry import Registry, load_registry
from bapps_gen.errors import unknown_name
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.pipelines.datasets.generate import describe_dataset
from bapps_gen.pipelines.rows.options import JND_SEVERITY, ROWS, SHARD_SIZE
from bapps_gen.pipelines.rows.spec import (
    TripletSpec,
    atom_versions,
    choose_distortions,
)
from bapps_gen.pipelines.sources.source import Source

# kind of set: whether it has traditional distortions, whether it has CNN distorters, and whether
# its rows are JND pairs. Those of pairs are named as imported sets of the original layout are.
KINDS = {
    "traditional": (True, False, False),
    "cnn": (False, True, False),
    "mix": (True, True, False),
    "jnd-traditional": (True, False, True),
    "jnd-cnn": (False, True, True),
}


@dataclass(frozen=True, slots=True)
class SetRequest:
    """A set as a user asks for it. The defaults are those of `TripletSpec`.

    Args:
        kind: one of KINDS.
        rows: how many triplets or pairs.
        seed: of the dataset.
        shard_rows: rows in a Parquet file; rows do not depend on it.
        scale, min_contrast, rows_per_image: see `TripletSpec`.
        families, atoms, compositions: see `choose_distortions`.
        singles: of the traditional distortions; see `TripletSpec`.
        severity: of the traditional distortions and, in pairs, of CNN distorters; None for
            JND_SEVERITY in pairs and for the default of `TripletSpec` elsewhere.
        plugins: files or entry points with distortions of the user's own.
        zoo: folder of CNN distorters; None for the shipped one.
        distorters: ids, and ranges of ids, of its distorters; all where none is given.
        sequences: see `TripletSpec`; only for a mixed set.
    """

    kind: str
    rows: int
    seed: int = 0
    shard_rows: int = SHARD_SIZE.default
    scale: tuple[float, float] = (0.25, 1.0)
    min_contrast: float = 0.02
    rows_per_image: int = 10
    families: tuple[str, ...] = ()
    atoms: tuple[str, ...] = ()
    compositions: tuple[str, ...] = ()
    singles: float | None = None
    severity: tuple[float, float] | None = None
    plugins: tuple[str, ...] = ()
    zoo: Path | None = None
    distorters: tuple[str, ...] = ()
    sequences: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind", self.kind, KINDS, f"kinds are {', '.join(KINDS)}")
        ROWS.check("n", self.rows)
        SHARD_SIZE.check("shard-size", self.shard_rows)


@dataclass(frozen=True, slots=True)
class PreparedSet:
    """A request found possible, but for its photos.

    Args:
        request: what was asked for.
        registry: everything that rows may be made with.
        zoo: that the CNN distorters come from; None in a traditional set.
        values: arguments of `TripletSpec`, all but the source's.
    """

    request: SetRequest
    registry: Registry
    zoo: Zoo | None
    values: dict[str, Any]

    def describe(self, source: Source) -> DatasetInfo:
        """The `dataset.json` of this set made from some photos."""
        spec = TripletSpec(images=len(source), source_digest=source.digest, **self.values)
        request = self.request
        return describe_dataset(
            request.kind,
            spec,
            source,
            self.registry,
            request.plugins,
            request.rows,
            request.shard_rows,
            self.zoo,
        )


def prepare_set(request: SetRequest) -> PreparedSet:
    """Find what a request needs and check everything that can be told without its photos.

    Raises:
        UserError: for an unknown distortion or distorter, a value out of range, or no zoo.
        WorkError: when the zoo's index is damaged.
    """
    traditional, cnn, pairs = KINDS[request.kind]
    values: dict[str, Any] = {
        "seed": request.seed,
        "scale": request.scale,
        "min_contrast": request.min_contrast,
        "rows_per_image": request.rows_per_image,
        "choices": (),
        "is_jnd": pairs,
    }
    severity = JND_SEVERITY.default if pairs and request.severity is None else request.severity
    if severity is not None and (traditional or pairs):
        values["severity"] = severity
    registry, zoo = load_registry(request.plugins), None
    versions: tuple[tuple[str, int], ...] = ()
    if traditional:
        values["choices"] = choose_distortions(
            registry,
            families=request.families,
            atoms=request.atoms,
            compositions=request.compositions,
        )
        values["singles"] = request.singles
        versions = atom_versions(registry, values["choices"])
    if cnn:
        zoo, ids = choose_distorters(request.zoo, request.distorters)
        registry = with_zoo(registry, zoo, ids)
        values["distorters"] = pin_distorters(zoo, ids)
        versions = tuple(sorted((*versions, *distorter_versions(ids))))
    if traditional and cnn:
        values["sequences"] = request.sequences
    values["versions"] = versions
    TripletSpec(images=1, source_digest="", **values)
    return PreparedSet(request, registry, zoo, values)


def choose_distorters(
    folder: Path | None, chosen: tuple[str, ...] = ()
) -> tuple[Zoo, tuple[str, ...]]:
    """A zoo, and the ids of some of its distorters in its order.

    Args:
        folder: of the zoo; None for the shipped one.
        chosen: ids and ranges of ids such as "010-020"; all where none is given.

    Raises:
        UserError: for a missing zoo or an unknown id.
        WorkError: when the zoo's index is damaged.
    """
    zoo = open_zoo(folder)
    specs = choose_specs([zoo.spec(name) for name in zoo.ids], chosen)
    return zoo, tuple(spec.id for spec in specs)
