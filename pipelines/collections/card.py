"""The data card of a collection: `README.md`, with the YAML that `datasets` and the Hub read.

https://huggingface.co/docs/hub/datasets-manual-configuration describes `configs`; the counts in
`dataset_info` are what `datasets.load_dataset` compares a loaded split with.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.errors import BappsGenError
from bapps_gen.manifests.collection import CollectionInfo, SetRecord
from bapps_gen.manifests.dataset import DatasetInfo, read_info
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.storage.atomic import whole_file

logger = logging.getLogger(__name__)

CARD_NAME = "README.md"
NEW_CARD_NAME = "README.new.md"
_SEAL = "<!-- bapps-gen data card, sha256 of all above: "

# rows from, name: of the Hub
_SIZES = (
    (10**9, "n>1B"),
    (10**8, "100M<n<1B"),
    (10**7, "10M<n<100M"),
    (10**6, "1M<n<10M"),
    (10**5, "100K<n<1M"),
    (10**4, "10K<n<100K"),
    (10**3, "1K<n<10K"),
    (0, "n<1K"),
)

_UNITS = {"2afc": "triplets", "jnd": "pairs"}

CITATION = """\
@inproceedings{zhang2018perceptual,
  title={The Unreasonable Effectiveness of Deep Features as a Perceptual Metric},
  author={Zhang, Richard and Isola, Phillip and Efros, Alexei A. and
          Shechtman, Eli and Wang, Oliver},
  booktitle={CVPR},
  year={2018}
}"""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration of the card: sets that are loaded together, each into its split."""

    name: str
    sets: tuple[SetRecord, ...]

    @property
    def splits(self) -> dict[str, list[SetRecord]]:
        """Sets by split."""
        splits: dict[str, list[SetRecord]] = {}
        for record in self.sets:
            splits.setdefault(record.path.split("/")[1], []).append(record)
        return splits


def configs_of(info: CollectionInfo) -> list[Config]:
    """For each task one with all its sets, then one for each name; the first is the default.

    Sets of which nothing was made yet are left out, for nothing could be loaded.
    """
    configs: dict[str, list[SetRecord]] = {}
    made = [record for record in info.sets if record.made]
    for task in _UNITS:
        mine = [record for record in made if record.path.startswith(f"{task}/")]
        for record in mine:
            configs.setdefault(task, []).append(record)
        for record in mine:
            configs.setdefault(f"{task}-{record.path.rsplit('/', 1)[-1]}", []).append(record)
    return [Config(name, tuple(records)) for name, records in configs.items()]


def write_card(folder: Path, info: CollectionInfo) -> Path:
    """Write the data card, and return where it is.

    A card that somebody has edited is never overwritten: the new one is written next to it.

    Raises:
        WorkError: when it cannot be written.
    """
    path = folder / CARD_NAME
    if path.exists() and not _is_unedited(path):
        path = folder / NEW_CARD_NAME
    text = render_card(info, _dataset_infos(folder, info))
    seal = f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()} -->\n"
    with whole_file(path) as temporary:
        temporary.write_text(text + seal, encoding="utf-8")
    return path


