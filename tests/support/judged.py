"""Judged sets with distances, made up from fixed seeds; no pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bapps_gen.metrics import metric_spec
from bapps_gen.pipelines.comparison.compare import Comparison, compare
from bapps_gen.pipelines.scoring.evaluate import evaluate
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.options import EvaluationOptions

NOISE = {"l2": 0.6, "ssim": 0.3, "lpips-alex": 0.05}
"""Metrics, and how far they are from what people see."""


def judged_set(
    kind: str = "traditional",
    task: str = "2afc",
    rows: int = 120,
    photos: int = 30,
    seed: int = 0,
    noise: Mapping[str, float] = NOISE,
    **changes: object,
) -> Judged:
    """A set that people with a truth in their heads judged, and metrics with noise about it."""
    rng = np.random.default_rng([seed, *kind.encode(), *task.encode()])
    sides = 2 if task == "2afc" else 1
    truth = rng.random((sides, rows))
    felt = truth[1] < truth[0] if sides == 2 else truth[0] < 0.4
    judgment = rng.binomial(5, np.where(felt, 0.9, 0.1)) / 5
    distances = {
        name: tuple(truth + size * rng.normal(size=(sides, rows))) for name, size in noise.items()
    }
    keys = np.random.default_rng(5).integers(0, 2**64, photos, np.uint64)
    values = {
        "counts": np.full(rows, 5.0),
        "kind": kind,
        "split": "val",
        "index": np.arange(rows),
        "photos": keys[rng.integers(0, photos, rows)],
    }
    return Judged(
        f"{task}-{kind}",
        task,
        judgment,
        distances,
        0,
        {},
        **(values | changes),  # type: ignore[arg-type]
    )


def compared(judged: Sequence[Judged], resamples: int = 200) -> Comparison:
    """The comparison of all metrics on some sets."""
    metrics = tuple(judged[0].distances)
    options = EvaluationOptions(metrics, resamples=resamples)
    specs = [metric_spec(name) for name in metrics]
    return compare(specs, [evaluate(each, options) for each in judged], options)


def collection() -> list[Judged]:
    """Two sets of distortions, two of real algorithms, and two of JND pairs, photos shared."""
    kinds = ("traditional", "cnn", "superres", "deblur")
    pairs = [judged_set(kind, "jnd") for kind in kinds[:2]]
    return [*(judged_set(kind) for kind in kinds), *pairs]
