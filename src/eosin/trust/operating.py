"""Operating points: thresholds chosen on validation by several rules, and what each means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.decisions import RULES, Merit, Threshold, apply_threshold, best_threshold
from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.evaluation.intervals import Interval, Units
from eosin.evaluation.metrics import rates
from eosin.trust.totals import few_units, interval, none_of_it, replicate_totals, totals

#: A missed positive counts as so many false alarms where nothing else is said.
COST_RATIO = 5.0
#: The figures of an operating point, in the order of evaluation.json.
FIGURES = ("sensitivity", "specificity", "precision", "npv", "f1", "balanced_accuracy", "accuracy")
#: The sides of a decision, in the order of a flat confusion matrix.
SIDES = ("true_negative", "false_positive", "false_negative", "true_positive")
ALL_PATCHES = 1000
#: Patches of a case: the median, the most, of which case that is, and how many patches it has.
BY_CASE = ("median", "worst", "worst_case", "worst_of")

TWO_CLASSES_ONLY = "operating points need two classes"


@dataclass(frozen=True, slots=True)
class Point:
    """A rule to choose a threshold by, and its name in words."""

    label: str
    #: Given the cost ratio, what the threshold is judged by.
    merit: Callable[[float], Merit]
    #: The figure that has to be reached, and how much of it; or none.
    aim: tuple[str, float] | None = None


def _at_least(reached: str, least: float, then: str) -> Callable[[float], Merit]:
    """Among thresholds that reach a figure, the highest of another; then of the first again."""

    def merit(counts: Ints) -> Floats:
        found = rates(counts)
        good = found[reached] >= least
        return np.stack([good, *(np.where(good, found[k], 0) for k in (then, reached))], axis=1)

    return lambda cost_ratio: merit


def _cheap(cost_ratio: float) -> Merit:
    """Less cost a patch, in false alarms."""

    def merit(counts: Ints) -> Floats:
        cost = cost_ratio * counts[:, 1, 0].astype(np.float64) + counts[:, 0, 1]
        worth: Floats = -cost / counts.sum(axis=(1, 2), dtype=np.float64)
        return worth

    return merit


POINTS: dict[str, Point] = {
    "balanced_accuracy": Point("best balanced accuracy", lambda _: RULES["balanced_accuracy"]),
    "f1": Point("best F1", lambda _: RULES["f1"]),
    "sensitivity_95": Point(
        "sensitivity at least 0.95",
        _at_least("sensitivity", 0.95, "specificity"),
        ("sensitivity", 0.95),
    ),
    "specificity_95": Point(
        "specificity at least 0.95",
        _at_least("specificity", 0.95, "sensitivity"),
        ("specificity", 0.95),
    ),
    "least_cost": Point("least cost", _cheap),
}


def choose_operating_points(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    cost_ratio: float = COST_RATIO,
    chosen_on: str = "validation",
) -> dict[str, Threshold]:
    """The threshold of every rule of ``POINTS``, chosen on these patches (never on test patches).

    y_true: int [N] of 0 and 1; y_prob: float [N] or [N, 2], calibrated or not; cost_ratio: what a
    missed positive costs, in false alarms. A threshold's note says where the rule could not be
    followed (then it is 0.5) or calls all patches, or none, positive. More than two classes: every
    threshold is 0.5 with a note. Raises ValueError for a cost ratio that is not above 0.

    >>> found = choose_operating_points([0, 0, 1, 1, 1], [0.0, 0.5, 0.25, 0.75, 1.0])
    >>> {name: found[name].value for name in ("sensitivity_95", "specificity_95", "least_cost")}
    {'sensitivity_95': 0.125, 'specificity_95': 0.625, 'least_cost': 0.125}
    """
    if not (np.isfinite(cost_ratio) and cost_ratio > 0):
        raise ValueError(f"cost_ratio is {cost_ratio}; it must be a number above 0")
    shape = np.shape(y_prob)
    if len(shape) == 2 and shape[1] > 2:
        note = f"{TWO_CLASSES_ONLY}, and there are {shape[1]}"
        return {name: Threshold(0.5, name, chosen_on, note) for name in POINTS}
    found = {}
    for name, point in POINTS.items():
        # The ratio goes where the threshold goes: into model.json, and from there to the label.
        rule = f"{name} ({_costs(cost_ratio)})" if name == "least_cost" else name
        chosen = best_threshold(
            y_true, y_prob, point.merit(cost_ratio), rule=rule, chosen_on=chosen_on
        )
        if not chosen.note:
            called = apply_threshold(y_prob, chosen)
            if called.all() or not called.any():
                every = "every patch" if called.all() else "no patch"
                note = f"the rule is met best by calling {every} positive"
                chosen = Threshold(chosen.value, rule, chosen_on, note)
        found[name] = chosen
    return found


def measure_operating_point(
    y_true: npt.ArrayLike,
    called: npt.ArrayLike,
    units: Units,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """What a decision comes to: figures with intervals, counts a thousand patches and a case.

    y_true: int [N] of 0 and 1; called: int [N] of 0 and 1, the decision; units: of the same N
    patches. Returns figures, per_1000, per_case, sentence and note, as in evaluation.json; figures
    are None where they are not defined, and the note says why. Raises ValueError for lengths that
    differ.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> y, called = [0, 0, 1, 1], [0, 1, 1, 1]
    >>> found = measure_operating_point(y, called, resampling_units(list("abab"), 4))
    >>> found["figures"]["precision"]["value"], found["per_1000"]["false_positive"]
    (0.6666666666666666, 250.0)
    >>> found["sentence"].partition(".")[0]
    'Of 1,000 patches, 750 are called positive: 500 rightly, 250 wrongly; no positive is missed'
    """
    truth, decided = np.asarray(y_true), np.asarray(called)
    if truth.shape != decided.shape or truth.ndim != 1 or len(truth) != len(units.codes):
        raise ValueError(
            f"y_true, called and units must be of the same patches; "
            f"got {truth.shape}, {decided.shape} and {len(units.codes)}"
        )
    if not len(truth):
        return _unmeasured("there are no patches to decide on")
    many = max(int(truth.max()), int(decided.max())) + 1
    if many > 2:
        return _unmeasured(f"{TWO_CLASSES_ONLY}, and there are {many}")
    truth, decided = truth.astype(np.int64), decided.astype(np.int64)
    cells = truth * 2 + decided
    ones = np.ones((1, len(cells)))
    counts = totals(ones, cells, 4)
    rows = _rates(counts)
    samples: dict[str, Floats] = dict.fromkeys(FIGURES, np.empty(0))
    if not few_units(units):
        drawn = replicate_totals(ones, cells, 4, units, replicates=replicates, seed=seed)
        samples = _rates(drawn[:, 0])
    figures = {
        name: interval(
            float(rows[name][0]), samples[name], units, why=_why_none(name, truth, decided)
        )
        for name in FIGURES
    }
    per_1000 = {
        side: float(ALL_PATCHES * n / len(cells)) for side, n in zip(SIDES, counts[0], strict=True)
    }
    per_case = {
        "false_positive": _by_case(cells == 1, units),
        "missed_positive": _by_case(cells == 2, units),
    }
    return {
        "figures": {name: found.as_dict() for name, found in figures.items()},
        "per_1000": per_1000,
        "per_case": per_case,
        "sentence": " ".join([_of_1000(per_1000), *_of_a_case(per_case["false_positive"])]),
        "note": _note(figures, units),
    }


def operating_points(
    y_true: npt.ArrayLike,
    called: Mapping[str, npt.ArrayLike],
    thresholds: Mapping[str, Threshold],
    units: Units,
    *,
    default: str = "balanced_accuracy",
    replicates: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Every operating point measured: the "operating_points" of evaluation.json.

    y_true: int [N] of 0 and 1; called: name -> int [N] of 0 and 1, the decisions; thresholds: name
    -> where they come from; units: of the same N patches; default: the name of the point that the
    model decides by. Raises ValueError for lengths that differ or a name without a threshold.

    >>> from eosin.evaluation.intervals import resampling_units
    >>> points = {"f1": Threshold(0.5, "f1")}
    >>> found = operating_points([0, 1], {"f1": [0, 1]}, points, resampling_units(["a", "b"], 2))
    >>> found[0]["label"], found[0]["default"]
    ('best F1', False)
    """
    missing = [name for name in called if name not in thresholds]
    if missing:
        raise ValueError(
            f"no threshold for {', '.join(missing)}; there are {', '.join(thresholds)}"
        )
    rows = []
    for name, decided in called.items():
        found = measure_operating_point(y_true, decided, units, replicates=replicates, seed=seed)
        point = thresholds[name]
        label = POINTS[name].label if name in POINTS else name.replace("_", " ")
        label += point.rule.removeprefix(name) if point.rule.startswith(f"{name} (") else ""
        if said := _aim(name, found["figures"], point):
            found["sentence"] = f"{found['sentence']} {said}".strip()
        notes = dict.fromkeys(text for text in (point.note, found["note"]) if text)
        rows.append(
            {
                "name": name,
                "label": label,
                "default": name == default,
                "threshold": point.as_dict(),
                **found,
                "note": "; ".join(notes),
            }
        )
    return rows


