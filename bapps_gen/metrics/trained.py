"""Trained metrics: LPIPS with linear weights, and perhaps a trunk, learned from judgments.

A safetensors file with the weights under the names that the `lpips` package 0.1.4 has, and with
all that is known of the training in its header. Importing this module does not import torch.

`FILE.safetensors@NET` names the net, too. A net from a Python file must be named in this way: no
code is run because a file that someone shared names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bapps_gen.errors import UserError
from bapps_gen.lpips.feature_net import FeatureNet, require_torch, tensors_digest, weights_digest
from bapps_gen.lpips.net_names import NetText, parse_net
from bapps_gen.lpips.nets import load_net, trunk_net
from bapps_gen.metrics.deep import LpipsMetric, metric_over
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.storage.records import Count, OneOf, Within, parse_record

if TYPE_CHECKING:
    from torch import Tensor

KIND = "trained metric"
SUFFIX = ".safetensors"
MODES = ("lin", "tune", "scratch", "imported")
TRUNK_PREFIX = "trunk."
RANKING_PREFIX = "ranking."


@dataclass(frozen=True, slots=True)
class NetRecord:
    """The feature net of a trained metric.

    Args:
        given: text that loads it (`bapps_gen.lpips.nets.load_net`).
        name: its own.
        digest: of its weights; of those that it had before, where they were trained; empty where
            that is not known.
        channels: of each map.
        smallest: least height and width in px.
    """

    given: str
    name: str
    digest: str
    channels: tuple[Annotated[int, Within(1, 1 << 20)], ...]
    smallest: Count


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows of one dataset that a metric was trained or validated on.

    Args:
        kind: of the dataset.
        dataset: its digest.
        judgments: 32 hexadecimal digits of SHA-256 over numbers, judgments and votes of the rows.
        rows: how many.
        split: of the dataset's photos: "train", "val" or "test", or None where it has no split.
        simulated: whether any judgment came from simulated observers.
    """

    kind: str
    dataset: str
    judgments: str
    rows: Count
    split: str | None
    simulated: bool


@dataclass(frozen=True, slots=True)
class TrainingScores:
    """How well a metric did in training.

    Args:
        epoch: that the weights are of, from 1.
        val_2afc: 2AFC score after it on the rows of the validation, 0 to 1.
        history: of every epoch: its number, steps so far, learning rate, loss and 2AFC score.
    """

    epoch: Count
    val_2afc: float
    history: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class TrainedHeader:
    """What the header of a trained metric's file holds beside kind and version.

    Args:
        net: its feature net.
        mode: "lin", "tune" or "scratch"; "imported" where another program trained it.
        spec: all else that the weights depend on, as plain values.
        train, val: the rows.
        scores: None where another program trained it.
    """

    net: NetRecord
    mode: Annotated[str, OneOf(MODES)]
    spec: Mapping[str, Any]
    train: tuple[TrainingSet, ...] = ()
    val: tuple[TrainingSet, ...] = ()
    scores: TrainingScores | None = None

    @property
    def simulated(self) -> bool:
        """Whether simulated observers judged any of the rows."""
        return any(part.simulated for part in (*self.train, *self.val))


@dataclass(frozen=True, slots=True)
class TrainedMetric:
    """A trained metric as its file has it.

    Args:
        header: what is known of the training.
        tensors: float32 weights on the CPU by name: "lin0.model.1.weight" (1, C, 1, 1) and so on;
            "trunk.…" where the net was trained, by the names in its state dict; "ranking.…" for
            the ranking network, which distances do not need.
    """

    header: TrainedHeader
    tensors: Mapping[str, Tensor]

    @property
    def linear(self) -> list[Tensor]:
        """The weights of the channels of each map, (C,), all ≥ 0."""
        taps = range(len(self.header.net.channels))
        return [self.tensors[linear_key(tap)].flatten() for tap in taps]

    @property
    def trunk(self) -> dict[str, Tensor]:
        """The net's weights by the names in its state dict; empty for those that it comes with."""
        from bapps_gen.storage.tensors import below

        return below(self.tensors, TRUNK_PREFIX)

    @property
    def ranking(self) -> dict[str, Tensor]:
        """The ranking network's weights; empty where the file has none."""
        from bapps_gen.storage.tensors import below

        return below(self.tensors, RANKING_PREFIX)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of SHA-256 over all that distances depend on in the file."""
        return tensors_digest(
            {
                name: value
                for name, value in self.tensors.items()
                if not name.startswith(RANKING_PREFIX)
            }
        )


def linear_key(tap: int) -> str:
    """The name of a map's linear weights, as in the `lpips` package."""
    return f"lin{tap}.model.1.weight"


def write_trained(path: Path, trained: TrainedMetric) -> None:
    """Write a trained metric's file, whole or not at all; no other run writes it meanwhile.

    Raises:
        WorkError: when it cannot be written.
    """
    from bapps_gen.storage.tensors import write_tensors

    write_tensors(path, KIND, asdict(trained.header), trained.tensors, alone=True)


def read_trained_header(path: Path) -> TrainedHeader:
    """What is known of a trained metric.

    Raises:
        UserError: when the file is missing.
        WorkError: when it is damaged, of another kind or version.
    """
    _require(path)
    from bapps_gen.storage.tensors import read_header

    return _parse(path, read_header(path, KIND))


