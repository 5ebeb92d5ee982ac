"""A user's own metrics in a Python file, sound ones and faulty ones."""

from __future__ import annotations

from pathlib import Path

METRICS = '''\
"""Metrics of my own."""

import numpy as np


def my_l2(a, b):
    """Root mean squared difference, of full scale."""
    assert a.dtype == b.dtype == np.uint8 and a.shape == b.shape and a.shape[1] == 3
    return np.sqrt(((a.astype(np.float64) - b) ** 2).mean((1, 2, 3))) / 255


class Likeness:
    """Of the same order as L2, the other way round."""

    name = "likeness"
    version = 4
    higher_is_better = True
    smallest = 8

    def __init__(self):
        self.full_scale = 255

    def distance(self, a, b):
        return 1 - np.sqrt(((a.astype(np.float64) - b) ** 2).mean((1, 2, 3))) / self.full_scale


class Called:
    value_range = (-1, 1)

    def __call__(self, a, b):
        assert a.min() >= -1 and a.max() <= 1 and a.dtype.is_floating_point
        return ((a - b) ** 2).mean((1, 2, 3)).sqrt() / 2


spoils = lambda a, b: [a.fill(0), b.fill(255), my_l2(a, b)][-1]
'''

FAULTS = """\
import numpy as np

three = 3


def mean_of_all(a, b):
    return np.mean(a - b)


def maps(a, b):
    return np.zeros((len(a), 64, 64))


def words(a, b):
    return ["far"] * len(a)


def nothing(a, b):
    pass


def raises(a, b):
    return 1 / (len(a) * 0)


def unknown(a, b):
    return np.full(len(a), np.nan)


def endless(a, b):
    return np.full(len(a), np.inf)


def l2(a, b):
    return np.zeros(len(a))


lpips_alex = l2


class Named:
    name = "../../elsewhere"
    distance = staticmethod(l2)


class Versioned(Named):
    name = "versioned"
    version = "one"


class Ranged(Named):
    name = "ranged"
    value_range = (1, 0)


class Turned(Named):
    name = "turned"
    higher_is_better = 1


class Asking:
    def __init__(self, scale):
        pass


class Idle:
    pass
"""


def write_metrics(folder: Path) -> Path:
    """A file of sound metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(METRICS)
    return folder / "mine.py"


def write_faults(folder: Path) -> Path:
    """A file of faulty ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.py").write_text(FAULTS)
    return folder / "faults.py"