def _is_unedited(path: Path) -> bool:
    """Whether a card is unedited: its last line has the digest of the rest."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    above, seal, below = text.rpartition(_SEAL.encode())
    return bool(seal) and below.strip() == f"{hashlib.sha256(above).hexdigest()} -->".encode()


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
    parts = [
        "\n".join(_front_matter(info, configs)),
        f"# {info.name}",
        _intro(info),
        "## Sets",
        _sets_table(info, datasets),
        *_absent(info),
        "## Distortions",
        *_distortions(info, datasets),
        "## How it was made",
        *_how_made(info, datasets),
        "## Load it",
        _loading(info, configs),
        "## Check it",
        _checking(),
        "## Columns",
        _COLUMNS,
        "## License",
        "The patches are parts of the photos named above, whose licenses apply to them; state "
        "these here before you share the collection.",
        "## Citation",
        "This collection follows the BAPPS dataset and is not part of it; please cite the paper.",
        f"```bibtex\n{CITATION}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n\n"


def _front_matter(info: CollectionInfo, configs: list[Config]) -> Iterator[str]:
    rows = sum(record.made for record in info.sets)
    yield "---"
    yield f"pretty_name: {_text(info.name)}"
    yield "license: other"
    yield "license_name: that-of-the-source-photos"
    yield from _listed("task_categories", ["other"])
    yield from _listed("size_categories", [next(name for low, name in _SIZES if rows >= low)])
    tags = ["perceptual-similarity", "image-quality-assessment", "bapps", "image"]
    tags += [task for task in _UNITS if any(r.path.startswith(f"{task}/") for r in info.sets)]
    yield from _listed("tags", tags)
    if configs:
        yield "configs:"
    for index, config in enumerate(configs):
        yield f"- config_name: {_text(config.name)}"
        if index == 0:
            yield "  default: true"
        yield "  data_files:"
        for split, records in config.splits.items():
            yield f"  - split: {_text(split)}"
            yield "    path:"
            for record in records:
                yield f"    - {_text(f'{record.path}/data/*.parquet')}"
    # No counts are promised of sets that a run may still be filling.
    whole = [config for config in configs if all(record.complete for record in config.sets)]
    if whole:
        yield "dataset_info:"
    for config in whole:
        yield f"- config_name: {_text(config.name)}"
        yield "  splits:"
        for split, records in config.splits.items():
            yield f"  - name: {_text(split)}"
            yield f"    num_bytes: {sum(record.bytes for record in records)}"
            yield f"    num_examples: {sum(record.made for record in records)}"
        size = sum(record.bytes for record in config.sets)
        yield f"  download_size: {size}"
        yield f"  dataset_size: {size}"
    yield "---"


def _listed(name: str, values: Iterable[str]) -> Iterator[str]:
    yield f"{name}:"
    yield from (f"- {_text(value)}" for value in values)


def _text(value: str) -> str:
    """A string as YAML takes it whatever it holds: as JSON."""
    return json.dumps(value, ensure_ascii=False)


def _intro(info: CollectionInfo) -> str:
    counts = []
    for task, unit in _UNITS.items():
        made = sum(record.made for record in info.sets if record.path.startswith(f"{task}/"))
        if made:
            counts.append(f"{made:,} {unit}")
    held = " and ".join(counts) or "Nothing yet: no set has been made"
    whole = [record for record in info.sets if record.complete]
    lines = [
        f"{held} of 64×64 patches for the study of perceptual similarity, made from photos with "
        f"bapps-gen {info.version} after the BAPPS dataset (Zhang et al., CVPR 2018). A triplet "
        "is a reference and two distorted patches, a pair a reference and one.",
        f"{len(whole)} of {len(info.sets)} sets are complete. No person has judged these rows: "
        "the columns `judge` and `same` are null until people do.",
    ]
    if info.scale != 1:
        lines.append(f"The last run had `--scale {info.scale:g}`: full counts times this.")
    return "\n\n".join(lines)


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
        yield f"```bash\n{info.command}\n```"
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
        where = ", ".join(f"`{root}`" for root in source.roots)
        lines.append(f"| {name} | {source.images:,} | {where}{part} | `{source.digest[:16]}…` |")
    for record in info.sets:
        if record.source is None and record.path in datasets:
            truth = datasets[record.path]
            where = ", ".join(f"`{root}`" for root in truth.source_roots)
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
    lines += ['rows[0]["ref"]  # a picture, 64×64', "```", ""]
    names = ", ".join(f"`{config.name}`" for config in configs)
    lines.append(f"Configurations are {names}.")
    return "\n".join(lines)


def _checking() -> str:
    return (
        "```bash\nbapps-gen info DIR        # what is there\n"
        "bapps-gen verify DIR      # every row made again from the photos and compared\n"
        "bapps-gen validate DIR    # numbers and pictures of its quality\n```"
    )


_COLUMNS = """\
| column | |
|---|---|
| `id`, `row` | unique over datasets; index in the set |
| `ref`, `p0`, `p1` | the pictures, PNG; pairs have no `p1` |
| `distortion0`, `distortion1` | names of what was done, in order |
| `steps0`, `steps1` | the same with versions, parameters in physical units, seeds and severities |
| `source_path`, `source_sha256`, `scale`, `crop` | where in which photo |
| `ref_hash`, `p0_hash`, `p1_hash` | XXH3-128 of the raw pixels |
| `spec_digest` | of the set's spec |
| `judge`, `judge_count` | of triplets: share of people who prefer `p1`, and how many; null |
| `same`, `same_count` | of pairs: share of people who call both the same, and how many; null |"""
