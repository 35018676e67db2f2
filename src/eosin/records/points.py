"""OperatingPoint: the one rule that decides, a threshold with the refer band around it.

Two classes: a patch is positive where its probability reaches the threshold. The band is around
the threshold, so a patch that is answered has the class that the threshold gives it, and what is
inside the band is referred. More classes: the most probable class answers, and a patch is referred
where its largest probability is below ``high``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: A referred patch, and one that is out of scope, in place of a class number.
REFER, OUTSIDE = -1, -2

#: Name of a point -> its label. The first decides unless another is chosen.
POINTS: dict[str, str] = {
    "balanced": "best balanced accuracy",
    "f1": "best F1",
    "sensitivity": "sensitivity at least 0.95",
    "specificity": "specificity at least 0.95",
    "cost": "least cost",
}
DEFAULT_POINT = "balanced"
#: The only point of a model with more than two classes.
MOST_PROBABLE = "most_probable"
#: Names in files of earlier versions.
EARLIER_NAMES = {
    "balanced_accuracy": "balanced", "sensitivity_95": "sensitivity",
    "specificity_95": "specificity", "least_cost": "cost",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Band:
    """Probabilities that are referred to a person, and the promise for the answers outside it.

    Two classes: referred where ``low`` < probability of the positive class < ``high``. More
    classes: ``low`` is None. No band: both are None, nothing is referred, and the note says why.
    """

    low: float | None = None
    high: float | None = None
    level: float = 0.05
    confidence: float = 0.9
    method: str = "cases"
    assumption: str = ""
    note: str = ""
    #: Cases and patches that the band was fitted on, the share of these patches that is answered,
    #: and the share of the answers that is wrong.
    cases: int = 0
    patches: int = 0
    coverage: float | None = None
    error: float | None = None

    def __bool__(self) -> bool:
        return self.high is not None


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold, where it comes from, and the refer band around it."""

    name: str
    #: Probability of the positive class; None for more than two classes.
    threshold: float | None
    #: The rule with its numbers: "cost (a missed positive costs as much as 5 false alarms)".
    rule: str = ""
    #: "validation", or "nothing" where it was not chosen.
    chosen_on: str = "validation"
    #: Why the rule could not be followed, or "".
    note: str = ""
    #: None where none was looked for.
    band: Band | None = None

    @property
    def label(self) -> str:
        """The name in words, with its numbers."""
        return self.rule or POINTS.get(self.name, self.name.replace("_", " "))

    def words(self) -> str:
        """The rule in a sentence's words: threshold and band.

        >>> OperatingPoint("f1", 0.25, band=Band(0.1, 0.5)).words()
        'the point f1 (best F1): threshold 0.2500, refer between 0.1000 and 0.5000'
        """
        if self.threshold is None:
            parts = ["the most probable class"]
            parts += [f"refer below {self.band.high:.4f}"] if self.band else []
            return ", ".join(parts)
        text = f"the point {self.name} ({self.label}): threshold {self.threshold:.4f}"
        if self.band:
            text += f", refer between {self.band.low:.4f} and {self.band.high:.4f}"
        return text

    def __float__(self) -> float:
        """The threshold; 0.5 where there is none, which nothing then looks at."""
        return 0.5 if self.threshold is None else self.threshold

    def called(self, probabilities: npt.ArrayLike) -> Ints:
        """The class number of each patch without the band: int64 [N].

        probabilities: float [N, K]. Compared in float32, so that a network's output and the same
        numbers in float64 give one answer.

        >>> OperatingPoint("f1", 0.25).called([[0.7, 0.3], [0.8, 0.2]]).tolist()
        [1, 0]
        """
        scores = _two_dimensional(probabilities)
        if self.threshold is None or scores.shape[1] != 2:
            return np.asarray(scores.argmax(axis=1), np.int64)
        return np.asarray(scores[:, 1] >= np.float32(self.threshold), np.int64)

    def referred(self, probabilities: npt.ArrayLike) -> Bools:
        """Whether each patch is for a person: bool [N]. What is not finite always is.

        probabilities: float [N, K].

        >>> point = OperatingPoint("f1", 0.5, band=Band(0.25, 0.75))
        >>> point.referred([[0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]).tolist()
        [True, False, False]
        """
        scores = _two_dimensional(probabilities)
        unknown: Bools = np.logical_not(np.isfinite(scores).all(axis=1))
        if not self.band or self.band.high is None:
            return unknown
        # Limits are float64: rounded to float32, one could fall on a score beside it.
        exact = scores.astype(np.float64)
        if self.band.low is None:
            return np.asarray(unknown | (exact.max(axis=1, initial=0.0) < self.band.high), np.bool_)
        # Each side has its own limit, so that a patch at the threshold itself is never answered
        # because the other side's limit is the threshold.
        inside = np.where(
            self.called(scores) == 1,
            exact[:, 1] < self.band.high,
            exact[:, 1] > self.band.low,
        )
        return np.asarray(unknown | inside, np.bool_)

    def decide(self, probabilities: npt.ArrayLike) -> Ints:
        """The class number of each patch, or ``REFER``: int64 [N].

        probabilities: float [N, K].

        >>> point = OperatingPoint("f1", 0.2, band=Band(0.1, 0.4))
        >>> point.decide([[0.95, 0.05], [0.7, 0.3], [0.5, 0.5]]).tolist()
        [0, -1, 1]
        """
        return np.where(self.referred(probabilities), REFER, self.called(probabilities))

    def with_band(self, band: Band | None) -> OperatingPoint:
        """The same threshold with another band."""
        return replace(self, band=band)

    def to_json(self) -> dict[str, Any]:
        """For JSON files."""
        return asdict(self)

    def threshold_json(self) -> dict[str, Any]:
        """The threshold and where it comes from, without name and band, for evaluation.json.

        >>> OperatingPoint("f1", 0.5, "best F1").threshold_json()
        {'value': 0.5, 'rule': 'best F1', 'chosen_on': 'validation', 'note': ''}
        """
        return {
            "value": self.threshold, "rule": self.label, "chosen_on": self.chosen_on,
            "note": self.note,
        }  # fmt: skip


def _two_dimensional(probabilities: npt.ArrayLike) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: not finite
        scores = np.asarray(probabilities, np.float32)
    if scores.ndim != 2:
        raise ValueError(f"probabilities have shape {scores.shape}, not [N, K]")
    return scores


def centered(positive: npt.ArrayLike, threshold: float) -> npt.NDArray[np.float64]:
    """Probabilities moved so that the threshold becomes 0.5: float64 [N].

    positive: float [N], probability of the positive class. The odds are divided by those of the
    threshold, as if the prevalence were another one; the order stays.

    >>> centered([0.2, 0.5], 0.2).round(3).tolist()
    [0.5, 0.8]
    """
    scores = np.asarray(positive, np.float64)
    scores = np.where(np.isfinite(scores), scores, np.nan)
    cut = min(max(float(threshold), 1e-6), 1 - 1e-6)
    up, down = scores * (1 - cut), (1 - scores) * cut
    total = up + down
    moved: npt.NDArray[np.float64] = np.full(scores.shape, np.nan)
    np.divide(up, total, out=moved, where=total > 0)
    return moved


def uncentered(moved: float, threshold: float) -> float:
    """The inverse of ``centered`` for one number.

    >>> round(uncentered(0.8, 0.2), 6)
    0.5
    """
    cut = min(max(float(threshold), 1e-6), 1 - 1e-6)
    return float(centered(np.array([moved]), 1 - cut)[0])
