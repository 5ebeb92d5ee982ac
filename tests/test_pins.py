"""What datasets hold stays what it was: small sets of every kind, pinned.

    python tests/test_pins.py

makes `tests/pins` again, with the versions of constraints.txt; then say why what they hold changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import struct
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the other tests, also when run as a program

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main

FOLDER = Path(__file__).with_name("pins")

# What of a set other processors may make otherwise: nothing, what networks give, or even the photos
# that it is made from.
NOTHING, NETWORKS, INPUTS = "nothing", "networks", "inputs"
SETS = {
    "traditional": NOTHING,
    "traditional-options": NOTHING,
    "traditional-split": NOTHING,
    "traditional-files": NOTHING,
    "traditional-plugin": NOTHING,
    "cnn": NETWORKS,
    "mix": NETWORKS,
    "jnd-traditional": NOTHING,
    "jnd-cnn": NETWORKS,
    "real-superres": NOTHING,
    "real-color": NOTHING,
    "real-demo": INPUTS,
    "imported/2afc/val/judged": NOTHING,
    "imported/jnd/val/judged": NOTHING,
    "recipe": NOTHING,
    "replayed": NOTHING,
    "collection/2afc/train/noise": NOTHING,
    "collection/2afc/val/deblur": NOTHING,
    "collection/jnd/val/few": NOTHING,
}
BENCHMARKS = {"benchmark-images": NOTHING, "benchmark-patches": NETWORKS}
MADE = {**SETS, **BENCHMARKS}
DESCRIPTIONS = (
    "collection/collection.json",
    "trained/zoo.json",
    "real-demo-demo/demo.json",
)
TREES = ("traditional", "layout", "layout-judged", "layout-pairs", "tars", "tars-pairs")
LISTS = ("real-superres", "real-color", "real-demo", "collection/2afc/val/deblur")

LIBRARIES = (
    *("fpng", "numpy", "opencv-python-headless", "pillow", "pyarrow", "safetensors"),
    *("scikit-image", "scipy", "simplejpeg", "torch"),
)
PATCHES = ("ref", "p0", "p1")
LEVELS = 4
"""By how many levels of 255 pixels of networks may differ on other processors (see the README)."""

PLUGIN = """\
import numpy as np
from bapps_gen.distortions import Distortion, SeverityParameter


def fade(patch, params, rng):
    return np.round(patch * (1 - params["strength"])).astype(np.uint8)


STRENGTH = SeverityParameter("strength", "", 0.0, ((0.1, 0.8),), (0.0, 1.0), "share of black")
DISTORTIONS = [Distortion("fade", 1, "own", "fades to black", (STRENGTH,), fade)]
"""
DISTORTERS = """\
[[distorter]]
id = "tiny"
corruption = "pink_noise"
strength = 0.1
layers = 2
first_channels = 4
max_channels = 4
seed = 6

[[distorter]]
id = "other"
corruption = "null"
layers = 1
first_channels = 4
max_channels = 4
"""
COLLECTION = """\
seed = 3

[source]
train = "photos/a"
val = "photos/b"

[[set]]
path = "2afc/train/noise"
kind = "traditional"
rows = 8
families = ["noise"]

[[set]]
path = "2afc/val/deblur"
kind = "deblur"
rows = 8
reference = "task/truth"
outputs = { dark = "task/dark", inverse = "task/inverse" }

