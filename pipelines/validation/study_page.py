"""The report of a study as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bapps_gen.pipelines.datasets.sheet import describe_steps
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.validation.dataset_page import reduced
from bapps_gen.pipelines.validation.figures import histogram, ticks
from bapps_gen.pipelines.validation.html import count, percent, render
from bapps_gen.pipelines.validation.study import StudyReport
from bapps_gen.storage.atomic import whole_file
from bapps_gen.version import __version__

_TO = "\N{NO-BREAK SPACE}–\N{WORD JOINER}\N{NO-BREAK SPACE}"
"""A dash that no line ends with."""

_PARTS = {"reference_ms": "first patch", "gap_ms": "pause", "distorted_ms": "second patch"}
_SAME = {"all": "all pairs", "sentinels": "sentinels", "test": "test pairs"}
_RIGHT = {"same": ", identical pairs", "different": ", pairs with strong noise"}
_EXTREMES = {
    "split": ("Where people are split", "Votes on these rows are closest to half and half."),
    "agreed": ("Where people agree", "Nearly all votes on these rows are the same."),
    "same": (
        "What people call the same",
        "Distorted pairs with the largest share of people who say that both are the same.",
    ),
}


def write_study_page(report: StudyReport, path: Path) -> None:
    """Write the report of a study as HTML, whole or not at all."""
    with whole_file(path, alone=True) as temporary:
        temporary.write_text(study_page(report), encoding="utf-8")


def study_page(report: StudyReport) -> str:
    """The report of a study as HTML."""
    result = report.result
    return render(
        "study.html.j2",
        title=report.title,
        facts=_facts(report),
        result=result,
        planned=report.planned(),
        left_out=result["votes"]["left_out"].items(),
        checks=_checks(result),
        agreement=_agreement(result),
        sets=_sets(result) if len(result["sets"]) > 1 else [],
        distortions=_distortions(result),
        times=_times(result),
        timing=_timing(result),
        extremes=_extremes(report),
    )


def share_text(found: Mapping[str, Any] | None) -> str:
    """A share with its interval; a dash for none."""
    if found is None:
        return "–"
    value = found.get("share", found.get("value"))
    low, high = (f"{100 * found[key]:.1f}" for key in ("low", "high"))
    return f"{percent(value)} ({low}{_TO}{high}\N{NO-BREAK SPACE}%)"


def _facts(report: StudyReport) -> dict[str, str]:
    result = report.result
    options = VoteFilter(**result["filter"])
    return {
        "task": result["task"].upper(),
        "answered by": "simulated observers" if result["simulated"] else "people",
        "study": ", ".join(result["studies"]) or "none",
        "datasets": ", ".join(entry["name"] for entry in result["sets"]),
        "sessions pass from": f"{100 * options.min_sentinels:g} % of sentinels",
        "intervals": f"{100 * result['confidence']:g} %",
        "made with": f"bapps-gen {__version__}",
    }


def _checks(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, found, the paper's) of sentinels, answers of "same", and sides chosen."""
    rows = []
    sentinels = result["sentinels"]
    if sentinels:
        least, paper = sentinels["least"], sentinels["paper"]
        if least != paper["least"]:
            found = share_text(sentinels["passed"])
            rows.append((f"sessions with {100 * least:g} % of sentinels right", found, ""))
        name = f"sessions with {100 * paper['least']:g} % of sentinels right"
        found = share_text(sentinels["passed_paper"])
        rows.append((name, found, f"{100 * paper['share']:g} % of people"))
        for answer, share in sentinels["right"].items():
            rows.append((f"sentinels right{_RIGHT.get(answer, '')}", share_text(share), ""))
    for name, share in result.get("same", {}).items():
        if share:
            rows.append((f"{_SAME[name]} marked same", share_text(share), percent(share["paper"])))
    left = result.get("left")
    if left:
        chance = f"½; p = {left['p_value']:.2g} of chance"
        rows.append(("left side chosen", share_text(left), chance))
    judgment = result["seconds"]["judgment"]
    if judgment:
        median, paper_seconds = judgment["median"], result["seconds"]["paper"]
        rows.append(
            ("median seconds from vote to vote", f"{median:.2f} s", f"about {paper_seconds:g} s")
        )
    timing = result.get("timing")
    if timing and timing["right"]:
        rows.append(("pairs seen for the right time", share_text(timing["right"]), ""))
    return rows


