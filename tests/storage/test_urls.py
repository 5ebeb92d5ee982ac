"""Datasets and sources at URLs, on a server that speaks S3."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from bapps_gen.errors import SourceError, WorkError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import TripletDataset, iter_triplets
from bapps_gen.manifests.scores import scored_metrics
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.source import open_source
from support.datasets import make
from support.real_outputs import ALGORITHMS, make_real, save_task

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
pytest.importorskip("moto")
s3_server = pytest.importorskip("support.s3_server")

ROOT = f"s3://{s3_server.BUCKET}"


@pytest.fixture(scope="module")
def server() -> Iterator[s3_server.S3Server]:
    """A server that listens for the module, and the environment that leads there."""
    running = s3_server.S3Server()
    running.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-hush",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",  # so that refused connections are not tried again for seconds
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield running
    running.stop()


@pytest.fixture(scope="module")
def bucket(server: s3_server.S3Server) -> s3_server.Bucket:
    filesystem = fsspec.filesystem("s3")
    filesystem.mkdir(s3_server.BUCKET)
    return s3_server.Bucket(filesystem)


@pytest.fixture(scope="module")
def remote_photos(bucket: s3_server.Bucket, photos: Path) -> str:
    return bucket.copy_in(photos, "photos")


@pytest.fixture(scope="module")
def remote_set(remote_photos: str, bucket: s3_server.Bucket) -> str:
    """The dataset of `dataset`, made from a URL at a URL by two workers; do not change it."""
    assert make(remote_photos, f"{ROOT}/set", 70, workers=2) == 0
    return f"{ROOT}/set"


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "bapps_gen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def making(source: str, out: str, workers: int = 1) -> tuple[str, ...]:
    return (
        *("traditional", "--quiet", "--n", "70", "--shard-size", "30", "--source", str(source)),
        *("--out", out, "--workers", str(workers)),
    )


def assert_same_shards(bucket: s3_server.Bucket, name: str, local: Path) -> None:
    paths = sorted((local / "data").glob("*.parquet"))
    assert bucket.names(f"{name}/data") == [f"{name}/data/{path.name}" for path in paths]
    for path in paths:
        assert bucket.read(f"{name}/data/{path.name}") == path.read_bytes()


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    assert "test-hush" not in text
    return text


# Making


def test_a_set_made_at_a_url_is_the_local_one_byte_by_byte(bucket, remote_set, dataset):
    assert_same_shards(bucket, "set", dataset)
    stored, local = (
        json.loads(text)
        for text in (bucket.read("set/dataset.json"), (dataset / "dataset.json").read_bytes())
    )
    assert stored.pop("sources") == [f"{ROOT}/photos"]
    assert local.pop("sources") == ["photos"]
    assert stored == local


def test_pairs_and_sets_from_real_algorithms_are_made_at_a_url_too(
    bucket, remote_photos, photos, tmp_path, capsys
):
    for place, source in ((f"{ROOT}/jnd", remote_photos), (str(tmp_path / "jnd"), str(photos))):
        options = ("--n", "40", "--shard-size", "30", "--source", source, "--out", place)
        assert main(["jnd", "--family", "traditional", "--quiet", *options]) == 0
    assert_same_shards(bucket, "jnd", tmp_path / "jnd")

    folder = save_task(tmp_path / "task")
    roots = {name: bucket.copy_in(folder / name, f"task/{name}") for name in ("gt", *ALGORITHMS)}
    outputs = [f"{name}={roots[name]}" for name in ALGORITHMS]
    remote = ("--reference", roots["gt"], "--outputs", *outputs, "--out", f"{ROOT}/real")
    shared = ("real", "superres", "--quiet", "--n", "40", "--shard-size", "30")
    assert main([*shared, *remote, "--workers", "1"]) == 0
    assert make_real(folder, tmp_path / "real", 40) == 0
    assert_same_shards(bucket, "real", tmp_path / "real")
    listed = (tmp_path / "real" / "outputs.parquet").read_bytes()
    assert bucket.read("real/outputs.parquet") == listed
    assert main([*shared, *remote]) == 0  # nothing is left to do
    capsys.readouterr()
    assert main(["verify", f"{ROOT}/real"]) == 0
    assert "every pixel made again" in capsys.readouterr().out
    assert main(["real", "superres", "--demo", "--n", "5", "--out", f"{ROOT}/demo"]) == 2
    assert "a demo is made next to --out" in said(capsys)


def test_a_second_run_reads_footers_and_makes_nothing(server, remote_photos, remote_set, capsys):
    before = len(server.requests)
    assert main([*making(remote_photos, remote_set), "--workers", "1"]) == 0
    shards = [entry for entry in server.requests[before:] if "/set/data/part" in entry[1]]
    assert [method for method, _, _ in shards] == ["GET"] * 3
    assert all(size <= 1 << 16 for _, _, size in shards)


def test_what_is_missing_or_damaged_at_a_url_is_made_again(
    bucket, remote_photos, photos, dataset, capsys
):
    assert make(photos, f"{ROOT}/again", 70) == 0
    bucket.remove("again/data/part-00000.parquet")
    bucket.write("again/data/part-00001.parquet", b"PAR1 cut short")
    assert main(["info", f"{ROOT}/again"]) == 0
    assert "shards missing or damaged  2" in capsys.readouterr().out
    assert main(["verify", f"{ROOT}/again", "--stored-only", "--workers", "1", "--quiet"]) == 1
    assert "part-00001.parquet is damaged" in capsys.readouterr().out
    with pytest.raises(WorkError, match=r"part-00000.parquet is missing and 1 more"):
        TripletDataset(f"{ROOT}/again")
    assert make(remote_photos, f"{ROOT}/again", 70) == 0
    assert f"{ROOT}/again/data/part-00001.parquet is damaged" in said(capsys)
    assert_same_shards(bucket, "again", dataset)


def test_more_rows_are_added_and_other_specs_refused_at_a_url(bucket, photos, dataset, capsys):
    assert make(photos, f"{ROOT}/growing", 30) == 0
    assert make(photos, f"{ROOT}/growing", 70) == 0
    assert_same_shards(bucket, "growing", dataset)
    assert make(photos, f"{ROOT}/growing", 70, "--seed", "1") == 2
    assert "another spec (it differs in seed = " in said(capsys)
    bucket.write("foreign/notes.txt", b"mine")
    assert make(photos, f"{ROOT}/foreign", 70) == 2
    assert "is not a dataset" in said(capsys)
    assert bucket.names("foreign") == ["foreign/notes.txt"]


def test_a_location_taken_by_another_run_meanwhile_is_reported(photos, bucket, monkeypatch, capsys):
    from bapps_gen.pipelines.datasets import generate

    def and_then_another(folder, info, shard, rows, pngs):
        bucket.write("taken/dataset.json", bucket.read("set/dataset.json"))

    monkeypatch.setattr(generate, "write_judged_shard", and_then_another)
    assert make(photos, f"{ROOT}/taken", 30, "--seed", "5") == 1
    assert "taken by another run" in said(capsys)


def test_a_set_at_a_url_is_judged_and_grows(photos, bucket, tmp_path, capsys):
    from bapps_gen.manifests.dataset import open_dataset

    judged, answers = f"{ROOT}/judged", tmp_path / "answers.csv"
    assert make(photos, judged, 50) == 0
    assert main(["judge", judged, "--template", str(answers)]) == 0
    lines = answers.read_text().splitlines()
    answers.write_text("\n".join([lines[0], *(f"{line[:-2]},0.5,4" for line in lines[1:])]))
    assert main(["judge", judged, str(answers)]) == 0
    assert "50 of 50 rows" in capsys.readouterr().out
    assert bucket.read("judged/judgements/votes/answers.csv") == answers.read_bytes()
    shard = pq.read_table(io.BytesIO(bucket.read("judged/data/part-00001.parquet")))
    assert shard["judge_count"].to_pylist() == [4] * 20
    assert make(photos, judged, 60) == 0
    rows = [row for shard in (0, 1) for row in open_dataset(judged).read_rows(shard)]
    assert [row.judge_count for row in rows] == [4] * 50 + [None] * 10
    assert [triplet.judge for triplet in iter_triplets(judged)] == [0.5] * 50 + [None] * 10


# Reading


def test_every_command_reads_a_set_at_a_url(
    bucket, remote_set, dataset, photos, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", remote_set, "--workers", "1"]) == 0
    assert "every pixel made again" in capsys.readouterr().out
    assert main(["info", remote_set, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["info", str(dataset), "--json"]) == 0
    local = json.loads(capsys.readouterr().out)
    assert (found.pop("folder"), found.pop("source")) == (remote_set, f"{ROOT}/photos")
    assert found.items() <= local.items()
    assert main(["show", remote_set, "-o", "there.png", "--count", "2"]) == 0
    assert main(["show", str(dataset), "-o", "here.png", "--count", "2"]) == 0
    assert Path("there.png").read_bytes() == Path("here.png").read_bytes()
    assert main(["export", remote_set, "--format", "recipe", "--out", "recipe", "--quiet"]) == 0
    assert main(["replay", "recipe", "--out", f"{ROOT}/replayed", "--quiet", "--workers", "1"]) == 0
    assert_same_shards(bucket, "replayed", dataset)


def test_distances_are_stored_and_kept_beside_a_set_at_a_url(bucket, dataset, tmp_path, capsys):
    scored = bucket.copy_in(dataset, "scored")
    score = ["score", scored, "--metric", "l2", "--workers", "1"]
    assert main(score) == 0
    assert bucket.names("scored/scores") == [
        f"scored/scores/l2/part-{shard:05d}.parquet" for shard in range(3)
    ]
    assert scored_metrics(open_dataset(scored).folder) == ("l2",)
    bucket.write("scored/scores/l2/part-00001.parquet", bucket.read("scored/dataset.json"))
    capsys.readouterr()
    assert main(score) == 0
    both = capsys.readouterr()
    assert "part-00001.parquet is damaged" in both.err
    assert "made for 30 rows" in both.out
    local = shutil.copytree(dataset, tmp_path / "local")
    assert main(["score", str(local), "--metric", "l2", "--workers", "1", "--quiet"]) == 0
    here = [triplet.distances for triplet in iter_triplets(local, ["l2"])]
    assert [triplet.distances for triplet in iter_triplets(scored, ["l2"])] == here


def test_readers_take_a_url(remote_set, dataset):
    here, there = TripletDataset(dataset), TripletDataset(remote_set, cache_mb=1)
    assert len(there) == 70
    for row in (69, 0, 31):
        assert np.array_equal(there.row(row).p1, here.row(row).p1)
    again = pickle.loads(pickle.dumps(there))
    assert np.array_equal(again.row(5).ref, here.row(5).ref)
    ids = [triplet.id for triplet in iter_triplets(remote_set)]
    assert ids == [triplet.id for triplet in iter_triplets(str(dataset))]


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_loader_workers_read_a_url_however_they_were_started(remote_set, dataset, context):
    data = pytest.importorskip("torch.utils.data")
    there = TripletDataset(remote_set)
    there.row(0)  # a connection that forked workers must not share
    loader = data.DataLoader(there, batch_size=35, num_workers=2, multiprocessing_context=context)
    ids = [identity for batch in loader for identity in batch["id"]]
    assert ids == [triplet.id for triplet in iter_triplets(dataset)]


# Sources


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def put_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def put_parquet(path: Path, images: list[bytes | None]) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = pa.array([{"bytes": data, "path": None} for data in images], kind)
    pq.write_table(pa.table({"image": rows}), path, row_group_size=2)


@pytest.fixture(scope="module")
def kinds(
    photos: Path, bucket: s3_server.Bucket, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A folder with every kind of source, and its copy at a URL."""
    folder = tmp_path_factory.mktemp("sources") / "kinds"
    data = [path.read_bytes() for path in sorted(photos.iterdir())]
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a b?c#d%20é.png").write_bytes(data[0])
    (folder / "deep" / "er" / "one.png").write_bytes(data[1])
    (folder / ".hidden.png").write_bytes(data[2])
    (folder / "notes.txt").write_text("no photo")
    (folder / "empty.png").write_bytes(b"")
    put_tar(folder / "two.tar", {"y.png": data[2], "x/z.png": data[3], "t.txt": b"no"})
    put_parquet(folder / "three.parquet", [data[4], None, data[5]])
    return folder, bucket.copy_in(folder, "kinds")


