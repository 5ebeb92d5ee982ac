"""Files appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from bapps_gen.errors import UserError, WorkError
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.space import free_bytes, size_text
from bapps_gen.storage.workspace import folder_lock, make_folder, remove_leftovers


def test_a_file_has_its_name_only_when_whole(tmp_path):
    target = tmp_path / "a.txt"
    with whole_file(target) as path:
        path.write_text("half")
        assert not target.exists()
        assert path.name.startswith(".")
    assert target.read_text() == "half"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as path:
        path.write_text(str(1 / 0))
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line_with_a_remedy(tmp_path):
    # The kernel's own limit on a file's size stands in for a disk that fills up.
    program = f"""
import resource
from pathlib import Path
from bapps_gen.errors import WorkError
from bapps_gen.storage.atomic import whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with whole_file(Path({str(tmp_path / "big")!r})) as path:
        path.write_bytes(bytes(5000))
except WorkError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/")
    assert "free some space" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_leftovers_of_killed_runs_are_removed(tmp_path):
    (tmp_path / ".part-00000.parquet.123.tmp").write_text("half")
    (tmp_path / "part-00001.parquet").write_text("whole")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["part-00001.parquet"]


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    with folder_lock(tmp_path):
        second = folder_lock(tmp_path)
        with pytest.raises(UserError, match="another run"):
            second.__enter__()
    with folder_lock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_file_in_the_folders_place_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        make_folder(tmp_path / "file")
    with pytest.raises(UserError, match=r"cannot create|is a file"):
        make_folder(tmp_path / "file" / "below")


def test_a_write_error_names_the_file(tmp_path):
    target = tmp_path / "no-such-folder" / "a"
    with pytest.raises(WorkError, match="no-such-folder"), whole_file(target) as path:
        path.write_text("x")


def test_json_comes_back_as_it_was_written_and_damage_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError):
        read_json(path)
    write_json(path, {"größe": [1, 0.5, None]})
    assert read_json(path) == {"größe": [1, 0.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert os.listdir(tmp_path) == ["a.json"]
    path.write_text(path.read_text()[:9])
    with pytest.raises(WorkError, match=r"a\.json is damaged"):
        read_json(path)


def test_free_space_is_known_of_folders_that_are_yet_to_be_made(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") == pytest.approx(free_bytes(tmp_path), rel=0.1)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1234, "1 kB"), (4.14e9, "4.1 GB"), (2e13, "20.0 TB")]
)
def test_bytes_for_people(count, text):
    assert size_text(count) == text
