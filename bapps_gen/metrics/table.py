"""The table of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError, unknown_name

if TYPE_CHECKING:  # it needs NumPy, which help does without
    from bapps_gen.metrics.base import Metric


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    Args:
        name: as on the command line.
        version: raised with every change that alters values.
        distance: how the distance, larger for more different, comes from the published quantity.
        source: where the computation is from, and its settings.
        needs_torch: whether torch is needed.
        net: the network, for LPIPS.
        smallest: least height and width in px of patches that it takes.
    """

    name: str
    version: int
    distance: str
    source: str
    needs_torch: bool = False
    net: str | None = None
    smallest: int = 1


_LPIPS = "bapps_gen.lpips, LPIPS v0.1 with linear weights, RGB in [-1, 1]"

METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "l2", 1, "root mean squared difference of RGB, of full scale, 0 to 1", "NumPy, float64"
    ),
    MetricSpec(
        "l2-lab",
        1,
        "root mean over pixels of squared ΔE*ab (CIE 1976)",
        "scikit-image rgb2lab, illuminant D65, observer 2°, float64",
    ),
    MetricSpec("psnr", 1, "−PSNR in dB, −∞ for equal patches", "NumPy, peak 255"),
    MetricSpec(
        "psnr-lab",
        1,
        "−PSNR in dB over L*, a*, b*, −∞ for equal patches",
        "scikit-image rgb2lab as l2-lab, peak 100",
    ),
    MetricSpec(
        "ssim",
        1,
        "1 − SSIM",
        "Wang 2004; equals scikit-image structural_similarity with gaussian_weights=True, "
        "sigma=1.5 (11×11 window), use_sample_covariance=False, data_range=255, mean over RGB",
        smallest=11,
    ),
    MetricSpec(
        "ms-ssim",
        1,
        "1 − MS-SSIM",
        "Wang 2003 on each of R, G, B with the SSIM above; the first M of its 5 scales at which "
        "the window fits (3 at 64 px), weights renormalized to sum 1; negative means count as 0",
        smallest=11,
    ),
    MetricSpec(
        "fsimc",
        1,
        "1 − FSIMc",
        "Zhang 2011 with the authors' constants: log-Gabor phase congruency of 4 scales and "
        "4 orientations, Scharr gradients, YIQ",
        smallest=8,
    ),
    MetricSpec("lpips-alex", 1, "LPIPS", _LPIPS, needs_torch=True, net="alex", smallest=31),
    MetricSpec("lpips-vgg", 1, "LPIPS", _LPIPS, needs_torch=True, net="vgg", smallest=16),
    MetricSpec("lpips-squeeze", 1, "LPIPS", _LPIPS, needs_torch=True, net="squeeze", smallest=17),
)


def metric_spec(name: str) -> MetricSpec:
    """The metric of that name.

    Raises:
        UserError: for an unknown name, with the nearest known one.
    """
    known = {spec.name: spec for spec in METRICS}
    if name not in known:
        raise unknown_name("metric", name, known, f"choose one of {', '.join(known)}")
    return known[name]


def load_metric(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    weights: str | PathLike[str] | None = None,
) -> Metric:
    """A metric that is ready for use.

    Args:
        name: of a metric; `list_metrics` has them all.
        device: "cpu", "cuda", "mps" or "auto"; used by LPIPS alone.
        dtype: "float32" or "bfloat16", of LPIPS's network.
        weights: file of the weights of LPIPS's trunk, instead of one from the default locations.

    Returns:
        The metric: `distance(ref, dist)` and `triplet(ref, p0, p1)` take uint8 patches of shape
        (N, H, W, 3) and give float64 distances of shape (N,); larger is more different.

    Raises:
        UserError: for an unknown name, a missing device, torch missing, or weights that
            are missing or damaged; also where `weights` is given for a metric without a network.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> ref = data.astronaut()[None, :64, :64]  # uint8 (N, H, W, 3)
        >>> blurred = bapps_gen.distort(ref, "gaussian_blur:sigma=2")
        >>> metric = bapps_gen.load_metric("ssim")
        >>> metric.distance(ref, blurred).shape, bool(metric.distance(ref, ref)[0] < 1e-6)
        ((1,), True)
    """
    spec = metric_spec(name)
    if spec.net is not None:
        from bapps_gen.metrics.deep import load_lpips_metric

        return load_lpips_metric(spec.net, device, dtype, weights)
    if weights is not None:
        raise UserError(
            f"weights = {weights} applies to LPIPS; {name} has no network, leave it out"
        )
    return _builders()[name]()


def _builders() -> dict[str, Callable[[], Metric]]:
    from bapps_gen.metrics import feature, pixelwise, structural

    return {
        "l2": pixelwise.l2,
        "l2-lab": pixelwise.l2_lab,
        "psnr": pixelwise.psnr,
        "psnr-lab": pixelwise.psnr_lab,
        "ssim": structural.ssim,
        "ms-ssim": structural.ms_ssim,
        "fsimc": feature.fsimc,
    }
