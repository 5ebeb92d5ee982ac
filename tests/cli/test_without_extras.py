"""What works where no extra is installed, and what says which one it needs; --help is light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bapps_gen.cli import COMMANDS, main
from support import without_extras

NEEDS_TORCH = ("cnn", "verify-mix", "train-metric", "lpips", "reader")
NEEDS_STUDY = ("study-serve", "study-export")
CODE = {
    "zoo": "import bapps_gen.cnn_distorters.zoo",
    "table": "from bapps_gen.cnn_distorters.table import shipped_specs; shipped_specs()",
    "metrics": "from bapps_gen.metrics import METRICS, load_metric\n"
    "for spec in METRICS: spec.needs_torch or load_metric(spec.name)",
    "photographs": "from bapps_gen.pipelines.sources.source import open_source\n"
    "open_source([]).load(0)",
    "lpips": "import sys\nfrom bapps_gen.errors import UserError\n"
    "from bapps_gen.lpips import NETS, load_lpips\n"
    "try: load_lpips(NETS[0])\nexcept UserError as error: print(error, file=sys.stderr)",
}

READER = (
    "import sys\nfrom bapps_gen import TripletDataset, UserError\ndata = TripletDataset({!r})\n"
    "data.row(3)\ntry: data[3]\nexcept UserError as error: print(error, file=sys.stderr)"
)
"""Rows as NumPy arrays, which need no torch, and then as tensors."""


class Result(NamedTuple):
    """Of a command or of a line of CODE.

    Args:
        code: exit code.
        out, err: what was printed.
        asked: extras that it tried to import.
        imported: heavy packages that are imported since, by it or before.
    """

    code: int
    out: str
    err: str
    asked: list[str]
    imported: list[str]


def commands(folder: Path, photos: Path, zoo: Path) -> dict[str, list[str]]:
    """Command lines by name, in the order in which they are run."""
    made, mixed = folder / "set", folder / "mix"
    source = f"--source {photos}"
    lines = {
        "traditional": f"traditional --n 20 {source} --out {made}",
        "show": f"show {made} -o {folder}/sheet.png",
        "info": f"info {made}",
        "verify": f"verify {made}",
        "export": f"export {made} --format bapps --out {folder}/folders",
        "distortions": "distortions",
        "jnd": f"jnd --family traditional --n 5 {source} --out {folder}/pairs",
        "verify-jnd": f"verify {folder}/pairs",
        "benchmark": f"benchmark {source} --atoms jpeg --levels 2 --out {folder}/benchmark",
        "study": f"study make {made} --out {folder}/study",
        "study-votes": f"study votes {folder}/study --out {folder}/votes.parquet",
        "study-serve": f"study serve {folder}/study --port 0",
        "study-export": f"study export {folder}/study --format static --out {folder}/site",
        "verify-stored": f"verify {mixed} --stored-only",
        "cnn": f"cnn --n 5 --zoo {zoo} {source} --out {folder}/cnn",
        "verify-mix": f"verify {mixed}",
        "train-metric": f"train-metric {made} --out {folder}/mine.safetensors",
    }
    alone = ("show", "info", "export", "distortions", "study", "study-votes", *NEEDS_STUDY)
    return {
        name: [*line.split(), *(() if name in alone else ("--workers", "1"))]
        for name, line in lines.items()
    }


@pytest.fixture(scope="module")
def results(photos: Path, zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Everything, run in one process of its own."""
    folder = tmp_path_factory.mktemp("without")
    mix = f"mix --n 5 --zoo {zoo} --source {photos} --out {folder}/mix --workers 1 --quiet"
    assert main(mix.split()) == 0
    asked: list[Any] = [("--help", ["--help"])]
    asked += [(f"{name} --help", [name, "--help"]) for name, _, _ in COMMANDS]
    asked += [(name, ["python", line]) for name, line in CODE.items()]
    asked += commands(folder, photos, zoo).items()
    asked.append(("reader", ["python", READER.format(str(folder / "set"))]))
    done = subprocess.run(
        [sys.executable, without_extras.__file__],
        **{"input": json.dumps(asked), "capture_output": True, "text": True, "cwd": "/"},
    )
    assert done.returncode == 0, done.stderr
    return {name: Result(*result) for name, result in json.loads(done.stdout).items()}


def test_help_of_all_commands_imports_nothing_heavy(results):
    helps = {name: result for name, result in results.items() if name.endswith("--help")}
    assert len(helps) == len(COMMANDS) + 1
    for name, result in helps.items():
        assert result.code == 0
        assert "usage: bapps-gen" in result.out
        assert result.asked == result.imported == [], name
    assert all(name in helps["--help"].out for name, _, _ in COMMANDS)


def test_what_needs_no_extra_works_and_asks_for_none(results):
    for name, result in results.items():
        if name not in (*NEEDS_TORCH, *NEEDS_STUDY):
            assert result.code == 0, (name, result.err)
            assert set(result.asked) <= {"pandas"}, name  # which pyarrow looks for
    assert "skimage" not in results["photographs"].imported


@pytest.mark.parametrize("name", NEEDS_TORCH)
def test_what_needs_torch_says_so_in_one_line(results, name):
    result = results[name]
    assert result.code == (0 if name in (*CODE, "reader") else 2)
    assert "torch, which is not installed" in result.err
    assert "pip install 'bapps-gen[torch]'" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("name", NEEDS_STUDY)
def test_what_needs_the_extra_of_studies_says_so_in_one_line(results, name):
    result = results[name]
    assert result.code == 2
    assert "studies need" in result.err
    assert "pip install 'bapps-gen[study]'" in result.err
    assert len(result.err.splitlines()) == 1
