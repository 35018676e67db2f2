"""Intervals: the bootstrap over cases, with all patches of a case drawn together.

Patches of one case share its stain, scanner and tumor, so they are not independent; resampling
patches would give an interval that is too narrow. Percentile interval after Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, chapter 13; resampling complete clusters after Davison &
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.evaluation.metrics import called_by, figures
from eosin.evaluation.resampling import draws, replicate_figures
from eosin.records.scored import CASES_UNKNOWN as CASES_UNKNOWN
from eosin.records.scored import Scored
from eosin.records.scored import Units as Units
from eosin.records.scored import resampling_units as resampling_units

LEVEL = 0.95
#: The replicates of a figure that was not drawn.
NO_DRAWS: Floats = np.empty(0)
MIN_CASES = 3
MIN_PATCHES = 10

WITHIN_CASE = "patches of one case resampled; they are not independent, so it is too narrow"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; None where it has none, and then the note has the reason."""

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
        left = f"{left_out} of {len(samples)} replicates left out: they do not define the figure"
        note = f"{note}; {left}" if note else left
    if not len(known):
        return Interval(float(value), None, None, 0, note)
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high), len(known), note)


def few_units(units: Units, least: int = MIN_CASES) -> str:
    """Why there can be no interval over these units, or "" where there can.

    >>> few_units(resampling_units(["a", "a"], 2))
    '1 case: an interval over cases needs at least 3'
    """
    if units.count >= least:
        return ""
    return f"{units.counted}: an interval over {units.kind} needs at least {least}"


def bootstrap(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    cases: Sequence[str] | npt.ArrayLike | Units | None,
    *,
    threshold: float = 0.5,
    replicates: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Every figure with its interval by bootstrap over cases.

    y_true: int [N]; y_prob: float [N] or [N, K]; cases: [N] names, or None where they are unknown
    (then patches are drawn, as the note states); fewer than three units give no interval.
    Raises ValueError for lengths that differ.

    >>> result = bootstrap([0, 1] * 6, [0.1, 0.9] * 6, list("aabbccddeeff"), replicates=50)
    >>> result["auroc"]
    Interval(value=1.0, low=1.0, high=1.0, replicates=50, note='')
    """
    units = cases if isinstance(cases, Units) else None
    scored = Scored.of(y_true, y_prob, None if isinstance(cases, Units) else cases)
    return intervals_of(
        scored, called_by(scored, threshold), units,
        replicates=replicates, seed=seed, level=level,
    )  # fmt: skip


def intervals_of(
    scored: Scored,
    called: Ints,
    units: Units | None = None,
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
    least: int = MIN_CASES,
) -> dict[str, Interval]:
    """``bootstrap`` of patches that are checked already.

    called: int64 [N], the class that each patch is called; units: what is drawn, where it is not
    the cases; fewer than ``least`` give no interval.
    """
    units = units or scored.units
    samples: dict[str, Floats] = {}
    if not few_units(units, least) and len(scored) and scored.finite.all():
        samples = replicate_figures(
            scored.labels, scored.scores, units.codes,
            called=called, replicates=replicates, seed=seed,
        )  # fmt: skip
    return {
        name: interval(
            value, samples.get(name, NO_DRAWS), units, level=level, least=least,
            why=why_undefined(name, scored)
            or f"{name} needs patches that are called positive, and there are none",
        )
        for name, value in figures(scored, called).items()
    }  # fmt: skip


def no_interval(why: str) -> Interval:
    """A figure that has no value, and the sentence on why."""
    return Interval(None, None, None, 0, why)


def interval(
    value: float, samples: Floats, units: Units, *, why: str = "", level: float = LEVEL,
    least: int = MIN_CASES,
) -> Interval:  # fmt: skip
    """A figure with its percentile interval; without one where the units are fewer than ``least``.

    samples: float64 [replicates], not looked at where the units are too few; why: the sentence
    that goes with a value that is not finite.
    """
    if not np.isfinite(value):
        return no_interval(why)
    if few := few_units(units, least):
        return Interval(float(value), None, None, 0, few)
    return percentile_interval(value, samples, level=level, note=units.note)


def within_case(scored: Scored, called: Ints, **options: int) -> dict[str, Interval]:
    """Every figure of one case, with an interval by drawing its patches; at least 10 are needed.

    scored: patches that are all of one case; called: int64 [N]; options: replicates and seed. The
    patches of a case are not independent, so these intervals are too narrow, as every note states.

    >>> few = Scored.of([0, 1], [0.1, 0.9])
    >>> within_case(few, few.labels)["accuracy"].note
    '2 patches: an interval over patches needs at least 10'
    """
    units = Units(np.arange(len(scored)), len(scored), "patches", (), WITHIN_CASE)
    replicates, seed = options.get("replicates", 2000), options.get("seed", 0)
    return intervals_of(scored, called, units, replicates=replicates, seed=seed, least=MIN_PATCHES)


def mean_over_cases(
    values: npt.ArrayLike, *, replicates: int = 2000, seed: int = 0, level: float = LEVEL
) -> Interval:
    """The mean of a figure over cases, every case counting the same, with interval over cases.

    values: float [C], one a case; NaN (not defined in that case) is left out.

    >>> mean_over_cases([0.5, 0.5, 0.5, np.nan], replicates=10)
    Interval(value=0.5, low=0.5, high=0.5, replicates=10, note='3 of 4 cases define it')
    """
    listed = np.asarray(values, dtype=np.float64)
    known = listed[np.isfinite(listed)]
    note = "" if len(known) == len(listed) else f"{len(known)} of {len(listed)} cases define it"
    if not len(known):
        return no_interval(note or "there are no cases")
    if len(known) < MIN_CASES:
        few = f"an interval over cases needs at least {MIN_CASES}"
        return Interval(float(known.mean()), None, None, 0, f"{note}; {few}" if note else few)
    blocks = [block @ known / len(known) for block in draws(len(known), replicates, seed)]
    samples = np.concatenate(blocks)
    return percentile_interval(float(known.mean()), samples, level=level, note=note)
