"""Manifests read by the libraries that people use."""

import contextlib
import io
import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bapps_gen.cli import main
from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.pages import picture_spans
from bapps_gen.manifests.readers import PairDataset, TripletDataset, iter_pairs, iter_triplets
from bapps_gen.manifests.row_reader import RowReader
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.metrics import load_metric
from support.datasets import make
from support.original_layout import make_jnd


@pytest.fixture(scope="module")
def triplets(dataset):
    return list(iter_triplets(dataset))


def test_the_iterator_gives_every_triplet_in_order(dataset, triplets):
    assert len(triplets) == 70
    assert [found.id[-8:] for found in triplets] == [f"{row:08d}" for row in range(70)]
    for found in triplets:
        for patch in found[1:4]:
            assert patch.shape == (64, 64, 3)
            assert patch.dtype == np.uint8
        assert found.judge is None


def test_pandas_reads_columns_as_plain_values(dataset, triplets):
    import pandas

    frame = pandas.read_parquet(dataset / "data")
    assert len(frame) == 70
    assert frame["row"].tolist() == list(range(70))
    with Image.open(io.BytesIO(frame.loc[5, "p1"]["bytes"])) as picture:
        assert np.array_equal(np.asarray(picture), triplets[5].p1)
    step = frame.loc[0, "steps0"][0]
    assert {"distortion", "version", "params", "seed", "severity"} == set(step)
    assert frame["judge"].isna().all()


def test_pyarrow_filters_by_column(dataset):
    data = pyarrow.dataset.dataset(dataset / "data")
    one = data.to_table(columns=["row", "distortion0"], filter=pyarrow.dataset.field("row") == 41)
    assert one.to_pylist()[0]["row"] == 41


def test_duckdb_queries_steps_and_parameters(dataset):
    import duckdb

    found = duckdb.sql(
        "select step.distortion as name, count(*) as n, avg(len(step.params)) as parameters "
        f"from (select unnest(steps0) as step from '{dataset}/data/*.parquet') group by 1"
    ).fetchall()
    sides = open_dataset(dataset).read_rows(0)
    assert sum(count for _, count, _ in found) >= 70
    assert sides[0].steps[0][0].distortion in {name for name, _, _ in found}


def test_hugging_face_datasets_decodes_pictures_at_once(dataset, triplets, tmp_path):
    import datasets

    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(dataset / "data" / "*.parquet"),
        cache_dir=str(tmp_path),
        split="train",
    )
    assert len(loaded) == 70
    assert isinstance(loaded.features["ref"], datasets.Image)
    row = loaded[33]
    for name in ("ref", "p0", "p1"):
        assert np.array_equal(np.asarray(row[name]), getattr(triplets[33], name))
    assert row["judge"] is None
    assert row["steps0"][0]["params"][0].keys() == {"name", "value"}


def test_torch_loaders_give_what_lpips_takes(dataset, triplets):
    import torch

    data = TripletDataset(dataset)
    assert len(data) == 70
    batches = list(torch.utils.data.DataLoader(data, batch_size=16, num_workers=2))
    assert batches[0]["ref"].shape == (16, 3, 64, 64)
    assert batches[0]["ref"].dtype == torch.float32
    joined = torch.cat([batch["p0"] for batch in batches])
    expected = np.stack([found.p0 for found in triplets]).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.allclose(joined.numpy(), expected, atol=1e-6)
    assert torch.isnan(torch.cat([batch["judge"] for batch in batches])).all()


def test_rows_are_had_in_any_order_and_from_the_end(dataset, triplets):
    data = TripletDataset(dataset, cache_mb=1)
    for row in (69, 0, 31, 30, -1):
        assert data.row(row).id == triplets[row].id
        assert np.array_equal(data.row(row).ref, triplets[row].ref)
    with pytest.raises(IndexError, match="row 70"):
        data.row(70)


def test_a_shard_of_several_row_groups_is_read_by_row(photos, tmp_path):
    assert make(photos, tmp_path / "set", 230, "--shard-size", "230") == 0
    data = TripletDataset(tmp_path / "set")
    assert [data.row(row).id[-3:] for row in (0, 99, 100, 229)] == ["000", "099", "100", "229"]


