"""The card of cases: a row a case with its interval, and intervals as rows of a forest."""

from __future__ import annotations

from eosin.evaluation.intervals import WITHIN_CASE
from eosin.records.figures import CaseRow, Figure
from eosin.reporting import blocks
from eosin.reporting.blocks import Block, Card, MissingPart
from eosin.reporting.material import Material
from eosin.reporting.words import FIGURES, count, in_words, number, sentence, span

#: Cases that are opened at each end of the forest.
OPENED = 3
#: With more cases than this, the middle of the forest is folded.
_MANY_CASES = 60


def bar_of(name: str, figure: Figure, *, strong: bool = False) -> blocks.Bar:
    """A row of a forest."""
    value, text = figure.value, number(figure.value)
    return blocks.Bar(name, value, figure.low, figure.high, text, span(figure), strong=strong)


def cases(material: Material) -> Card:
    """A row a case, with its interval; best and worst opened."""
    evaluation = material.evaluation
    rows = evaluation.cases
    if not rows:
        why = "are unknown" if evaluation.n_cases is None else "are not listed"
        raise MissingPart(f"The cases of these patches {why}, so there is no row a case.")
    name = evaluation.case_figure()
    defined = [(v, row) for row in rows if (v := row.figure(name).value) is not None]
    if not defined:
        raise MissingPart(f"No case defines {FIGURES[name].lower()}.")
    defined.sort(key=lambda pair: pair[0])
    (low, worst), (high, best) = defined[0], defined[-1]
    lead = (
        f"{FIGURES[name]} by case runs from {number(low)} (case {worst.case}) to {number(high)} "
        f"(case {best.case})"
    )
    mean = evaluation.mean_over_cases.get(name, Figure())
    if mean.value is not None:
        lead += f"; its mean, every case counting the same, is {in_words(mean)}"
    last = len(defined) - OPENED
    bars = [_case(row, name, k < OPENED or k >= last) for k, (_, row) in enumerate(defined)]
    lows = [bar.low if bar.low is not None else bar.value for bar in bars]
    begin = max(0.0, int(20 * min(value for value in lows if value is not None)) / 20)
    overall = evaluation.figure(name)
    notes = [evaluation.cases_note]
    if overall.bounds:
        notes.append(f"The band behind the rows is that of all patches, {in_words(overall)}.")
    if left_out := len(rows) - len(defined):
        notes.append(f"{left_out} of {len(rows)} cases do not define it, for want of one class.")
    note = " ".join(filter(None, notes))
    parts = _forests(FIGURES[name], bars, begin, overall.bounds, note)
    return Card("cases", "Case by case", f"{lead}.", parts)


def _forests(
    label: str,
    bars: list[blocks.Bar],
    begin: float,
    band: tuple[float, float, float] | None,
    note: str,
) -> list[Block]:
    """One forest or, of very many cases, the ends and the middle to open."""
    if len(bars) <= _MANY_CASES:
        return [blocks.Forest(label, bars, begin, 1.0, band, note)]
    end = _MANY_CASES // 3
    middle = blocks.Forest(label, bars[end:-end], begin, 1.0, band)
    return [
        blocks.Forest(f"{label}, the lowest", bars[:end], begin, 1.0, band),
        blocks.More(f"{len(bars) - 2 * end} cases between", [middle]),
        blocks.Forest(f"{label}, the highest", bars[-end:], begin, 1.0, band, note),
    ]


def _case(row: CaseRow, name: str, opened: bool) -> blocks.Bar:
    figure = row.figure(name)
    details = [("patches", f"{row.n:,}"), (FIGURES[name], in_words(figure))]
    if row.positives is not None:
        details.append(("truly positive", f"{row.positives:,}"))
    if row.called_positive is not None:
        details.append(("called positive", f"{row.called_positive:,}"))
    keys = ("auroc", "sensitivity", "specificity", "precision", "accuracy")
    others = ((key, row.figure(key)) for key in keys if key != name)
    details += [(FIGURES[key], in_words(f)) for key, f in others if f.value is not None]
    notes = dict.fromkeys(note.removeprefix(f"{WITHIN_CASE}; ") for note in row.notes)
    details += [("note", sentence(note)) for note in notes]
    beside = count(row.n, "patch", "patches")
    value, low, high, text = figure.value, figure.low, figure.high, number(figure.value)
    return blocks.Bar(row.case, value, low, high, text, beside, details=details, opened=opened)
