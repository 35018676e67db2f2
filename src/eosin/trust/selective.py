"""How sure a model is of each patch, and the risk of its answers as fewer of them are referred."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked
from eosin.evaluation.intervals import MIN_CASES, Units, percentile_interval
from eosin.evaluation.resampling import draws

Scores = npt.NDArray[np.float32]

#: The largest float32 below 1: scores beyond it are equally sure.
_SUREST = 1 - 2.0**-24


def read_scores(y_prob: npt.ArrayLike) -> Scores:
    """float32 [N] of the positive class, or float32 [N, K] for K > 2.

    In float32, so that a network's output and the same numbers in float64 are one.

    >>> read_scores([[0.5, 0.5], [0.25, 0.75]]).tolist()
    [0.5, 0.75]
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: not finite
        scores = np.asarray(y_prob, dtype=np.float32)
    return scores[:, 1] if scores.ndim == 2 and scores.shape[1] == 2 else scores


def sureness(scores: Scores) -> tuple[Floats, Ints]:
    """The largest probability float64 [N] (-1 where not finite) and its class int64 [N].

    scores: of read_scores. Two classes: 0.5 is positive, as it is with a threshold of 0.5.

    >>> [each.tolist() for each in sureness(read_scores([0.25, 0.5, np.nan]))]
    [[0.75, 0.5, -1.0], [0, 1, 0]]
    """
    if scores.ndim == 2:
        finite = np.isfinite(scores).all(axis=1)
        sure, called = scores.max(axis=1).astype(np.float64), scores.argmax(axis=1)
    else:
        finite = np.isfinite(scores)
        positive = scores >= 0.5
        exact = scores.astype(np.float64)
        sure, called = np.where(positive, exact, 1 - exact), positive
    return np.where(finite, np.minimum(sure, _SUREST), -1.0), called.astype(np.int64)


def cuts(sure: Floats, steps: int, *, lowest: float) -> Floats:
    """Cuts, descending, that answer 1/steps, 2/steps, ... of the patches: float64 [G].

    Each lies midway between neighboring scores, on a float32 number where one fits, so that the
    last bit of a score cannot change its answer; the last cut is ``lowest``. Fewer than ``steps``
    where scores are equal. sure: float64 [N], at least one of them not negative.

    >>> cuts(np.array([0.5, 0.75, 0.75, 1.0]), 4, lowest=0.5).tolist()
    [0.875, 0.625, 0.5]
    """
    distinct, held = np.unique(-sure[sure >= 0], return_counts=True)
    distinct, reached = -distinct, np.cumsum(held)
    wanted = np.ceil(np.arange(1, steps + 1) * reached[-1] / steps)
    picked = np.unique(np.searchsorted(reached, wanted))
    upper, lower = distinct[picked[:-1]], distinct[picked[:-1] + 1]
    middle = (lower + (upper - lower) / 2).astype(np.float32).astype(np.float64)
    inside = (lower < middle) & (middle <= upper)
    return np.append(np.where(inside, middle, upper), lowest)


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
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    units: Units,
    *,
    points: int = 101,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The share of wrong answers against the share answered, as the cut falls, with its interval.

    y_true: int [N]; y_prob: float [N] or [N, K]. At most ``points`` points, coverage ascending
    (Geifman & El-Yaniv, Selective classification for deep neural networks, 2017). The interval is
    of the risk at each cut, by bootstrap over cases; patches without a finite score are last and
    never answered.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> units = resampling_units(list("aabbcc"), 6)
    >>> curve = risk_coverage([0, 1] * 3, [0.1, 0.9, 0.2, 0.8, 0.6, 0.7], units, replicates=50)
    >>> [round(x, 3) for x in curve["risk"]]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.167]
    """
    truth, _ = checked(y_true, y_prob)
    scores = read_scores(y_prob)
    curve: dict[str, Any] = {"coverage": [], "risk": [], "low": [], "high": [], "note": ""}
    if not np.isfinite(scores).any():
        curve["note"] = "risk and coverage need patches with finite scores, and there are none"
        return curve
    sure, called = sureness(scores)
    levels = cuts(sure, points - 1, lowest=0.0)
    wrong, answered = counts_by_unit(sure, called != truth, units, levels)
    total = answered.sum(axis=0)
    curve["coverage"] = (total / len(truth)).tolist()
    curve["risk"] = (wrong.sum(axis=0) / total).tolist()
    if units.count < MIN_CASES:
        curve["low"] = curve["high"] = [None] * len(levels)
        curve["note"] = f"an interval over {units.kind} needs at least {MIN_CASES}"
        return curve
    drawn = [
        ratio(block @ wrong, block @ answered) for block in draws(units.count, replicates, seed)
    ]
    samples = np.concatenate(drawn)
    bounds = [percentile_interval(0.0, column) for column in samples.T]
    curve["low"], curve["high"] = [b.low for b in bounds], [b.high for b in bounds]
    curve["note"] = units.note
    return curve


def ratio(above: Floats, below: Floats) -> Floats:
    """A share, NaN where there is nothing to share.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    share = np.full(above.shape, np.nan)
    np.divide(above, below, out=share, where=below > 0)
    return share
