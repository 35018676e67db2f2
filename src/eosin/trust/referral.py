"""Refer to a person: a band around the threshold inside which the model does not answer.

A patch is answered where the probability of its class, centered at the threshold, reaches a cut,
and referred below it: the best rule where probabilities are calibrated (Chow, On optimum
recognition error and reject tradeoff, 1970). The cut is found by risk control over cases
(risk_control.py).

The promise is of the share of wrong answers on patches of new cases in the long run. A test part is
a sample of them, so the error seen there is above or below it; its interval shows how far.
The cases must be new to the model: where training stopped on them, the promise is a little bold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats, Ints
from eosin.evaluation.intervals import MIN_CASES, Interval, no_interval, percentile_interval
from eosin.evaluation.metrics import ratio
from eosin.evaluation.resampling import draws
from eosin.records.decision import Decision
from eosin.records.points import OUTSIDE, REFER, Band, OperatingPoint, uncentered
from eosin.records.scored import Scored, Units
from eosin.trust.risk_control import METHODS, cases_needed, first_cut, last_held, risk_p_values
from eosin.trust.selective import counts_by_unit, cuts, sureness

LEVEL = 0.05
CONFIDENCE = 0.9
#: Fewer were not measured, and a t-test has too little to go on.
LEAST_CASES = 10
#: Cuts tried, as shares of patches answered: 1 %, 2 %, ... 100 %.
_STEPS = 100
_UNKNOWN = "cases unknown: patches are taken as independent, and the promise may be too optimistic"
#: What is offered where the requested level cannot be promised.
_LEVELS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3)


def choose_band(
    scored: Scored,
    point: OperatingPoint,
    *,
    level: float = LEVEL,
    confidence: float = CONFIDENCE,
    method: str = "cases",
) -> Band:
    """The band around a threshold that refers least with at most ``level`` of the answers wrong.

    scored: validation patches with calibrated probabilities; point: the threshold, or none for more
    than two classes. With probability ``confidence`` over the draw of the validation cases, the
    share of wrong ones among all answers on patches of new cases is at most ``level``.
    method "cases": t-test over cases with two bad ones added (see risk_control.py), and at
    least as cautious as the exact binomial test over answers. "hoeffding-bentkus": free of any
    approximation, but of another share: the mean over cases of the share wrong of a case's answers,
    each case weighing the same; it takes hundreds of cases.
    Raises ValueError for an unknown method or a level or confidence outside 0 to 1. Anything else
    that is wrong gives no band and a note.

    >>> scored = Scored.of([0, 1] * 200, [0.02, 0.98] * 200, [str(i // 20) for i in range(400)])
    >>> band = choose_band(scored, OperatingPoint("f1", 0.25))
    >>> (band.low, band.high), band.coverage, band.error
    ((0.25, 0.25), 1.0, 0.0)
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; there are {', '.join(METHODS)}")
    if not (0 < level < 1 and 0 < confidence < 1):
        raise ValueError(f"level and confidence must be between 0 and 1; got {level}, {confidence}")
    units = scored.units
    about: dict[str, Any] = {
        "level": level, "confidence": confidence, "method": method,
        "assumption": _assumption(units, level, confidence, method),
        "cases": units.count, "patches": len(scored),
    }  # fmt: skip
    if reason := _unusable(scored):
        return Band(note=reason, **about)
    sure, called = sureness(scored, point)
    levels = cuts(sure, _STEPS, lowest=0.5 if scored.classes == 2 else 0.0)
    wrong, answered = counts_by_unit(sure, called != scored.labels, units, levels)
    first = first_cut(answered)

    def boldest(level: float) -> int | None:
        p_values = risk_p_values(wrong, answered, level=level, method=method)
        return last_held(p_values, first, confidence)

    lost = int(np.count_nonzero(sure < 0))
    notes = [
        _UNKNOWN if units.kind == "patches" else units.note,
        f"{lost} patches have no finite score and are referred" if lost else "",
    ]
    if (last := boldest(level)) is None:
        share = answered[:, first].sum() / len(scored)
        error = wrong[:, first].sum() / answered[:, first].sum()
        could = next((each for each in _LEVELS if each > level and boldest(each) is not None), None)
        offer = f"no level up to {_percent(_LEVELS[-1])} could be promised with them"
        if could is not None:
            offer = f"{_percent(could)} could be promised with them"
        notes.insert(
            0,
            f"of the surest {_percent(share)} of patches {_percent(error)} are wrong, and "
            f"{units.count} {units.kind} cannot show that it is at most {_percent(level)}; {offer}",
        )
        return Band(note="; ".join(filter(None, notes)), **about)
    low, high = _limits(point, scored.classes, float(levels[last]))
    decided = point.with_band(Band(low, high)).decide(scored.probabilities)
    some = decided >= 0
    return Band(
        low, high, note="; ".join(filter(None, notes)), coverage=float(some.mean()),
        error=float((decided != scored.labels)[some].mean()), **about,
    )  # fmt: skip


def _limits(point: OperatingPoint, classes: int, cut: float) -> tuple[float | None, float]:
    """The ends of the band that answers what is at least so sure; the threshold is between them."""
    if classes > 2 or point.threshold is None:
        return None, cut
    threshold = point.threshold
    if cut <= 0.5:
        return threshold, threshold
    low, high = uncentered(1 - cut, threshold), uncentered(cut, threshold)
    return min(low, threshold), max(high, threshold)


def measure_referral(
    scored: Scored,
    decided: Ints,
    classes: Sequence[str],
    *,
    level: float,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Error among the answers and share answered, with intervals over cases, and the promise.

    decided: int64 [N], a class number or negative where referred; classes: their names. ``held`` is
    whether the error seen is at most ``level``; None where nothing was answered.

    >>> scored = Scored.of([0, 1] * 3, [0.5] * 6, list("aabbcc"))
    >>> decided = np.array([0, 1, 0, -1, 0, -1])
    >>> seen = measure_referral(scored, decided, "np", level=0.1, replicates=50)
    >>> seen["error"]["value"], seen["held"], seen["cases"]
    (0.0, True, 3)
    >>> [row["referred"] for row in seen["classes"]]
    [0.0, 0.6666666666666666]
    """
    truth, units = scored.labels, scored.units
    answered = decided >= 0
    columns = (answered & (decided != truth), answered, np.ones(len(truth)))
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
        "classes": _by_class(truth, decided, classes),
        "note": note or error.note,
    }


def decided_section(scored: Scored, decision: Decision, decided: Ints) -> dict[str, Any]:
    """What the model does with the measured patches, as ``eosin predict`` answers them.

    decided: int64 [N] of ``decision.decide``: a class number, ``REFER`` or ``OUTSIDE``. Shares are
    of all patches, ``error`` is of the answered ones; the same for each true class.
    """
    point = decision.point
    band = {"low": point.band.low, "high": point.band.high} if point.band else None
    return {
        "point": point.name, "threshold": point.threshold, "band": band,
        **_shares(decided, decided != scored.labels),
        "classes": _by_class(scored.labels, decided, decision.classes),
    }  # fmt: skip


def _by_class(truth: Ints, decided: Ints, classes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"class": name, **_shares(decided[truth == k], decided[truth == k] != k)}
        for k, name in enumerate(classes)
    ]


def _shares(decided: Ints, wrong: npt.NDArray[np.bool_]) -> dict[str, Any]:
    some = decided >= 0

    def share(chosen: npt.NDArray[np.bool_]) -> float | None:
        return float(chosen.mean()) if len(chosen) else None

    return {
        "patches": len(decided), "answered": share(some), "referred": share(decided == REFER),
        "out_of_scope": share(decided == OUTSIDE), "error": share(wrong[some]),
    }  # fmt: skip


def referral_section(
    point: OperatingPoint,
    achieved: Mapping[str, Any],
    curve: Mapping[str, Any],
    *,
    part: str = "test",
) -> dict[str, Any]:
    """The key "referral" of evaluation.json: promise, what was seen, and a sentence for people.

    point: with its band; achieved: of measure_referral; curve: of risk_coverage; part: the name of
    the measured part.

    >>> scored = Scored.of([0, 1] * 3, [0.5] * 6, list("aabbcc"))
    >>> decided = np.array([0, 1, 0, -1, 0, 1])
    >>> seen = measure_referral(scored, decided, "np", level=0.1, replicates=9)
    >>> point = OperatingPoint("f1", 0.5, band=Band(0.25, 0.75, 0.1))
    >>> print(referral_section(point, seen, {})["sentence"])
    Of patches of new cases 83 % are answered and 17 % referred; promised: at most 10 % of the \
answers wrong, at 90 % confidence; seen on 3 test cases: 0.0 % (0.0 to 0.0). Answered by class: \
100 % of n, 67 % of p.
    """
    band = Band(note="none was looked for") if point.band is None else point.band
    part_name = {"val": "validation", "all": "measured"}.get(part, part)
    fitted = {name: getattr(band, name) for name in ("cases", "patches", "coverage", "error")}
    return {
        "point": point.name,
        "level": band.level,
        "confidence": band.confidence,
        "method": band.method,
        "band": {"low": band.low, "high": band.high} if band else None,
        "sentence": _sentence(band, achieved, part_name),
        "assumption": band.assumption,
        "note": band.note,
        "fitted": fitted,
        "achieved": dict(achieved),
        "curve": dict(curve),
    }


def _sentence(band: Band, achieved: Mapping[str, Any], part: str) -> str:
    if not band:
        return (
            "No referral band could be set: all patches are answered and no error rate is "
            f"guaranteed ({band.note})."
        )
    error, share = achieved["error"], achieved["coverage"]["value"]
    share = band.coverage if share is None else share
    promise = (
        f"promised: at most {_percent(band.level)} of the answers wrong, "
        f"at {_percent(band.confidence)} confidence"
    )
    if share is None:
        return f"{promise[0].upper()}{promise[1:]}; not measured."
    answered = round(100 * share)
    start = (
        f"Of patches of new cases {answered} % are answered and {100 - answered} % referred; "
        f"{promise}"
    )
    if error["value"] is None:
        return f"{start}; not measured: {achieved['note'] or 'nothing was answered'}."
    cases = f"{achieved['cases']} {part} case{'' if achieved['cases'] == 1 else 's'}"
    seen = f"{start}; seen on {cases}: {100 * error['value']:.1f} %"
    if error["low"] is not None:
        seen += f" ({100 * error['low']:.1f} to {100 * error['high']:.1f})"
    if not achieved["held"]:
        if error["low"] is None:
            why = "without an interval it is unknown whether by chance"
        elif error["low"] > band.level:
            why = "these cases are harder than those that it was made on"
        else:
            why = "by no more than chance allows with so few cases"
        seen += f". The promise was not kept there: {why}"
    by_class = ", ".join(
        f"{100 * row['answered']:.0f} % of {row['class']}"
        for row in achieved["classes"] if row["answered"] is not None
    )  # fmt: skip
    return f"{seen}. Answered by class: {by_class}."


def _unusable(scored: Scored) -> str:
    """Why there is nothing to find a band on, or ""."""
    truth, units = scored.labels, scored.units
    if not len(truth):
        return "there are no patches to find one on"
    known = scored.scores[scored.finite]
    if not len(known):
        return "no patch has a finite score"
    if known.min() < 0 or known.max() > 1:
        reach = f"{known.min():.3g} to {known.max():.3g}"
        return f"it needs probabilities, and the scores reach from {reach}"
    if truth.min() == truth.max():
        return f"all {len(truth)} patches are of class {truth[0]}, and a promise needs two classes"
    if units.count < LEAST_CASES:
        verb = "is" if units.count == 1 else "are"
        there = f"there {verb} only {units.counted}"
        return f"it needs at least {LEAST_CASES} {units.kind}, and {there}"
    return ""


def _assumption(units: Units, level: float, confidence: float, method: str) -> str:
    """What must be true for the promise to hold, as sentences."""
    if units.kind == "patches":
        return (
            "Patches are independent, which they are not: their cases are unknown, so the promise "
            "may be too optimistic."
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
        return no_interval("")
    value = float(total[0] / total[1])
    if units.count < MIN_CASES:
        few = f"an interval over {units.kind} needs at least {MIN_CASES}"
        return Interval(value, None, None, 0, few)
    drawn = np.concatenate([block @ counts for block in draws(units.count, replicates, seed)])
    return percentile_interval(value, ratio(drawn[:, 0], drawn[:, 1]), note=units.note)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
