"""Decision curves: is acting on the model better than acting on every patch, or on none?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, checked, why_undefined
from eosin.evaluation.intervals import LEVEL, Units
from eosin.trust.totals import few_units, replicate_totals, totals

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
    found, alarms = (
        np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1] for counts in (positive, negative)
    )
    everything = found[..., :1] + alarms[..., :1]
    model: Floats = (found[..., 1:] - odds * alarms[..., 1:]) / everything
    treat_all: Floats = (found[..., :1] - odds * alarms[..., :1]) / everything
    return model, treat_all


def decision_curve(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    units: Units,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The decision curve of a model, with its band by bootstrap: as in evaluation.json.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2], calibrated, for a threshold here is
    taken at its word; units: of the same N patches. "useful" are the ranges of thresholds where
    the model's net benefit is above those of calling every patch positive and of calling none
    (which is 0), by the values themselves; "clear" those where its margin over both stays above 0
    in the interval, too. Not defined without both classes: the lists are empty and the note says
    why. Raises ValueError for lengths that differ.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> y, p = [0, 1] * 6, [0.2, 0.7] * 6
    >>> found = decision_curve(y, p, resampling_units(list("aabbccddeeff"), 12), replicates=20)
    >>> found["useful"], found["model"][49]
    ([[0.21, 0.7]], 0.5)
    """
    truth, scores = checked(y_true, y_prob)
    if len(truth) != len(units.codes):
        raise ValueError(f"y_true has {len(truth)} entries and units {len(units.codes)}")
    if scores.ndim == 2:
        return _without(f"a decision curve needs two classes, and there are {scores.shape[1]}")
    reason = why_undefined("brier", truth, scores) or why_undefined(
        "balanced_accuracy", truth, scores
    )
    if reason:
        return _without(f"a decision curve {reason.partition(' ')[2]}")
    cells = np.searchsorted(THRESHOLDS, scores, side="right")
    values = np.stack([truth == 1, truth == 0]).astype(np.float64)
    width = len(THRESHOLDS) + 1
    model, treat_all = net_benefit(*totals(values, cells, width))
    margin = model - np.maximum(treat_all, 0)
    note = few_units(units)
    low = high = surely = None
    if not note:
        note = units.note
        drawn = replicate_totals(values, cells, width, units, replicates=replicates, seed=seed)
        models, alls = net_benefit(drawn[:, 0], drawn[:, 1])
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(models, [tail, 1 - tail], axis=0)
        surely = np.quantile(models - np.maximum(alls, 0), tail, axis=0)
    useful = _ranges(margin)
    clear = [] if surely is None else _ranges(np.minimum(surely, margin))
    blank = [None] * len(THRESHOLDS)
    return {
        "thresholds": THRESHOLDS.tolist(),
        "model": model.tolist(),
        "low": blank if low is None else low.tolist(),
        "high": blank if high is None else high.tolist(),
        "treat_all": treat_all.tolist(),
        "useful": useful,
        "clear": clear,
        "sentence": f"{_verdict(useful, clear, surely is not None)} {MEANING}",
        "note": note,
    }


def _ranges(margin: Floats) -> list[list[float]]:
    """First and last threshold of every run above 0."""
    # Where the model calls every patch positive the two curves are one: not above, but for bits.
    above = np.concatenate([[False], margin > 1e-12, [False]])
    turns = np.flatnonzero(np.diff(above.astype(np.int8)))
    return [
        [float(THRESHOLDS[a]), float(THRESHOLDS[b - 1])]
        for a, b in zip(turns[::2], turns[1::2], strict=True)
    ]


def _verdict(useful: list[list[float]], clear: list[list[float]], banded: bool) -> str:
    if not useful:
        return (
            "At no threshold probability from 0.01 to 0.99 is acting on the model better than "
            "calling every patch positive or none."
        )
    said = (
        f"Acting on the model is better than calling every patch positive or none at threshold "
        f"probabilities {_spelled(useful)}"
    )
    if not banded:
        return f"{said}."
    if clear == useful:
        return f"{said}; there the interval of its margin over both lies above 0."
    if clear:
        return f"{said}; the interval of its margin over both lies above 0 {_spelled(clear)}."
    return f"{said}; but nowhere does the interval of its margin over both lie above 0."


def _spelled(ranges: list[list[float]]) -> str:
    words = [f"at {a:g}" if a == b else f"from {a:g} to {b:g}" for a, b in ranges]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _without(why: str) -> dict[str, Any]:
    lists = ("thresholds", "model", "low", "high", "treat_all", "useful", "clear")
    return {**{name: [] for name in lists}, "sentence": "", "note": why}