def test_a_source_at_a_url_has_the_names_and_digest_of_the_local_one(kinds):
    folder, url = kinds
    here, there = open_source([folder]), open_source([url])
    assert list(there.entries) == list(here.entries)
    assert there.digest == here.digest
    assert there.roots == (url,)
    travelled = pickle.loads(pickle.dumps(there))
    for index, entry in enumerate(here.entries):
        if entry.name != "three.parquet#1":  # a row without bytes
            assert travelled.read(index) == here.read(index)


def test_roots_at_urls_have_distinct_names_like_local_ones(kinds, remote_photos, photos, tmp_path):
    folder, url = kinds
    (tmp_path / "photos").symlink_to(photos)
    for there, here in (
        ([url, remote_photos], [folder, tmp_path / "photos"]),
        ([f"{url}/two.tar"], [folder / "two.tar"]),
        ([f"{url}/three.parquet", remote_photos], [folder / "three.parquet", tmp_path / "photos"]),
        ([f"{url}/deep/er/one.png"], [folder / "deep/er/one.png"]),
    ):
        assert list(open_source(there).entries) == list(open_source(here).entries)
    with pytest.raises(SourceError, match="given twice"):
        open_source([url, f"{url}/"])


def test_an_image_takes_one_request_and_expected_ones_come_ahead(server, remote_photos):
    before = len(server.requests)
    source = open_source([remote_photos])
    assert len(server.requests) - before <= len(source) + 2
    before = len(server.requests)
    cache = ImageCache(source)
    cache.expect([3, 1, 5, 1])
    wanted = [cache.get(index) for index in (3, 1, 5, 1, 0)]
    assert len(server.requests) - before == 4
    for index, image in zip((3, 1, 5, 1, 0), wanted, strict=True):
        assert np.array_equal(image.pixels, source.load(index))


