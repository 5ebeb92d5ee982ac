"""The zoo: strict loading, and rendering that depends on the patch alone."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bapps_gen.cnn_distorters import zoo as zoo_module
from bapps_gen.cnn_distorters.checkpoint import (
    DISTORTER_KIND,
    weights_of,
    write_distorter,
)
from bapps_gen.cnn_distorters.network import build_network, initialize
from bapps_gen.cnn_distorters.rendering import render_network, rendering_network
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.table import shipped_specs
from bapps_gen.cnn_distorters.zoo import ZOO_NAME, distorter_path, open_zoo, write_index
from bapps_gen.errors import UserError, WorkError
from bapps_gen.seeding import Streams
from bapps_gen.storage.tensors import read_tensors, write_tensors

SEEDS = range(37)


def one_line(caught: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def untrained(spec: DistorterSpec) -> dict[str, torch.Tensor]:
    network = build_network(spec)
    initialize(network, torch.Generator().manual_seed(spec.seed))
    return weights_of(network)


def test_a_zoo_lists_what_was_trained(trained: Path) -> None:
    zoo = open_zoo(trained)
    assert zoo.ids == ("full", "tiny")
    assert zoo.table_version is None
    assert zoo.spec("full").upsampling == "subpixel"
    assert len(zoo.digest("full")) == len(zoo.fingerprint) == 32
    assert zoo.digest("full") != zoo.digest("tiny")
    record = zoo.record("full")
    assert record["images"] == 640
    assert record["feature_net"] == "alex"
    assert 0 < record["held_out"]["lpips"]["median"] < 2


@pytest.mark.parametrize("name", ["full", "tiny"])
def test_a_patch_is_rendered_alike_in_every_company(
    name: str, trained: Path, patches: NDArray[np.uint8]
) -> None:
    zoo = open_zoo(trained)
    together = zoo.render(name, patches, SEEDS)
    assert together.shape == patches.shape
    assert together.dtype == np.uint8
    assert not np.array_equal(together, patches)
    for index in (0, 15, 16, 36):
        alone = zoo.render(name, patches[index : index + 1], [index])
        assert np.array_equal(alone[0], together[index])
    order = np.random.default_rng(0).permutation(37)
    shuffled = zoo.render(name, patches[order], order.tolist())
    assert np.array_equal(shuffled, together[order])


@pytest.mark.parametrize("spec", shipped_specs()[::4], ids=lambda spec: spec.id)
def test_no_kind_of_network_looks_at_the_rest_of_a_batch(
    spec: DistorterSpec, patches: NDArray[np.uint8]
) -> None:
    network = rendering_network(spec, untrained(spec))

    def render(indices: list[int]) -> NDArray[np.uint8]:
        return render_network(network, spec, patches[indices], indices, Streams())

    together = render(list(range(32)))
    assert np.array_equal(render([31]), together[31:])
    assert np.array_equal(render([7, 3, 20]), together[[7, 3, 20]])


@pytest.mark.slow
@pytest.mark.parametrize("spec", shipped_specs(), ids=lambda spec: spec.id)
def test_rendering_does_not_depend_on_the_number_of_threads(
    spec: DistorterSpec, patches: NDArray[np.uint8]
) -> None:
    network = rendering_network(spec, untrained(spec))
    one = render_network(network, spec, patches, SEEDS, Streams())
    torch.set_num_threads(2)
    try:
        two = render_network(network, spec, patches, SEEDS, Streams())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert np.array_equal(one, two)


def test_rendering_leaves_its_input_alone_and_follows_the_seed(
    trained: Path, patches: NDArray[np.uint8]
) -> None:
    zoo, before = open_zoo(trained), patches.copy()
    first = zoo.render("tiny", patches, SEEDS)
    assert np.array_equal(patches, before)
    assert np.array_equal(zoo.render("tiny", patches, SEEDS), first)
    assert not np.array_equal(zoo.render("tiny", patches, range(1, 38)), first)
    assert np.array_equal(
        zoo.render("full", patches, range(1, 38)), zoo.render("full", patches, SEEDS)
    )


@pytest.mark.parametrize("size", [(8, 8), (13, 70), (200, 151)])
def test_images_of_any_size_are_rendered(size: tuple[int, int], trained: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    zoo = open_zoo(trained)
    both = zoo.render("full", image, [0, 1])
    assert both.shape == image.shape
    assert np.array_equal(zoo.render("full", image[1:], [1]), both[1:])


def test_no_patches_give_none(trained: Path) -> None:
    assert open_zoo(trained).render("tiny", np.empty((0, 64, 64, 3), np.uint8), []).shape[0] == 0


@pytest.mark.parametrize(
    ("patches", "seeds", "words"),
    [
        (np.zeros((1, 64, 64, 3), np.float32), [0], "float32"),
        (np.zeros((64, 64, 3), np.uint8), [0], "uint8 (N, H, W, 3)"),
        (np.zeros((1, 64, 7, 3), np.uint8), [0], "7×64"),
        (np.zeros((2, 64, 64, 3), np.uint8), [0], "one for each of 2"),
        (np.zeros((1, 64, 64, 3), np.uint8), [-1], "seed = -1"),
    ],
)
def test_bad_patches_are_refused(
    patches: NDArray[np.uint8], seeds: list[int], words: str, trained: Path
) -> None:
    with pytest.raises(UserError) as caught:
        open_zoo(trained).render("tiny", patches, seeds)
    assert words in one_line(caught)


def test_an_unknown_distorter_is_refused_with_the_nearest_name(trained: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        open_zoo(trained).spec("tini")


def test_a_zoo_travels_to_another_process(trained: Path, patches: NDArray[np.uint8]) -> None:
    zoo = open_zoo(trained)
    wanted = zoo.render("tiny", patches[:2], [0, 1])
    again = pickle.loads(pickle.dumps(zoo))
    assert again == zoo
    assert np.array_equal(again.render("tiny", patches[:2], [0, 1]), wanted)


def test_a_missing_zoo_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train one with") as caught:
        open_zoo(tmp_path)
    assert one_line(caught)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"kind": "a zoo"}', "kind = a zoo"),
        ('{"kind": "bapps-gen zoo", "zoo_version": 99}', "zoo_version = 99 is not 1"),
        ('{"kind": "bapps-gen zoo", "zoo_version": 1}', "is damaged"),
    ],
)
def test_a_bad_index_is_told_in_one_line(text: str, words: str, zoo_copy: Path) -> None:
    (zoo_copy / ZOO_NAME).write_text(text)
    with pytest.raises(WorkError) as caught:
        open_zoo(zoo_copy)
    assert words in one_line(caught)


def test_an_index_with_a_changed_spec_is_refused(zoo_copy: Path) -> None:
    path = zoo_copy / ZOO_NAME
    content = json.loads(path.read_text())
    content["distorters"][0]["spec"]["skips"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(WorkError, match="does not have its digest"):
        open_zoo(zoo_copy)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("missing", "is missing"),
        ("empty", "is damaged"),
        ("cut short", "is damaged"),
        ("one byte", "is not the file that"),
        ("another distorter", "is not the file that"),
        ("text", "is damaged"),
    ],
)
def test_a_damaged_distorter_is_told_in_one_line(
    damage: str, words: str, zoo_copy: Path, patches: NDArray[np.uint8]
) -> None:
    path = distorter_path(zoo_copy, "tiny")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "another distorter":
        path.write_bytes(distorter_path(zoo_copy, "full").read_bytes())
    else:
        changed = bytearray(content)
        changed[-30] ^= 1
        path.write_bytes(
            {"empty": b"", "cut short": content[:-9], "one byte": changed, "text": b"abc" * 99}[
                damage
            ]
        )
    zoo = open_zoo(zoo_copy)
    with pytest.raises(WorkError) as caught:
        zoo.render("tiny", patches, SEEDS)
    assert words in one_line(caught)
    assert str(path) in str(caught.value)
    assert zoo.render("full", patches[:1], [0]).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("change", ["lacks", "unknown", "shape", "finite"])
def test_weights_that_are_not_the_specs_are_refused(
    change: str, zoo_copy: Path, patches: NDArray[np.uint8]
) -> None:
    path = distorter_path(zoo_copy, "tiny")
    header, tensors = read_tensors(path, DISTORTER_KIND)
    name = "encoder.1.conv.weight"
    if change == "lacks":
        del tensors[name]
    elif change == "unknown":
        tensors["more"] = tensors[name].clone()
    elif change == "shape":
        tensors[name] = tensors[name][:4]
    else:
        tensors[name] = tensors[name] * float("inf")
    write_tensors(path, DISTORTER_KIND, header, tensors)
    write_index(zoo_copy, [open_zoo(zoo_copy).spec("tiny")], None)
    with pytest.raises(WorkError, match=change) as caught:
        open_zoo(zoo_copy).render("tiny", patches, SEEDS)
    assert one_line(caught)


def test_a_file_of_another_version_is_refused(
    zoo_copy: Path, patches: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = open_zoo(zoo_copy)
    monkeypatch.setattr("bapps_gen.storage.tensors.FORMAT_VERSION", 2)
    with pytest.raises(WorkError, match="format version 1, this program reads 2"):
        zoo.render("tiny", patches, SEEDS)


def test_a_pickle_is_not_opened(zoo_copy: Path, patches: NDArray[np.uint8], tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    distorter_path(zoo_copy, "tiny").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WorkError, match="is damaged"):
        open_zoo(zoo_copy).render("tiny", patches, SEEDS)
    assert not marker.exists()


def test_the_same_distorter_is_the_same_file(tmp_path: Path) -> None:
    spec = shipped_specs()[0]
    contents = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        write_distorter(path, spec, untrained(spec), {"b": 1, "a": {"d": 2, "c": 3}})
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_all_96_fit_30_megabytes(tmp_path: Path) -> None:
    size = 0
    for spec in shipped_specs():
        path = distorter_path(tmp_path, spec.id)
        write_distorter(path, spec, untrained(spec), {})
        size += path.stat().st_size
    assert size < 25e6


class TestTheShippedZoo:
    def test_has_all_96_of_the_table(self) -> None:
        zoo = open_zoo()
        assert tuple(map(zoo.spec, zoo.ids)) == shipped_specs()

    def test_has_no_identity_and_no_ruin(self) -> None:
        zoo = open_zoo()
        for name in zoo.ids:
            lpips = zoo.record(name)["held_out"]["lpips"]
            assert lpips["median"] >= 0.01, name
            assert lpips["mean"] <= 0.8, name

    def test_fits_30_megabytes(self) -> None:
        assert sum(path.stat().st_size for path in zoo_module.SHIPPED.iterdir()) <= 30e6

    @pytest.mark.slow  # eight of the 96 stand for them in tests of validation
    def test_renders_with_every_distorter(self, patches: NDArray[np.uint8]) -> None:
        zoo = open_zoo()
        outputs = [zoo.render(name, patches[:4], range(4)) for name in zoo.ids]
        assert len({output.tobytes() for output in outputs}) == 96
        for output in outputs:
            assert not np.array_equal(output, patches[:4])
            assert output.std() > 1
