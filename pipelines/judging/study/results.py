"""Results that come back from exported studies, as votes.

A result is a JSON record of one session's votes, or of some of them. It comes in a file of its own
(static pages), in lines of a JATOS export or in its archive, in the column `Answer.votes` of a
batch of Mechanical Turk, or in what its API lists.
"""

from __future__ import annotations

import csv
import datetime
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import pyarrow as pa

from bapps_gen.errors import UserError, first_line
from bapps_gen.manifests.votes import TIMES, VOTES_SCHEMA, votes_table
from bapps_gen.pipelines.judging.study.assign import person_hash
from bapps_gen.pipelines.judging.study.collect import StudyVotes, server_votes
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.locations import open_regular
from bapps_gen.storage.records import Digest, Matching, OneOf, Within, parse_record

MAX_BYTES = 1 << 30
"""Bytes of the largest file of results, and of all that an archive holds (own choice)."""

_Opaque = Annotated[str, Matching(r"[0-9a-f]{32}", "32 hexadecimal digits")]
_Milliseconds = Annotated[float, Within(0, 1e9)]
_YEAR_2200 = 7.3e12  # ms since 1970


@dataclass(frozen=True, slots=True)
class ResultVote:
    """A vote as a page without a server keeps it; see `VOTES_SCHEMA` for the values."""

    trial: _Opaque
    answer: str
    time: Annotated[float, Within(0, _YEAR_2200)]
    rt_ms: _Milliseconds | None = None
    reference_ms: _Milliseconds | None = None
    gap_ms: _Milliseconds | None = None
    distorted_ms: _Milliseconds | None = None
    timing_ok: bool | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Votes of a session; `assets/local.js` makes such records."""

    format: Annotated[str, OneOf(("bapps-gen votes",))]
    format_version: Annotated[int, OneOf((1,))]
    study: Digest
    session: _Opaque
    person: _Opaque
    votes: tuple[ResultVote, ...]
    browser: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """Text of a result, where it was found, and who gave it, where a platform says so."""

    text: str
    where: str
    worker: str = ""


def read_results(study: Study, paths: Sequence[Path]) -> pa.Table:
    """The votes in files of results, each once, however often it is in them.

    Args:
        study: that was exported.
        paths: JSON files, exports or archives of JATOS, tables of Mechanical Turk.

    Returns:
        With VOTES_SCHEMA, in the order of time.

    Raises:
        UserError: naming the file and what is wrong, when one is no result of this study, or was
            changed since.
    """
    known = StudyVotes(study)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    places: dict[tuple[str, str], str] = {}
    plans: dict[str, int] = {}
    for path in paths:
        for place in _places(path):
            result = _parsed(place, study)
            for row in _rows(result, place, study, known, plans):
                key = (row["session"], row["trial"])
                held = rows.setdefault(key, row)
                if held != row:
                    raise UserError(
                        f"{place.where}: trial {key[1]} of session {key[0]} has another vote than "
                        f"in {places[key]}; leave out the file that was changed"
                    )
                places.setdefault(key, place.where)
    ordered = sorted(rows.values(), key=lambda row: (row["time"], row["session"], row["trial"]))
    return votes_table(pa.Table.from_pylist(ordered, schema=VOTES_SCHEMA), "results")


def study_votes(study: Study, results: Sequence[Path] = ()) -> pa.Table:
    """All votes of a study: those that its server stored, and those of results.

    Args:
        study: the study.
        results: files, as in `read_results`.

    Returns:
        With VOTES_SCHEMA, in the order of time.

    Raises:
        UserError, WorkError: as `server_votes` and `read_results`.
    """
    votes = pa.concat_tables([server_votes(study), read_results(study, results)])
    return votes.sort_by([("time", "ascending")])


def _parsed(place: _Place, study: Study) -> Result:
    try:
        result = parse_record(Result, parse_json(place.text))
    except (ValueError, UserError) as error:
        raise UserError(
            f"{place.where} is no result of a study ({first_line(error)}); leave it out"
        ) from None
    if result.study != study.info.digest:
        raise UserError(f"{place.where} is of another study than {study.folder}; leave it out")
    return result


def _rows(
    result: Result, place: _Place, study: Study, known: StudyVotes, plans: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """The votes of a result; `plans` has the planned session of each session."""
    kind, identity = ("workerId", place.worker) if place.worker else ("export", result.person)
    person = person_hash(study.key, kind, identity)
    seen = set()
    for vote in result.votes:
        if vote.trial not in known:
            raise UserError(f"{place.where}: trial {vote.trial} is not in {study.folder}")
        if vote.trial in seen:
            raise UserError(f"{place.where} has two votes on trial {vote.trial}; it was changed")
        seen.add(vote.trial)
        plan = known.session_of(vote.trial)
        if plans.setdefault(result.session, plan) != plan:
            raise UserError(
                f"{place.where}: trial {vote.trial} is not of session {result.session}; the file "
                "was changed"
            )
        if vote.answer not in known.answers:
            raise UserError(
                f"{place.where}: answer = {vote.answer[:20]!r} is not allowed: it must be "
                f"{' or '.join(known.answers)}"
            )
        yield {
            **known.of_trial(vote.trial, vote.answer),
            "session": result.session,
            "person": person,
            **{name: getattr(vote, name) for name in TIMES},
            "timing_ok": vote.timing_ok,
            "time": datetime.datetime.fromtimestamp(vote.time / 1000, datetime.UTC),
            "simulated": False,
        }


def _places(path: Path) -> Iterator[_Place]:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {first_line(error)}; name a file of results"
        ) from None
    if len(data) > MAX_BYTES:
        raise UserError(
            f"{path} has more than {MAX_BYTES >> 20} MiB; give results in smaller files"
        )
    if data.startswith(b"PK"):
        yield from _of_archive(path, data)
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; name a file of results") from None
    read: Callable[[str, str], Iterator[_Place]] = _of_text
    if path.suffix.lower() == ".csv":
        read = _of_table
    yield from read(text, str(path))


def _of_archive(path: Path, data: bytes) -> Iterator[_Place]:
    """Results in an archive of JATOS: the data of each component."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [
                entry
                for entry in archive.infolist()
                if entry.filename.endswith((".txt", ".json"))
                and not entry.filename.endswith("metadata.json")
            ]
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise UserError(f"{path} unpacks to more than {MAX_BYTES >> 20} MiB; split it")
            texts = [(entry.filename, archive.read(entry).decode()) for entry in entries]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"{path} is a damaged archive ({first_line(error)}); get it again"
        ) from None
    for name, text in texts:
        yield from _of_text(text, f"{path}: {name}")


