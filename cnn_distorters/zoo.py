"""The zoo: a folder of trained distorters, `zoo.json` beside one safetensors file for each.

The header of a distorter's file has its spec and training record, so a file says itself what it
is; `zoo.json` lists the files with their SHA-256, so that one replaced by another is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen import lpips
from bapps_gen.cnn_distorters.rendering import check_patches, render_network, rendering_network
from bapps_gen.cnn_distorters.spec import DistorterSpec, spec_from_values
from bapps_gen.errors import UserError, WorkError, unknown_name
from bapps_gen.seeding import Streams
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import file_sha256
from bapps_gen.storage.records import OneOf, Sha256, read_record

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.network import UNet

ZOO_VERSION = 1
"""Of `zoo.json`; another version is refused."""

ZOO_NAME = "zoo.json"
ZOO_KIND = "bapps-gen zoo"
SHIPPED = Path(__file__).parent / "zoo"

_DIGEST_DIGITS = 32


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One distorter of a zoo.

    Args:
        spec: what it is.
        sha256: of its file, which holds spec, weights and record; 64 hexadecimal digits.
        record: how it was trained and what it gave on held-out patches.
    """

    spec: DistorterSpec
    sha256: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A distorter in `zoo.json`."""

    spec: Mapping[str, Any]
    spec_digest: str
    sha256: Sha256
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Index:
    """What `zoo.json` holds."""

    kind: Annotated[str, OneOf((ZOO_KIND,))]
    zoo_version: int
    table_version: int | None
    distorters: tuple[_Listed, ...]


@dataclass(frozen=True)
class Zoo:
    """Trained distorters, loaded when first used. Make it with `open_zoo`.

    Cheap to pickle: networks stay behind and are loaded again.

    Args:
        folder: where the files are.
        entries: by id, in the zoo's order.
        table_version: of the table of specs it was trained from; None for a user's own specs.
    """

    folder: Path
    entries: Mapping[str, ZooEntry]
    table_version: int | None
    _networks: dict[str, UNet] = field(default_factory=dict, init=False, repr=False, compare=False)
    _streams: Streams = field(default_factory=Streams, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # The shipped zoo is in the package, which may be elsewhere on another machine.
        folder = None if self.folder == SHIPPED else self.folder
        return _reopened, (type(self), folder, dict(self.entries), self.table_version)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all distorters, in the zoo's order."""
        return tuple(self.entries)

    def spec(self, name: str) -> DistorterSpec:
        """The spec of a distorter.

        Raises:
            UserError: when there is none of that id.
        """
        return self._entry(name).spec

    def record(self, name: str) -> Mapping[str, Any]:
        """How a distorter was trained, and its LPIPS on held-out patches."""
        return self._entry(name).record

    def digest(self, name: str) -> str:
        """Identifies a distorter's function: 32 hexadecimal digits of its file's SHA-256."""
        return self._entry(name).sha256[:_DIGEST_DIGITS]

    @property
    def fingerprint(self) -> str:
        """Identifies the whole zoo: a hash over ids and digests, 32 hexadecimal digits."""
        lines = (f"{name} {entry.sha256}\n" for name, entry in self.entries.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:_DIGEST_DIGITS]

    def render(
        self, name: str, patches: NDArray[np.uint8], seeds: Sequence[int]
    ) -> NDArray[np.uint8]:
        """Patches distorted by one distorter: corrupted as in its training, then restored by it.

        A patch's result depends on the patch, its seed and the distorter, not on the other
        patches, nor on the number of threads: byte for byte on one machine with one version of
        torch. Runs on the CPU in float32 with one thread; use processes for more.

        Args:
            name: the distorter's id.
            patches: uint8 (N, H, W, 3), RGB, any H, W ≥ 8; not written to.
            seeds: one for each patch, 0 to 2^63 - 1; only noise corruptions use them.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            UserError: for an unknown id, or patches or seeds of the wrong kind.
            WorkError: when the distorter's file is missing, damaged or of another version.
        """
        check_patches(patches, seeds)
        network = self._network(name)
        return render_network(network, self.spec(name), patches, seeds, self._streams)

    def _entry(self, name: str) -> ZooEntry:
        if name not in self.entries:
            raise unknown_name("distorter", name, self.entries, "see `bapps-gen distorters`")
        return self.entries[name]

    def _network(self, name: str) -> UNet:
        from bapps_gen.cnn_distorters.checkpoint import read_distorter

        if name not in self._networks:
            entry = self._entry(name)
            path = distorter_path(self.folder, name)
            spec, _, tensors = read_distorter(path)
            if _sha256(path) != entry.sha256 or spec != entry.spec:
                raise WorkError(
                    f"{path} is not the file that {self.folder / ZOO_NAME} lists; "
                    "restore it, or train it again"
                )
            self._networks[name] = rendering_network(spec, tensors)
        return self._networks[name]


