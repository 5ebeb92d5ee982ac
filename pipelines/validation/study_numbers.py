"""What votes say, in numbers: checks passed, agreement and the human ceiling, bias, times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.manifests.votes import ANSWERS
from bapps_gen.metrics.bootstrap import CONFIDENCE
from bapps_gen.metrics.ceiling import Ceiling, human_ceiling
from bapps_gen.pipelines.judging.alpha import krippendorff_alpha
from bapps_gen.pipelines.judging.filters import filter_votes, passes, sentinel_shares
from bapps_gen.pipelines.judging.judge import Tally, missing_votes, tallies
from bapps_gen.pipelines.judging.options import VoteFilter
from bapps_gen.pipelines.validation.facts import step_kind

Values = NDArray[np.float64]
Tallies = Mapping[str, Tally]

# All of the paper's section 2.2 and appendix; seconds are "approximately".
PAPER_PASSED = {"share": 0.9, "least": 0.93}
PAPER_SAME = {"all": 0.364, "sentinels": 0.704, "test": 0.279}
PAPER_SECONDS = 3.0
PAPER_TIMES: Mapping[str, float] = {
    "reference_ms": 1000.0,
    "gap_ms": 250.0,
    "distorted_ms": 1000.0,
}

BINS = 40
TIMING_RANGE = 50.0
"""Milliseconds around the intended time that histograms show: 3 frames of 60 Hz (own choice)."""
_FEW_RESAMPLES = 200
"""Of the intervals by distortion, of which there are many (own choice)."""


def task_of_votes(votes: pa.Table) -> str:
    """The task of some votes.

    Raises:
        UserError: when there are none, or of both tasks.
    """
    tasks: list[str] = sorted(pc.unique(votes["task"]).to_pylist())
    if not tasks:
        raise UserError("there are no votes yet; give the report some with --votes")
    if len(tasks) > 1:
        raise UserError("votes are of both tasks, 2afc and jnd; give those of one")
    return tasks[0]


def describe_votes(
    votes: pa.Table,
    options: VoteFilter,
    *,
    width: float,
    wanted: Mapping[str, int] | None = None,
    names: Mapping[str, str] | None = None,
    distortions: Mapping[str, Sequence[str]] | None = None,
    times: Mapping[str, float] = PAPER_TIMES,
    extremes: int = 6,
) -> dict[str, Any]:
    """Everything that the report says, as plain values for JSON.

    Args:
        votes: with VOTES_SCHEMA, as they came.
        options: which of them count.
        width: of the ceiling's interval, for what would narrow it to that.
        wanted: by id, votes that a study asks for; None where unknown.
        names: of datasets, by digest.
        distortions: by id of a row, those on its sides; None where unknown.
        times: intended, by column, of a JND trial.
        extremes: rows listed of each extreme.

    Raises:
        UserError: when there are no votes, or votes of both tasks.
    """
    task = task_of_votes(votes)
    filtered = filter_votes(votes, options)
    kept = filtered.kept
    counted = tallies(kept, task)
    ceiling = ceiling_of(counted)
    simulated = int(pc.sum(votes["simulated"]).as_py() or 0)
    result: dict[str, Any] = {
        "task": task,
        "simulated": simulated > 0,
        "studies": sorted(filter(None, pc.unique(votes["study"]).to_pylist())),
        "filter": asdict(options),
        "confidence": CONFIDENCE,
        "votes": {
            "all": votes.num_rows,
            "counted": kept.num_rows,
            "simulated": simulated,
            "left_out": dict(filtered.left_out),
            **_missing(counted, wanted),
        },
        "people": _unique(votes, "person"),
        "people_counted": _unique(kept, "person"),
        "sessions": _unique(votes, "session"),
        "rows": len(counted),
        "rows_by_votes": _by_votes(counted),
        "sentinels": _sentinels(votes, options.min_sentinels),
        "seconds": _seconds(votes, kept),
        "agreement": {
            "alpha": krippendorff_alpha(kept, ANSWERS[task]),
            "ceiling": ceiling and ceiling_values(ceiling),
            "people": _people(kept, counted, task),
        },
        "plan": ceiling and _plan(ceiling, counted, width),
        "sets": _sets(kept, counted, names or {}),
        "distortions": None if distortions is None else _by_distortion(counted, distortions),
        "extremes": _extremes(kept, counted, task, extremes),
    }
    if task == "2afc":
        result["left"] = _left(kept)
    else:
        result["same"] = _same(votes)
        result["timing"] = _timing(votes, times)
    return result


def proportion(count: int, total: int) -> dict[str, Any] | None:
    """A share with its interval by Wilson's formula; None of nothing.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    from scipy.stats import binomtest

    if not total:
        return None
    interval = binomtest(count, total).proportion_ci(CONFIDENCE, "wilson")
    return {
        "share": count / total,
        "low": float(interval.low),
        "high": float(interval.high),
        "count": count,
        "of": total,
    }


