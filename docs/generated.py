"""Markdown made from the code: a page for each command, and tables of columns, keys and items."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

import griffe
import pyarrow as pa

from bapps_gen.checks import options_of
from bapps_gen.cli import COMMANDS, build_parser, main
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.lpips.net_names import NET_KINDS, SMALLEST
from bapps_gen.manifests.benchmark import BenchmarkInfo, benchmark_schema
from bapps_gen.manifests.collection import CollectionInfo, SetRecord
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.judgements import JudgementsInfo
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.manifests.schema import manifest_schema
from bapps_gen.manifests.votes import VOTES_SCHEMA
from bapps_gen.metrics import METRICS
from bapps_gen.metrics.texts import KINDS
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.study import StudyInfo
from bapps_gen.pipelines.real.demos import find_task
from bapps_gen.pipelines.real.spec import RealSpec
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.spec import TripletSpec

# Commands


def command_page(name: str) -> str:
    """The page of one command: what it does, its usage, a table for each group of options.

    Subcommands follow in sections of their own.
    """
    parser = _command_parser(name)
    parts = [f"# bapps-gen {name}", *_command_parts(parser, "##")]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, part in action.choices.items():
                part.formatter_class = parser.formatter_class
                parts += [f"## bapps-gen {name} {word}", *_command_parts(part, "###")]
    return "\n\n".join(parts) + "\n"


def _command_parts(parser: argparse.ArgumentParser, level: str) -> list[str]:
    """Paragraphs on a command; `level` is that of its headings."""
    parts = [_sentences(parser.description)]
    parts.append(f"```text\n{parser.format_usage().removeprefix('usage: ').rstrip()}\n```")
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        if not actions:
            continue
        title = (group.title or "").partition(" (default: ")
        parts.append(f"{level} {_text(title[0][:1].upper() + title[0][1:])}")
        if title[2]:
            parts.append(f"Default: {_text(title[2].removesuffix(')'))}.")
        if group.description:
            parts.append(_sentences(group.description))
        formatter = parser._get_formatter()
        (first,) = actions[:1]
        if isinstance(first, argparse._SubParsersAction):
            rows = [(f"`{part.dest}`", _text(part.help or "")) for part in first._choices_actions]
        else:
            rows = [(_invocation(action), _text(_help(formatter, action))) for action in actions]
        parts.append(_table(("", ""), rows))
    if parser.epilog:
        parts.append(_sentences(parser.epilog))
    return parts


def _command_parser(name: str) -> argparse.ArgumentParser:
    parser = build_parser(name).commands[name]
    # The width of the page, not of the terminal that the site happens to be built in.
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=78)  # type: ignore
    return parser


def _invocation(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest.upper()
    if action.choices is not None and action.metavar is None:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    value = "" if action.nargs == 0 else f" {metavar}"
    if isinstance(action.metavar, tuple):
        value = " " + " ".join(action.metavar)
    elif action.nargs in (2, 3):
        value = f" {metavar}" * int(action.nargs)
    elif action.nargs == "+" and action.option_strings:
        value = f" {metavar} …"
    names = ", ".join(action.option_strings) + value if action.option_strings else str(metavar)
    return f"`{names.replace('|', '¦')}`"


def _help(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    return formatter._expand_help(action) if action.help else ""


def commands_table() -> str:
    """Every command with its summary, linked to its page."""
    rows = [(f"[`{name}`]({name}.md)", _text(summary)) for name, _, summary in COMMANDS]
    return _table(("command", "what it does"), rows)


# Columns and keys


def _type(kind: pa.DataType) -> str:
    """An Arrow type as people write it."""
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "struct (" + ", ".join(field.name for field in kind) + ")"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))


def columns_table() -> str:
    """Columns of shards: name, type, where they occur, meaning and unit."""
    triplets, pairs = (manifest_schema({}, {}, patches) for patches in (PATCHES, PAIR_PATCHES))
    both = pa.unify_schemas([triplets, pairs])
    rows = []
    for field in both:
        where = [
            kind
            for kind, schema in (("triplets", triplets), ("pairs", pairs))
            if field.name in schema.names
        ]
        meaning = _text((triplets if where[0] == "triplets" else pairs).field(field.name))
        rows.append(
            (f"`{field.name}`", _type(field.type), where[0] if len(where) == 1 else "both", meaning)
        )
    return _table(("column", "type", "in triplets or pairs", "meaning, unit"), rows)


_NESTED = {
    "distortion": "name of the distortion: an atom, `cnn:ID`, or one of your own",
    "version": "of the distortion; the same version gives the same pixels",
    "params": "list of (`name`, `value`): physical parameters, with units in the column's metadata",
    "name": "of a parameter",
    "value": "of a parameter, in its unit",
    "seed": "of the step's noise, 0 to 2^63 − 1",
    "severity": "that parameters were drawn from, 0 to 2; null where they were given",
    "x": "left edge, px of the source image after EXIF rotation",
    "y": "top edge, px",
    "side": "of the square, px; `scale` is 64 / side",
    "bytes": "the PNG file",
    "path": "a name for it, such as `00000007_p0.png`",
}


def nested_table() -> str:
    """The parts of columns that are structs."""
    schema = manifest_schema({}, {}, PATCHES)
    rows = []
    for label, name in (("`steps0`, `steps1`", "steps0"), ("`crop`", "crop"), ("pictures", "ref")):
        kind = schema.field(name).type
        for part in kind.value_type if pa.types.is_list(kind) else kind:
            rows.append((label, f"`{part.name}`", _type(part.type), _NESTED[part.name]))
            label = ""
    return _table(("column", "part", "type", "meaning, unit"), rows)


def votes_table() -> str:
    """Columns of files of votes."""
    rows = ((f"`{field.name}`", _type(field.type), _text(field)) for field in VOTES_SCHEMA)
    return _table(("column", "type", "meaning"), rows)


def benchmark_table() -> str:
    """Columns of a benchmark's manifest."""
    empty = BenchmarkInfo("", {}, "0" * 32, {}, {}, (), None, (), {})
    rows = [
        (f"`{field.name}`", _type(field.type), _text(field)) for field in benchmark_schema(empty)
    ]
    return _table(("column", "type", "meaning, unit"), rows)


