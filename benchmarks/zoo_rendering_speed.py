"""Patches a second that the zoo distorts, and the ratio to patch-by-patch calls.

    python benchmarks/zoo_rendering_speed.py [--zoo DIR] [--patches N] [--rounds R]

Every distorter of the zoo renders the same patches, in two processes with one thread each, as the
pipelines do; the rate is patches rendered by both over wall time, averaged over the zoo (total
patches over total time). The patch-by-patch peer is what a user would write: for each patch,
corrupt it, make a tensor of it, call the network, turn the result into an array; channels first,
nothing folded, torch's own modules. Rounds of both alternate; medians are given. Without a trained
zoo the 96 specs are taken with initial weights, which are as fast.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from plain_unet import make_plain

from bapps_gen.cnn_distorters.checkpoint import read_distorter, weights_of
from bapps_gen.cnn_distorters.corruption import corrupt
from bapps_gen.cnn_distorters.network import UNet, build_network, initialize
from bapps_gen.cnn_distorters.rendering import render_network, rendering_network
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.table import shipped_specs
from bapps_gen.cnn_distorters.zoo import SHIPPED, ZOO_NAME, distorter_path, open_zoo
from bapps_gen.seeding import Streams

PATCH_BY_PATCH_SHARE = 8
"""The peer renders every eighth patch: it is slow, and its time does not depend on their number."""


def load(folder: Path | None) -> list[tuple[DistorterSpec, Mapping[str, torch.Tensor]]]:
    """Specs and weights."""
    if folder is None and not (SHIPPED / ZOO_NAME).exists():
        loaded = []
        for spec in shipped_specs():
            network = build_network(spec)
            initialize(network, torch.Generator().manual_seed(spec.seed))
            loaded.append((spec, weights_of(network)))
        return loaded
    zoo = open_zoo(folder)
    return [read_distorter(distorter_path(zoo.folder, name))[::2] for name in zoo.ids]


def plain_network(spec: DistorterSpec, tensors: Mapping[str, torch.Tensor]) -> UNet:
    """A network of torch's own modules."""
    network = build_network(spec)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    state |= {name: value.float() for name, value in tensors.items()}
    network.load_state_dict(state)
    return make_plain(network).eval()


def render_one_by_one(
    network: UNet, spec: DistorterSpec, patches: NDArray[np.uint8], streams: Streams
) -> NDArray[np.uint8]:
    """The peer."""
    rendered = []
    with torch.no_grad():
        for seed, patch in enumerate(patches):
            corrupted = corrupt(spec, patch[None], [seed], streams)[0]
            x = torch.from_numpy(corrupted.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
            y = ((network(x.contiguous()) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            rendered.append(y[0].permute(1, 2, 0).numpy())
    return np.stack(rendered)


def work(folder: Path | None, count: int, rounds: int, ready: object, results: object) -> None:
    """One process: seconds for all distorters, each way, a round."""
    torch.set_num_threads(1)
    patches = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    few = patches[: max(1, count // PATCH_BY_PATCH_SHARE)]
    streams = Streams()
    loaded = load(folder)
    ours = [(rendering_network(spec, tensors), spec) for spec, tensors in loaded]
    peers = [(plain_network(spec, tensors), spec) for spec, tensors in loaded]
    for (network, spec), (peer, _) in zip(ours, peers, strict=True):  # warm up, and agree
        a = render_network(network, spec, few[:4], range(4), streams).astype(int)
        b = render_one_by_one(peer, spec, few[:4], streams).astype(int)
        assert np.abs(a - b).max() <= 1, spec.id
    for _ in range(rounds):
        ready.wait()  # type: ignore[attr-defined]
        began = time.perf_counter()
        for network, spec in ours:
            render_network(network, spec, patches, range(count), streams)
        middle = time.perf_counter()
        ready.wait()  # type: ignore[attr-defined]
        resumed = time.perf_counter()
        for network, spec in peers:
            render_one_by_one(network, spec, few, streams)
        end = time.perf_counter()
        results.put(  # type: ignore[attr-defined]
            (len(ours) * count / (middle - began), len(ours) * len(few) / (end - resumed))
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--zoo", type=Path, help="a zoo (default: the shipped one)")
    parser.add_argument("--patches", type=int, default=128, help="by each distorter and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    context = get_context("spawn")
    ready, results = context.Barrier(options.processes), context.Queue()
    arguments = (options.zoo, options.patches, options.rounds, ready, results)
    processes = [context.Process(target=work, args=arguments) for _ in range(options.processes)]
    for process in processes:
        process.start()
    found = [results.get() for _ in range(options.rounds * options.processes)]
    for process in processes:
        process.join()
    ours, peer = (
        statistics.median(rates) * options.processes for rates in zip(*found, strict=True)
    )
    print(f"{options.processes} processes, one thread each, float32, averaged over the zoo")
    print(f"batched:        {ours:6.0f} patches/s")
    print(f"patch by patch: {peer:6.0f} patches/s")
    print(f"ratio:          {ours / peer:6.2f}")


if __name__ == "__main__":
    main()
