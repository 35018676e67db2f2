"""Agreement: how the answers for a case compare with its labels, where these are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.evaluation.ranking import auroc
from eosin.records.scan import Agreement, Amount
from eosin.scanning.cells import answered, positive
from eosin.scanning.scan import Scan

NO_ANSWER = "no labeled patch was answered"
ONE_CLASS = "the labels are all of one class"
MORE_CLASSES = "the model has more than two classes"


def agreement(scan: Scan) -> Agreement | None:
    """Figures of one slide beside its labels; None where these are not known.

    They are of one case and have no interval: how far another case may be from them is what
    ``eosin evaluate`` measures. Accuracy, sensitivity and specificity are of the patches that were
    answered, AUROC is of all.
    """
    if scan.truth is None:
        return None
    known = scan.truth >= 0
    decided, one = scan.decided, positive(scan)
    called = known & answered(decided)
    right = decided == scan.truth
    if one is None:
        figures = dict.fromkeys(("auroc", "sensitivity", "specificity"), _none(MORE_CLASSES))
        share = None
    else:
        is_positive = scan.truth == one
        both = bool(known.any()) and 0 < int(is_positive[known].sum()) < int(known.sum())
        figures = {
            "auroc": Amount(value=auroc(is_positive[known], scan.probabilities[known, one]))
            if both
            else _none(ONE_CLASS),
            "sensitivity": _mean(right[called & is_positive]),
            "specificity": _mean(right[called & ~is_positive]),
        }
        share = _mean(is_positive[known])
    return Agreement(
        patches=int(known.sum()),
        answered=int(called.sum()),
        positive_share=share or _none(MORE_CLASSES),
        accuracy=_mean(right[called]),
        **figures,
    )


def _mean(values: npt.NDArray[np.bool_]) -> Amount:
    return Amount(value=float(values.mean())) if len(values) else _none(NO_ANSWER)


def _none(why: str) -> Amount:
    return Amount(value=None, note=why)
