"""Locations: local paths and URLs, what is redacted in them, and what cannot be used."""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bapps_gen.errors import UserError, WorkError
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import local_path, location_of, map_remote
from bapps_gen.storage.remote_errors import missing_package, remote_error, scrubbed
from bapps_gen.storage.url import Url, redacted
from bapps_gen.storage.workspace import folder_lock, make_folder, remove_leftovers


@pytest.mark.parametrize("text", ["photos", "/a/b", "a::b", "./x.tar", "C:/photos", "a:b"])
def test_a_path_stays_a_path(text):
    assert location_of(text) == Path(text)
    assert location_of(Path(text)) == Path(text)


def test_a_file_url_is_a_local_path():
    assert location_of("file:///a/two%20words") == Path("/a/two words")
    assert location_of("file://localhost/a") == Path("/a")


def test_a_url_has_the_parts_of_a_path():
    url = location_of("s3://bucket/sets/one/")
    assert isinstance(url, Url)
    assert str(url) == "s3://bucket/sets/one"
    assert str(url / "data" / "part.parquet") == "s3://bucket/sets/one/data/part.parquet"
    assert str(url / ".") == str(url)
    assert (url.name, str(url.parent)) == ("one", "s3://bucket/sets")
    assert location_of("s3://bucket").name == "bucket"
    assert str(location_of("s3://bucket") / "x") == "s3://bucket/x"
    assert location_of(url) is url
    assert pickle.loads(pickle.dumps(url)) == url


def test_a_users_name_and_password_are_never_shown():
    url = location_of("sftp://me:hush@host:22/photos")
    assert isinstance(url, Url)
    for text in (str(url), repr(url), f"{url / 'a'}", str(url.parent), redacted(url.full)):
        assert "hush" not in text
        assert "me" not in text
    assert url.full == "sftp://me:hush@host:22/photos"
    assert redacted("abfs://container@account/x") == "abfs://container@account/x"  # no user, a name
    assert scrubbed("at https://me:hush@h/x?sig=hush failed") == "at https://h/x failed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://key:hush@bucket/x", "environment"),
        ("https://host/x.tar?X-Amz-Signature=hush", "plain URL"),
        ("s3://bucket/x#hush", "plain URL"),
        ("simplecache::s3://bucket/x", "chained"),
        ("zip://x::s3://hush/y.zip", "chained"),
        ("file://host/x", "file:///folder"),
        ("s3://", "s3://bucket/folder"),
        ("s3:///set", "s3://bucket/folder"),
        ("gs:///set", "gs://bucket/folder"),
        ("s3:/bucket/x", "write s3://bucket/x"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_secrets(text, words):
    with pytest.raises(UserError, match=words) as caught:
        location_of(text)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_must_be_local_refuses_a_url():
    assert local_path("x.png") == Path("x.png")
    with pytest.raises(UserError, match="must be local"):
        local_path("s3://bucket/x.png")


def test_an_unknown_protocol_is_named():
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match="unknown protocol 'qq'"):
        location_of("qq://x/y").exists()
    with pytest.raises(UserError, match="unknown protocol 'qq'"):
        make_folder(location_of("qq://x/y"))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UserError, match=r"pip install 'bapps-gen\[gcs\]'"):
        location_of("gs://bucket/x").exists()
    no_fsspec = ModuleNotFoundError("No module named 'fsspec'", name="fsspec")
    assert "bapps-gen[urls]" in str(missing_package("abfs://c/x", "abfs", no_fsspec))
    assert "bapps-gen[s3]" in str(missing_package("s3://b/x", "s3", no_fsspec))


def test_only_stores_where_objects_appear_whole_are_written_to():
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match="half-written"):
        make_folder(location_of("ftp://host/set"))
    make_folder(location_of("memory://anything"))


@pytest.fixture
def memory():
    """A place in fsspec's store in this process's memory."""
    fsspec = pytest.importorskip("fsspec")
    yield location_of("memory://test/set")
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_a_file_at_a_url_has_its_name_only_when_whole(memory):
    target = memory / "a.txt"
    with whole_file(target) as path:
        path.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert target.stat().st_size == 5
    with pytest.raises(ZeroDivisionError), whole_file(target) as path:
        path.write_text(str(1 / 0))
    assert target.read_text() == "whole"
    assert not path.parent.exists()


