"""LPIPS on triplets: this package against the `lpips` package 0.1.4, in one interleaved run.

    pip install --no-deps lpips==0.1.4
    python benchmarks/lpips_speed.py --batch 32 --batch 256
    python benchmarks/lpips_speed.py --net vgg --weights vgg16.safetensors --batch 32

The peer is used as its README shows, without gradients: once for (ref, p0) and once for
(ref, p1), on float tensors made beforehand. This package starts from uint8, so that its
conversion is in its time. Both have the same weights: torchvision, which the peer imports only
for its trunks, is replaced by a stand-in that gives it this package's layers.

Exit code 1 when float32 values differ by more than 1e-5 or the float32 ratio is below --least.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bapps_gen.lpips import NETS, load_lpips, load_trunk
from bapps_gen.lpips.metric import native_bfloat16
from bapps_gen.lpips.trunks import TRUNKS

TOLERANCE = 1e-5


def load_peer(net: str, weights: str | None) -> Any:
    """The lpips package's metric on the same trunk weights."""

    class Pretrained(torch.nn.Module):
        def __init__(self, **_: object) -> None:
            super().__init__()
            self.features = load_trunk(net, weights).features

    models = types.ModuleType("torchvision.models")
    for name in ("alexnet", "vgg16", "squeezenet1_1"):
        setattr(models, name, Pretrained)
    torchvision = types.ModuleType("torchvision")
    torchvision.models = models  # type: ignore[attr-defined]
    sys.modules.update({"torchvision": torchvision, "torchvision.models": models})
    try:
        import lpips
    except ImportError:
        sys.exit("the peer is missing; run: pip install --no-deps lpips==0.1.4")
    return lpips.LPIPS(net=net, verbose=False)


def photo_triplets(count: int) -> list[NDArray[np.uint8]]:
    """Patches of photographs, the same with noise, and the same displaced."""
    from skimage import data

    photos = [data.astronaut(), data.coffee(), data.chelsea()]
    rng = np.random.default_rng(0)
    ref = np.empty((count, 64, 64, 3), np.uint8)
    for patch in ref:
        photo = photos[rng.integers(len(photos))]
        y, x = (rng.integers(length - 64) for length in photo.shape[:2])
        patch[:] = photo[y : y + 64, x : x + 64]
    noisy = np.clip(ref + rng.normal(0, 20, ref.shape), 0, 255).astype(np.uint8)
    return [ref, noisy, np.roll(ref, 3, 2)]


def can_compile() -> bool:
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def compare(net: str, weights: str | None, batch: int, rounds: int, compile: bool) -> float:
    """Print one table; returns the float32 ratio without compilation."""
    images = photo_triplets(batch)
    ref, p0, p1 = (
        torch.from_numpy(image).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1
        for image in images
    )
    peer = load_peer(net, weights)

    def run_peer() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            return peer(ref, p0).flatten(), peer(ref, p1).flatten()

    runs: dict[str, Callable[[], tuple[torch.Tensor, torch.Tensor]]] = {"lpips 0.1.4": run_peer}
    for dtype in ("float32", "bfloat16"):
        for compiled in (False, True) if compile else (False,):
            model = load_lpips(net, weights=weights, dtype=dtype, compile=compiled)  # type: ignore[arg-type]
            name = f"bapps-gen {dtype}{' compiled' if compiled else ''}"
            runs[name] = partial(model.triplet, *images)

    expected = torch.stack(run_peer())
    errors = {
        name: float((torch.stack(run()) - expected).abs().max()) for name, run in runs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)

    print(f"\n{net}, batches of {batch} triplets of 64x64 px, {rounds} rounds")
    print(f"{'':28}{'triplets/s':>12}{'ratio':>8}{'largest error':>16}")
    base = statistics.median(times["lpips 0.1.4"])
    ratios = {}
    for name in runs:
        median = statistics.median(times[name])
        ratios[name] = base / median
        print(f"{name:28}{batch / median:12.0f}{ratios[name]:8.2f}{errors[name]:16.1e}")
    for name, error in errors.items():
        if "float32" in name and error > TOLERANCE:
            sys.exit(f"{name} differs from the lpips package by {error:.1e}")
    return ratios["bapps-gen float32"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="alex")
    parser.add_argument("--weights", help="the trunk's weights file, where it is not bundled")
    parser.add_argument("--batch", type=int, action="append", help="triplets a call; repeatable")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--least", type=float, default=0.0, help="fail below this float32 ratio")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compile = can_compile() and not options.no_compile
    print(
        f"torch {torch.__version__}, {options.threads} threads, {TRUNKS[options.net].stem};"
        f" native bfloat16: {'yes' if native_bfloat16(torch.device('cpu')) else 'no'};"
        f" torch.compile: {'yes' if compile else 'no'}"
    )
    ratios = [
        compare(options.net, options.weights, batch, options.rounds, compile)
        for batch in options.batch or [32, 256]
    ]
    if min(ratios) < options.least:
        sys.exit(f"float32 ratio {min(ratios):.2f} is below {options.least}")


if __name__ == "__main__":
    main()
