"""Label suspects: patches whose label a model that never saw them contradicts most.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in
dataset labels", J Artif Intell Res 70:1373-1411): a patch counts as confidently of class k where
the probability of k reaches the mean probability of k among the patches labeled k. Counting labels
against these gives the confident joint, which, scaled to the number of patches of each label,
estimates how many patches labeled i are really k. So many are taken, those whose probability of k
exceeds that of their label by most ("prune by noise rate"), and of these the ones the model itself
would call otherwise. A few lines of NumPy, so that the core needs no package for one sort; a test
compares them with cleanlab.

Suspects are for a person to look at. Nothing is ever dropped or relabeled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked

METHOD = (
    "confident learning (Northcutt et al. 2021), pruned by noise rate, ranked by normalized margin"
)
#: Means of float32 probabilities: equal ones must not be told apart by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Suspects:
    """Patches that are likely labeled wrong, the worst first."""

    #: Patches looked at.
    of: int
    #: Suspects in all; ``rows`` may hold fewer.
    total: int
    #: int64 [n], places in what was given, worst first.
    rows: Ints
    #: int64 [n], the label, and the class that the model gives instead.
    labels: Ints
    suggested: Ints
    #: float64 [n], probability of the suggested class.
    probability: Floats
    #: float64 [n], normalized margin, 0 (certainly wrong) to 1.
    score: Floats
    #: Why there is nothing to say, or "".
    note: str = ""

    def as_dict(
        self,
        classes: Sequence[str],
        *,
        patch: Sequence[int] | npt.ArrayLike,
        case: Sequence[str] | npt.ArrayLike,
        source: Sequence[str] | npt.ArrayLike,
    ) -> dict[str, Any]:
        """The key "suspects" of evaluation.json.

        classes: K names; patch, case, source: [N], of every patch that was looked at.

        >>> found = find_suspects([0] * 9 + [1] * 9 + [0], [0.1] * 9 + [0.9] * 9 + [0.95])
        >>> rows = found.as_dict("np", patch=range(19), case=["a"] * 19, source=["b"] * 19)["rows"]
        >>> rows[0]["patch"], rows[0]["suggested"], round(rows[0]["score"], 3)
        (18, 'p', 0.05)
        """
        patches, cases, sources = (np.asarray(given) for given in (patch, case, source))
        for name, given in (("patch", patches), ("case", cases), ("source", sources)):
            if len(given) != self.of:
                raise ValueError(f"{name} has {len(given)} entries for {self.of} patches")
        rows = [
            {
                "patch": int(patches[row]),
                "case": str(cases[row]),
                "source": str(sources[row]),
                "label": classes[self.labels[place]],
                "suggested": classes[self.suggested[place]],
                "probability": float(self.probability[place]),
                "score": float(self.score[place]),
            }
            for place, row in enumerate(self.rows.tolist())
        ]
        return {
            "method": METHOD, "of": self.of, "total": self.total, "note": self.note, "rows": rows
        }  # fmt: skip


def find_suspects(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, *, most: int | None = 60
) -> Suspects:
    """Patches that are likely labeled wrong, after confident learning; the worst ``most`` of them.

    y_true: int [N]; y_prob: float [N] or [N, K], of a model that did not train on the patch (out of
    fold, or of a test part); most: how many rows are kept, or None for all.
    Where nothing can be said (no patches, one class, scores that are no probabilities) the note
    says why. Raises ValueError where lengths differ.

    >>> found = find_suspects([0, 0, 0, 1, 1, 1, 0], [0.1, 0.2, 0.1, 0.9, 0.8, 0.9, 0.97])
    >>> found.total, found.rows.tolist(), found.suggested.tolist()
    (1, [6], [1])
    """
    truth, scores = checked(y_true, y_prob)
    prob = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    if why := _why_not(truth, prob):
        return _chosen(truth, prob, np.zeros(0, np.int64), most, why)
    excess = prob - prob[np.arange(len(truth)), truth][:, None]
    marked = np.zeros(len(truth), dtype=bool)
    estimate = estimated_joint(truth, prob)
    for given in range(prob.shape[1]):
        mine = np.flatnonzero(truth == given)
        # At least one patch of a class keeps its label: a class is never all wrong.
        left = len(mine) - 1
        for other in np.argsort(-estimate[given], kind="stable").tolist():
            take = min(int(estimate[given, other]), left)
            if other == given or take <= 0:
                continue
            left -= take
            worst = mine[np.argsort(-excess[mine, other], kind="stable")[:take]]
            marked[worst] = True
    marked &= prob.argmax(axis=1) != truth
    rows = np.flatnonzero(marked)
    score = normalized_margin(truth, prob)[rows]
    return _chosen(truth, prob, rows[np.argsort(score, kind="stable")], most, "")


def normalized_margin(y_true: npt.ArrayLike, y_prob: npt.ArrayLike) -> Floats:
    """How far the label leads the best other class, 0 (certainly wrong) to 1: float64 [N].

    y_true: int [N]; y_prob: float [N] or [N, K]. For two classes it is the probability of the
    label.

    >>> normalized_margin([0, 1], [[0.75, 0.25], [0.75, 0.25]]).tolist()
    [0.75, 0.25]
    """
    truth, scores = checked(y_true, y_prob)
    prob = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    each = np.arange(len(truth))
    own = prob[each, truth]
    others = prob.copy()
    others[each, truth] = -np.inf
    margins: Floats = (own - others.max(axis=1) + 1) / 2
    return margins


def estimated_joint(truth: Ints, prob: Floats) -> Ints:
    """Estimated number of patches of each label (row) and true class (column): int64 [K, K].

    truth: int64 [N]; prob: float64 [N, K]. Each row sums to the number of patches so labeled.
    """
    classes = prob.shape[1]
    counts = np.bincount(truth, minlength=classes)
    typical = np.array(
        [prob[truth == k, k].mean() if counts[k] else np.inf for k in range(classes)]
    )
    sure = prob >= typical - _ROUNDING
    # Where several classes are reached, the most probable of all decides, as in the paper.
    guess = np.where(sure.sum(axis=1) > 1, prob.argmax(axis=1), sure.argmax(axis=1))
    known = sure.any(axis=1)
    joint = np.bincount(truth[known] * classes + guess[known], minlength=classes**2)
    joint = joint.reshape(classes, classes).astype(np.float64)
    diagonal = np.arange(classes)
    joint[diagonal, diagonal] = np.maximum(joint[diagonal, diagonal], 1)
    scaled = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    return _rounded(scaled, counts)


def _rounded(scaled: Floats, totals: Ints) -> Ints:
    """Whole numbers near ``scaled`` whose rows keep their sums (largest remainders)."""
    whole = np.floor(scaled + 1e-9).astype(np.int64)
    for row, total in enumerate(totals.tolist()):
        missing = total - int(whole[row].sum())
        order = np.argsort(whole[row] - scaled[row], kind="stable")
        whole[row, order[:missing]] += 1
    return whole


def _why_not(truth: Ints, prob: Floats) -> str:
    if not len(truth):
        return "there are no patches to look for wrong labels in"
    bad = int(np.count_nonzero(~np.isfinite(prob).all(axis=1)))
    if bad:
        return f"{bad} of {len(truth)} patches have no finite score, so labels cannot be judged"
    if prob.min() < 0 or prob.max() > 1:
        return "the scores are not probabilities, so labels cannot be judged by them"
    if truth.min() == truth.max():
        return "all patches have one label, so there is no other class to suspect"
    if np.all(prob == prob[:1]):
        return "every patch has the same score, so the model contradicts no label in particular"
    return ""


def _chosen(truth: Ints, prob: Floats, rows: Ints, most: int | None, note: str) -> Suspects:
    kept = rows if most is None else rows[:most]
    others = prob[kept].copy()
    others[np.arange(len(kept)), truth[kept]] = -np.inf
    suggested = others.argmax(axis=1) if len(kept) else np.zeros(0, np.int64)
    return Suspects(
        of=len(truth),
        total=len(rows),
        rows=kept,
        labels=truth[kept],
        suggested=suggested.astype(np.int64),
        probability=prob[kept, suggested],
        score=normalized_margin(truth[kept], prob[kept]) if len(kept) else np.zeros(0),
        note=note,
    )
