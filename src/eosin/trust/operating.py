"""Operating points: thresholds chosen on validation by several rules, and what each means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.evaluation.decisions import RULES, Merit, best_threshold
from eosin.evaluation.definitions import Floats, Ints, why_undefined
from eosin.evaluation.intervals import Interval, few_units, interval, no_interval
from eosin.evaluation.metrics import rates, ratio
from eosin.records.figures import chosen
from eosin.records.points import MOST_PROBABLE, POINTS, OperatingPoint
from eosin.records.scored import Scored, Units
from eosin.trust.totals import replicate_totals, totals

#: A missed positive counts as so many false alarms where nothing else is asked for.
COST_RATIO = 5.0
#: The figures of an operating point, in the order of evaluation.json.
FIGURES = ("sensitivity", "specificity", "precision", "npv", "f1", "balanced_accuracy", "accuracy")
#: The sides of a decision, in the order of a flat confusion matrix.
SIDES = ("true_negative", "false_positive", "false_negative", "true_positive")
ALL_PATCHES = 1000
#: Patches of a case: the median, the most, of which case that is, and how many patches it has.
BY_CASE = ("median", "worst", "worst_case", "worst_of")
#: The figure that a point has to reach, and how much of it.
AIMS = {"sensitivity": 0.95, "specificity": 0.95}

TWO_CLASSES_ONLY = "operating points need two classes"


def _at_least(reached: str, then: str) -> Merit:
    """Among thresholds that reach a figure, the highest of another; then of the first again."""

    def merit(counts: Ints) -> Floats:
        figures = rates(counts)
        good = figures[reached] >= AIMS[reached]
        return np.stack([good, *(np.where(good, figures[k], 0) for k in (then, reached))], axis=1)

    return merit


def _least_cost(cost_ratio: float) -> Merit:
    """Less cost a patch, in false alarms."""

    def merit(counts: Ints) -> Floats:
        cost = cost_ratio * counts[:, 1, 0].astype(np.float64) + counts[:, 0, 1]
        worth: Floats = -cost / counts.sum(axis=(1, 2), dtype=np.float64)
        return worth

    return merit


#: Name of a point -> from the cost ratio, what its threshold is judged by.
MERITS: dict[str, Callable[[float], Merit]] = {
    "balanced": lambda _: RULES["balanced"],
    "f1": lambda _: RULES["f1"],
    "sensitivity": lambda _: _at_least("sensitivity", "specificity"),
    "specificity": lambda _: _at_least("specificity", "sensitivity"),
    "cost": _least_cost,
}


def choose_operating_points(
    scored: Scored, *, cost_ratio: float = COST_RATIO, chosen_on: str = "validation"
) -> dict[str, OperatingPoint]:
    """The operating points by name, chosen on these patches (never on test patches).

    cost_ratio: what a missed positive costs, in false alarms. A note tells where the rule could not
    be followed (then the threshold is 0.5) or calls all patches, or none, positive. More than two
    classes have one point, where the most probable class answers. Raises ValueError for a cost
    ratio that is not above 0.

    >>> points = choose_operating_points(
    ...     Scored.of([0, 0, 1, 1, 1], [0.0, 0.5, 0.25, 0.75, 1.0]))
    >>> {name: points[name].threshold for name in ("sensitivity", "specificity", "cost")}
    {'sensitivity': 0.125, 'specificity': 0.625, 'cost': 0.125}
    """
    if not (np.isfinite(cost_ratio) and cost_ratio > 0):
        raise ValueError(f"cost_ratio is {cost_ratio}; it must be a number above 0")
    if scored.classes > 2:
        return {
            MOST_PROBABLE: OperatingPoint(MOST_PROBABLE, None, "most probable class", "nothing")
        }
    points = {}
    for name, merit in MERITS.items():
        # The ratio goes where the threshold goes: into the model, and from there to the label.
        costs = f" (a missed positive costs as much as {_alarms(cost_ratio)})"
        rule = POINTS[name] + (costs if name == "cost" else "")
        point = best_threshold(scored, merit(cost_ratio), name, rule=rule, chosen_on=chosen_on)
        called = point.called(scored.probabilities)
        if not point.note and len(np.unique(called)) == 1:
            every = "every patch" if called[0] else "no patch"
            note = f"the rule is met best by calling {every} positive"
            point = OperatingPoint(name, point.threshold, rule, chosen_on, note)
        points[name] = point
    return points


def measure_operating_point(
    truth: Ints, called: Ints, units: Units, *, replicates: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """What a decision comes to: figures with intervals, counts a thousand patches and a case.

    truth, called: int64 [N] of 0 and 1; units: of the same N patches. Returns figures, per_1000,
    per_case, sentence and note, as in evaluation.json; figures are None where they are not defined,
    and the note has the reason.

    >>> from eosin.records.scored import resampling_units
    >>> truth, called = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    >>> result = measure_operating_point(truth, called, resampling_units(list("abab"), 4))
    >>> result["figures"]["precision"]["value"], result["per_1000"]["false_positive"]
    (0.6666666666666666, 250.0)
    >>> result["sentence"].partition(".")[0]
    'Of 1,000 patches, 750 are called positive: 500 rightly, 250 wrongly; no positive is missed'
    """
    if not len(truth):
        return _unmeasured("there are no patches to decide on")
    cells = truth * 2 + called
    ones = np.ones((1, len(cells)))
    counts = totals(ones, cells, 4)
    values = {name: float(rows[0]) for name, rows in _rates(counts).items()}
    samples: dict[str, Floats] = dict.fromkeys(FIGURES, np.empty(0))
    if not few_units(units):
        drawn = replicate_totals(ones, cells, 4, units, replicates=replicates, seed=seed)
        samples = _rates(drawn[:, 0])
    figures = {
        name: interval(values[name], samples[name], units, why=_why_none(name, truth, called))
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
        "figures": {name: each.as_dict() for name, each in figures.items()},
        "per_1000": per_1000,
        "per_case": per_case,
        "sentence": " ".join([_of_1000(per_1000), *_of_a_case(per_case["false_positive"])]),
        "note": _note(figures, units),
    }


def operating_points(
    scored: Scored,
    called: Mapping[str, Ints],
    points: Mapping[str, OperatingPoint],
    *,
    default: str,
    replicates: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Every operating point measured, without its band: "operating_points" of evaluation.json.

    called: name -> int64 [N] of 0 and 1, the decisions; points: name -> the point; default: the
    name of the point that the model decides by.

    >>> scored = Scored.of([0, 1], [0.2, 0.7], ["a", "b"])
    >>> points = {"f1": OperatingPoint("f1", 0.5)}
    >>> rows = operating_points(scored, {"f1": scored.labels}, points, default="balanced")
    >>> rows[0]["label"], rows[0]["default"]
    ('best F1', False)
    """
    rows = []
    for name, decided in called.items():
        measured = measure_operating_point(
            scored.labels, decided, scored.units, replicates=replicates, seed=seed
        )
        point = points[name]
        sentences = (measured["sentence"], _aim(point, measured["figures"]))
        notes = dict.fromkeys(filter(None, (point.note, measured["note"])))
        rows.append(
            {
                "name": name,
                "label": point.label,
                "default": name == default,
                "threshold": point.threshold_json(),
                **measured,
                "sentence": " ".join(filter(None, sentences)),
                "note": "; ".join(notes),
            }
        )
    return rows


