"""Which figures there are, in what form truth and scores come, and when a figure has no value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.records.scored import Floats as Floats
from eosin.records.scored import Ints as Ints
from eosin.records.scored import Scored

#: Figures for two classes; the first eight are the headline.
BINARY = (
    "auroc", "average_precision", "balanced_accuracy", "f1", "sensitivity", "specificity",
    "accuracy", "brier", "precision",
)  # fmt: skip
#: Figures for more than two classes.
MULTICLASS = (
    "accuracy", "macro_auroc", "macro_average_precision", "macro_f1", "balanced_accuracy", "brier",
)  # fmt: skip

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
    scored = Scored.of(y_true, y_prob)
    return scored.labels, scored.scores


def figure_names(y_prob: npt.ArrayLike) -> tuple[str, ...]:
    """Which figures belong to these probabilities: those for two classes, or for more.

    >>> figure_names([0.1, 0.9])[0]
    'auroc'
    """
    shape = np.shape(y_prob)
    return MULTICLASS if len(shape) == 2 and shape[1] > 2 else BINARY


def why_undefined(name: str, scored: Scored, what: str = "") -> str:
    """The sentence on why a figure has no value here, or "" where it has one.

    what: the word for it in the sentence, where it is not its name.

    >>> why_undefined("auroc", Scored.of([1, 1], [0.2, 0.3]))
    'auroc needs both classes, and all 2 patches are positive'
    """
    truth, scores, what = scored.labels, scored.scores, what or name
    if not len(truth):
        return f"{what} needs patches, and there are none"
    bad = int(np.count_nonzero(~scored.finite))
    if bad:
        return f"{what} needs finite scores, and {bad} of {len(truth)} patches have none"
    if name == "brier" and (scores.min() < 0 or scores.max() > 1):
        reach = f"{scores.min():.3g} to {scores.max():.3g}"
        return f"{what} needs probabilities, and the scores reach from {reach}"
    if scored.classes > 2:
        if name in _NEEDS_TWO_CLASSES and truth.min() == truth.max():
            return f"{what} needs two classes, and all {len(truth)} patches are of class {truth[0]}"
        return ""
    positives = int(truth.sum())
    if name in _NEEDS_BOTH and positives in (0, len(truth)):
        side = "positive" if positives else "negative"
        return f"{what} needs both classes, and all {len(truth)} patches are {side}"
    if name in _NEEDS_POSITIVES and positives == 0:
        return f"{what} needs positive patches, and all {len(truth)} are negative"
    if name == "specificity" and positives == len(truth):
        return f"{what} needs negative patches, and all {len(truth)} are positive"
    return ""
