"""The plan of a zoo to be trained: which distorters, on how many crops, where and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.trainer import TrainingSettings
from bapps_gen.errors import UserError
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.training.crops import CropPlan, part_images
from bapps_gen.pipelines.training.options import PRESETS, Preset, TrainingOptions

MIN_QUICK_IMAGES = 6_000
"""Crops that a distorter sees at least, whatever its preset's budget."""


@dataclass(frozen=True, slots=True)
class ZooPlan:
    """A zoo to be trained.

    Args:
        specs: the distorters, in the zoo's order.
        settings: of each, by id.
        device: "cpu" or a CUDA device.
        vgg: file of vgg16 weights for the feature loss; None for AlexNet's features.
        crops: what crops are cut.
    """

    specs: tuple[DistorterSpec, ...]
    settings: Mapping[str, TrainingSettings]
    device: str
    vgg: Path | None
    crops: CropPlan

    def cost(self, spec: DistorterSpec) -> float:
        """About how many seconds a distorter takes, by `seconds_per_image`."""
        settings = self.settings[spec.id]
        net = settings.feature_net if spec.feature_weight else "alex"
        return settings.images * seconds_per_image(spec, settings.feature_share, net)

    def longest_first(self, specs: Iterable[DistorterSpec]) -> list[str]:
        """Ids by falling cost, so that no long one is left to run alone at the end."""
        return [spec.id for spec in sorted(specs, key=lambda spec: (-self.cost(spec), spec.id))]


def seconds_per_image(spec: DistorterSpec, feature_share: float, feature_net: str) -> float:
    """About how long training takes on one core with native bfloat16, by measurement.

    A fit to the distorters of the table, good to 15 % on average. It only decides how many crops
    a preset with a time budget gives to which distorter, and the order of work.
    """
    from bapps_gen.cnn_distorters.network import count_flops

    features = {"vgg": 18.0, "alex": 1.6}[feature_net] * feature_share
    return 1e-3 * (
        0.6
        + 0.015 * count_flops(spec) / 1e6
        + (0.55 if spec.discriminator_layers else 0.0)
        + (features if spec.feature_weight else 0.0)
    )


def plan_zoo(
    specs: Sequence[DistorterSpec],
    source: Source,
    options: TrainingOptions | None = None,
    *,
    is_remote: bool = False,
) -> ZooPlan:
    """Decide how a zoo is trained.

    Args:
        source: photos; some are held out.
        options: None for the defaults. Without `vgg`, weights are looked for where `load_lpips`
            does, without downloading; where there are none, AlexNet's features are used.
        is_remote: whether others than this machine train it, of `resolve_workers`: this one may
            lack their device.

    Raises:
        UserError: for a device that is not there, or too few crops.
        SourceError: for too few photos.
    """
    from bapps_gen.lpips import find_trunk
    from bapps_gen.lpips.metric import find_device, native_bfloat16

    options = options or TrainingOptions()
    preset = _preset(options, source)
    device, precision = options.device, options.precision
    if not is_remote:
        found = find_device(device)
        found = find_device("cpu") if found.type == "mps" else found
        device = str(found)
        if precision == "auto":
            precision = "bfloat16" if native_bfloat16(found) else "float32"
    vgg = options.vgg or find_trunk("vgg")
    feature_net = "alex" if vgg is None else "vgg"
    crops = CropPlan(source.digest, options.seed)

    def settings(spec: DistorterSpec) -> TrainingSettings:
        count = preset.images
        if preset.seconds is not None:
            cost = seconds_per_image(spec, preset.feature_share, feature_net)
            count = min(count, max(MIN_QUICK_IMAGES, int(preset.seconds / cost)))
        return TrainingSettings(
            images=count // preset.batch * preset.batch,
            batch=preset.batch,
            feature_share=preset.feature_share if spec.feature_weight else 1.0,
            feature_net=feature_net if spec.feature_weight else "none",
            precision=precision,
            seed=options.seed,
            crops_digest=crops.digest,
        )

    return ZooPlan(
        specs=tuple(specs),
        settings={spec.id: settings(spec) for spec in specs},
        device=device,
        vgg=vgg,
        crops=crops,
    )


def _preset(options: TrainingOptions, source: Source) -> Preset:
    """The preset, with the number of crops that was asked for instead."""
    preset = PRESETS[options.preset]
    training_images, _ = part_images(source)
    images = options.images
    if options.epochs is not None:
        images = options.epochs * len(training_images)
    if images is None:
        return preset
    if images < preset.batch:
        raise UserError(
            f"{images} crops are too few: a batch has {preset.batch}; give more photos, or "
            f"--images {preset.batch} or more"
        )
    return replace(preset, images=images, seconds=None)