def _rates(counts: Floats) -> dict[str, Floats]:
    """``FIGURES`` of flat confusion matrices float64 [M, 4], as in ``SIDES``."""
    return rates(counts.reshape(-1, 2, 2)) | {"npv": ratio(counts[:, 0], counts[:, [0, 2]].sum(1))}


def _why_none(name: str, truth: Ints, called: Ints) -> str:
    """The sentence that goes with a figure that has no value."""
    if name in ("precision", "npv"):
        side = "positive" if name == "precision" else "negative"
        return f"{name} needs patches that are called {side}, and there are none"
    return why_undefined(name, Scored.of(truth, called))


def _note(figures: Mapping[str, Interval], units: Units) -> str:
    whys = [each.note for each in figures.values() if each.value is None]
    return "; ".join(dict.fromkeys([*whys, *filter(None, (few_units(units) or units.note,))]))


def _unmeasured(why: str) -> dict[str, Any]:
    nothing = dict.fromkeys(BY_CASE)
    return {
        "figures": {name: no_interval(why).as_dict() for name in FIGURES},
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
    # The total is the sum of its rounded parts: the reader adds them up.
    total = (round(right) + round(wrong)) or right + wrong
    start = "Of 1,000 patches, none is called positive"
    if right + wrong:
        start = (
            f"Of 1,000 patches, {_few(total)} {_are(total)} called positive: "
            f"{_few(right)} rightly, {_few(wrong)} wrongly"
        )
    if right + missed == 0:
        return f"{start}; there is no positive to miss."
    if missed == 0:
        return f"{start}; no positive is missed."
    one = _few(missed) in ("1", "fewer than 1")
    return f"{start}; {_few(missed)} {'positive is' if one else 'positives are'} missed."


def _of_a_case(counts: Mapping[str, Any]) -> list[str]:
    if counts["median"] is None:
        return []
    worst = f"{counts['worst']:,} of {counts['worst_of']:,} ({_named(counts['worst_case'])})"
    if counts["worst"] == 0:
        return ["No case has a patch that is wrongly called positive."]
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


def _alarms(ratio: float) -> str:
    return f"{ratio:g} false alarm{'s' * (ratio != 1)}"


def _aim(point: OperatingPoint, figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """Whether what the rule had to reach where it was chosen is reached here, or ""."""
    least = AIMS.get(point.name)
    value = figures[point.name]["value"] if least is not None else None
    if least is None or value is None:
        return ""
    aim = f"The {point.name} aimed at, {least:g}, is"
    if value >= least:
        return f"{aim} reached here: {value:.3f}."
    # Rounded down: 0.9496 must not read 0.950.
    shown = np.floor(value * 1000) / 1000
    return f"{aim} not reached here: {shown:.3f} (the threshold was {chosen(point.chosen_on)})."
