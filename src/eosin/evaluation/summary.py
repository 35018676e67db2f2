"""evaluation.json: all figures of one evaluation: intervals, cases, baselines, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.baselines import Baseline
from eosin.evaluation.definitions import Ints, figure_names
from eosin.evaluation.intervals import (
    LEVEL,
    WITHIN_CASE,
    Interval,
    intervals_of,
    mean_over_cases,
    within_case,
)
from eosin.evaluation.metrics import counted, rates
from eosin.evaluation.ranking import auroc, average_precision
from eosin.records.evaluation import FORMAT
from eosin.records.marks import Mark
from eosin.records.points import OperatingPoint
from eosin.records.scored import Scored

#: Below so many cases an interval exists but should not be relied on.
FEW_CASES = 10

_FIXED = OperatingPoint("fixed", 0.5, "fixed", "nothing")


def evaluate(
    scored: Scored,
    *,
    classes: Sequence[str],
    point: OperatingPoint = _FIXED,
    replicates: int = 2000,
    seed: int = 0,
    baselines: Mapping[str, Baseline | npt.ArrayLike] | None = None,
    marks: Sequence[Mark | str] = (),
) -> dict[str, Any]:
    """The content of evaluation.json; every value is safe for JSON (no NaN: null).

    scored: the measured patches; classes: K names; point: its threshold, from validation, decides
    for two classes (its band is left out here); baselines: name -> Baseline, or probabilities
    float [N] or [N, K] (then 0.5 is their threshold); marks: what must be on everything made
    from this. Raises ValueError where the number of classes differs.

    >>> scored = Scored.of([0, 1] * 6, [0.1, 0.9] * 6, list("aabbccddeeff"))
    >>> result = evaluate(scored, classes=["negative", "positive"], replicates=50)
    >>> result["auroc"], result["n_cases"]
    ({'value': 1.0, 'low': 1.0, 'high': 1.0}, 6)
    """
    if scored.classes != len(classes):
        raise ValueError(f"y_prob has {scored.classes} classes and {len(classes)} names: {classes}")
    units, two = scored.units, scored.classes == 2
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    called = point.called(scored.probabilities)
    overall = intervals_of(scored, called, **drawn)
    finite = bool(scored.finite.all())
    rows, per_case = _cases(scored, called, drawn)
    others = {
        name: _baseline(scored, answers, drawn) for name, answers in (baselines or {}).items()
    }
    confusion = counted(scored.labels, called, scored.classes) if finite else None
    result: dict[str, Any] = {
        "format": FORMAT,
        "classes": list(classes),
        "positive": classes[1] if two else None,
        "marks": [Mark.read(mark).to_json() for mark in marks],
        "n_patches": len(scored),
        "n_cases": len(units.names) if units.names or not len(scored) else None,
        "threshold": point.threshold_json() if two else None,
        "prevalence": _prevalence(scored.labels, classes),
        **{name: interval.as_dict() for name, interval in overall.items()},
        "undefined": {n: i.note for n, i in overall.items() if i.value is None},
        "confusion": None if confusion is None else confusion.tolist(),
        "intervals": {
            "method": f"percentile bootstrap over {units.kind}",
            "level": LEVEL,
            **drawn,
            "units": units.count,
            "notes": {n: i.note for n, i in overall.items() if i.value is not None and i.note},
        },
        "mean_over_cases": {n: _noted(i) for n, i in per_case.items()},
        "cases": rows,
        "cases_note": f"Intervals of single cases: {WITHIN_CASE}.",
        "baselines": others,
    }
    if not two:
        result["per_class"] = _per_class(scored, called, classes)
    result["warnings"] = _warnings(scored, called, point, overall, others, classes)
    return result


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
    scored: Scored, called: Ints, drawn: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Interval]]:
    """A row a case, and each figure's mean over the cases."""
    units = scored.units
    order = np.argsort(units.codes, kind="stable")
    edges = np.searchsorted(units.codes[order], np.arange(len(units.names) + 1))
    rows = []
    values: dict[str, list[float]] = {name: [] for name in figure_names(scored.scores)}
    for number, name in enumerate(units.names):
        mine = order[edges[number] : edges[number + 1]]
        case = scored.take(mine)
        # Each case its own draws, the same whatever other cases there are.
        figures = within_case(case, called[mine], **drawn)
        row: dict[str, Any] = {"case": name, "n": len(mine)}
        if scored.classes == 2:
            row["positives"] = int(case.labels.sum())
            row["called_positive"] = int(called[mine].sum())
        row.update({key: interval.as_dict() for key, interval in figures.items()})
        row["notes"] = sorted(
            {i.note for i in figures.values() if i.note and i.note != WITHIN_CASE}
        )
        rows.append(row)
        for key, interval in figures.items():
            values[key].append(np.nan if interval.value is None else interval.value)
    return rows, {key: mean_over_cases(each, **drawn) for key, each in values.items()}


