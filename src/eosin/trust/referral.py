"""Refer to a person: a band of probability inside which the model does not answer.

A patch is answered where its largest probability reaches a cut, and referred below it: the best
rule where probabilities are calibrated (Chow, On optimum recognition error and reject tradeoff,
1970). The cut is found by risk control over cases (risk_control.py).

The promise is of the share of wrong answers on patches of new cases in the long run. A test part is
a sample of them, so the error seen there lies on either side of it; its interval says how far.
The cases must be new to the model: where training stopped on them, the promise is a little bold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints, checked
from eosin.evaluation.intervals import (
    MIN_CASES,
    Interval,
    Units,
    percentile_interval,
    resampling_units,
)
from eosin.evaluation.resampling import draws
from eosin.trust.risk_control import (
    METHODS,
    cases_needed,
    first_cut,
    last_held,
    risk_p_values,
)
from eosin.trust.selective import (
    Scores,
    counts_by_unit,
    cuts,
    ratio,
    read_scores,
    sureness,
)
from eosin.trust.selective import risk_coverage as risk_coverage

LEVEL = 0.05
CONFIDENCE = 0.9
REFER = -1
#: Fewer were not measured, and a t-test has too little to go on.
LEAST_CASES = 10
#: Cuts tried, as shares of patches answered: 1 %, 2 %, ... 100 %.
_STEPS = 100
_UNKNOWN = (
    "cases unknown: patches are taken as independent, and the promise is bolder than it may be"
)
#: What is offered where the level asked for cannot be promised.
_LEVELS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3)


@dataclass(frozen=True, slots=True)
class Band:
    """A band of probability that is referred, and the promise that holds outside it.

    Two classes: negative at or below ``low``, positive at or above ``high``, referred between.
    More classes: ``low`` is None; answered where the largest probability is at least ``high``.
    No band: both are None, every patch is referred, and the note says why.
    """

    low: float | None
    high: float | None
    level: float = LEVEL
    confidence: float = CONFIDENCE
    method: str = "cases"
    assumption: str = ""
    note: str = ""
    #: Cases and patches that the band was found on, the share of these patches that is answered,
    #: and the share of the answers that is wrong.
    cases: int = 0
    patches: int = 0
    coverage: float | None = None
    error: float | None = None

    def decide(self, y_prob: npt.ArrayLike) -> Ints:
        """The class number of each patch, or -1 where it is referred: int64 [N].

        y_prob: float [N] or [N, K]. Compared in float32, so that a network's output and the same
        numbers in float64 give one answer; what is not finite is referred. Raises ValueError where
        the band is for another number of classes.

        >>> Band(0.25, 0.75).decide([0.1, 0.5, 0.9, 0.75]).tolist()
        [0, -1, 1, 1]
        >>> Band(None, 0.5).decide([[0.6, 0.2, 0.2], [0.4, 0.3, 0.3]]).tolist()
        [0, -1]
        """
        scores = read_scores(y_prob)
        decided = np.full(len(scores), REFER, np.int64)
        if self.high is None:
            return decided
        if (scores.ndim == 1) != (self.low is not None):
            wanted = "more than two classes" if self.low is None else "two classes"
            raise ValueError(f"the band is for {wanted}; y_prob has shape {np.shape(y_prob)}")
        finite = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
        exact = scores.astype(np.float64)
        if self.low is None:
            sure = finite & (exact.max(axis=1, initial=0.0) >= self.high)
            decided[sure] = exact[sure].argmax(axis=1)
            return decided
        decided[finite & (exact <= self.low)] = 0
        decided[finite & (exact >= self.high)] = 1
        return decided

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        >>> Band.from_dict(Band(0.25, 0.75).as_dict()) == Band(0.25, 0.75)
        True
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Band:
        """A band read back from JSON; unknown keys are ignored, missing ones have defaults.

        >>> Band.from_dict({"low": 0.25, "high": 0.75, "level": 0.1}).level
        0.1
        """
        known = {field.name for field in fields(cls)}
        found = {"low": None, "high": None} | {k: v for k, v in given.items() if k in known}
        return cls(**found)


def choose_band(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    cases: Sequence[str] | npt.ArrayLike | Units | None,
    *,
    level: float = LEVEL,
    confidence: float = CONFIDENCE,
    method: str = "cases",
) -> Band:
    """The band that refers least while at most ``level`` of the answers are wrong.

    y_true: int [N]; y_prob: float [N] or [N, K], calibrated; cases: [N] names, Units, or None.
    With probability ``confidence`` over the draw of the validation cases, the share of wrong ones
    among all answers on patches of new cases is at most ``level``.
    method "cases": t-test over cases with two bad ones added (risk_control.py says why), and at
    least as cautious as the exact binomial test over answers. "hoeffding-bentkus": free of any
    approximation, but of another share: the mean over cases of the share wrong of a case's answers,
    each case weighing the same; it takes hundreds of cases.
    Raises ValueError for lengths that differ, an unknown method or a level or confidence outside
    0 to 1. Anything else that is amiss gives no band and a note.

    >>> y, p = [0, 1] * 200, [0.02, 0.98] * 200
    >>> band = choose_band(y, p, [str(i // 20) for i in range(400)])
    >>> (band.low, band.high), band.coverage, band.error
    ((0.5, 0.5), 1.0, 0.0)
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; there are {', '.join(METHODS)}")
    if not (0 < level < 1 and 0 < confidence < 1):
        raise ValueError(f"level and confidence lie between 0 and 1; got {level}, {confidence}")
    truth, _ = checked(y_true, y_prob)
    scores = read_scores(y_prob)
    units = cases if isinstance(cases, Units) else resampling_units(cases, len(truth))
    facts: dict[str, Any] = {
        "level": level,
        "confidence": confidence,
        "method": method,
        "assumption": _assumption(units, level, confidence, method),
        "cases": units.count,
        "patches": len(truth),
    }
    reason = _unusable(truth, scores, units)
    if reason:
        return Band(None, None, note=f"no band: {reason}", **facts)
    sure, called = sureness(scores)
    levels = cuts(sure, _STEPS, lowest=0.0 if scores.ndim == 2 else 0.5)
    wrong, answered = counts_by_unit(sure, called != truth, units, levels)
    first = first_cut(answered)

    def walked(level: float) -> int | None:
        p_values = risk_p_values(wrong, answered, level=level, method=method)
        return last_held(p_values, first, confidence)

    last = walked(level)
    share, error = answered.sum(axis=0) / len(truth), ratio(wrong.sum(axis=0), answered.sum(axis=0))
    lost = int(np.count_nonzero(sure < 0))
    alone = _UNKNOWN if units.kind == "patches" else units.note
    notes = [alone, f"{lost} patches have no finite score and are referred" if lost else ""]
    if last is None:
        seen = (
            f"of the surest {_percent(share[first])} of patches {_percent(error[first])} are wrong"
        )
        shown = f"{units.count} {units.kind} cannot show that it is at most {_percent(level)}"
        could = next((each for each in _LEVELS if each > level and walked(each) is not None), None)
        offer = f"no level up to {_percent(_LEVELS[-1])} could be promised with them"
        if could is not None:
            offer = f"{_percent(could)} could be promised with them"
        notes.insert(0, f"no band: {seen}, and {shown}; {offer}")
        return Band(None, None, note="; ".join(filter(None, notes)), **facts)
    high = float(levels[last])
    return Band(
        low=None if scores.ndim == 2 else 1 - high,
        high=high,
        note="; ".join(filter(None, notes)),
        coverage=float(share[last]),
        error=float(error[last]),
        **facts,
    )


def measure_referral(
    y_true: npt.ArrayLike,
    decided: npt.ArrayLike,
    units: Units,
    *,
    level: float,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Error among the answers and share answered, with intervals over cases, beside the promise.

    y_true: int [N]; decided: int [N], a class number or negative where referred. ``held`` is
    whether the error seen is at most ``level``; None where nothing was answered.
    Raises ValueError for lengths that differ.

    >>> units = resampling_units(list("aabbcc"), 6)
    >>> found = measure_referral([0, 1] * 3, [0, 1, 0, -1, 0, -1], units, level=0.1, replicates=50)
    >>> found["error"]["value"], found["held"], found["cases"]
    (0.0, True, 3)
    """
    truth, answers = np.asarray(y_true), np.asarray(decided)
    if truth.shape != answers.shape or truth.shape != units.codes.shape:
        raise ValueError(
            f"y_true {truth.shape}, decided {answers.shape} and units {units.codes.shape} differ"
        )
    answered = answers >= 0
    columns = (answered & (answers != truth), answered, np.ones(len(truth)))
    tables = [np.bincount(units.codes, column, units.count) for column in columns]
    counts = np.stack(tables, axis=1, dtype=np.float64)
    error, coverage = (
        _share(counts[:, [a, b]], units, replicates, seed) for a, b in ((0, 1), (1, 2))
    )
    note = "" if len(truth) else "there are no patches to measure on"
    if len(truth) and error.value is None:
        note = "every patch was referred, so there is no error to measure"
    return {
        "error": error.as_dict(),
        "coverage": coverage.as_dict(),
        "held": None if error.value is None else bool(error.value <= level),
        "cases": units.count,
        "patches": len(truth),
        "note": note or error.note,
    }


def referral_section(
    band: Band, achieved: Mapping[str, Any], curve: Mapping[str, Any], *, part: str = "test"
) -> dict[str, Any]:
    """The key "referral" of evaluation.json: promise, what was seen, and a sentence for people.

    achieved: of measure_referral; curve: of risk_coverage; part: the name of the measured part.

    >>> units = resampling_units(list("aabbcc"), 6)
    >>> seen = measure_referral([0, 1] * 3, [0, 1, 0, -1, 0, 1], units, level=0.1, replicates=9)
    >>> referral_section(Band(0.25, 0.75, 0.1), seen, {})["sentence"]
    'Of patches of new cases 83 % are answered and 17 % referred; promised: at most 10 % of the \
answers wrong, at 90 % confidence; seen on 3 test cases: 0.0 % (0.0 to 0.0).'
    """
    named = {"val": "validation"}.get(part, part)
    fitted = {name: getattr(band, name) for name in ("cases", "patches", "coverage", "error")}
    return {
        "level": band.level,
        "confidence": band.confidence,
        "method": band.method,
        "band": None if band.high is None else {"low": band.low, "high": band.high},
        "sentence": _sentence(band, achieved, named),
        "assumption": band.assumption,
        "note": band.note,
        "fitted": fitted,
        "achieved": dict(achieved),
        "curve": dict(curve),
    }


def _sentence(band: Band, achieved: Mapping[str, Any], part: str) -> str:
    if band.high is None:
        # What ``Answers`` does without a band: it must not read as if doubt were handed on.
        return (
            f"Nothing is referred to a person and nothing promised: {band.note}. Every patch is "
            "answered without a band."
        )
    error, share = achieved["error"], achieved["coverage"]["value"]
    share = band.coverage if share is None else share
    promise = (
        f"promised: at most {_percent(band.level)} of the answers wrong, "
        f"at {_percent(band.confidence)} confidence"
    )
    if share is None:
        return promise[0].upper() + promise[1:] + "; not measured."
    answered = round(100 * share)
    begin = (
        f"Of patches of new cases {answered} % are answered and {100 - answered} % referred; "
        f"{promise}"
    )
    if error["value"] is None:
        return f"{begin}; not measured: {achieved['note'] or 'nothing was answered'}."
    cases = f"{achieved['cases']} {part} case{'' if achieved['cases'] == 1 else 's'}"
    seen = f"seen on {cases}: {100 * error['value']:.1f} %"
    if error["low"] is not None:
        seen += f" ({100 * error['low']:.1f} to {100 * error['high']:.1f})"
    if achieved["held"]:
        return f"{begin}; {seen}."
    if error["low"] is None:
        why = "whether by chance cannot be said without an interval"
    elif error["low"] > band.level:
        why = "these cases are harder than those that it was made on"
    else:
        why = "by no more than so few cases can differ by chance"
    return f"{begin}; {seen}. The promise was not held there: {why}."


def _unusable(truth: Ints, scores: Scores, units: Units) -> str:
    """Why there is nothing to find a band on, or ""."""
    if not len(truth):
        return "there are no patches to find one on"
    known = scores[np.isfinite(scores).reshape(len(truth), -1).all(axis=1)]
    if not len(known):
        return "no patch has a finite score"
    if known.min() < 0 or known.max() > 1:
        reach = f"{known.min():.3g} to {known.max():.3g}"
        return f"it needs probabilities, and the scores reach from {reach}"
    if truth.min() == truth.max():
        return f"all {len(truth)} patches are of class {truth[0]}, and a promise needs two classes"
    if units.count < LEAST_CASES:
        one = {"cases": "case", "patches": "patch"}[units.kind]
        counted = f"is only 1 {one}" if units.count == 1 else f"are only {units.count} {units.kind}"
        return f"it needs at least {LEAST_CASES} {units.kind}, and there {counted}"
    return ""


def _assumption(units: Units, level: float, confidence: float, method: str) -> str:
    """What must be true for the promise to hold, as sentences."""
    if units.kind == "patches":
        return (
            "Patches are independent, which they are not: their cases are unknown, so the promise "
            "is bolder than it may be."
        )
    exchangeable = (
        f"Cases are exchangeable: new cases come as these {units.count} came, from the same "
        "laboratory, scanner and mix of tissue."
    )
    if method != "cases":
        return (
            f"{exchangeable} The promise is of the mean over cases of the share that is wrong of a "
            "case's answers: each case weighs the same, whatever its number of patches."
        )
    return (
        f"{exchangeable} With few cases the promise is approximate: a t-test over cases, with two "
        "bad cases added to those that were seen. One without any approximation takes at least "
        f"{cases_needed(level, confidence)} cases without a single wrong answer."
    )


def _share(counts: Floats, units: Units, replicates: int, seed: int) -> Interval:
    """The first column's sum over the second's, with its interval over cases; None over nothing."""
    total = counts.sum(axis=0)
    if not total[1]:
        return Interval(None, None, None, 0, "")
    value = float(total[0] / total[1])
    if units.count < MIN_CASES:
        few = f"an interval over {units.kind} needs at least {MIN_CASES}"
        return Interval(value, None, None, 0, few)
    blocks = [block @ counts for block in draws(units.count, replicates, seed)]
    drawn = np.concatenate(blocks)
    return percentile_interval(value, ratio(drawn[:, 0], drawn[:, 1]), note=units.note)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
