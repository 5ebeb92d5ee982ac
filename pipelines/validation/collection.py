"""The validation report of a collection: a table of its sets, then each set's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

from bapps_gen.manifests.collection import Collection, CollectionInfo, SetRecord
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.validation.dataset import Thresholds
from bapps_gen.pipelines.validation.dataset_page import ReportPart, report_body
from bapps_gen.pipelines.validation.page_parts import number, page, percent, table
from bapps_gen.pipelines.validation.page_style import STYLE

_STYLE = """<style>
details.set { margin-top: 22px; }
details.set > summary { cursor: pointer; font-size: 18px; font-weight: 600; padding: 6px 0; }
details.set h1 { display: none; }
</style>"""


def fitting_thresholds(thresholds: Thresholds, dataset: Dataset) -> Thresholds:
    """Those that can be asked of a set: the others hold for other sets of its collection.

    Near-equal sides go with triplets, coverage and Spearman's ρ with traditional distortions.
    """
    if dataset.info.unit != "triplets":
        thresholds = replace(thresholds, max_near_equal=None)
    if not dataset.info.spec.get("choices"):
        thresholds = replace(thresholds, min_coverage=None, min_spearman=None)
    return thresholds


def collection_facts(collection: Collection) -> tuple[tuple[str, str], ...]:
    """(label, text) pairs for the head of the report."""
    info = collection.info
    whole = sum(record.complete for record in info.sets)
    return (
        ("sets", f"{whole} of {len(info.sets)} complete"),
        ("rows", f"{sum(record.made for record in info.sets):,}"),
        ("seed", str(info.seed)),
        ("scale of the last run", f"{info.scale:g}"),
        ("made with", f"bapps-gen {info.version}"),
        ("photos both in train and in another split", f"{info.shared_photos:,}"),
    )


def render_collection(
    name: str,
    facts: Sequence[tuple[str, str]],
    info: CollectionInfo,
    parts: Sequence[ReportPart],
    problems: Sequence[str] | None,
) -> str:
    """The report as HTML.

    Args:
        name: of the collection.
        facts: of `collection_facts`.
        info: of the collection, with what is on disk.
        parts: of the sets that were validated, named by their paths.
        problems: a line for each threshold missed and set that is not whole; None where nothing
            was demanded and all is well.
    """
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in facts
    )
    verdict = ""
    if problems:
        lines = "".join(f"<li>{escape(line)}</li>" for line in problems)
        verdict = f'<div class="verdict bad"><b>Not as demanded</b><ul>{lines}</ul></div>'
    elif problems is not None:
        verdict = '<div class="verdict good"><b>All thresholds met</b></div>'
    by_path = {part.head.name: part for part in parts}
    rows = [_row(record, by_path) for record in info.sets]
    rows += [(path, "left out", *[""] * 6, why) for path, why in info.left_out.items()]
    head = (
        "set",
        "state",
        "rows",
        "median LPIPS",
        "invisible",
        "destroyed",
        "near-equal",
        "repeated",
        "",
    )
    sections = [
        f'<details class="set" id="{escape(part.head.name)}"><summary>{escape(part.head.name)}'
        f"</summary>{report_body(part.head, part.found, part.pictures)}</details>"
        for part in parts
    ]
    body = (
        f"{_STYLE}<header><h1>{escape(name)}</h1><dl>{cells}</dl></header>{verdict}"
        f"<section><h2>Sets</h2><p>Each set's own report is below; open it with a click. Sides "
        f"are invisible, destroyed or near-equal by the limits given there.</p>"
        f"{table(head, rows)}</section>{''.join(sections)}"
    )
    return page(f"Validation of {name}", STYLE, [body])


def _row(record: SetRecord, parts: Mapping[str, ReportPart]) -> tuple[str, ...]:
    state, _, why = record.state.partition(": ")
    part = parts.get(record.path)
    if part is None:
        return (record.path, state, f"{record.made:,}", *[""] * 5, why)
    shares = part.found["shares"]
    near = shares["near_equal"]
    return (
        record.path,
        state,
        f"{record.made:,}",
        number(part.found["lpips"]["p50"]),
        percent(shares["invisible"]),
        percent(shares["destroyed"]),
        "–" if near is None else percent(near),
        percent(shares["duplicate_rows"]),
        f"{len(part.head.missed)} missed" if part.head.missed else "",
    )
