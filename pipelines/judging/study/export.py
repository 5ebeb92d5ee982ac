"""A study for other places than this package's server: JATOS, Mechanical Turk, any web host.

The page and the pictures are the same, and what the server would send of a session is a file of its
own. Nothing in an export says what a trial is.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from bapps_gen.errors import UserError
from bapps_gen.pipelines.judging.study.assign import Assignments, shown_trial
from bapps_gen.pipelines.judging.study.page import EXPORT_THANKS, page_config, page_files
from bapps_gen.pipelines.judging.study.pictures import PICTURES_NAME, PictureStore, opaque_id
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.workspace import Layout, claim

FORMATS = ("jatos", "mturk", "static")
EXPORT_NAME = "export.json"
EXPORT = Layout("study for another place", EXPORT_NAME)

_FRAME_HEIGHT = 900  # px, of the page on Mechanical Turk (own choice)
_QUESTION = """<?xml version="1.0" encoding="UTF-8"?>
<ExternalQuestion
xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd">
  <ExternalURL>{url}</ExternalURL>
  <FrameHeight>{height}</FrameHeight>
</ExternalQuestion>
"""
_WORKERS = ("GeneralSingle", "GeneralMultiple", "PersonalSingle", "PersonalMultiple", "Jatos", "MT")


def export_study(study: Study, form: str, out: Path, url: str | None = None) -> None:
    """Write a study for another place.

    Args:
        study: the study.
        form: one of FORMATS.
        out: folder to create, or the .jzip file of JATOS.
        url: HTTPS address that the folder `site` is going to have; for Mechanical Turk alone.

    Raises:
        UserError: for an address that does not fit, or when `out` holds something else.
        WorkError: when a file of the study is damaged, or the disk is full.
    """
    if form == "mturk":
        url = _checked_url(url)
    elif url is not None:
        raise UserError(f"url applies to the format mturk, not to {form}; leave it out")
    if form == "jatos":
        _write_jatos(study, out)
        return
    identity = {"study": study.info.digest, "export": form, "url": url}
    with claim(out, EXPORT):
        if (out / EXPORT_NAME).exists():
            EXPORT.require_same(out, read_json(out / EXPORT_NAME), identity)
        site = out / "site" if form == "mturk" else out
        for name, data in site_files(study, form):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(site / name) as path:
                path.write_bytes(data)
        if url is not None:
            _write_hits(out, url, study.info.sessions)
        write_json(out / EXPORT_NAME, identity)


def site_files(study: Study, transport: str) -> Iterator[tuple[str, bytes]]:
    """The files of the page with everything that it shows, by name.

    Args:
        study: the study.
        transport: where its votes go, one of FORMATS.
    """
    for name, (data, _) in page_files(transport).items():
        yield name if name == "index.html" else f"page/{name}", data
    # As after one session on the server: the next person comes by a link of their own.
    texts = {**EXPORT_THANKS.get(transport, {}), **study.info.texts}
    config = {
        "study": study.info.digest,
        "sessions": study.info.sessions,
        "salt": opaque_id(study.key, "export salt"),
        "code": study.protocol.completion_code,
        "page": page_config(study.protocol, texts),
    }
    yield "page/config.js", _script("studyConfig", config)
    sessions = Assignments(study).sessions
    for number, trials in enumerate(sessions, 1):
        shown = [shown_trial(trial) for trial in trials]
        yield f"sessions/{number}.js", _script("studySession", shown)
    pictures = PictureStore(study.folder / PICTURES_NAME, study.key)
    try:
        for trials in sessions:
            for name in (name for trial in trials for name in trial.images):
                yield f"images/{name}.png", pictures.require(name)
    finally:
        pictures.close()


def _script(name: str, value: Any) -> bytes:
    """A script that sets a variable: pages that are opened from a disk can read no other file."""
    return f"window.{name} = {json.dumps(value)};\n".encode()


def _write_jatos(study: Study, out: Path) -> None:
    """Write a JATOS study archive: the assets in a folder, and a .jas file that describes them."""
    if out.suffix != ".jzip":
        raise UserError(f"{out} does not end in .jzip, as study archives of JATOS do; rename it")
    own = uuid.UUID(opaque_id(study.key, "jatos"))
    folder = f"bapps-gen-{own.hex[:12]}"
    component = {
        "uuid": str(uuid.uuid5(own, "page")),
        "title": study.protocol.title,
        "htmlFilePath": "index.html",
        "reloadable": True,  # a session goes on after a reload
        "active": True,
        "comments": "",
        "jsonData": None,
    }
    batch = {
        "uuid": str(uuid.uuid5(own, "batch")),
        "title": "Default",
        "active": True,
        "maxActiveMembers": None,
        "maxTotalMembers": None,
        "maxTotalWorkers": None,
        "allowedWorkerTypes": list(_WORKERS),
        "comments": None,
        "jsonData": None,
    }
    description = {
        "version": "3",  # of the format
        "data": {
            "uuid": str(own),
            "title": study.protocol.title,
            "description": f"{study.protocol.task} study, made by bapps-gen",
            "groupStudy": False,
            "linearStudy": False,
            "allowPreview": False,
            "dirName": folder,
            "comments": "",
            "jsonData": None,
            "endRedirectUrl": "",
            "studyEntryMsg": None,
            "componentList": [component],
            "batchList": [batch],
        },
    }
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} does not exist; create it first")
    with whole_file(out, alone=True) as path, zipfile.ZipFile(path, "w") as archive:
        # PNG files do not get smaller. Entries have no time of their own: same study, same file.
        archive.writestr(zipfile.ZipInfo(f"{folder}.jas"), json.dumps(description, indent=1))
        for name, data in site_files(study, "jatos"):
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), data)


def _checked_url(url: str | None) -> str:
    if url is None:
        raise UserError("mturk needs --url, the HTTPS address that the folder 'site' will have")
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise UserError(f"url = {url} is not an HTTPS address of a folder; give one without ?")
    return url.rstrip("/")


def _write_hits(out: Path, url: str, sessions: int) -> None:
    """Write a batch's table, the HIT's layout, and the question of a HIT made by the API."""
    addresses = [f"{url}/index.html?session={number}" for number in range(1, sessions + 1)]
    layout = (files(__package__) / "assets" / "hit.html").read_text(encoding="utf-8")
    question = _QUESTION.format(url=escape(f"{url}/index.html"), height=_FRAME_HEIGHT)
    for name, text in (
        ("batch.csv", "url\n" + "".join(f"{address}\n" for address in addresses)),
        ("hit.html", layout),
        ("external-question.xml", question),
    ):
        with whole_file(out / name) as path:
            path.write_text(text, encoding="utf-8")
