"""Everything that a command makes in a folder, as a table: what tests of life cycles run over.

Kinds of datasets are those of the package's own table, so that one that is added there is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bapps_gen.cli import main
from bapps_gen.pipelines.datasets.kinds import KINDS, Kind
from bapps_gen.pipelines.real.tasks import TASKS

ROWS = 70
SHARD_ROWS = 30
SLOW = ("superres", "frameinterp", "deblur")
"""Kinds that differ from `color` in the scales that they are drawn at alone."""


@dataclass(frozen=True)
class Inputs:
    """What things are made from; nobody may change it.

    Args:
        photos, val_photos: folders of six and three photos.
        zoo: of untrained distorters.
        task: folder with `gt` and the outputs of algorithms.
        originals: `2afc` and `jnd`, sets of ROWS rows in the original layout.
        dataset: of ROWS rows, to be scored.
        photographs: eight, to train distorters on.
        tables: TOML files: `collection.toml`, `distorters.toml`.
    """

    photos: Path
    val_photos: Path
    zoo: Path
    task: Path
    originals: Path
    dataset: Path
    photographs: Path
    tables: Path


@dataclass(frozen=True)
class Subject:
    """Something that a command makes in a folder.

    Args:
        name: of it; of datasets, the kind.
        words: of the command that makes it, without --out, from inputs.
        pieces: patterns of the files that are made one by one and then stay.
        summary: a file that is made of all pieces, which go then.
        lost: one of them, to be taken away.
        kept: a pattern of pieces that stay when that is made again.
        others: options that ask for something else in the same folder, and how a refusal names
            what differs.
        limit: bytes that are fewer than the smallest piece has.
        counted: whether `--n` says how many rows it has.
        replay: options that replaying its recipe takes; None where it has none.
        takes: name of the input that the folder is a copy of before anything is made in it.
        locked: the folder in it that a run holds.
        forks: whether it can be made in a forked process; torch trains in none.
    """

    name: str
    words: Callable[[Inputs], list[object]]
    pieces: tuple[str, ...] = ("data/*.parquet",)
    summary: str | None = None
    lost: str = "data/part-00001.parquet"
    kept: str = "data/part-00000.parquet"
    others: tuple[tuple[tuple[str, ...], str], ...] = ()
    limit: int = 30_000
    counted: bool = False
    replay: Callable[[Inputs], list[object]] | None = None
    takes: str | None = None
    locked: str = "."
    forks: bool = True

    def command(self, inputs: Inputs, out: Path, *options: object) -> list[str]:
        """The words of its command line, with one worker."""
        words = [*self.words(inputs), "--quiet", "--workers", 1, *options]
        if self.takes is None:
            words += ["--out", out]
        else:
            words.insert(1, out)
        return [str(word) for word in words]

    def make(self, inputs: Inputs, out: Path, *options: object) -> int:
        """Make it in this process; gives the exit code."""
        return main(self.command(inputs, out, *options))

    def files(self, out: Path) -> dict[str, bytes]:
        """Every file that a user sees and that does not say where things are, by path."""
        return {
            str(path.relative_to(out)): path.read_bytes()
            for path in visible(out)
            if path.suffix in (".parquet", ".png", ".csv", ".safetensors")
        }

    def finished(self, out: Path) -> dict[str, Path]:
        """The pieces that are there, by path."""
        paths = (path for pattern in self.pieces for path in out.glob(pattern))
        return {str(path.relative_to(out)): path for path in paths if path.name[0] != "."}


def visible(out: Path) -> list[Path]:
    """Files without a dot anywhere in their path, sorted."""
    paths = (path for path in sorted(out.rglob("*")) if path.is_file())
    return [path for path in paths if not any(p[0] == "." for p in path.relative_to(out).parts)]


def _set(kind: Kind) -> Subject:
    """A kind of dataset that is made of photos."""
    command = ["jnd", "--family", kind.name.removeprefix("jnd-")]
    command = command if kind.task == "jnd" else [kind.name]

    def zoo_of(inputs: Inputs) -> list[object]:
        return ["--zoo", inputs.zoo] if "zoo" in kind.options else []

    return Subject(
        kind.name,
        lambda inputs: [*command, *_COUNT, "--source", inputs.photos, *zoo_of(inputs)],
        others=(*_OTHERS, (("--scale-range", "0.5", "1"), "scale")),
        counted=True,
        replay=lambda inputs: ["--source", inputs.photos, *zoo_of(inputs)],
    )


def _real(task: str) -> Subject:
    def outputs(inputs: Inputs) -> list[object]:
        names = ("invert", "swap", "halve")
        return ["--outputs", *(f"{name}={inputs.task / name}" for name in names)]

    def words(inputs: Inputs) -> list[object]:
        given = ["--reference", inputs.task / "gt", *outputs(inputs)]
        return ["real", task, *_COUNT, *given]

    return Subject(
        task,
        words,
        pieces=("data/*.parquet", "outputs.parquet"),
        others=(*_OTHERS, (("--min-contrast", "0.1"), "min_contrast")),
        limit=1000,
        counted=True,
        replay=lambda inputs: ["--source", inputs.task / "gt", *outputs(inputs)],
    )


_COUNT = ("--n", ROWS, "--shard-size", SHARD_ROWS)
_OTHERS = ((("--seed", "5"), "seed"), (("--shard-size", "31"), "--shard-size 30"))

DATASETS = (
    *(_real(kind.name) if kind.name in TASKS else _set(kind) for kind in KINDS.values()),
    *(
        Subject(
            f"imported-{task}",
            lambda inputs, task=task: ["import", inputs.originals / task, *_COUNT[2:]],
            others=((("--shard-size", "31"), "--shard-size 30"),),
        )
        for task in ("2afc", "jnd")
    ),
)

BENCHMARK = Subject(
    "benchmark",
    lambda inputs: [
        *("benchmark", "--source", inputs.photos, "--levels", 3),
        *("--atoms", "gaussian_white,ghosting,jpeg"),
    ],
    pieces=(".rows/*.parquet",),
    summary="manifest.parquet",
    lost="jpeg/2/photo1.png",
    kept="jpeg/*/photo3.png",
    others=((("--seed", "3", "--max-side", "100"), "seed"), (("--levels", "4"), "severities")),
)
BENCHMARK_CNN = Subject(
    "benchmark-cnn",
    lambda inputs: [
        *("benchmark", "--source", inputs.photos, "--patches", 3, "--severities", "0.2,1"),
        *("--zoo", inputs.zoo, "--distorters", "000,001"),
    ],
    pieces=(".rows/*.parquet",),
    summary="manifest.parquet",
    lost="cnn-001/2/photo1_1.png",
    kept="cnn-001/*/photo3_*.png",
    others=((("--seed", "3"), "seed"), (("--patches", "4"), "patches")),
    limit=2000,
)
COLLECTION = Subject(
    "collection",
    lambda inputs: [
        *("dataset", "--spec", inputs.tables / "collection.toml", "--shard-size", SHARD_ROWS),
        *("--train", inputs.photos, "--val", inputs.val_photos),
    ],
    pieces=("*/*/*/data/*.parquet",),
    lost="2afc/train/noise/data/part-00001.parquet",
    kept="2afc/val/*/data/part-00000.parquet",
    others=((("--seed", "1"), "seed"),),
)
ZOO = Subject(
    "zoo",
    lambda inputs: [
        *("train-distorters", "--source", inputs.photographs, "--device", "cpu"),
        *("--specs", inputs.tables / "distorters.toml", "--images", 64),
    ],
    pieces=("*.safetensors",),
    lost="tiny.safetensors",
    kept="other.safetensors",
    others=((("--seed", "1"), "seed"), (("--images", "80"), "length")),
    limit=6000,
    forks=False,
)
SCORES = Subject(
    "scores",
    lambda inputs: ["score", "--metric", "l2"],
    pieces=("scores/l2/*.parquet",),
    lost="scores/l2/part-00001.parquet",
    kept="scores/l2/part-00000.parquet",
    limit=1000,
    takes="dataset",
    locked="scores/l2",
)
SUBJECTS = (*DATASETS, BENCHMARK, BENCHMARK_CNN, COLLECTION, ZOO, SCORES)
COUNTED = tuple(subject for subject in DATASETS if subject.counted)
REPLAYED = tuple(subject for subject in DATASETS if subject.replay)


def over(subjects: Iterable[Subject], quick: Iterable[str] | None = None) -> Any:
    """Runs a test over subjects; those that are not named as quick, if any are, are slow."""

    def is_slow(name: str) -> bool:
        return name in SLOW if quick is None else name not in quick

    return pytest.mark.parametrize(
        "subject",
        [
            pytest.param(subject, id=name, marks=pytest.mark.slow if is_slow(name) else ())
            for name, subject in ((subject.name, subject) for subject in subjects)
        ],
    )
