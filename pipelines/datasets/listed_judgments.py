"""What the `manifest.csv` of an export says of judgments, which the layout has no place for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from bapps_gen.manifests.listing import LISTING_NAME
from bapps_gen.manifests.shard_judgements import Judgment
from bapps_gen.pipelines.datasets.original import OriginalSet, read_judgment

_MOST_BYTES = 10**9
_TOLERANCE = 1e-6  # of float32


@dataclass(frozen=True, slots=True)
class ListedJudgment:
    """Id of a row in the dataset that was exported, its judgment, and how many people judged."""

    id: str
    fraction: float | None
    count: int | None

    def count_of(self, fraction: float) -> int | None:
        """How many people judged, where the fraction is the one that they gave."""
        if self.fraction is None or abs(self.fraction - fraction) > _TOLERANCE:
            return None
        return self.count


def listed_judgments(original: OriginalSet) -> dict[str, ListedJudgment]:
    """The lines of an export's `manifest.csv` by stem of the row's files.

    None where there is no such file; lines that make no sense are passed over, since the judgments
    themselves are in files of their own.
    """
    path = original.folder / LISTING_NAME
    fraction = "judge" if original.task == "2afc" else "same"
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return {}
    listed: dict[str, ListedJudgment] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                held = _listed(line, fraction)
                if held is not None:
                    listed[line["file"].rpartition(".")[0]] = held
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return listed


def judgment_of(original: OriginalSet, row: int, listed: Mapping[str, ListedJudgment]) -> Judgment:
    """A row's judgment from its file, with the number of people that an export lists.

    Raises:
        UserError: as `read_judgment`.
    """
    fraction = read_judgment(original.path(-1, row))
    line = listed.get(original.stems[row])
    return fraction, None if line is None else line.count_of(fraction)


def _listed(line: dict[str, str], fraction: str) -> ListedJudgment | None:
    try:
        share, count = line[fraction], line[f"{fraction}_count"]
        number = int(count) if count else None
        sound = bool(line["file"]) and (number is None or 0 <= number < 2**31)
        held = ListedJudgment(line["id"], float(share) if share else None, number)
        return held if sound else None
    except (KeyError, ValueError, TypeError):
        return None
