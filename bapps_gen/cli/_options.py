"""Options, progress and sources that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import MISSING, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bapps_gen.checks import Option, flag_of, options_of
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import Location, local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import Progress
    from bapps_gen.pipelines.sources.source import Source

Record = TypeVar("Record")


def add_options(
    group: argparse._ActionsContainer,
    record: type[Any],
    *names: str,
    **changes: Mapping[str, Any],
) -> None:
    """Declare command-line options from the fields of a dataclass that are `Option`s.

    An option that is not given is None among the parsed options; `values_of` leaves it out, so
    that the dataclass's default holds, which the help states.

    Args:
        group: where to declare them.
        record: the dataclass.
        names: of the fields, in the order of the help; none for all.
        changes: by field, attributes of `Option` that differ in this command, such as
            `rows={"help": "number of pairs"}`.
    """
    fields = {entry.name: (entry, option) for entry, option in options_of(record)}
    for name in names or fields:
        entry, option = fields[name]
        required = entry.default is MISSING
        default = option.default if entry.default is None else entry.default
        shown = {"default": None if required else default, **changes.get(name, {})}
        option = replace(option, **shown)
        flag = flag_of(entry, option)
        group.add_argument(
            *([f"-{flag}"] if len(flag) == 1 else []),
            f"--{flag}",
            dest=name,
            required=required,
            help=_help(option).replace("%", "%%"),
            **_arguments(option),
        )


def _arguments(option: Option) -> dict[str, Any]:
    """What argparse has to know of an option's type."""
    if option.type == "flag":
        return {"action": "store_const", "const": True}
    if option.type == "range":
        return {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
    if option.choices:
        return {"choices": option.choices}
    metavar = option.metavar or option.unit.upper() or _METAVARS[option.type]
    if option.type == "table":
        return {"action": "extend", "nargs": "+", "metavar": metavar}
    if option.is_repeated:
        return {"action": "append", "metavar": metavar}
    if option.type == "names":  # one list with commas, or the option again and again
        return {"action": "extend", "type": names_of, "metavar": metavar}
    convert = partial(number_or_word, option) if option.words else _CONVERTERS[option.type]
    return {"type": convert, "metavar": metavar}


def _help(option: Option) -> str:
    """An option's help with its default."""
    default = option.default_text or _default_text(option)
    return f"{option.help} (default: {default})" if default else option.help


def _default_text(option: Option) -> str:
    value = option.default
    if value is None or isinstance(value, bool):
        return ""
    values = value if isinstance(value, tuple) else (value,)
    separator = " " if option.type == "range" else ","
    return separator.join(f"{n:g}" if isinstance(n, float) else str(n) for n in values)


def values_of(options: argparse.Namespace, record: type[Any]) -> dict[str, Any]:
    """Arguments of a dataclass from the parsed options that `add_options` declared.

    Returns:
        a value by field for those that were given.

    Raises:
        UserError: for a table's entry that is not NAME=DIR, or has a name twice.
    """
    values = {}
    for entry, option in options_of(record):
        value = getattr(options, entry.name, None)
        if value is None:
            continue
        if option.type == "table":
            value = tuple(table_of(flag_of(entry, option), value).items())
        values[entry.name] = tuple(value) if isinstance(value, list) else value
    return values


def record_of(options: argparse.Namespace, record: type[Record]) -> Record:
    """A dataclass from the parsed options that `add_options` declared.

    Raises:
        UserError: as `values_of`, and as the dataclass does.
    """
    return record(**values_of(options, record))


def add_source(
    parser: argparse._ActionsContainer,
    fallback: str = "the color photographs that come with scikit-image",
) -> None:
    """Add --source; `fallback` says what happens without it."""
    parser.add_argument(
        "--source",
        action="append",
        metavar="PATH",
        default=[],
        help="folder of images, image, Parquet file or tar shard, or its URL; may be repeated "
        f"(default: {fallback})",
    )


def add_dataset(
    parser: argparse.ArgumentParser,
    help: str = "folder or URL of a dataset",
    nargs: str | None = None,
) -> None:
    """Add the dataset that a command reads."""
    parser.add_argument("dataset", type=location_of, nargs=nargs, metavar="DATASET", help=help)


def add_several(
    parser: argparse.ArgumentParser, name: str, help: str, metavar: str = "DATASET"
) -> None:
    """Add an argument or option of several paths or URLs; an option may be repeated."""
    repeated: dict[str, Any] = {"action": "extend", "default": []} if name[0] == "-" else {}
    parser.add_argument(name, type=location_of, nargs="+", metavar=metavar, help=help, **repeated)


def add_out(parser: argparse._ActionsContainer, default: str = "triplets") -> None:
    """Add --out, the folder of a dataset that is to be made."""
    parser.add_argument(
        "--out",
        type=location_of,
        default=Path(default),
        metavar="DIR",
        help="folder to create or resume, or a URL such as s3://bucket/set (default: %(default)s)",
    )


def add_local_out(
    parser: argparse._ActionsContainer,
    default: str,
    metavar: str = "DIR",
    help: str = "folder to create or resume",
) -> None:
    """Add --out, a local folder or file of what is to be made."""
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path(default),
        metavar=metavar,
        help=f"{help} (default: %(default)s)",
    )


