"""Scores of metrics as tables: CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bapps_gen.pipelines.comparison.compare import SCORES, Column, Comparison
from bapps_gen.pipelines.scoring.evaluate import HUMAN, UNBIASED, Estimate, Evaluation

CSV_COLUMNS = (
    *("task", "of", "is_mean", "title", "kind", "group", "split", "rows", "simulated"),
    *("metric", "family", "score", "value", "low", "high"),
)
CEILINGS = {HUMAN: "human", UNBIASED: "human, unbiased"}
"""How tables name the ceilings."""

SIMULATED = "Judged by simulated observers."

_FEW_COLUMNS = 3
"""So many columns have room for intervals; of more, means alone have them (own choice)."""

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"{{{character}}}" for character in "[]*"},  # options of the line end before
    "–": "--",
    "−": "$-$",
}


def csv_text(comparison: Comparison) -> str:
    """One line for each score: of a metric or a ceiling, on a set or as a mean over sets."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    families = {spec.name: family.name for spec, family in comparison.metrics}
    for column in comparison.columns:
        described = _described(column, comparison)
        for name in (*CEILINGS, *comparison.names):
            score = column.scores.get(name)
            if score is None:
                continue
            numbers = (score.value, score.low, score.high)
            values = ["" if np.isnan(number) else repr(number) for number in numbers]
            writer.writerow(
                {
                    **described,
                    "metric": name,
                    "family": families.get(name, "people"),
                    "score": SCORES[column.task],
                    **dict(zip(("value", "low", "high"), values, strict=True)),
                }
            )
    return text.getvalue()


def _described(column: Column, comparison: Comparison) -> dict[str, object]:
    of = column.of
    if isinstance(of, Evaluation):
        kind, split, sets = of.kind, of.split or "", [of]
    else:
        kind = split = ""
        sets = [entry for entry in comparison.sets if entry.name in of.sets]
    return {
        "task": column.task,
        "of": of.name if isinstance(of, Evaluation) else of.group,
        "is_mean": int(column.is_mean),
        "title": column.title,
        "kind": kind,
        "group": of.group or "",
        "split": split,
        "rows": sum(entry.rows for entry in sets),
        "simulated": int(any(entry.simulated for entry in sets)),
    }


class Cell(NamedTuple):
    """A score in a table, in percent: its text, and whether it is the best of its column."""

    full: str
    best: bool

    @property
    def value(self) -> str:
        """The text without the interval."""
        return self.full.partition(" ")[0]

    @property
    def interval(self) -> str:
        """The interval in parentheses; "" for none."""
        return self.full.partition(" ")[2]


Row = tuple[str, list[Cell]]


def table_rows(comparison: Comparison, task: str) -> Iterator[tuple[str, list[Row]]]:
    """The table of a task: title of a family, and for each of its metrics the scores by column.

    The ceilings come first, of 2AFC, under an empty title.
    """
    columns = comparison.task_columns(task)
    best = [best_score(column, comparison.names) for column in columns]
    few = len(columns) <= _FEW_COLUMNS

    def cells(name: str) -> list[Cell]:
        row = []
        for column, top in zip(columns, best, strict=True):
            score = column.scores.get(name)
            is_best = name not in CEILINGS and score is not None and score.value == top
            row.append(Cell(percent_text(score, few or column.is_mean), is_best))
        return row

    ceilings = [
        (title, cells(name))
        for name, title in CEILINGS.items()
        if any(name in column.scores for column in columns)
    ]
    if ceilings:
        yield "", ceilings
    for family, title in comparison.families:
        names = [spec.name for spec, each in comparison.metrics if each.name == family]
        yield title, [(name, cells(name)) for name in names]


def best_score(column: Column, names: Sequence[str]) -> float:
    """The best score of a metric; NaN where none has one."""
    values = [column.scores[name].value for name in names]
    return max((value for value in values if not np.isnan(value)), default=np.nan)


def percent_text(estimate: Estimate | None, interval: bool) -> str:
    """A score in percent, such as "68.9" or "68.9 (67.8–70.1)"; a dash for none."""
    if estimate is None or np.isnan(estimate.value):
        return "–"
    text = f"{100 * estimate.value:.1f}"
    if not interval or np.isnan(estimate.low):
        return text
    return f"{text} ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def markdown_text(comparison: Comparison) -> str:
    """A table for each task; the best metric of each column is bold."""
    parts = []
    for task in tasks_of(comparison):
        columns = comparison.task_columns(task)
        lines = [
            _markdown_row([f"{SCORES[task]}, %", *(_markdown(column.title) for column in columns)]),
            "|---|" + "---:|" * len(columns),
        ]
        for title, rows in table_rows(comparison, task):
            if title:
                lines.append(_markdown_row([f"*{_markdown(title)}*", *[""] * len(columns)]))
            for name, cells in rows:
                texts = [f"**{cell.full}**" if cell.best else cell.full for cell in cells]
                lines.append(_markdown_row([_markdown(name), *texts]))
        parts.append("\n".join(lines))
    parts.append(_caption(comparison, comparison.sets))
    return "\n\n".join(parts) + "\n"


def tasks_of(comparison: Comparison) -> list[str]:
    """The tasks that there are sets of."""
    return [task for task in SCORES if comparison.task_columns(task)]


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    for character in "\\`*_{}[]<>#|":
        text = text.replace(character, "\\" + character)
    return text


def _caption(comparison: Comparison, sets: Sequence[Evaluation]) -> str:
    """What the numbers of some sets are, in a sentence or two."""
    resamples = comparison.options.resamples
    kinds = {entry.resampled for entry in sets}
    over = "photos" if kinds == {"photos"} else "rows" if kinds == {"rows"} else "photos or rows"
    count = len(sets)
    text = (
        f"Scores of metrics on {count} judged set{'' if count == 1 else 's'}, in percent, with "
        f"95 % intervals in parentheses, from {resamples:,} resamples of {over}."
    )
    return f"{SIMULATED} {text}" if any(entry.simulated for entry in sets) else text


def latex_text(comparison: Comparison) -> str:
    r"""A `table` for each task, for `\usepackage{booktabs}`; the best metrics are bold."""
    parts = [r"% \usepackage{booktabs}"]
    for task in tasks_of(comparison):
        columns = comparison.task_columns(task)
        head = " & ".join(latex(title) for title in ("", *(column.title for column in columns)))
        sets = [entry for entry in comparison.sets if entry.task == task]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(SCORES[task] + '. ' + _caption(comparison, sets))}}}",
            rf"\label{{tab:{task}}}",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\toprule",
            rf"{head} \\",
        ]
        for title, rows in table_rows(comparison, task):
            lines.append(r"\midrule")
            if title:
                span = rf"\multicolumn{{{len(columns) + 1}}}{{l}}"
                lines.append(rf"{span}{{\emph{{{latex(title)}}}}} \\")
            for name, cells in rows:
                texts = [
                    rf"\textbf{{{latex(cell.full)}}}" if cell.best else latex(cell.full)
                    for cell in cells
                ]
                lines.append(rf"{' & '.join([latex(name), *texts])} \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def latex(text: str) -> str:
    """A text with the characters that LaTeX reads as commands escaped."""
    return "".join(_LATEX.get(character, character) for character in text)
