"""The table of metrics that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from bapps_gen.lpips.net_names import SMALLEST

if TYPE_CHECKING:  # it needs NumPy, which help does without
    from bapps_gen.metrics.base import Metric


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    Args:
        name: its own: of its column and of its folder under `scores/`.
        version: raised with every change that alters values.
        distance: how the distance, larger for more different, comes from the published quantity.
        source: where the computation is from, and its settings.
        needs_torch: whether it computes with torch, on the device asked for.
        net: text of the network whose features it compares (`bapps_gen.lpips.nets`), for LPIPS:
            the dtype applies to it, and a file of its weights can be given.
        smallest: least height and width in px of patches that it takes.
        given: text that loads it from any folder; the name where that does.
        files: that are read to load it, absolute; every worker has to see them.
        settings: what values depend on besides, as far as it is known before it is loaded.
        by_row: whether its distances are looked up by a row's id, and come from no pixels.
        mode: "lin", "tune", "scratch" or "imported" of a trained metric's file; otherwise empty.
    """

    name: str
    version: int
    distance: str
    source: str
    needs_torch: bool = False
    net: str | None = None
    smallest: int = 1
    given: str = ""
    files: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    by_row: bool = False
    mode: str = ""

    def __post_init__(self) -> None:
        if not self.given:
            object.__setattr__(self, "given", self.name)  # the record is frozen

    @property
    def takes_dtype(self) -> bool:
        """Whether it has a network that computes in the dtype asked for."""
        return self.net is not None


_LPIPS = "bapps_gen.lpips, LPIPS v0.1 with linear weights, RGB in [-1, 1]"
_LPIPS_0 = "bapps_gen.lpips, LPIPS v0.0 (arXiv v1) with linear weights, RGB without normalization"
_UNCALIBRATED = "bapps_gen.lpips, all weights 1: twice 1 − cosine, mean over space, sum over layers"
_UPSTREAM = "the original program's own, levels 1 to 63 one less as there"

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
    MetricSpec(
        "l2-lab-upstream",
        1,
        "½ mean squared difference of L*, a*, b*, each divided by 100",
        f"{_UPSTREAM}; orders as l2-lab but for levels cut off",
    ),
    MetricSpec(
        "dssim-rgb-upstream",
        1,
        "(1 − SSIM) / 2",
        f"{_UPSTREAM}; scikit-image structural_similarity with its defaults (mean over 7×7 "
        "windows, sample covariance) and data_range=255, mean over RGB",
        smallest=7,
    ),
    MetricSpec(
        "dssim-lab-upstream",
        1,
        "(1 − SSIM) / 2",
        f"{_UPSTREAM}, whose default it is; as dssim-rgb-upstream with data_range=100, mean over "
        "L*, a*, b*",
        smallest=7,
    ),
    *(
        MetricSpec(f"{name}-{net}", 1, distance, source, True, net=net, smallest=smallest)
        for name, distance, source in (
            ("lpips", "LPIPS", _LPIPS),
            ("lpips-v0.0", "LPIPS", _LPIPS_0),
            ("uncalibrated", "LPIPS, w = 1", _UNCALIBRATED),
        )
        for net, smallest in SMALLEST.items()
    ),
)


def load_builtin(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> Metric:
    """A metric of the table; see `load_metric`."""
    if spec.net is not None:
        from bapps_gen.lpips.nets import load_net
        from bapps_gen.metrics.deep import load_lpips_metric, metric_over

        if spec.name.startswith("uncalibrated-"):
            return metric_over(load_net(spec.net, weights), device, dtype)
        version = "0.0" if spec.name.startswith("lpips-v0.0-") else "0.1"
        return load_lpips_metric(spec.net, device, dtype, weights, version)
    return _builders()[spec.name]()


def _builders() -> dict[str, Callable[[], Metric]]:
    from bapps_gen.metrics import feature, pixelwise, structural, upstream

    return {
        "l2": pixelwise.l2,
        "l2-lab": pixelwise.l2_lab,
        "psnr": pixelwise.psnr,
        "psnr-lab": pixelwise.psnr_lab,
        "ssim": structural.ssim,
        "ms-ssim": structural.ms_ssim,
        "fsimc": feature.fsimc,
        "l2-lab-upstream": upstream.l2_lab_upstream,
        "dssim-rgb-upstream": upstream.dssim_rgb_upstream,
        "dssim-lab-upstream": upstream.dssim_lab_upstream,
    }
