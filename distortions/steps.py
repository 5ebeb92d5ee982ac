"""A distortion as a user writes it: `jpeg:quality=20,subsampling=420`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bapps_gen.checks import MAX_SEVERITY, check_range
from bapps_gen.distortions.definition import Distortion, Patch
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.seeding import MAX_SEED, SLOT_ROW, generator

CNN_PREFIX = "cnn:"
"""Before the id of a CNN distorter, in the names of distortions: "cnn:017"."""


@dataclass(frozen=True, slots=True)
class ParsedStep:
    """A distortion with everything that determines its effect.

    `severity`, from 0 to MAX_SEVERITY, is what parameters were drawn from, or None.
    """

    distortion: Distortion
    params: dict[str, float]
    seed: int
    severity: float | None

    def apply(self, image: Patch) -> Patch:
        """The distorted image: uint8 RGB of the input's shape (H, W, 3)."""
        return self.distortion.apply(image, self.params, generator(self.seed))


def parse_step(text: str, registry: Registry, seed: int = 0) -> ParsedStep:
    """Read `NAME` or `NAME:key=value,key=value`; the name of a CNN distorter contains a colon.

    Keys are the distortion's parameters, in their units, and two more: `severity`, from 0 to
    MAX_SEVERITY, from which every parameter that is not given is drawn; and `seed`, for this step
    alone, which determines these parameters and the noise. Without `severity`, parameters that
    are not given have their defaults.

    Args:
        seed: used where the text gives none, from 0 to 2^63 - 1.

    Raises:
        UserError: for an unknown name or parameter, or a value outside its allowed range.
    """
    prefix = CNN_PREFIX if text.startswith(CNN_PREFIX) else ""
    name, colon, listed = text.removeprefix(prefix).partition(":")
    name = prefix + name.strip()
    if "+" in name:
        raise UserError(
            f"'{name}' is a composition; give its members one after the other, such as "
            + " ".join(f"--with {member}" for member in name.split("+"))
        )
    distortion = _distorter(name, registry) if prefix else registry.atom(name)
    given: dict[str, float] = {}
    severity: float | None = None
    seen: set[str] = set()
    if colon and not listed.strip():
        raise UserError(f"'{text}' has nothing after the colon; write {_example(distortion)}")
    for item in listed.split(",") if listed else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or not value:
            raise UserError(
                f"'{item.strip()}' in '{text}' is not of the form name=value; "
                f"write it like {_example(distortion)}"
            )
        if key in seen:
            raise UserError(f"'{key}' is given twice in '{text}'; give it once")
        seen.add(key)
        if key == "severity" and distortion.parameters:
            severity = _number(f"{name}:severity", value)
            check_range(f"{name}:severity", severity, 0, MAX_SEVERITY)
        elif key == "seed":
            seed = _seed(f"{name}:seed", value)
        elif not distortion.parameters:
            raise UserError(
                f"{name} has no parameter '{key}': it has none; write {_example(distortion)}"
            )
        else:
            given[key] = _number(f"{name}:{key}", value)
    if severity is None:
        return ParsedStep(distortion, distortion.complete(given), seed, None)
    # Draws come from another stream of the seed than the noise, which `apply` takes.
    words = generator(seed, slot=SLOT_ROW).bit_generator.random_raw(len(distortion.parameters))
    drawn = distortion.draw(severity, [float(word) * 2.0**-53 for word in words >> np.uint64(11)])
    return ParsedStep(distortion, distortion.complete(drawn | given), seed, severity)


def _distorter(name: str, registry: Registry) -> Distortion:
    if name in registry.atoms:
        return registry.atoms[name]
    known = [
        atom.removeprefix(CNN_PREFIX) for atom in registry.atoms if atom.startswith(CNN_PREFIX)
    ]
    remedy = "`bapps-gen distorters` lists them all"
    raise unknown_name("CNN distorter", name.removeprefix(CNN_PREFIX), known, remedy)


def _example(distortion: Distortion) -> str:
    if not distortion.parameters:
        return f"{distortion.name} or {distortion.name}:seed=1"
    parameter = distortion.parameters[0]
    return f"{distortion.name}:{parameter.name}={parameter.default:.3g}"


def _number(label: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise out_of_range(label, value, "a number", "write it like 0.5")
    return number


def _seed(label: str, value: str) -> int:
    if not value.isdecimal() or not 0 <= int(value) <= MAX_SEED:
        raise out_of_range(
            label, value, f"a whole number from 0 to {MAX_SEED}", "give one in that range"
        )
    return int(value)
