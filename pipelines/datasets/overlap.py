"""What datasets have in common: references, sides, photos, and places in photos.

Found from columns alone; no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bapps_gen.manifests.dataset import Dataset
from bapps_gen.storage.locations import map_remote
from bapps_gen.storage.url import Url

_BATCH_ROWS = 10_000
_PAIRS_AT_ONCE = 1 << 20  # crops compared with each other; their comparisons stay in the cache

MEASURES = {
    "references": "identical references",
    "sides": "identical sides",
    "photos": "photos",
    "crops": "overlapping crops",
}
"""What is counted, and what it is called."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of the rows in the whole shards of a dataset, about 250 bytes a row.

    Args:
        name: its folder or URL.
        split: "train", "val" or "test"; None where the photos are not divided.
        references: pixel hash of each row's reference.
        sides: pixel hash of each side, one or two a row.
        photos: SHA-256 of each row's photo.
        crops: x, y and side in px of the photo, int32 of shape (rows, 3).
    """

    name: str
    split: str | None
    references: pa.ChunkedArray
    sides: pa.ChunkedArray
    photos: pa.ChunkedArray
    crops: NDArray[np.int32]


def read_contents(dataset: Dataset) -> Contents:
    """The contents of a dataset or recipe, complete or not.

    Raises:
        WorkError: when a shard is damaged.
    """
    info, folder = dataset.info, dataset.folder
    sides = [f"{patch}_hash" for patch in info.patches[1:]]
    columns = ["ref_hash", *sides, "source_sha256", "crop"]

    def batches_of(shard: int) -> list[pa.RecordBatch]:
        return list(dataset.shard_batches(shard, columns, _BATCH_ROWS))

    shards = map_remote(batches_of, dataset.whole_shards(), isinstance(folder, Url))
    types = [*(pa.string() for _ in columns[:-1]), info.schema().field("crop").type]
    table = pa.Table.from_batches(
        [batch.select(columns) for batches in shards for batch in batches],
        schema=pa.schema(list(zip(columns, types, strict=True))),
    )
    crop = table.column("crop").combine_chunks()
    numbers = [pc.struct_field(crop, part).to_numpy() for part in ("x", "y", "side")]
    return Contents(
        name=str(folder),
        split=info.split,
        references=table.column("ref_hash"),
        sides=pa.chunked_array(
            [chunk for side in sides for chunk in table.column(side).chunks], pa.string()
        ),
        photos=table.column("source_sha256"),
        crops=np.stack(numbers, 1).astype(np.int32),
    )


def overlap(mine: Contents, other: Contents) -> dict[str, Any]:
    """What two datasets have in common, as plain values.

    Returns:
        For each of MEASURES, `count` and `share` of what is found in the other as well, and
        `count_other` and `share_other` the other way round: references and sides with the same
        pixels, photos that rows are cut from with the same content, and crops that have a pixel in
        common with one of the other. `warnings` has a line where a split shares photos with
        another.
    """
    photos = pc.unique(mine.photos), pc.unique(other.photos)
    found = {
        "references": _common(mine.references, other.references),
        "sides": _common(mine.sides, other.sides),
        "photos": _common(*photos),
        "crops": _overlapping(mine, other),
    }
    sizes = {
        "references": (len(mine.references), len(other.references)),
        "sides": (len(mine.sides), len(other.sides)),
        "photos": (len(photos[0]), len(photos[1])),
        "crops": (len(mine.crops), len(other.crops)),
    }
    values: dict[str, Any] = {
        name: {
            "count": count,
            "share": count / max(1, sizes[name][0]),
            "count_other": count_other,
            "share_other": count_other / max(1, sizes[name][1]),
        }
        for name, (count, count_other) in found.items()
    }
    shared, _ = found["photos"]
    values["warnings"] = []
    if shared and mine.split and other.split and mine.split != other.split:
        what = "1 photo is" if shared == 1 else f"{shared:,} photos are"
        values["warnings"].append(
            f"{what} both in {mine.name} ({mine.split}) and in {other.name} ({other.split}), so "
            "that metrics would be tested on photos they were trained on; make one of other "
            "photos, or divide them with --split"
        )
    return values


def overlaps(mine: Sequence[Contents], others: Sequence[Contents]) -> Iterator[dict[str, Any]]:
    """What each of some datasets has in common with each of others; see `overlap`.

    No dataset is compared with itself, and no two are compared twice. `dataset` and `against`
    are their names.
    """
    seen: set[frozenset[str]] = set()
    for one, other in product(mine, others):
        pair = frozenset((one.name, other.name))
        if len(pair) == 2 and pair not in seen:
            seen.add(pair)
            yield {"dataset": one.name, "against": other.name, **overlap(one, other)}


def is_apart(found: Mapping[str, Any]) -> bool:
    """Whether an overlap is none."""
    return not any(found[name]["count"] for name in MEASURES)


def overlap_rows(found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Cells of a table: a dataset, another, and what of the first is found in the other.

    Two rows for each two datasets, none where they have nothing in common.
    """
    for entry in found:
        if not is_apart(entry):
            names = entry["dataset"], entry["against"]
            yield (*names, *(overlap_text(entry[name]) for name in MEASURES))
            yield (*names[::-1], *(overlap_text(entry[name], "_other") for name in MEASURES))


