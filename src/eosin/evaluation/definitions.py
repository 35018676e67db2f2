"""Which figures there are, in what form truth and scores come, and when a figure has no value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Figures for two classes; the first eight are the headline.
BINARY = (
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "f1",
    "sensitivity",
    "specificity",
    "accuracy",
    "brier",
    "precision",
)
#: Figures for more than two classes.
MULTICLASS = (
    "accuracy",
    "macro_auroc",
    "macro_average_precision",
    "macro_f1",
    "balanced_accuracy",
    "brier",
)

#: Figures in words, in the order of tables.
NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "macro_auroc": "AUROC, mean of classes",
    "macro_average_precision": "average precision, mean of classes",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "macro_f1": "F1, mean of classes",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "brier": "Brier score",
}

_NEEDS_BOTH = {"auroc", "average_precision", "balanced_accuracy"}
_NEEDS_POSITIVES = {"f1", "sensitivity"}
_NEEDS_TWO_CLASSES = {"macro_auroc", "macro_average_precision"}


def checked(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Truth and probabilities in one form: int64 [N], and float64 [N] or, for K > 2, [N, K].

    y_true: int [N]; y_prob: float [N] or [N, K]. Two columns become the positive one.
    Raises ValueError for mismatched lengths, a wrong shape or a class number out of range.

    >>> checked([0, 1], [[0.9, 0.1], [0.25, 0.75]])[1].tolist()
    [0.1, 0.75]
    """
    truth = np.asarray(y_true)
    scores = np.asarray(y_prob, dtype=np.float64)
    if truth.ndim != 1 or scores.ndim not in (1, 2):
        raise ValueError(
            f"y_true must be [N] and y_prob [N] or [N, K]; got shapes {truth.shape}, {scores.shape}"
        )
    if len(truth) != len(scores):
        raise ValueError(
            f"y_true has {len(truth)} entries and y_prob has {len(scores)}; they must be the same"
        )
    if scores.ndim == 2 and scores.shape[1] < 2:
        raise ValueError(f"y_prob needs at least two columns, or none; got shape {scores.shape}")
    if truth.size and truth.dtype.kind not in "iub" and not np.all(truth == np.floor(truth)):
        raise ValueError("y_true must hold whole class numbers")
    truth = truth.astype(np.int64)
    count = 2 if scores.ndim == 1 else scores.shape[1]
    if truth.size and (truth.min() < 0 or truth.max() >= count):
        raise ValueError(
            f"y_true holds class numbers {truth.min()} to {truth.max()}; "
            f"y_prob has {count} classes, so 0 to {count - 1} are known"
        )
    return truth, scores[:, 1] if scores.ndim == 2 and count == 2 else scores


def figure_names(y_prob: npt.ArrayLike) -> tuple[str, ...]:
    """Which figures belong to these probabilities: those for two classes, or for more.

    >>> figure_names([0.1, 0.9])[0]
    'auroc'
    """
    shape = np.shape(y_prob)
    return MULTICLASS if len(shape) == 2 and shape[1] > 2 else BINARY


def why_undefined(name: str, y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> str | None:
    """The sentence that says why a figure has no value here, or None where it has one.

    >>> why_undefined("auroc", [1, 1], [0.2, 0.3])
    'auroc needs both classes, and all 2 patches are positive'
    >>> why_undefined("accuracy", [1, 1], [0.2, 0.3])
    """
    truth, scores = checked(y_true, y_prob)
    if not truth.size:
        return f"{name} needs patches, and there are none"
    bad = int(np.count_nonzero(~np.isfinite(scores).reshape(len(truth), -1).all(1)))
    if bad:
        return f"{name} needs finite scores, and {bad} of {len(truth)} patches have none"
    if name == "brier" and (scores.min() < 0 or scores.max() > 1):
        reach = f"{scores.min():.3g} to {scores.max():.3g}"
        return f"brier needs probabilities, and the scores reach from {reach}"
    if scores.ndim == 2:
        if name in _NEEDS_TWO_CLASSES and truth.min() == truth.max():
            return f"{name} needs two classes, and all {len(truth)} patches are of class {truth[0]}"
        return None
    positives = int(truth.sum())
    if name in _NEEDS_BOTH and positives in (0, len(truth)):
        side = "positive" if positives else "negative"
        return f"{name} needs both classes, and all {len(truth)} patches are {side}"
    if name in _NEEDS_POSITIVES and positives == 0:
        return f"{name} needs positive patches, and all {len(truth)} are negative"
    if name == "specificity" and positives == len(truth):
        return f"{name} needs negative patches, and all {len(truth)} are positive"
    return None
