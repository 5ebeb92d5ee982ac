"""`bapps-gen judge`: votes and answers turned into the judgments of a dataset's rows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bapps_gen.cli._options import add_dataset, add_options, add_several, values_of
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.manifests.dataset import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.judging.options import VoteFilter

    parser.epilog = (
        "Judgments lie beside the shards in judgements/, with the votes as they came, and every "
        "command and reader joins them to the rows. Copies of them fill the shards' columns, for "
        "programs that read shards alone; columns that hold other judgments are left as they are. "
        "Of a collection every set is judged that has votes."
    )
    add_dataset(parser)
    parser.add_argument(
        "answers",
        type=location_of,
        nargs="*",
        metavar="ANSWERS.csv",
        help="CSV files with the columns id,judge,count (of pairs id,same,count), or with a line "
        "for each answer, id,answer or id,answer,person, where answers are p0 and p1, or same and "
        "different",
    )
    add_several(
        parser, "--votes", "votes, as `bapps-gen study votes` writes them: Parquet or CSV", "FILE"
    )
    parser.add_argument(
        "--template",
        type=local_path,
        metavar="FILE.csv",
        help="write a CSV file to fill in, with the ids of all rows and the judgments that there "
        "are, and judge nothing",
    )
    parser.add_argument(
        "--sidecar-only",
        action="store_true",
        help="leave the shards as they are; programs that read them alone then see no judgments",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="give up judgments by earlier files that are not given now",
    )
    add_options(parser.add_argument_group("which votes count"), VoteFilter)


def run(options: argparse.Namespace) -> int:
    """Judge."""
    from bapps_gen.api.judging import read_votes, write_answers_template
    from bapps_gen.errors import UserError
    from bapps_gen.manifests.collection import find_collection
    from bapps_gen.manifests.dataset import open_dataset

    given = [bool(options.answers), bool(options.votes), options.template is not None]
    if sum(given) != 1:
        raise UserError(
            "give votes with --votes, or CSV files of answers, or a file to write with --template"
        )
    if options.template is not None:
        judged = write_answers_template(options.dataset, options.template)
        rows = open_dataset(options.dataset, incomplete=True).info.rows
        print(f"{rows} rows, {judged} of them judged, are in {options.template}; fill in the rest")
        return 0
    collection = find_collection(options.dataset)
    if collection is None:
        _judge(open_dataset(options.dataset), options)
        return 0
    if options.answers:
        raise UserError("answers are on one dataset; name a set of the collection, or give votes")
    voted = set(read_votes(options.votes)["dataset"].unique().to_pylist())
    sets = [held for _, held in collection.datasets() if held.info.digest in voted]
    if not sets:
        raise UserError(f"no vote is on a set of {options.dataset}; give votes on it")
    for held in sets:
        _judge(open_dataset(held.folder), options)
    return 0


def _judge(dataset: Dataset, options: argparse.Namespace) -> None:
    from bapps_gen.api.judging import judge
    from bapps_gen.pipelines.judging.options import VoteFilter

    info = judge(
        dataset,
        votes=options.votes,
        answers=options.answers,
        in_shards=not options.sidecar_only,
        replace=options.replace,
        **values_of(options, VoteFilter),
    )
    people = f" of {info.people} people" if info.people else ""
    made_up = ", simulated" if info.simulated else ""
    votes = f", by {info.votes} votes{people}" if info.votes else ""
    print(f"{info.rows} of {dataset.info.rows} rows of {dataset.folder} are judged{votes}{made_up}")
    for reason, number in info.left_out.items():
        print(f"left out: {number} votes ({reason})")
