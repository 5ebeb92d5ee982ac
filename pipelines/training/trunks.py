"""Trunks from photos without labels, by stacked k-means, as files that nets load from."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.errors import ImageError, SourceError, UserError
from bapps_gen.execution.progress import no_progress
from bapps_gen.pipelines.training.options import TrunkOptions
from bapps_gen.seeding import SLOT_NET_CROPS, generator
from bapps_gen.storage.atomic import whole_file
from bapps_gen.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bapps_gen.execution.progress import Progress, ProgressBars
    from bapps_gen.pipelines.sources.source import Source

logger = logging.getLogger(__name__)

_ORDER = 2**62
"""Number of the random stream that orders photos, beyond those of crops."""


def make_trunk(
    source: Source, options: TrunkOptions, out: Path, progress: ProgressBars = no_progress
) -> Path:
    """Make a trunk's weights of photos and write them.

    `bapps_gen.lpips.made_weights.kmeans_weights` says how. Of more photos than crops are needed, a
    part is chosen by the seed.

    Args:
        source: the photos.
        options: architecture and seed.
        out: file to write, NAME.safetensors, with torchvision's names of weights.
        progress: opens a bar for the crops, and one for the layers.

    Raises:
        UserError: for a file's name of another ending, or a folder that does not exist.
        SourceError: where no photo can be decoded.
        WorkError: where the file cannot be written.
    """
    if out.suffix != ".safetensors":
        raise UserError(
            f"out = {out} does not end in .safetensors; give a file such as trunk.safetensors"
        )
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} does not exist; create it first")
    from safetensors.torch import save

    from bapps_gen.lpips.made_weights import kmeans_digest, kmeans_weights

    with progress("cutting crops", "crops") as report:
        crops = _crops(source, options, report)
    with progress("k-means", "layers") as report:
        weights = kmeans_weights(options.net, crops, options.seed, report)
    note = {
        "net": options.net,
        "made by": f"bapps-gen {__version__}, stacked k-means",
        "seed": options.seed,
        "digest": kmeans_digest(options.net, options.seed, [crops.tobytes()]),
    }
    # One entry: safetensors writes several in an order that changes from run to run.
    data = save(weights, {"bapps_gen": json.dumps(note)})
    with whole_file(out) as temporary:
        temporary.write_bytes(data)
    return out


def _crops(source: Source, options: TrunkOptions, progress: Progress | None) -> NDArray[np.uint8]:
    """CROPS crops, as many of each photo, less those of photos that cannot be decoded."""
    import numpy as np

    from bapps_gen.lpips.made_weights import CROPS, cut_crop

    order = generator(options.seed, _ORDER, SLOT_NET_CROPS).permutation(len(source))[:CROPS]
    crops: list[NDArray[np.uint8]] = []
    problem = ""
    for position, index in enumerate(map(int, order)):
        numbers = range(position, CROPS, len(order))
        try:
            photo = source.load(index)
        except ImageError as error:
            problem = f"{source.entries[index].name}: {error}"
            logger.warning("%s; its crops are left out", problem)
            continue
        crops += [cut_crop(photo, options.net, number, options.seed) for number in numbers]
        if progress:
            progress(len(crops), CROPS)
    if not crops:
        raise SourceError(f"no photo can be decoded, the last being {problem}; give other photos")
    return np.stack(crops)
