"""The texts that name feature nets. Importing this module does not import torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.checks import MAX_SEED
from bapps_gen.errors import UserError, out_of_range, unknown_name


@dataclass(frozen=True, slots=True)
class NetKind:
    """One way to name feature nets.

    Attributes:
        name: of the kind, which its texts begin with.
        form: how its texts look, in capitals what is filled in.
        description: what the network is.
        source: where it is from.
    """

    name: str
    form: str
    description: str
    source: str


_SELF_SUPERVISED = "trained without labels, AlexNet form"

NET_KINDS: tuple[NetKind, ...] = (
    NetKind("alex", "alex", "AlexNet trained on ImageNet", "torchvision; comes with the package"),
    NetKind("vgg", "vgg", "VGG-16 trained on ImageNet", "torchvision"),
    NetKind("squeeze", "squeeze", "SqueezeNet 1.1 trained on ImageNet", "torchvision"),
    NetKind(
        "random",
        "random-NET[:SEED]",
        "alex, vgg or squeeze with random Gaussian weights",
        "made when it is loaded; seed 0 where none is given",
    ),
    NetKind(
        "kmeans",
        "kmeans-NET",
        "alex, vgg or squeeze with stacked k-means weights, from photographs without labels",
        "Krähenbühl et al., ICLR 2016; made when it is loaded, from scikit-image's photographs",
    ),
    NetKind(
        "trunk",
        "trunk:FILE",
        "alex, vgg or squeeze with the weights in a file",
        "torchvision's names of weights; also written by `make-trunk`",
    ),
    NetKind(
        "puzzle",
        "puzzle:FILE",
        f"jigsaw puzzles, {_SELF_SUPERVISED}",
        "Noroozi & Favaro, ECCV 2016",
    ),
    NetKind("bigan", "bigan:FILE", f"BiGAN, {_SELF_SUPERVISED}", "Donahue et al., ICLR 2017"),
    NetKind(
        "split-brain",
        "split-brain:FILE",
        f"split-brain autoencoder, {_SELF_SUPERVISED}",
        "Zhang et al., CVPR 2017",
    ),
    NetKind(
        "video", "video:FILE", f"objects that move, {_SELF_SUPERVISED}", "Pathak et al., CVPR 2017"
    ),
    NetKind(
        "features",
        "features:FILE.py:NAME",
        "any torch module that returns a list of feature maps",
        "your Python file",
    ),
    NetKind("timm", "timm:MODEL[@FILE]", "any model of timm that gives feature maps", "timm"),
)

SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Least height and width in px that every layer of a trunk accepts."""

SMALLEST_FORM = 23
"""As SMALLEST, for the self-supervised AlexNets, whose first layer has no padding."""

_MADE = re.compile(r"(random|kmeans)-(\w+)(?::(.*))?")
_FILES = ("trunk", "puzzle", "bigan", "split-brain", "video")


@dataclass(frozen=True, slots=True)
class NetText:
    """What a text that names a feature net says, before anything is loaded.

    Attributes:
        given: the text.
        kind: that of NET_KINDS.
        name: that of the FeatureNet.
        net: the architecture, one of `SMALLEST`, where the text says it.
        seed: of random weights.
        path: the file with weights or code, which parallel workers need, too.
        member: what is taken of a Python file or of timm.
        smallest: least height and width in px, 1 where it is known only of the loaded network.
    """

    given: str
    kind: str
    name: str
    net: str = ""
    seed: int = 0
    path: Path | None = None
    member: str = ""
    smallest: int = 1

    @property
    def files(self) -> tuple[Path, ...]:
        """Local files that are read."""
        return () if self.path is None else (self.path,)


def is_net(text: str) -> bool:
    """Whether a text has the form of a feature net's name; it may still name none."""
    kind, colon, _ = text.partition(":")
    if text in SMALLEST or (colon and kind in (*_FILES, "features", "timm")):
        return True
    return _MADE.fullmatch(text) is not None


def parse_net(given: str) -> NetText:
    """What a text that names a feature net says.

    Raises:
        UserError: for a text of another form.
    """
    if given in SMALLEST:
        return NetText(given, given, given, given, smallest=SMALLEST[given])
    made = _MADE.fullmatch(given)
    if made:
        return _made_net(given, *made.groups())
    kind, colon, rest = given.partition(":")
    if not colon or not is_net(given):
        forms = ", ".join(kind.form for kind in NET_KINDS)
        names = [kind.name for kind in NET_KINDS]
        raise unknown_name("feature net", given, names, f"give one of {forms}")
    if kind in _FILES:
        if not rest:
            raise UserError(f"{given} names no file; give {kind}:FILE")
        path = Path(rest)
        smallest = 1 if kind == "trunk" else SMALLEST_FORM
        name = path_safe(f"{kind}-{path.stem}")
        return NetText(given, kind, name, path=path, smallest=smallest)
    if kind == "features":
        file, _, member = rest.rpartition(":")
        if not file or not member:
            raise UserError(f"{given} does not name a net; give features:FILE.py:NAME")
        path = Path(file)
        name = path_safe(f"features-{path.stem}-{member}")
        return NetText(given, kind, name, path=path, member=member)
    model, _, file = rest.partition("@")
    if not model:
        raise UserError(f"{given} names no model; give timm:MODEL or timm:MODEL@FILE")
    weights = Path(file) if file else None
    stem = f"-{weights.stem}" if weights else ""
    return NetText(given, kind, path_safe(f"timm-{model}{stem}"), path=weights, member=model)


def _made_net(given: str, kind: str, net: str, seed: str | None) -> NetText:
    if net not in SMALLEST:
        remedy = f"choose one of {', '.join(f'{kind}-{name}' for name in SMALLEST)}"
        raise unknown_name("feature net", given, [f"{kind}-{name}" for name in SMALLEST], remedy)
    if kind == "kmeans":
        if seed is not None:
            raise UserError(
                f"{given} has a seed, which {kind}-{net} does not take; `make-trunk` makes "
                "others, to be given as trunk:FILE"
            )
        return NetText(given, kind, f"{kind}-{net}", net, smallest=SMALLEST[net])
    number = int(seed) if seed and seed.isascii() and seed.isdecimal() else 0
    if seed is not None and (seed != str(number) or number > MAX_SEED):
        allowed = f"a whole number from 0 to {MAX_SEED}"
        raise out_of_range(f"seed of {given}", seed, allowed, f"give for example {kind}-{net}:1")
    name = f"{kind}-{net}-{number}"
    return NetText(given, kind, name, net, number, smallest=SMALLEST[net])


def path_safe(text: str) -> str:
    """A text as part of a file's name: what is no letter, digit, dot, dash or underscore is "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "net"
