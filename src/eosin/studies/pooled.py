"""Figures of predictions that come from several models, each with a threshold of its own.

What a threshold decides cannot be computed from the probabilities once folds are pooled,
so figures of decisions are computed from the decisions, and figures of ranking from probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import figure_names
from eosin.evaluation.intervals import Interval, Units, bootstrap
from eosin.evaluation.metrics import figure

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

#: Figures that follow from probabilities, not from decisions.
OF_SCORES = ("auroc", "average_precision", "brier")


def intervals_of(
    truth: Ints,
    prob: Floats,
    called: Ints,
    units: Units,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Every figure with its interval over cases, figures of decisions from ``called``.

    truth: int64 [N]; prob: float [N, K]; called: int64 [N], the class that was decided.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> y = np.array([0, 1] * 6)
    >>> figures = intervals_of(y, np.eye(2)[y], 1 - y, resampling_units(list("aabbccddeeff"), 12),
    ...                        replicates=20)
    >>> figures["auroc"].value, figures["sensitivity"].value
    (1.0, 0.0)
    """
    options: dict[str, Any] = {"replicates": replicates, "seed": seed}
    result = bootstrap(truth, prob, units, **options)
    if prob.shape[1] > 2:
        return result
    # The same seed gives the same draws, so the two halves belong to each other.
    decided = bootstrap(truth, called.astype(np.float64), units, **options)
    return {name: result[name] if name in OF_SCORES else decided[name] for name in result}


def values_of(truth: Ints, prob: Floats, called: Ints) -> dict[str, float | None]:
    """Every figure without interval; None where it is not defined."""
    values = {}
    for name in figure_names(prob):
        decided = prob.shape[1] == 2 and name not in OF_SCORES
        value = figure(name, truth, called.astype(np.float64) if decided else prob)
        values[name] = float(value) if np.isfinite(value) else None
    return values


def spread(rows: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | int | None]]:
    """Mean, standard deviation, lowest and highest of every figure over folds or seeds.

    >>> spread([{"auroc": 0.8}, {"auroc": 0.9}, {"auroc": None}])["auroc"]["n"]
    2
    """
    result: dict[str, dict[str, float | int | None]] = {}
    for name in rows[0] if rows else ():
        values = np.array([row[name] for row in rows if row[name] is not None], np.float64)
        result[name] = {
            "n": len(values),
            "mean": float(values.mean()) if len(values) else None,
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            "lowest": float(values.min()) if len(values) else None,
            "highest": float(values.max()) if len(values) else None,
        }
    return result
