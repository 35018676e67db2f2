"""Figures of the ranking: they look at the order of the scores and need no threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked, why_undefined
from eosin.records.scored import Scored


def ranked_counts(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> tuple[Floats, Ints, Ints]:
    """True and false positives at each distinct score, from the highest score down.

    y_true: int [N] of 0 and 1; y_prob: float [N], finite.
    Returns scores float64 [M], true positives int64 [M], false positives int64 [M], where a patch
    counts as called positive when its score is at least the row's. Equal scores are one row.

    >>> [part.tolist() for part in ranked_counts([0, 1, 1], [0.2, 0.2, 0.7])]
    [[0.7, 0.2], [1, 2], [0, 1]]
    """
    return _ranked(*checked(y_true, y_prob))


def _ranked(truth: Ints, scores: Floats) -> tuple[Floats, Ints, Ints]:
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], np.ones(min(1, len(order)), bool)))
    true_positives = np.cumsum(truth[order])[last]
    return ordered[last], true_positives, last + 1 - true_positives


def auroc(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> float:
    """Area under the ROC curve: how often a positive patch scores above a negative one.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2]. Ties count one half (Mann-Whitney U).

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _defined(area_of_roc, "auroc", y_true, y_prob)


def average_precision(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> float:
    """Average precision: the mean of the precision over the positives, without interpolation.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2]. Sum of (R_i - R_{i-1}) P_i over the
    distinct scores, as scikit-learn defines it.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _defined(area_of_precision, "average_precision", y_true, y_prob)


def macro_auroc(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> float:
    """Mean over the classes that occur of each class's AUROC against the rest.

    y_true: int [N]; y_prob: float [N, K], K > 2.

    >>> macro_auroc([0, 1, 2], np.eye(3))
    1.0
    """
    return _defined(area_of_roc, "macro_auroc", y_true, y_prob)


def macro_average_precision(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> float:
    """Mean over the classes that occur of each class's average precision against the rest.

    y_true: int [N]; y_prob: float [N, K], K > 2.

    >>> macro_average_precision([0, 1, 2], np.eye(3))
    1.0
    """
    return _defined(area_of_precision, "macro_average_precision", y_true, y_prob)


def _defined(
    area: Callable[[Ints, Floats], float], name: str, y_true: npt.ArrayLike, y_prob: npt.ArrayLike
) -> float:
    scored = Scored.of(y_true, y_prob)
    if name.startswith("macro") != (scored.classes > 2):
        needed = "K > 2" if scored.classes == 2 else "two classes"
        raise ValueError(f"{name} needs y_prob [N, K] with {needed}; K is {scored.classes}")
    return float("nan") if why_undefined(name, scored) else area(scored.labels, scored.scores)


def area_of_roc(truth: Ints, scores: Floats) -> float:
    """AUROC, or for scores float64 [N, K] its mean over the classes; NaN if undefined.

    truth: int64 [N]; scores: float64 [N] or [N, K], finite.
    """
    return _mean_over_classes(_roc, truth, scores)


def area_of_precision(truth: Ints, scores: Floats) -> float:
    """Average precision, or its mean over the classes; as ``area_of_roc``."""
    return _mean_over_classes(_precision, truth, scores)


def _mean_over_classes(area: Callable[[Ints, Ints], float], truth: Ints, scores: Floats) -> float:
    if scores.ndim == 1:
        return area(*_ranked(truth, scores)[1:])
    classes = np.unique(truth)
    areas = [area(*_ranked((truth == k).astype(np.int64), scores[:, k])[1:]) for k in classes]
    return float(np.mean(areas))


def _roc(tp: Ints, fp: Ints) -> float:
    if not tp[-1] or not fp[-1]:
        return float("nan")
    steps = np.diff(fp, prepend=0)
    pairs = np.sum(steps * (2.0 * tp - np.diff(tp, prepend=0))) / 2
    return float(pairs / (float(tp[-1]) * float(fp[-1])))


def _precision(tp: Ints, fp: Ints) -> float:
    if not tp[-1]:
        return float("nan")
    return float(np.sum(np.diff(tp, prepend=0) * (tp / (tp + fp))) / tp[-1])


def roc_points(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The ROC curve: false positive rate [M + 1] and true positive rate [M + 1], from (0, 0).

    Both are empty where the curve is not defined.

    >>> [axis.tolist() for axis in roc_points([0, 1], [0.2, 0.7])]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    scored = Scored.of(y_true, y_prob)
    if why_undefined("auroc", scored):
        return np.empty(0), np.empty(0)
    _, tp, fp = _ranked(scored.labels, scored.scores)
    return np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1])


def precision_recall_points(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The precision-recall curve: recall [M] and precision [M], from the highest score down.

    Both are empty where the curve is not defined.

    >>> [axis.tolist() for axis in precision_recall_points([0, 1], [0.2, 0.7])]
    [[1.0, 1.0], [1.0, 0.5]]
    """
    scored = Scored.of(y_true, y_prob)
    if why_undefined("average_precision", scored):
        return np.empty(0), np.empty(0)
    _, tp, fp = _ranked(scored.labels, scored.scores)
    return tp / tp[-1], tp / (tp + fp)
