"""Intervals: the bootstrap over cases, with all patches of a case drawn together.

Patches of one case share its stain, scanner and tumor, so they are not independent; resampling
patches would give an interval that is too narrow. Percentile interval after Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, chapter 13; resampling whole clusters after Davison &
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked, figure_names, why_undefined
from eosin.evaluation.metrics import figure
from eosin.evaluation.resampling import draws, replicate_figures

LEVEL = 0.95
MIN_CASES = 3
MIN_PATCHES = 10

CASES_UNKNOWN = "cases unknown: patches resampled, interval too narrow"
WITHIN_CASE = "patches of one case resampled; they are not independent, so it is too narrow"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; None where it has none, and then the note says why."""

    value: float | None
    low: float | None
    high: float | None
    #: Bootstrap replicates that the interval rests on (those that define the figure).
    replicates: int = 0
    note: str = ""

    def as_dict(self) -> dict[str, float | None]:
        """The three numbers for JSON.

        >>> Interval(0.9, 0.8, 1.0, 2000).as_dict()
        {'value': 0.9, 'low': 0.8, 'high': 1.0}
        """
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn in a bootstrap: cases, or patches where the case is unknown."""

    #: The unit of each patch, int64 [N], 0 to ``count`` - 1.
    codes: Ints = field(repr=False)
    count: int
    #: "cases" or "patches"
    kind: str
    #: Names of the known cases, sorted.
    names: tuple[str, ...]
    note: str = ""


def resampling_units(cases: Sequence[str] | npt.ArrayLike | None, n: int) -> Units:
    """The units to draw for ``n`` patches.

    cases: [N] names, "" where unknown, or None. A patch of unknown case is a unit of its own.
    Raises ValueError where the number of names is not ``n``.

    >>> units = resampling_units(["b", "a", "b"], 3)
    >>> units.codes.tolist(), units.names, units.kind
    ([1, 0, 1], ('a', 'b'), 'cases')
    """
    if cases is None:
        return Units(np.arange(n), n, "patches", (), CASES_UNKNOWN)
    given = np.asarray(cases)
    if given.shape != (n,):
        raise ValueError(
            f"cases has {given.size} entries and y_true has {n}; they must be the same"
        )
    # Unicode, not objects: sorting 70,000 Python strings takes longer than the bootstrap.
    names, codes = np.unique(given.astype(np.str_), return_inverse=True)
    if not n or names[0] != "":
        return Units(codes.astype(np.int64), len(names), "cases", tuple(names.tolist()))
    known = tuple(names[1:].tolist())
    if not known:
        return Units(np.arange(n), n, "patches", (), CASES_UNKNOWN)
    lost = codes == 0
    codes = np.where(lost, len(known) + np.cumsum(lost) - 1, codes - 1)
    note = f"the case of {lost.sum()} of {n} patches is unknown; each of them is drawn alone"
    return Units(codes, len(known) + int(lost.sum()), "cases", known, note)


def percentile_interval(
    value: float, samples: Floats, *, level: float = LEVEL, note: str = ""
) -> Interval:
    """The central share ``level`` of the replicates, those that are NaN left out and counted.

    samples: float64 [replicates].

    >>> percentile_interval(0.5, np.array([0.25, 0.5, 0.75]), level=1.0)
    Interval(value=0.5, low=0.25, high=0.75, replicates=3, note='')
    """
    known = samples[np.isfinite(samples)]
    left_out = len(samples) - len(known)
    if left_out:
        said = f"{left_out} of {len(samples)} replicates left out: they do not define the figure"
        note = f"{note}; {said}" if note else said
    if not len(known):
        return Interval(float(value), None, None, 0, note)
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high), len(known), note)


def bootstrap(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    cases: Sequence[str] | npt.ArrayLike | Units | None,
    *,
    threshold: float = 0.5,
    replicates: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
    least: int = MIN_CASES,
) -> dict[str, Interval]:
    """Every figure with its interval by bootstrap over cases.

    y_true: int [N]; y_prob: float [N] or [N, K]; cases: [N] names, or None where they are unknown
    (then patches are drawn and the note says so); fewer than ``least`` units give no interval.
    Raises ValueError for lengths that differ.

    >>> found = bootstrap([0, 1] * 6, [0.1, 0.9] * 6, list("aabbccddeeff"), replicates=50)
    >>> found["auroc"]
    Interval(value=1.0, low=1.0, high=1.0, replicates=50, note='')
    """
    truth, scores = checked(y_true, y_prob)
    units = cases if isinstance(cases, Units) else resampling_units(cases, len(truth))
    reasons = {name: why_undefined(name, truth, scores) for name in figure_names(scores)}
    values = {name: figure(name, truth, scores, threshold=threshold) for name in reasons}
    samples: dict[str, Floats] = {}
    few = ""
    if units.count < least:
        one = {"cases": "case", "patches": "patch"}[units.kind]
        counted = f"1 {one}" if units.count == 1 else f"{units.count} {units.kind}"
        few = f"{counted}: an interval over {units.kind} needs at least {least}"
    elif len(truth) and np.isfinite(scores).all():
        samples = replicate_figures(
            truth, scores, units.codes, threshold=threshold, replicates=replicates, seed=seed
        )
    found = {}
    for name, reason in reasons.items():
        value = values[name]
        if not np.isfinite(value):
            reason = reason or f"{name} needs patches that are called positive, and there are none"
            found[name] = Interval(None, None, None, 0, reason)
        elif few:
            found[name] = Interval(value, None, None, 0, few)
        else:
            found[name] = percentile_interval(value, samples[name], level=level, note=units.note)
    return found


def within_case(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    threshold: float = 0.5,
    replicates: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Every figure of one case, with an interval by drawing its patches; at least 10 are needed.

    y_true: int [N]; y_prob: float [N] or [N, K], all of one case. The patches of a case are not
    independent, so these intervals are too narrow; every note says so.

    >>> within_case([0, 1], [0.1, 0.9])["accuracy"].note
    '2 patches: an interval over patches needs at least 10'
    """
    n = len(np.asarray(y_true))
    units = Units(np.arange(n), n, "patches", (), WITHIN_CASE)
    return bootstrap(
        y_true,
        y_prob,
        units,
        threshold=threshold,
        replicates=replicates,
        seed=seed,
        level=level,
        least=MIN_PATCHES,
    )


def mean_over_cases(
    values: npt.ArrayLike, *, replicates: int = 2000, seed: int = 0, level: float = LEVEL
) -> Interval:
    """The mean of a figure over cases, every case counting the same, with interval over cases.

    values: float [C], one a case; NaN (not defined in that case) is left out.

    >>> mean_over_cases([0.5, 0.5, 0.5, np.nan], replicates=10)
    Interval(value=0.5, low=0.5, high=0.5, replicates=10, note='3 of 4 cases define it')
    """
    given = np.asarray(values, dtype=np.float64)
    known = given[np.isfinite(given)]
    note = "" if len(known) == len(given) else f"{len(known)} of {len(given)} cases define it"
    if not len(known):
        return Interval(None, None, None, 0, note or "there are no cases")
    if len(known) < MIN_CASES:
        few = f"an interval over cases needs at least {MIN_CASES}"
        return Interval(float(known.mean()), None, None, 0, f"{note}; {few}" if note else few)
    blocks = [block @ known / len(known) for block in draws(len(known), replicates, seed)]
    samples = np.concatenate(blocks)
    return percentile_interval(float(known.mean()), samples, level=level, note=note)
