"""Whatever a command publishes is the same, byte for byte, wherever an earlier run was killed.

A run is killed before a change on disk, at places drawn at random, and the same command is given
again; a command that refuses a folder that it finds half made would fail here.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bapps_gen.cli import main
from support.killing import everything, run_until_change
from support.once import Once
from support.subjects import Inputs

COUNT = "--n 40 --shard-size 15"


@dataclass(frozen=True)
class Made:
    """Something that a command makes.

    Args:
        name: of it.
        command: its words; PHOTOS, TABLES and so on stand for inputs, OUT for where it goes.
        quick: how often it is killed in the quick suite.
    """

    name: str
    command: str
    quick: int = 3


SUBJECTS = (
    Made("traditional", f"traditional {COUNT} --source PHOTOS --out OUT", 6),
    Made("cnn", f"cnn {COUNT} --source PHOTOS --zoo ZOO --out OUT", 2),
    Made("pairs", f"jnd --family traditional {COUNT} --source PHOTOS --out OUT", 2),
    Made(
        "real",
        f"real color {COUNT} --reference TASK/gt --outputs a=TASK/swap b=TASK/halve --out OUT",
    ),
    Made("demo", f"real superres --demo --demo-images 1 {COUNT} --source PHOTOS --out OUT", 2),
    Made("import", "import ORIGINALS/2afc --shard-size 30 --out OUT"),
    Made("benchmark", "benchmark --source PHOTOS --levels 2 --atoms jpeg,ghosting --out OUT", 6),
    Made(
        "collection",
        "collection --spec TABLES/collection.toml --shard-size 30 --train PHOTOS --val VAL "
        "--out OUT",
        6,
    ),
    Made("folders", "export SET --format bapps --out OUT", 6),
    Made("tars", "export SET --format webdataset --out OUT"),
    Made("recipe", "export SET --format recipe --out OUT"),
    Made("collection folders", "export COLLECTION --format bapps --out OUT", 6),
    Made("collection tars", "export COLLECTION --format webdataset --out OUT"),
    Made("collection recipes", "export COLLECTION --format recipe --out OUT"),
    Made("replay", "replay RECIPE --source SETPHOTOS --out OUT"),
    Made("collection replayed", "replay COLLECTION --source PHOTOS --source VAL --out OUT"),
    Made("report", "validate SET --out OUT.html", 2),
)


@pytest.fixture(scope="module")
def words(inputs: Inputs, once: Once) -> Callable[[str, Path], list[str]]:
    """Gives the words of a command with its inputs and where it goes."""

    def save_photos(folder: Path) -> None:
        shutil.copytree(inputs.photos, folder)
        (folder / "broken.png").write_bytes(b"no picture")

    def make_collection(folder: Path) -> None:
        assert main(filled(SUBJECTS[7].command, folder)) == 0

    def make_recipe(folder: Path) -> None:
        assert (
            main(["export", str(inputs.dataset), "--format", "recipe", "--out", str(folder)]) == 0
        )

    places = {
        "SETPHOTOS": inputs.photos,
        "PHOTOS": once("photos-with-a-broken-one", save_photos),
        "VAL": inputs.val_photos,
        "ZOO": inputs.zoo,
        "TASK": inputs.task,
        "ORIGINALS": inputs.originals,
        "TABLES": inputs.tables,
        "SET": inputs.dataset,
    }

    def filled(command: str, out: Path) -> list[str]:
        for name, place in (*places.items(), ("OUT", out)):
            command = command.replace(name, str(place))
        workers = [] if command.startswith("export") else ["--workers", "1"]
        return [*command.split(), "--quiet", *workers]

    places["RECIPE"] = once("recipe-to-replay", make_recipe)
    places["COLLECTION"] = once("collection-to-convert", make_collection)
    return filled


def check(
    made: Made, words: Callable[[str, Path], list[str]], base: Path, points: int | None
) -> None:
    """Kill a command at some points, or at all, and compare what is there after the next run."""
    sandbox = base / "sandbox"
    command = words(made.command, sandbox / "out")
    sandbox.mkdir()
    code, changes = run_until_change(command, sandbox, None)
    assert code == 0
    whole = everything(sandbox)
    assert not [name for name in whole if any(part[0] == "." for part in Path(name).parts)]
    chosen = range(changes)
    if points is not None and points < changes:
        chosen = sorted(random.Random(made.name).sample(range(changes), points))
    for point in chosen:
        shutil.rmtree(sandbox)
        sandbox.mkdir()
        code, _ = run_until_change(command, sandbox, point)
        assert code is None
        code, _ = run_until_change(command, sandbox, None)
        assert code == 0, f"after a kill before change {point} of {changes}"
        held = everything(sandbox)
        differing = sorted(name for name in {*whole, *held} if whole.get(name) != held.get(name))
        assert not differing, f"after a kill before change {point} of {changes}"


def over_subjects(function: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("made", SUBJECTS, ids=lambda made: made.name)(function)


@over_subjects
def test_a_run_after_a_kill_publishes_the_same_files(
    made: Made, words: Callable[[str, Path], list[str]], tmp_path: Path
) -> None:
    check(made, words, tmp_path, made.quick)


@pytest.mark.slow
@over_subjects
def test_a_run_after_a_kill_anywhere_publishes_the_same_files(
    made: Made, words: Callable[[str, Path], list[str]], tmp_path: Path
) -> None:
    check(made, words, tmp_path, 40)
