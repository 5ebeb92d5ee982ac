"""Data cards: `README.md` with the YAML that `datasets` and the Hub read.

https://huggingface.co/docs/hub/datasets-manual-configuration describes `configs`; the counts in
`dataset_info` are what `datasets.load_dataset` compares a loaded split with. Without `configs`,
tables beside the shards, such as distances, would be taken for rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.manifests.dataset import DATA_FOLDER, DatasetInfo, SelectionInfo, shards_on_disk
from bapps_gen.manifests.rows import task_of_patches
from bapps_gen.manifests.schema import card_features
from bapps_gen.pipelines.datasets.judged import describe_judgments
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location, require_regular

CARD_NAME = "README.md"
NEW_CARD_NAME = "README.new.md"
_SEAL = "<!-- bapps-gen data card, sha256 of all above: "

TASK_UNITS = {"2afc": "triplets", "jnd": "pairs"}

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

_CITATION = """\
```bibtex
@inproceedings{zhang2018perceptual,
  title={The Unreasonable Effectiveness of Deep Features as a Perceptual Metric},
  author={Zhang, Richard and Isola, Phillip and Efros, Alexei A. and
          Shechtman, Eli and Wang, Oliver},
  booktitle={CVPR},
  year={2018}
}
```"""

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
| `judge`, `judge_count` | of triplets: share of people who prefer `p1`, and how many; null \
where nobody was asked |
| `same`, `same_count` | of pairs: share of people who call both the same, and how many; null \
where nobody was asked |"""


@dataclass(frozen=True, slots=True)
class Part:
    """Shards of one dataset in a card.

    Args:
        path: of the dataset's folder from the card's, empty where that is the same.
        rows: in them.
        bytes: of them.
        complete: whether these numbers are final, so that they may be promised.
    """

    path: str
    rows: int
    bytes: int
    complete: bool

    @property
    def files(self) -> str:
        """The shards as a pattern."""
        prefix = f"{self.path}/" if self.path else ""
        return f"{prefix}{DATA_FOLDER}/*.parquet"


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration of a card: what is loaded together, by split.

    Args:
        name: of it.
        splits: their parts by name.
        features: types of the columns, see `card_features`; empty to leave them to the shards.
    """

    name: str
    splits: Mapping[str, Sequence[Part]]
    features: Sequence[Mapping[str, object]] = ()

    @property
    def parts(self) -> list[Part]:
        """Of all splits."""
        return [part for parts in self.splits.values() for part in parts]


def write_dataset_card(folder: Location, info: DatasetInfo, *, complete: bool) -> None:
    """Write the data card of a dataset.

    Args:
        folder: of the dataset.
        info: of the dataset.
        complete: whether all shards are there, so that the card may promise counts.

    Raises:
        WorkError: when it cannot be written.
    """
    size, judged = 0, ""
    if complete:
        size = sum(path.stat().st_size for path in shards_on_disk(folder, info).values())
        judged = describe_judgments(folder, info)
    write_card(folder, render_dataset_card(info, Part("", info.rows, size, complete), judged))


def render_dataset_card(info: DatasetInfo, part: Part, judged: str = "") -> str:
    """The text of a dataset's card, from facts alone; `judged` is of `describe_judgments`."""
    size = info.patch_size
    split, task = info.split or "train", task_of_patches(info.patches)
    config = Config("default", {split: [part]}, card_features(info.schema()))
    title = f"{info.kind} {info.unit}"
    recipe = "" if info.pictures else ", as a recipe without their pictures"
    rows = {
        "rows": f"{info.rows:,}",
        "made with": kind_of(info).describe(info),
        "spec digest": f"`{info.digest}`",
        "photos": f"{len(info.source_images):,}",
        "digest of names and contents": f"`{info.source_digest}`",
    }
    if isinstance(info, SelectionInfo):
        rows["chosen"] = "; ".join(info.history).replace("|", "\\|")
    if judged:
        rows["judged"] = judged
    if "seed" in info.spec:
        rows["seed"] = str(info.spec["seed"])
    if info.source_failures:
        rows["photos that could not be used"] = f"{len(info.source_failures):,}"
    table = [f"| {name} | {value} |" for name, value in rows.items()]
    return join_card(
        front_matter(title, info.rows, [task], [config]),
        f"# {title}",
        f"{info.rows:,} {info.unit} of {size}×{size} patches for the study of perceptual similarity"
        f"{recipe}, made with bapps-gen {info.version} after the BAPPS dataset (Zhang et al., CVPR "
        "2018). A triplet is a reference and two distorted patches, a pair a reference and one.",
        "\n".join(["| | |", "|---|---|", *table]),
        "## Load it",
        f'```python\nimport datasets\n\nrows = datasets.load_dataset("DIR", split="{split}")\n```',
        *common_sections("set"),
    )


