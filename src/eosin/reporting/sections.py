"""The sections of the report, in order; each is built on its own, so none can stop the rest."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eosin.reporting import charts, decisions, findings, forest
from eosin.reporting.blocks import (
    Cell,
    Code,
    Drawing,
    Facts,
    Figures,
    Heading,
    List,
    MissingPart,
    More,
    Pictures,
    Section,
    Table,
    Text,
)
from eosin.reporting.material import Material
from eosin.reporting.words import count, known, measured, number, sentence

if TYPE_CHECKING:
    from eosin.models.classifier import Classifier
    from eosin.reporting.pictures import Gallery

#: Rows of the table of label suspects.
MOST_SUSPECTS = 25


@dataclass
class Report:
    """What the sections are built from, and what went wrong on the way."""

    material: Material

    def __post_init__(self) -> None:
        self.problems: list[str] = []

    def failed(self, what: str, error: Exception) -> str:
        """Note an unexpected error; returns the sentence that stands in the page instead."""
        text = f"{what} could not be made: {type(error).__name__}: {error}"
        self.problems.append(text)
        return sentence(text)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe's keys and values; empty where its file is damaged."""
        import tomllib

        try:
            return tomllib.loads(self.material.recipe)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"recipe.toml is damaged ({error})")
            return {}

    def card_sources(self) -> tuple[Mapping[str, Any], ...]:
        """What the model card is made from: evaluation, model, environment, recipe."""
        material = self.material
        return material.evaluation, material.model, material.environment, self.recipe

    @cached_property
    def model(self) -> Classifier | None:
        """The network, for explanation maps; None where it cannot be loaded."""
        if self.material.evaluation.get("exported"):
            self.problems.append("no explanation maps: an exported file does not open its network")
            return None
        from eosin.errors import EosinError, missing_extra

        try:
            from eosin.models.classifier import load_classifier

            return load_classifier(self.material.run)[0].eval()
        except EosinError as error:
            self.problems.append(f"no explanation maps: {error}")
        except ModuleNotFoundError as error:
            # A report can be made again where torch is not installed.
            if (missing := missing_extra(error, "a map of the network")) is None:
                raise
            self.problems.append(f"no explanation maps: {missing}")
        return None


def build(report: Report) -> list[Section]:
    """Every section, in order. One that fails becomes a sentence, and a problem of the report."""
    found = []
    for name, (title, builder) in SECTIONS.items():
        try:
            found.append(builder(report))
        except MissingPart as missing:
            found.append(Section(name, title, str(missing), empty=True))
        except Exception as error:
            # The one place: whatever a section meets, the rest of the report still stands.
            found.append(Section(name, title, report.failed("This section", error), empty=True))
    return found


def curves(report: Report) -> Section:
    """Six figures side by side, and calibration before and after."""
    items: list[Drawing | tuple[str, str]] = []
    for title, make in charts.CURVES.values():
        try:
            items.append(make(report.material))
        except MissingPart as missing:
            items.append((title, str(missing)))
        except Exception as error:
            # As in build: a figure that fails must not take its neighbors with it.
            items.append((title, report.failed(f"The figure {title}", error)))
    drawn = [item for item in items if isinstance(item, Drawing)]
    if not drawn:
        raise MissingPart(" ".join(dict.fromkeys(reason for _, reason in items)))  # type: ignore[misc]
    evaluation = report.material.evaluation
    says = (
        "How well the probabilities order the patches, whether they mean what they say, and where "
        "acting on them helps."
    )
    blocks: list[object] = [Figures(items)]
    methods = (evaluation.get("calibration") or {}).get("methods")
    if methods:
        blocks.append(_calibration(methods, evaluation["calibration"]))
    return Section("curves", "Curves", says, blocks)


def _calibration(methods: dict[str, Any], found: dict[str, Any]) -> More:
    names = {"before": "as trained", "temperature": "temperature (used)", "isotonic": "isotonic"}
    heads = {"ece": "calibration error", "brier": "Brier score", "log_loss": "log loss"}
    parts = ("reliability", "resolution", "uncertainty", "within_bin")
    rows: list[list[Cell]] = [
        [
            names.get(key, key),
            *(measured(one.get(name)) for name in heads),
            *(number((one.get("brier_parts") or {}).get(part)) for part in parts),
        ]
        for key, one in methods.items()
    ]
    columns = ["", *heads.values(), *(part.replace("_", " ") for part in parts)]
    note = (
        f"{count(found.get('bins'), 'group')} of equal size. Brier score = reliability - "
        "resolution + uncertainty + what is lost within the groups; low reliability "
        "and high resolution are good. Isotonic regression is fitted for comparison and not used."
    )
    table = Table("Calibration, before and after", columns, rows, note=note)
    return More("Calibration in numbers", [table])