def test_photos_come_from_a_web_server_too(photos):
    handler = functools.partial(_QuietHandler, directory=str(photos))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}"
        assert list(open_source([url]).entries) == list(open_source([photos]).entries)
        single = open_source([f"{url}/photo1.png"])
        assert single.digest == open_source([photos / "photo1.png"]).digest
        web.shutdown()


def test_images_that_change_or_go_while_in_use_are_reported(bucket, photos):
    url = bucket.copy_in(photos, "changing")
    source = open_source([url])
    bucket.write("changing/photo0.png", bucket.read("changing/photo1.png"))
    bucket.write("changing/photo2.png", bucket.read("changing/photo2.png")[:100])
    bucket.remove("changing/photo3.png")
    with pytest.raises(WorkError, match=r"photo0\.png (has changed|can no longer be read)"):
        source.read(0)
    with pytest.raises(WorkError, match=r"photo2\.png can no longer be read \(cut short"):
        source.read(2)
    with pytest.raises(WorkError, match=r"photo3\.png can no longer be read \(it does not exist"):
        source.read(3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("two.tar", "damaged, cut short or not a plain tar"), ("three.parquet", "damaged or not a")],
)
def test_truncated_objects_are_named(kinds, bucket, name, words):
    data = bucket.read(f"kinds/{name}")
    bucket.write(f"cut/{name}", data[: len(data) // 2])
    with pytest.raises(SourceError, match=words) as caught:
        open_source([f"{ROOT}/cut/{name}"])
    assert f"{ROOT}/cut/{name}" in str(caught.value)


# Bad input


def test_a_wrong_place_is_one_line(server, bucket, photos, tmp_path, capsys):
    out = str(tmp_path / "out")
    for source, words in {
        "s3://no-such-bucket/photos": "no bucket s3://no-such-bucket",
        f"{ROOT}/nothing": "does not exist or is empty",
        "s3://Not_A_Bucket!/x": "not a valid URL",
    }.items():
        assert make(source, out, 3) == 2
        assert words in said(capsys)
    for place, words in {
        "s3://no-such-bucket/set": "no bucket s3://no-such-bucket",
        "ftp://nowhere/set": "cannot be written to",
        "qq://x/set": "unknown protocol",
    }.items():
        assert make(photos, place, 3) == 2
        assert words in said(capsys)
    assert main(["info", f"{ROOT}/nothing"]) == 2
    assert "is not a dataset" in said(capsys)
    assert main(["info", "s3://no-such-bucket/set"]) == 2
    assert "no bucket" in said(capsys)
    assert main(["evaluate", f"{ROOT}/photos", "--metric", "l2"]) == 2
    assert "holds no dataset" in said(capsys)
    assert not os.path.exists(out)


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 2, "set AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "no-such"}, 2, "AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 1, "cannot be reached"),
    ],
)
def test_no_credentials_and_no_server_are_one_line(
    server, photos, monkeypatch, capsys, variables, code, words
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # The filesystem of another bucket has not been made yet, so it reads the environment anew.
    place = f"s3://unseen-{len(words)}-{code}/set"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        assert make(photos, place, 3) == code
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    text = said(capsys)
    assert words in text
    assert place in text


def test_a_store_that_refuses_is_one_line(server, bucket, remote_set, photos, capsys):
    server.require_rights(True)
    try:
        assert main(["info", remote_set]) == 2
        text = said(capsys)
        assert "access denied" in text
        assert "right to read" in text
        assert make(photos, f"{ROOT}/refused", 3) == 2
        assert "access denied" in said(capsys)
    finally:
        server.require_rights(False)


# Interruptions


@pytest.mark.parametrize(
    ("number", "workers", "code"),
    [
        pytest.param(signal.SIGKILL, 2, -signal.SIGKILL, marks=pytest.mark.slow),
        (signal.SIGINT, 1, 130),
    ],
)
def test_an_upload_cut_off_leaves_no_shard_and_a_rerun_completes(
    server, bucket, photos, tmp_path, number, workers, code
):
    # Shards of 5 MB: more than the system takes off a client's hands while nobody reads.
    large = ("--quiet", "--n", "400", "--shard-size", "200", "--source", str(photos))
    name = f"cut-{number.name.lower()}"
    server.close_gate(passing=2 - workers)
    try:
        out = ("--out", f"{ROOT}/{name}", "--workers", str(workers))
        process = start("traditional", *large, *out)
        assert server.stopped.wait(300)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    finally:
        server.open_gate()
    assert process.returncode == code
    if number == signal.SIGINT:
        assert errors.count("\n") == 2
        assert "run the same command again" in errors
    time.sleep(0.2)  # for the server to see that nobody sends the rest
    assert len(bucket.names(f"{name}/data")) == 2 - workers
    assert main(["traditional", *large, "--out", f"{ROOT}/{name}", "--workers", "1"]) == 0
    assert main(["traditional", *large, "--out", str(tmp_path / "x"), "--workers", "1"]) == 0
    assert_same_shards(bucket, name, tmp_path / "x")


def test_a_server_that_goes_away_is_reported_and_a_rerun_completes(server, bucket, photos, dataset):
    server.close_gate(passing=1)
    try:
        process = start(*making(photos, f"{ROOT}/gone"))
        assert server.stopped.wait(300)
        server.stop()
        server.open_gate()
        _, errors = process.communicate(timeout=300)
    finally:
        server.open_gate()
        server.start()
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "cannot be reached" in errors
    assert "run the same command again" in errors
    assert len(bucket.names("gone/data")) == 2  # the third found nobody there
    assert make(photos, f"{ROOT}/gone", 70) == 0
    assert_same_shards(bucket, "gone", dataset)


def test_patches_of_another_size_are_written_to_a_url_and_read_there(photos, bucket, tmp_path):
    for out in (f"{ROOT}/large", tmp_path / "large"):
        assert make(photos, out, 40, "--patch-size", "128") == 0  # 25 rows in a row group
    there, here = TripletDataset(f"{ROOT}/large"), TripletDataset(tmp_path / "large")
    assert there.dataset.info.patch_size == 128
    for index in (39, 0, 29, 30):
        assert np.array_equal(there.row(index).p1, here.row(index).p1)
    assert [row.id for row in iter_triplets(f"{ROOT}/large")] == [
        here.row(index).id for index in range(40)
    ]
