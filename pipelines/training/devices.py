"""Where distorters are trained: cores, GPUs, and Ray clusters with their devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.pipelines.training.options import GPU_SHARE, TrainingOptions

_GPU_BYTES = 2_500_000_000
_GPU_WORKERS = 16


def default_workers(device: str, cores: int) -> int:
    """How many distorters to train in parallel: one per core; on a GPU as many as fit there."""
    if not device.startswith("cuda"):
        return cores
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_GPU_WORKERS, cores, int(free // _GPU_BYTES)))


def resolve_workers(workers: Workers, options: TrainingOptions) -> tuple[Workers, TrainingOptions]:
    """The workers for training, and options with the device and precision that they have.

    Args:
        workers: where to train; nothing changes for processes on this machine.
        options: on a Ray cluster, device "auto" is CUDA where the cluster has GPUs; precision
            "auto" asks a worker whether bfloat16 is native there; no share of a GPU is GPU_SHARE
            on CUDA.

    Raises:
        UserError: for values that do not go together, or GPUs that the cluster does not have.
    """
    if isinstance(workers, int):
        if options.gpus_per_distorter is not None:
            raise UserError("gpus-per-distorter requires --engine ray; add that")
        return workers, options
    from bapps_gen.execution.ray_cluster import capacity, resolve_device

    device, gpus = options.device, options.gpus_per_distorter
    if device == "auto" and gpus is not None:
        device = "cuda" if gpus else "cpu"
    device = resolve_device(workers, device)
    if gpus is None:
        gpus = GPU_SHARE if device == "cuda" else 0.0
    if bool(gpus) != (device == "cuda"):
        raise UserError(
            f"gpus-per-distorter = {gpus:g} does not go with device = {device}; "
            "give --device cuda with a share above 0, or --device cpu without"
        )
    cluster = replace(workers, num_gpus=gpus)
    capacity(cluster)
    precision = options.precision
    if precision == "auto":
        (precision,) = run_jobs(_prepare_precision, device, [None], cluster)
    return cluster, replace(options, device=device, precision=precision, gpus_per_distorter=gpus)


def _prepare_precision(device: str) -> Callable[[None], str]:
    from bapps_gen.lpips.metric import find_device, native_bfloat16

    return lambda _: "bfloat16" if native_bfloat16(find_device(device)) else "float32"
