"""What is fitted on validation patches: temperature, and operating points with their refer bands.

Fitted on the validation part and applied unchanged to the test part. Where a split has no test
part, the validation cases are shared out to five groups, and each group is judged by what was
fitted on the four others: so nothing is measured on what it was fitted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.errors import UserError, closest
from eosin.records.model import Fitted, ModelFacts, Scope
from eosin.records.points import OperatingPoint
from eosin.records.scored import Floats, Ints, Scored, Units
from eosin.splitting.balance import balanced
from eosin.trust.operating import choose_operating_points
from eosin.trust.referral import choose_band
from eosin.trust.scope import KEPT
from eosin.trust.temperature import Isotonic, Temperature, fit_isotonic, fit_temperature, softmax

FOLDS = 5
#: Seed of all that is fitted and kept; the seed that a user may choose is that of the bootstrap.
SEED = 0

NO_VALIDATION = "there is no validation part to choose a threshold on"
_NOT_KEPT = Isotonic(note="the isotonic map was fitted for comparison and is not kept")


@dataclass(frozen=True)
class FittingOptions:
    """What a user may choose: the promise of the refer bands, a cost, the point that decides."""

    #: Highest share of wrong automatic decisions, and how sure that must be.
    refer_error: float = 0.05
    refer_confidence: float = 0.9
    #: What a missed positive costs, in false alarms.
    cost_ratio: float = 5.0
    #: Name of the operating point that decides; None for the first.
    point: str | None = None


@dataclass(frozen=True)
class Fit:
    """What was fitted; ``judge`` applies it."""

    temperature: Temperature
    isotonic: Isotonic
    #: By name, each with its band.
    points: Mapping[str, OperatingPoint]
    #: The name of the point that decides.
    default: str

    @property
    def point(self) -> OperatingPoint:
        """The operating point that decides."""
        return self.points[self.default]

    @classmethod
    def kept(cls, facts: ModelFacts, point: str | None = None) -> Fit:
        """What a model keeps of its fitting; raises UserError for a point that it does not have."""
        default = facts.decision(point).point.name
        return cls(Temperature(facts.temperature), _NOT_KEPT, facts.points, default)

    def record(self, scope_limit: float | None) -> Fitted:
        """What the model keeps."""
        return Fitted(
            temperature=float(self.temperature), point=self.default, points=dict(self.points),
            scope=None if scope_limit is None else Scope(threshold=scope_limit, kept=KEPT),
        )  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What the fitted parts make of logits."""

    #: Probabilities float64 [N, K] before and after the temperature, and float64 [N] by isotonic
    #: calibration or the sentence that tells why not.
    before: Floats = field(repr=False)
    after: Floats = field(repr=False)
    isotonic: Floats | str = field(repr=False)
    #: By name of the operating point: the class called, int64 [N], and the decision, which is -1
    #: where the band refers.
    called: Mapping[str, Ints] = field(repr=False)
    decided: Mapping[str, Ints] = field(repr=False)


def fit(
    labels: Ints, logits: npt.ArrayLike, cases: npt.NDArray[np.str_], options: FittingOptions
) -> Fit:
    """Fit everything on validation patches.

    labels: int64 [N]; logits: float [N, K], not yet divided by a temperature; cases: str [N].
    Raises UserError for an operating point that does not exist; degenerate patches raise nothing:
    each part then notes why it was not fitted.
    """
    scores = np.asarray(logits, np.float64)
    temperature = fit_temperature(labels, scores)
    scored = Scored(labels, _as_answered(temperature.apply(scores)), cases)
    points = choose_operating_points(scored, cost_ratio=options.cost_ratio)
    default = options.point or next(iter(points))
    if default not in points:
        raise UserError(f"--point {default}: there is no such point; {closest(default, points)}")
    if not len(scored):
        points = {
            name: replace(point, chosen_on="nothing", note=NO_VALIDATION)
            for name, point in points.items()
        }
    level, confidence = options.refer_error, options.refer_confidence
    with_bands = {
        name: point.with_band(choose_band(scored, point, level=level, confidence=confidence))
        for name, point in points.items()
    }
    isotonic = fit_isotonic(labels, scored.probabilities)
    return Fit(temperature, isotonic, with_bands, default)


def _as_answered(probabilities: Floats) -> Floats:
    """As a predictor gives them: rounded to float32."""
    return probabilities.astype(np.float32).astype(np.float64)


def judge(fitted: Fit, logits: npt.ArrayLike, answers: npt.ArrayLike | None = None) -> Judged:
    """Apply what was fitted to logits float [N, K].

    answers: the predictor's own probabilities float32 [N, K], where it has that temperature.
    """
    scores = np.asarray(logits, np.float64)
    if answers is None:
        after = _as_answered(fitted.temperature.apply(scores))
    else:
        after = np.asarray(answers, np.float64)
    points = fitted.points.items()
    return Judged(
        before=softmax(scores),
        after=after,
        isotonic=fitted.isotonic.note or fitted.isotonic.apply(after),
        called={name: point.called(after) for name, point in points},
        decided={name: point.decide(after) for name, point in points},
    )


def cross_judge(
    labels: Ints, logits: npt.ArrayLike, cases: npt.NDArray[np.str_], options: FittingOptions
) -> tuple[Judged, int]:
    """Judge each fifth of the cases by what was fitted on the others; also the number of groups.

    As ``fit``; a case is never divided. With a single case there is nothing to fit on beside it: it
    is judged by itself, and the number is 0.
    """
    scores = np.asarray(logits, np.float64)
    groups = case_groups(labels, Scored(labels, scores, cases).units)
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2:
        return judge(fit(labels, scores, cases, options), scores), 0
    parts: list[tuple[Ints, Judged]] = []
    for group in range(count):
        rest, mine = np.flatnonzero(groups != group), np.flatnonzero(groups == group)
        fitted = fit(labels[rest], scores[rest], cases[rest], options)
        parts.append((mine, judge(fitted, scores[mine])))
    return _joined(parts), count


def case_groups(labels: Ints, units: Units) -> Ints:
    """The group of each patch, int64 [N]: five (or fewer) groups of undivided cases, balanced.

    labels: int64 [N]; units: the cases.
    """
    groups = min(FOLDS, units.count)
    if groups < 2:
        return np.zeros(len(labels), np.int64)
    contents = np.stack(
        [
            np.bincount(units.codes, labels == 1, units.count),
            np.bincount(units.codes, minlength=units.count),
        ],
        axis=1,
    ).astype(np.float64)
    return balanced(contents, [1 / groups] * groups, seed=SEED).astype(np.int64)[units.codes]


def _joined(parts: list[tuple[Ints, Judged]]) -> Judged:
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    each = [judged for _, judged in parts]

    def in_order(pieces: Iterable[Any]) -> Any:
        return np.concatenate(list(pieces))[order]

    why = next((j.isotonic for j in each if isinstance(j.isotonic, str)), "")
    names = each[0].called
    return Judged(
        before=in_order(j.before for j in each),
        after=in_order(j.after for j in each),
        isotonic=why or in_order(j.isotonic for j in each),
        called={name: in_order(j.called[name] for j in each) for name in names},
        decided={name: in_order(j.decided[name] for j in each) for name in names},
    )
