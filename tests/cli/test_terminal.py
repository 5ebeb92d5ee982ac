"""Names from files of others reach the terminal escaped."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.pipelines.collections.toml import read_collection

HOSTILE = "red\x1b[31m\x07\x9b5mup\u202ereversed\u2028line\rover"
ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


@pytest.fixture
def hostile(dataset: Path, tmp_path: Path) -> Path:
    """A dataset whose description says names with controls."""
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "sources.local.json").unlink()
    info = json.loads((copy / "dataset.json").read_text())
    info |= {
        "version": HOSTILE,
        "sources": [HOSTILE],
        "plugins": [{"name": HOSTILE, "sha256": None}],
    }
    (copy / "dataset.json").write_text(json.dumps(info))
    return copy


@pytest.mark.parametrize(
    "command", ["info", "info --json", "verify --quiet", "verify --stored-only"]
)
def test_names_are_escaped_on_both_streams(
    command: str, hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = command.split()
    main([name, str(hostile), *options])
    said = capsys.readouterr()
    assert said.out + said.err
    assert not ODD.search((said.out + said.err).replace("\n", ""))
    if command == "info --json":
        assert json.loads(said.out)["made_with_version"] == HOSTILE


def test_names_of_files_are_escaped(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    (folder / "bad\x1b[2Jname.png").write_bytes(b"no picture")
    words = ["traditional", "--n", "30", "--source", str(folder), "--out", str(tmp_path / "out")]
    assert main([*words, "--quiet", "--workers", "1"]) == 0
    assert main(["traditional", "--n", "1", "--source", str(folder / "none\x1b[2J")]) == 2
    err = capsys.readouterr().err
    assert "bad\\u001b[2Jname.png" in err
    assert not ODD.search(err.replace("\n", ""))


@pytest.mark.parametrize(
    "text",
    [
        "seed = 99999999999999999999999",
        "seed = 1979-05-27T07:32:00Z",
        "x = 1979-05-27",
        'name = "a\\u0000b"',
        f"[source]\ntrain = {'[' * 25}{']' * 25}",
        '[[set]]\npath = "2afc/train/x"\nkind = "traditional"\nrows = inf',
        f"[defaults]\natoms = {'[' * 25}{']' * 25}",
    ],
)
def test_values_of_a_collections_toml_are_bounded(text: str, tmp_path: Path) -> None:
    path = tmp_path / "collection.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"collection\.toml: "):
        read_collection(path)
