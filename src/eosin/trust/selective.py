"""How sure a model is of each patch, and the risk of its answers as fewer of them are referred."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints
from eosin.evaluation.intervals import MIN_CASES, percentile_interval
from eosin.evaluation.metrics import ratio
from eosin.evaluation.resampling import draws
from eosin.records.points import OperatingPoint, centered
from eosin.records.scored import Scored, Units

#: The largest float32 below 1: scores beyond it are equally sure.
_SUREST = 1 - 2.0**-24


def sureness(scored: Scored, point: OperatingPoint) -> tuple[Floats, Ints]:
    """How sure each answer is, float64 [N] (-1 where not finite), and its class int64 [N].

    More than two classes: the largest probability. Two: the probability of the class that the
    threshold gives, after both are moved so that the threshold becomes 0.5 (``centered``); so it
    is 0.5 at the threshold and 1 where the other class has no probability. Of float32, so that a
    network's output and the same numbers in float64 are one.

    >>> scored = Scored.of([0, 0, 1], [0.05, 0.2, 0.5])
    >>> sure, called = sureness(scored, OperatingPoint("f1", 0.2))
    >>> sure.round(3).tolist(), called.tolist()
    ([0.826, 0.5, 0.8], [0, 1, 1])
    """
    called = point.called(scored.probabilities)
    with np.errstate(over="ignore"):
        exact = scored.probabilities.astype(np.float32).astype(np.float64)
    sure = exact.max(axis=1, initial=0.0)
    if scored.classes == 2 and point.threshold is not None:
        moved = centered(exact[:, 1], point.threshold)
        # Beyond the ends of ``centered`` a patch is at the threshold, on whichever side.
        sure = np.maximum(np.where(called == 1, moved, 1 - moved), 0.5)
    finite = np.isfinite(exact).all(axis=1)
    return np.where(finite, np.minimum(sure, _SUREST), -1.0), called


def cuts(sure: Floats, steps: int, *, lowest: float) -> Floats:
    """Cuts, descending, that answer 1/steps, 2/steps, ... of the patches: float64 [G].

    Each lies midway between neighboring scores, on a float32 number where one fits, so that the
    last bit of a score cannot change its answer; the last cut is ``lowest``. Fewer than ``steps``
    where scores are equal. sure: float64 [N], at least one of them not negative.

    >>> cuts(np.array([0.5, 0.75, 0.75, 1.0]), 4, lowest=0.5).tolist()
    [0.875, 0.625, 0.5]
    """
    distinct, counts = np.unique(-sure[sure >= 0], return_counts=True)
    distinct, reached = -distinct, np.cumsum(counts)
    targets = np.ceil(np.arange(1, steps + 1) * reached[-1] / steps)
    picked = np.unique(np.searchsorted(reached, targets))
    upper, lower = distinct[picked[:-1]], distinct[picked[:-1] + 1]
    exact = lower + (upper - lower) / 2
    rounded = exact.astype(np.float32).astype(np.float64)
    fits = (lower < rounded) & (rounded < upper)
    return np.append(np.where(fits, rounded, exact), lowest)


def counts_by_unit(
    sure: Floats, wrong: npt.NDArray[np.bool_], units: Units, levels: Floats
) -> tuple[Floats, Floats]:
    """Wrong answers and answers of each unit at each cut: two float64 [units, G].

    sure: float64 [N]; wrong: bool [N]; levels: float64 [G], descending, as ``cuts`` gives them.
    """
    keep = sure >= 0
    place = np.searchsorted(-levels, -sure[keep])
    cell = units.codes[keep] * len(levels) + place

    def table(cells: Ints) -> Floats:
        flat = np.bincount(cells, minlength=units.count * len(levels))
        return flat.reshape(units.count, -1).cumsum(axis=1).astype(np.float64)

    return table(cell[wrong[keep]]), table(cell)


def risk_coverage(
    scored: Scored,
    point: OperatingPoint,
    *,
    points: int = 101,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The share of wrong answers against the share answered, as the cut falls, with its interval.

    At most ``points`` points, coverage ascending (Geifman & El-Yaniv, Selective classification for
    deep neural networks, 2017); the last is the operating point without a band. The interval is of
    the risk at each cut, by bootstrap over cases; patches without a finite score are never
    answered.

    >>> scored = Scored.of([0, 1] * 3, [0.1, 0.9, 0.2, 0.8, 0.6, 0.7], list("aabbcc"))
    >>> curve = risk_coverage(scored, OperatingPoint("f1", 0.5), replicates=50)
    >>> [round(x, 3) for x in curve["risk"]]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.167]
    """
    units = scored.units
    curve: dict[str, Any] = {"coverage": [], "risk": [], "low": [], "high": [], "note": ""}
    if not scored.finite.any():
        curve["note"] = "risk and coverage need patches with finite scores, and there are none"
        return curve
    sure, called = sureness(scored, point)
    levels = cuts(sure, points - 1, lowest=0.0)
    wrong, answered = counts_by_unit(sure, called != scored.labels, units, levels)
    total = answered.sum(axis=0)
    curve["coverage"] = (total / len(scored)).tolist()
    curve["risk"] = (wrong.sum(axis=0) / total).tolist()
    if units.count < MIN_CASES:
        curve["low"] = curve["high"] = [None] * len(levels)
        curve["note"] = f"an interval over {units.kind} needs at least {MIN_CASES}"
        return curve
    blocks = draws(units.count, replicates, seed)
    samples = np.concatenate([ratio(block @ wrong, block @ answered) for block in blocks])
    bounds = [percentile_interval(0.0, column) for column in samples.T]
    curve["low"], curve["high"] = [b.low for b in bounds], [b.high for b in bounds]
    curve["note"] = units.note
    return curve
