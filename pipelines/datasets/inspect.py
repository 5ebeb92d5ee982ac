"""A dataset in numbers: what it holds and whether it is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from bapps_gen.manifests.dataset import Dataset, DatasetInfo, SelectionInfo, shard_path
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.pipelines.datasets.judged import judged_by
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.zoo import pinned_distorters
from bapps_gen.storage.locations import map_remote
from bapps_gen.storage.url import Url

_BATCH_ROWS = 10_000


def summarize(dataset: Dataset) -> dict[str, Any]:
    """Counts and origin of a dataset, complete or not, as plain values."""
    info = dataset.info
    sides = [f"distortion{side}" for side in range(len(info.patches) - 1)]
    judgment = "judge" if info.unit == "triplets" else "same"
    used: Counter[str] = Counter()
    images: set[str] = set()
    rows = judged = 0
    columns = [*sides, "source_sha256", judgment]
    shards = dataset.whole_shards()
    remote = isinstance(dataset.folder, Url)

    def batches_of(shard: int) -> list[pa.RecordBatch]:
        return list(dataset.shard_batches(shard, columns, _BATCH_ROWS))

    for batches in map_remote(batches_of, shards, remote):
        for batch in batches:
            rows += batch.num_rows
            judged += batch.num_rows - batch.column(judgment).null_count
            images.update(batch.column("source_sha256").to_pylist())
            for name in sides:
                used.update(batch.column(name).to_pylist())
    atoms: Counter[str] = Counter()
    for choice, times in used.items():
        for atom in choice.split("+") if choice else ():  # imported rows have none
            atoms[atom] += times
    whole = {shard_path(dataset.folder, shard).name for shard in shards}
    size = sum(
        path.stat().st_size
        for path in (dataset.folder / "data").glob("*.parquet")
        if path.name in whole
    )
    count = max(1, len(sides) * rows)
    origin = info.origin  # or, where that is not known here, names
    roots, outputs = (
        (info.sources, info.outputs) if origin is None else (origin.roots, origin.outputs)
    )
    return {
        "folder": str(dataset.folder),
        "kind": info.kind if info.pictures else f"{info.kind} recipe, without pictures",
        "patch_size": info.patch_size,
        "rows": rows,
        "rows_when_complete": info.rows,
        "shards": len(shards),
        "shards_missing_or_damaged": info.shards - len(shards),
        "megabytes": round(size / 1e6, 1),
        "judged_rows": judged,
        **_judged_by(dataset),
        "seed": _seed(info),
        "spec_digest": info.digest,
        "made_with_version": info.version,
        "source": ", ".join(roots) or "built-in photographs",
        "outputs": _outputs(outputs),
        "source_images": len(info.source_images),
        "source_images_used": len(images),
        "source_images_unusable": len(info.source_failures),
        "distortions_used": len(used),
        "share_of_singles": round(
            sum(times for choice, times in used.items() if "+" not in choice) / count, 4
        ),
        "sides_by_atom": dict(sorted(atoms.items(), key=lambda item: (-item[1], item[0]))),
        "cnn_distorters": _distorters(info),
        "plugins": ", ".join(plugin.name for plugin in info.plugins) or "none",
        **({"chosen": "; ".join(info.history)} if isinstance(info, SelectionInfo) else {}),
    }


def _judged_by(dataset: Dataset) -> dict[str, Any]:
    """Who judged the rows, where that lies beside the shards."""
    held = judgements_info(dataset.folder, dataset.info.digest)
    return {"judged_by": judged_by(held) or "unknown"} if held else {}


def _seed(info: DatasetInfo) -> Any:
    kind = kind_of(info)
    if isinstance(info, SelectionInfo):
        return f"those of {len(info.parts)} sets"
    return info.spec["seed"] if kind.is_reproducible else "none: imported"


def _distorters(info: DatasetInfo) -> str:
    """How many CNN distorters were drawn from, and where they came from."""
    count = len(pinned_distorters(info))
    return f"{count} of {info.zoo or 'the zoo of this package'}" if count else "none"


def _outputs(roots: Mapping[str, str]) -> str:
    """How many algorithms there are, and where their outputs were."""
    if not roots:
        return "none"
    folders = sorted({root.rpartition("/")[0] for root in roots.values()})
    return f"of {len(roots)} algorithms in {', '.join(folders)}"
