"""`bapps-gen study report`: what a study's votes say."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import add_local_out, add_options, add_several, values_of
from bapps_gen.errors import UserError
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import local_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.judging.options import VoteFilter
    from bapps_gen.pipelines.validation.options import WIDTH

    parser.add_argument(
        "study", type=local_path, nargs="?", metavar="STUDY", help="folder of a study"
    )
    add_several(
        parser,
        "--votes",
        "votes, Parquet or CSV (default: those that the study's server stored)",
        "FILE",
    )
    add_several(
        parser,
        "--datasets",
        "the datasets of the study, for agreement by distortion and for pictures",
    )
    parser.add_argument(
        "--width",
        type=float,
        default=WIDTH.default,
        metavar="W",
        help=f"{WIDTH.help.replace('%', '%%')} (default: %(default)s)",
    )
    add_local_out(parser, "report.html", "FILE", "report to write or replace")
    parser.add_argument("--json", type=local_path, metavar="FILE", help="numbers to write as JSON")
    add_options(parser.add_argument_group("which votes count"), VoteFilter)


def run(options: argparse.Namespace) -> int:
    """Report."""
    from bapps_gen.api.planning import collect_report
    from bapps_gen.api.validation import check_parent
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.judging.options import VoteFilter
    from bapps_gen.pipelines.validation.study_page import write_study_page

    if options.study is None and not options.votes:
        raise UserError("neither a study nor votes are given; name a study's folder or --votes")
    for path in filter(None, (options.out, options.json)):
        check_parent(path)
    report = collect_report(
        options.study,
        options.votes,
        [open_dataset(folder) for folder in options.datasets],
        options.width,
        values_of(options, VoteFilter),
    )
    write_study_page(report, options.out)
    if options.json is not None:
        write_json(options.json, report.values())
    print(f"{report.name}: {report.summary()}")
    planned = report.planned()
    if planned:
        print(planned)
    print(f"report: {options.out}")
    return 0
