"""Judged rows of datasets, with the photos of training and validation kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError, out_of_range
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import PAIR_PATCHES
from bapps_gen.metrics.bootstrap import Keys
from bapps_gen.metrics.trained import TrainingSet
from bapps_gen.pipelines.metric_training.options import HELD_OUT_SHARE, MetricTrainingOptions
from bapps_gen.pipelines.scoring.judged import find_judged, is_simulated, read_judgments
from bapps_gen.seeding import SLOT_METRIC_HELD_OUT, generator
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

Values = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class JudgedPart:
    """The judged rows of one dataset of triplets, or some of them; arrays are of (N,).

    Args:
        dataset: a whole dataset with pictures in a local folder.
        rows: their numbers in the dataset, ascending.
        judge: share of people who prefer p1, 0 to 1.
        counts: number of votes of each row, NaN where unknown.
        photos: the first 8 bytes of the SHA-256 of each row's photo, uint64.
        simulated: whether any judgment came from simulated observers.
    """

    dataset: Dataset
    rows: Indices
    judge: Values
    counts: Values
    photos: Keys
    simulated: bool

    def take(self, chosen: NDArray[np.bool_]) -> JudgedPart:
        """Some of the rows."""
        return replace(
            self,
            rows=self.rows[chosen],
            judge=self.judge[chosen],
            counts=self.counts[chosen],
            photos=self.photos[chosen],
        )

    def description(self) -> TrainingSet:
        """What a trained metric's file says of these rows."""
        digest = hashlib.sha256()
        for values in (
            self.rows.astype("<i8"),
            self.judge.astype("<f8"),
            self.counts.astype("<f8"),
        ):
            digest.update(np.ascontiguousarray(values).tobytes())
        info = self.dataset.info
        return TrainingSet(
            info.kind,
            info.digest,
            digest.hexdigest()[:32],
            len(self.rows),
            info.split,
            self.simulated,
        )


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Judged rows of datasets of one patch size: those of the first, then of the second, and so
    on. Row i of a training is the i-th of these."""

    parts: tuple[JudgedPart, ...]

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts)

    @property
    def judge(self) -> Values:
        """Share of people who prefer p1, (N,)."""
        return np.concatenate([part.judge for part in self.parts])

    @property
    def counts(self) -> Values:
        """Number of votes of each row, (N,), NaN where unknown."""
        return np.concatenate([part.counts for part in self.parts])

    @property
    def patch_size(self) -> int:
        """Height and width of the patches in px."""
        return self.parts[0].dataset.info.patch_size

    def vote_weights(self) -> Values:
        """Votes of each row over their mean, (N,).

        Raises:
            UserError: where a row's number of votes is not known.
        """
        for part in self.parts:
            unknown = int(np.isnan(part.counts).sum())
            if unknown:
                raise UserError(
                    f"weight-votes needs the number of votes of each row, but {unknown} rows of "
                    f"{part.dataset.folder} do not have it; leave the option out"
                )
        counts = self.counts
        return np.asarray(counts / counts.mean())


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows of a training.

    Args:
        train: to train on.
        val: to validate on, of other photos.
        weights: of each row of `train` in the loss, (N,), with mean 1; None where all are 1.
    """

    train: JudgedRows
    val: JudgedRows
    weights: Values | None

    @property
    def parts(self) -> list[JudgedPart]:
        """Those of `train`, then of `val`."""
        return [*self.train.parts, *self.val.parts]


def read_rows(
    train: Sequence[Location], val: Sequence[Location], options: MetricTrainingOptions
) -> TrainingRows:
    """The judged rows of datasets to train and to validate on.

    Args:
        train, val: datasets, or folders that contain several; where `val` names none, rows of some
            photos are held out.
        options: of the training.

    Raises:
        UserError: as `read_judged`; for sets that have photos in common or were given the wrong
            way round, judgments that are all the same, or unknown numbers of votes.
        WorkError: when a shard or its judgments are damaged.
    """
    if val and options.val_fraction is not None:
        raise UserError(
            f"val-fraction = {options.val_fraction:g} is for trainings without --val; leave one "
            "of them out"
        )
    rows = read_judged(train)
    if val:
        val_rows = read_judged(val)
        check_apart(rows, val_rows)
    else:
        rows, val_rows = hold_out(rows, options.val_fraction, options.seed)
    check_votes(rows)
    return TrainingRows(rows, val_rows, rows.vote_weights() if options.weight_votes else None)


