"""Colorization: a photo colored from its luma alone, by networks or from another photo's colors.

The paper took outputs of networks that know the gray photo alone (section 2.1). No algorithm here
knows more of the photo's colors either; all keep its luma (BT.601).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bapps_gen.pipelines.real.demos.networks import network_algorithms, network_output
from bapps_gen.pipelines.real.demos.pixels import Plane, join_luma, split_luma, to_unit
from bapps_gen.pipelines.real.demos.records import Algorithm, DemoTask, Image, Scene

_NETWORKS = ("056", "060", "062", "069")
"""Networks for input without any color, of different losses and layers."""


@dataclass(frozen=True, slots=True)
class Gray:
    """A gray photo, and others to learn from.

    Args:
        luma: uint8 (H, W).
        donors: other photos, uint8 (H', W', 3).
    """

    luma: Image
    donors: tuple[Image, ...]


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """The photo's luma, and the donors."""
    levels = np.rint(split_luma(photo)[0] * 255).astype(np.uint8)
    return Scene(photo.copy(), Gray(levels, donors))


def palette(given: Gray) -> Image:
    """A donor's mean chroma at the same rank of luma: its palette laid over the gray scale.

    In 32 steps of rank, from the donor of the most similar luma.
    """
    luma, chroma = split_luma(_most_similar(given))
    order = np.argsort(luma, axis=None, kind="stable")
    parts = np.array_split(chroma.reshape(-1, 2)[order], 32)
    colors = np.array([part.mean(axis=0) for part in parts])
    # the rank of a level is the share of pixels below it and half of those at it
    counts = np.bincount(given.luma.ravel(), minlength=256)
    ranks = (np.cumsum(counts) - counts / 2) / given.luma.size
    middles = (np.arange(32) + 0.5) / 32
    table = np.stack([np.interp(ranks, middles, colors[:, part]) for part in (0, 1)], axis=-1)
    return join_luma(to_unit(given.luma), table[given.luma])


def example(given: Gray) -> Image:
    """Each pixel takes the chroma of one like it in the donor of the most similar luma.

    Likeness is of luma, brought to the donor's mean and deviation first, and of its deviation in
    a window of 5×5 px, half each, among about 1,600 pixels in a grid over the donor.
    """
    from scipy.spatial import cKDTree

    donor_luma, donor_chroma = split_luma(_most_similar(given))
    luma = to_unit(given.luma)
    spread = max(float(luma.std()), 1e-3)
    matched = (luma - luma.mean()) / spread * donor_luma.std() + donor_luma.mean()
    rows, columns = (
        np.linspace(0, side - 1, min(side, 40)).astype(int) for side in donor_luma.shape
    )
    at = np.ix_(rows, columns)
    known = np.dstack([donor_luma, _deviation(donor_luma)])[at].reshape(-1, 2)
    wanted = np.dstack([matched, _deviation(matched)]).reshape(-1, 2)
    _, nearest = cKDTree(known).query(wanted)
    return join_luma(luma, donor_chroma[at].reshape(-1, 2)[nearest].reshape(*luma.shape, 2))


def by_network(given: Gray, network: str) -> Image:
    """The chroma of a colorizing network's output on the photo's luma.

    So Zhang, Isola and Efros (ECCV 2016) join predicted chroma with the lightness given.
    """
    gray = np.repeat(given.luma[..., None], 3, axis=-1)
    return join_luma(to_unit(given.luma), split_luma(network_output(gray, network))[1])


def _most_similar(given: Gray) -> Image:
    """The donor whose quantiles of luma are nearest, in the mean of absolute differences."""
    steps = np.linspace(0, 1, 33)
    wanted = np.quantile(to_unit(given.luma), steps)

    def distance(donor: Image) -> float:
        return float(np.abs(np.quantile(split_luma(donor)[0], steps) - wanted).mean())

    return min(given.donors, key=distance)


def _deviation(luma: Plane) -> Plane:
    mean, square = cv2.blur(luma, (5, 5)), cv2.blur(luma * luma, (5, 5))
    return np.sqrt(np.maximum(square - mean * mean, 0)).astype(np.float32)


TASK = DemoTask(
    least=64,
    prepare=prepare,
    algorithms={
        "palette": Algorithm(
            palette, "rank matching, after color transfer: Reinhard et al., IEEE CG&A 2001"
        ),
        "example": Algorithm(example, "Welsh, Ashikhmin and Mueller, SIGGRAPH 2002"),
        **network_algorithms(_NETWORKS, by_network),
    },
    colored=True,
    donors=6,
    networks=_NETWORKS,
)
