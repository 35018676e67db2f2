"""Thresholds: chosen on validation patches only, then applied unchanged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.evaluation.metrics import rates
from eosin.evaluation.ranking import ranked_counts
from eosin.records.points import DEFAULT_POINT, POINTS, OperatingPoint
from eosin.records.scored import Scored

#: What a threshold is judged by: figures float [M], or float [M, R] with the most important first,
#: from confusion matrices int [M, 2, 2]; what is not a number cannot be chosen.
Merit = Callable[[Ints], Floats]

#: What each rule without a number makes as large as possible.
RULES: dict[str, Merit] = {
    "balanced": lambda counts: rates(counts)["balanced_accuracy"],
    "f1": lambda counts: rates(counts)["f1"],
}


def choose_threshold(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    rule: str = DEFAULT_POINT,
    chosen_on: str = "validation",
) -> OperatingPoint:
    """The threshold that a rule finds best on these patches, which must not be test patches.

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2]; rule: "balanced" or "f1".
    Candidates lie midway between neighboring scores; one above the highest score calls none
    positive, one below the lowest all. Among equally good ones the highest is taken, so constant
    scores give an all-negative answer. Without both classes, or with scores that are not finite,
    the threshold is 0.5 and the note has the reason. Raises ValueError for an unknown rule.

    >>> choose_threshold([0, 0, 1, 1], [0.125, 0.25, 0.75, 0.875]).threshold
    0.5
    """
    if rule not in RULES:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(sorted(RULES))}")
    return best_threshold(Scored.of(y_true, y_prob), RULES[rule], rule, chosen_on=chosen_on)


def best_threshold(
    scored: Scored, merit: Merit, name: str, *, rule: str = "", chosen_on: str = "validation"
) -> OperatingPoint:
    """The threshold with the greatest merit, among the candidates of ``choose_threshold``.

    scored: of two classes; name: of the point; rule: in words, by default that of its name.

    >>> scored = Scored.of([0, 1], [0.25, 0.75])
    >>> best_threshold(scored, lambda counts: counts[:, 1, 1], "mine").threshold
    0.5
    """
    if scored.classes > 2:
        raise ValueError(f"a threshold needs two classes; y_prob has {scored.classes}")
    rule = rule or POINTS.get(name, name)
    if reason := why_undefined("balanced_accuracy", scored, "a threshold"):
        return OperatingPoint(name, 0.5, rule, "nothing", f"{reason}; 0.5 is used")
    distinct, tp, fp = ranked_counts(scored.labels, scored.scores)
    # Row 0 calls nothing positive; row i calls the i highest distinct scores positive.
    tp, fp = np.append(0, tp), np.append(0, fp)
    counts = np.stack([fp[-1] - fp, fp, tp[-1] - tp, tp], axis=-1).reshape(-1, 2, 2)
    worth = np.asarray(merit(counts), dtype=np.float64).reshape(len(counts), -1)
    # Rounding must not decide between equals: sums of two ratios differ in the last bits.
    worth = np.nan_to_num(worth, nan=-np.inf).round(12)
    best = np.arange(len(worth))
    for column in worth.T:
        best = best[column[best] == column[best].max()]
    return OperatingPoint(name, _between(distinct, int(best[0])), rule, chosen_on)


def _between(distinct: Floats, called: int) -> float:
    """The threshold that calls the ``called`` highest of the scores (descending) positive.

    It is a float32 number wherever one fits, so that comparing in float32 (a network's output) and
    in float64 gives the same answer. 0 and 1 count as neighbors of the lowest and the highest
    score: at the score itself another library's last bit would decide.
    """
    upper = float(distinct[called - 1]) if called else max(1.0, float(distinct[0]))
    lower = float(distinct[called]) if called < len(distinct) else min(0.0, float(distinct[-1]))
    middle = float(np.float32(lower + (upper - lower) / 2))
    if lower < middle <= upper:
        return middle
    if called == 0:
        return float(np.nextafter(np.float32(distinct[0]), np.float32(np.inf)))
    return upper
