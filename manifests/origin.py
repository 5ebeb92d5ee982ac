"""What datasets and benchmarks say of where they come from: names to publish, places to keep.

Descriptions name sources, zoos and plugins without saying where they lie. Where they lie on this
machine is in `sources.local.json` next to the description, which is not for others: neither cards
nor exports nor recipes have it, and nothing of it is ever run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from bapps_gen.errors import BappsGenError, UserError
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import Location, file_sha256
from bapps_gen.storage.records import Sha256, parse_value, read_record
from bapps_gen.storage.url import is_url
from bapps_gen.storage.workspace import make_folder

ORIGIN_NAME = "sources.local.json"
ORIGIN_FORMAT = 1
PARTS_FOLDER = "parts"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where things lie on this machine.

    Args:
        roots: where the images were, absolute paths and URLs; none for the built-in ones.
        zoo: absolute path of the CNN distorters' folder; None for the shipped ones, or none.
        outputs: where the outputs of each algorithm were, in a set from real algorithms.
    """

    roots: tuple[str, ...] = ()
    zoo: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """A plugin in a description.

    Args:
        name: of its file or entry point.
        sha256: of the file; None for an entry point, and in descriptions of older versions.
    """

    name: str
    sha256: Sha256 | None

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which is run only when a user gives it."""
        return self.sha256 is not None or _is_file(self.name)


@dataclass(frozen=True, slots=True)
class _OriginFile:
    spec_digest: str
    origin: Origin
    format_version: int = ORIGIN_FORMAT


def published(origin: Origin, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a description that say where it comes from, by name.

    Args:
        origin: where things lie.
        plugins: files and entry points of distortions, as a user gave them.
    """
    return {
        "sources": tuple(map(public_name, origin.roots)),
        "zoo": None if origin.zoo is None else public_name(origin.zoo),
        "plugins": tuple(map(_plugin_record, plugins)),
    }


def public_outputs(origin: Origin) -> dict[str, str]:
    """Names of the folders of algorithms' outputs, by algorithm."""
    return {name: public_name(root) for name, root in origin.outputs.items()}


def public_name(place: str) -> str:
    """The name of a file or folder without those above; a URL as it is."""
    if is_url(place):
        return place
    return PurePosixPath(place.replace("\\", "/")).name or "."


def _plugin_record(plugin: str) -> PluginRecord:
    if not _is_file(plugin):
        return PluginRecord(plugin, None)
    return PluginRecord(public_name(plugin), _sha256(plugin))


def _is_file(plugin: str) -> bool:
    return plugin.endswith(".py") or len(Path(plugin).parts) > 1 or Path(plugin).exists()


def _sha256(path: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(f"cannot read the plugin {path}: {error.strerror}") from error


def resolve_plugins(records: Sequence[PluginRecord], given: Sequence[str]) -> tuple[str, ...]:
    """The plugins of a description, ready to be loaded: entry points, and files that a user gave.

    Args:
        records: `plugins` of the description.
        given: its `plugin_files`.

    Raises:
        UserError: when a file was not given, or is not the one that was used.
    """
    plugins = []
    for record in records:
        if not record.is_file:
            plugins.append(record.name)
            continue
        same = [path for path in given if record.sha256 in (None, _sha256(path))]
        if record.sha256 is None:
            same = [path for path in given if Path(path).name == record.name]
        if not same:
            wanted = f" with the SHA-256 {record.sha256[:16]}…" if record.sha256 else ""
            why = "none of those given is it" if given else "files are run only when you give them"
            raise UserError(
                f"distortions are of the plugin {record.name}{wanted}, and {why}; "
                f"give --plugin PATH/{record.name}"
            )
        plugins.append(same[0])
    return tuple(plugins)


def require_roots(origin: Origin | None, sources: Sequence[str]) -> tuple[str, ...]:
    """Where the images of a description were; none for the built-in ones.

    URLs are where they are for everybody.

    Raises:
        UserError: when that is not known on this machine.
    """
    if origin is None and not all(map(is_url, sources)):
        raise UserError(
            f"where the photos lie ({', '.join(sources)}) is not known here: there is no "
            f"{ORIGIN_NAME}; give --source"
        )
    return tuple(sources) if origin is None else origin.roots


def upgraded(values: dict[str, Any]) -> tuple[dict[str, Any], Origin | None]:
    """A description of an older version, which had places in it, as those of today.

    Returns:
        Its values, and where things lie; None where it is of today.

    Raises:
        UserError: for values of the wrong type.
    """
    if "source_roots" not in values:
        return values, None
    values = dict(values)
    roots = parse_value(tuple[str, ...], values.pop("source_roots"), "source_roots")
    zoo = parse_value(str | None, values.get("zoo"), "zoo")
    outputs = parse_value(Mapping[str, str], values.get("outputs", {}), "outputs")
    origin = Origin(roots, zoo, outputs)
    plugins = parse_value(tuple[str, ...], values.get("plugins", []), "plugins")
    records = [{"name": public_name(name) if _is_file(name) else name} for name in plugins]
    values |= published(origin)
    values["plugins"] = [{**record, "sha256": None} for record in records]
    if "outputs" in values:
        values["outputs"] = public_outputs(origin)
    return values, origin


def write_origin(folder: Location, origin: Origin | None, spec_digest: str) -> None:
    """Write `sources.local.json` into a local folder; nothing at a URL, where others read.

    Raises:
        WorkError: when it cannot be written.
    """
    if isinstance(folder, Path) and origin is not None:
        write_json(folder / ORIGIN_NAME, asdict(_OriginFile(spec_digest, origin)))


def read_origin(folder: Location, spec_digest: str) -> Origin | None:
    """Where things lie, None where no usable file says so."""
    if not isinstance(folder, Path):
        return None
    try:
        held = read_record(folder / ORIGIN_NAME, _OriginFile, ORIGIN_FORMAT)
    except (OSError, BappsGenError):
        return None
    return held.origin if held.spec_digest == spec_digest else None


Described = TypeVar("Described")


def read_described(
    path: Location,
    record: type[Described],
    version: int,
    missing: Mapping[str, Any] | None = None,
    variants: Mapping[str, type[Described]] | None = None,
) -> Described:
    """A description that has an `origin`, with it; raises as `read_record`."""
    older: list[Origin | None] = []

    def upgrade(values: dict[str, Any]) -> dict[str, Any]:
        values, origin = upgraded(values)
        older.append(origin)
        return values

    info: Any = read_record(
        path, record, version, missing=missing, upgrade=upgrade, variants=variants
    )
    origin = read_origin(path.parent, info.digest) or older[0]
    info = replace(info, origin=origin)
    if hasattr(info, "parts"):
        info = replace(info, parts=_with_origins(path.parent, info.parts))
    return info  # type: ignore[no-any-return]


def part_folder(folder: Location, digest: str) -> Location:
    """Where a subset or merged set has what is not in `dataset.json` of one of its parts."""
    return folder / PARTS_FOLDER / digest


def write_part_origins(folder: Location, parts: Sequence[Any]) -> None:
    """Write where the parts of a subset or merged set lie, their descriptions given."""
    for part in parts:
        own = part_folder(folder, part.digest)
        make_folder(own)
        write_origin(own, part.origin, part.digest)


def _with_origins(folder: Location, parts: Sequence[Any]) -> tuple[Any, ...]:
    """Descriptions of the parts of a subset or merged set, with where they lie."""
    return tuple(
        replace(part, origin=read_origin(part_folder(folder, part.digest), part.digest))
        for part in parts
    )
