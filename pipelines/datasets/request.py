"""What a user asks a dataset to be, and what follows from it: `Request.resolve`.

Imports nothing heavy on its own, since the command line's help derives from the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.checks import convert_options, flag_of, options_of, or_list
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.pipelines.datasets.inputs import DatasetPlan, Inputs
from bapps_gen.pipelines.real.options import (
    DEMO,
    DEMO_FACTOR,
    DEMO_LIMIT,
    MIN_DIFFERENCE,
    OUTPUTS,
    REFERENCE,
    SKIP_MISALIGNED,
)
from bapps_gen.pipelines.rows.options import (
    ATOMS,
    COMPOSITIONS,
    CROP_SHARE,
    DISTORTERS,
    FAMILIES,
    FIXED_PX,
    FOLDING,
    MIN_CONTRAST,
    NEAR_SEVERITY,
    NEAR_THRESHOLD,
    PATCH_SIZE,
    PLUGINS,
    ROWS,
    ROWS_PER_IMAGE,
    SCALE_RANGE,
    SEED,
    SEQUENCES,
    SEVERITY,
    SHARD_SIZE,
    SINGLES,
    ZOO,
    CropOptions,
    check_rows_per_image,
    resolve_crop_sizes,
    resolve_shard_size,
)
from bapps_gen.version import __version__

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.distortions.registry import Registry
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.pipelines.datasets.kind import Kind
    from bapps_gen.pipelines.real.spec import RealSpec
    from bapps_gen.pipelines.rows.spec import TripletSpec
    from bapps_gen.pipelines.sources.source import Source


@dataclass(frozen=True, slots=True)
class Request:
    """A dataset as a user asks for it. Each kind takes some of the options; see `kinds.KINDS`.

    Args:
        kind: name of one of KINDS.
        rows: how many triplets or pairs.
        crop_share, scale_range: see `TripletSpec`; at most one, or the kind's default.
        severity: of traditional distortions and, in pairs near the threshold, of CNN distorters;
            None for the default.
        near_threshold: see `TripletSpec.near_threshold`; changes the default severities.
        families, atoms, compositions: see `choose_distortions`.
        plugins: files or entry points with the user's own distortions.
        zoo: folder of CNN distorters; None for the one of this package.
        distorters: ids, and ranges of ids, of its distorters; all if empty.
        reference: folder, tar or Parquet file of the ground truth.
        outputs: (name, folder or file of its outputs) of each algorithm, in any order.
        min_difference: see `RealSpec`; None for the default of the kind.
        demo: make ground truth and outputs from photos first.
        demo_images: most images in the demo; None for the default of DEMO_LIMIT.
        demo_factor: of the demo of super-resolution; None for the default of DEMO_FACTOR.
        singles: see `share_of_singles`.
        seed, min_contrast, rows_per_image, folding, sequences, patch_size, fixed_px: see
            `TripletSpec`; at 64 px `fixed_px` has no effect.
        shard_size: see its help; None for the default of the size of patches.
        skip_misaligned: see its help.

    Raises:
        UserError: for an unknown kind, a value out of range, or an option that the kind does not
            take.
    """

    kind: str
    rows: int = ROWS.field(required=True)
    seed: int = SEED.field()
    shard_size: int | None = SHARD_SIZE.field(None)
    patch_size: int = PATCH_SIZE.field()
    fixed_px: bool = FIXED_PX.field()
    crop_share: tuple[float, float] | None = CROP_SHARE.field(None)
    scale_range: tuple[float, float] | None = SCALE_RANGE.field()
    min_contrast: float = MIN_CONTRAST.field()
    rows_per_image: int = ROWS_PER_IMAGE.field()
    families: tuple[str, ...] = FAMILIES.field()
    atoms: tuple[str, ...] = ATOMS.field()
    compositions: tuple[str, ...] = COMPOSITIONS.field()
    singles: float | str | None = SINGLES.field(None)
    severity: tuple[float, float] | None = SEVERITY.field(None)
    near_threshold: bool = NEAR_THRESHOLD.field()
    folding: bool = FOLDING.field()
    plugins: tuple[str, ...] = PLUGINS.field()
    zoo: Path | None = ZOO.field()  # noqa: RUF009 (makes a field)
    distorters: tuple[str, ...] = DISTORTERS.field()
    sequences: float = SEQUENCES.field()
    reference: str | None = REFERENCE.field()
    outputs: tuple[tuple[str, str], ...] = OUTPUTS.field()
    skip_misaligned: bool = SKIP_MISALIGNED.field()
    min_difference: float | None = MIN_DIFFERENCE.field(None)
    demo: bool = DEMO.field()
    demo_images: int | None = DEMO_LIMIT.field(None)
    demo_factor: int | None = DEMO_FACTOR.field(None)

    def __post_init__(self) -> None:
        kind = self._kind()
        convert_options(self)
        self._check_taken(kind)
        self._crop_sizes(kind)
        check_rows_per_image(self.rows_per_image)
        if self.severity and not (kind.has_atoms or self.near_threshold):
            raise UserError(
                "severity of CNN distorters is for pairs near the threshold, the others are as "
                "trained; leave it out, or add near-threshold"
            )
        resolve_shard_size(self.shard_size, self.patch_size)
        if kind.has_outputs:
            self._check_outputs()

    def _kind(self) -> Kind:
        from bapps_gen.pipelines.datasets.kinds import KINDS

        if self.kind not in KINDS:
            raise unknown_name("kind", self.kind, KINDS, f"kinds are {', '.join(KINDS)}")
        return KINDS[self.kind]

    def _check_taken(self, kind: Kind) -> None:
        """Raise UserError for an option that the kind does not take."""
        from bapps_gen.pipelines.datasets.kinds import KINDS

        for entry, option in options_of(self):
            name = entry.name
            if name in (*_OF_ALL, *kind.options) or getattr(self, name) == entry.default:
                continue
            takers = [other.name for other in KINDS.values() if name in other.options]
            raise UserError(
                f"{flag_of(entry, option)} is for {or_list(takers)}, and this is {kind.name}; "
                "leave it out"
            )

    def _check_outputs(self) -> None:
        """Raise UserError unless there are ground truth and outputs, or a demo is to make them."""
        from bapps_gen.pipelines.real.spec import check_algorithms, check_demo

        given = [name for name in ("reference", "outputs") if getattr(self, name)]
        for_demos = [name for name in ("demo_images", "demo_factor") if getattr(self, name)]
        if self.demo:
            check_demo(given, self.patch_size)
        elif for_demos:
            flag = for_demos[0].replace("_", "-")
            raise UserError(f"{flag} is for demos; leave it out, or ask for a demo")
        elif len(given) < 2:
            missing = [name for name in ("reference", "outputs") if name not in given]
            raise UserError(
                f"no {' and no '.join(missing)} given: give the ground truth as reference and the "
                "outputs of at least two algorithms as outputs, or demo to try it without"
            )
        else:
            check_algorithms(tuple(name for name, _ in self.outputs))

    def _crop_sizes(self, kind: Kind) -> CropOptions:
        default = kind.defaults.get("scale_range")
        return resolve_crop_sizes(self.scale_range, self.crop_share, default)

    def _crops(self, kind: Kind) -> dict[str, Any]:
        """Arguments of a spec that say what is cut from images."""
        names = ("seed", "min_contrast", "rows_per_image", "patch_size")
        sizes = {name: value for name, value in self._crop_sizes(kind).items() if value}
        return sizes | {name: getattr(self, name) for name in names}

    @property
    def needs_photos(self) -> bool:
        """Whether it is made from photos, by way of a demo or without."""
        return self.demo or not self._kind().has_outputs

    def check(self) -> None:
        """Check everything that can be without images: distortions, plugins and zoo.

        Raises:
            UserError: for an unknown distortion or distorter, or no zoo.
            WorkError: when the zoo's index is damaged.
        """
        kind = self._kind()
        if not kind.has_outputs:
            self._distortions(kind)

    def resolve(self, inputs: Inputs) -> DatasetPlan:
        """What will be made of some photos or outputs. Only a demo makes pixels for that.

        Raises:
            UserError: as `check`; when two algorithms have the same outputs, or one has the ground
                truth's.
            SourceError: when photos or files cannot be used or do not fit; see `align`.
            WorkError: as `check`.
        """
        kind = self._kind()
        make = self._from_outputs if kind.has_outputs else self._from_photos
        plan = make(kind, inputs)
        return replace(plan, info=replace(plan.info, split=inputs.split))

    def _distortions(self, kind: Kind) -> tuple[dict[str, Any], Registry, Zoo | None]:
        """Arguments of `TripletSpec` but those of the photos, all distortions, and the zoo."""
        from bapps_gen.cnn_distorters.as_distortions import (
            distorter_versions,
            pin_distorters,
            with_zoo,
        )
        from bapps_gen.distortions.registry import load_registry
        from bapps_gen.pipelines.datasets.zoo import choose_distorters
        from bapps_gen.pipelines.rows.spec import (
            atom_versions,
            check_choices,
            choose_distortions,
            share_of_singles,
        )

        registry, zoo = load_registry(self.plugins), None
        values: dict[str, Any] = {
            "choices": (),
            "distorters": (),
            "is_jnd": kind.task == "jnd",
            "near_threshold": self.near_threshold,
        }
        versions: tuple[tuple[str, int], ...] = ()
        if kind.has_atoms:
            values["choices"] = choose_distortions(
                registry,
                families=self.families,
                atoms=self.atoms,
                compositions=self.compositions,
            )
            versions = atom_versions(registry, values["choices"])
        if kind.has_distorters:
            zoo, ids = choose_distorters(self.zoo, self.distorters)
            registry = with_zoo(registry, zoo, ids)
            values["distorters"] = pin_distorters(zoo, ids)
            versions = tuple(sorted((*versions, *distorter_versions(ids))))
        values |= {
            "versions": versions,
            "singles": share_of_singles(self.singles, values["choices"]),
            "folding": self.folding,
            "sequences": self.sequences if "sequences" in kind.options else None,
        }
        if "severity" in kind.options:
            default = NEAR_SEVERITY if self.near_threshold else SEVERITY.default
            values["severity"] = self.severity or default
        check_choices(
            values["choices"],
            len(values["distorters"]),
            values["singles"],
            values["sequences"],
            values["is_jnd"],
        )
        return values, registry, zoo

    def _from_photos(self, kind: Kind, inputs: Inputs) -> DatasetPlan:
        from bapps_gen.cnn_distorters.as_distortions import cnn_name
        from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
        from bapps_gen.pipelines.datasets.zoo import zoo_location
        from bapps_gen.pipelines.rows.spec import TripletSpec, parameter_units

        values, registry, zoo = self._distortions(kind)
        assert inputs.photos is not None
        photos = inputs.photos()
        spec = TripletSpec(
            images=len(photos),
            source_digest=photos.digest,
            fixed_px=self.fixed_px and self.patch_size != PATCH_SIZE.default,
            **self._crops(kind),
            **values,
        )
        # CNN distorters that distort as they were trained have no parameters.
        bare = () if spec.near_threshold else {cnn_name(name) for name, _ in spec.distorters}
        graded = (name for name, _ in spec.versions if name not in bare)
        info = self._describe(
            spec,
            photos,
            distortions=dict(spec.versions),
            units=parameter_units(registry, graded),
            source_failures={},
            patches=PAIR_PATCHES if spec.is_jnd else PATCHES,
            zoo=None if zoo is None else zoo_location(zoo),
        )
        return DatasetPlan(info, photos, zoo)

    def _from_outputs(self, kind: Kind, inputs: Inputs) -> DatasetPlan:
        from bapps_gen.pipelines.real.align import algorithm_digests, align
        from bapps_gen.pipelines.real.spec import STEP_VERSION, RealSpec, step_name
        from bapps_gen.pipelines.sources.source import Source, open_source

        truth, folders = self.reference, dict(self.outputs)
        if self.demo:
            truth, folders = self._make_demo(inputs)
        assert truth is not None
        with inputs.progress("reading the images", "files") as progress:
            reference = open_source([truth], progress=progress)
            outputs = {
                name: open_source([folder], progress=progress) for name, folder in folders.items()
            }
            images, left_out = align(
                reference, outputs, skip=self.skip_misaligned, progress=progress
            )
        assert isinstance(images.reference, Source)
        spec = RealSpec(
            task=self.kind,
            images=len(images),
            reference_digest=images.reference.digest,
            algorithms=algorithm_digests(images),
            **self._crops(kind),
            min_difference=(
                kind.defaults["min_difference"]
                if self.min_difference is None
                else self.min_difference
            ),
        )
        names = zip(images.algorithms, images.outputs, strict=True)
        info = self._describe(
            spec,
            images.reference,
            distortions={step_name(self.kind, name): STEP_VERSION for name in spec.names},
            units={},
            source_failures=left_out,
            outputs={name: source.roots[0] for name, source in names},
        )
        return DatasetPlan(info, images)

    def _describe(
        self,
        spec: TripletSpec | RealSpec,
        photos: Source,
        zoo: str | None = None,
        outputs: Mapping[str, str] | None = None,
        **others: Any,
    ) -> DatasetInfo:
        """The `dataset.json` of what will be made of photos or ground truth."""
        from bapps_gen.manifests.dataset import DatasetInfo
        from bapps_gen.manifests.origin import Origin, public_outputs, published

        origin = Origin(photos.roots, zoo, outputs or {})
        return DatasetInfo(
            kind=self.kind,
            version=__version__,
            spec=spec.values(),
            digest=spec.digest,
            rows=self.rows,
            shard_rows=resolve_shard_size(self.shard_size, self.patch_size),
            origin=origin,
            plugin_files=self.plugins,
            outputs=public_outputs(origin),
            **published(origin, self.plugins),
            source_digest=photos.digest,
            source_images=tuple((entry.name, entry.sha256) for entry in photos.entries),
            **others,
        )

    def _make_demo(self, inputs: Inputs) -> tuple[str, dict[str, str]]:
        """Ground truth and outputs of a demo, made or completed: a folder, and one by algorithm."""
        from bapps_gen.pipelines.real.demos import make_demo

        assert inputs.photos is not None
        assert inputs.demo_folder is not None
        photos = inputs.photos()
        with inputs.progress("demo", "pictures") as progress:
            made = make_demo(
                self.kind,
                photos,
                inputs.demo_folder,
                limit=self.demo_images or DEMO_LIMIT.default,
                seed=self.seed,
                factor=self.demo_factor or DEMO_FACTOR.default,
                workers=inputs.workers,
                progress=progress,
            )
        return str(made.reference), {name: str(folder) for name, folder in made.outputs.items()}


_OF_ALL = ("kind", "rows", "seed")

OPTIONS = {entry.name: option for entry, option in options_of(Request) if entry.name not in _OF_ALL}
"""The options that some kinds take, by name."""
