"""The comparison's report: a page, and beside it numbers as JSON and tables in three forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.pipelines.comparison.compare import Comparison, compare, set_order
from bapps_gen.pipelines.comparison.options import SectionOptions
from bapps_gen.pipelines.comparison.page import comparison_page
from bapps_gen.pipelines.comparison.sections import SECTIONS, Compared, Section
from bapps_gen.pipelines.comparison.tables import csv_text, latex_text, markdown_text
from bapps_gen.pipelines.scoring.evaluate import Evaluation, evaluate, judged_sets
from bapps_gen.pipelines.scoring.options import EvaluationOptions, MetricOptions, check_metrics
from bapps_gen.pipelines.validation.html import environment
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import Location

_PAGES = (".html", ".htm")
_COMPANIONS = (".json", ".csv", ".md", ".tex")


def evaluate_sets(
    folders: Sequence[Location],
    options: EvaluationOptions,
    metric: MetricOptions,
    workers: Workers,
    progress: ProgressBars = no_progress,
    *,
    out: Path | None = None,
    section_options: SectionOptions | None = None,
    on_set: Callable[[Evaluation], object] = lambda entry: None,
) -> tuple[Evaluation, ...]:
    """Evaluate metrics on the judged sets in some folders, and write a report if `out` is given.

    Args:
        folders: as `judged_sets` takes them.
        options: of the evaluation.
        metric: how metrics are computed.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar.
        out: page to write; see `write_report`.
        section_options: of the page's further sections.
        on_set: called with the evaluation of each set as soon as it is done.

    Raises:
        UserError: as `judged_sets`, and where the report cannot be written.
        WorkError: as `judged_sets`, and when a file cannot be written.
    """
    if out is not None:
        check_report(out)
    kept, evaluations = [], []
    for judged in judged_sets(folders, options, metric, workers, progress):
        evaluations.append(evaluate(judged, options))
        on_set(evaluations[-1])
        if out is not None:
            kept.append(judged)
    if out is not None:
        comparison = compare(check_metrics(options.metrics, metric), evaluations, options)
        pairs = sorted(zip(evaluations, kept, strict=True), key=lambda pair: set_order(pair[0]))
        compared = Compared(
            [judged for _, judged in pairs],
            comparison,
            metric,
            section_options or SectionOptions(),
            workers,
            progress,
        )
        sections = (make(compared) for make in SECTIONS)
        write_report(comparison, [section for section in sections if section], out)
    return tuple(evaluations)


def check_report(path: Path) -> None:
    """Raise UserError, before anything is computed, where a report cannot be written.

    Jinja2 or the folder may be missing. An existing report is replaced together with the files
    beside it; other files are not.
    """
    if path.suffix.lower() not in _PAGES:
        raise UserError(f"out = {path} is not a page; give a name that ends in .html")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise UserError(f"out = {path} is a folder; give another name")
    environment()
    if path.exists():
        return
    for other in _companions(path):
        if other.exists():
            raise UserError(
                f"{other} is there, and would be replaced with {path.name}; give another name"
            )


def _companions(path: Path) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in _COMPANIONS]


def write_report(comparison: Comparison, sections: Sequence[Section], path: Path) -> None:
    """Write the page, and beside it JSON, CSV, Markdown and LaTeX of the same name.

    Raises:
        UserError: when Jinja2 is not installed.
        WorkError: when a file cannot be written.
    """
    json, csv, markdown, latex = _companions(path)
    texts = {
        path: comparison_page(comparison, sections),
        csv: csv_text(comparison),
        markdown: markdown_text(comparison),
        latex: latex_text(comparison),
    }
    for name, text in texts.items():
        with whole_file(name, alone=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(json, {**comparison.values(), **{each.name: each.values for each in sections}})
