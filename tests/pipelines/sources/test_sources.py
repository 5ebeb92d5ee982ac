"""Sources: what is found, in which order, under which name, and what happens when it is not."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bapps_gen.errors import ImageError, SourceError, UserError, WorkError
from bapps_gen.pipelines.sources import parquet as source_parquet
from bapps_gen.pipelines.sources import source as sources
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.source import BUILTIN_NOTE, ImageEntry, Source, open_source
from support.datasets import photo, save_photo


def picture(number: int, kind: str = "PNG") -> bytes:
    """A small encoded image, another for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_parquet(folder: Path, name: str, column: str, values: pa.Array, **options: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"label": list(range(len(values))), column: values})
    pq.write_table(table, path, **options)
    return path


def struct_column(contents: Iterable[bytes | None]) -> pa.Array:
    """Images in the way of Hugging Face datasets."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.array([{"bytes": data, "path": None} for data in contents], kind)


def put_tar(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def names(source: Source) -> list[str]:
    return [entry.name for entry in source.entries]


def contents(source: Source) -> list[bytes]:
    return [source.read(index) for index in range(len(source))]


def build_mixed(root: Path) -> None:
    """A tree with every kind of container."""
    put(root, "b/two.jpg", picture(2, "JPEG"))
    put(root, "a.PNG", picture(1))
    put(root, "b/c/three.TiFf", picture(3, "TIFF"))
    put_tar(root, "shards/0.tar", {"x/1.png": picture(4), "0.webp": picture(5, "WEBP")})
    put_parquet(root, "rows.parquet", "image", struct_column(map(picture, range(6, 18))))
    put(root, "notes.txt", b"not an image")
    put(root, ".hidden/four.png", picture(19))
    put(root, ".five.png", picture(20))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    build_mixed(root)
    return root


def test_a_tree_is_listed_by_name_with_the_content_of_every_container(mixed: Path) -> None:
    source = open_source([str(mixed)])
    assert names(source) == [
        "a.PNG",
        "b/c/three.TiFf",
        "b/two.jpg",
        *(f"rows.parquet#{row}" for row in range(12)),
        "shards/0.tar/0.webp",
        "shards/0.tar/x/1.png",
    ]
    expected = [
        picture(1),
        picture(3, "TIFF"),
        picture(2, "JPEG"),
        *map(picture, range(6, 18)),
        picture(5, "WEBP"),
        picture(4),
    ]
    assert contents(source) == expected
    assert [e.sha256 for e in source.entries] == [hashlib.sha256(d).hexdigest() for d in expected]
    assert source.load(0).shape == (8, 9, 3)


def test_the_digest_is_that_of_names_and_contents_in_order(mixed: Path) -> None:
    source = open_source([str(mixed)])
    text = "".join(f"{entry.name}\0{entry.sha256}\n" for entry in source.entries)
    assert source.digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_folder_that_moved_or_was_written_in_another_order_is_the_same_source(
    tmp_path: Path,
) -> None:
    for number in range(12):
        put(tmp_path / "first", f"{number}.png", picture(number))
        put(tmp_path / "second", f"{11 - number}.png", picture(11 - number))
    first = open_source([str(tmp_path / "first")])
    assert first.digest == open_source([str(tmp_path / "second")]).digest
    shutil.move(tmp_path / "first", tmp_path / "third")
    assert first.digest == open_source([tmp_path / "third"]).digest


def test_another_content_or_name_gives_another_digest(tmp_path: Path) -> None:
    digests = set()
    for name, number in (("a.png", 1), ("a.png", 2), ("b.png", 1)):
        put(tmp_path / f"{name}{number}", name, picture(number))
        digests.add(open_source([str(tmp_path / f"{name}{number}")]).digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a.PNG", ["a.PNG"]),
        ("shards/0.tar", ["0.tar/0.webp", "0.tar/x/1.png"]),
        ("rows.parquet", [f"rows.parquet#{row}" for row in range(12)]),
    ],
)
def test_a_single_file_is_a_source(mixed: Path, file: str, expected: list[str]) -> None:
    source = open_source([str(mixed / file)])
    assert names(source) == expected
    assert all(contents(source))


def test_images_of_several_roots_have_names_of_their_own(tmp_path: Path) -> None:
    for number, root in enumerate(("one/photos", "two/photos", "three")):
        put(tmp_path, f"{root}/a.png", picture(number))
    put_tar(tmp_path, "one/s.tar", {"a.png": picture(7)})
    put_tar(tmp_path, "two/s.tar", {"a.png": picture(8)})
    put(tmp_path, "b.png", picture(9))
    roots = ["one/photos", "two/photos", "three", "one/s.tar", "two/s.tar", "b.png"]
    source = open_source([str(tmp_path / root) for root in roots])
    assert names(source) == [
        "1/photos/a.png",
        "2/photos/a.png",
        "4/s.tar/a.png",
        "5/s.tar/a.png",
        "b.png",
        "three/a.png",
    ]
    assert contents(source) == [picture(n) for n in (0, 1, 7, 8, 9, 2)]


def test_the_order_of_roots_with_names_of_their_own_does_not_matter(tmp_path: Path) -> None:
    roots = [str(put(tmp_path, f"{n}/{n}.png", picture(n)).parent) for n in range(3)]
    assert open_source(roots).digest == open_source(roots[::-1]).digest


def test_a_root_given_twice_is_refused(mixed: Path) -> None:
    with pytest.raises(SourceError, match="given twice"):
        open_source([str(mixed), str(mixed / "b" / "..")])


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path, "photos/a.png", picture(1))
    put(tmp_path, "elsewhere/b.png", picture(2))
    (tmp_path / "photos/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/loop").symlink_to(tmp_path / "photos")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "photos")
    assert names(open_source([str(tmp_path / "photos")])) == ["a.png", "link/b.png"]


def test_a_link_to_nothing_is_reported_by_name(tmp_path: Path) -> None:
    put(tmp_path, "a.png", picture(1))
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(SourceError, match=r"cannot read .*gone\.png: .*; make it readable or"):
        open_source([str(tmp_path)])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
@pytest.mark.parametrize("name", ["a.png", "s.tar", "r.parquet", "folder"])
def test_an_unreadable_file_is_reported_by_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, "ok.png", picture(1))
    put(tmp_path, f"folder/{name}" if name == "folder" else name, picture(1)).chmod(0)
    (tmp_path / name).chmod(0)
    with pytest.raises(SourceError, match=f"cannot read .*{name}"):
        open_source([str(tmp_path)])


def test_a_missing_path_is_named_with_the_nearest(mixed: Path) -> None:
    with pytest.raises(SourceError, match=r"photoz' does not exist; did you mean '.*photos'"):
        open_source([str(mixed.parent / "photoz")])
    with pytest.raises(SourceError, match=rf"the nearest folder that does is {mixed}"):
        open_source([str(mixed / "q" / "r")])


def test_a_folder_without_images_says_what_is_accepted(tmp_path: Path) -> None:
    put(tmp_path, "a.heic", b"x")
    put(tmp_path, "b.heic", b"x")
    with pytest.raises(SourceError, match=r"has no images \(only 2 × \.heic\); put in .*Parquet"):
        open_source([str(tmp_path)])
    with pytest.raises(SourceError, match="is of no accepted kind; use image files"):
        open_source([str(tmp_path / "a.heic")])


def test_a_broken_image_is_listed_and_fails_when_it_is_loaded(tmp_path: Path) -> None:
    put(tmp_path, "a.png", picture(1)[:50])
    put(tmp_path, "b.png", b"")
    source = open_source([str(tmp_path)])
    with pytest.raises(ImageError, match="cut short"):
        source.load(0)
    with pytest.raises(ImageError, match="0 bytes"):
        source.load(1)


def change_file(root: Path) -> str:
    put(root, "a.PNG", picture(99))
    return "a.PNG"


def remove_file(root: Path) -> str:
    (root / "a.PNG").unlink()
    return "a.PNG"


def change_tar(root: Path) -> str:
    put_tar(root, "shards/0.tar", {"x/1.png": picture(99), "0.webp": picture(5, "WEBP")})
    return "shards/0.tar/x/1.png"


def cut_tar(root: Path) -> str:
    os.truncate(root / "shards/0.tar", 600)
    return "shards/0.tar/x/1.png"


def change_parquet(root: Path) -> str:
    put_parquet(root, "rows.parquet", "image", struct_column(map(picture, range(50, 62))))
    return "rows.parquet#3"


def cut_parquet(root: Path) -> str:
    os.truncate(root / "rows.parquet", 600)
    return "rows.parquet#3"


@pytest.mark.parametrize(
    "change", [change_file, remove_file, change_tar, cut_tar, change_parquet, cut_parquet]
)
def test_content_that_changes_later_is_noticed(mixed: Path, change: Callable[[Path], str]) -> None:
    source = open_source([str(mixed)])
    name = change(mixed)
    with pytest.raises(WorkError, match=f"{name} (has changed since|can no longer be read)"):
        source.read(names(source).index(name))


def test_a_source_reads_the_same_in_another_process(mixed: Path) -> None:
    source = open_source([str(mixed)])
    source.read(len(source) - 4)  # leaves a Parquet file open
    code = (
        "import pickle, sys, hashlib; s = pickle.load(sys.stdin.buffer); "
        "print(s.digest, *(hashlib.sha256(s.read(i)).hexdigest() for i in range(len(s))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(source), capture_output=True, check=True
    )
    expected = [source.digest, *(entry.sha256 for entry in source.entries)]
    assert run.stdout.decode().split() == expected


def test_progress_counts_every_image_once(mixed: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = open_source([str(mixed)], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(source), len(source))
    assert seen == sorted(set(seen))
    assert {total for _, total in seen} == {len(source)}


def test_entries_behave_as_a_sequence(mixed: Path) -> None:
    source = open_source([str(mixed)])
    assert len(source.entries) == len(source) == 17
    assert source.entries[-1] == ImageEntry("shards/0.tar/x/1.png", source.entries[16].sha256)
    assert source.entries[:2] == (source.entries[0], source.entries[1])
    with pytest.raises(IndexError):
        source.entries[17]


# Parquet


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("image", struct_column(map(picture, range(20)))),
        ("photo", struct_column(map(picture, range(20)))),
        ("jpg", pa.array(list(map(picture, range(20))), pa.binary())),
        ("jpg", pa.array(list(map(picture, range(20))), pa.large_binary())),
        ("jpg", pa.array(list(map(picture, range(20))), pa.binary_view())),
    ],
    ids=["struct", "struct-of-another-name", "binary", "large-binary", "binary-view"],
)
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_the_image_column_is_found(
    tmp_path: Path, column: str, values: pa.Array, compression: str
) -> None:
    path = put_parquet(
        tmp_path, "p.parquet", column, values, row_group_size=7, compression=compression
    )
    assert contents(open_source([str(path)])) == list(map(picture, range(20)))


def test_parquet_files_of_hugging_face_datasets_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [{"bytes": picture(number), "path": None} for number in range(3)]
    features = datasets.Features({"image": datasets.Image()})
    dataset = datasets.Dataset.from_dict({"image": images}, features=features)
    dataset.to_parquet(tmp_path / "d.parquet")
    assert contents(open_source([tmp_path / "d.parquet"])) == [picture(n) for n in range(3)]


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    values = struct_column(map(picture, range(40)))
    path = put_parquet(tmp_path, "p.parquet", "image", values, row_group_size=17)
    source = open_source([str(path)])
    for row in [*range(0, 40, 3), *range(39, -1, -2), 16, 17, 16, 33, 34, 39, 0]:
        assert source.read(row) == picture(row)


def test_ascending_reads_pass_over_each_row_group_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = struct_column(map(picture, range(40)))
    path = put_parquet(tmp_path, "p.parquet", "image", values, row_group_size=20)
    source = open_source([str(path)])
    passes: list[int] = []
    batches = source_parquet._batches

    def counted(file: object, column: str, group: int) -> object:
        passes.append(group)
        return batches(file, column, group)

    monkeypatch.setattr(source_parquet, "_batches", counted)
    assert [source.read(row) for row in range(0, 40, 3)] == [picture(r) for r in range(0, 40, 3)]
    assert passes == [0, 1]


def test_rows_without_bytes_are_broken_images(tmp_path: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    values = pa.array([{"bytes": picture(1)}, {"bytes": None, "path": "x.png"}, None], kind)
    source = open_source([str(put_parquet(tmp_path, "p.parquet", "image", values))])
    assert source.load(0).shape == (8, 9, 3)
    for row in (1, 2):
        with pytest.raises(ImageError, match="no bytes in this row"):
            source.load(row)


def test_a_column_named_image_comes_before_others(tmp_path: Path) -> None:
    columns = {"image": [picture(1)], "mask": struct_column([picture(2)])}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    assert contents(open_source([tmp_path / "p.parquet"])) == [picture(1)]


def test_a_parquet_file_without_one_sure_image_column_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", picture(1))
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"x": [1], "name": ["a"]}), path)
    with pytest.raises(SourceError, match=r"p\.parquet has no image column among x, name"):
        open_source([str(tmp_path)])
    pq.write_table(pa.table({"ref": struct_column([b"1"]), "p0": struct_column([b"2"])}), path)
    with pytest.raises(SourceError, match=r"several image columns \(ref, p0\); name the one"):
        open_source([str(path)])


def test_a_parquet_file_without_rows_has_no_images(tmp_path: Path) -> None:
    path = put_parquet(tmp_path, "p.parquet", "image", struct_column([]))
    with pytest.raises(SourceError, match="no images in"):
        open_source([str(path)])
    put(tmp_path, "a.png", picture(1))
    assert names(open_source([str(tmp_path)])) == ["a.png"]


@pytest.mark.parametrize("place", [0.0, 0.3, 0.9, 1.0])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, place: float) -> None:
    put(tmp_path, "a.png", picture(1))
    values = struct_column(map(picture, range(40)))
    path = put_parquet(tmp_path, "p.parquet", "image", values, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    if place == 0.3:  # compressed pages of the images
        data[1000:1400] = bytes(400)
    else:
        data = data[: int(place * len(data)) - (place == 1.0)]
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"p\.parquet is damaged"):
        open_source([str(tmp_path)])


# Tar


def test_webdataset_shards_are_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "000.tar")) as writer:
        for number in range(3):
            key = f"sample{number:03}"
            writer.write({"__key__": key, "png": picture(number), "json": {"n": number}})
    source = open_source([str(tmp_path)])
    assert names(source) == [f"000.tar/sample{n:03}.png" for n in range(3)]
    assert contents(source) == [picture(n) for n in range(3)]


def test_tar_members_of_other_kinds_are_left_out_and_repeated_names_are_numbered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (
            ("./d/a.png", picture(1)),
            ("d/a.png", picture(2)),
            (".x.png", picture(3)),
            ("a.json", b"{}"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("same.png")
        link.type, link.linkname = tarfile.LNKTYPE, "d/a.png"
        tar.addfile(link)
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    source = open_source([str(path)])
    assert names(source) == ["s.tar/d/a.png", "s.tar/d/a.png#2", "s.tar/same.png"]
    assert contents(source) == [picture(1), picture(2), picture(2)]


@pytest.mark.parametrize("size", [0, 300, 700, 512 * 2, 512 * 3, 512 * 4])
def test_a_tar_that_is_cut_short_is_named(tmp_path: Path, size: int) -> None:
    put(tmp_path, "a.png", picture(1))
    path = put_tar(tmp_path, "s.tar", {"1.png": picture(1), "2.png": picture(2)})
    assert len(picture(1)) < 512
    os.truncate(path, size)
    with pytest.raises(SourceError, match=r"s\.tar is damaged, cut short or not a plain tar"):
        open_source([str(tmp_path)])


def test_a_tar_with_a_damaged_header_or_compression_is_named(tmp_path: Path) -> None:
    path = put_tar(tmp_path, "s.tar", {"1.png": picture(1), "2.png": picture(2)})
    data = bytearray(path.read_bytes())
    data[1024 + 10] ^= 255
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"s\.tar is damaged"):
        open_source([str(tmp_path)])
    with tarfile.open(path, "w:gz") as tar:
        tar.add(put(tmp_path, "x/1.png", picture(1)))
    with pytest.raises(SourceError, match="unpack it if it is compressed"):
        open_source([str(path)])


# Built-in photographs


def test_no_roots_means_the_photographs_of_scikit_image() -> None:
    source = open_source([])
    assert names(source) == sorted(sources.BUILTIN_IMAGES)
    for index in range(len(source)):
        image = source.load(index)
        assert min(image.shape[:2]) >= 300
        assert (image[..., 0] != image[..., 2]).any(), "a color photograph"
    assert all(name.split(".")[0] in BUILTIN_NOTE for name in sources.BUILTIN_IMAGES)
    assert "--source" in BUILTIN_NOTE
    assert "\n" not in BUILTIN_NOTE


def test_missing_photographs_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BUILTIN_IMAGES", ("nobody.png",))
    with pytest.raises(SourceError, match="give photos of your own with --source"):
        open_source([])


# Splits


def test_a_split_parts_the_images_by_content(tmp_path: Path) -> None:
    for number in range(60):
        put(tmp_path, f"{number}.png", picture(number))
        put(tmp_path, f"copies/{number}.png", picture(number))
    whole = open_source([str(tmp_path)])
    train = open_source([str(tmp_path)], split="train", val_fraction=0.3)
    val = open_source([str(tmp_path)], split="val", val_fraction=0.3)
    assert sorted(names(train) + names(val)) == sorted(names(whole))
    assert not {e.sha256 for e in train.entries} & {e.sha256 for e in val.entries}
    assert all(int(e.sha256, 16) / 2**256 < 0.3 for e in val.entries)
    assert all(int(e.sha256, 16) / 2**256 >= 0.3 for e in train.entries)
    assert len({train.digest, val.digest, whole.digest}) == 3
    assert contents(val) == [whole.read(names(whole).index(name)) for name in names(val)]


def test_a_split_reads_rows_of_parquet_files(tmp_path: Path) -> None:
    path = put_parquet(tmp_path, "p.parquet", "image", struct_column(map(picture, range(40))))
    val = open_source([str(path)], split="val", val_fraction=0.5)
    assert 0 < len(val) < 40
    assert contents(val) == [picture(int(name.split("#")[1])) for name in names(val)]


def test_a_split_without_images_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path, "a.png", picture(1))
    share = int(open_source([str(tmp_path)]).entries[0].sha256, 16) / 2**256
    with pytest.raises(SourceError, match=r"'val' gets none of the 1 images .* raise val-fraction"):
        open_source([str(tmp_path)], split="val", val_fraction=share / 2)
    with pytest.raises(SourceError, match=r"'train' gets none .* lower val-fraction"):
        open_source([str(tmp_path)], split="train", val_fraction=(1 + share) / 2)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_val_fraction_outside_0_to_1_is_refused(mixed: Path, fraction: float) -> None:
    with pytest.raises(UserError, match="val-fraction = "):
        open_source([str(mixed)], split="val", val_fraction=fraction)


def test_an_unknown_split_is_refused_with_the_nearest(mixed: Path) -> None:
    with pytest.raises(UserError, match="unknown split 'trian'; did you mean 'train'"):
        open_source([str(mixed)], split="trian")


# Cache


@pytest.fixture
def four(tmp_path: Path) -> Source:
    for number in range(4):
        put(tmp_path, f"{number}.png", picture(number))
    return open_source([str(tmp_path)])


def test_the_cache_gives_what_the_source_gives_and_keeps_it(four: Source) -> None:
    cache = ImageCache(four)
    for index in (0, 1, 2, 3):
        np.testing.assert_array_equal(cache.get(index).pixels, four.load(index))
    assert cache.get(2) is cache.get(2)
    assert not cache.get(2).pixels.flags.writeable


def test_the_cache_lets_go_of_the_least_recently_used_within_its_budget(four: Source) -> None:
    cache = ImageCache(four, budget=8 * 9 * (3 + 3 + 4))  # one held, one decoded
    first, second = cache.get(0), cache.get(1)
    assert cache.get(0) is first
    cache.get(2)
    assert cache.get(0) is first
    assert cache.get(1) is not second
    assert (
        cache._held == sum(image.pixels.nbytes for image in cache._images.values()) <= cache.budget
    )


def test_an_image_larger_than_the_budget_is_held_alone(four: Source) -> None:
    cache = ImageCache(four, budget=1)
    image = cache.get(0)
    assert cache.get(0) is image
    cache.get(1)
    assert len(cache._images) == 1


def test_a_broken_image_is_decoded_once_and_its_reason_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.png", picture(0)[:60])
    put(tmp_path, "b.png", picture(1))
    cache = ImageCache(open_source([str(tmp_path)]))
    with pytest.raises(ImageError) as first:
        cache.get(0)
    monkeypatch.setattr("bapps_gen.pipelines.sources.cache.decode_photo", None)
    with pytest.raises(ImageError) as second:
        cache.get(0)
    assert str(first.value) == str(second.value) == cache.failures[0]
    assert list(cache.failures) == [0]


def test_a_split_of_few_images_is_warned_of_with_their_number(tmp_path, caplog):
    for number in range(12):
        save_photo(tmp_path / f"{number}.png", photo(number, 64, 64))
    val = open_source([str(tmp_path)], split="val", val_fraction=0.4)
    (record,) = caplog.records
    assert f"split 'val' has {len(val)} of the 12 images" in record.getMessage()
    assert "raise --val-fraction" in record.getMessage()
    caplog.clear()
    assert len(open_source([str(tmp_path)])) == 12  # all that there are
    assert not caplog.records