def mosaics(report: Report) -> Section:
    """Whole cases put together from their patches."""
    from eosin.reporting.mosaics import case_mosaics

    material = report.material
    cut = (material.evaluation.get("threshold") or {}).get("value")
    gallery = case_mosaics(
        material.needed_store(), material.needed_table(), threshold=cut if known(cut) else None
    )
    says = (
        "Cases put together from their patches: the tissue, the truth, the probability, and where "
        "the answers are wrong."
    )
    return _gallery("mosaics", "Whole cases", says, gallery)


def errors(report: Report) -> Section:
    """The most confident errors."""
    from eosin.reporting.galleries import error_gallery

    material = report.material
    table = material.needed_table()
    gallery = error_gallery(material.needed_store(), table, report.model)
    says = (
        "The errors of which the model was surest. A map shows on which part of the patch the "
        "answer depended; it is a hint, not a reason."
    )
    return _gallery("errors", "Confident errors", says, gallery)


def suspects(report: Report) -> Section:
    """Patches whose label other folds contradict."""
    material = report.material
    found = material.evaluation.get("suspects")
    if not found:
        raise MissingPart(
            "Labels were not checked: label suspects come from out-of-fold predictions."
        )
    rows = list(found.get("rows") or ())
    if not rows:
        why = sentence(str(found.get("note") or "No label is contradicted"))
        raise MissingPart(why)
    looked = f" of {found['of']:,}" if known(found.get("of")) else ""
    total = found.get("total")
    says = (
        f"{count(total if known(total) else len(rows), 'patch', 'patches')}{looked} carry a label "
        "that a model contradicts with confidence. They are shown, not dropped: whether the label "
        "or the model is wrong, a person decides."
    )
    blocks: list[object] = []
    if material.store is None:
        blocks.append(Text(material.gone["store"], quiet=True))
    else:
        try:
            from eosin.reporting.galleries import suspect_gallery

            gallery = suspect_gallery(material.store, found, report.model)
            blocks += _gallery("suspects", "", "", gallery).blocks
        except Exception as error:
            # The table below stands without its pictures.
            blocks.append(Text(report.failed("The gallery of label suspects", error), quiet=True))
    columns = ["case", "file", "label", "suggested", "probability", "score"]
    cells: list[list[Cell]] = [
        [
            str(row.get("case") or "unknown"),
            *(str(row.get(key) or "") for key in ("source", "label", "suggested")),
            *(number(row.get(key)) for key in ("probability", "score")),
        ]
        for row in rows[:MOST_SUSPECTS]
    ]
    words = frozenset({1, 2, 3})
    more = f" The first {len(cells)} of {len(rows)}." if len(cells) < len(rows) else ""
    note = f"{sentence(str(found.get('method') or ''))}{more}"
    blocks.append(More("As a table", [Table("Label suspects", columns, cells, words, note=note)]))
    return Section("suspects", "Label suspects", says, blocks)


def _gallery(name: str, title: str, says: str, gallery: Gallery) -> Section:
    if not gallery.items:
        raise MissingPart(sentence(gallery.note or "There is nothing to show"))
    return Section(name, title, says, [Pictures(gallery.items, gallery.columns, gallery.note)])


def training(report: Report) -> Section:
    """The course of training."""
    material = report.material
    if material.evaluation.get("exported"):
        raise MissingPart("The course of training stays with the run: a file does not carry it.")
    drawing = charts.training(material)
    model = material.model
    facts = [
        (f"{model[key]:,}", words)
        for key, words in (
            ("parameters", "weights"),
            ("train_patches", "training patches"),
            ("epochs", "epochs"),
        )
        if known(model.get(key))
    ]
    blocks: list[object] = [Facts(facts)] if facts else []
    return Section("training", "Training", drawing.caption, [*blocks, Figures([drawing])])


