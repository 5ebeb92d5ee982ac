"""Full-reference metrics on batches of patches, all as distances: larger is more different.

    metric = load_metric("ssim")
    d = metric.distance(ref, dist)  # uint8 (N, H, W, 3), (N, H, W, 3) -> float64 (N,)
    d0, d1 = metric.triplet(ref, p0, p1)

`METRICS` is the table of those that come with the package; `metric_spec` and `load_metric` take
texts that name others, too. Importing this package imports neither NumPy nor torch.
"""

from __future__ import annotations

from bapps_gen.metrics.table import METRICS, MetricSpec
from bapps_gen.metrics.texts import load_metric, metric_spec

__all__ = ["METRICS", "MetricSpec", "load_metric", "metric_spec"]