@pytest.mark.parametrize(
    ("options", "single"),
    [
        ({}, True),
        ({"data_page_size": 20_000}, True),  # several pages in a column chunk
        ({"write_page_checksum": True}, True),
        ({"compression": "zstd"}, False),
        ({"use_dictionary": True}, False),
        ({"data_page_version": "2.0"}, False),
    ],
)
def test_rows_are_read_however_their_shard_is_stored(dataset, triplets, tmp_path, options, single):
    """Pictures that lie in the file as they are are read one by one."""
    shutil.copytree(dataset, tmp_path / "set")
    stored = {"compression": "none", "use_dictionary": False, "row_group_size": 100, **options}
    for path in (tmp_path / "set" / "data").iterdir():
        pq.write_table(pq.read_table(path), path, **stored)
    data = TripletDataset(tmp_path / "set")
    for row in np.random.default_rng(0).permutation(70):
        found = data.row(int(row))
        assert found.id == triplets[row].id
        assert all(map(np.array_equal, found[1:4], triplets[row][1:4]))
    pictures = sum(path.stat().st_size for path in (dataset / "data").iterdir())
    assert (data._readers[0].rows.nbytes < 100 * 70) == single
    assert data._readers[0].rows.nbytes < 1.5 * pictures


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_readers_keep_no_more_than_they_may(dataset, triplets, tmp_path, compression):
    shutil.copytree(dataset, tmp_path / "set")
    for path in (tmp_path / "set" / "data").iterdir():
        table = pq.read_table(path)
        pq.write_table(table, path, compression=compression, use_dictionary=False)
    whole = TripletDataset(tmp_path / "set")
    for row in range(70):
        whole.row(row)
    capacity = whole._readers[0].rows.nbytes * 3 // 4
    reader = RowReader(whole.dataset, ("id", *PATCHES, "judge"), capacity)
    for row in (0, 30, 60, 5, 35, 65):
        assert reader.read(row)["id"] == triplets[row].id
        assert 0 < reader.nbytes <= capacity


def test_a_damaged_page_of_pictures_is_named(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    path = tmp_path / "set" / "data" / "part-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = path.read_bytes()
    png = table.column("p1")[7]["bytes"].as_py()
    start = data.index(png) + len(png) // 2
    path.write_bytes(data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :])
    with pytest.raises(WorkError, match=r"part-00001\.parquet is damaged \(row 37: the stored p1"):
        TripletDataset(tmp_path / "set").row(31)


def test_pages_with_odd_headers_are_left_to_arrow(dataset, tmp_path):
    path = tmp_path / "part-00001.parquet"
    shutil.copy(dataset / "data" / path.name, path)
    data = path.read_bytes()
    with pq.ParquetFile(path) as file:
        columns = map(file.metadata.row_group(0).column, range(file.metadata.num_columns))
        first = next(each.data_page_offset for each in columns if each.path_in_schema == "p0.bytes")
        expected = picture_spans(path, file, 0, ["p0"])
    assert expected is not None
    for index in range(first, first + 20):
        for value in (0x00, 0x15, 0x1C, 0xFF):
            path.write_bytes(data[:index] + bytes([value]) + data[index + 1 :])
            with pq.ParquetFile(path) as file, contextlib.suppress(pa.ArrowInvalid):
                spans = picture_spans(path, file, 0, ["p0"])
                assert spans is None or np.array_equal(spans, expected)


def test_a_shard_that_is_cut_short_meanwhile_is_named(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    data = TripletDataset(tmp_path / "set")
    data.row(31)
    path = tmp_path / "set" / "data" / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WorkError, match=r"part-00001\.parquet is shorter than it was"):
        data.row(50)


def test_a_loader_travels_to_another_process(dataset):
    data = TripletDataset(dataset)
    data.row(0)
    assert pickle.loads(pickle.dumps(data)).row(3).id == data.row(3).id


def test_an_incomplete_dataset_is_not_taken_for_whole(photos, tmp_path):
    assert make(photos, tmp_path / "set", 70) == 0
    (tmp_path / "set" / "data" / "part-00001.parquet").unlink()
    for read in (TripletDataset, lambda folder: next(iter_triplets(folder))):
        with pytest.raises(WorkError, match=r"part-00001\.parquet is missing"):
            read(tmp_path / "set")


def test_units_and_versions_travel_in_the_schema(dataset):
    schema = pq.read_schema(dataset / "data" / "part-00000.parquet")
    units = json.loads(schema.field("steps0").metadata[b"units"])
    assert units["gaussian_blur.sigma"] == "px"
    own = json.loads(schema.metadata[b"bapps_gen"])
    assert own == {"format_version": 1, "spec_digest": open_dataset(dataset).info.digest}


def test_row_groups_are_small_enough_for_random_access(dataset):
    metadata = pq.ParquetFile(dataset / "data" / "part-00000.parquet").metadata
    for group in range(metadata.num_row_groups):
        assert metadata.row_group(group).num_rows <= 100