def add_new_out(parser: argparse._ActionsContainer) -> None:
    """Add --out, a local folder that is written at once."""
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="DIR",
        help="folder to write, new or empty",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers, --engine, --address and --quiet, the last group of a command's options."""
    group = parser.add_argument_group("execution")
    group.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help="parallel worker processes (default: all cores, of the cluster with Ray)",
    )
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where workers run: on this machine, or on a Ray cluster that it is part of "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head of the Ray cluster; auto for the cluster of this machine, local for a new one "
        "on it (default: RAY_ADDRESS where it is set, otherwise auto or local)",
    )
    group.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def add_check(parser: argparse._ActionsContainer) -> None:
    """Add --check, for commands that go on with what is there."""
    parser.add_argument(
        "--check",
        choices=("footers", "pages", "full"),
        help="how closely existing files are checked before they are kept: their footers or sizes "
        "alone; pages: also the checksums of all that they hold; full: also every picture, decoded "
        "and compared with its hash (default: pages, at a URL footers)",
    )


def add_plugins(parser: argparse._ActionsContainer) -> None:
    """Add --plugin, for commands that make rows again: no file is run unless a user gives it."""
    parser.add_argument(
        "--plugin",
        action="append",
        dest="plugins",
        default=[],
        metavar="FILE",
        help="Python file with distortions that were used; it has to be the same; may be repeated",
    )


def workers_of(options: argparse.Namespace) -> Workers:
    """The workers asked for: processes here, all cores by default, or a Ray cluster.

    The cluster is connected to, so that what is wrong with it is reported before anything is read.

    Raises:
        UserError: when the number is not from 1 to 1024 here or 100,000 on a cluster, or the
            cluster cannot be used.
        WorkError: when a node of it cannot do the work.
    """
    from bapps_gen.api._arguments import resolve_workers
    from bapps_gen.execution.jobs import RayCluster

    if options.engine == "ray":
        return resolve_workers(RayCluster(options.address, options.workers))
    if options.address is not None:
        raise UserError(f"address = {options.address} is for --engine ray; add that")
    return resolve_workers(options.workers)


def names_of(text: str) -> tuple[str, ...]:
    """A comma-separated list of names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def numbers_of(text: str) -> tuple[float, ...]:
    """A comma-separated list of numbers."""
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not numbers with commas between them; write them like 0.2,0.5,1"
        ) from None


def number_or_word(option: Option, text: str) -> float | str:
    """A number, or one of the words that an option allows instead."""
    if text in option.words:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not {option.allowed}") from None


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "numbers": numbers_of,
    "text": str,
    "path": local_path,
    "names": names_of,
}

_METAVARS = {
    "integer": "N",
    "number": "X",
    "numbers": "X,Y",
    "text": "TEXT",
    "path": "PATH",
    "names": "A,B",
    "table": "NAME=DIR",
}


def progress_bar(quiet: bool, what: str, unit: str) -> AbstractContextManager[Progress | None]:
    """A bar on stderr with rate and time left; gives a function of (done, total).

    Nothing is drawn where stderr is not a terminal, so that logs stay short.
    """
    if quiet:
        return nullcontext()
    from bapps_gen.api._arguments import bar

    return bar(what, unit, terminal_only=True)


@contextmanager
def resumable(what: str, folder: Location | None = None) -> Iterator[None]:
    """Say how a run is taken up again that is interrupted, and what of it is kept."""
    try:
        yield
    except KeyboardInterrupt:
        where = "" if folder is None else f" in {folder}"
        print(
            f"bapps-gen: {what} are kept{where}; run the same command again to resume",
            file=sys.stderr,
        )
        raise


def open_source_with_bar(roots: list[str], quiet: bool, **split: Any) -> Source:
    """Open a source, with a bar while its images are hashed and a line where it is built in.

    Args:
        roots: folders, images, Parquet files or tar shards.
        quiet: whether neither bar nor line is printed.
        split: values of `SplitOptions`.
    """
    from bapps_gen.pipelines.sources.source import BUILTIN_NOTE, open_source

    if not (roots or quiet):
        print(f"bapps-gen: {BUILTIN_NOTE}", file=sys.stderr)
    with progress_bar(quiet, "reading the source", "images") as progress:
        return open_source(roots, progress=progress, **split)


def image_opener(quiet: bool) -> Callable[[tuple[str, ...]], Source]:
    """A function that opens the images at some paths with a bar, each once."""
    from bapps_gen.pipelines.sources.source import open_source

    @cache
    def opener(paths: tuple[str, ...]) -> Source:
        with progress_bar(quiet, "reading the source", "images") as progress:
            return open_source(paths, progress=progress)

    return opener


def table_of(option: str, words: list[str]) -> dict[str, str]:
    """Name and folder from words of the form NAME=DIR.

    Args:
        option: for the error.
        words: as given on the command line.

    Raises:
        UserError: for one of another form, or a name that is given twice.
    """
    table: dict[str, str] = {}
    for word in words:
        name, sign, folder = word.partition("=")
        if not (name and sign and folder):
            raise UserError(
                f"{option} = {word} is not of the form NAME=DIR; "
                "give the algorithm's name and its folder, such as bicubic=results/bicubic"
            )
        if name in table:
            raise UserError(
                f"{option} = {word}, but '{name}' is {table[name]} already; "
                "give each algorithm a name of its own"
            )
        table[name] = os.path.expanduser(folder)
    return table