def card(report: Report) -> Section:
    """Limits and intended use: the model card."""
    from eosin.reporting.card import card_facts

    shown: list[object] = []
    folded: list[object] = []
    for part in card_facts(*report.card_sources()):
        # What has a table stands in the sections above as well.
        blocks = folded if part.rows or part.lines else shown
        blocks.append(Heading(part.heading))
        blocks += [Text(text) for text in part.paragraphs]
        if part.rows:
            words = frozenset(range(len(part.columns)))
            blocks.append(Table("", part.columns, part.rows, words))
        if part.points:
            blocks.append(List(part.points))
        if part.lines:
            blocks.append(Code("", part.lines))
    blocks = [*shown, More("The rest of the card", folded)] if folded else shown
    says = "What this model is for, and what it is not for. The same text stands in MODEL_CARD.md."
    return Section("card", "Limits and intended use", says, blocks)


def reproduce(report: Report) -> Section:
    """Environment, seeds, and the commands that make all of this again."""
    material = report.material
    facts, evaluation = material.environment, material.evaluation
    machine = facts.get("machine") or {}
    versions = {"eosin": facts.get("eosin"), "Python": facts.get("python")}
    versions |= facts.get("packages") or {}
    rows = [[name, str(version)] for name, version in versions.items() if version]
    store = evaluation.get("store") or facts.get("store") or {}
    rows += [
        [name, str(value)]
        for name, value in (
            ("processor", machine.get("processor")),
            ("cores", machine.get("cores")),
            ("system", machine.get("system")),
            ("trained on", material.model.get("machine")),
            ("answered by", (evaluation.get("exported") or {}).get("runtime")),
            ("store digest", store.get("digest")),
        )
        if value
    ]
    seeds = _seeds(report)
    lines = [str(facts["command"])] if facts.get("command") else []
    run, folder = shlex.quote(str(material.run)), shlex.quote(str(material.folder))
    other = f" --store {shlex.quote(str(store.get('path')))}" if folder != run else ""
    # Of an exported file the recorded command is that of the evaluation itself.
    lines += [] if evaluation.get("exported") else [f"eosin evaluate {run}{other}"]
    lines.append(f"eosin report {folder}")
    blocks: list[object] = [
        Code("The commands", lines),
        Table("Versions and machine", ["", "found"], rows, words=frozenset({1})),
    ]
    if material.recipe:
        blocks.append(More("The recipe", [Code("recipe.toml", material.recipe.splitlines())]))
    if report.problems:
        text = [Text(sentence(problem)) for problem in report.problems]
        blocks.append(More("What could not be made in this report", text, opened=True))
    begin = (
        "The figures can be made again from the file and the store"
        if evaluation.get("exported")
        else "A run can be made again from its folder and the store"
    )
    says = f"{begin}. {seeds}"
    return Section("reproduce", "How to make it again", says, blocks)


def _seeds(report: Report) -> str:
    said = [f"training {report.recipe['seed']}"] if "seed" in report.recipe else []
    how = report.material.evaluation.get("intervals") or {}
    if known(how.get("seed")):
        said.append(f"bootstrap {how['seed']}, {count(how.get('replicates'), 'replicate')}")
    return f"Seeds: {', '.join(said)}." if said else ""


def _of(builder: Callable[[Material], Section]) -> Callable[[Report], Section]:
    return lambda report: builder(report.material)


#: Name in the page -> (title where the section cannot be made, its builder); this is the order.
SECTIONS: dict[str, tuple[str, Callable[[Report], Section]]] = {
    "data": ("The data and the split", _of(findings.data)),
    "headline": ("Beside simple methods and published results", _of(findings.headline)),
    "curves": ("Curves", curves),
    "operating": ("Operating points", _of(decisions.operating)),
    "cases": ("Case by case", _of(forest.cases)),
    "mosaics": ("Whole cases", mosaics),
    "errors": ("Confident errors", errors),
    "suspects": ("Label suspects", suspects),
    "training": ("Training", training),
    "scope": ("Out of scope", _of(findings.scope)),
    "card": ("Limits and intended use", card),
    "reproduce": ("How to make it again", reproduce),
}

#: Short names for the table of contents.
CONTENTS = {
    "data": "Data",
    "headline": "Headline",
    "curves": "Curves",
    "operating": "Operating points",
    "cases": "Cases",
    "mosaics": "Whole cases",
    "errors": "Errors",
    "suspects": "Label suspects",
    "training": "Training",
    "scope": "Out of scope",
    "card": "Limits",
    "reproduce": "Reproduce",
}
