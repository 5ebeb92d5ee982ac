"""Judgments lie beside the shards, and are joined to rows by id."""

import pyarrow as pa
import pytest

from bapps_gen.errors import WorkError
from bapps_gen.manifests.judgements import (
    JudgementsInfo,
    join_judgements,
    judgements_info,
    judgements_path,
    shard_judgements,
    write_judgements,
    write_judgements_info,
)

DIGEST, OTHER = "a" * 32, "b" * 32
INFO = JudgementsInfo(
    task="2afc",
    spec_digest=DIGEST,
    digest="c" * 32,
    filter={"min_rt_ms": 200},
    votes=5,
    left_out={"too fast": 1},
    people=3,
    rows=2,
    simulated=False,
    files=(("votes.parquet", "d" * 64),),
)
IDS = ["r0", "r1", "r2"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "judgements").mkdir()
    write_judgements(tmp_path, INFO, 0, IDS, [0.5, None, 1.0], [2, None, 3])
    write_judgements_info(tmp_path, INFO)
    return tmp_path


def batch(ids, judge, count):
    arrays = [pa.array(ids), pa.array(judge, pa.float32()), pa.array(count, pa.int32())]
    return pa.RecordBatch.from_arrays(arrays, ["id", "judge", "judge_count"])


def test_judgments_are_read_as_they_were_written(folder):
    assert judgements_info(folder, DIGEST) == INFO
    assert shard_judgements(folder, DIGEST, 0).to_pydict() == {
        "id": IDS,
        "judge": [0.5, None, 1.0],
        "judge_count": [2, None, 3],
    }
    assert shard_judgements(folder, DIGEST, 1) is None


def test_a_dataset_without_judgments_has_none(tmp_path):
    assert judgements_info(tmp_path, DIGEST) is None
    assert shard_judgements(tmp_path, DIGEST, 0) is None


@pytest.mark.parametrize("size", [1, 2, 5])
def test_rows_take_their_judgments_and_keep_their_own_where_nobody_voted(folder, size):
    table = shard_judgements(folder, DIGEST, 0)
    rows = batch([*IDS, "r3", "r4"], [None, 0.25, None, 0.75, None], [None, 4, None, 8, None])
    joined = [
        join_judgements(rows.slice(first, size), table, first, "shard")
        for first in range(0, rows.num_rows, size)
    ]
    assert pa.Table.from_batches(joined).to_pydict() == {
        "id": [*IDS, "r3", "r4"],
        "judge": [0.5, 0.25, 1.0, 0.75, None],
        "judge_count": [2, 4, 3, 8, None],
    }


def test_columns_that_were_not_asked_for_are_not_added(folder):
    table = shard_judgements(folder, DIGEST, 0)
    ids = batch(IDS, [None] * 3, [None] * 3).select(["id"])
    assert join_judgements(ids, table, 0, "shard").schema.names == ["id"]


def test_judgments_of_other_rows_or_another_dataset_are_refused(folder):
    table = shard_judgements(folder, DIGEST, 0)
    other = batch(["r0", "x", "r2"], [None] * 3, [None] * 3)
    with pytest.raises(WorkError, match=r"^shard: the judgments are of rows with other ids; "):
        join_judgements(other, table, 0, "shard")
    with pytest.raises(WorkError, match=r"part-00000\.parquet is of another dataset; "):
        shard_judgements(folder, OTHER, 0)
    with pytest.raises(WorkError, match=r"judgements\.json is of another dataset; "):
        judgements_info(folder, OTHER)


def test_damaged_judgments_are_refused(folder):
    path = judgements_path(folder, 0)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(WorkError, match=r"part-00000\.parquet is damaged .* `bapps-gen judge`"):
        shard_judgements(folder, DIGEST, 0)
