"""`bapps-gen study`: a study of datasets that people can take, and the votes it brings."""

from __future__ import annotations

import argparse
from pathlib import Path

from bapps_gen.cli import study_report
from bapps_gen.cli._options import add_local_out, add_several
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(title="subcommands", metavar="ACTION", required=True)
    for name, summary, declare, run in (
        ("make", "plan a study of datasets and build its folder", _add_make, _make),
        ("serve", "run a study on this machine, until Ctrl-C", _add_serve, _serve),
        (
            "export",
            "write a study for JATOS, Mechanical Turk or any web host",
            _add_export,
            _export,
        ),
        ("votes", "write the votes that a study has so far", _add_votes, _votes),
        (
            "report",
            "say in numbers and a page what a study's votes are worth",
            study_report.add_arguments,
            study_report.run,
        ),
    ):
        action = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            allow_abbrev=False,
        )
        declare(action)
        action.set_defaults(action=run, parser=action)


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    code: int = options.action(options)
    return code


def _add_make(parser: argparse.ArgumentParser) -> None:
    add_several(
        parser,
        "datasets",
        "folder or URL of a dataset, or folder of a collection for all its sets of the task",
    )
    parser.add_argument(
        "--task",
        choices=("2afc", "jnd"),
        help="what people do: choose the more similar of two patches (2afc), or say whether two "
        "are the same (jnd) (default: what the protocol says, or what the rows are for)",
    )
    parser.add_argument(
        "--protocol",
        type=local_path,
        metavar="FILE.toml",
        help="protocol of the study (default: that of the paper's section 2.2)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the plan (default: 0)")
    add_local_out(parser, "study", "DIR", "folder to create")


def _make(options: argparse.Namespace) -> int:
    from bapps_gen.api.study import make_study

    study = make_study(
        options.datasets,
        out=options.out,
        protocol=options.protocol,
        seed=options.seed,
        task=options.task,
    )
    info = study.info
    print(
        f"{info.sessions} sessions of {sum(entry.rows for entry in info.datasets)} rows are in "
        f"{study.folder}\nrun it: bapps-gen study serve {study.folder}"
    )
    return 0


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=local_path, metavar="STUDY", help="folder of a study")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_study(parser)
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK[0],
        help="address to listen on; other than this machine's own needs --admin-token, and a "
        "proxy that speaks HTTPS in front is advised (default: %(default)s)",
    )
    parser.add_argument(
        "--admin-token",
        metavar="TOKEN",
        help="password of the admin page at /admin (default: one that is printed)",
    )


def _serve(options: argparse.Namespace) -> int:
    import secrets

    from bapps_gen.checks import check_range
    from bapps_gen.pipelines.judging.study.run import MIN_TOKEN, serve_study
    from bapps_gen.pipelines.judging.study.study import open_study

    check_range("port", options.port, 0, 65535, whole=True)
    token = options.admin_token
    if token is None and options.host not in LOOPBACK:
        raise UserError(
            f"host = {options.host} can be reached from other machines; give --admin-token a "
            f"password of at least {MIN_TOKEN} characters"
        )
    if token is not None and len(token) < MIN_TOKEN:
        raise UserError(f"admin-token has {len(token)} characters; give at least {MIN_TOKEN}")
    study = open_study(options.study)

    def started(address: str) -> None:
        print(f"people take the study at {address}/")
        print(f"admin page: {address}/admin, user admin, password {token}", flush=True)

    token = token or secrets.token_urlsafe(12)
    serve_study(study, options.host, options.port, token, started)
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_study(parser)
    parser.add_argument(
        "--format",
        choices=("jatos", "mturk", "static"),
        required=True,
        help="jatos: a study archive to import there; mturk: a page for a web host of yours, with "
        "a batch of HITs that show it; static: a page for any web host or disk, whose votes people "
        "save as files",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="PATH",
        help="folder to create, or .jzip file for JATOS (default: study-FORMAT, study.jzip)",
    )
    parser.add_argument(
        "--url",
        help="of mturk: HTTPS address that the folder 'site' is going to have",
    )


def _export(options: argparse.Namespace) -> int:
    from bapps_gen.pipelines.judging.study.export import export_study
    from bapps_gen.pipelines.judging.study.study import open_study

    default = "study.jzip" if options.format == "jatos" else f"study-{options.format}"
    out = options.out or Path(default)
    study = open_study(options.study)
    export_study(study, options.format, out, options.url)
    print(f"{study.info.sessions} sessions are in {out}")
    return 0


def _add_votes(parser: argparse.ArgumentParser) -> None:
    _add_study(parser)
    parser.add_argument(
        "--results",
        type=local_path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="results of the exported study too: files that people saved, results of JATOS as "
        "text or as an archive, a batch's table of Mechanical Turk",
    )
    add_local_out(parser, "votes.parquet", "FILE", "file to write, Parquet or CSV by its ending")


def _votes(options: argparse.Namespace) -> int:
    from bapps_gen.manifests.votes import write_votes
    from bapps_gen.pipelines.judging.study.results import study_votes
    from bapps_gen.pipelines.judging.study.study import open_study

    votes = study_votes(open_study(options.study), options.results)
    write_votes(options.out, votes)
    people = len(set(votes["person"].to_pylist()))
    print(f"{votes.num_rows} votes of {people} people are in {options.out}")
    return 0