def overlap_text(measure: Mapping[str, Any], suffix: str = "") -> str:
    """A count with its share, such as "40 (100 %)"; of the other dataset with "_other"."""
    return f"{measure[f'count{suffix}']:,} ({100 * measure[f'share{suffix}']:.3g} %)"


def _common(mine: pa.ChunkedArray, other: pa.ChunkedArray) -> tuple[int, int]:
    """How many of the values are among the others, and how many of those are among these."""
    return _among(mine, other), _among(other, mine)


def _among(values: pa.ChunkedArray, others: pa.ChunkedArray) -> int:
    found: int | None = pc.sum(pc.is_in(values, value_set=pc.unique(others))).as_py()
    return found or 0


def _overlapping(mine: Contents, other: Contents) -> tuple[int, int]:
    """How many crops of each have a pixel in common with one of the other."""
    names = pc.unique(mine.photos)
    ours, theirs = _by_photo(mine, names), _by_photo(other, names)
    count = count_other = 0
    for photo in ours.keys() & theirs.keys():
        hit, hit_other = _hits(ours[photo], theirs[photo])
        count += int(hit.sum())
        count_other += int(hit_other.sum())
    return count, count_other


def _by_photo(contents: Contents, names: pa.Array) -> dict[int, NDArray[np.int32]]:
    """Crops by the index of their photo among some; -1 for all others."""
    photos = pc.fill_null(pc.index_in(contents.photos, value_set=names), -1).to_numpy()
    order = np.argsort(photos, kind="stable")
    found, starts = np.unique(photos[order], return_index=True)
    return dict(zip(found.tolist(), np.split(contents.crops[order], starts)[1:], strict=True))


def _hits(
    mine: NDArray[np.int32], other: NDArray[np.int32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which squares of one photo overlap with one of the others, of both."""
    hit, hit_other = np.zeros(len(mine), bool), np.zeros(len(other), bool)
    step = max(1, _PAIRS_AT_ONCE // len(other))
    left, top, end, bottom = _edges(other)
    for first in range(0, len(mine), step):
        part = slice(first, first + step)
        x, y, right, below = (edge[:, None] for edge in _edges(mine[part]))
        touching = (x < end) & (left < right)
        touching &= y < bottom
        touching &= top < below
        hit[part] = touching.any(1)
        hit_other |= touching.any(0)
    return hit, hit_other


def _edges(squares: NDArray[np.int32]) -> tuple[NDArray[np.int32], ...]:
    """Left, top, right and bottom of squares, int32 of shape (squares,) each."""
    x, y, side = squares.T
    return x, y, x + side, y + side