def ceiling_of(counted: Tallies, **options: int) -> Ceiling | None:
    """The human ceiling over rows; None where no row has two votes."""
    found = counted.values()
    fractions = np.array([tally.fraction for tally in found], np.float64)
    return human_ceiling(fractions, [tally.votes for tally in found], **options)


def ceiling_values(ceiling: Ceiling) -> dict[str, Any]:
    """Both forms of a ceiling, as plain values."""
    forms = (
        ("paper", ceiling.paper, ceiling.paper_interval),
        ("unbiased", ceiling.pairwise, ceiling.interval),
    )
    return {
        "rows": ceiling.rows,
        **{name: {"value": value, "low": low, "high": high} for name, value, (low, high) in forms},
    }


def histogram(values: Values, low: float, high: float, bins: int = BINS) -> dict[str, Any]:
    """Counts in bins of equal width from `low` to `high`; the outermost take what is beyond."""
    inside = np.clip(values, low, np.nextafter(high, low))
    counts, _ = np.histogram(inside, bins, (low, high))
    return {"low": low, "top": high, "counts": counts.tolist()}


def _unique(votes: pa.Table, column: str) -> int:
    return len([name for name in pc.unique(votes[column]).to_pylist() if name])


def _numbers(column: pa.ChunkedArray) -> Values:
    values = column.drop_null().to_numpy().astype(np.float64)
    return np.asarray(values[~np.isnan(values)])


def _missing(counted: Tallies, wanted: Mapping[str, int] | None) -> dict[str, int | None]:
    """Votes that a study asks for, and those that rows still lack."""
    if wanted is None:
        return {"wanted": None, "missing": None}
    return {"wanted": sum(wanted.values()), "missing": missing_votes(counted, wanted)}


def _by_votes(counted: Tallies) -> dict[str, int]:
    """How many rows have one vote, two, and so on."""
    numbers = Counter(tally.votes for tally in counted.values())
    return {str(votes): numbers[votes] for votes in sorted(numbers)}


def _sentinels(votes: pa.Table, least: float) -> dict[str, Any] | None:
    """How many sessions pass, and how many sentinels are answered right by what is expected."""
    shares = sentinel_shares(votes)
    if not shares:
        return None

    def passing(minimum: float) -> int:
        return sum(passes(*share, minimum) for share in shares.values())

    sentinels = votes.filter(pc.equal(votes["phase"], "sentinel"))
    right = pc.equal(sentinels["answer"], sentinels["expected"])
    by_answer = {}
    for expected in sorted(pc.unique(sentinels["expected"]).to_pylist()):
        of_kind = right.filter(pc.equal(sentinels["expected"], expected))
        by_answer[expected] = proportion(int(pc.sum(of_kind).as_py() or 0), len(of_kind))
    return {
        "least": least,
        "passed": proportion(passing(least), len(shares)),
        "passed_paper": proportion(passing(PAPER_PASSED["least"]), len(shares)),
        "paper": dict(PAPER_PASSED),
        "right": by_answer,
    }


def _same(votes: pa.Table) -> dict[str, Any]:
    """Shares of pairs that are marked same, by all people, sentinels failed or not."""
    is_test, is_sentinel = (pc.equal(votes["phase"], name) for name in ("test", "sentinel"))
    masks = {"all": pc.or_(is_test, is_sentinel), "sentinels": is_sentinel, "test": is_test}
    found = {}
    for name, mask in masks.items():
        answers = votes["answer"].filter(mask)
        same = int(pc.sum(pc.equal(answers, "same")).as_py() or 0)
        share = proportion(same, len(answers))
        found[name] = share and {**share, "paper": PAPER_SAME[name]}
    return found


def _seconds(votes: pa.Table, kept: pa.Table) -> dict[str, Any]:
    """Reaction times of votes that count, and the time from one vote to the next."""
    reaction = _numbers(kept["rt_ms"]) / 1000
    timed = votes.filter(pc.is_valid(votes["time"]))
    sessions = timed["session"].combine_chunks().dictionary_encode().indices.to_numpy()
    moments = timed["time"].to_numpy().astype("datetime64[us]").astype(np.int64)
    order = np.lexsort((moments, sessions))
    follows = np.diff(sessions[order]) == 0
    between = np.diff(moments[order])[follows] / 1e6
    top = float(max(2, np.ceil(np.percentile(reaction, 98)))) if len(reaction) else 2.0
    return {
        "judgment": _spread(between),
        "reaction": _spread(reaction),
        "reaction_histogram": histogram(reaction, 0.0, top) if len(reaction) else None,
        "paper": PAPER_SECONDS,
    }


def _spread(values: Values) -> dict[str, Any] | None:
    """Number, median, mean, and between what nine of ten lie."""
    if not len(values):
        return None
    low, median, high = np.percentile(values, (5, 50, 95)).tolist()
    mean = float(values.mean())
    return {"count": len(values), "median": median, "mean": mean, "p05": low, "p95": high}


