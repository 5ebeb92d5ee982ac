"""The texts that name feature nets. Importing this module does not import torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.errors import unknown_name


@dataclass(frozen=True, slots=True)
class NetKind:
    """One way to name feature nets.

    Attributes:
        form: how its texts look, in capitals what is filled in.
        description: what the network is.
        source: where it is from.
    """

    form: str
    description: str
    source: str


NET_KINDS: tuple[NetKind, ...] = (
    NetKind("alex", "AlexNet trained on ImageNet", "torchvision; comes with the package"),
    NetKind("vgg", "VGG-16 trained on ImageNet", "torchvision, downloaded"),
    NetKind("squeeze", "SqueezeNet 1.1 trained on ImageNet", "torchvision, downloaded"),
)


@dataclass(frozen=True, slots=True)
class NetText:
    """What a text that names a feature net says, before anything is loaded.

    Attributes:
        given: the text.
        kind: "imagenet".
        name: that of the FeatureNet.
        net: the architecture, where the text names one of NETS.
        files: local files that are read, which parallel workers need, too.
        smallest: least height and width in px, 1 where it is known only of the loaded network.
    """

    given: str
    kind: str
    name: str
    net: str = ""
    files: tuple[Path, ...] = ()
    smallest: int = 1


SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Least height and width in px that every layer of a trunk accepts."""


def is_net(text: str) -> bool:
    """Whether a text has the form of a feature net's name; it may still name none."""
    return text in SMALLEST


def parse_net(given: str) -> NetText:
    """What a text that names a feature net says.

    Raises:
        UserError: for a text of another form.
    """
    if given in SMALLEST:
        return NetText(given, "imagenet", given, given, smallest=SMALLEST[given])
    forms = [kind.form for kind in NET_KINDS]
    raise unknown_name("feature net", given, SMALLEST, f"give one of {', '.join(forms)}")


def path_safe(text: str) -> str:
    """A text as part of a file's name: what is no letter, digit, dot, dash or underscore is "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "net"
