"""Differences between models on the same patches, with intervals from the same bootstrap draws.

Two models that are measured on the same cases fail on the same hard ones. Drawing the cases once
for all models and taking the difference inside each draw removes what they have in common, so the
interval of the difference is narrower than the intervals of the two figures suggest (Efron &
Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, figure_names, why_undefined
from eosin.evaluation.intervals import (
    CASES_UNKNOWN,
    LEVEL,
    NO_DRAWS,
    Interval,
    Units,
    few_units,
    interval,
    no_interval,
    percentile_interval,
)
from eosin.evaluation.metrics import called_by, figures
from eosin.evaluation.resampling import replicate_figures
from eosin.records.scored import Scored

#: What is compared for two classes; a lower Brier score is the better one.
COMPARED = (
    "auroc", "average_precision", "balanced_accuracy", "f1", "sensitivity", "specificity", "brier",
)  # fmt: skip
#: Below so many replicates outside the widened interval its ends are mostly chance.
_LEAST_OUTSIDE = 5

Thresholds = float | npt.ArrayLike


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of one model less that of the first, over the same draws of the same cases."""

    interval: Interval
    #: Two-sided, from the draws: twice the smaller share of them that lie on one side of 0 (the
    #: observed difference counted among them). It is the level at which the interval touches 0.
    p: float | None
    #: The interval at level 1 - 0.05 / comparisons (Bonferroni); None for a single comparison.
    widened: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        >>> Difference(Interval(0.1, 0.0, 0.2, 50), 0.04, None).as_dict()
        {'value': 0.1, 'low': 0.0, 'high': 0.2, 'p': 0.04, 'widened': None, 'note': ''}
        """
        wide = None
        if self.widened is not None:
            wide = {"low": self.widened.low, "high": self.widened.high}
        return {
            **self.interval.as_dict(), "p": self.p, "widened": wide, "note": self.interval.note
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Paired:
    """Figures of every model, and the differences of all but the first to the first."""

    figures: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Difference]]
    #: Level of the widened intervals; equal to ``level`` for a single comparison.
    widened_level: float
    note: str = ""


def paired_differences(
    y_true: npt.ArrayLike,
    y_probs: Mapping[str, npt.ArrayLike],
    units: Units,
    thresholds: Mapping[str, Thresholds],
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> Paired:
    """Each model's figures less the first one's, with intervals over the same draws of cases.

    y_true: int [N]; y_probs: name -> float [N] or [N, K], the first name is the reference; units:
    of ``resampling_units``; thresholds: name -> one number, or float [N], one for every patch (as
    cross-validation has, where each fold has its own). Not used for more than two classes.
    Raises ValueError where lengths or numbers of classes differ, a threshold is missing, or fewer
    than two models are given.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> y, cases = [0, 1] * 6, list("aabbccddeeff")
    >>> result = paired_differences(y, {"one": [0.5] * 12, "two": [0.1, 0.9] * 6},
    ...                            resampling_units(cases, 12), {"one": 0.5, "two": 0.5},
    ...                            replicates=50)
    >>> result.differences["two"]["auroc"].interval.as_dict()
    {'value': 0.5, 'low': 0.5, 'high': 0.5}
    """
    if len(y_probs) < 2:
        raise ValueError(f"{len(y_probs)} model(s) given; a comparison needs at least two")
    if missing := [name for name in y_probs if name not in thresholds]:
        raise ValueError(f"there is no threshold for {', '.join(missing)}")
    models = {name: Scored.of(y_true, prob) for name, prob in y_probs.items()}
    shapes = {model.scores.shape for model in models.values()}
    if len(shapes) > 1:
        raise ValueError(f"the models differ in patches or classes: shapes {sorted(shapes)}")
    drawn = {"replicates": replicates, "seed": seed}
    measured = {
        name: _measure(model, thresholds[name], units, drawn) for name, model in models.items()
    }
    first, *others = measured
    wide = 1 - (1 - level) / len(others)
    result = {
        name: {
            key: interval(each.value, each.samples, units, why=each.why, level=level)
            for key, each in model.items()
        }
        for name, model in measured.items()
    }
    widened = wide if len(others) > 1 else None
    differences = {
        name: {
            key: _difference(each, measured[first][key], units, level, widened)
            for key, each in measured[name].items()
        }
        for name in others
    }
    return Paired(result, differences, wide, few_units(units))


def compared_figures(y_prob: npt.ArrayLike) -> tuple[str, ...]:
    """The figures that are compared for these probabilities.

    >>> compared_figures([0.1, 0.9])[-1]
    'brier'
    """
    names = figure_names(y_prob)
    return COMPARED if "auroc" in names else names


@dataclass(frozen=True, slots=True)
class _Measured:
    value: float
    #: float64 [replicates]; of no length where there are no draws.
    samples: Floats
    why: str


def _measure(
    scored: Scored, threshold: Thresholds, units: Units, drawn: Mapping[str, int]
) -> dict[str, _Measured]:
    """Value and replicates of every compared figure; a reason where a figure has no value."""
    cut = np.asarray(threshold, np.float64)
    if cut.ndim and cut.shape != scored.labels.shape:
        raise ValueError(f"{cut.size} thresholds for {len(scored)} patches; give one or one each")
    two = scored.classes == 2
    called = (scored.scores >= cut).astype(np.int64) if two else called_by(scored)
    samples: dict[str, Floats] = {}
    if len(scored) and scored.finite.all() and not few_units(units):
        samples = replicate_figures(
            scored.labels, scored.scores, units.codes, called=called, **drawn
        )
    values = figures(scored, called)
    return {
        key: _Measured(
            values[key], samples.get(key, NO_DRAWS),
            "" if np.isfinite(values[key]) else why_undefined(key, scored) or f"{key} undefined",
        )
        for key in compared_figures(scored.scores)
    }  # fmt: skip


def _difference(
    one: _Measured, first: _Measured, units: Units, level: float, wide: float | None
) -> Difference:
    if why := one.why or first.why:
        return Difference(no_interval(why), None, None)
    value, samples = one.value - first.value, one.samples - first.samples
    widened = None
    if wide is not None and len(samples):
        widened = percentile_interval(value, samples, level=wide, note=_thin(samples, wide))
    plain = interval(value, samples, units, level=level)
    return Difference(plain, two_sided_p(samples), widened)


def two_sided_p(samples: Floats) -> float | None:
    """The level at which the percentile interval of these differences just touches 0.

    samples: float64 [replicates], differences; NaN is left out. Never below 2 / (replicates + 1):
    so many draws cannot show less. Efron & Tibshirani 1993, section 15.4, with the observed set
    counted as one more draw (Davison & Hinkley 1997, section 4.2).

    >>> two_sided_p(np.array([0.1, 0.2, -0.1, 0.3, 0.2, 0.1, 0.4, 0.1, 0.2]))
    0.4
    """
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None
    below, above = np.count_nonzero(known <= 0), np.count_nonzero(known >= 0)
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(known))))


def _thin(samples: Floats, level: float) -> str:
    outside = np.isfinite(samples).sum() * (1 - level) / 2
    if outside >= _LEAST_OUTSIDE:
        return ""
    return f"only {outside:.1f} draws are outside each end; take more replicates"


def sentence(
    name: str,
    reference: str,
    difference: Difference,
    *,
    what: str = "AUROC",
    on: str,
    lower_is_better: bool = False,
    widened_level: float | None = None,
    few: str = "",
) -> str:
    """The conclusion that a difference allows, no more.

    name, reference: what is compared; on: the patches, such as "29 cases (5,685 patches)";
    widened_level: the level of the widened interval, where several comparisons are made; few: such
    as "3 cases" where they are too few for the interval to be relied on.

    >>> sentence("b", "a", Difference(Interval(0.02, -0.01, 0.05, 2000), 0.2, None), on="9 cases")
    'On 9 cases b has a higher AUROC than a by 0.020 (-0.010 to 0.050): the interval includes 0, \
so these cases do not show which is better.'
    """
    value, low, high = difference.interval.value, difference.interval.low, difference.interval.high
    if value is None:
        return f"On {on} {name} and {reference} cannot be compared: {difference.interval.note}."
    side = "the same" if value == 0 else "a higher" if value > 0 else "a lower"
    joined = "as" if value == 0 else "than"
    # Where the difference is negative, its size and interval are turned: "lower by 0.02".
    ends = None if low is None or high is None else (low, high) if value >= 0 else (-high, -low)
    size = "" if value == 0 else f" by {_number(abs(value))}"
    start = f"On {on} {name} has {side} {what} {joined} {reference}{size}"
    if ends is None or low is None or high is None:
        return f"{start}; there is no interval ({difference.interval.note}), so no more is known."
    shown = f"({_number(ends[0])} to {_number(ends[1])})"
    better = " (lower is better)" if lower_is_better else ""
    excludes, no_winner = "the interval excludes 0", "do not show which is better"
    wide = difference.widened
    if low <= 0 <= high:
        verdict = f"the interval includes 0, so these cases {no_winner}"
    elif CASES_UNKNOWN in difference.interval.note:
        verdict = (
            f"{excludes}, but it takes patches as independent, as their cases are unknown, and is "
            "too narrow to rely on, so this does not yet show which is better"
        )
    elif few:
        # All of three cases agree by chance once in four times; no draw of them can show that.
        verdict = (
            f"{excludes}, but {few} are too few to rely on it, so this does not yet show which is "
            "better"
        )
    elif wide is None or wide.low is None or wide.high is None or not widened_level:
        verdict = f"{excludes}, so the difference is unlikely to be chance over cases of this kind"
    else:
        level = f"widened for the number of comparisons ({100 * widened_level:.4g} %) it"
        if wide.low <= 0 <= wide.high:
            verdict = f"{excludes}, but {level} includes 0, so these cases {no_winner}"
        else:
            verdict = (
                f"{excludes}, so the difference is unlikely to be chance over cases of this kind; "
                f"{level} still does"
            )
    return f"{start}{better} {shown}: {verdict}."


def _number(value: float) -> str:
    return f"{value:.3f}" if round(value, 3) else "0.000"
