"""Event files as TensorBoard reads them, and the scale of curves."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from bapps_gen.pipelines.metric_training.curves import draw_curves
from bapps_gen.pipelines.metric_training.events import _crc32c, _masked, event_file
from bapps_gen.pipelines.metric_training.logs import Epoch, Scalar, best_of, scalars

HISTORY = (
    Epoch(1, 10, 1e-4, 0.7, ((5, 0.72), (10, 0.68)), 0.6, 100.0, 4.0),
    Epoch(2, 20, 1e-4, 0.6, ((15, 0.62), (20, 0.58)), 0.8, 110.0, 4.0),
    Epoch(3, 30, 5e-5, 0.5, ((25, 0.52), (30, 0.48)), 0.8, 120.0, 4.0),
)


def records(data: bytes) -> list[bytes]:
    """The records of an event file, their sums compared."""
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + length]
        assert data[8:12] == _masked(data[:8])
        assert data[12 + length : 16 + length] == _masked(record)
        found.append(record)
        data = data[16 + length :]
    return found


def test_the_sum_is_castagnolis() -> None:
    assert _crc32c(b"123456789") == 0xE3069283  # of the standard's check string


def test_an_event_file_has_a_version_and_a_record_for_each_scalar() -> None:
    found = records(event_file([Scalar(300, 12.5, "val/2afc", 0.75)]))
    assert found[0] == b"\x09" + struct.pack("<d", 12.5) + b"\x1a\x0dbrain.Event:2"
    value = b"\x0a\x08val/2afc\x15" + struct.pack("<f", 0.75)
    summary = b"\x0a" + bytes([len(value)]) + value
    assert found[1] == b"\x09" + struct.pack("<d", 12.5) + b"\x10\xac\x02\x2a" + (
        bytes([len(summary)]) + summary
    )
    assert event_file([]) == b""


def test_tensorboard_reads_it(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "events.out.tfevents.0.test").write_bytes(event_file(scalars(HISTORY)))
    read = accumulator.EventAccumulator(str(tmp_path))
    read.Reload()
    assert [event.step for event in read.Scalars("val/2afc")] == [10, 20, 30]
    assert read.Scalars("train/loss")[0].value == pytest.approx(0.72)


def test_every_value_is_logged_at_its_step_and_time() -> None:
    values = list(scalars(HISTORY))
    losses = [(each.step, each.wall_time) for each in values if each.tag == "train/loss"]
    assert losses[:2] == [(5, 98.0), (10, 100.0)]
    assert [each.value for each in values if each.tag == "val/2afc"] == [0.6, 0.8, 0.8]


def test_the_best_epoch_is_the_first_of_the_highest_score() -> None:
    assert best_of(HISTORY).epoch == 2


@pytest.mark.parametrize("epochs", [1, 3, 500])
def test_curves_are_drawn_for_one_epoch_and_for_many(epochs: int) -> None:
    history = tuple(
        Epoch(n, 10 * n, 1e-4, 0.7 / n, ((10 * n, 0.7 / n),), 0.5, 1.0, 1.0)
        for n in range(1, epochs + 1)
    )
    picture = draw_curves(history, epochs, "lin over alex")
    assert picture.shape == (344, 880, 3)
    assert picture.min() < 100 < picture.max()
