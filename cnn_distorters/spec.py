"""What a CNN distorter is: one frozen record over every axis of the paper's table 2 (right)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.seeding import MAX_SEED, digest_of
from bapps_gen.storage.documents import read_toml
from bapps_gen.storage.records import parse_record, shown

SPEC_VERSION = 2
"""Raised whenever the same spec and weights give another function; part of every digest."""

CORRUPTIONS = ("null", "pink_noise", "white_noise", "color_removal", "downsampling")
UPSAMPLINGS = ("transposed", "nearest", "bilinear", "subpixel")
NORMALIZATIONS = ("none", "batch", "instance")
GANS = ("hinge", "bce")

STRENGTHS: dict[str, tuple[float, float, str]] = {
    "null": (0.0, 0.0, "0, since nothing is corrupted"),
    "pink_noise": (0.005, 0.5, "from 0.005 to 0.5, the standard deviation of full scale"),
    "white_noise": (0.005, 0.5, "from 0.005 to 0.5, the standard deviation of full scale"),
    "color_removal": (0.05, 1.0, "from 0.05 to 1, the share of color removed"),
    "downsampling": (2.0, 8.0, "a whole number from 2 to 8, the factor"),
}
"""Lowest and highest strength of every corruption, and what it means (our own ranges)."""

MAX_STRIDE = 32
"""Largest product of strides: a 64×64 crop then has 2×2 pixels in the innermost map, the fewest
for which normalization by instance has a variance."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class DistorterSpec:
    """One CNN distorter: everything that its trained function depends on except photos and length.

    The axes are those of the paper's table 2 (right); which values they take is our own choice,
    since the paper publishes none.

    Args:
        id: lower-case letters, digits, "-" and "_"; at most 32.
        corruption: what is done to the input; the network is trained to undo it. "null" makes an
            autoencoder, noise a denoiser, "color_removal" a colorizer, "downsampling" a
            super-resolver.
        strength: of the corruption, see STRENGTHS.
        layers: convolutions of the encoder, and as many of the decoder; 1 to 6.
        skips: skip connections, at the innermost levels first; 0 to layers - 1.
        dropout_layers: decoder layers with dropout (rate 0.5, in training only), the innermost
            first; 0 to layers - 1.
        top_skip: force a skip connection at the highest level, whatever `skips` says.
        upsampling: of the decoder: transposed convolution, nearest or bilinear enlargement then
            convolution, or convolution then sub-pixel shuffle.
        normalization: after every convolution but the first and the last: "none", "batch" or
            "instance".
        first_stride: of the first convolution, 1 or 2; all others have stride 2.
        first_channels: channels of the first convolution, 4 to 256; they double with every layer.
        max_channels: where the doubling ends, first_channels to 512.
        discriminator_layers: strided convolutions of the PatchGAN discriminator, 1 to 4; 0 trains
            without one.
        l1_weight: weight of the pixelwise loss, the mean absolute difference in [-1, 1].
        feature_weight: weight of the feature loss (VGG).
        gan_weight: weight of the discriminator's loss.
        gan: "hinge" or "bce".
        learning_rate: of Adam, for both networks.
        seed: of initial weights, order of crops, corruption and dropout.

    Raises:
        UserError: for an unknown name or a value out of range.
    """

    id: str
    corruption: str
    strength: float = 0.0
    layers: int = 4
    skips: int = 0
    dropout_layers: int = 0
    top_skip: bool = False
    upsampling: str = "nearest"
    normalization: str = "none"
    first_stride: int = 2
    first_channels: int = 16
    max_channels: int = 64
    discriminator_layers: int = 0
    l1_weight: float = 1.0
    feature_weight: float = 0.0
    gan_weight: float = 0.0
    gan: str = "hinge"
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise self._bad("id", "1 to 32 lower-case letters, digits, - and _", "rename it")
        self._one_of("corruption", CORRUPTIONS)
        self._one_of("upsampling", UPSAMPLINGS)
        self._one_of("normalization", NORMALIZATIONS)
        self._one_of("gan", GANS)
        low, high, meaning = STRENGTHS[self.corruption]
        self._number("strength", low, high, f"for {self.corruption} {meaning}")
        if self.corruption == "downsampling" and self.strength != int(self.strength):
            raise self._bad("strength", f"for downsampling {meaning}", "use 2, 3 or 4")
        self._whole("layers", 1, 6)
        self._whole("skips", 0, self.layers - 1)
        self._whole("dropout_layers", 0, self.layers - 1)
        if not isinstance(self.top_skip, bool):
            raise self._bad("top_skip", "true or false", "use one of these")
        self._whole("first_stride", 1, 2)
        if self.stride > MAX_STRIDE:
            raise self._bad("layers", "at most 5 with first_stride 2", "use fewer layers")
        self._whole("first_channels", 4, 256)
        self._whole("max_channels", self.first_channels, 512)
        self._whole("discriminator_layers", 0, 4)
        for name in ("l1_weight", "feature_weight", "gan_weight"):
            self._number(name, 0.0, 1000.0, "from 0 to 1000")
        if self.l1_weight + self.feature_weight == 0:
            raise self._bad(
                "l1_weight",
                "above 0 where feature_weight is 0",
                "raise one of them, so that the output resembles the input",
            )
        if (self.gan_weight > 0) != (self.discriminator_layers > 0):
            raise self._bad(
                "gan_weight",
                "above 0 with a discriminator and 0 without",
                "change it or discriminator_layers",
            )
        self._number("learning_rate", 1e-7, 1e6, "above 0; 0.0002 to 0.002 is usual")
        self._whole("seed", 0, MAX_SEED)
        # 1 and 1.0 are the same value and must give the same digest.
        for field in fields(self):
            if field.type == "float":
                object.__setattr__(self, field.name, float(getattr(self, field.name)))

    @property
    def stride(self) -> int:
        """Product of all strides: sizes that are multiples of it need no padding."""
        return int(self.first_stride * 2 ** (self.layers - 1))

    @property
    def task(self) -> str:
        """What the network is trained to do, in the paper's words."""
        return {
            "null": "autoencoding",
            "color_removal": "colorization",
            "downsampling": "superresolution",
        }.get(self.corruption, "denoising")

    @property
    def keeps_color(self) -> bool:
        """Whether its input has the color that its output should have: not so for colorizers."""
        return self.corruption != "color_removal"

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels after every layer of the encoder."""
        doubled = (self.first_channels * 2**level for level in range(self.layers))
        return tuple(min(count, self.max_channels) for count in doubled)

    @property
    def skip_levels(self) -> tuple[int, ...]:
        """Levels (0 is the highest) whose encoder output is handed to the decoder."""
        inner = range(self.layers - 1 - self.skips, self.layers - 1)
        return tuple(sorted({*inner, *([0] if self.top_skip and self.layers > 1 else [])}))

    @property
    def digest(self) -> str:
        """Hash of every value and of SPEC_VERSION, 32 hexadecimal digits."""
        return digest_of({"spec_version": SPEC_VERSION, **asdict(self)})

    def _bad(self, name: str, allowed: str, remedy: str) -> UserError:
        where = "" if name == "id" else f"distorter '{self.id}': "
        return out_of_range(where + name, getattr(self, name), allowed, remedy)

    def _one_of(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise unknown_name(
                f"{name} of distorter '{self.id}':", str(value), known, f"use {', '.join(known)}"
            )

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._bad(name, f"a whole number from {low} to {high}", "choose one of these")

    def _number(self, name: str, low: float, high: float, allowed: str) -> None:
        value = getattr(self, name)
        sound = isinstance(value, int | float) and not isinstance(value, bool)
        if not sound or not math.isfinite(value) or not low <= value <= high:
            raise self._bad(name, allowed, "choose one of these")


def spec_from_values(values: Mapping[str, Any]) -> DistorterSpec:
    """A spec from a mapping of its arguments, as `dataclasses.asdict` or a TOML table gives it.

    Raises:
        UserError: for an unknown or missing key, or a bad value.
    """
    if not isinstance(values, dict):
        raise UserError(f"distorter = {shown(values)} is not allowed: it must be a table of keys")
    return parse_record(DistorterSpec, values, f"distorter '{shown(values.get('id', '?'))}'")


def read_specs(path: Path) -> tuple[DistorterSpec, ...]:
    """The distorters of a TOML file, each a `[[distorter]]` table of a spec's arguments.

    Raises:
        UserError: when the file is missing, is not TOML, has an id twice or holds a bad spec.
    """
    content = read_toml(path, "of distorters")
    for key in content:
        if key != "distorter":
            raise unknown_name(
                f"table in {path}:", key, ("distorter",), "write one [[distorter]] for each"
            )
    tables = content.get("distorter", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise UserError(f"{path} has no [[distorter]] table; write one for each distorter")
    try:
        specs = tuple(map(spec_from_values, tables))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    ids = [spec.id for spec in specs]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise UserError(f"{path} has two distorters with the id '{name}'; rename one")
    return specs


def choose_specs(
    known: Sequence[DistorterSpec], only: Sequence[str] = ()
) -> tuple[DistorterSpec, ...]:
    """The specs of some ids, or ranges of ids such as "010-020"; all where none is given.

    Raises:
        UserError: for an unknown id.
    """
    ids = [spec.id for spec in known]
    chosen = set()
    for word in only:
        first, dash, last = word.partition("-")
        if word in ids:
            chosen.add(word)
        elif dash and first in ids and last in ids and ids.index(first) <= ids.index(last):
            chosen.update(ids[ids.index(first) : ids.index(last) + 1])
        else:
            raise unknown_name("distorter", word, ids, "use ids, or ranges of ids like 010-020")
    return tuple(spec for spec in known if not only or spec.id in chosen)