@pytest.fixture
def scored(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    command = ["score", str(tmp_path / "set"), "--metric", "l2,ssim", "--quiet", "--workers", "1"]
    assert main(command) == 0
    return tmp_path / "set"


def l2_of(found):
    """The metric's own function on the patches of a triplet."""
    d0, d1 = load_metric("l2").triplet(found.ref[None], found.p0[None], found.p1[None])
    return float(d0[0]), float(d1[0])


def test_readers_join_the_distances_of_metrics(scored):
    difference = l2_of(TripletDataset(scored).row(33))
    for found in (
        list(iter_triplets(scored, ["l2", "ssim"]))[33],
        TripletDataset(scored, scores=["l2", "ssim"]).row(33),
    ):
        assert list(found.distances) == ["l2", "ssim"]
        assert found.distances["l2"] == pytest.approx(difference, rel=1e-9)
    item = TripletDataset(scored, scores=["l2"])[33]
    assert (float(item["d0_l2"]), float(item["d1_l2"])) == pytest.approx(difference, rel=1e-9)


def test_readers_say_how_to_make_distances_that_are_missing(dataset):
    for read in (
        lambda: TripletDataset(dataset, scores=["l2"]),
        lambda: next(iter_triplets(dataset, ["l2"])),
    ):
        with pytest.raises(UserError, match="bapps-gen score"):
            read()


def test_pairs_are_not_read_as_triplets(tmp_path):
    make_jnd(tmp_path / "jnd", [0.0, 1.0])
    command = ["import", str(tmp_path / "jnd"), "--out", str(tmp_path / "set"), "--quiet"]
    assert main(command) == 0
    with pytest.raises(UserError, match="holds pairs, not triplets"):
        TripletDataset(tmp_path / "set")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A set of four judged JND pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    make_jnd(folder / "jnd", [0.0, 1.0, 0.5, 0.25])
    command = ["import", str(folder / "jnd"), "--out", str(folder / "set"), "--quiet"]
    assert main(command) == 0
    return folder / "set"


def test_pairs_are_read_in_order_with_the_share_that_calls_them_the_same(pairs):
    read = list(iter_pairs(pairs))
    assert [pair.same for pair in read] == [0.0, 1.0, 0.5, 0.25]
    for pair in read:
        assert pair.ref.shape == pair.p0.shape == (64, 64, 3)
        assert pair.ref.dtype == pair.p0.dtype == np.uint8
    data = PairDataset(pairs)
    for index, pair in enumerate(read):
        assert data.row(index).id == pair.id
        assert np.array_equal(data.row(index).p0, pair.p0)
    assert data.row(-1).id == read[-1].id


def test_torch_loaders_give_pairs(pairs):
    import torch

    (batch,) = torch.utils.data.DataLoader(PairDataset(pairs), batch_size=4)
    assert set(batch) == {"id", "ref", "p0", "same"}
    assert batch["ref"].shape == batch["p0"].shape == (4, 3, 64, 64)
    assert batch["same"].tolist() == [0.0, 1.0, 0.5, 0.25]
    expected = np.stack([pair.p0 for pair in iter_pairs(pairs)]).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.allclose(batch["p0"].numpy(), expected, atol=1e-6)


def test_pairs_join_the_distances_of_metrics(pairs):
    assert main(["score", str(pairs), "--metric", "l2", "--quiet", "--workers", "1"]) == 0
    pair = PairDataset(pairs, scores=["l2"]).row(2)
    distance = float(load_metric("l2").distance(pair.ref[None], pair.p0[None])[0])
    assert pair.distances["l2"] == pytest.approx(distance, rel=1e-9)
    assert next(iter_pairs(pairs, ["l2"])).distances.keys() == {"l2"}
    item = PairDataset(pairs, scores=["l2"])[2]
    assert float(item["d0_l2"]) == pytest.approx(distance, rel=1e-9)
    assert "d1_l2" not in item


def test_triplets_are_not_read_as_pairs(dataset):
    for read in (PairDataset, lambda folder: next(iter_pairs(folder))):
        with pytest.raises(UserError, match="holds triplets, not pairs"):
            read(dataset)


def test_an_open_dataset_is_taken_where_its_folder_is(dataset, triplets):
    opened = open_dataset(dataset)
    assert open_dataset(opened) is opened
    assert TripletDataset(opened).row(5).id == triplets[5].id
    assert next(iter_triplets(opened)).id == triplets[0].id


def test_a_shard_that_is_lost_meanwhile_is_named(photos, tmp_path):
    assert make(photos, tmp_path / "set", 40) == 0
    data = TripletDataset(tmp_path / "set")
    (tmp_path / "set" / "data" / "part-00001.parquet").unlink()
    with pytest.raises(WorkError, match=r"part-00001\.parquet is missing"):
        data.row(35)
