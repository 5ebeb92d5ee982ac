"""Studies of a few rows, made once."""

import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.study import make_study
from support.datasets import make, photo, save_photo

PROTOCOLS = {
    "2afc": Protocol(task="2afc", trials=6, sentinels=4, practice=2, judgments=2),
    "jnd": Protocol(task="jnd", trials=6, sentinels=4, identical=2, practice=5, judgments=2),
}


def build(folder):
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "2afc", 14) == 0
    command = ["jnd", "--quiet", "--family", "traditional", "--n", "14", "--workers", "1"]
    command += ["--source", str(folder / "photos"), "--out", str(folder / "jnd")]
    assert main(command) == 0


@pytest.fixture(scope="module")
def sets(once):
    """Datasets of 14 rows: `2afc` and `jnd`."""
    return once("sets-of-studies", build)


@pytest.fixture(params=sorted(PROTOCOLS))
def study(request, sets, tmp_path):
    """A study of each task: sessions of 6 rows, 2 judgments of each."""
    protocol = PROTOCOLS[request.param]
    return make_study(tmp_path / "study", [open_dataset(sets / request.param)], protocol, seed=3)
