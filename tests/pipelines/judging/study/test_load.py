"""Sessions at once over HTTP, with a killed server: every acknowledged vote is there once."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.judging.study.collect import server_votes
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.study import make_study

PATH = Path(__file__).parents[4] / "benchmarks" / "study_load.py"
SESSIONS = 20


@pytest.fixture(scope="module")
def study_load():
    spec = importlib.util.spec_from_file_location("study_load", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_load"] = module  # which its dataclass looks for
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_killed_server_loses_and_doubles_no_vote(study_load, sets, tmp_path):
    protocol = Protocol(task="2afc", trials=14, sentinels=6, judgments=SESSIONS)
    study = make_study(tmp_path / "study", [open_dataset(sets / "2afc")], protocol)
    load = asyncio.run(study_load.run_load(study.folder, SESSIONS, kills=2))
    assert (load.lost, load.doubled, load.unknown) == (0, 0, 0)
    assert len(load.acknowledged) == SESSIONS * 20
    assert load.retried > 0
    votes = server_votes(study)
    assert votes.num_rows == SESSIONS * 20
    assert len(set(votes["person"].to_pylist())) == SESSIONS
