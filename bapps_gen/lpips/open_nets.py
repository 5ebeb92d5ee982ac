"""Feature nets from a user's Python file and from timm, checked before and while they are used."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bapps_gen.errors import UserError, one_line
from bapps_gen.lpips.feature_net import SCALE, SHIFT, FeatureNet, weights_digest
from bapps_gen.lpips.net_names import NetText
from bapps_gen.plugins import load_plugin, reason

TRIAL_SIDES = (64, 128, 224, 256, 384, 512)
"""Sizes in px at which a net is tried; the search for its least size starts from the first that
it takes."""


class CheckedNet(nn.Module):
    """A net from elsewhere; what it returns is checked at every call.

    Args:
        net: takes (N, 3, H, W) and should return a list of maps (N, C, h, w).
        label: begins errors.
        path: of the Python file that it comes from.
    """

    def __init__(self, net: nn.Module, label: str, path: Path | None) -> None:
        super().__init__()
        self.net = net
        self._label = label
        self._path = path
        self.channels: tuple[int, ...] | None = None

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to one (N, C, h, w) per map.

        Raises:
            UserError: for anything else, values that are not finite, or a net that fails.
        """
        try:
            returned = self.net(x)
        except (torch.OutOfMemoryError, UserError):
            raise
        except (Exception, SystemExit) as error:
            size = "×".join(map(str, x.shape[2:]))
            raise self._error(
                f"it fails on images of {size} px: {reason(error, self._path)}"
            ) from error
        if not isinstance(returned, list | tuple) or not returned:
            raise self._error(
                f"it returned {_describe(returned)}; return a list of feature maps (N, C, h, w)"
            )
        for number, part in enumerate(returned):
            if not isinstance(part, Tensor) or part.ndim != 4 or not part.is_floating_point():
                problem = _describe(part)
            elif len(part) != len(x) or not part.numel():
                problem = f"shape {tuple(part.shape)} for {len(x)} images"
            else:
                continue
            raise self._error(f"map {number} is {problem}; return float maps (N, C, h, w)")
        channels = tuple(part.shape[1] for part in returned)
        if self.channels is not None and channels != self.channels:
            raise self._error(
                f"it returned maps of {_numbers(channels)} channels, but {_numbers(self.channels)}"
                " when it was tried; return the same maps for all sizes"
            )
        for number, part in enumerate(returned):
            # The largest is finite only where all values are: NaN counts as larger than any.
            if not math.isfinite(float(part.detach().abs().amax())):
                raise self._error(
                    f"map {number} has values that are not finite; correct the net or its weights"
                )
        return list(returned)

    def _error(self, problem: str) -> UserError:
        return UserError(f"feature net {self._label}: {problem}")


def features_net(text: NetText) -> FeatureNet:
    """The net that a "features:FILE.py:NAME" names.

    NAME is a torch module, or a function or class that gives one when it is called without
    arguments; random numbers that it draws from torch then are those of seed 0. It takes RGB in
    ImageNet's normalization, or in that of its attributes `mean` and `std`, of R, G, B in [0, 1].

    Raises:
        UserError: for anything wrong with the file or with what it gives.
    """
    label = text.given
    plugin = _seeded(lambda: load_plugin(f"{text.path}:{text.member}", f"feature net {label}"))
    module: Any = plugin.value
    if not isinstance(module, nn.Module):
        if not callable(module):
            raise UserError(
                f"feature net {label}: {plugin.name} is of type {type(module).__name__}; give a "
                "torch module, or a function or class that makes one"
            )
        module = _made(module, label, plugin.path)
    mean, std = (
        getattr(module, name, getattr(plugin.value, name, None)) for name in ("mean", "std")
    )
    shift, scale = _normalization(mean, std, label)
    return _checked(text, module, shift, scale, plugin.path, plugin.digest)


