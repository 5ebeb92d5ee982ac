"""Datasets: the same rows whatever the workers, the shards and the interruptions."""

import cv2
import numpy as np

from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import iter_triplets
from support.datasets import contents, make, photo, save_photo


def test_a_run_that_failed_at_once_leaves_the_folder_free_for_other_options(photos, tmp_path):
    out = tmp_path / "set"
    assert make(photos, out, 5, "--min-contrast", "0.5") == 2  # every crop is too flat
    assert not list(out.glob("data/*.parquet"))
    assert make(photos, out, 5) == 0
    assert len(open_dataset(out).read_rows(0)) == 5


def test_a_broken_image_is_named_and_moves_only_rows_that_needed_it(tmp_path, capsys):
    source = tmp_path / "photos"
    for seed in range(6):
        save_photo(source / f"photo{seed}.png", photo(seed))
    whole = (source / "photo3.png").read_bytes()
    (source / "photo3.png").write_bytes(whole[: len(whole) // 2])
    for workers in (1, 2):
        out = tmp_path / f"set{workers}"
        assert make(source, out, 70, "--shard-size", "20", workers=workers) == 0
        err = capsys.readouterr().err
        assert err.count("skipped photo3.png") == 1
        failures = open_dataset(out).info.source_failures
        assert list(failures) == ["photo3.png"]
    rows = contents(tmp_path / "set1")
    assert rows == contents(tmp_path / "set2")
    assert len(rows) == 70
    assert "photo3.png" not in {row["source_path"] for row in rows}


def test_small_images_are_named_and_left_out(tmp_path, capsys):
    save_photo(tmp_path / "photos" / "small.png", photo(0, 63, 300))
    save_photo(tmp_path / "photos" / "large.png", photo(1))
    assert make(tmp_path / "photos", tmp_path / "set", 20) == 0
    assert "skipped small.png: 300×63 px is smaller" in capsys.readouterr().err
    assert {row["source_path"] for row in contents(tmp_path / "set")} == {"large.png"}


def test_a_source_with_no_usable_image_is_an_error(tmp_path, capsys):
    save_photo(tmp_path / "photos" / "small.png", photo(0, 20, 20))
    (tmp_path / "photos" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    assert make(tmp_path / "photos", tmp_path / "set", 5) == 2
    assert "no usable image among 2" in capsys.readouterr().err.splitlines()[-1]


def test_flat_patches_are_refused_by_the_threshold(tmp_path, capsys):
    half = photo(0, 256, 512)
    half[:, :256] = 128
    save_photo(tmp_path / "photos" / "half.png", half)
    options = ("--min-contrast", "0.1", "--scale-range", "1", "1")
    assert make(tmp_path / "photos", tmp_path / "set", 60, *options) == 0
    for found in iter_triplets(tmp_path / "set"):
        assert cv2.cvtColor(found.ref, cv2.COLOR_RGB2GRAY).std() / 255 >= 0.1
    flat = np.full((200, 200, 3), 90, np.uint8)
    save_photo(tmp_path / "flat" / "flat.png", flat)
    assert make(tmp_path / "flat", tmp_path / "none", 5) == 2
    assert "lower --min-contrast" in capsys.readouterr().err


def test_the_sides_of_every_triplet_differ_in_pixels(dataset):
    for found in iter_triplets(dataset):
        assert not np.array_equal(found.p0, found.p1)


def test_references_are_plain_means_of_the_source(photos, dataset):
    pictures = {path.name: cv2.imread(str(path))[..., ::-1] for path in photos.iterdir()}
    for row, found in zip(contents(dataset), iter_triplets(dataset), strict=True):
        crop, whole = row["crop"], pictures[row["source_path"]]
        square = whole[crop["y"] :, crop["x"] :][: crop["side"], : crop["side"]]
        factor = crop["side"] // 64
        means = square.reshape(64, factor, 64, factor, 3).mean(axis=(1, 3))
        assert np.abs(means - found.ref).max() <= 0.5
        assert row["scale"] == 64 / crop["side"]


def test_train_and_val_share_no_photo(photos, tmp_path):
    parts = {}
    for split in ("train", "val"):
        options = ("--split", split, "--val-fraction", "0.5")
        assert make(photos, tmp_path / split, 60, *options) == 0
        parts[split] = {row["source_sha256"] for row in contents(tmp_path / split)}
    assert parts["train"].isdisjoint(parts["val"])
    assert len(parts["train"] | parts["val"]) == 6


def test_chosen_distortions_are_the_only_ones(photos, tmp_path):
    options = ("--atoms", "jpeg,gaussian_blur", "--singles", "0.3", "--severity", "0.5", "0.6")
    assert make(photos, tmp_path / "set", 40, *options) == 0
    rows = contents(tmp_path / "set")
    found = {row[side] for row in rows for side in ("distortion0", "distortion1")}
    assert found == {"jpeg", "gaussian_blur", "jpeg+gaussian_blur", "gaussian_blur+jpeg"}
    steps = [step for row in rows for side in ("steps0", "steps1") for step in row[side]]
    assert all(0.5 <= step["severity"] <= 0.6 for step in steps)


def test_sides_are_single_by_half_or_uniform_over_types_at_severities_up_to_2(photos, tmp_path):
    atoms = ("--atoms", "pink,linear_warp,gaussian_blur,jpeg", "--severity", "1", "2", "--folding")
    for name, options, low, high in (
        ("default", (), 0.4, 0.6),
        ("types", ("--singles", "types"), 0.1, 0.36),  # 4 of 4 + 12
    ):
        assert make(photos, tmp_path / name, 120, *atoms, *options) == 0
        rows = contents(tmp_path / name)
        sides = [row[side] for row in rows for side in ("steps0", "steps1")]
        assert low < sum(len(side) == 1 for side in sides) / len(sides) < high
        steps = [step for side in sides for step in side]
        assert all(1 <= step["severity"] <= 2 for step in steps)
        warps = [step["params"] for step in steps if step["distortion"] == "linear_warp"]
        assert all({"name": "folding", "value": 1.0} in params for params in warps)


def test_a_users_distortion_joins_in_and_is_named_with_its_version(photos, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import numpy as np\n"
        "from bapps_gen.distortions import Distortion, SeverityParameter\n"
        "def fade(patch, params, rng):\n"
        "    kept = 1 - params['strength']\n"
        "    return np.round(patch * kept).astype(np.uint8)\n"
        "STRENGTH = SeverityParameter('strength', '', 0.0, ((0.1, 0.8),), (0.0, 1.0), 'black')\n"
        "DISTORTIONS = [Distortion('fade', 3, 'own', 'fades to black', (STRENGTH,), fade)]\n"
    )
    options = ("--plugin", str(plugin), "--atoms", "fade", "--compositions", "fade+jpeg")
    for workers in (1, 2):
        out = tmp_path / f"set{workers}"
        assert make(photos, out, 40, *options, "--shard-size", "10", workers=workers) == 0
    rows = contents(tmp_path / "set1")
    assert rows == contents(tmp_path / "set2")
    assert {row["distortion0"] for row in rows} == {"fade", "fade+jpeg"}
    assert {row["steps0"][0]["version"] for row in rows} == {3}
    assert open_dataset(tmp_path / "set1").info.distortions == {"fade": 3, "jpeg": 1}
