"""Thresholds: chosen on validation patches only, then applied unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked, why_undefined
from eosin.evaluation.metrics import predicted, rates
from eosin.evaluation.ranking import ranked_counts


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold and where it comes from; a patch is positive where its probability reaches it."""

    value: float
    rule: str
    chosen_on: str = "validation"
    #: Why the rule could not be followed, or "".
    note: str = ""

    def __float__(self) -> float:
        return self.value

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        >>> Threshold(0.5, "fixed", "nothing").as_dict()["rule"]
        'fixed'
        """
        return asdict(self)


#: What a threshold is judged by: figures float [M], or float [M, R] with the most important first,
#: from confusion matrices int [M, 2, 2]; what is not a number cannot be chosen.
Merit = Callable[[Ints], Floats]

#: What each rule makes as large as possible.
RULES: dict[str, Merit] = {
    "balanced_accuracy": lambda counts: rates(counts)["balanced_accuracy"],
    "f1": lambda counts: rates(counts)["f1"],
}


def choose_threshold(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    rule: str = "balanced_accuracy",
    chosen_on: str = "validation",
) -> Threshold:
    """The threshold that a rule finds best on these patches, which must not be test patches.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2].
    Candidates lie midway between neighboring scores, just above the highest score (all negative)
    and at the lowest (all positive). Among equally good ones the highest is taken, so constant
    scores give an all-negative answer. Without both classes, or with scores that are not finite,
    the value is 0.5 and the note says why. Raises ValueError for an unknown rule.

    >>> choose_threshold([0, 0, 1, 1], [0.125, 0.25, 0.75, 0.875]).value
    0.5
    """
    if rule not in RULES:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(sorted(RULES))}")
    return best_threshold(y_true, y_prob, RULES[rule], rule=rule, chosen_on=chosen_on)


def best_threshold(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    merit: Merit,
    *,
    rule: str,
    chosen_on: str = "validation",
) -> Threshold:
    """The threshold with the greatest merit, among the candidates of ``choose_threshold``.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2]; rule: the name it goes by.

    >>> best_threshold([0, 1], [0.25, 0.75], lambda counts: counts[:, 1, 1], rule="found").value
    0.5
    """
    truth, scores = checked(y_true, y_prob)
    if scores.ndim == 2:
        raise ValueError(f"a threshold needs two classes; y_prob has {scores.shape[1]}")
    reason = why_undefined("balanced_accuracy", truth, scores)
    if reason:
        reason = reason.replace("balanced_accuracy", "a threshold", 1)
        return Threshold(0.5, rule, chosen_on, f"{reason}; 0.5 is used")
    distinct, tp, fp = ranked_counts(truth, scores)
    # Row 0 calls nothing positive; row i calls the i highest distinct scores positive.
    tp, fp = np.append(0, tp), np.append(0, fp)
    counts = np.stack([fp[-1] - fp, fp, tp[-1] - tp, tp], axis=-1).reshape(-1, 2, 2)
    worth = np.asarray(merit(counts), dtype=np.float64).reshape(len(counts), -1)
    # Rounding must not decide between equals: sums of two ratios differ in the last bits.
    worth = np.nan_to_num(worth, nan=-np.inf).round(12)
    best = np.arange(len(worth))
    for column in worth.T:
        best = best[column[best] == column[best].max()]
    return Threshold(_between(distinct, int(best[0])), rule, chosen_on)


def _between(distinct: Floats, called: int) -> float:
    """The threshold that calls the ``called`` highest of the scores (descending) positive.

    It is a float32 number wherever one fits, so that comparing in float32 (a network's output) and
    in float64 gives the same answer.
    """
    if called == 0:
        return float(np.nextafter(np.float32(distinct[0]), np.float32(np.inf)))
    upper = float(distinct[called - 1])
    if called == len(distinct):
        return upper
    lower = float(distinct[called])
    middle = float(np.float32(lower + (upper - lower) / 2))
    return middle if lower < middle <= upper else upper


def apply_threshold(y_prob: npt.ArrayLike, threshold: float | Threshold) -> Ints:
    """1 where the probability is at least the threshold, else 0: int64 [N].

    y_prob: float [N] or [N, 2].

    >>> apply_threshold([0.2, 0.5], 0.5).tolist()
    [0, 1]
    """
    return predicted(y_prob, threshold=float(threshold))
