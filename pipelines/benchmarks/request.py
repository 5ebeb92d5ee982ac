"""What a user asks a benchmark to be, and what follows from it: `BenchmarkRequest.resolve`.

Imports nothing heavy on its own, since the command line's help derives from the fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.checks import convert_options
from bapps_gen.errors import UserError
from bapps_gen.pipelines.benchmarks.options import ALL, LEVELS, PATCHES, REDUCED_SIDE, SEVERITIES
from bapps_gen.pipelines.rows.options import (
    ATOMS,
    COMPOSITIONS,
    CROP_SHARE,
    DISTORTERS,
    FAMILIES,
    FIXED_PX,
    MIN_CONTRAST,
    PATCH_SIZE,
    PLUGINS,
    SCALE_RANGE,
    SEED,
    ZOO,
    CropOptions,
    resolve_crop_sizes,
)
from bapps_gen.version import __version__

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.distortions.registry import Registry
    from bapps_gen.pipelines.benchmarks.make import BenchmarkPlan
    from bapps_gen.pipelines.sources.source import Source


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """A benchmark as a user asks for it.

    Args:
        levels: number of severities, at equal steps up to 1.
        severities: these instead.
        families, atoms, compositions: see `choose_variants`.
        distorters: ids, and ranges of ids, of CNN distorters, or "all".
        zoo: folder of CNN distorters; None for the one of this package.
        plugins: files or entry points with the user's own distortions.
        seed, max_side, patches: see `BenchmarkSpec`.
        patch_size, fixed_px, crop_share, scale_range, min_contrast: of patches; see
            `BenchmarkSpec`. At most one of `crop_share` and `scale_range`.

    Raises:
        UserError: for a value out of range.
    """

    seed: int = replace(SEED, help="seed of the benchmark").field()
    levels: int = LEVELS.field()
    severities: tuple[float, ...] | None = SEVERITIES.field()
    max_side: int | None = REDUCED_SIDE.field()
    patches: int | None = PATCHES.field()
    patch_size: int = PATCH_SIZE.field()
    fixed_px: bool = FIXED_PX.field()
    crop_share: tuple[float, float] | None = CROP_SHARE.field(None)
    scale_range: tuple[float, float] | None = SCALE_RANGE.field()
    min_contrast: float | None = MIN_CONTRAST.field(None)
    families: tuple[str, ...] = replace(FAMILIES, help="the atoms of these families").field()
    atoms: tuple[str, ...] = replace(ATOMS, help="these atoms; 'all' for all of them").field()
    compositions: tuple[str, ...] = replace(
        COMPOSITIONS, help="these compositions; 'all' for all 308"
    ).field()
    distorters: tuple[str, ...] = replace(
        DISTORTERS,
        help="CNN distorters: ids and ranges of ids, for example 003,010-020; all for the whole "
        "zoo. Severity sets their strength: as trained at 1, 0.4 of the way there at 0.2",
    ).field()
    zoo: Path | None = ZOO.field()  # noqa: RUF009 (makes a field)
    plugins: tuple[str, ...] = PLUGINS.field()

    def __post_init__(self) -> None:
        convert_options(self)
        if self.zoo is not None and not self.distorters:
            raise UserError(
                f"zoo = {self.zoo} has no effect without distorters; choose distorters, or all, "
                "or leave it out"
            )

    def resolve(self, photos: Callable[[], Source]) -> BenchmarkPlan:
        """What will be made.

        Args:
            photos: opens them; called once everything is checked that can be without them.

        Raises:
            UserError: for an unknown distortion, a value out of range, or no zoo.
            SourceError: when photos cannot be used.
            WorkError: when the zoo's index is damaged.
        """
        from bapps_gen.manifests.benchmark import BenchmarkInfo
        from bapps_gen.manifests.origin import Origin, published
        from bapps_gen.pipelines.benchmarks.make import BenchmarkPlan
        from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner
        from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
        from bapps_gen.pipelines.datasets.zoo import zoo_location
        from bapps_gen.pipelines.rows.spec import parameter_units

        chosen, registry, zoo = self._distortions()
        values = self._pictures() | chosen
        BenchmarkPlanner(BenchmarkSpec(images=1, source_digest="", **values), registry)
        source = photos()
        spec = BenchmarkSpec(images=len(source), source_digest=source.digest, **values)
        origin = Origin(source.roots, None if zoo is None else zoo_location(zoo))
        info = BenchmarkInfo(
            version=__version__,
            spec=spec.values(),
            digest=spec.digest,
            distortions=dict(spec.versions),
            units=parameter_units(registry, (name for name, _ in spec.versions)),
            source_failures={},
            origin=origin,
            plugin_files=self.plugins,
            **published(origin, self.plugins),
        )
        return BenchmarkPlan(spec, info, source, registry, zoo)

    def _pictures(self) -> dict[str, Any]:
        """Seed, levels and pictures as arguments of `BenchmarkSpec`."""
        from bapps_gen.pipelines.benchmarks.spec import even_severities

        sizes: CropOptions = {"scale": self.scale_range, "crop_share": self.crop_share}
        contrast = self.min_contrast
        if self.patches is not None:
            sizes = resolve_crop_sizes(**sizes)
            contrast = MIN_CONTRAST.default if contrast is None else contrast
        return {
            "seed": self.seed,
            "severities": self.severities
            if self.severities is not None
            else even_severities(self.levels),
            "patches": self.patches,
            "max_side": self.max_side,
            "min_contrast": contrast,
            "patch_size": self.patch_size,
            # Without effect at the default size; whole images refuse it.
            "fixed_px": self.fixed_px
            and (self.patches is None or self.patch_size != PATCH_SIZE.default),
            **sizes,
        }

    def _distortions(self) -> tuple[dict[str, Any], Registry, Zoo | None]:
        """The choice as arguments of `BenchmarkSpec`, all distortions, and the zoo."""
        from bapps_gen.cnn_distorters.as_distortions import (
            cnn_name,
            distorter_versions,
            pin_distorters,
            with_zoo,
        )
        from bapps_gen.distortions.registry import load_registry
        from bapps_gen.pipelines.benchmarks.plan import choose_variants
        from bapps_gen.pipelines.datasets.zoo import choose_distorters
        from bapps_gen.pipelines.rows.spec import atom_versions

        registry = load_registry(self.plugins)
        choices: tuple[str, ...] = ()
        if self.families or self.atoms or self.compositions or not self.distorters:
            choices = choose_variants(
                registry,
                families=self.families,
                atoms=self.atoms,
                compositions=self.compositions,
            )
        versions = atom_versions(registry, choices)
        if not self.distorters:
            return {"choices": choices, "versions": versions}, registry, None
        zoo, ids = choose_distorters(self.zoo, () if ALL in self.distorters else self.distorters)
        values = {
            "choices": (*choices, *map(cnn_name, ids)),
            "versions": tuple(sorted((*versions, *distorter_versions(ids)))),
            "distorters": pin_distorters(zoo, ids),
        }
        return values, with_zoo(registry, zoo, ids), zoo