[[set]]
path = "jnd/val/few"
kind = "jnd-traditional"
rows = 8
singles = 0.5
"""


def slots() -> dict[str, int]:
    """Number of every slot by what it is for."""
    from bapps_gen import seeding

    numbers = {
        "row": seeding.SLOT_ROW,
        "order of images": seeding.SLOT_IMAGES,
        "step": seeding.SLOT_STEP,
        "crops of rows": seeding.SLOT_CROPS,
        "demo": seeding.SLOT_DEMO,
        "training: weights": seeding.SLOT_TRAINING_WEIGHTS,
        "training: order": seeding.SLOT_TRAINING_ORDER,
        "training: corruption": seeding.SLOT_TRAINING_CORRUPTION,
        "training: dropout": seeding.SLOT_TRAINING_DROPOUT,
        "training: crops": seeding.SLOT_TRAINING_CROPS,
        "training: order of crops": seeding.SLOT_TRAINING_CROP_ORDER,
        "training: held out": seeding.SLOT_HELD_OUT,
        "benchmark: variant": seeding.SLOT_VARIANT,
        "benchmark: patch": seeding.SLOT_PATCH,
        "study: order of rows": seeding.SLOT_STUDY_ROWS,
        "study: session": seeding.SLOT_STUDY_SESSION,
        "simulated observer": seeding.SLOT_OBSERVER,
        "simulated session": seeding.SLOT_OBSERVER_SESSION,
        "choice of rows": seeding.SLOT_SELECT,
        "metric training: order": seeding.SLOT_METRIC_ORDER,
        "metric training: linear weights": seeding.SLOT_METRIC_LINEAR,
        "metric training: ranking network": seeding.SLOT_METRIC_RANKING,
        "metric training: dropout": seeding.SLOT_METRIC_DROPOUT,
        "metric training: held out": seeding.SLOT_METRIC_HELD_OUT,
        "metric training: trunk": seeding.SLOT_METRIC_TRUNK,
        "net: weights": seeding.SLOT_NET_WEIGHTS,
        "net: crops": seeding.SLOT_NET_CROPS,
    }
    defined = {value for name, value in vars(seeding).items() if name.startswith("SLOT_")}
    assert defined == set(numbers.values()), "a slot is missing here"
    return numbers


def describe_seeding() -> dict[str, Any]:
    from bapps_gen.seeding import MAX_SEED, Streams, digest_of, generator, named_seed, seed_of

    words = {
        name: [number, *map(str, Streams().words(20180618, 7, number, 3))]
        for name, number in slots().items()
    }
    drawn = generator(MAX_SEED)
    return {
        "slots": dict(sorted(words.items(), key=lambda item: item[1][0])),
        "unslotted": drawn.integers(0, 2**62, 2).tolist(),
        "permutation": generator(5, 6).permutation(8).tolist(),
        "seed_of": seed_of(drawn),
        "named_seed": named_seed(3, "2afc/train/noise"),
        "digest_of": digest_of({"b": [1, 0.1, None], "a": "é"}),
    }


# Inputs, made of whole numbers and written byte by byte, so that no library's version is in them.


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """A coarse color pattern, interpolated, with grain; uint8 (height, width, 3)."""
    coarse = _bytes(f"coarse {seed}", 6 * 7 * 3).reshape(6, 7, 3)
    grain = _bytes(f"grain {seed}", height * width * 3).reshape(height, width, 3) % 48 - 24
    y, x = np.arange(height)[:, None, None] * 5, np.arange(width)[None, :, None] * 6
    row, column, down, right = y // height, x // width, y % height, x % width
    parts = (
        (height - down) * (width - right) * coarse[row[..., 0], column[..., 0]],
        (height - down) * right * coarse[row[..., 0], column[..., 0] + 1],
        down * (width - right) * coarse[row[..., 0] + 1, column[..., 0]],
        down * right * coarse[row[..., 0] + 1, column[..., 0] + 1],
    )
    return np.clip(sum(parts) // (height * width) + grain, 0, 255).astype(np.uint8)


def _bytes(name: str, count: int) -> np.ndarray:
    return np.frombuffer(hashlib.shake_128(name.encode()).digest(count), np.uint8).astype(np.int64)


def png(image: np.ndarray) -> bytes:
    """An uncompressed PNG file."""
    height, width, _ = image.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 1:] = image.reshape(height, -1)
    raw = lines.tobytes()
    blocks = [raw[start : start + 65535] for start in range(0, len(raw), 65535)]
    stored = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block
        for block in blocks
    )
    data = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(raw))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in chunks
    )


def save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make_inputs(folder: Path) -> None:
    """Photos, outputs of algorithms, sets in the original layout, and files of a user's own."""
    photos = [png(picture(seed, 200 + 24 * seed, 280)) for seed in range(4)]
    for seed, data in enumerate(photos):
        save(folder / "photos" / "ab"[seed % 2] / f"photo{seed}.png", data)
    with tarfile.open(folder / "two.tar", "w") as tar:
        for seed in range(2):
            member = tarfile.TarInfo(f"{seed}.png")
            member.size = len(photos[seed])
            tar.addfile(member, io.BytesIO(photos[seed]))
    pq.write_table(pa.table({"image": photos[2:]}), folder / "two.parquet")
    for seed in range(2):
        truth = picture(10 + seed, 150, 200 + 70 * seed)
        outputs = {"truth": truth, "inverse": 255 - truth, "dark": truth // 2, "swapped": truth}
        outputs["swapped"] = truth[..., ::-1]
        for name, image in outputs.items():
            save(folder / "task" / name / "scene" / f"{seed}.png", png(image))
    for row in range(8):
        ref = picture(20 + row, 64, 64)
        small = {"ref": ref, "p0": 255 - ref, "p1": ref // 2 + 60}
        for name, image in small.items():
            large = png(image.repeat(4, 0).repeat(4, 1))
            save(folder / "original/2afc/val/judged" / name / f"{row:06d}.png", large)
            if name != "ref":
                save(folder / "original/jnd/val/judged" / name / f"{row:06d}.png", large)
        for place in ("2afc/val/judged/judge", "jnd/val/judged/same"):
            (folder / "original" / place).mkdir(parents=True, exist_ok=True)
            np.save(folder / "original" / place / f"{row:06d}.npy", np.array([row / 8], np.float32))
    save(folder / "mine.py", PLUGIN.encode())
    save(folder / "zoo.toml", DISTORTERS.encode())
    save(folder / "collection.toml", COLLECTION.encode())


def make_all(folder: Path) -> None:
    """Every set, benchmark, export and zoo that is pinned, in `folder` and from what is there."""

    def run(command: str, *paths: str) -> None:
        words = [str(folder / word[2:]) if word.startswith("@/") else word for word in paths]
        words = [re.sub("=@/", f"={folder}/", word) for word in words]
        arguments = [*command.split(), *words, "--quiet"]
        if "export" not in command:
            arguments += ["--workers", "1"]
        assert main(arguments) == 0, arguments

    make_inputs(folder)
    photos = ("--source", "@/photos", "--shard-size", "5", "--out")
    run("traditional --n 12 --seed 7", *photos, "@/traditional")
    run(
        "traditional --n 8 --singles 0.5 --families blur,spatial --compositions jpeg+pink",
        *("--severity", "0.1", "0.5", *photos, "@/traditional-options"),
    )
    run(
        "traditional --n 8 --split val --val-fraction 0.5 --scale-range 0.5 1 --min-contrast 0.05",
        *("--rows-per-image", "2", *photos, "@/traditional-split"),
    )
    run(
        "traditional --n 8 --families noise,compression",
        *("--source", "@/two.tar", "--source", "@/two.parquet", "--out", "@/traditional-files"),
    )
    run(
        "traditional --n 8 --atoms fade,jpeg --compositions fade+jpeg --plugin",
        *("@/mine.py", *photos, "@/traditional-plugin"),
    )
    run("cnn --n 8 --distorters 000-003,017,095", *photos, "@/cnn")
    run("mix --n 12 --distorters 030,040-042", *photos, "@/mix")
    run("jnd --family traditional --n 8", *photos, "@/jnd-traditional")
    run("jnd --family cnn --n 8 --distorters 005,050", *photos, "@/jnd-cnn")
    task = ("--reference", "@/task/truth", "--outputs")
    task += tuple(f"{name}=@/task/{name}" for name in ("inverse", "dark", "swapped"))
    run("real superres --n 8", *task, "--out", "@/real-superres")
    run("real color --n 8 --seed 2 --rows-per-image 2", *task, "--out", "@/real-color")
    run("real color --demo --demo-images 2 --n 8 --source", "@/photos/a", "--out", "@/real-demo")
    run("import", "@/original", "--out", "@/imported")
    run("export --format recipe", "@/traditional", "--out", "@/recipe")
    run("replay", "@/recipe", "--source", "@/photos", "--out", "@/replayed")
    run("dataset --spec", "@/collection.toml", "--out", "@/collection")
    run("score --metric l2", "@/traditional")
    run("score --metric l2", "@/jnd-traditional")
    run("export --format bapps --name mine", "@/traditional", "--out", "@/layout")
    judged = "@/imported/2afc/val/judged"
    run("export --format bapps --split val --upscale 256", judged, "--out", "@/layout-judged")
    run("export --format bapps --split val", "@/jnd-traditional", "--out", "@/layout-pairs")
    run("export --format webdataset", "@/traditional", "--out", "@/tars")
    run("export --format webdataset", "@/imported/jnd/val/judged", "--out", "@/tars-pairs")
    run(
        "benchmark --max-side 96 --levels 2 --atoms pink,jpeg --compositions shift+jpeg",
        *("--source", "@/photos/a", "--out", "@/benchmark-images"),
    )
    run(
        "benchmark --patches 2 --severities 0.2,1 --atoms ghosting --distorters 017 --seed 4",
        *("--source", "@/photos", "--out", "@/benchmark-patches"),
    )
    run(
        "train-distorters --images 32 --device cpu --precision float32 --specs",
        *("@/zoo.toml", "--source", "@/photos", "--out", "@/trained"),
    )


# What there is in them, as plain values.


def digest(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:32]


def described(folder: Path, path: Path) -> Any:
    """A JSON file without what may change: where it lies, versions and sizes of files."""
    text = path.read_text(encoding="utf-8").replace(str(folder), "FOLDER")
    return _settled(json.loads(text))


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        changing = ("version", "bapps_gen", "torch", "bytes")
        return {
            key: "…" if key in changing and not isinstance(entry, dict) else _settled(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        if len(value) > 40:
            return f"{len(value)} entries, {digest(value)}"
        return [_settled(entry) for entry in value]
    return value


def unmeasured(value: Any) -> Any:
    """A description without digests of content and measured numbers: what any processor gives."""
    if isinstance(value, dict):
        return {key: unmeasured(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [unmeasured(entry) for entry in value]
    if isinstance(value, float):
        return "measured"
    return re.sub("[0-9a-f]{12,}", "digest", value) if isinstance(value, str) else value


def describe_schema(path: Path) -> dict[str, Any]:
    """Columns with types and metadata, and the file's own metadata."""
    schema = pq.read_schema(path)
    columns = {
        field.name: [str(field.type), field.nullable, _texts(field.metadata)] for field in schema
    }
    metadata = {name: json.loads(text) for name, text in _texts(schema.metadata).items()}
    return {"columns": columns, "metadata": metadata}


def _texts(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {name.decode(): text.decode() for name, text in (metadata or {}).items()}


def without_own(schema: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema without what is of one set, and that."""
    units = {
        name: json.loads(notes.pop("units"))
        for name, (_, _, notes) in schema["columns"].items()
        if "units" in notes
    }
    return schema, {"units": units, "digest": schema["metadata"]["bapps_gen"].pop("spec_digest")}


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image


def describe_rows(
    rows: list[dict[str, Any]], images: list[list[np.ndarray]], volatile: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows as any processor gives them, and the rest as this one does."""
    names = [name for name in rows[0] if name not in PATCHES]
    stable = [name for name in names if name not in volatile]
    everywhere = {
        "rows": [digest({name: row[name] for name in stable}) for row in rows],
        "columns": {name: digest([row[name] for row in rows]) for name in stable},
    }
    here = {
        "pixels": [
            digest(b"".join(str(image.shape).encode() + image.tobytes() for image in row))
            for row in images
        ],
        "columns": {
            name: digest([row[name] for row in rows]) for name in names if name in volatile
        },
    }
    return everywhere, here


def form_of(info: dict[str, Any]) -> str:
    """Which sets have one schema."""
    if "patches" not in info:
        return "benchmark"
    return f"{'-'.join(info['patches'])}{'' if info['pictures'] else ' without pictures'}"


def describe_set(folder: Path, name: str) -> dict[str, Any]:
    bound, place = MADE[name], folder / name
    volatile = {"ref_hash", "p0_hash", "p1_hash", "hash", "reference_hash"}
    volatile |= {"bytes", "reference_bytes"}  # of PNG files, whose writer may compress otherwise
    if bound == INPUTS:
        volatile |= {"id", "spec_digest", "source_sha256"}
    if name in BENCHMARKS:
        shards, description = [place / "manifest.parquet"], "benchmark.json"
    else:
        shards, description = sorted((place / "data").iterdir()), "dataset.json"
    rows = [row for path in shards for row in pq.ParquetFile(path).read().to_pylist()]
    images, names = [], []
    for row in rows:
        if name in BENCHMARKS:
            pictures = [place / row[part] for part in ("reference", "path")]
            images.append([decoded(path.read_bytes()) for path in pictures])
        else:
            parts = [row[part] for part in PATCHES if part in row]
            images.append([decoded(part["bytes"]) for part in parts])
            names += [part["path"] for part in parts]
    everywhere, here = describe_rows(rows, images, volatile)
    facts = {"info": described(folder, place / description)}
    schema, own = without_own(describe_schema(shards[0]))
    written = json.loads((place / description).read_text(encoding="utf-8"))
    assert own["digest"] == written["digest"]
    assert all(units == written["units"] for units in own["units"].values())
    if bound == INPUTS:
        here |= facts
        facts = unmeasured(facts)
    everywhere |= {**facts, "shards": [path.name for path in shards], "pictures": digest(names)}
    samples = [] if bound == NOTHING else [[image[3::8, 3::8] for image in row] for row in images]
    return {
        "everywhere": everywhere,
        "here": here,
        "schema": (form_of(written), schema),
        "samples": np.array(samples, np.uint8),
    }


def describe_tree(folder: Path, name: str) -> dict[str, str]:
    """Digest of every file but descriptions and data cards, which name folders and versions."""
    files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
    cards = (".json", ".md")
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes())
        for path in files
        if path.suffix not in cards and not path.name.startswith(".") and "scores" not in path.parts
    }


def describe_list(folder: Path, name: str) -> dict[str, Any]:
    """The outputs that a set from real algorithms was made from."""
    path = folder / name / "outputs.parquet"
    return {"schema": describe_schema(path), "rows": pq.read_table(path).to_pylist()}


def describe_scores(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name / "scores" / "l2" / "part-00000.parquet"
    table = pq.read_table(path, partitioning=None).to_pydict()
    return {"schema": describe_schema(path), "rows": table}


def describe_csv(folder: Path, name: str) -> dict[str, Any]:
    lines = (folder / name / "manifest.csv").read_text(encoding="utf-8").splitlines()
    pairs = (folder / name / "pairs.csv").read_bytes()
    return {"header": lines[0], "lines": len(lines), "pairs": digest(pairs)}


def describe_all(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Everything that is pinned, and samples of pixels that other processors may make otherwise."""
    make_all(folder)
    sets = {name: describe_set(folder, name) for name in MADE}
    lists = [describe_list(folder, name) for name in LISTS]
    found = {
        "made_with": {"processor": processor(), "libraries": libraries()},
        "seeding": describe_seeding(),
        "schemas": {name: parts["schema"] for name, parts in sets.items()},
        "everywhere": {name: parts["everywhere"] for name, parts in sets.items()},
        "here": {name: parts["here"] for name, parts in sets.items()},
        "descriptions": {name: described(folder, folder / name) for name in DESCRIPTIONS},
        "trees": {name: describe_tree(folder, name) for name in TREES},
        "lists": dict(zip(LISTS, lists, strict=True)),
        "scores": {
            name: describe_scores(folder, name) for name in ("traditional", "jnd-traditional")
        },
        "csv": {name: describe_csv(folder, name) for name in BENCHMARKS},
    }
    samples = {name: parts["samples"] for name, parts in sets.items() if parts["samples"].size}
    return found, samples


def libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def processor() -> str:
    """Its kind: what decides which instructions libraries compute with."""
    import torch

    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    parts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    kind = [parts.get(name, "").strip() for name in ("vendor_id", "cpu family", "model")]
    return " ".join([platform.machine(), *kind, torch.backends.cpu.get_cpu_capability()])


# The tests.


@pytest.fixture(scope="module")
def pins() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "pins.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return describe_all(tmp_path_factory.mktemp("pins").resolve())


@pytest.fixture(scope="module")
def found(made: tuple[dict[str, Any], dict[str, np.ndarray]]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(made[0])))


@pytest.fixture(scope="module")
def samples(made: tuple[dict[str, Any], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return made[1]


@pytest.fixture(scope="module")
def alike(pins: dict[str, Any]) -> bool:
    """Whether the pins were made on this kind of processor and with these libraries."""
    return bool(pins["made_with"] == {"processor": processor(), "libraries": libraries()})


@pytest.fixture
def _same_libraries(pins: dict[str, Any]) -> None:
    here, there = libraries(), pins["made_with"]["libraries"]
    other = [name for name in LIBRARIES if here[name] != there[name]]
    if other:
        pytest.skip(f"of other versions than the pins were made with: {', '.join(other)}")


def test_slots_are_numbered_and_their_streams_begin_as_ever(pins: dict[str, Any]) -> None:
    assert json.loads(json.dumps(describe_seeding())) == pins["seeding"]


def test_no_two_slots_share_a_number() -> None:
    assert len(set(slots().values())) == len(slots())


def test_every_kind_is_pinned(pins: dict[str, Any]) -> None:
    assert set(pins["everywhere"]) == set(pins["here"]) == set(MADE)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("part", ["info", "columns", "rows", "shards", "pictures"])
def test_a_set_is_described_as_it_was(
    part: str, name: str, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    assert found["everywhere"][name][part] == pins["everywhere"][name][part]


@pytest.mark.parametrize("name", MADE)
def test_columns_are_what_they_were(name: str, pins: dict[str, Any], found: dict[str, Any]) -> None:
    form, schema = found["schemas"][name]
    assert list(schema["columns"]) == list(pins["schemas"][form]["columns"])
    assert schema == pins["schemas"][form]


@pytest.mark.usefixtures("_same_libraries")
@pytest.mark.parametrize("name", [name for name, bound in MADE.items() if bound == NOTHING])
def test_pixels_are_what_they_were(
    name: str, alike: bool, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    there, here = pins["here"][name], found["here"][name]
    if alike:
        assert here == there
    # On other processors OpenCV rounds a few distortions otherwise.
    same = [one == other for one, other in zip(here["pixels"], there["pixels"], strict=True)]
    assert sum(same) >= len(same) / 2


@pytest.mark.parametrize("name", [name for name, bound in MADE.items() if bound != NOTHING])
def test_pixels_are_what_they_were_but_for_rounding_on_other_processors(
    name: str,
    alike: bool,
    pins: dict[str, Any],
    found: dict[str, Any],
    samples: dict[str, np.ndarray],
) -> None:
    if alike:
        assert found["here"][name] == pins["here"][name]
    with np.load(FOLDER / "samples.npz") as stored:
        difference = np.abs(samples[name].astype(int) - stored[name])
    assert np.mean(difference > LEVELS) < 0.01


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_what_it_was(
    name: str, alike: bool, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    there, here = pins["descriptions"][name], found["descriptions"][name]
    assert unmeasured(here) == unmeasured(there)
    if alike or "zoo" not in name:
        assert here == there
    else:
        parts = [
            [(entry["spec"], entry["spec_digest"], entry["record"]["training"]) for entry in zoo]
            for zoo in (here["distorters"], there["distorters"])
        ]
        assert parts[0] == parts[1]


@pytest.mark.parametrize("name", TREES)
def test_files_have_the_names_they_had(
    name: str, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    assert list(found["trees"][name]) == list(pins["trees"][name])


@pytest.mark.usefixtures("_same_libraries")
@pytest.mark.parametrize("name", TREES)
def test_files_have_the_bytes_they_had(
    name: str, alike: bool, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    if not alike:
        pytest.skip("the pins were made on another kind of processor")
    assert found["trees"][name] == pins["trees"][name]


@pytest.mark.parametrize("name", LISTS)
def test_the_outputs_of_algorithms_are_listed_as_they_were(
    name: str, alike: bool, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    there, here = pins["lists"][name], found["lists"][name]
    assert unmeasured(here) == unmeasured(there)
    if alike or MADE[name] == NOTHING:
        assert here == there


@pytest.mark.parametrize("name", ["traditional", "jnd-traditional"])
def test_distances_are_stored_as_they_were(
    name: str, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    there, here = pins["scores"][name], found["scores"][name]
    assert here["schema"] == there["schema"]
    assert here["rows"].keys() == there["rows"].keys()
    assert here["rows"].pop("id") == there["rows"].pop("id")
    for column, values in there["rows"].items():
        assert here["rows"][column] == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_is_listed_as_it_was(
    name: str, pins: dict[str, Any], found: dict[str, Any]
) -> None:
    assert found["csv"][name] == pins["csv"][name]


def test_a_replayed_set_has_the_rows_and_pixels_of_its_original(found: dict[str, Any]) -> None:
    original, replayed = (found["everywhere"][name] for name in ("traditional", "replayed"))
    assert replayed["rows"] == original["rows"]
    assert found["here"]["replayed"] == found["here"]["traditional"]


def write() -> None:
    """Make the pins again."""
    with tempfile.TemporaryDirectory() as folder:
        found, samples = describe_all(Path(folder).resolve())
    found["schemas"] = dict(found["schemas"].values())  # that all of a form have one, a test sees
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(found, indent=0, ensure_ascii=False)
    (FOLDER / "pins.json").write_text(f"{text}\n", encoding="utf-8")
    np.savez_compressed(FOLDER / "samples.npz", **samples)


if __name__ == "__main__":
    write()