def _reopened(
    kind: type[Zoo], folder: Path | None, entries: Mapping[str, ZooEntry], table_version: int | None
) -> Zoo:
    return kind(SHIPPED if folder is None else folder, entries, table_version)


def open_zoo(folder: Path | None = None) -> Zoo:
    """A zoo on disk; None is the one that comes with this package.

    Reads `zoo.json` alone: a distorter's file is read and checked when it is first used.

    Raises:
        UserError: when there is no zoo in the folder.
        WorkError: when `zoo.json` is damaged or of another version.
    """
    require_torch()
    shipped = folder is None
    folder = SHIPPED if folder is None else folder
    path = folder / ZOO_NAME
    try:
        stored = read_record(path, _Index, ZOO_VERSION, version_key="zoo_version")
    except FileNotFoundError:
        if shipped:
            raise UserError(
                f"the zoo that comes with this package is not in {folder}; reinstall bapps-gen, "
                "or give your own zoo with --zoo"
            ) from None
        raise UserError(
            f"no zoo in {folder}: it has no {ZOO_NAME}; train one with "
            f"`bapps-gen train-distorters --out {folder}`"
        ) from None
    except NotADirectoryError:
        raise UserError(f"{folder} is a file; name the folder of a zoo") from None
    entries = {}
    for number, item in enumerate(stored.distorters):
        try:
            spec = spec_from_values(item.spec)
        except UserError as error:
            raise _damaged_index(path, f"distorters.{number}: {error}") from None
        if spec.digest != item.spec_digest:
            raise _damaged_index(path, f"the spec of '{spec.id}' does not have its digest")
        entries[spec.id] = ZooEntry(spec, item.sha256, item.record)
    return Zoo(folder, entries, stored.table_version)


def _damaged_index(path: Path, what: str) -> WorkError:
    return WorkError(f"{path} is damaged ({what}); restore it, or train into the folder again")


def require_torch() -> None:
    """Raise UserError where it is missing."""
    lpips.require_torch("CNN distorters need")


def write_index(folder: Path, specs: Sequence[DistorterSpec], table_version: int | None) -> None:
    """Write `zoo.json`, which lists the finished distorters of a folder in the order of `specs`.

    Raises:
        WorkError: when a file is damaged or `zoo.json` cannot be written.
    """
    from bapps_gen.cnn_distorters.checkpoint import read_distorter_header

    listed = []
    for spec in specs:
        path = distorter_path(folder, spec.id)
        if path.exists():
            trained, record = read_distorter_header(path)
            listed.append(
                {
                    "spec": asdict(trained),
                    "spec_digest": trained.digest,
                    "sha256": _sha256(path),
                    "record": record,
                }
            )
    content = {
        "kind": ZOO_KIND,
        "zoo_version": ZOO_VERSION,
        "table_version": table_version,
        "distorters": listed,
    }
    write_json(folder / ZOO_NAME, content)


def distorter_path(folder: Path, name: str) -> Path:
    """The file of a distorter in a zoo's folder."""
    return folder / f"{name}.safetensors"


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise WorkError(f"cannot read {path}: {error.strerror}; make it readable") from error
