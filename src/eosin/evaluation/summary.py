"""evaluation.json: all figures of one evaluation: intervals, cases, baselines, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.baselines import Baseline
from eosin.evaluation.decisions import Threshold
from eosin.evaluation.definitions import Floats, Ints, checked, figure_names
from eosin.evaluation.intervals import (
    LEVEL,
    WITHIN_CASE,
    Interval,
    Units,
    bootstrap,
    mean_over_cases,
    resampling_units,
    within_case,
)
from eosin.evaluation.metrics import confusion, predicted, rates
from eosin.evaluation.ranking import auroc, average_precision

FORMAT = 1
#: Below so many cases an interval exists but should not be leaned on.
FEW_CASES = 10


def evaluate(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    cases: Sequence[str] | npt.ArrayLike | None,
    *,
    classes: Sequence[str],
    threshold: Threshold | float = 0.5,
    replicates: int = 2000,
    seed: int = 0,
    baselines: Mapping[str, Baseline | npt.ArrayLike] | None = None,
    marks: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of evaluation.json; every value is safe for JSON (no NaN: null).

    y_true: int [N]; y_prob: float [N, K] or, for two classes, [N]; cases: [N] names, "" where
    unknown, or None; classes: K names; threshold: from validation (``choose_threshold``), used
    for two classes only; baselines: name -> Baseline, or probabilities as y_prob (then 0.5 is
    their threshold); marks: words that must stand on everything made from this ("MADE-UP DATA").
    Raises ValueError where lengths or the number of classes differ.

    >>> found = evaluate([0, 1] * 6, [0.1, 0.9] * 6, list("aabbccddeeff"),
    ...                  classes=["negative", "positive"], replicates=50)
    >>> found["auroc"], found["n_cases"]
    ({'value': 1.0, 'low': 1.0, 'high': 1.0}, 6)
    """
    truth, scores = checked(y_true, y_prob)
    count = scores.shape[1] if scores.ndim == 2 else 2
    if count != len(classes):
        raise ValueError(
            f"y_prob has {count} classes and {len(classes)} names are given: {classes}"
        )
    units = resampling_units(cases, len(truth))
    point = threshold if isinstance(threshold, Threshold) else _fixed(threshold)
    cut = float(point)
    settings: dict[str, Any] = {"replicates": replicates, "seed": seed}
    found = bootstrap(truth, scores, units, threshold=cut, **settings)
    finite = bool(np.isfinite(scores).all())
    rows, per_case = _cases(truth, scores, units, cut, replicates, seed)
    others = {
        name: _baseline(truth, given, units, len(classes), settings)
        for name, given in (baselines or {}).items()
    }
    counts = confusion(truth, scores, threshold=cut) if finite else None
    result: dict[str, Any] = {
        "version": FORMAT,
        "classes": list(classes),
        "marks": list(marks),
        "n_patches": len(truth),
        "n_cases": len(units.names) if units.names or not len(truth) else None,
        "threshold": point.as_dict() if count == 2 else None,
        "prevalence": _prevalence(truth, classes),
        **{name: interval.as_dict() for name, interval in found.items()},
        "undefined": {n: i.note for n, i in found.items() if i.value is None},
        "confusion": None if counts is None else counts.tolist(),
        "intervals": {
            "method": f"percentile bootstrap over {units.kind}",
            "level": LEVEL,
            "replicates": replicates,
            "seed": seed,
            "units": units.count,
            "notes": {n: i.note for n, i in found.items() if i.value is not None and i.note},
        },
        "mean_over_cases": {n: _noted(i) for n, i in per_case.items()},
        "cases": rows,
        "cases_note": f"Intervals of single cases: {WITHIN_CASE}.",
        "baselines": others,
    }
    if count > 2:
        result["per_class"] = _per_class(truth, scores, classes)
    result["warnings"] = _warnings(truth, scores, units, point, found, others, classes)
    return result


def _fixed(value: float) -> Threshold:
    return Threshold(float(value), "fixed", "nothing")


def _number(value: float) -> float | None:
    """None for what is not a finite number."""
    return float(value) if np.isfinite(value) else None


def _noted(interval: Interval) -> dict[str, Any]:
    return {**interval.as_dict(), "note": interval.note} if interval.note else interval.as_dict()


def _prevalence(truth: Ints, classes: Sequence[str]) -> float | dict[str, float] | None:
    """Share of positives or, for more classes, the share of each."""
    if not len(truth):
        return None
    shares = np.bincount(truth, minlength=len(classes)) / len(truth)
    if len(classes) == 2:
        return float(shares[1])
    return {name: float(share) for name, share in zip(classes, shares, strict=True)}