def read_judged(folders: Sequence[Location]) -> JudgedRows:
    """The judged rows of datasets, or of all datasets in folders; rows without judgment are left
    out.

    Raises:
        UserError: for JND pairs, recipes, URLs, sets in the original layout, sets of different
            patch sizes, a set that is named twice, or one of which no row is judged.
        WorkError: when a shard or its judgments are damaged.
    """
    datasets: dict[str, Dataset] = {}
    for folder in folders:
        if isinstance(folder, Url):
            raise UserError(
                f"{folder} is a URL, but a training reads its rows often; copy the dataset to a "
                "local folder and give that"
            )
        if not folder.is_dir():
            raise UserError(f"{folder} is not a dataset: no folder has that name; correct it")
        for entry in find_judged(folder):
            if not isinstance(entry, Dataset):
                raise UserError(
                    f"{entry.folder} is a set in the original layout; make it a dataset with "
                    f"`bapps-gen import {entry.folder} --out DIR` and give that"
                )
            if entry.info.digest in datasets:
                raise UserError(
                    f"{entry.folder} and {datasets[entry.info.digest].folder} are the same "
                    "dataset; give it once"
                )
            datasets[entry.info.digest] = entry
    rows = JudgedRows(tuple(map(_read_part, datasets.values())))
    sizes = {part.dataset.info.patch_size: part.dataset.folder for part in rows.parts}
    if len(sizes) > 1:
        (first, one), (second, other), *_ = sizes.items()
        raise UserError(
            f"{one} has patches of {first} px and {other} of {second} px; train on sets of one size"
        )
    return rows


def _read_part(dataset: Dataset) -> JudgedPart:
    if tuple(dataset.info.patches) == PAIR_PATCHES:
        raise UserError(
            f"{dataset.folder} holds JND pairs, which have no two sides to choose from; train on "
            "sets of triplets, and evaluate on JND pairs"
        )
    dataset.require_pictures()
    dataset.require_whole()
    judge, counts, photos = read_judgments(dataset)
    if photos is None:
        raise UserError(
            f"{dataset.folder} has rows without source_sha256, so that it cannot be kept apart "
            "from sets of the same photos; make it again"
        )
    is_judged = ~np.isnan(judge)
    if not is_judged.any():
        raise UserError(
            f"no row of {dataset.folder} has a judgment; judge it first, with `bapps-gen judge`"
        )
    rows = np.arange(len(judge))
    part = JudgedPart(dataset, rows, judge, counts, photos, is_simulated(dataset))
    return part.take(is_judged)


def check_votes(rows: JudgedRows) -> None:
    """Raise UserError where judgments are all the same, from which nothing can be learned."""
    judge = rows.judge
    if np.ptp(judge) == 0:
        raise UserError(
            f"each of the {len(judge)} judged rows has judge = {judge[0]:g}, from which nothing "
            "can be learned; check the votes, or add rows that people judged otherwise"
        )


def check_apart(train: JudgedRows, val: JudgedRows) -> None:
    """Raise UserError where sets for training and for validation have photos in common.

    Also where their patches differ in size, or the two were given the wrong way round: a set
    recorded as "val" or "test" to train on, and one recorded as "train" to validate on.
    """
    if val.patch_size != train.patch_size:
        raise UserError(
            f"the sets to train on have patches of {train.patch_size} px and those to validate on "
            f"of {val.patch_size} px; give sets of one size"
        )
    for mine in train.parts:
        for other in val.parts:
            shared = len(np.intersect1d(mine.photos, other.photos))
            names = f"{mine.dataset.folder} and {other.dataset.folder}"
            if shared:
                raise UserError(
                    f"{shared} photos of judged rows are both in {names}; validate on rows of "
                    "other photos (make sets with --split), or leave out --val to hold some out"
                )
            split, other_split = mine.dataset.info.split, other.dataset.info.split
            if split in ("val", "test") and other_split == "train":
                raise UserError(
                    f"{mine.dataset.folder} is recorded as {split} and {other.dataset.folder} as "
                    "train; train on the train set and validate on the other"
                )


def hold_out(
    rows: JudgedRows, fraction: float | None = None, seed: int = 0
) -> tuple[JudgedRows, JudgedRows]:
    """Divide judged rows by their photos into those to train and those to validate on.

    Args:
        rows: of one photo or several; all rows of a photo stay together.
        fraction: share of the photos to validate on, at least one; None for HELD_OUT_SHARE.
        seed: which photos that are, in the order of their SHA-256.

    Raises:
        UserError: when all rows are of one photo.
    """
    photos = np.unique(np.concatenate([part.photos for part in rows.parts]))
    if len(photos) < 2:
        raise out_of_range(
            "number of photos", len(photos), "at least 2 to hold one out", "give --val"
        )
    share = HELD_OUT_SHARE if fraction is None else fraction
    count = min(max(1, round(share * len(photos))), len(photos) - 1)
    held = generator(seed, 0, SLOT_METRIC_HELD_OUT).permutation(photos)[:count]
    chosen = [np.isin(part.photos, held) for part in rows.parts]
    halves = []
    for wanted in (False, True):
        parts = (part.take(mask == wanted) for part, mask in zip(rows.parts, chosen, strict=True))
        halves.append(JudgedRows(tuple(part for part in parts if len(part.rows))))
    return halves[0], halves[1]
