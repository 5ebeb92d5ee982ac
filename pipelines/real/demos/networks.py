"""Networks of the zoo that comes with the package, as algorithms: upscalers and colorizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial

from bapps_gen.cnn_distorters.zoo import Zoo, open_zoo
from bapps_gen.pipelines.real.demos.records import Algorithm, Image


def network_algorithms(networks: Iterable[str], run: Callable[..., Image]) -> dict[str, Algorithm]:
    """An algorithm for each network, by name; `run` takes the network's id as `network`."""
    return {
        network_name(network): Algorithm(
            partial(run, network=network), f"CNN distorter {network}, trained on photos"
        )
        for network in networks
    }


def network_name(network: str) -> str:
    """How an algorithm that uses a network is named, such as "zoo-085"."""
    return f"zoo-{network}"


def network_output(image: Image, network: str) -> Image:
    """A network's output, uint8 (H, W, 3), of an image that the zoo corrupts as in training.

    Raises:
        UserError: where torch or the zoo is missing.
    """
    output: Image = _zoo().render(network, image[None], (0,))[0]
    return output


def network_digests(networks: Iterable[str]) -> dict[str, str]:
    """What identifies the function of each network, by id.

    Raises:
        UserError: where torch or the zoo is missing.
    """
    return {network: _zoo().digest(network) for network in networks}


@cache
def _zoo() -> Zoo:
    return open_zoo()
