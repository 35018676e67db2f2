"""The one list of cards, from which report.html and MODEL_CARD.md are made.

Each card is built on its own, so none can stop the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from eosin.records.trust import Calibration, Suspects
from eosin.reporting import blocks, card, charts, decisions, forest, measured
from eosin.reporting.blocks import Block, Card, Cell, MissingPart
from eosin.reporting.material import Material
from eosin.reporting.pictures import Gallery
from eosin.reporting.verdict import Verdict
from eosin.reporting.words import count, number, sentence
from eosin.reporting.words import measured as with_span

#: Rows of the table of label suspects.
MOST_SUSPECTS = 25


@dataclass(frozen=True)
class Entry:
    """A card of the list: its title where it cannot be made, and how it is built."""

    title: str
    #: In the table of contents.
    short: str
    build: Callable[[Material], Card]


def build(material: Material, names: Iterable[str] = ()) -> list[Card]:
    """The cards of these names, by default every card in its order.

    One that fails becomes a sentence, and a problem of the report. The network's maps are computed
    beside all else.
    """

    def make(name: str) -> Card:
        entry = CARDS[name]
        made = material.attempt(f"The card {entry.title}", partial(entry.build, material))
        return Card(name, entry.title, made, empty=True) if isinstance(made, str) else made

    chosen = list(names or CARDS)
    with ThreadPoolExecutor(1) as pool:
        beside = {name: pool.submit(make, name) for name in chosen if name in WITH_MAPS}
        made = {name: make(name) for name in chosen if name not in beside}
        made |= {name: each.result() for name, each in beside.items()}
    return [made[name] for name in chosen]


def verdict_card(verdict: Verdict) -> Card:
    """The verdict as a card; the HTML page shows it larger."""
    figure = f"{verdict.name} {verdict.value}"
    figure += (
        f", {verdict.interval} ({verdict.basis})" if verdict.interval else f" ({verdict.basis})"
    )
    parts: list[Block] = [blocks.Text(f"{figure}.")] if verdict.value else []
    if verdict.cautions:
        items = [f"{each.head}: {each.text}" for each in verdict.cautions]
        parts += [blocks.Text("Before quoting this figure:"), blocks.List(items)]
    return Card("verdict", "Verdict", verdict.sentence, parts)


def curves(material: Material) -> Card:
    """Six figures side by side, and calibration before and after."""
    items: list[blocks.Drawing | tuple[str, str]] = []
    for name, chart in charts.CURVES.items():
        make = partial(chart.drawing, name, material)
        made = material.attempt(f"The figure {chart.title}", make)
        items.append((chart.title, made) if isinstance(made, str) else made)
    reasons = [item[1] for item in items if not isinstance(item, blocks.Drawing)]
    if len(reasons) == len(items):
        raise MissingPart(" ".join(dict.fromkeys(reasons)))
    lead = (
        "How well the probabilities order the patches, whether they mean what they say, and where "
        "acting on them helps."
    )
    parts: list[Block] = [blocks.Figures(items)]
    calibration = material.evaluation.calibration
    if calibration and calibration.methods:
        parts.append(blocks.More("Calibration in numbers", [_calibration(calibration)]))
    return Card("curves", "Curves", lead, parts)


def _calibration(calibration: Calibration) -> blocks.Table:
    names = {"before": "as trained", "temperature": "temperature (used)", "isotonic": "isotonic"}
    parts = ("reliability", "resolution", "uncertainty", "within_bin")
    rows: list[list[Cell]] = [
        [
            names.get(name, name),
            *(with_span(figure) for figure in (method.ece, method.brier, method.log_loss)),
            *(number((method.brier_parts or {}).get(part)) for part in parts),
        ]
        for name, method in calibration.methods.items()
    ]
    columns = ["", "calibration error", "Brier score", "log loss",
               *(part.replace("_", " ") for part in parts)]  # fmt: skip
    groups = (
        "" if calibration.bins is None else f"{count(calibration.bins, 'group')} of equal size."
    )
    note = (
        f"{groups} Brier score = reliability - resolution + uncertainty + what is lost within the "
        "groups; low reliability and high resolution are good."
    ).strip()
    if "isotonic" in calibration.methods:
        note += " Isotonic regression is fitted for comparison and not used."
    return blocks.Table("Calibration, before and after", columns, rows, note=note)


def mosaics(material: Material) -> Card:
    """Whole cases put together from their patches."""
    from eosin.reporting.mosaics import case_mosaics

    cut = material.evaluation.threshold
    store, table = material.needed_store(), material.needed_table()
    gallery = case_mosaics(store, table, threshold=cut.value if cut else None)
    lead = (
        "Cases put together from their patches: the tissue, the truth, the probability, and where "
        "the answers are wrong."
    )
    return Card("mosaics", "Whole cases", lead, [_pictures(gallery)])


def errors(material: Material) -> Card:
    """The most confident errors."""
    from eosin.reporting.galleries import error_gallery

    table = material.needed_table()
    gallery = error_gallery(material.needed_store(), table, material.network)
    lead = (
        "The errors of which the model was surest. A map shows on which part of the patch the "
        "answer depended; it is a hint, not a reason."
    )
    return Card("errors", "Confident errors", lead, [_pictures(gallery)])


def _pictures(gallery: Gallery) -> blocks.Pictures:
    if not gallery.items:
        raise MissingPart(sentence(gallery.note or "There is nothing to show"))
    return blocks.Pictures(gallery.items, gallery.columns, gallery.note)


def suspects(material: Material) -> Card:
    """Patches whose label other folds contradict."""
    from eosin.reporting.galleries import suspect_gallery

    section = material.evaluation.suspects
    if section is None:
        raise MissingPart(
            "Labels were not checked: label suspects come from out-of-fold predictions."
        )
    if not section.rows:
        none = "No label is contradicted" if section.total == 0 else "There is no list of suspects"
        raise MissingPart(sentence(section.note or none))
    looked = "" if section.of is None else f" of {section.of:,}"
    total = len(section.rows) if section.total is None else section.total
    lead = (
        f"{count(total, 'patch', 'patches')}{looked} carry a label that a model contradicts with "
        "confidence. They are shown, not dropped: whether the label or the model is wrong, a "
        "person decides."
    )
    made = material.attempt(
        "The gallery of label suspects",
        lambda: _pictures(suspect_gallery(material.needed_store(), section, material.network)),
    )
    shown = blocks.Text(made, quiet=True) if isinstance(made, str) else made
    more = blocks.More("As a table", [_suspects(section)])
    return Card("suspects", "Label suspects", lead, [shown, more])


def _suspects(section: Suspects) -> blocks.Table:
    rows: list[list[Cell]] = [
        [
            row.case or "unknown",
            *(row.source, row.label, row.suggested),
            *(number(row.probability), number(row.score)),
        ]
        for row in section.rows[:MOST_SUSPECTS]
    ]
    columns = ["case", "file", "label", "suggested", "probability", "score"]
    more = (
        f" The first {len(rows)} of {len(section.rows)}." if len(rows) < len(section.rows) else ""
    )
    note = f"{sentence(section.method)}{more}"
    return blocks.Table("Label suspects", columns, rows, frozenset({1, 2, 3}), note=note)


#: Name in the page -> the card; this is the order of the report.
CARDS: dict[str, Entry] = {
    "data": Entry("The data and the split", "Data", measured.data),
    "headline": Entry("Beside simple methods and published results", "Headline", measured.headline),
    "curves": Entry("Curves", "Curves", curves),
    "operating": Entry("Operating points", "Operating points", decisions.operating),
    "cases": Entry("Case by case", "Cases", forest.cases),
    "mosaics": Entry("Whole cases", "Whole cases", mosaics),
    "errors": Entry("Confident errors", "Errors", errors),
    "suspects": Entry("Label suspects", "Label suspects", suspects),
    "training": Entry("Training", "Training", card.training),
    "scope": Entry("Out of scope", "Out of scope", decisions.scope),
    "card": Entry("Limits and intended use", "Limits", card.model),
    "reproduce": Entry("How to make it again", "Reproduce", card.reproduce),
}
#: Those that ask the network, and draw nothing with matplotlib.
WITH_MAPS = ("errors", "suspects")
#: Those of MODEL_CARD.md, in its order.
MODEL_CARD = ("card", "data", "training", "headline", "curves", "operating", "cases", "scope",
              "reproduce")  # fmt: skip