def _keys_table(record: type, stored: Mapping[str, str] | None = None) -> Callable[[], str]:
    """A table of a dataclass's fields, with the meanings that its docstring gives.

    Args:
        record: the dataclass.
        stored: keys by name of the field, where they differ.
    """

    def table() -> str:
        sections = griffe.Docstring(record.__doc__ or "").parse("google", warnings=False)
        meanings = {
            name: _of_json(" ".join(item.description.split()))
            for section in sections
            if section.kind is griffe.DocstringSectionKind.parameters
            for item in section.value
            for name in item.name.split(", ")
        }
        rows = [
            (
                f"`{(stored or {}).get(field.name, field.name)}`",
                _plain_type(str(field.type)),
                _text(meanings.get(field.name, "")),
            )
            for field in fields(record)
            if field.init and "local" not in field.metadata
        ]
        return _table(("key", "type", "meaning"), rows)

    return table


def _of_json(text: str) -> str:
    """A docstring's words for values as those of JSON, without references to code."""
    text = re.sub(r",?:? \(?see `?[A-Z]\w+`?\)?|: see `\w+`", "", text)
    for name, plain in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{name}\b", plain, text)
    text = re.sub(r"(?:, )?\b[A-Z_]+_(?:FORMAT|VERSION)\b", "", text).removesuffix(".")
    return text or "of this file"


def _plain_type(annotation: str) -> str:
    """A field's type in the words of JSON."""
    name = annotation.removesuffix(" | None")
    words = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    words |= {"Digest": "string", "Sha256": "string", "FileName": "string", "Count": "integer"}
    name = name.removeprefix("Annotated[").partition(",")[0]
    if name.startswith("tuple"):
        plain = "list"
    elif name.startswith("Mapping"):
        plain = "object"
    else:
        plain = words.get(name, "object")
    return f"{plain} or null" if annotation.endswith(" | None") else plain


def protocol_table() -> str:
    """Keys of the protocol of a study."""
    rows = []
    for entry, option in options_of(Protocol):
        default = option.default_text or entry.default
        if default in (MISSING, None) and not option.default_text:
            default = "what the rows are for" if entry.name == "task" else "none"
        if isinstance(default, bool):
            default = str(default).lower()
        allowed = " or ".join(option.choices)
        if option.low is not None and option.high is not None:
            allowed = f"{option.low:g} to {option.high:g}".replace(" ", _SPACE)
        unit = f" ({option.unit})" if option.unit else ""
        rows.append((f"`{entry.name}`", allowed, _text(f"{default}"), _text(option.help + unit)))
    return _table(("key", "allowed", "default", "meaning"), rows)


# Metrics, distortions and demos


def metrics_table() -> str:
    """Every metric with its distance and settings."""
    rows = [
        (f"`{spec.name}`", _text(spec.distance), f"{spec.smallest} px", _text(spec.source))
        for spec in METRICS
    ]
    return _table(("metric", "distance", "least patch", "from, and settings"), rows)


def metric_texts_table() -> str:
    """Every kind of text that names a metric beside those of the table."""
    rows = []
    for kind in KINDS:
        forms = (f"`{form}`" for form in kind.form.split(", "))
        rows.append((", ".join(forms), _text(kind.meaning), _text(kind.own_name)))
    return _table(("`--metric`", "what it is", "own name"), rows)