def _of_text(text: str, where: str) -> Iterator[_Place]:
    """A result, lines of results, or what the API of Mechanical Turk lists."""
    try:
        whole = parse_json(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and "Assignments" in whole:
        yield from _of_assignments(whole["Assignments"], where)
        return
    if whole is not None:
        yield _Place(text, where)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _Place(line, f"{where}, line {number}")


def _of_table(text: str, where: str) -> Iterator[_Place]:
    """Results in a batch's table from the requester's site."""
    csv.field_size_limit(MAX_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = reader.fieldnames or ()
    for name in ("Answer.votes", "WorkerId"):
        if name not in names:
            raise UserError(
                f"{where} has no column '{name}'; give a batch's results as Mechanical Turk wrote "
                "them"
            )
    try:
        for row in reader:
            if row["Answer.votes"]:
                line = f"{where}, line {reader.line_num}"
                yield _Place(row["Answer.votes"], line, row["WorkerId"] or "")
    except csv.Error as error:
        raise UserError(f"{where}, line {reader.line_num}: {first_line(error)}") from None


def _of_assignments(assignments: Any, where: str) -> Iterator[_Place]:
    """Results as `aws mturk list-assignments-for-hit` prints them."""
    for number, entry in enumerate(assignments if isinstance(assignments, list) else [None], 1):
        place = f"{where}, assignment {number}"
        try:
            answers = ElementTree.fromstring(entry["Answer"])
            worker = str(entry["WorkerId"])
        except (TypeError, KeyError, ElementTree.ParseError) as error:
            raise UserError(f"{place} has no answer ({first_line(error)}); get it again") from None
        for answer in answers.iterfind(".//{*}Answer"):
            if answer.findtext("{*}QuestionIdentifier") == "votes":
                yield _Place(answer.findtext("{*}FreeText") or "", place, worker)
