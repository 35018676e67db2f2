"""The section of cases: a row a case with its interval, and intervals as rows of a forest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.evaluation.intervals import WITHIN_CASE
from eosin.reporting.blocks import Bar, Forest, MissingPart, More, Section
from eosin.reporting.material import Material
from eosin.reporting.words import FIGURES, count, in_words, known, number, sentence, span

#: Cases that are opened at each end of the forest.
OPENED = 3
#: With more cases than this, the middle of the forest is folded.
_MANY_CASES = 60


def bar_of(name: str, figure: Mapping[str, Any], *, strong: bool = False) -> Bar:
    """A row of a forest from {value, low, high}."""
    value, low, high = (
        float(figure[key]) if known(figure.get(key)) else None for key in ("value", "low", "high")
    )
    return Bar(name, value, low, high, number(value), span(figure), strong=strong)


def cases(material: Material) -> Section:
    """A row a case, with its interval; best and worst opened."""
    evaluation = material.evaluation
    rows = list(evaluation.get("cases") or ())
    if not rows:
        raise MissingPart("The cases of these patches are unknown, so there is no row a case.")
    defined = sum(known((row.get("balanced_accuracy") or {}).get("value")) for row in rows)
    # Balanced accuracy needs both classes in a case; where most lack one, accuracy is shown.
    name = "balanced_accuracy" if material.binary and 2 * defined >= len(rows) else "accuracy"
    shown = sorted(
        (row for row in rows if known((row.get(name) or {}).get("value"))),
        key=lambda row: float(row[name]["value"]),
    )
    if not shown:
        raise MissingPart(f"No case defines {FIGURES[name].lower()}.")
    low, high = shown[0], shown[-1]
    says = (
        f"{FIGURES[name]} by case runs from {number(low[name]['value'])} (case {low['case']}) to "
        f"{number(high[name]['value'])} (case {high['case']})"
    )
    mean = (evaluation.get("mean_over_cases") or {}).get(name) or {}
    says += (
        f"; its mean, every case counting the same, is {in_words(mean)}."
        if known(mean.get("value"))
        else "."
    )
    ends = {id(row) for row in [*shown[:OPENED], *shown[-OPENED:]]}
    bars = [_case(row, name, id(row) in ends) for row in shown]
    overall = evaluation.get(name) or {}
    band = None
    if all(known(overall.get(key)) for key in ("low", "value", "high")):
        band = (float(overall["low"]), float(overall["value"]), float(overall["high"]))
    lows = [bar.low if bar.low is not None else bar.value for bar in bars]
    begin = max(0.0, int(20 * min(value for value in lows if value is not None)) / 20)
    band_note = (
        f" The band behind the rows is that of all patches, {in_words(overall)}." if band else ""
    )
    note = f"{evaluation.get('cases_note', '')}{band_note}".strip()
    left_out = len(rows) - len(shown)
    if left_out:
        note += f" {left_out} of {len(rows)} cases do not define it, for want of one class."
    forest = _forests(FIGURES[name], bars, begin, band, note)
    return Section("cases", "Case by case", says, forest)


def _forests(
    label: str, bars: list[Bar], begin: float, band: tuple[float, float, float] | None, note: str
) -> list[object]:
    """One forest or, of very many cases, the ends and the middle to open."""
    if len(bars) <= _MANY_CASES:
        return [Forest(label, bars, begin, 1.0, band, note)]
    end = _MANY_CASES // 3
    middle = Forest(label, bars[end:-end], begin, 1.0, band)
    return [
        Forest(f"{label}, the lowest", bars[:end], begin, 1.0, band),
        More(f"{len(bars) - 2 * end} cases between", [middle]),
        Forest(f"{label}, the highest", bars[-end:], begin, 1.0, band, note),
    ]


def _case(row: Mapping[str, Any], name: str, opened: bool) -> Bar:
    figure = row[name]
    details = [
        ("patches", f"{row.get('n', 0):,}"),
        (FIGURES[name], in_words(figure)),
    ]
    if known(row.get("positives")):
        details += [
            ("truly positive", f"{row['positives']:,}"),
            ("called positive", f"{row['called_positive']:,}"),
        ]
    keys = ("auroc", "sensitivity", "specificity", "precision", "accuracy")
    details += [
        (FIGURES[key], in_words(row[key]))
        for key in keys
        if key != name and known((row.get(key) or {}).get("value"))
    ]
    notes = (str(note).removeprefix(f"{WITHIN_CASE}; ") for note in row.get("notes") or ())
    details += [("note", sentence(note)) for note in dict.fromkeys(notes)]
    bar = bar_of(str(row["case"]), figure)
    beside = count(row.get("n"), "patch", "patches")
    return Bar(
        bar.name, bar.value, bar.low, bar.high, bar.text, beside, details=details, opened=opened
    )