def _agreement(result: Mapping[str, Any]) -> dict[str, Any]:
    agreement = result["agreement"]
    ceiling, alpha, people = agreement["ceiling"], agreement["alpha"], agreement["people"]
    rows = []
    if ceiling:
        rows += [
            ("two people agree, without bias", share_text(ceiling["unbiased"])),
            ("p² + (1 − p)², as in the paper", share_text(ceiling["paper"])),
            ("rows with two votes or more", count(ceiling["rows"])),
        ]
    if alpha is not None:
        rows.append(("Krippendorff’s α", f"{alpha:.3f}"))
    for votes, number in result["rows_by_votes"].items():
        rows.append((f"rows with {votes} vote{'' if votes == '1' else 's'}", count(number)))
    title = "share of the others’ votes that agree, by person"
    return {"rows": rows, "people": people and histogram(title, people["histogram"])}


def _sets(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for entry in result["sets"]:
        ceiling = entry["ceiling"]
        found = (ceiling and ceiling["unbiased"], ceiling and ceiling["paper"])
        numbers = (count(entry["rows"]), count(entry["votes"]))
        rows.append((entry["name"], *numbers, *map(share_text, found)))
    return rows


def _distortions(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The agreement on each distortion with its interval, on a scale from 0 to 1."""
    rows = []
    for name, entry in (result["distortions"] or {}).items():
        found = entry["agreement"]
        if found:
            low, value, high = (100 * found[key] for key in ("low", "value", "high"))
            drawn = {"whisker": (low, high - low), "half": (low, high - low), "median": value}
            rows.append({"name": name, **entry, "box": drawn, "text": share_text(found)})
    rows.sort(key=lambda row: -row["agreement"]["value"])
    return {"rows": rows, "ticks": ticks(0.2, 1.0)} if rows else None


def _times(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    seconds = result["seconds"]
    drawn = seconds["reaction_histogram"]
    if drawn is None:
        return []
    median = seconds["reaction"]["median"]
    title = f"reaction time, s; median {median:.2f} s"
    return [histogram(title, drawn, marks=(median,), step=_step(drawn["top"]))]


def _timing(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    figures = []
    for name, title in _PARTS.items():
        found = result.get("timing", {}).get(name)
        if found and found["histogram"]:
            text = f"{title}, ms; {found['intended']:g} ms intended"
            figures.append(
                histogram(text, found["histogram"], marks=(found["intended"],), step=25.0)
            )
    return figures


def _step(top: float) -> float:
    """A round number of which at most six fit below the top."""
    power = 10.0 ** math.floor(math.log10(top / 6))
    return next(power * k for k in (1, 2, 5, 10) if top / (power * k) <= 6)


def _extremes(report: StudyReport) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Title, text and rows with pictures of each extreme; of rows whose pictures are there."""
    shown = []
    for name, entries in report.result["extremes"].items():
        rows = [_row(report, entry) for entry in entries if entry["id"] in report.pictures]
        if rows:
            shown.append((*_EXTREMES[name], rows))
    return shown


def _row(report: StudyReport, entry: Mapping[str, Any]) -> dict[str, Any]:
    row, (reference, *pictures) = report.pictures[entry["id"]]
    votes, counted = entry["votes"], entry["counted"]
    if len(pictures) == 2:
        captions = [f"{votes - counted} of {votes}", f"{counted} of {votes}"]
    else:
        captions = [f"{counted} of {votes} same"]
    sides = []
    for picture, caption, steps in zip(pictures, captions, row.steps, strict=True):
        lines = describe_steps(steps)  # a name and its parameters in turn
        named = list(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))
        sides.append({"picture": reduced(picture), "caption": caption, "steps": named})
    return {"row": entry["row"], "reference": reduced(reference), "sides": sides}