def _rates(counts: Floats) -> dict[str, Floats]:
    """``FIGURES`` of flat confusion matrices float64 [M, 4], as in ``SIDES``."""
    found = rates(counts.reshape(-1, 2, 2))
    negative = counts[:, 0] + counts[:, 2]
    found["npv"] = np.full(len(counts), np.nan)
    np.divide(counts[:, 0], negative, out=found["npv"], where=negative > 0)
    return found


def _why_none(name: str, truth: Ints, called: Ints) -> str:
    """The sentence that goes with a figure that has no value."""
    if name in ("precision", "npv"):
        side = "positive" if name == "precision" else "negative"
        return f"{name} needs patches that are called {side}, and there are none"
    return why_undefined(name, truth, called) or ""


def _note(figures: Mapping[str, Interval], units: Units) -> str:
    whys = [found.note for found in figures.values() if found.value is None]
    return "; ".join(dict.fromkeys([*whys, *filter(None, (few_units(units) or units.note,))]))


def _unmeasured(why: str) -> dict[str, Any]:
    nothing = dict.fromkeys(BY_CASE)
    return {
        "figures": {name: none_of_it(why).as_dict() for name in FIGURES},
        "per_1000": dict.fromkeys(SIDES),
        "per_case": {"false_positive": nothing, "missed_positive": nothing},
        "sentence": "",
        "note": why,
    }


