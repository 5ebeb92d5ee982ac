"""Agreement between people beyond what chance gives: Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bapps_gen.errors import UserError


def krippendorff_alpha(votes: pa.Table, answers: Sequence[str]) -> float | None:
    """Krippendorff's alpha of nominal answers: 1 is full agreement, 0 what chance gives.

    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), by the library of that name.

    Args:
        votes: that count, with VOTES_SCHEMA, of one task.
        answers: of the task.

    Returns:
        None where no row has two votes, or all answers are the same.

    Raises:
        UserError: when the library is not installed.
    """
    try:
        import krippendorff
    except ImportError:
        raise UserError(
            "Krippendorff's alpha needs krippendorff, which is not installed; run: pip install "
            "'bapps-gen[study]'"
        ) from None

    counted = (
        pa.table({"id": votes["id"], "first": pc.equal(votes["answer"], answers[0])})
        .group_by("id", use_threads=False)
        .aggregate([("first", "sum"), ("first", "count")])
    )
    first = counted["first_sum"].to_numpy().astype(np.int64)
    table = np.stack([first, counted["first_count"].to_numpy() - first], axis=1)
    table = table[table.sum(axis=1) >= 2]
    if not len(table) or (table.sum(axis=0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))
