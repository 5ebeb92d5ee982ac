"""What a distortion is: one frozen record with its parameters, and how severity sets them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError, out_of_range

Patch = NDArray[np.uint8]
"""An RGB image, uint8, shape (H, W, 3) with H, W ≥ MIN_SIDE."""

MIN_SIDE = 8
"""Smallest height and width of an image, in px."""

Apply = Callable[[Patch, Mapping[str, float], np.random.Generator], Patch]

MILD_SEVERITY = 0.2
"""The severity at which a parameter takes its mild end (own choice: a fifth of the way up)."""


WEAK_POWER = 0.75
"""Highest power by which parameters follow severities below MILD_SEVERITY (own choice)."""


@dataclass(frozen=True, slots=True)
class SeverityParameter:
    """A parameter that follows severity.

    Severity s gives `identity + (strong - identity) * s**g`, where the power g makes
    s = MILD_SEVERITY give the mild end: the identity at 0, mild at MILD_SEVERITY, strong at 1,
    continuous and monotone between. Below MILD_SEVERITY the power is WEAK_POWER at most, since
    a higher one would soon change nothing. From 1 to MAX_SEVERITY the same law goes
    on, and stays at the end of `allowed` once it is there. Weber's law suggests a power; the
    ranges are our own choice, calibrated with LPIPS (the paper publishes none): a median of about
    0.03 at the mild end stands in for "just noticeable", without human data.

    Args:
        name: lower-case name, unique within its distortion.
        unit: physical unit, such as "px" or "of full scale".
        identity: the value that changes nothing.
        range: (mild, strong) for each direction away from the identity; a direction is chosen
            uniformly.
        allowed: lowest and highest value a user may give.
        summary: one line for tables.
        integer: whether values are whole numbers (they are rounded).
        default: used where a user gives none; left out, the value at severity 0.5 in the first
            direction.

    Raises:
        UserError: where a mild end does not lie between the identity and the strong end, or a
            value lies outside `allowed`.
    """

    name: str
    unit: str
    identity: float
    range: tuple[tuple[float, float], ...]
    allowed: tuple[float, float]
    summary: str
    integer: bool = False
    default: float = math.nan
    powers: tuple[float, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        powers = []
        for mild, strong in self.range:
            if not (self.identity < mild < strong or self.identity > mild > strong):
                raise UserError(
                    f"parameter {self.name}: the mild end {mild:g} must lie between the identity "
                    f"{self.identity:g} and the strong end {strong:g}"
                )
            ratio = (mild - self.identity) / (strong - self.identity)
            powers.append(math.log(ratio) / math.log(MILD_SEVERITY))
            _require_allowed(self.name, self.allowed, self.identity, mild, strong)
        if not powers:
            raise UserError(f"parameter {self.name}: give at least one (mild, strong) pair")
        object.__setattr__(self, "powers", tuple(powers))
        if math.isnan(self.default):
            object.__setattr__(self, "default", self.at(0.5, 0.0))
        _require_allowed(self.name, self.allowed, self.default)

    def at(self, severity: float, uniform: float) -> float:
        """The value at a severity up to MAX_SEVERITY; `uniform` in [0, 1) chooses the direction."""
        branch = int(uniform * len(self.range))
        mild, strong = self.range[branch]
        power = self.powers[branch]
        if severity < MILD_SEVERITY and power > WEAK_POWER:
            share = (severity / MILD_SEVERITY) ** WEAK_POWER
            value = self.identity + (mild - self.identity) * share
        else:
            value = self.identity + (strong - self.identity) * severity**power
        if severity > 1:
            low, high = self.allowed
            value = min(max(value, low), high)
        return float(round(value)) if self.integer else value


@dataclass(frozen=True, slots=True)
class RandomParameter:
    """A parameter sampled independently of severity, such as a direction.

    Args:
        name: lower-case name, unique within its distortion.
        unit: physical unit, such as "px" or "degrees".
        default: used where a user gives none.
        allowed: lowest and highest value a user may give (with `choices`: only those).
        summary: one line for tables.
        range: lowest and highest value of a uniform sample; unused where there are `choices`.
        choices: the values to choose from uniformly, where only some are meaningful.
        integer: whether values are whole numbers.

    Raises:
        UserError: where a value lies outside `allowed`.
    """

    name: str
    unit: str
    default: float
    allowed: tuple[float, float]
    summary: str
    range: tuple[float, float] = (0.0, 1.0)
    choices: tuple[float, ...] = ()
    integer: bool = False

    def __post_init__(self) -> None:
        _require_allowed(self.name, self.allowed, self.default, *(self.choices or self.range))

    def at(self, severity: float, uniform: float) -> float:
        """The value that `uniform` in [0, 1) gives; severity plays no part."""
        if self.choices:
            return self.choices[int(uniform * len(self.choices))]
        low, high = self.range
        if self.integer:
            return float(math.floor(low + (high - low + 1) * uniform))
        return low + (high - low) * uniform


Parameter = SeverityParameter | RandomParameter


@dataclass(frozen=True, slots=True)
class Distortion:
    """One distortion: everything there is to know about it.

    Args:
        name: stable lower-case id, such as "gaussian_blur".
        version: raised whenever the same parameters give other pixels.
        family: "photometric", "noise", "blur", "spatial", "compression" or a user's own.
        summary: one line for tables.
        parameters: in a fixed order; each takes one uniform number when sampled.
        function: `function(patch, params, rng) -> patch`, pure: a new uint8 array of the shape
            of `patch`, (H, W, 3), from parameter values by name and a generator that is the only
            source of randomness.
        has_identity: whether severity 0 returns the input exactly (not so for JPEG).
    """

    name: str
    version: int
    family: str
    summary: str
    parameters: tuple[Parameter, ...]
    function: Apply
    has_identity: bool = True

    def draw(self, severity: float, uniforms: Sequence[float]) -> dict[str, float]:
        """Parameter values by name at a severity from 0 to MAX_SEVERITY.

        `uniforms` holds at least len(parameters) numbers in [0, 1), used in order.
        """
        return {
            parameter.name: parameter.at(severity, uniform)
            for parameter, uniform in zip(self.parameters, uniforms, strict=False)
        }

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """All parameter values, from those that a user gives and the defaults for the rest.

        Raises:
            UserError: for an unknown parameter or a value outside its allowed range.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                raise UserError(f"{self.name} has no parameter '{name}'; it has {', '.join(names)}")
        values = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            check_value(f"{self.name}:{parameter.name}", parameter, value)
            values[parameter.name] = float(value)
        return values

    def apply(self, patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
        """The distorted patch: uint8 RGB of the input's shape, never the input itself."""
        return self.function(patch, params, rng)


def _require_allowed(name: str, allowed: tuple[float, float], *values: float) -> None:
    low, high = allowed
    for value in values:
        if not low <= value <= high:
            raise UserError(
                f"parameter {name}: {value:g} lies outside its allowed range {low:g} to {high:g}; "
                "widen the range or change the value"
            )


def check_value(label: str, parameter: Parameter, value: float) -> None:
    """Raise UserError unless `value` is one that the parameter allows."""
    choices = parameter.choices if isinstance(parameter, RandomParameter) else ()
    if choices:
        if value not in choices:
            listed = ", ".join(f"{choice:g}" for choice in choices)
            raise out_of_range(label, f"{value:g}", f"one of {listed}", "choose one of these")
        return
    low, high = parameter.allowed
    whole = parameter.integer and value != math.floor(value) if math.isfinite(value) else True
    if not math.isfinite(value) or whole or not low <= value <= high:
        kind = "a whole number" if parameter.integer else "a number"
        unit = f" ({parameter.unit})" if parameter.unit else ""
        raise out_of_range(
            label, f"{value:g}", f"{kind} from {low:g} to {high:g}{unit}", "give one in that range"
        )


def check_stored(
    distortion: Distortion, params: Sequence[tuple[str, float]], *, optional: bool = False
) -> None:
    """Raise UserError unless stored parameters are all that a distortion has, each as allowed.

    Args:
        optional: whether there may be none, as of a CNN distorter that distorts as trained.
    """
    names = [parameter.name for parameter in distortion.parameters]
    given = dict(params)
    if [name for name, _ in params] != names and (params or not optional):
        listed = ", ".join(name for name, _ in params) or "none"
        raise UserError(
            f"{distortion.name} has the parameters {', '.join(names) or 'none'}, not {listed}; "
            "restore the recipe from a copy"
        )
    for parameter in distortion.parameters:
        if parameter.name in given:
            value = given[parameter.name]
            # Drawn values may miss a bound by a rounding error.
            near = [bound for bound in parameter.allowed if math.isclose(value, bound)]
            check_value(f"{distortion.name}:{parameter.name}", parameter, *(near or [value])[:1])


def check_distortion(distortion: Distortion) -> None:
    """Raise UserError where a record breaks the rules that plans and manifests rely on."""
    # Records come from users' files too, where nothing has checked the types.
    name: object = distortion.name
    word = isinstance(name, str) and name.replace("_", "").isalnum() and name.isascii()
    if not word or distortion.name != distortion.name.lower():
        raise UserError(
            f"distortion name {name!r} is not allowed: use lower-case letters, digits and _"
        )
    for label, value, kind, expected in (
        ("version", distortion.version, int, "a whole number"),
        ("family", distortion.family, str, "text"),
        ("summary", distortion.summary, str, "text"),
        (
            "parameters",
            distortion.parameters,
            tuple,
            "a tuple of SeverityParameter and RandomParameter",
        ),
        ("has_identity", distortion.has_identity, bool, "True or False"),
    ):
        if not isinstance(value, kind):
            raise UserError(
                f"{name}: {label} is of type {type(value).__name__}; it must be {expected}"
            )
    if not all(isinstance(parameter, Parameter) for parameter in distortion.parameters):
        raise UserError(
            f"{name}: each of its parameters must be a SeverityParameter or a RandomParameter"
        )
    if not callable(distortion.function):
        raise UserError(f"{name}: its function cannot be called; give function(patch, params, rng)")
    if distortion.version < 1:
        raise out_of_range(
            f"{distortion.name}: version", distortion.version, "1 or more", "start at 1"
        )
    names = [parameter.name for parameter in distortion.parameters]
    for label in names:
        if not isinstance(label, str) or not label.isidentifier():
            raise UserError(
                f"{distortion.name}: parameter name {label!r} is not allowed: "
                "use letters, digits and _"
            )
    if len(set(names)) != len(names):
        raise UserError(f"{distortion.name}: two parameters have one name ({', '.join(names)})")
    if len(names) > MAX_PARAMETERS:
        raise out_of_range(
            f"{distortion.name}: number of parameters",
            len(names),
            f"at most {MAX_PARAMETERS}",
            "derive the rest from the generator that the function is given",
        )
    if "severity" in names or "seed" in names:
        raise UserError(f"{distortion.name}: 'severity' and 'seed' are reserved parameter names")


MAX_PARAMETERS = 6
"""A row's plan has random numbers for this many parameters per step."""