def timm_net(text: NetText) -> FeatureNet:
    """A model of timm that gives feature maps, in its own normalization, with trained weights.

    They are those that timm publishes, from its cache or the network, or in the text's file.

    Raises:
        UserError: where timm or the weights cannot be had, or the model gives no feature maps.
    """
    label = text.given
    try:
        import timm
    except Exception as error:  # timm imports torchvision, which may fail in its own ways
        raise UserError(
            f"feature net {label} needs timm, which cannot be imported ({one_line(error)[:120]});"
            " run: pip install timm"
        ) from error
    if not timm.is_model(text.member.partition(".")[0]):
        raise UserError(
            f"feature net {label}: timm has no model of that name; see timm.list_models"
        )
    if text.path is not None and not text.path.is_file():
        raise UserError(f"feature net {label}: {text.path} is no file; correct the path")
    overlay = {} if text.path is None else {"pretrained_cfg_overlay": {"file": str(text.path)}}

    def make() -> nn.Module:
        made: nn.Module = timm.create_model(
            text.member, pretrained=True, features_only=True, **overlay
        )
        return made

    try:
        # Weights that a file lacks are drawn at random, which timm accepts: they differ by seed.
        module, other = (_seeded(make, seed) for seed in (0, 1))
    except (Exception, SystemExit) as error:
        remedy = (
            "give weights of that model"
            if text.path
            else f"give a model whose weights are in timm's cache, or {label}@FILE"
        )
        raise UserError(
            f"feature net {label}: it cannot be made ({one_line(error)[:160]}); {remedy}"
        ) from error
    if weights_digest(module) != weights_digest(other):
        raise UserError(
            f"feature net {label}: its file lacks some of the model's weights; give weights of "
            "that model"
        )
    config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    shift, scale = _normalization(config.get("mean"), config.get("std"), label)
    return _checked(text, module, shift, scale, None, timm.__version__)


def _made(factory: Callable[[], Any], label: str, path: Path) -> nn.Module:
    try:
        module = _seeded(factory)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"feature net {label}: it cannot be made without arguments: {reason(error, path)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"feature net {label}: it gave {_describe(module)}; return a torch module")
    return module


def _seeded(factory: Callable[[], Any], seed: int = 0) -> Any:
    """What a factory makes, with torch's random numbers of a seed, its generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def _normalization(
    mean: object, std: object, label: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation of R, G, B in [0, 1] as shift and scale of RGB in [-1, 1]."""
    if mean is None and std is None:
        return SHIFT, SCALE
    values = []
    for name, given in (("mean", mean), ("std", std)):
        try:
            numbers = tuple(float(value) for value in given)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
            raise UserError(
                f"feature net {label}: {name} = {given!r} must be three numbers, of R, G, B in "
                "[0, 1]; declare mean and std, or neither for ImageNet's"
            )
        values.append(numbers)
    means, deviations = values
    if min(deviations) <= 0:
        raise UserError(f"feature net {label}: std = {std!r} must be above 0; correct it")
    red, green, blue = (2 * value - 1 for value in means)
    first, second, third = (2 * value for value in deviations)
    return (red, green, blue), (first, second, third)


def _checked(
    text: NetText,
    module: nn.Module,
    shift: tuple[float, float, float],
    scale: tuple[float, float, float],
    path: Path | None,
    version: str,
) -> FeatureNet:
    """A net with its channels and least size, which are found by trying it."""
    net = CheckedNet(module.float().cpu(), text.given, path).eval().requires_grad_(False)
    with torch.no_grad():
        largest, channels = _first_size(net)
        net.channels = channels
        smallest = _least_size(net, largest)
    digest = hashlib.sha256(f"{version} {weights_digest(net)}".encode()).hexdigest()[:16]
    return FeatureNet(text.name, text.given, net, channels, smallest, shift, scale, digest)


def _trial(side: int) -> Tensor:
    """Two different pictures of smooth waves, (2, 3, side, side), about −2 to 2."""
    ramp = torch.linspace(0, 6, side)
    waves = torch.stack([torch.sin(ramp * k) for k in range(1, 7)])
    return (waves[:, :, None] + waves.flip(0)[:, None, :]).view(2, 3, side, side)


def _first_size(net: CheckedNet) -> tuple[int, tuple[int, ...]]:
    """The first of TRIAL_SIDES that a net takes, and its channels."""
    problem: UserError | None = None
    for side in TRIAL_SIDES:
        try:
            return side, tuple(part.shape[1] for part in net(_trial(side)))
        except UserError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _least_size(net: CheckedNet, largest: int) -> int:
    """The least side that a net takes, if it takes all from there on to `largest`."""
    low, high = 0, largest
    while high - low > 1:
        side = (low + high) // 2
        try:
            net(_trial(side))
            high = side
        except UserError:
            low = side
    return high


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return (
            f"a tensor of {str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
        )
    return f"a value of type {type(value).__name__}"


def _numbers(channels: tuple[int, ...]) -> str:
    return ", ".join(map(str, channels))