def _cases(
    truth: Ints, scores: Floats, units: Units, cut: float, replicates: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Interval]]:
    """A row a case, and each figure's mean over the cases."""
    order = np.argsort(units.codes, kind="stable")
    edges = np.searchsorted(units.codes[order], np.arange(len(units.names) + 1))
    rows = []
    values: dict[str, list[float]] = {name: [] for name in figure_names(scores)}
    for number, name in enumerate(units.names):
        mine = order[edges[number] : edges[number + 1]]
        y, p = truth[mine], scores[mine]
        # Each case its own draws, the same whatever other cases there are.
        found = within_case(y, p, threshold=cut, replicates=replicates, seed=seed)
        row: dict[str, Any] = {"case": name, "n": len(mine)}
        if scores.ndim == 1:
            row["positives"] = int(y.sum())
            row["called_positive"] = int(predicted(p, threshold=cut).sum())
        row.update({key: interval.as_dict() for key, interval in found.items()})
        row["notes"] = sorted({i.note for i in found.values() if i.note and i.note != WITHIN_CASE})
        rows.append(row)
        for key, interval in found.items():
            values[key].append(np.nan if interval.value is None else interval.value)
    means = {
        name: mean_over_cases(per_case, replicates=replicates, seed=seed)
        for name, per_case in values.items()
    }
    return rows, means


def _baseline(
    truth: Ints,
    given: Baseline | npt.ArrayLike,
    units: Units,
    classes: int,
    settings: dict[str, Any],
) -> dict[str, Any]:
    if isinstance(given, Baseline):
        prob, point, note = given.y_prob, given.threshold, given.note
    else:
        prob, point, note = np.asarray(given, np.float64), _fixed(0.5), ""
    y, p = checked(truth, prob)
    found = bootstrap(y, p, units, threshold=float(point), **settings)
    result: dict[str, Any] = {name: interval.as_dict() for name, interval in found.items()}
    result["threshold"] = point.as_dict() if classes == 2 else None
    result["note"] = note
    return result


def _per_class(truth: Ints, scores: Floats, classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class, against the rest."""
    finite = bool(np.isfinite(scores).all())
    called = predicted(scores) if finite else None
    rows = []
    for k, name in enumerate(classes):
        mine = (truth == k).astype(np.int64)
        row: dict[str, Any] = {"class": name, "n": int(mine.sum())}
        if called is None:
            one = dict.fromkeys(("sensitivity", "specificity", "precision", "f1"), np.nan)
        else:
            cells = np.bincount(mine * 2 + (called == k), minlength=4).reshape(2, 2)
            one = {key: float(value) for key, value in rates(cells).items()}
        row.update({key: _number(one[key]) for key in ("sensitivity", "specificity", "precision")})
        row["f1"] = _number(one["f1"])
        row["auroc"] = _number(auroc(mine, scores[:, k]))
        row["average_precision"] = _number(average_precision(mine, scores[:, k]))
        rows.append(row)
    return rows


def _warnings(
    truth: Ints,
    scores: Floats,
    units: Units,
    point: Threshold,
    found: Mapping[str, Interval],
    baselines: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
) -> list[str]:
    """What a reader must know before quoting any of the figures, in sentences."""
    said: list[str] = []
    if not len(truth):
        return ["There are no patches to evaluate."]
    if units.note:
        said.append(f"{units.note[0].upper()}{units.note[1:]}.")
    if units.kind == "cases" and units.count < FEW_CASES:
        few = "1 case" if units.count == 1 else f"{units.count} cases"
        said.append(f"Only {few}: the figures say little about other cases.")
    absent = [name for k, name in enumerate(classes) if not np.any(truth == k)]
    if absent and len(classes) > 2:
        said.append(f"No patch of class {', '.join(absent)}: macro figures leave it out.")
    reasons = dict.fromkeys(i.note for i in found.values() if i.value is None)
    said += [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]
    if point.note and len(classes) == 2:
        said.append(f"Threshold: {point.note}.")
    if not np.isfinite(scores).all():
        return said
    if np.all(scores == scores[:1]):
        said.append("Every patch has the same score: the model does not look at its input.")
    called = np.unique(predicted(scores, threshold=float(point)))
    if len(called) == 1:
        said.append(
            f"Every patch is called {classes[called[0]]}: the accuracy is that class's share."
        )
    key = figure_names(scores)[0]
    mine = found[key].value
    for name, row in baselines.items():
        theirs = row[key]["value"]
        if mine is not None and theirs is not None and mine <= theirs:
            said.append(
                f"The model is not better than the baseline {name}: "
                f"{key} {mine:.3f} against {theirs:.3f}."
            )
    return said
