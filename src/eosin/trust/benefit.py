"""Decision curves: is acting on the model better than acting on every patch, or on none?"""

from __future__ import annotations

from typing import Any

import numpy as np

from eosin.evaluation.definitions import Floats, why_undefined
from eosin.evaluation.intervals import LEVEL, few_units
from eosin.records.scored import Scored
from eosin.trust.totals import replicate_totals, totals

#: The threshold probabilities of a decision curve, float64 [99].
THRESHOLDS: Floats = np.arange(1, 100) / 100

MEANING = (
    "The threshold probability is where acting and not acting are worth the same: at 0.2, a "
    "missed positive weighs as much as 4 false alarms (0.8 to 0.2)."
)


def net_benefit(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Net benefit of the model and of calling every patch positive: float64 [..., 99] each.

    positive, negative: float64 [..., 100], patches of each class by how many of the ``THRESHOLDS``
    their probability reaches. Vickers & Elkin, Medical Decision Making 26, 2006: true positives
    less false positives weighed by t / (1 - t), as a share of all patches.

    >>> model, treat_all = net_benefit(np.eye(100)[99], np.eye(100)[0])
    >>> model[19].item(), treat_all[19].item()
    (0.5, 0.375)
    """
    odds = THRESHOLDS / (1 - THRESHOLDS)
    hits, alarms = (
        np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1] for counts in (positive, negative)
    )
    patches = hits[..., :1] + alarms[..., :1]
    model: Floats = (hits[..., 1:] - odds * alarms[..., 1:]) / patches
    treat_all: Floats = (hits[..., :1] - odds * alarms[..., :1]) / patches
    return model, treat_all


def decision_curve(scored: Scored, *, replicates: int = 2000, seed: int = 0) -> dict[str, Any]:
    """The decision curve of a model, with its band by bootstrap: as in evaluation.json.

    scored: patches with calibrated probabilities, as thresholds are compared with them directly.
    "useful" are the ranges of thresholds where the model's net benefit is above those of calling
    every patch positive and of calling none (which is 0), by the values themselves; "clear" those
    where its margin over both stays above 0 in the interval, too. Not defined without both classes:
    the lists are empty and the note has the reason.

    >>> scored = Scored.of([0, 1] * 6, [0.2, 0.7] * 6, list("aabbccddeeff"))
    >>> curve = decision_curve(scored, replicates=20)
    >>> curve["useful"], curve["model"][49]
    ([[0.21, 0.7]], 0.5)
    """
    what = "a decision curve"
    if scored.classes > 2:
        return _without(f"{what} needs two classes, and there are {scored.classes}")
    for needed in ("brier", "balanced_accuracy"):
        if reason := why_undefined(needed, scored, what):
            return _without(reason)
    truth, units = scored.labels, scored.units
    cells = np.searchsorted(THRESHOLDS, scored.scores, side="right")
    values = np.stack([truth == 1, truth == 0]).astype(np.float64)
    width = len(THRESHOLDS) + 1
    model, treat_all = net_benefit(*totals(values, cells, width))
    margin = model - np.maximum(treat_all, 0)
    useful, clear = _ranges(margin), []
    low: list[float | None] = [None] * len(THRESHOLDS)
    high, few = low, few_units(units)
    if not few:
        drawn = replicate_totals(values, cells, width, units, replicates=replicates, seed=seed)
        models, alls = net_benefit(drawn[:, 0], drawn[:, 1])
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(models, [tail, 1 - tail], axis=0).tolist()
        least = np.quantile(models - np.maximum(alls, 0), tail, axis=0)
        clear = _ranges(np.minimum(least, margin))
    return {
        "thresholds": THRESHOLDS.tolist(),
        "model": model.tolist(),
        "low": low,
        "high": high,
        "treat_all": treat_all.tolist(),
        "useful": useful,
        "clear": clear,
        "sentence": f"{_verdict(useful, clear, not few)} {MEANING}",
        "note": few or units.note,
    }


def _ranges(margin: Floats) -> list[list[float]]:
    """First and last threshold of every run above 0."""
    # Where the model calls every patch positive the two curves are equal up to rounding: not above.
    above = np.concatenate([[False], margin > 1e-12, [False]])
    turns = np.flatnonzero(np.diff(above.astype(np.int8)))
    return [
        [float(THRESHOLDS[a]), float(THRESHOLDS[b - 1])]
        for a, b in zip(turns[::2], turns[1::2], strict=True)
    ]


def _verdict(useful: list[list[float]], clear: list[list[float]], banded: bool) -> str:
    if not useful:
        return (
            "Acting on the model is not better than calling every patch positive or none at any "
            "threshold probability from 0.01 to 0.99."
        )
    better = (
        "Acting on the model is better than calling every patch positive or none at threshold "
        f"probabilities {_spelled(useful)}"
    )
    if not banded:
        return f"{better}."
    if clear == useful:
        return f"{better}; there the interval of its margin over both is above 0."
    if clear:
        return f"{better}; the interval of its margin over both is above 0 {_spelled(clear)}."
    return f"{better}; but the interval of its margin over both is never above 0."


def _spelled(ranges: list[list[float]]) -> str:
    words = [f"at {a:g}" if a == b else f"from {a:g} to {b:g}" for a, b in ranges]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _without(why: str) -> dict[str, Any]:
    lists = ("thresholds", "model", "low", "high", "treat_all", "useful", "clear")
    return {**{name: [] for name in lists}, "sentence": "", "note": why}
