"""Photos and datasets, made small and from fixed seeds, and what was told of the making."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset


def photo(seed: int, height: int = 160, width: int = 220) -> np.ndarray:
    """A textured, colourful picture, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0, 60, (height, width, 3)).astype(np.float32), (0, 0), 1)
    return np.clip(smooth + fine, 0, 255).astype(np.uint8)


def save_photo(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])
    return path


def make(source: Path, out: Path, rows: int, *options: str, workers: int = 1) -> int:
    """Run `bapps-gen traditional` in this process."""
    shards = () if "--shard-size" in options else ("--shard-size", "30")
    return main(
        [
            *("traditional", "--quiet", "--n", str(rows), "--source", str(source)),
            *("--out", str(out), "--workers", str(workers), *shards, *options),
        ]
    )


def contents(folder: Path) -> list[dict]:
    """Every column of every row, in row order."""
    return [row for batch in open_dataset(folder).batches() for row in batch.to_pylist()]


def verify(folder: Path, *options: str) -> int:
    """Run `bapps-gen verify` in this process."""
    return main(["verify", str(folder), "--quiet", "--workers", "1", *options])


def shard_file(folder: Path, shard: int) -> Path:
    return folder / "data" / f"part-{shard:05d}.parquet"


def values_of(folder: Path, shard: int, column: str) -> list[Any]:
    """A column of a shard."""
    return pq.read_table(shard_file(folder, shard)).column(column).to_pylist()


def put_values(folder: Path, shard: int, column: str, values: Mapping[int, object]) -> None:
    """Put other values in some rows of a shard, by their index in it; all else stays."""
    table = pq.read_table(shard_file(folder, shard))
    changed = [values.get(k, value) for k, value in enumerate(table.column(column).to_pylist())]
    index = table.schema.get_field_index(column)
    field = table.schema.field(index)
    table = table.set_column(index, field, pa.array(changed, field.type))
    pq.write_table(table, shard_file(folder, shard))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr, which has to be one line."""
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    return err


def prepare_signal(context: object) -> Callable[[int], None]:
    """Jobs that raise a signal in their worker; here, where workers can import it from."""
    return signal.raise_signal