def _baseline(
    scored: Scored, answers: Baseline | npt.ArrayLike, drawn: dict[str, Any]
) -> dict[str, Any]:
    if not isinstance(answers, Baseline):
        answers = Baseline(np.asarray(answers, np.float64), _FIXED, "")
    answered = scored.answering(answers.y_prob)
    called = answers.threshold.called(answered.probabilities)
    result: dict[str, Any] = {
        name: interval.as_dict()
        for name, interval in intervals_of(answered, called, scored.units, **drawn).items()
    }
    result["threshold"] = answers.threshold.threshold_json() if answered.classes == 2 else None
    return {**result, "note": answers.note}


def _per_class(scored: Scored, called: Ints, classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class, against the rest."""
    finite = bool(scored.finite.all())
    rows = []
    for k, name in enumerate(classes):
        mine = (scored.labels == k).astype(np.int64)
        row: dict[str, Any] = {"class": name, "n": int(mine.sum())}
        decided = rates(counted(mine, (called == k).astype(np.int64), 2))
        for key in ("sensitivity", "specificity", "precision", "f1"):
            row[key] = _number(float(decided[key])) if finite else None
        row["auroc"] = _number(auroc(mine, scored.probabilities[:, k]))
        row["average_precision"] = _number(average_precision(mine, scored.probabilities[:, k]))
        rows.append(row)
    return rows


def _warnings(
    scored: Scored,
    called: Ints,
    point: OperatingPoint,
    overall: Mapping[str, Interval],
    baselines: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
) -> list[str]:
    """What a reader must know before quoting any of the figures, in sentences."""
    if not len(scored):
        return ["There are no patches to evaluate."]
    units, two = scored.units, len(classes) == 2
    sentences = [_sentence(units.note)] if units.note else []
    if units.kind == "cases" and units.count < FEW_CASES:
        sentences.append(f"Only {units.counted}: the figures say little about other cases.")
    absent = [name for k, name in enumerate(classes) if not np.any(scored.labels == k)]
    if absent and not two:
        sentences.append(f"No patch of class {', '.join(absent)}: macro figures leave it out.")
    reasons = dict.fromkeys(each.note for each in overall.values() if each.value is None)
    sentences += [_sentence(reason) for reason in reasons]
    if point.note and two:
        sentences.append(f"Threshold: {point.note}.")
    if not scored.finite.all():
        return sentences
    if np.all(scored.probabilities == scored.probabilities[:1]):
        sentences.append("Every patch has the same score: the model does not look at its input.")
    if len(np.unique(called)) == 1:
        sentences.append(
            f"Every patch is called {classes[called[0]]}: the accuracy is that class's share."
        )
    key = figure_names(scored.scores)[0]
    mine = overall[key].value
    for name, row in baselines.items():
        simple = row[key]["value"]
        if mine is not None and simple is not None and mine <= simple:
            sentences.append(
                f"The model is not better than the baseline {name}: "
                f"{key} {mine:.3f} against {simple:.3f}."
            )
    return sentences


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
