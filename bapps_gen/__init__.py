"""bapps-gen regenerates and extends BAPPS, the perceptual patch similarity dataset.

Everything that a command does can be done from Python in the same words:

    import bapps_gen

    image = bapps_gen.read_image("photo.jpg")  # uint8 (H, W, 3)
    bapps_gen.distort(image, "gaussian_blur:sigma=2", "jpeg:quality=20", seed=1)

    train = bapps_gen.make_dataset("traditional", source="photos", rows=50_000, out="train")
    for triplet in train.triplets():
        triplet.ref, triplet.p0, triplet.p1  # uint8 (64, 64, 3)

    bapps_gen.score(train, "lpips-alex")

Judged datasets train metrics and compare them; LPIPS is a loss as well:

    bapps_gen.train_metric(train, "mine.safetensors", net="alex")
    bapps_gen.evaluate("val", ["ssim", "lpips-alex", "mine.safetensors"], out="report.html")
    metric = bapps_gen.load_metric("mine.safetensors")
    loss = bapps_gen.load_lpips("vgg").distance(output, target, value_range=(0, 1)).mean()

Arrays are uint8 RGB, (H, W, 3) or (N, H, W, 3). Datasets are taken as folders, URLs or open
datasets. `workers` is a number of parallel processes, None for all cores, or a `RayCluster`.
`progress` is True for a bar on stderr, or a function of (done, total). Mistakes raise `UserError`
and failed work `WorkError`, both a `BappsGenError` with one line of text.

What `__all__` names is public, and all else is private. Names are imported when they are first
used, so that `import bapps_gen` takes no time.
"""

TYPE_CHECKING = False  # type checkers take it for true; `typing` itself is not imported
if TYPE_CHECKING:
    from bapps_gen.api.benchmarks import Benchmark, make_benchmark, open_benchmark
    from bapps_gen.api.collections import Collection, make_collection, open_collection
    from bapps_gen.api.datasets import (
        Dataset,
        contact_sheet,
        export,
        import_original,
        open_dataset,
    )
    from bapps_gen.api.distortions import (
        Distorter,
        Zoo,
        distort,
        list_compositions,
        list_distorters,
        list_distortions,
        open_zoo,
    )
    from bapps_gen.api.judging import judge, read_votes, write_answers_template
    from bapps_gen.api.make import make_dataset, replay, verify
    from bapps_gen.api.metric_training import convert_metric, train_metric
    from bapps_gen.api.planning import select, simulate, study_report
    from bapps_gen.api.scoring import evaluate, list_metrics, score
    from bapps_gen.api.selection import merge, subset
    from bapps_gen.api.study import export_study, make_study, open_study, study_votes
    from bapps_gen.api.training import make_trunk, train_distorters
    from bapps_gen.api.validation import Validation, validate
    from bapps_gen.distortions.definition import Distortion, RandomParameter, SeverityParameter
    from bapps_gen.errors import BappsGenError, ImageError, SourceError, UserError, WorkError
    from bapps_gen.execution.jobs import RayCluster
    from bapps_gen.imaging.decode import read_image
    from bapps_gen.imaging.files import write_image
    from bapps_gen.lpips import load_lpips
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.manifests.judgements import JudgementsInfo
    from bapps_gen.manifests.readers import (
        Pair,
        PairDataset,
        Triplet,
        TripletDataset,
        iter_pairs,
        iter_triplets,
    )
    from bapps_gen.manifests.rows import ManifestRow
    from bapps_gen.manifests.scores import Scores
    from bapps_gen.metrics.base import Metric
    from bapps_gen.metrics.texts import load_metric
    from bapps_gen.pipelines.benchmarks.evaluate import SeverityCurve, SeverityEvaluation
    from bapps_gen.pipelines.datasets.verify import VerifyReport
    from bapps_gen.pipelines.judging.study.protocol import Protocol
    from bapps_gen.pipelines.judging.study.study import Study
    from bapps_gen.pipelines.metric_training.train import MetricTraining
    from bapps_gen.pipelines.scoring.evaluate import Evaluation

__version__ = "0.1.0"

__all__ = [
    "BappsGenError",
    "Benchmark",
    "Collection",
    "Dataset",
    "DatasetInfo",
    "Distorter",
    "Distortion",
    "Evaluation",
    "ImageError",
    "JudgementsInfo",
    "ManifestRow",
    "Metric",
    "MetricTraining",
    "Pair",
    "PairDataset",
    "Protocol",
    "RandomParameter",
    "RayCluster",
    "Scores",
    "SeverityCurve",
    "SeverityEvaluation",
    "SeverityParameter",
    "SourceError",
    "Study",
    "Triplet",
    "TripletDataset",
    "UserError",
    "Validation",
    "VerifyReport",
    "WorkError",
    "Zoo",
    "contact_sheet",
    "convert_metric",
    "distort",
    "evaluate",
    "export",
    "export_study",
    "import_original",
    "iter_pairs",
    "iter_triplets",
    "judge",
    "list_compositions",
    "list_distorters",
    "list_distortions",
    "list_metrics",
    "load_lpips",
    "load_metric",
    "make_benchmark",
    "make_collection",
    "make_dataset",
    "make_study",
    "make_trunk",
    "merge",
    "open_benchmark",
    "open_collection",
    "open_dataset",
    "open_study",
    "open_zoo",
    "read_image",
    "read_votes",
    "replay",
    "score",
    "select",
    "simulate",
    "study_report",
    "study_votes",
    "subset",
    "train_distorters",
    "train_metric",
    "validate",
    "verify",
    "write_answers_template",
    "write_image",
]

_HOMES = {
    "api.benchmarks": "Benchmark make_benchmark open_benchmark",
    "api.collections": "Collection make_collection open_collection",
    "api.datasets": "Dataset contact_sheet export import_original open_dataset",
    "api.distortions": "Distorter Zoo distort list_compositions list_distorters list_distortions "
    "open_zoo",
    "api.judging": "judge read_votes write_answers_template",
    "api.make": "make_dataset replay verify",
    "api.metric_training": "convert_metric train_metric",
    "api.planning": "select simulate study_report",
    "api.scoring": "evaluate list_metrics score",
    "api.selection": "merge subset",
    "api.study": "export_study make_study open_study study_votes",
    "api.training": "make_trunk train_distorters",
    "api.validation": "Validation validate",
    "distortions.definition": "Distortion RandomParameter SeverityParameter",
    "errors": "BappsGenError ImageError SourceError UserError WorkError",
    "execution.jobs": "RayCluster",
    "imaging.decode": "read_image",
    "lpips": "load_lpips",
    "manifests.readers": "Pair PairDataset Triplet TripletDataset iter_pairs iter_triplets",
    "manifests.dataset": "DatasetInfo",
    "manifests.judgements": "JudgementsInfo",
    "manifests.rows": "ManifestRow",
    "manifests.scores": "Scores",
    "metrics.base": "Metric",
    "metrics.texts": "load_metric",
    "pipelines.benchmarks.evaluate": "SeverityCurve SeverityEvaluation",
    "pipelines.datasets.verify": "VerifyReport",
    "pipelines.judging.study.protocol": "Protocol",
    "pipelines.judging.study.study": "Study",
    "pipelines.metric_training.train": "MetricTraining",
    "pipelines.scoring.evaluate": "Evaluation",
    "imaging.files": "write_image",
}

if not TYPE_CHECKING:  # otherwise a misspelled name would pass type checkers

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        for home, names in _HOMES.items():
            if name in names.split():
                import importlib

                value = getattr(importlib.import_module(f"bapps_gen.{home}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'bapps_gen' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