def feature_nets_table() -> str:
    """Every kind of feature nets."""
    rows = [
        (f"`{_net_metric(kind.form)}`", _text(kind.description), _text(kind.source))
        for kind in NET_KINDS
    ]
    return _table(("`--metric`", "network", "from"), rows)


def _net_metric(form: str) -> str:
    """The metric that has a net's features with all weights 1."""
    return f"uncalibrated-{form}" if form in SMALLEST else form


def demos_table() -> str:
    """Every algorithm of the demos with its source, by task and factor."""
    demos = [(f"`superres` ×{factor}", find_task("superres", factor)) for factor in (2, 3, 4)]
    demos += [(f"`{name}`", find_task(name)) for name in TASKS if name != "superres"]
    labels: dict[tuple[str, str], list[str]] = {}
    for label, task in demos:
        for name, algorithm in task.algorithms.items():
            labels.setdefault((name, algorithm.source), []).append(label)
    rows = [
        (", ".join(where).replace(", `superres`", ","), f"`{name}`", _text(source))
        for (name, source), where in labels.items()
    ]
    return _table(("demo", "algorithm", "from"), rows)


_SPACE = "\N{NO-BREAK SPACE}"


@cache
def _catalogue() -> dict[str, Any]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(["distortions", "--json"])
    return dict(json.loads(printed.getvalue()))


def distortions_table() -> str:
    """Every atom with its parameters, units and ranges, a table for each family."""
    head = ("atom", "version", "effect", "parameter", "drawn", "you may give")
    parts = []
    atoms = _catalogue()["atoms"]
    for family in dict.fromkeys(atom["family"] for atom in atoms):
        rows = []
        for atom in atoms:
            if atom["family"] != family:
                continue
            lead = (f"`{atom['name']}`", str(atom["version"]), _text(atom["summary"]))
            for part in atom["parameters"]:
                unit = f", {_text(part['unit'])}" if part["unit"] else ""
                low, high = part["allowed"]
                allowed = f"{low:g} to {high:g}".replace(" ", _SPACE)
                if part.get("choices"):
                    allowed = "these"
                rows.append((*lead, f"`{part['name']}`{unit}", _range(part), allowed))
                lead = ("", "", "")
        parts += [f"### {family.capitalize()}", _table(head, rows)]
    return "\n\n".join(parts)


def _range(parameter: dict[str, Any]) -> str:
    if "identity" in parameter:
        ends = parameter.get("ends") or parameter["range"]
        arrows = (f"{mild:g} → {strong:g}".replace(" ", _SPACE) for mild, strong in ends)
        return " or ".join(arrows)
    if parameter["choices"]:
        return "one of " + ", ".join(f"{choice:g}" for choice in parameter["choices"])
    low, high = parameter.get("drawn") or parameter["range"]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}".replace(" ", _SPACE)


def compositions_list() -> str:
    """Ids of all compositions, folded away."""
    ids = _catalogue()["compositions"]
    lines = [
        f'??? note "All {len(ids)}"',
        "",
        *(f"    {line}" for line in ("```text", *ids, "```")),
    ]
    return "\n".join(lines)


# Markdown


def _text(text: str | pa.Field) -> str:
    """Plain text for a cell or a paragraph; code between backticks stays as it is."""
    if isinstance(text, pa.Field):
        text = text.metadata[b"description"].decode()
    parts = re.split(r"(`[^`]*`)", text)
    escaped = [
        part if at % 2 else re.sub(r"([\\*_\[\]|])", r"\\\1", part).replace("<", "&lt;")
        for at, part in enumerate(parts)
    ]
    return "".join(escaped).replace("\n", " ")


def _sentences(text: str | None) -> str:
    return _text(" ".join((text or "").split()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "benchmark columns": benchmark_table,
    "benchmark keys": _keys_table(BenchmarkInfo),
    "collection keys": _keys_table(CollectionInfo),
    "collection set keys": _keys_table(SetRecord),
    "columns": columns_table,
    "commands": commands_table,
    "compositions": compositions_list,
    "dataset keys": _keys_table(DatasetInfo),
    "demo algorithms": demos_table,
    "distorter keys": _keys_table(DistorterSpec),
    "distortions": distortions_table,
    "feature nets": feature_nets_table,
    "judgements keys": _keys_table(JudgementsInfo),
    "metric texts": metric_texts_table,
    "metrics": metrics_table,
    "nested columns": nested_table,
    "protocol keys": protocol_table,
    "real spec keys": _keys_table(RealSpec),
    "study keys": _keys_table(StudyInfo),
    "spec keys": _keys_table(TripletSpec, {"is_jnd": "pairs"}),
    "votes columns": votes_table,
}
"""What pages can take with `<!-- generated: NAME -->`."""
