"""Random numbers as pure functions of integers, by counter-based Philox generators.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A
Philox stream is fixed by its 128-bit key and 256-bit counter, so any row's numbers can be had
without drawing those of the rows before it. There is no global generator in this package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import MAX_SEED as MAX_SEED

# Slots keep streams of one seed apart. They are part of the product's promise: never renumber.
SLOT_ROW = 1
SLOT_IMAGES = 2
SLOT_STEP = 3
SLOT_CROPS = 4
SLOT_DEMO = 16
# Training of CNN distorters.
SLOT_TRAINING_WEIGHTS = 32
SLOT_TRAINING_ORDER = 33
SLOT_TRAINING_CORRUPTION = 34
SLOT_TRAINING_DROPOUT = 35
SLOT_TRAINING_CROPS = 48
SLOT_TRAINING_CROP_ORDER = 49
SLOT_HELD_OUT = 50
# Benchmarks of distortions.
SLOT_VARIANT = 64
SLOT_PATCH = 65
# Studies.
SLOT_STUDY_ROWS = 80
SLOT_STUDY_SESSION = 81
SLOT_OBSERVER = 82
SLOT_OBSERVER_SESSION = 83
SLOT_SELECT = 84
# Training of metrics.
SLOT_METRIC_ORDER = 96
SLOT_METRIC_LINEAR = 97
SLOT_METRIC_RANKING = 98
SLOT_METRIC_DROPOUT = 99
SLOT_METRIC_HELD_OUT = 100
SLOT_METRIC_TRUNK = 101
# Networks whose weights are made.
SLOT_NET_WEIGHTS = 112
SLOT_NET_CROPS = 113


class Streams:
    """One Philox generator that is moved to any stream at the cost of setting its counter.

    Moving costs about 1 µs, a new generator about 7 µs; a row needs five. An object must not be
    shared between threads. Every method gives the same numbers whatever was drawn before.
    """

    __slots__ = ("_bits", "_counter", "_generator", "_key", "_state")

    def __init__(self) -> None:
        self._bits = np.random.Philox(0)
        self._generator = np.random.Generator(self._bits)
        self._counter = np.zeros(4, np.uint64)
        self._key = np.zeros(2, np.uint64)
        # numpy's stub knows this dict only by a private TypedDict.
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self._counter, "key": self._key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def at(self, seed: int, index: int, slot: int) -> np.random.Generator:
        """The generator of stream (seed, index, slot), at its start.

        Valid until the next call of `at`. Streams of different (seed, index, slot) never overlap:
        the seed and slot make the key, the index sits in the counter's third word, and a stream
        would need 2^128 draws to reach the next.
        """
        self._key[0] = seed
        self._key[1] = slot
        self._counter[2] = index
        self._bits.state = self._state
        return self._generator

    def words(self, seed: int, index: int, slot: int, count: int) -> NDArray[np.uint64]:
        """The first `count` 64-bit words of a stream, uint64 of shape (count,)."""
        self.at(seed, index, slot)
        return self._bits.random_raw(count)


def generator(seed: int, index: int = 0, slot: int = SLOT_STEP) -> np.random.Generator:
    """A generator of its own for one stream; the same numbers as `Streams.at`."""
    return Streams().at(seed, index, slot)


def named_seed(seed: int, name: str) -> int:
    """The seed, 0 to MAX_SEED, of a named part of something that has a seed itself.

    SHA-256 over both, so that a part's seed depends on no other part and on no order.
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & MAX_SEED


def seed_of(rng: np.random.Generator) -> int:
    """The seed, 0 to MAX_SEED, that a stream was made from; one drawn from any other generator."""
    bits = rng.bit_generator
    if isinstance(bits, np.random.Philox):
        return int(bits.state["state"]["key"][0]) & MAX_SEED
    return int(rng.integers(0, MAX_SEED, endpoint=True))


def digest_of(values: Mapping[str, Any] | Sequence[Any]) -> str:
    """Names a spec or other plain values: SHA-256 over canonical JSON, the first 32 hex digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
