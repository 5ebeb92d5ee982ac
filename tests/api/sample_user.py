"""A user's program: mypy checks it with --strict against the installed package, and it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bapps_gen
from bapps_gen import Dataset, Pair, Triplet, UserError


def contrast(triplet: Triplet) -> float:
    """Standard deviation of a reference, of full scale."""
    return float(triplet.ref.std()) / 255


def distorted() -> NDArray[np.uint8]:
    """One image through distortions by name, and through a CNN distorter."""
    ramp = np.arange(96, dtype=np.uint8)
    image = np.stack([np.tile(ramp, (80, 1))] * 3, axis=2)
    blurred = bapps_gen.distort(image, "gaussian_blur:sigma=2", "jpeg:quality=20", seed=1)
    units = {record.name: [p.unit for p in record.parameters] for record in listed()}
    assert units["gaussian_blur"] == ["px"]
    return bapps_gen.open_zoo()["017"](blurred, strength=0.5, seed=3)


def listed() -> tuple[bapps_gen.Distortion, ...]:
    """The traditional distortions."""
    return bapps_gen.list_distortions()


def datasets(folder: Path) -> Dataset:
    """A set of triplets and one of pairs, made, read, scored, verified and exported."""
    seen: list[int] = []
    train = bapps_gen.make_dataset(
        "traditional",
        rows=6,
        out=folder / "train",
        seed=7,
        families=["blur", "noise"],
        severity=(0.3, 0.9),
        workers=1,
        progress=lambda done, total: seen.append(done),
    )
    assert seen[-1] == len(train) == 6
    contrasts = [contrast(triplet) for triplet in train.triplets()]
    judged: list[float | None] = [triplet.judge for triplet in bapps_gen.iter_triplets(train)]
    assert len(contrasts) == len(judged) == 6
    first = train[0]
    assert first.id == bapps_gen.TripletDataset(train).row(0).id

    pairs = bapps_gen.make_dataset("jnd-traditional", rows=4, out=folder / "jnd", workers=1)
    pair: Pair = next(pairs.pairs())
    same: float | None = pair.same
    assert same is None

    scores = bapps_gen.score(train, ["l2"], workers=1)
    distances: NDArray[np.float64] = scores["l2"].d0
    assert distances.shape == (6,)
    assert bapps_gen.verify(train, workers=1).count == 0
    recipe: Path = bapps_gen.export(train, folder / "recipe", format="recipe")
    return bapps_gen.replay(recipe, folder / "again", workers=1)


def mistaken() -> str:
    """What a mistake says."""
    try:
        bapps_gen.load_metric("lpisp-alex")
    except UserError as error:
        return str(error)
    raise AssertionError


def main(folder: Path) -> None:
    """Everything above, in a folder."""
    assert distorted().shape == (80, 96, 3)
    again = datasets(folder)
    sheet = bapps_gen.contact_sheet(again, count=3)
    bapps_gen.write_image(folder / "sheet.png", sheet)
    assert bapps_gen.read_image(folder / "sheet.png").shape == sheet.shape
    assert "did you mean 'lpips-alex'?" in mistaken()
