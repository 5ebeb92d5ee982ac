"""Compression distortions: JPEG."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from bapps_gen.distortions.definition import Patch

_SAMPLING = {
    444.0: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    422.0: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    420.0: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


def compress_jpeg(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Encode as baseline JPEG (libjpeg-turbo) and decode.

    `quality` follows libjpeg's scale from 1 to 100; `subsampling` is 444, 422 or 420.
    """
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        int(params["quality"]),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        _SAMPLING[params["subsampling"]],
    ]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(patch, cv2.COLOR_RGB2BGR), options)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]
