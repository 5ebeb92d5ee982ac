"""Folders that runs make: whose they are, who holds them, and what they must match."""

import pytest

from bapps_gen.errors import UserError, WorkError
from bapps_gen.storage.locations import location_of
from bapps_gen.storage.workspace import Layout, check_landed, claim, folder_lock

THING = Layout("thing", "thing.json", folders=("data",), scratch=(".half",), ignored=("README",))
TRACED = Layout("thing", "thing.json", markers=("traces",))
UNNAMED = Layout("thing", None)


@pytest.mark.parametrize(
    ("layout", "files"),
    [
        (THING, []),
        (THING, [".hidden", "README.md"]),
        (THING, ["data/.part.tmp"]),
        (THING, ["thing.json", "notes.txt"]),
        (TRACED, ["traces/log", "notes.txt"]),
        (UNNAMED, ["notes.txt"]),
    ],
)
def test_a_folder_of_its_kind_can_be_claimed(layout, files, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with claim(tmp_path, layout):
        pass


@pytest.mark.parametrize("name", ["notes.txt", "data", "data/part", "other/thing.json"])
def test_a_folder_that_holds_something_else_is_refused_and_left_alone(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with (
        pytest.raises(UserError, match=r"holds files but no thing\.json, so it is not a thing"),
        claim(tmp_path, THING),
    ):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_claimed_folder_is_made_and_held(tmp_path):
    folder = tmp_path / "above" / "out"
    with claim(folder, THING):
        second = claim(folder, THING)
        with pytest.raises(UserError, match="being written by another run"), second:
            pass
    with folder_lock(folder):
        pass


def test_what_killed_runs_left_is_removed_before_and_after(tmp_path):
    left = [".a.tmp", "data/.part.1.tmp", ".half/0/a.png"]

    def leave() -> None:
        for name in left:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    leave()
    with claim(tmp_path, THING):
        assert not any((tmp_path / name).exists() for name in left)
        leave()
    assert not any((tmp_path / name).exists() for name in left)


def test_a_description_read_from_json_is_the_same_as_the_one_written(tmp_path):
    held = {"seed": 3, "crops": [[1, 2], [3, 4]]}
    THING.require_same(tmp_path, held, {"seed": 3, "crops": ((1, 2), (3, 4))})


def test_another_description_is_refused_by_what_differs(tmp_path):
    held = {"seed": 3, "same": 1, "names": ["a" * 30]}
    with pytest.raises(UserError) as caught:
        THING.require_same(tmp_path, held, {"seed": 4, "same": 1, "names": ["b" * 30]})
    assert str(caught.value) == (
        f"{tmp_path} holds a thing of another spec (it differs in names; seed = 3, not 4); "
        "choose another --out, or repeat the options it was made with"
    )


def test_files_that_vanish_from_a_url_are_reported():
    folder = location_of("memory://landed")
    for name in ("a", "b"):
        folder._call("write", lambda fs, path, name=name: fs.pipe_file(f"{path}/{name}", b"x"))
    check_landed(folder, ["a", "b"], folder)
    with pytest.raises(WorkError, match=r"1 of 3 files are not at memory://landed"):
        check_landed(folder, ["a", "b", "c"], folder)
