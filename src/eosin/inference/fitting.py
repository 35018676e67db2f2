"""What is fitted on validation patches: temperature, operating points and the refer band.

Fitted on the validation part and applied unchanged to the test part. Where a split has no test
part, the validation cases are shared out to five groups, and each group is judged by what was
fitted on the four others: so nothing is measured on what it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.decisions import Threshold
from eosin.evaluation.intervals import Units
from eosin.evaluation.metrics import predicted
from eosin.splitting.balance import balanced
from eosin.trust.calibration import (
    Isotonic,
    Temperature,
    fit_isotonic,
    fit_temperature,
    softmax,
)
from eosin.trust.operating import choose_operating_points
from eosin.trust.referral import Band, choose_band

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The operating point that decides where nothing else is said.
DEFAULT_POINT = "balanced_accuracy"
FOLDS = 5


@dataclass(frozen=True)
class Wishes:
    """What a user may choose: the promise of the refer band, and what a missed positive costs."""

    #: Highest share of wrong automatic decisions, and how sure that must be.
    refer_error: float = 0.05
    refer_confidence: float = 0.9
    #: What a missed positive costs, in false alarms.
    cost_ratio: float = 5.0


@dataclass(frozen=True)
class Fitted:
    """What was fitted; ``judge`` applies it."""

    temperature: Temperature
    isotonic: Isotonic
    #: Name -> threshold on calibrated probabilities; none for more than two classes.
    points: Mapping[str, Threshold]
    band: Band

    @property
    def threshold(self) -> Threshold:
        """The default operating point."""
        return self.points.get(DEFAULT_POINT, Threshold(0.5, "most probable class", "nothing"))


@dataclass(frozen=True)
class Judged:
    """What the fitted parts make of logits."""

    #: Probabilities float64 [N, K] before and after the temperature, and float64 [N] by isotonic
    #: calibration or the sentence that says why not.
    before: Floats = field(repr=False)
    after: Floats = field(repr=False)
    isotonic: Floats | str = field(repr=False)
    #: Class called at each operating point, int64 [N].
    called: Mapping[str, Ints] = field(repr=False)
    #: Class, or -1 for refer, int64 [N].
    decided: Ints = field(repr=False)


def fit(y_true: Ints, logits: npt.ArrayLike, units: Units, *, wishes: Wishes) -> Fitted:
    """Fit everything on validation patches.

    y_true: int64 [N]; logits: float [N, K], not yet divided by a temperature; units: the cases.
    Nothing is raised for degenerate patches: each part then says why it was not fitted.
    """
    given = np.asarray(logits, np.float64)
    temperature = fit_temperature(y_true, given)
    after = temperature.apply(given)
    points = {}
    if given.shape[1] == 2:
        points = choose_operating_points(y_true, after, cost_ratio=wishes.cost_ratio)
    band = choose_band(
        y_true, after, units, level=wishes.refer_error, confidence=wishes.refer_confidence
    )
    return Fitted(temperature, fit_isotonic(y_true, after), points, band)


def judge(fitted: Fitted, logits: npt.ArrayLike) -> Judged:
    """Apply what was fitted to logits float [N, K]."""
    given = np.asarray(logits, np.float64)
    after = fitted.temperature.apply(given)
    return Judged(
        before=softmax(given),
        after=after,
        isotonic=fitted.isotonic.note or fitted.isotonic.apply(after),
        called={
            name: predicted(after, threshold=float(point)) for name, point in fitted.points.items()
        },
        decided=fitted.band.decide(after),
    )


def cross_judge(
    y_true: Ints, logits: npt.ArrayLike, units: Units, *, wishes: Wishes, seed: int = 0
) -> tuple[Judged, int]:
    """Judge each fifth of the cases by what was fitted on the others; also the number of groups.

    y_true: int64 [N]; logits: float [N, K]; units: the cases, which stay whole. With a single case
    there is nothing to fit on beside it: it is judged by itself, and the number is 0.
    """
    given = np.asarray(logits, np.float64)
    groups = case_groups(y_true, units, seed=seed)
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2:
        return judge(fit(y_true, given, units, wishes=wishes), given), 0
    parts: list[tuple[Ints, Judged]] = []
    for group in range(count):
        rest, mine = np.flatnonzero(groups != group), np.flatnonzero(groups == group)
        fitted = fit(y_true[rest], given[rest], _only(units, rest), wishes=wishes)
        parts.append((mine, judge(fitted, given[mine])))
    return _joined(parts, len(y_true)), count


def case_groups(y_true: Ints, units: Units, *, seed: int = 0) -> Ints:
    """The group of each patch, int64 [N]: five (or fewer) groups of whole cases, balanced.

    y_true: int64 [N]; units: the cases. The same seed gives the same groups.
    """
    groups = min(FOLDS, units.count)
    if groups < 2:
        return np.zeros(len(y_true), np.int64)
    contents = np.stack(
        [
            np.bincount(units.codes, y_true == 1, units.count),
            np.bincount(units.codes, minlength=units.count),
        ],
        axis=1,
    ).astype(np.float64)
    return balanced(contents, [1 / groups] * groups, seed=seed).astype(np.int64)[units.codes]


def _only(units: Units, rows: Ints) -> Units:
    """The units of some patches, numbered anew."""
    kept, codes = np.unique(units.codes[rows], return_inverse=True)
    names = tuple(units.names[k] for k in kept if k < len(units.names))
    return Units(codes.astype(np.int64), len(kept), units.kind, names, units.note)


def _joined(parts: list[tuple[Ints, Judged]], n: int) -> Judged:
    def whole(pieces: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        result = np.empty((n, *pieces[0].shape[1:]), pieces[0].dtype)
        for (rows, _), piece in zip(parts, pieces, strict=True):
            result[rows] = piece
        return result

    judged = [part for _, part in parts]
    isotonic: Floats | str = next((j.isotonic for j in judged if isinstance(j.isotonic, str)), "")
    if not isotonic:
        isotonic = whole([np.asarray(j.isotonic) for j in judged])
    return Judged(
        before=whole([j.before for j in judged]),
        after=whole([j.after for j in judged]),
        isotonic=isotonic,
        called={name: whole([j.called[name] for j in judged]) for name in judged[0].called},
        decided=whole([j.decided for j in judged]),
    )
