"""Figures of merit: pure functions from truth and probability to a number.

Conventions, here and in all of this room:

- ``y_true`` is int [N], class numbers from 0; for two classes 1 is positive.
- ``y_prob`` is float [N] (probability of the positive class) or [N, K] (one column a class).
- Two classes: a patch is called positive where its probability is at least ``threshold``.
  More classes: the largest probability wins (the first of equal ones).
- A figure that is not defined (one class only, no patches, a score that is not a number) is NaN,
  never 0 and never an exception; ``why_undefined`` has the sentence that goes with it.
- Macro figures are means over the classes that occur in ``y_true``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked, figure_names, why_undefined
from eosin.evaluation.ranking import area_of_precision, area_of_roc
from eosin.records.scored import Scored


def predicted(y_prob: npt.ArrayLike, *, threshold: float = 0.5) -> Ints:
    """The class each patch is called, int64 [N].

    y_prob: float [N] or [N, 2] (called 1 where the probability is at least ``threshold``), or
    [N, K] with K > 2 (the largest). Compared in float64, so a threshold means the same everywhere.

    >>> predicted([0.2, 0.5]).tolist()
    [0, 1]
    """
    scores = np.asarray(y_prob, dtype=np.float64)
    if scores.ndim == 2 and scores.shape[1] > 2:
        return np.asarray(scores.argmax(axis=1), np.int64)
    return ((scores[:, 1] if scores.ndim == 2 else scores) >= threshold).astype(np.int64)


def called_by(scored: Scored, threshold: float = 0.5) -> Ints:
    """``predicted`` of patches that are checked already."""
    return predicted(scored.scores, threshold=threshold)


def counted(truth: Ints, called: Ints, classes: int) -> Ints:
    """Patches by true class (row) and called class (column), int64 [K, K].

    truth, called: int64 [N].

    >>> counted(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    cells = np.bincount(truth * classes + called, minlength=classes**2)
    return cells.astype(np.int64).reshape(classes, classes)


def confusion(y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, threshold: float = 0.5) -> Ints:
    """Patches by true class (row) and called class (column), int64 [K, K].

    >>> confusion([0, 1, 1], [0.2, 0.4, 0.9]).tolist()
    [[1, 0], [1, 1]]
    """
    scored = Scored.of(y_true, y_prob)
    return counted(scored.labels, called_by(scored, threshold), scored.classes)


def rates(counts: npt.NDArray[Any]) -> dict[str, Floats]:
    """Every figure that follows from a confusion matrix, for any number of matrices at once.

    counts: int or float [..., K, K], true class by called class. Returns float64 [...] by name;
    NaN where a denominator is 0. For two classes F1 is not defined without positives (elsewhere it
    is often set to 0, which would pull means over cases down).

    >>> rates(np.array([[8, 2], [1, 9]]))["balanced_accuracy"].item()
    0.8500000000000001
    """
    matrix = np.asarray(counts, dtype=np.float64)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    per_true, per_called = matrix.sum(-1), matrix.sum(-2)
    result = {"accuracy": ratio(hits.sum(-1), per_true.sum(-1))}
    recall = ratio(hits, per_true)
    f1 = ratio(np.where(per_true > 0, 2 * hits, np.nan), per_true + per_called)
    if matrix.shape[-1] == 2:
        result["sensitivity"], result["specificity"] = recall[..., 1], recall[..., 0]
        result["balanced_accuracy"] = recall.sum(-1) / 2
        result["precision"] = ratio(hits, per_called)[..., 1]
        result["f1"] = f1[..., 1]
    else:
        present = np.maximum((per_true > 0).sum(-1), 1)
        empty = np.where(per_true.sum(-1) > 0, 1.0, np.nan)
        result["balanced_accuracy"] = np.nansum(recall, axis=-1) / present * empty
        result["macro_f1"] = np.nansum(f1, axis=-1) / present * empty
    return result


def ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    """A share, NaN where there is nothing to share.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    result = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=result, where=np.asarray(below) > 0)
    return result


def squared_errors(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Floats:
    """Each patch's contribution to the Brier score, float64 [N].

    y_true: int [N]; y_prob: float [N] or [N, K].

    >>> squared_errors([0, 1], [0.5, 1.0]).tolist()
    [0.25, 0.0]
    """
    truth, scores = np.asarray(y_true, np.int64), np.asarray(y_prob, np.float64)
    if scores.ndim == 1 or scores.shape[1] == 2:
        return ((scores if scores.ndim == 1 else scores[:, 1]) - truth) ** 2
    errors: Floats = np.sum((scores - np.eye(scores.shape[1])[truth]) ** 2, axis=1)
    return errors


def score_histogram(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, bins: int = 40
) -> tuple[Floats, Ints]:
    """Patches of each true class by probability of the positive class: what a histogram draws.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2]; scores outside 0 to 1 or not finite
    are not counted. Returns edges float64 [bins + 1] and counts int64 [2, bins].

    >>> score_histogram([0, 1, 1], [0.1, 0.6, 0.9], bins=2)[1].tolist()
    [[1, 0], [0, 2]]
    """
    truth, scores = checked(y_true, y_prob)
    if scores.ndim == 2:
        raise ValueError(f"a histogram needs two classes; y_prob has {scores.shape[1]}")
    edges = np.linspace(0, 1, bins + 1)
    fits = np.isfinite(scores)
    counts = [np.histogram(scores[fits & (truth == k)], edges)[0] for k in (0, 1)]
    return edges, np.stack(counts).astype(np.int64)


def brier(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> float:
    """Brier score: mean squared error of the probability; lower is better.

    Two classes: mean (p - y)^2 of the positive class, 0 to 1. More classes: Brier's own definition
    (1950), the sum over the classes of (p_k - [y = k])^2, 0 to 2.

    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    return figure("brier", y_true, y_prob)


def figures(scored: Scored, called: Ints) -> dict[str, float]:
    """Every figure of some patches; NaN where ``why_undefined`` has a sentence.

    called: int64 [N], the class that each patch is called.
    """
    if not len(scored) or not scored.finite.all():
        return dict.fromkeys(figure_names(scored.scores), float("nan"))
    decided = rates(counted(scored.labels, called, scored.classes))
    truth, scores = scored.labels, scored.scores
    macro = "" if scored.classes == 2 else "macro_"
    values = {name: float(value) for name, value in decided.items()} | {
        f"{macro}auroc": area_of_roc(truth, scores),
        f"{macro}average_precision": area_of_precision(truth, scores),
        "brier": float(squared_errors(truth, scores).mean()),
    }
    return {
        name: float("nan") if why_undefined(name, scored) else values[name]
        for name in figure_names(scores)
    }


def figure(
    name: str, y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, threshold: float = 0.5
) -> float:
    """Any figure by its name; NaN where ``why_undefined`` has a sentence.

    Raises ValueError for a name that is not of ``figure_names(y_prob)``.

    >>> figure("sensitivity", [0, 1, 1], [0.2, 0.4, 0.9])
    0.5
    """
    scored = Scored.of(y_true, y_prob)
    if name not in figure_names(scored.scores):
        raise ValueError(f"no figure {name!r}; there are {', '.join(figure_names(scored.scores))}")
    return figures(scored, called_by(scored, threshold))[name]