def _by_case(chosen: npt.NDArray[np.bool_], units: Units) -> dict[str, Any]:
    """Chosen patches of a known case: the median, the most, and of which case that is."""
    known = len(units.names)
    if not known:
        return dict.fromkeys(BY_CASE)
    # Patches of unknown case have codes above those of the known ones.
    counts = np.bincount(units.codes[chosen], minlength=units.count)[:known]
    worst = int(np.argmax(counts))
    return {
        "median": float(np.median(counts)),
        "worst": int(counts[worst]),
        "worst_case": units.names[worst],
        "worst_of": int(np.count_nonzero(units.codes == worst)),
    }


def _of_1000(parts: Mapping[str, float]) -> str:
    right, wrong, missed = (
        parts[side] for side in ("true_positive", "false_positive", "false_negative")
    )
    # The whole is the sum of its rounded parts: the reader adds them up.
    total = (round(right) + round(wrong)) or right + wrong
    if right + wrong == 0:
        said = "Of 1,000 patches, none is called positive"
    else:
        said = (
            f"Of 1,000 patches, {_few(total)} {_are(total)} called positive: "
            f"{_few(right)} rightly, {_few(wrong)} wrongly"
        )
    if right + missed == 0:
        return f"{said}; there is no positive to miss."
    if missed == 0:
        return f"{said}; no positive is missed."
    one = _few(missed) in ("1", "fewer than 1")
    return f"{said}; {_few(missed)} {'positive is' if one else 'positives are'} missed."


def _of_a_case(counts: Mapping[str, Any]) -> list[str]:
    if counts["median"] is None:
        return []
    worst = f"{counts['worst']:,} of {counts['worst_of']:,} ({_named(counts['worst_case'])})"
    if counts["worst"] == 0:
        return ["In no case is a patch wrongly called positive."]
    middle = int(counts["median"])
    if middle == 0:
        return [f"In half of the cases no patch is wrongly called positive; at worst {worst}."]
    patches = "1 patch is" if middle == 1 else f"{middle:,} patches are"
    return [f"In half of the cases at most {patches} wrongly called positive; at worst {worst}."]


def _named(case: str) -> str:
    return case if case.casefold().startswith("case") else f"case {case}"


def _few(count: float) -> str:
    """A rounded count that is not called none where there are some."""
    if count == 0:
        return "none"
    # round(0.5) is 0, and so is a count below it.
    return f"{round(count):,}" if round(count) else "fewer than 1"


def _are(count: float) -> str:
    return "is" if _few(count) in ("1", "fewer than 1") else "are"


def _costs(ratio: float) -> str:
    return f"a missed positive costs as much as {ratio:g} false alarm{'s' * (ratio != 1)}"


def _aim(name: str, figures: Mapping[str, Mapping[str, float | None]], point: Threshold) -> str:
    """Whether what the rule had to reach where it was chosen is reached here, or ""."""
    aim = POINTS[name].aim if name in POINTS else None
    if aim is None:
        return ""
    figure, least = aim
    value = figures[figure]["value"]
    if value is None:
        return ""
    if value >= least:
        return f"The {figure} aimed at, {least:g}, is reached here: {value:.3f}."
    # Rounded down: 0.9496 must not read 0.950.
    shown = np.floor(value * 1000) / 1000
    return (
        f"The {figure} aimed at, {least:g}, is not reached here: {shown:.3f} "
        f"(the threshold was chosen on {point.chosen_on})."
    )