def test_no_space_for_the_temporary_file_is_reported_with_its_folder(memory, monkeypatch):
    with pytest.raises(WorkError, match="TMPDIR"), whole_file(memory / "a") as path:
        raise OSError(28, "No space left on device", str(path))


def test_a_url_lists_what_is_there(memory):
    for name in ("a.txt", "data/1.parquet", "data/2.parquet", "data/deep/3.parquet"):
        with whole_file(memory / name) as path:
            path.write_bytes(name.encode())
    assert memory.is_dir()
    assert not memory.is_file()
    assert (memory / "a.txt").is_file()
    assert sorted(url.name for url in memory.iterdir()) == ["a.txt", "data"]
    found = {url.name: url.size for url in (memory / "data").glob("*.parquet")}
    assert found == {"1.parquet": 14, "2.parquet": 14}
    assert memory.walk() == {
        "a.txt": 5,
        "data/1.parquet": 14,
        "data/2.parquet": 14,
        "data/deep/3.parquet": 19,
    }
    assert (memory / "a.txt").walk() == {"": 5}
    assert list((memory / "nothing").iterdir()) == []
    assert not (memory / "nothing").exists()
    with pytest.raises(FileNotFoundError):
        (memory / "nothing").read_bytes()
    (memory / "a.txt").unlink()
    assert not (memory / "a.txt").exists()


def test_a_url_is_read_by_ranges(memory):
    data = bytes(range(100))
    with whole_file(memory / "a") as path:
        path.write_bytes(data)
    for buffer in (0, 16):
        with (memory / "a").open(buffer) as file:
            assert file.read(10) == data[:10]
            file.seek(-5, 2)
            assert file.read() == data[-5:]
            assert file.read() == b""
            file.seek(50)
            assert file.read(3) == data[50:53]
            assert file.tell() == 53
    with pytest.raises(OSError, match="cut short"):
        (memory / "a").read_range(90, 20)


def test_nothing_is_locked_at_a_url(memory):
    with folder_lock(memory), folder_lock(memory):
        pass
    assert list(memory.iterdir()) == []


def test_temporary_files_of_killed_uploads_are_removed_and_those_of_others_kept(
    memory, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"bapps-gen-{ended.pid}-abc").mkdir()
    (tmp_path / f"bapps-gen-{ended.pid}-abc" / "part-00000.parquet").write_text("half")
    (tmp_path / "bapps-gen-notes-x").mkdir()
    with whole_file(memory / "a") as path:
        path.write_text("whole")
        remove_leftovers(memory)
    assert (memory / "a").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["bapps-gen-notes-x"]


@pytest.mark.parametrize("remote", [False, True])
def test_side_by_side_keeps_the_order_and_passes_errors_on(remote):
    assert list(map_remote(lambda item: item * 2, range(200), remote)) == [*range(0, 400, 2)]
    with pytest.raises(ZeroDivisionError):
        list(map_remote(lambda item: 1 // item, [1, 2, 0, 3], remote))


def error_named(name: str, base: type[Exception] = Exception, text: str = "hm") -> Exception:
    return type(name, (base,), {})(text)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (error_named("NoCredentialsError"), UserError, "AWS_ACCESS_KEY_ID"),
        (PermissionError("Forbidden"), UserError, "access denied .*right to read"),
        (FileNotFoundError("The specified bucket does not exist"), UserError, "no bucket s3://b"),
        (FileNotFoundError("b/x"), FileNotFoundError, "does not exist"),
        (error_named("EndpointConnectionError", ConnectionError), WorkError, "cannot be reached"),
        (TimeoutError(), WorkError, "cannot be reached"),
        (error_named("ParamValidationError"), UserError, "not a valid URL"),
        (NotImplementedError(), UserError, "cannot read this way"),
        (OSError(5, "Internal Error"), WorkError, "Internal Error"),
        (RuntimeError("two\nlines https://a:hush@h/?hush"), WorkError, "two lines"),
    ],
)
def test_what_backends_raise_becomes_one_line(error, kind, words):
    found = remote_error("s3://b/x", "s3://b", error, "read")
    assert isinstance(found, kind)
    assert "\n" not in str(found)
    assert "hush" not in str(found)
    with pytest.raises(kind, match=words):
        raise found