def _people(kept: pa.Table, counted: Tallies, task: str) -> dict[str, Any] | None:
    """Of each person, the share of the others' votes on the same rows that agree with theirs."""
    agreeing: dict[str, list[float]] = {}
    first = "p1" if task == "2afc" else "same"
    columns = (kept[name].to_pylist() for name in ("person", "id", "answer"))
    for person, name, answer in zip(*columns, strict=True):
        tally = counted[name]
        if person and tally.votes > 1:
            alike = tally.counted if answer == first else tally.votes - tally.counted
            agreeing.setdefault(person, []).append((alike - 1) / (tally.votes - 1))
    if not agreeing:
        return None
    shares = np.array([np.mean(values) for values in agreeing.values()])
    return {**(_spread(shares) or {}), "histogram": histogram(shares, 0.0, 1.0, 20)}


def _plan(ceiling: Ceiling, counted: Tallies, width: float) -> dict[str, Any]:
    """What narrows the interval of the ceiling to a width, rows being judged as they are now."""
    several = [tally.votes for tally in counted.values() if tally.votes > 1]
    rows = ceiling.rows_for(width)
    more = max(0, rows - ceiling.rows)
    low, high = ceiling.interval
    return {
        "width": width,
        "width_now": high - low,
        "rows": rows,
        "votes_per_row": float(np.mean(several)),
        "more_rows": more,
        "more_votes": int(np.ceil(more * float(np.mean(several)))),
    }


def _sets(kept: pa.Table, counted: Tallies, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows, votes and ceiling of each dataset."""
    digest_of = dict(zip(kept["id"].to_pylist(), kept["dataset"].to_pylist(), strict=True))
    found = []
    for digest in sorted(set(digest_of.values())):
        own = {name: tally for name, tally in counted.items() if digest_of[name] == digest}
        ceiling = ceiling_of(own)
        found.append(
            {
                "name": names.get(digest, digest),
                "digest": digest,
                "rows": len(own),
                "votes": sum(tally.votes for tally in own.values()),
                "ceiling": ceiling and ceiling_values(ceiling),
            }
        )
    return found


def _by_distortion(
    counted: Tallies, distortions: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Rows, votes and agreement of rows with a distortion on any side, by its name."""
    groups: dict[str, dict[str, Tally]] = {}
    for name, tally in counted.items():
        for kind in {step_kind(step) for step in distortions.get(name, ())}:
            groups.setdefault(kind, {})[name] = tally
    found = {}
    for kind in sorted(groups):
        own = groups[kind]
        ceiling = ceiling_of(own, resamples=_FEW_RESAMPLES)
        votes = sum(tally.votes for tally in own.values())
        found[kind] = {
            "rows": len(own),
            "votes": votes,
            "counted_share": sum(tally.counted for tally in own.values()) / votes,
            "agreement": ceiling and ceiling_values(ceiling)["unbiased"],
        }
    return found


def _left(kept: pa.Table) -> dict[str, Any] | None:
    """How often the left side is chosen, and how likely as far from a half is by chance."""
    from scipy.stats import binomtest

    shown = kept.filter(pc.not_equal(kept["left"], ""))
    count = int(pc.sum(pc.equal(shown["answer"], shown["left"])).as_py() or 0)
    share = proportion(count, shown.num_rows)
    return share and {**share, "p_value": float(binomtest(count, shown.num_rows).pvalue)}


def _timing(votes: pa.Table, times: Mapping[str, float]) -> dict[str, Any]:
    """Measured times of JND trials, and how many were right."""
    known = votes["timing_ok"].drop_null()
    found: dict[str, Any] = {"right": proportion(int(pc.sum(known).as_py() or 0), len(known))}
    for name, intended in times.items():
        values = _numbers(votes[name])
        low, high = intended - TIMING_RANGE, intended + TIMING_RANGE
        drawn = histogram(values, low, high) if len(values) else None
        found[name] = {"intended": intended, "measured": _spread(values), "histogram": drawn}
    return found


def _extremes(
    kept: pa.Table, counted: Tallies, task: str, number: int
) -> dict[str, list[dict[str, Any]]]:
    """Rows on which people are split, and those on which they agree (JND: that are called same)."""
    places = dict(
        zip(
            kept["id"].to_pylist(),
            zip(kept["dataset"].to_pylist(), kept["row"].to_pylist(), strict=True),
            strict=True,
        )
    )
    several = [(name, tally) for name, tally in counted.items() if tally.votes > 1]

    def entries(key: Any) -> list[dict[str, Any]]:
        chosen = sorted(several, key=lambda entry: (key(entry[1]), -entry[1].votes, entry[0]))
        return [
            {
                "id": name,
                "dataset": places[name][0],
                "row": places[name][1],
                "votes": tally.votes,
                "counted": tally.counted,
            }
            for name, tally in chosen[:number]
        ]

    split = entries(lambda tally: abs(tally.fraction - 0.5))
    if task == "2afc":
        return {"split": split, "agreed": entries(lambda tally: -abs(tally.fraction - 0.5))}
    return {"split": split, "same": entries(lambda tally: -tally.fraction)}
