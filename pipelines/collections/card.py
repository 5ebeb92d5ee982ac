"""The data card of a collection: the configurations of its sets, and what they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bapps_gen.errors import BappsGenError
from bapps_gen.manifests.collection import CollectionInfo
from bapps_gen.manifests.dataset import DatasetInfo, read_info
from bapps_gen.manifests.origin import public_name
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.collections.names import portable_command
from bapps_gen.pipelines.datasets.card import (
    TASK_UNITS,
    Config,
    Part,
    common_sections,
    front_matter,
    join_card,
    write_card,
)
from bapps_gen.pipelines.datasets.kinds import kind_of

logger = logging.getLogger(__name__)


def configs_of(info: CollectionInfo) -> list[Config]:
    """For each task one with all its sets, then one for each name; the first is the default.

    Sets of which nothing was made yet are left out, for nothing could be loaded.
    """
    configs: dict[str, dict[str, list[Part]]] = {}
    for task in TASK_UNITS:
        mine = [
            record for record in info.sets if record.made and record.path.startswith(f"{task}/")
        ]
        named = [(f"{task}-{record.path.rsplit('/', 1)[-1]}", record) for record in mine]
        for name, record in [*((task, record) for record in mine), *named]:
            split = record.path.split("/")[1]
            part = Part(record.path, record.made, record.bytes, record.complete)
            configs.setdefault(name, {}).setdefault(split, []).append(part)
    return [Config(name, splits) for name, splits in configs.items()]


def write_collection_card(folder: Path, info: CollectionInfo) -> Path:
    """Write the data card, and return where it is; see `write_card`.

    Raises:
        WorkError: when it cannot be written.
    """
    path = write_card(folder, render_card(info, _dataset_infos(folder, info)))
    assert isinstance(path, Path)
    return path


def _dataset_infos(folder: Path, info: CollectionInfo) -> dict[str, DatasetInfo]:
    infos = {}
    for record in info.sets:
        if record.made:
            try:
                infos[record.path] = read_info(folder / record.path)
            except BappsGenError as error:
                logger.warning("%s", error)
    return infos


def render_card(info: CollectionInfo, datasets: dict[str, DatasetInfo]) -> str:
    """The card's text, from facts alone.

    Args:
        info: of the collection.
        datasets: `dataset.json` by path, of the sets of which something was made.
    """
    configs = configs_of(info)
    tasks = [task for task in TASK_UNITS if any(r.path.startswith(f"{task}/") for r in info.sets)]
    return join_card(
        front_matter(info.name, sum(record.made for record in info.sets), tasks, configs),
        f"# {info.name}",
        _intro(info, datasets),
        "## Sets",
        _sets_table(info, datasets),
        *_absent(info),
        "## Distortions",
        *_distortions(info, datasets),
        "## How it was made",
        *_how_made(info, datasets),
        "## Load it",
        _loading(info, configs),
        *common_sections("collection"),
    )


def _intro(info: CollectionInfo, datasets: dict[str, DatasetInfo]) -> str:
    counts = []
    for task, unit in TASK_UNITS.items():
        made = sum(record.made for record in info.sets if record.path.startswith(f"{task}/"))
        if made:
            counts.append(f"{made:,} {unit}")
    held = " and ".join(counts) or "Nothing yet: no set has been made"
    whole = [record for record in info.sets if record.complete]
    lines = [
        f"{held} of {_sizes(datasets.values())} patches for the study of perceptual similarity, "
        f"made from photos with bapps-gen {info.version} after the BAPPS dataset (Zhang et al., "
        "CVPR 2018). A triplet is a reference and two distorted patches, a pair a reference and "
        "one.",
        f"{len(whole)} of {len(info.sets)} sets are complete. Judgments are in the "
        "columns `judge` and `same`, which are null where nobody was asked; the card of each set "
        "says who was.",
    ]
    if info.scale != 1:
        lines.append(f"The last run had `--scale {info.scale:g}`: full counts times this.")
    return "\n\n".join(lines)


def _sizes(datasets: Iterable[DatasetInfo]) -> str:
    """The sizes of patches, the smallest first, such as "64×64"."""
    sizes = sorted({dataset.patch_size for dataset in datasets}) or [PATCH_SIZE]
    return " and ".join(f"{size}×{size}" for size in sizes)


def _sets_table(info: CollectionInfo, datasets: dict[str, DatasetInfo]) -> str:
    lines = [
        "| set | configuration | split | rows | of | state | photos | seed | spec digest | MB |",
        "|---|---|---|--:|--:|---|---|---|---|--:|",
    ]
    for record in info.sets:
        task, split, name = record.path.split("/")
        state = record.state.partition(":")[0]
        lines.append(
            f"| `{record.path}` | `{task}-{name}` | {split} | {record.made:,} | {record.rows:,} "
            f"| {state} | {record.source or '–'} | {record.seed} "
            f"| {f'`{record.spec_digest}`' if record.spec_digest else '–'} "
            f"| {record.bytes / 1e6:.1f} |"
        )
    note = (
        "Where several sets are loaded together, a row's `spec_digest` says which one it is from."
        if datasets
        else ""
    )
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def _absent(info: CollectionInfo) -> Iterator[str]:
    absent = [
        *((record.path, record.state) for record in info.sets if not record.complete),
        *((path, f"left out: {why}") for path, why in info.left_out.items()),
    ]
    if absent:
        yield "Missing or incomplete:"
        yield "\n".join(f"- `{path}`: {why}" for path, why in absent)


def _distortions(info: CollectionInfo, datasets: dict[str, DatasetInfo]) -> Iterator[str]:
    if not datasets:
        yield "None yet."
        return
    lines = ["| set | distortions |", "|---|---|"]
    for record in info.sets:
        if record.path in datasets:
            made_with = kind_of(datasets[record.path]).describe(datasets[record.path])
            demo = "a demo: " if record.options.get("demo") else ""
            lines.append(f"| `{record.path}` | {demo}{made_with} |")
    yield "\n".join(lines)
    failures = {
        name: why for info in datasets.values() for name, why in info.source_failures.items()
    }
    if failures:
        yield f"{len(failures)} photos could not be used; each set's `dataset.json` says why."


def _how_made(info: CollectionInfo, datasets: dict[str, DatasetInfo]) -> Iterator[str]:
    if info.command:
        yield f"```bash\n{portable_command(info.command)}\n```"
    yield (
        f"Version {info.version} of bapps-gen, seed {info.seed}. Every set has a seed of its own, "
        "which follows from this seed and the set's path. The photos:"
    )
    lines = ["| name | photos | from | digest of names and contents |", "|---|--:|---|---|"]
    for name, source in info.sources.items():
        part = ""
        if source.split:
            share = source.val_fraction if source.split == "val" else 1 - (source.val_fraction or 0)
            part = f" (the {source.split} part by content, {100 * share:g} %)" if share else ""
        where = _places(source.roots)
        lines.append(f"| {name} | {source.images:,} | {where}{part} | `{source.digest[:16]}…` |")
    for record in info.sets:
        if record.source is None and record.path in datasets:
            truth = datasets[record.path]
            where = _places(truth.sources)
            lines.append(
                f"| ground truth of `{record.path}` | {len(truth.source_images):,} | {where} "
                f"| `{truth.source_digest[:16]}…` |"
            )
    yield "\n".join(lines)
    if info.shared_photos:
        yield (
            f"**Photos both in train and in another split**, byte for byte the same: "
            f"{info.shared_photos:,}."
        )
    else:
        yield "No photo is both in train and in another split (by SHA-256 of the files)."


def _places(names: Sequence[str]) -> str:
    """Names of folders and files, and URLs."""
    return ", ".join(f"`{public_name(name)}`" for name in names) or "the package"


def _loading(info: CollectionInfo, configs: list[Config]) -> str:
    if not configs:
        return "Nothing can be loaded yet."
    first = configs[0]
    split = next(iter(first.splits))
    lines = [
        "```python",
        "import datasets",
        "",
        f'rows = datasets.load_dataset("DIR")["{split}"]  # configuration "{first.name}"',
    ]
    if len(configs) > 1:
        other = next((c for c in configs if c.name.count("-")), configs[-1])
        at = next(iter(other.splits))
        lines.append(f'rows = datasets.load_dataset("DIR", "{other.name}", split="{at}")')
    lines += ['rows[0]["ref"]  # a picture', "```", ""]
    names = ", ".join(f"`{config.name}`" for config in configs)
    lines.append(f"Configurations are {names}.")
    return "\n".join(lines)