def common_sections(what: str) -> Iterator[str]:
    """The end of every card: how to check it, columns, license and citation."""
    yield "## Check it"
    yield (
        "```bash\nbapps-gen info DIR        # what is there\n"
        "bapps-gen verify DIR      # every row made again from the photos and compared\n"
        "bapps-gen validate DIR    # numbers and pictures of its quality\n```"
    )
    yield "## Columns"
    yield _COLUMNS
    yield "## License"
    yield (
        "The patches are parts of the photos named above, whose licenses apply to them; state "
        f"these here before you share the {what}."
    )
    yield "## Citation"
    yield f"This {what} follows the BAPPS dataset and is not part of it; please cite the paper."
    yield _CITATION


def join_card(*parts: str) -> str:
    """The text of a card from its paragraphs."""
    return "\n\n".join(part for part in parts if part) + "\n\n"


def write_card(folder: Location, text: str) -> Location:
    """Write a data card with a seal, and return where it is.

    A card that somebody has edited is never overwritten: the new one is written next to it.

    Raises:
        WorkError: when it cannot be written.
    """
    path = folder / CARD_NAME
    if path.exists() and not _is_unedited(path):
        path = folder / NEW_CARD_NAME
    seal = f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()} -->\n"
    with whole_file(path) as temporary:
        temporary.write_text(text + seal, encoding="utf-8")
    return path


def _is_unedited(path: Location) -> bool:
    """Whether a card is unedited: its last line has the digest of the rest."""
    try:
        if isinstance(path, Path):
            require_regular(path)
        text = path.read_bytes()
    except OSError:
        return False
    above, seal, below = text.rpartition(_SEAL.encode())
    return bool(seal) and below.strip() == f"{hashlib.sha256(above).hexdigest()} -->".encode()


def front_matter(name: str, rows: int, tasks: Iterable[str], configs: Sequence[Config]) -> str:
    """The YAML of a card; the first configuration is the default."""
    return "\n".join(_front_matter(name, rows, tasks, configs))


def _front_matter(
    name: str, rows: int, tasks: Iterable[str], configs: Sequence[Config]
) -> Iterator[str]:
    yield "---"
    yield f"pretty_name: {_text(name)}"
    yield "license: other"
    yield "license_name: that-of-the-source-photos"
    yield from _listed("task_categories", ["other"])
    yield from _listed("size_categories", [next(name for low, name in _SIZES if rows >= low)])
    tags = ["perceptual-similarity", "image-quality-assessment", "bapps", "image", *tasks]
    yield from _listed("tags", tags)
    if configs:
        yield "configs:"
    for index, config in enumerate(configs):
        yield f"- config_name: {_text(config.name)}"
        if index == 0:
            yield "  default: true"
        yield "  data_files:"
        for split, parts in config.splits.items():
            yield f"  - split: {_text(split)}"
            yield "    path:"
            for part in parts:
                yield f"    - {_text(part.files)}"
    # No counts are promised of sets that a run may still be filling.
    whole = [config for config in configs if all(part.complete for part in config.parts)]
    if any(config.features for config in configs) or whole:
        yield "dataset_info:"
    for config in configs:
        if config in whole or config.features:
            yield f"- config_name: {_text(config.name)}"
        if config.features:
            yield "  features:"
            yield from (f"  - {_text(feature)}" for feature in config.features)
        if config in whole:
            yield "  splits:"
            for split, parts in config.splits.items():
                yield f"  - name: {_text(split)}"
                yield f"    num_bytes: {sum(part.bytes for part in parts)}"
                yield f"    num_examples: {sum(part.rows for part in parts)}"
            size = sum(part.bytes for part in config.parts)
            yield f"  download_size: {size}"
            yield f"  dataset_size: {size}"
    yield "---"


def _listed(name: str, values: Iterable[str]) -> Iterator[str]:
    yield f"{name}:"
    yield from (f"- {_text(value)}" for value in values)


def _text(value: object) -> str:
    """A value as YAML takes it whatever it holds: as JSON."""
    return json.dumps(value, ensure_ascii=False)
