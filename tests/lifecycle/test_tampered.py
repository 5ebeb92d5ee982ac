"""Descriptions that somebody tampered with: one line and an exit code, and nothing written astray.

Real files of every kind of description are changed at random and given to the commands that read
them.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.cli import main
from support.datasets import photo, save_photo
from support.once import Once
from support.real_outputs import save_task
from support.tampering import tamper_file

COLLECTION = """
name = "mine"
[source]
train = "photos"
[defaults]
shard_size = 2
[[set]]
path = "2afc/train/noise"
kind = "traditional"
rows = 4
families = ["noise"]
[[set]]
path = "jnd/train/cnn"
kind = "jnd-cnn"
rows = 2
zoo = "zoo"
"""
DISTORTERS = """
[[distorter]]
id = "tiny"
corruption = "white_noise"
strength = 0.1
layers = 2
"""

_READ = ("info", "info --json", "show -o OUT/sheet.png", "verify --quiet --stored-only")
_SET = (
    *_READ,
    "verify --quiet --workers 1",
    "score --metric l2 --quiet --workers 1",
    "export --format bapps --out OUT/x --quiet",
    "export --format webdataset --out OUT/x --quiet",
    "export --format recipe --out OUT/x --quiet",
    "validate --out OUT/report.html --quiet --workers 1",
)
_REPLAY = "replay --source ORIGINALS/photos --out OUT/x --quiet --workers 1"


@dataclass(frozen=True)
class Target:
    """A description, the command lines that read it ("HERE" is its folder), and one to resume."""

    path: str
    commands: tuple[str, ...]
    resume: str = ""

    @property
    def folder(self) -> str:
        return self.path.split("/")[0]

    def words(self, command: str, originals: Path, here: Path, out: Path) -> list[str]:
        """The words of a command line."""
        words = command.split()
        if "HERE" not in command:
            words.insert(1, str(here))
        named = {"HERE": here, "OUT": out, "ORIGINALS": originals}
        for name, path in named.items():
            words = [word.replace(name, str(path)) for word in words]
        return words


_BENCHMARK = (
    "verify --quiet --workers 1",
    "verify --quiet --workers 1 --stored-only",
    "score --metric l2 --quiet --workers 1",
    "evaluate --metric l2 --quiet --workers 1",
)
_TRADITIONAL = "traditional --n 4 --shard-size 2 --source ORIGINALS/photos --out HERE"
_CNN = "cnn --n 2 --source ORIGINALS/photos --zoo HERE --out OUT/x"
_COLOR = (
    "real color --n 4 --shard-size 2 --reference ORIGINALS/task/gt --outputs "
    "invert=ORIGINALS/task/invert swap=ORIGINALS/task/swap --out HERE"
)
_MADE = " --quiet --workers 1"
_TRAIN = (
    "train-distorters --specs HERE/distorters.toml --only none "
    "--source ORIGINALS/photos --out OUT/x"
)
TARGETS = (
    Target("traditional/dataset.json", _SET, _TRADITIONAL + _MADE),
    Target("traditional/data/part-00001.parquet", _SET, _TRADITIONAL + _MADE),
    Target("traditional/sources.local.json", (_SET[0], _SET[4]), _TRADITIONAL + _MADE),
    Target("color/sources.local.json", (_SET[0], _SET[4]), _COLOR + _MADE),
    Target("traditional/scores/l2/part-00000.parquet", (_SET[5], _SET[-1])),
    Target("color/dataset.json", _SET, _COLOR + _MADE),
    Target("color/outputs.parquet", (*_SET[3:5], _SET[8]), _COLOR + _MADE),
    Target("jnd-cnn/dataset.json", _SET),
    Target("recipe/dataset.json", (*_SET, _REPLAY)),
    Target("recipe/data/part-00000.parquet", (*_SET, _REPLAY)),
    Target(
        "collection/collection.json",
        ("info", "info --json", *_SET[3:6], _SET[-1]),
        "collection --spec ORIGINALS/specs/collection.toml --out HERE" + _MADE,
    ),
    Target("collection/2afc/train/noise/dataset.json", ("info", *_SET[3:6])),
    Target(
        "benchmark/benchmark.json",
        _BENCHMARK,
        "benchmark --source ORIGINALS/photos --levels 2 --atoms jpeg --out HERE" + _MADE,
    ),
    Target("benchmark/manifest.parquet", _BENCHMARK),
    Target("zoo/zoo.json", ("distorters --zoo HERE", "distorters --zoo HERE --json", _CNN + _MADE)),
    Target("zoo/000.safetensors", ("distorters --zoo HERE", _CNN + _MADE)),
    Target(
        "specs/collection.toml", ("collection --spec HERE/collection.toml --dry-run --out OUT/x",)
    ),
    Target(
        "specs/distorters.toml",
        (_TRAIN,),
    ),
)


@pytest.fixture(scope="module")
def originals(once: Once) -> Path:
    """One of everything that has a description; do not change it."""

    def build(folder: Path) -> None:
        from support.zoos import SPECS, write_zoo

        for seed in range(3):
            save_photo(folder / "photos" / f"photo{seed}.png", photo(seed))
        save_task(folder / "task", 2)
        write_zoo(folder / "zoo", SPECS[:2])
        (folder / "specs").mkdir()
        for name, text in (("collection", COLLECTION), ("distorters", DISTORTERS)):
            text = text.replace('"photos"', f'"{folder}/photos"')
            text = text.replace('"zoo"', f'"{folder}/zoo"')
            (folder / "specs" / f"{name}.toml").write_text(text)
        for target in TARGETS:
            if target.resume and not (folder / target.folder).exists():
                words = target.words(target.resume, folder, folder / target.folder, folder)
                assert main(words) == 0
        jnd = f"jnd --family cnn --n 2 --source {folder}/photos --zoo {folder}/zoo"
        assert main([*jnd.split(), "--out", str(folder / "jnd-cnn"), "--quiet"]) == 0
        for name in ("traditional", "color", "jnd-cnn"):
            score = f"score {folder / name} --metric l2,lpips-alex --quiet --workers 1"
            assert main(score.split()) == 0
        recipe = f"export {folder}/traditional --format recipe --out {folder}/recipe --quiet"
        assert main(recipe.split()) == 0

    return once("tampered", build)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def fail(number: int, frame: object) -> None:
        raise AssertionError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(originals: Path, seed: int) -> tuple[str, int]:
    """Tamper with a description as a seed says, and run a command that reads it."""
    rng = random.Random(seed)
    target = rng.choice(TARGETS)
    command = rng.choice((*target.commands, *([target.resume] if target.resume else [])))
    with tempfile.TemporaryDirectory() as sandbox:
        here, out = Path(sandbox) / "a" / "b" / target.folder, Path(sandbox) / "a" / "out"
        shutil.copytree(originals / target.folder, here)
        out.mkdir()
        tamper_file(here / target.path.partition("/")[2], rng)
        words = target.words(command, originals, here, out)
        stdout, stderr = io.StringIO(), io.StringIO()
        before = os.getcwd()
        os.chdir(out)
        try:
            with (
                _limited(300),
                contextlib.redirect_stdout(stdout),
                contextlib.redirect_stderr(stderr),
            ):
                code = main(words)
        finally:
            os.chdir(before)
        lines = stderr.getvalue().splitlines()
        errors = [line for line in lines if line.startswith("bapps-gen: error: ")]
        others = [line for line in lines if not line.startswith("bapps-gen: ")]
        assert code in (0, 1, 2), words
        assert not others, (words, others)
        if code and not (command.startswith(("verify", "validate")) and stdout.getvalue()):
            several = command.startswith("collection") or target.folder == "collection"
            assert len(errors) == 1 or (several and lines), (words, lines)
        if not code:
            assert not errors, words
        left = {path.name for path in Path(sandbox).iterdir()}
        left |= {path.name for path in (Path(sandbox) / "a").iterdir()}
        left |= {path.name for path in (Path(sandbox) / "a" / "b").iterdir()}
        assert left == {"a", "b", "out", target.folder}, (words, left)
    return command.split()[0], code


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_a_tampered_description_ends_in_one_line(originals: Path, seed: int) -> None:
    check(originals, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
@settings(max_examples=250)
@given(data=st.data())
def test_ten_thousand_tampered_descriptions_end_in_one_line(
    part: int, originals: Path, data: st.DataObject
) -> None:
    check(originals, data.draw(st.integers((part + 1) << 40, ((part + 2) << 40) - 1)))