def read_trained(path: Path) -> TrainedMetric:
    """A trained metric from its file.

    Raises:
        UserError: when the file is missing.
        WorkError: when it is damaged, of another kind or version, or its weights are not those of
            its net.
    """
    _require(path)
    from bapps_gen.storage.tensors import damaged, read_tensors

    values, tensors = read_tensors(path, KIND)
    header = _parse(path, values)
    mismatch = linear_mismatch(tensors, header.net.channels)
    if mismatch is not None:
        raise damaged(path, f"it {mismatch}")
    return TrainedMetric(header, tensors)


def trained_path(text: str) -> tuple[Path, str]:
    """The file that FILE.safetensors[@NET] names, and the text of its net, "" for the file's."""
    name, _, net = text.partition(f"{SUFFIX}@")
    return Path(name + SUFFIX if net else text).expanduser(), net


def describe(text: str) -> MetricSpec:
    """The metric that a trained metric's file holds; its net is not loaded.

    Raises:
        UserError: when the file is missing, or its net is one of a Python file that is not named.
        WorkError: as `read_trained`.
    """
    path, given = trained_path(text)
    header, digest = _header_and_digest(path)
    net = _net_text(path, header.net, given)
    return MetricSpec(
        path.stem,
        1,
        f"LPIPS, {header.mode} on {header.net.name}",
        f"bapps_gen.lpips with the weights of {path.name}",
        needs_torch=True,
        net=net.given,
        smallest=max(header.net.smallest, net.smallest),
        given=f"{path.resolve()}@{net.given}" if given else str(path.resolve()),
        files=(str(path.resolve()), *(str(file.resolve()) for file in net.files)),
        settings=(("weights", digest),),
        mode=header.mode,
    )


def _header_and_digest(path: Path) -> tuple[TrainedHeader, str]:
    """What is known of a trained metric, and the digest of its weights."""
    _require(path)
    state = path.stat()
    return _described(path, (state.st_ino, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=8)
def _described(path: Path, state: tuple[int, ...]) -> tuple[TrainedHeader, str]:
    """As above, for a file in one state: a trained VGG is 58 MB, and is asked for many times."""
    trained = read_trained(path)
    return trained.header, trained.digest


def load(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> LpipsMetric:
    """The metric that `describe` described, with its net.

    Raises:
        UserError: where the net has other weights than in training, or `weights` is given for one
            whose weights were trained.
    """
    path, given = trained_path(spec.given)
    trained = read_trained(path)
    net = trained_net(trained, path, weights, given)
    return metric_over(net, device, dtype, trained.linear, {"weights": trained.digest})


def trained_net(
    trained: TrainedMetric, path: Path, weights: str | PathLike[str] | None = None, given: str = ""
) -> FeatureNet:
    """The feature net of a trained metric with the weights that it had in the end.

    Args:
        trained: the metric.
        path: of its file, for errors.
        weights: file of the net's weights where these were not trained, instead of one from the
            default locations.
        given: text of the net, where it is not that which the file names.

    Raises:
        UserError: as `load`.
    """
    header = trained.header.net
    text = _net_text(path, header, given)
    if not trained.trunk:
        net = load_net(text.given, weights)
        if header.digest not in ("", net.digest):
            raise UserError(
                f"{path} was trained over {header.name} with weights of digest {header.digest}, "
                f"but these are {net.digest}; give the weights of the training with --weights"
            )
        return net
    if weights is not None:
        raise UserError(f"weights = {weights}, but {path} has its net's weights; leave it out")
    try:
        if text.net:
            return trunk_net(text, text.net, trained.trunk)
        net = load_net(text.given)
        net.module.load_state_dict(trained.trunk)
    except RuntimeError as error:
        from bapps_gen.storage.tensors import damaged

        raise damaged(path, "its net's weights are not those of its net") from error
    return replace(net, digest=weights_digest(net.module))


def _net_text(path: Path, record: NetRecord, given: str) -> NetText:
    """The text of a trained metric's net; UserError where it is code that was not named."""
    text = parse_net(given or record.given)
    if text.kind == "features" and not given:
        raise UserError(
            f"{path} was trained over a net of a Python file, which runs only where you name it; "
            f"give {path}@features:FILE.py:{text.member}"
        )
    return text


def linear_mismatch(tensors: Mapping[str, Tensor], channels: Sequence[int]) -> str | None:
    """What is wrong with linear weights, completing "it …"; None where nothing is."""
    for tap, count in enumerate(channels):
        name = linear_key(tap)
        if name not in tensors:
            return f"lacks {name}"
        value = tensors[name]
        if tuple(value.shape) != (1, count, 1, 1):
            return f"has {name} of shape {tuple(value.shape)}, not {(1, count, 1, 1)}"
        if not bool((value >= 0).all()):
            return f"has {name} with values that are not numbers of at least 0"
    if linear_key(len(channels)) in tensors:
        return f"has {linear_key(len(channels))}, of more maps than the net's {len(channels)}"
    return None


def _require(path: Path) -> None:
    require_torch("trained metrics need")
    if not path.is_file():
        raise UserError(f"{path} does not exist; name the file that `bapps-gen train-metric` wrote")


def _parse(path: Path, values: Any) -> TrainedHeader:
    from bapps_gen.storage.tensors import damaged

    try:
        header = parse_record(TrainedHeader, values)
    except UserError as error:
        raise damaged(path, f"its header is not a trained metric's ({error})") from error
    if header.scores is None and header.mode != "imported":
        raise damaged(path, "its header has no scores")
    return header
