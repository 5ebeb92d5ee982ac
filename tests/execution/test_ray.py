"""The Ray engine: the same rows on a cluster of two nodes, whatever dies, and clear errors."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import call, itemgetter
from pathlib import Path

import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import ImageError, SourceError, UserError, WorkError
from bapps_gen.execution import ray as ray_jobs
from bapps_gen.execution import ray_cluster
from bapps_gen.execution.jobs import RayCluster, disconnect, run_jobs
from bapps_gen.imaging.decode import decode_image
from bapps_gen.manifests.dataset import read_info
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.pipelines.training.devices import resolve_workers
from bapps_gen.pipelines.training.options import GPU_SHARE, TrainingOptions
from support.datasets import make, photo, save_photo
from support.plugins import write_metrics
from support.ray_nodes import ENVIRONMENT, Cluster, two_nodes

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; pip install ray"
)


ROWS = 1200
"""About a second of work for two workers, so that one is stopped in the middle of it."""

WAITING = """
import time
from pathlib import Path

from bapps_gen.distortions import Distortion


def wait(patch, params, rng):
    while len(patch) == 96 and not Path({go!r}).exists():  # smaller ones are tried as it loads
        time.sleep(0.01)
    return 255 - patch


DISTORTIONS = [
    Distortion(
        name="wait",
        version=1,
        family="own",
        summary="invert later",
        parameters=(),
        function=wait,
        has_identity=False,
    )
]
"""
"""A plugin whose rows are not made until a file exists, so that workers die in the middle of it."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A developer's own cluster is no part of the tests, and no connection outlives a test."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield
    disconnect()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROWS triplets in shards of 20, made by one process; do not change it."""
    out = tmp_path_factory.mktemp("expected") / "set"
    assert make(photos, out, ROWS, "--shard-size", "20") == 0
    return out


def start(cluster: Cluster, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bapps_gen", *map(str, arguments)]
    return subprocess.Popen(
        [*command, "--engine", "ray", "--address", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    )


def traditional(
    cluster: Cluster, photos: Path, out: Path, rows: int, *options: object
) -> subprocess.Popen[str]:
    size = ("--shard-size", 20)
    words = ("traditional", "--n", rows, "--source", photos, "--out", out, *size, *options)
    return start(cluster, *words)


def files(folder: Path, pattern: str = "data/*.parquet") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def wait_until(happens: Callable[[], object], running: subprocess.Popen[str]) -> None:
    while not happens():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)


def calls(cluster: RayCluster, functions: Sequence[Callable[[], object]]) -> Iterator[object]:
    """What functions that a worker can import return, in the order of completion."""
    return run_jobs(itemgetter(0), (call,), functions, cluster)


def workers(cluster: Cluster) -> list[int]:
    return [pid for node in cluster.nodes for pid in node.processes("ray::BappsGenWorker")]


def no_worker_is_left(cluster: Cluster) -> bool:
    """Whether all are gone; Ray reports a worker dead a moment before its process is gone."""
    deadline = time.monotonic() + 60
    while left := workers(cluster):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return not left


def write_waiting(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Write WAITING; gives the file that it waits for, and the options that use it."""
    plugin, go = folder / "waiting.py", folder / "go"
    plugin.write_text(WAITING.format(go=str(go)))
    return go, ("--plugin", str(plugin), "--atoms", "wait,jpeg", "--patch-size", "96")


@needs_ray
def test_two_nodes_make_the_same_files_though_a_worker_is_killed(
    cluster: Cluster, photos: Path, tmp_path: Path
) -> None:
    out, here = tmp_path / "ray", tmp_path / "here"
    go, options = write_waiting(tmp_path)
    running = traditional(cluster, photos, out, 80, *options)
    for node in cluster.nodes:
        wait_until(partial(node.processes, "ray::BappsGenWorker.work"), running)
        (pid,) = node.processes("ray::BappsGenWorker.work")
    os.kill(pid, signal.SIGKILL)
    go.touch()
    said, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert err == (
        "bapps-gen: warning: a worker on the Ray cluster died; its job was retried on a new one\n"
    )
    assert [line.split()[0] for line in said.splitlines()] == ["80", "made", "look"]
    assert make(photos, here, 80, "--shard-size", "20", *options) == 0
    assert files(out) == files(here)
    assert (out / "dataset.json").read_bytes() == (here / "dataset.json").read_bytes()
    assert no_worker_is_left(cluster)


