"""Photos, datasets and zoos that many tests share, made once for all workers of a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from support.datasets import make, photo, save_photo

if TYPE_CHECKING:
    from support.once import Once

pytest_plugins = ["support.once", "support.trained_zoo"]

# Before torch starts: small networks on shared cores only wait for more threads.
os.environ["OMP_NUM_THREADS"] = "1"
# Weights may lie on a developer's machine; tests use those that come with the package, but for the
# few that ask for others under this name.
_weights = os.environ.pop("BAPPS_GEN_WEIGHTS", None)
if _weights is not None:
    os.environ["BAPPS_GEN_TEST_WEIGHTS"] = _weights
os.environ["TORCH_HOME"] = "/nonexistent"

# The same examples in every run, however busy the machine is; `--hypothesis-profile others` draws
# others.
settings.register_profile("others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("others"), derandomize=True)
settings.load_profile("same")


def pytest_configure() -> None:
    """Let commands that take all cores take one, whatever the machine has.

    Tests share the cores already. Later than this module's import, since `-n auto` counts them.
    """
    os.sched_getaffinity = lambda process: {0}


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """Untrained networks do not depend on the tests that ran before in the same process."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def photos(once: Once) -> Path:
    """A folder of six photos; do not change it."""

    def build(folder: Path) -> None:
        for seed in range(6):
            save_photo(folder / f"photo{seed}.png", photo(seed))

    return once("photos", build)


@pytest.fixture(scope="session")
def dataset(photos: Path, once: Once) -> Path:
    """A dataset of 70 triplets in shards of 30; do not change it."""

    def build(folder: Path) -> None:
        assert make(photos, folder, 70) == 0

    return once("set", build)


@pytest.fixture(scope="session")
def zoo(once: Once) -> Path:
    """The folder of a zoo of untrained distorters; do not change it."""
    from support.zoos import write_zoo  # with torch, which other tests do without

    return once("zoo", write_zoo)
