"""Public functions take the options that commands take, with the same defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import bapps_gen
from bapps_gen.api.make import SetOptions
from bapps_gen.api.validation import ValidateOptions
from bapps_gen.checks import options_of
from bapps_gen.pipelines.benchmarks.request import BenchmarkRequest
from bapps_gen.pipelines.collections.request import CollectionRequest
from bapps_gen.pipelines.comparison.options import SectionOptions
from bapps_gen.pipelines.datasets.import_options import ImportOptions
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.scoring.options import EvaluationOptions, MetricOptions, ScoreOptions
from bapps_gen.pipelines.sources.options import SplitOptions
from bapps_gen.pipelines.training.options import TrainingOptions, TrunkOptions
from bapps_gen.pipelines.validation.options import (
    Limits,
    Thresholds,
    ValidationOptions,
    ZooOptions,
)

OPTIONS: dict[str, tuple[type[Any], ...]] = {
    "evaluate": (EvaluationOptions, SectionOptions, MetricOptions),
    "import_original": (ImportOptions,),
    "make_benchmark": (BenchmarkRequest,),
    "make_collection": (CollectionRequest,),
    "make_dataset": (SplitOptions,),
    "make_trunk": (TrunkOptions,),
    "score": (ScoreOptions, MetricOptions),
    "select": (MetricOptions,),
    "simulate": (MetricOptions,),
    "train_distorters": (TrainingOptions,),
    "train_metric": (MetricTrainingOptions,),
    "validate": (MetricOptions,),
}


def normal(default: Any) -> Any:
    """One name stands for a list of it."""
    return (default,) if isinstance(default, str) else default


@pytest.mark.parametrize(
    ("name", "record"), [(name, record) for name, records in OPTIONS.items() for record in records]
)
def test_a_function_has_all_options_of_its_command_with_their_defaults(name, record):
    parameters = inspect.signature(getattr(bapps_gen, name)).parameters
    for entry, _ in options_of(record):
        assert entry.name in parameters
        assert normal(parameters[entry.name].default) == normal(entry.default), entry.name


def test_options_that_have_no_default_in_a_signature_are_those_of_the_records():
    made = {entry.name for entry, _ in options_of(Request)} - {"rows"}
    assert set(SetOptions.__annotations__) == made
    records = (Limits, Thresholds, ValidationOptions, ZooOptions)
    checked = {entry.name for record in records for entry, _ in options_of(record)}
    assert set(ValidateOptions.__annotations__) == checked