@needs_ray
@pytest.mark.slow
def test_ctrl_c_stops_the_workers_and_keeps_whole_shards(
    cluster: Cluster, photos: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    running = traditional(cluster, photos, out, 20_000)
    wait_until(lambda: len(list(out.glob("data/*.parquet"))) > 3, running)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 130
    assert err.splitlines() == [
        f"bapps-gen: whole shards are kept in {out}; run the same command again to resume",
        "bapps-gen: stopped",
    ]
    made = files(out)
    assert made == {name: files(expected)[name] for name in made}
    assert not list(out.rglob("*.tmp"))
    time.sleep(0.5)
    assert files(out) == made
    assert no_worker_is_left(cluster)


@needs_ray
def test_errors_come_out_as_they_are_raised_here(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    mistakes: dict[type[Exception], tuple[Callable[..., object], object]] = {
        UserError: (read_info, tmp_path / "nothing"),
        WorkError: (read_info, tmp_path),
        SourceError: (open_source, ["/no/such/folder"]),
        ImageError: (decode_image, b"not an image"),
    }
    for kind, (function, argument) in mistakes.items():
        with pytest.raises(kind) as here:
            function(argument)
        with pytest.raises(kind) as there:
            list(calls(RayCluster(cluster.address), [partial(function, argument)]))
        assert str(there.value) == str(here.value)
        assert type(there.value) is type(here.value)


@needs_ray
@pytest.mark.slow
def test_closing_stops_what_has_begun_and_cancels_what_has_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    one = RayCluster(cluster.address, workers=1)
    powers = [partial(pow, 2, power) for power in range(4)]
    assert list(calls(one, powers)) == [1, 2, 4, 8]
    with pytest.raises(ZeroDivisionError):
        list(calls(one, [partial(divmod, 1, 0)]))

    files = [tmp_path / str(number) for number in range(4)]
    results = calls(one, [partial(call, Path.touch, file) for file in files for _ in range(200)])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert no_worker_is_left(cluster)
    touched = [file for file in files if file.exists()]
    assert 1 <= len(touched) < len(files)
    time.sleep(0.5)
    assert [file for file in files if file.exists()] == touched


@needs_ray
@pytest.mark.slow
def test_a_job_that_kills_every_worker_is_given_up(cluster: Cluster) -> None:
    with pytest.raises(WorkError, match="was given up: 4 workers ended before it was done"):
        list(calls(RayCluster(cluster.address), [partial(os._exit, 1)]))
    assert ray_jobs.MAX_RETRIES == 3
    assert no_worker_is_left(cluster)


@needs_ray
def test_a_node_of_another_version_is_reported_before_the_work(
    cluster: Cluster, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("bapps_gen.execution.ray_node.__version__", "99.0")
    code = make(photos, tmp_path / "set", 40, "--engine", "ray", "--address", cluster.address)
    err = capsys.readouterr().err
    assert code == 1
    assert f"node {socket.gethostname()} has bapps-gen" in err
    assert "but the run is of 99.0; install the same version on every node" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "set").exists()


@needs_ray
@pytest.mark.slow
def test_a_folder_that_a_node_does_not_see_is_named(
    cluster: Cluster, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    info = tmp_path / "set" / "dataset.json"

    def elsewhere(shared=()):  # type: ignore[no-untyped-def]
        wanted = requirements(shared)
        if shared:  # as where every machine has a folder of that name of its own
            assert wanted["shared"][str(info)][0] == "file"
            wanted["shared"][str(info)] = ("file", 1, "")
        return wanted

    requirements = ray_jobs.requirements
    monkeypatch.setattr(ray_jobs, "requirements", elsewhere)
    code = make(photos, tmp_path / "set", 40, "--engine", "ray", "--address", cluster.address)
    err = capsys.readouterr().err
    assert code == 1
    assert f"does not see {info} as it is where the run was started" in err
    assert "file system that all nodes share" in err
    assert len(err.splitlines()) == 1


@needs_ray
def test_gpus_that_no_node_has_are_reported(cluster: Cluster) -> None:
    with pytest.raises(UserError, match=r"no node .* has the 1 CPU and 0.25 GPU"):
        ray_cluster.connect(RayCluster(cluster.address, num_gpus=0.25))
    ray_cluster.connect(RayCluster(cluster.address))
    assert ray_cluster.capacity(RayCluster()) == 2
    with pytest.raises(UserError, match="has the 2 CPU that"):
        ray_cluster.capacity(RayCluster(num_cpus=2))


@pytest.mark.parametrize(
    ("gpus", "cpus", "share", "capacity"),
    [(1, 16, 0.125, 8), (4, 16, 0.3, 12), (4, 2, 0.3, 2), (4, 16, 2, 2), (0, 16, 0.1, 0)],
)
def test_jobs_with_a_share_of_a_gpu_fit_on_one(
    gpus: int, cpus: int, share: float, capacity: int
) -> None:
    resources = {"CPU": float(cpus), "GPU": float(gpus)}
    assert ray_cluster._capacity_of(resources, RayCluster(num_gpus=share)) == capacity


@needs_ray
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("somewhere", "address = somewhere is not allowed: it must be HOST:PORT"),
        ("ray://127.0.0.1:10001", "it must be HOST:PORT"),
        ("127.0.0.1:99999", "it must be HOST:PORT"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: Connection refused; start one"),
        ("no-such-host.invalid:6379", "no Ray cluster answers at no-such-host.invalid:6379"),
    ],
)
def test_an_address_without_a_cluster_is_reported(
    address: str, message: str, photos: Path, tmp_path: Path, capsys
) -> None:
    assert make(photos, tmp_path / "set", 40, "--engine", "ray", "--address", address) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_address_without_the_engine_is_refused(photos: Path, tmp_path: Path, capsys) -> None:
    assert make(photos, tmp_path / "set", 40, "--address", "auto") == 2
    assert "address = auto is for --engine ray" in capsys.readouterr().err


def test_ray_is_asked_for_where_it_is_missing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert make(photos, tmp_path / "set", 40, "--engine", "ray") == 2
    assert "pip install 'bapps-gen[ray]'" in capsys.readouterr().err


@needs_ray
@pytest.mark.slow
def test_the_jobs_of_a_lost_node_are_retried_on_the_other(photos: Path, tmp_path: Path) -> None:
    out, here = tmp_path / "ray", tmp_path / "here"
    go, options = write_waiting(tmp_path)
    with two_nodes() as two:
        running = traditional(two, photos, out, 80, *options)
        for node in two.nodes:
            wait_until(partial(node.processes, "ray::BappsGenWorker.work"), running)
        two.nodes[1].kill()
        go.touch()
        _, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert err.splitlines()
    assert all("its job was retried on a new one" in line for line in err.splitlines())
    assert make(photos, here, 80, "--shard-size", "20", *options) == 0
    assert files(out) == files(here)


@needs_ray
@pytest.mark.slow
def test_a_node_without_the_package_is_reported(photos: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "bapps_gen"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('not installed here')")
    with two_nodes() as two:
        two.nodes.pop().stop()
        two.nodes.append(two.add(PYTHONPATH=str(broken.parent)))
        two.nodes[-1].wait()
        running = traditional(two, photos, tmp_path / "set", 40)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 1
    assert f"node {socket.gethostname()} has no bapps-gen {bapps_gen.__version__}" in err
    assert "not installed here" in err
    assert len(err.splitlines()) == 1


@needs_ray
@pytest.mark.slow
def test_distances_and_reports_are_the_same(
    cluster: Cluster, expected: Path, tmp_path: Path, capsys
) -> None:
    ray, here, mine = tmp_path / "ray", tmp_path / "here", write_metrics(tmp_path)
    on_ray = ("--quiet", "--engine", "ray", "--address", cluster.address)
    metrics = f"lpips-alex,ssim,{mine}:my_l2,{mine}:Called"
    dtype = ("--dtype", "float32")  # that of a cluster, whatever this machine has in hardware
    for out, where in ((ray, on_ray), (here, ("--quiet", "--workers", "2"))):
        shutil.copytree(expected, out)
        assert main(["score", str(out), "--metric", metrics, *where, *dtype]) == 0
        assert main(["verify", str(out), *where]) == 0
        page = ["--out", str(out / "report.html"), "--json", str(out / "report.json")]
        assert main(["validate", str(out), *page, *where, *dtype]) == 0
    assert files(ray, "scores/*/*.parquet") == files(here, "scores/*/*.parquet")
    assert len(files(ray, "scores/lpips-alex/*.parquet")) == ROWS // 20
    reports = [json.loads((out / "report.json").read_text()) for out in (ray, here)]
    assert {**reports[0], "dataset": ""} == {**reports[1], "dataset": ""}


@needs_ray
@pytest.mark.slow
def test_a_zoo_trained_on_the_cluster_is_the_same(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAPPS_GEN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-hub"))
    for seed in range(8):
        save_photo(tmp_path / "photos" / f"{seed}.png", photo(seed))
    specs = tmp_path / "specs.toml"
    specs.write_text(
        "".join(
            f'[[distorter]]\nid = "{name}"\ncorruption = "white_noise"\nstrength = 0.1\n'
            "layers = 2\nfirst_channels = 8\nmax_channels = 8\nlearning_rate = 0.002\n"
            for name in ("one", "two", "three")
        )
    )
    common = ["train-distorters", "--quiet", "--specs", str(specs), "--images", "320"]
    common += ["--source", str(tmp_path / "photos")]
    on_ray = ["--engine", "ray", "--address", cluster.address]
    assert main([*common, "--out", str(tmp_path / "here"), "--workers", "1"]) == 0
    assert main([*common, "--out", str(tmp_path / "ray"), *on_ray]) == 0
    made = files(tmp_path / "ray", "[!.]*.*")
    assert sorted(made) == ["one.safetensors", "three.safetensors", "two.safetensors", "zoo.json"]
    assert made == files(tmp_path / "here", "[!.]*.*")


@needs_ray
@pytest.mark.slow
def test_jobs_get_their_shares_of_gpus() -> None:
    with two_nodes("--num-gpus=1") as two:  # Ray counts them; nothing here computes on them
        shared = RayCluster(two.address, num_gpus=0.5, num_cpus=1)
        visible = [partial(os.getenv, "CUDA_VISIBLE_DEVICES")] * 2
        assert list(calls(shared, visible)) == ["0", "0"]
        for device, share, resolved in (("auto", GPU_SHARE, "cuda"), ("cpu", 0.0, "cpu")):
            options = TrainingOptions(device=device, precision="float32")
            workers, options = resolve_workers(RayCluster(two.address), options)
            assert isinstance(workers, RayCluster)
            assert (workers.num_gpus, options.device) == (share, resolved)
        for wrong, device in ((0.5, "cpu"), (0.0, "cuda")):
            options = TrainingOptions(device=device, gpus_per_distorter=wrong)
            with pytest.raises(UserError, match="gpus-per-distorter"):
                resolve_workers(RayCluster(two.address), options)


def test_a_share_of_more_than_a_gpu_is_refused() -> None:
    with pytest.raises(UserError, match=r"gpus-per-distorter = 1\.5"):
        TrainingOptions(gpus_per_distorter=1.5)


@needs_ray
@pytest.mark.slow
def test_a_cluster_started_here_is_ended_and_leaves_nothing_at_home(
    photos: Path, expected: Path, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="ray-") as home:
        apart = {**os.environ, "HOME": home, "RAY_TMPDIR": f"{home}/ray"}
        for name in ENVIRONMENT:
            del apart[name]
        command = [sys.executable, "-m", "bapps_gen", "traditional", "--n", str(ROWS), "--quiet"]
        command += ["--source", str(photos), "--out", str(tmp_path / "set"), "--shard-size", "20"]
        done = subprocess.run(
            [*command, "--engine", "ray", "--address", "local"],
            env=apart,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert not (Path(home) / ".ray").exists()
        listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True)
        assert home not in listed.stdout
    assert files(tmp_path / "set") == files(expected)
