"""Distortions on arrays: traditional ones by name, and CNN distorters of a zoo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.api._arguments import LocalPath, local
from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters import zoo as zoos
from bapps_gen.cnn_distorters.as_distortions import ZooFunction, with_zoo
from bapps_gen.distortions.definition import MIN_SIDE, Distortion
from bapps_gen.distortions.registry import Registry, load_registry
from bapps_gen.distortions.steps import CNN_PREFIX, parse_step
from bapps_gen.errors import UserError
from bapps_gen.seeding import MAX_SEED

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.spec import DistorterSpec

Images = NDArray[np.uint8]
"""uint8 RGB, one image (H, W, 3) or several (N, H, W, 3), of 8×8 px or more."""


def list_distortions(plugins: Sequence[str] = ()) -> tuple[Distortion, ...]:
    """The traditional distortions: 20, and those of plugins.

    Args:
        plugins: Python files with distortions of your own, or names of installed entry points.

    Returns:
        A record for each, in the order of the table: `name`, `version`, `family`, `summary` and
        `parameters`, each with its `name`, `unit`, `default` and `allowed` range.

    Raises:
        UserError: for a plugin that cannot be used.

    Example:
        >>> import bapps_gen
        >>> distortions = bapps_gen.list_distortions()
        >>> len(distortions), sorted({record.family for record in distortions})
        (20, ['blur', 'compression', 'noise', 'photometric', 'spatial'])
        >>> [(p.name, p.unit) for d in distortions if d.name == "jpeg" for p in d.parameters][0]
        ('quality', '')
    """
    return tuple(load_registry(tuple(plugins)).atoms.values())


def list_compositions() -> tuple[str, ...]:
    """The 308 compositions of two distortions, such as "gaussian_blur+jpeg", first applied first.

    Returns:
        Their ids, for the option `compositions` of `make_dataset` and `make_benchmark`.

    Example:
        >>> import bapps_gen
        >>> compositions = bapps_gen.list_compositions()
        >>> len(compositions), "gaussian_blur+jpeg" in compositions
        (308, True)
    """
    return tuple(load_registry().compositions)


def distort(
    image: Images,
    *steps: str,
    seed: int = 0,
    plugins: Sequence[str] = (),
    zoo: LocalPath | zoos.Zoo | None = None,
) -> Images:
    """Apply distortions to an image of any size, or to each of several.

    Args:
        image: uint8 RGB of shape (H, W, 3) or (N, H, W, 3), 0 to 255, H and W of 8 px or more;
            not written to.
        steps: distortions, applied in order. Each is a name ("jpeg"), a name with parameters in
            their units ("gaussian_blur:sigma=2"), or with a severity from 0 to 2 that draws them
            ("ghosting:severity=0.5"; 0 changes nothing, 0.2 is mild, 1 is strong).
            CNN distorters are "cnn:017", or "cnn:017:strength=0.5".
        seed: of noise and random parameters, 0 to 2^63 - 1. Step k of image i
            has seed + i·len(steps) + k.
        plugins: Python files with distortions of your own, or names of installed entry points.
        zoo: folder of the CNN distorters, or the open zoo; None for the one that comes with this
            package.

    Returns:
        uint8 of the input's shape.

    Raises:
        UserError: for an unknown name or parameter, a value out of range, or another array.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> image = data.astronaut()  # uint8 (512, 512, 3)
        >>> bapps_gen.distort(image, "gaussian_blur:sigma=2", "jpeg:quality=20", seed=1).shape
        (512, 512, 3)
    """
    batch = _batch(image)
    check_range("seed", seed, 0, MAX_SEED - max(1, len(batch)) * len(steps), whole=True)
    registry = load_distortions(steps, plugins, zoo)
    distorted = np.empty_like(batch, order="C")
    for index, picture in enumerate(batch):
        first = seed + index * len(steps)
        for offset, text in enumerate(steps):
            picture = parse_step(text, registry, first + offset).apply(picture)
        distorted[index] = picture
    return distorted.reshape(image.shape)


def load_distortions(
    steps: Sequence[str], plugins: Sequence[str], zoo: LocalPath | zoos.Zoo | None
) -> Registry:
    """All distortions that steps can name; a zoo is opened where one of them names a distorter."""
    registry = load_registry(tuple(plugins))
    if any(step.startswith(CNN_PREFIX) for step in steps):
        registry = with_zoo(registry, open_zoo(zoo))
    return registry


def list_distorters(zoo: LocalPath | zoos.Zoo | None = None) -> tuple[DistorterSpec, ...]:
    """The CNN distorters of a zoo as specs: task, corruption, network and losses.

    Args:
        zoo: its folder, or the open zoo; None for the 96 of this package, trained or not.

    Returns:
        A spec for each, in the zoo's order; `id` is what `open_zoo()[id]` and
        `distort(image, "cnn:ID")` take.

    Raises:
        UserError: when there is no zoo in the folder, or torch is missing.

    Example:
        >>> import bapps_gen
        >>> specs = bapps_gen.list_distorters()
        >>> len(specs), specs[17].id, specs[17].task
        (96, '017', 'denoising')
    """
    if zoo is None:
        from bapps_gen.cnn_distorters.table import shipped_specs

        return shipped_specs()
    opened = open_zoo(zoo)
    return tuple(map(opened.spec, opened.ids))


@dataclass(frozen=True, slots=True)
class Distorter:
    """One CNN distorter of a zoo, as a function of images: `zoo["017"](image)`.

    Args:
        zoo: that it belongs to.
        id: of it in the zoo.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> distorter = bapps_gen.open_zoo()["017"]
        >>> distorter.spec.task, distorter.record["held_out"]["lpips"]["median"] > 0
        ('denoising', True)
        >>> distorter(data.astronaut()[:64, :64], strength=0.5, seed=3).shape
        (64, 64, 3)
    """

    zoo: zoos.Zoo
    id: str

    @property
    def spec(self) -> DistorterSpec:
        """What it was trained as."""
        return self.zoo.spec(self.id)

    @property
    def record(self) -> Mapping[str, Any]:
        """How it was trained, and its LPIPS on held-out patches."""
        return self.zoo.record(self.id)

    @property
    def digest(self) -> str:
        """Names its function: 32 hexadecimal digits."""
        return self.zoo.digest(self.id)

    def __call__(self, image: Images, *, strength: float = 1.0, seed: int = 0) -> Images:
        """Distort an image of any size, or each of several.

        Args:
            image: uint8 RGB of shape (H, W, 3) or (N, H, W, 3), H and W of 8 px or more; not
                written to.
            strength: share of the way from the input to the network's output, 0 to 1; 1 is as
                trained.
            seed: 0 to 2^63 - 1; image i has seed + i. Only distorters that corrupt their input
                with noise use it.

        Returns:
            uint8 of the input's shape; byte for byte the same on one machine with one version of
            torch.

        Raises:
            UserError: for another array, or a strength or seed out of range.
            WorkError: when the distorter's file is missing or damaged.
        """
        batch = _batch(image)
        check_range("seed", seed, 0, MAX_SEED - len(batch), whole=True)
        seeds = range(seed, seed + len(batch))
        function = ZooFunction(self.zoo, self.id)
        return function.many(batch, seeds, [strength] * len(batch)).reshape(image.shape)


class Zoo(zoos.Zoo):
    """Trained CNN distorters by id; `open_zoo` gives it.

    `zoo.ids` are the ids, `zoo["017"]` is a `Distorter`, `len(zoo)` their number, and iterating
    gives the ids. A distorter's file is read and checked when it is first used.
    """

    def __getitem__(self, name: str) -> Distorter:
        """The distorter of an id.

        Raises:
            UserError: for an unknown id, with the nearest known one.
        """
        self.spec(name)
        return Distorter(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __repr__(self) -> str:
        return f"<Zoo '{self.folder}': {len(self)} distorters>"


def open_zoo(folder: LocalPath | zoos.Zoo | None = None) -> Zoo:
    """Open a zoo of trained CNN distorters.

    Args:
        folder: its folder; None for the zoo of 96 that comes with this package.

    Returns:
        The zoo: `zoo[id]` is a distorter, to be called with images.

    Raises:
        UserError: when there is no zoo in the folder, or torch is missing.
        WorkError: when its index is damaged.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> zoo = bapps_gen.open_zoo()
        >>> len(zoo), "017" in zoo
        (96, True)
        >>> zoo["017"](data.astronaut()[:64, :96]).shape  # uint8 (H, W, 3) in and out
        (64, 96, 3)
    """
    if isinstance(folder, Zoo):
        return folder
    opened = folder if isinstance(folder, zoos.Zoo) else zoos.open_zoo(local(folder))
    return Zoo(opened.folder, opened.entries, opened.table_version)


def _batch(image: Images) -> Images:
    """An image or several as (N, H, W, 3).

    Raises:
        UserError: for another array.
    """
    if not isinstance(image, np.ndarray):
        raise UserError(
            f"image is a {type(image).__name__}; give a NumPy array, such as read_image gives"
        )
    if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
        raise UserError(
            f"image is {image.dtype} {image.shape}; give uint8 RGB of shape (H, W, 3) or "
            "(N, H, W, 3)"
        )
    height, width = image.shape[-3:-1]
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"image is {width}×{height} px; distortions need {MIN_SIDE}×{MIN_SIDE} px or more"
        )
    return image if image.ndim == 4 else image[None]
