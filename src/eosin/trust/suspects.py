"""Label suspects: patches whose label a model that never saw them contradicts most.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in
dataset labels", J Artif Intell Res 70:1373-1411): a patch counts as confidently of class k where
the probability of k reaches the mean probability of k among the patches labeled k. Counting labels
against these gives the confident joint, which, scaled to the number of patches of each label,
estimates how many patches labeled i are really k. So many are taken, those whose probability of k
exceeds that of their label by most ("prune by noise rate"), and of these the ones the model itself
would call differently. A few lines of NumPy, so that the core needs no package for one sort; a test
compares them with cleanlab.

Suspects are for a person to look at. Nothing is ever dropped or relabeled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints
from eosin.records.scored import Scored

METHOD = (
    "confident learning (Northcutt et al. 2021), pruned by noise rate, ranked by normalized margin"
)
#: Means of float32 probabilities: equal ones must not differ by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Suspects:
    """Patches that are likely labeled wrong, the worst first."""

    #: Patches looked at.
    of: int
    #: Suspects in all; ``rows`` may list fewer.
    total: int
    #: int64 [n], positions among the patches looked at, worst first.
    rows: Ints
    #: int64 [n], the label, and the class that the model gives instead.
    labels: Ints
    suggested: Ints
    #: float64 [n], probability of the suggested class.
    probability: Floats
    #: float64 [n], normalized margin, 0 (certainly wrong) to 1.
    score: Floats
    #: Why there are none to list, or "".
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

        >>> scored = Scored.of([0] * 9 + [1] * 9 + [0], [0.1] * 9 + [0.9] * 9 + [0.95])
        >>> section = find_suspects(scored).as_dict(
        ...     "np", patch=range(19), case=["a"] * 19, source=["b"] * 19)
        >>> row = section["rows"][0]
        >>> row["patch"], row["suggested"], round(row["score"], 3)
        (18, 'p', 0.05)
        """
        about = {
            "patch": np.asarray(patch, np.int64), "case": np.asarray(case, np.str_),
            "source": np.asarray(source, np.str_),
        }  # fmt: skip
        for name, column in about.items():
            if len(column) != self.of:
                raise ValueError(f"{name} has {len(column)} entries for {self.of} patches")
        rows = [
            {
                **{name: column[row].item() for name, column in about.items()},
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


def find_suspects(scored: Scored, *, most: int | None = 500) -> Suspects:
    """The patches whose label their probabilities contradict, by confident learning.

    scored: patches with the probabilities of a model that did not train on them (out of fold, or of
    a test part); most: how many rows are kept, or None for all. Where labels cannot be judged (no
    patches, one class, scores that are not probabilities) the note has the reason.

    >>> suspects = find_suspects(
    ...     Scored.of([0, 0, 0, 1, 1, 1, 0], [0.1, 0.2, 0.1, 0.9, 0.8, 0.9, 0.97]))
    >>> suspects.total, suspects.rows.tolist(), suspects.suggested.tolist()
    (1, [6], [1])
    """
    truth, prob = scored.labels, scored.probabilities
    if why := _why_not(scored):
        return _chosen(scored, np.zeros(0, np.int64), most, why)
    excess = prob - prob[np.arange(len(truth)), truth][:, None]
    marked = np.zeros(len(truth), dtype=bool)
    estimate = estimated_joint(truth, prob)
    for label in range(scored.classes):
        mine = np.flatnonzero(truth == label)
        # At least one patch of a class keeps its label: a class is never all wrong.
        left = len(mine) - 1
        for other in np.argsort(-estimate[label], kind="stable").tolist():
            take = min(int(estimate[label, other]), left)
            if other == label or take <= 0:
                continue
            left -= take
            worst = mine[np.argsort(-excess[mine, other], kind="stable")[:take]]
            marked[worst] = True
    marked &= prob.argmax(axis=1) != truth
    rows = np.flatnonzero(marked)
    score = normalized_margin(scored)[rows]
    return _chosen(scored, rows[np.argsort(score, kind="stable")], most, "")


def normalized_margin(scored: Scored) -> Floats:
    """How far the label leads the best other class, 0 (certainly wrong) to 1: float64 [N].

    For two classes it is the probability of the label.

    >>> normalized_margin(Scored.of([0, 1], [[0.75, 0.25], [0.75, 0.25]])).tolist()
    [0.75, 0.25]
    """
    own = scored.probabilities[np.arange(len(scored)), scored.labels]
    margins: Floats = (own - _others(scored).max(axis=1) + 1) / 2
    return margins


def _others(scored: Scored) -> Floats:
    """Probabilities with that of the label left out."""
    others = scored.probabilities.copy()
    others[np.arange(len(scored)), scored.labels] = -np.inf
    return others


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
    rounded = np.floor(scaled + 1e-9).astype(np.int64)
    for row, total in enumerate(totals.tolist()):
        missing = total - int(rounded[row].sum())
        order = np.argsort(rounded[row] - scaled[row], kind="stable")
        rounded[row, order[:missing]] += 1
    return rounded


def _why_not(scored: Scored) -> str:
    truth, prob = scored.labels, scored.probabilities
    if not len(truth):
        return "there are no patches to look for wrong labels in"
    bad = int(np.count_nonzero(~scored.finite))
    if bad:
        return f"{bad} of {len(truth)} patches have no finite score, so labels cannot be judged"
    if prob.min() < 0 or prob.max() > 1:
        return "the scores are not probabilities, so labels cannot be judged by them"
    if truth.min() == truth.max():
        return "all patches have one label, so there is no other class to suspect"
    if np.all(prob == prob[:1]):
        return "every patch has the same score, so the model contradicts no label in particular"
    return ""


def _chosen(scored: Scored, rows: Ints, most: int | None, note: str) -> Suspects:
    chosen = scored.take(rows[:most])
    suggested = _others(chosen).argmax(axis=1)
    return Suspects(
        of=len(scored), total=len(rows), rows=rows[:most],
        labels=chosen.labels, suggested=suggested.astype(np.int64),
        probability=chosen.probabilities[np.arange(len(chosen)), suggested],
        score=normalized_margin(chosen), note=note,
    )  # fmt: skip
