"""The figures of the report, each with its text alternative, its caption and what it means."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from eosin.figures import charts as figures
from eosin.figures import curves, trust
from eosin.records.evaluation import Evaluation
from eosin.records.figures import Figure
from eosin.records.referral import Referral, RiskCurve
from eosin.records.trust import Calibration, DecisionCurve
from eosin.reporting.blocks import Drawing, MissingPart
from eosin.reporting.inline import drawn
from eosin.reporting.material import Material
from eosin.reporting.words import count, in_words, known, number, patches_of, percent, sentence

T = TypeVar("T", Calibration, DecisionCurve, Referral)

#: What a figure means, by its name.
MEANINGS: dict[str, str] = tomllib.loads(
    resources.files("eosin.reporting").joinpath("meanings.toml").read_text("utf-8")
)


@dataclass(frozen=True)
class Chart:
    """A figure of the report: how it is drawn, and its words."""

    title: str
    #: The text alternative: "{}" is replaced by the patches; the caption follows.
    shows: str
    caption: Callable[[Material], str]
    draw: Callable[[Path, Material], Path]
    #: More for the text alternative.
    reads: Callable[[Evaluation], str] = lambda evaluation: ""

    def drawing(self, name: str, material: Material) -> Drawing:
        """Draw it; raises MissingPart with the reason where it cannot be drawn."""
        caption = self.caption(material)
        evaluation = material.evaluation
        alt = f"{self.shows.format(patches_of(evaluation))} {caption} {self.reads(evaluation)}"
        if name not in material.drawings:
            material.drawings[name] = drawn(
                name, lambda path: self.draw(path, material), alt=alt.strip()
            )
        return Drawing(self.title, material.drawings[name], caption, MEANINGS[name])


def _area(material: Material, key: str, name: str) -> str:
    evaluation, _ = material.evaluation, material.curves
    figure = evaluation.figure(key)
    if figure.value is not None:
        return f"{name} {in_words(figure)}."
    why = evaluation.undefined.get(key, "")
    missing = "not defined" if why or key in evaluation.figures() else "not recorded"
    return f"{name} is {missing}{': ' + why if why else ''}."


def _precision_recall(material: Material) -> str:
    caption, chance = _area(material, "average_precision", "Average precision"), ""
    evaluation = material.evaluation
    if known(evaluation.prevalence) and evaluation.figure("average_precision").value is not None:
        chance = f" Guessing would give {number(evaluation.prevalence)}, the share of positives."
    return caption + chance


def _at_threshold(*names: str) -> Callable[[Evaluation], str]:
    """Figures at the threshold, in words; "" where one of them is not defined."""

    def words(evaluation: Evaluation) -> str:
        values = [evaluation.figure(name).value for name in names]
        if None in values or evaluation.figure("specificity").value is None:
            return ""
        pairs = zip(names, values, strict=True)
        listed = " and ".join(f"{name} {number(value)}" for name, value in pairs)
        return f"At the {curves.at_threshold(evaluation)}: {listed}."

    return words


def _errors(material: Material) -> str:
    evaluation, _ = material.evaluation, material.curves
    if not evaluation.confusion:
        return "No errors are counted: the evaluation has no confusion matrix."
    negative, positive = evaluation.confusion
    return (
        f"At the {curves.at_threshold(evaluation)}, {positive[0]:,} of {sum(positive):,} positive "
        f"patches are below it and {negative[1]:,} of {sum(negative):,} negative ones are above."
    )


def _needed(section: T | None, what: str, values: Callable[[T], object], otherwise: str = "") -> T:
    """A section; raises MissingPart where it is missing, or has no values and a reason for that."""
    if section is None:
        raise MissingPart(
            f"This evaluation has no part that {what}; evaluate the run again with this version."
        )
    if not values(section) and (why := section.note or otherwise):
        raise MissingPart(sentence(why))
    return section


def _calibration(material: Material) -> Calibration:
    what = "measures how far probabilities can be believed"
    return _needed(material.evaluation.calibration, what, lambda each: each.methods)


def _decision_curve(material: Material) -> DecisionCurve:
    curve, _ = material.evaluation.decision_curve, material.curves
    return _needed(curve, "shows where acting on the model helps", lambda each: each.model)


def _referral(material: Material) -> Referral:
    what, none = "tells when to hand a patch to a person", "There is no risk-coverage curve"
    return _needed(material.evaluation.referral, what, lambda each: each.curve.coverage, none)


#: By name in the page, in the order of the report.
CURVES = {
    "roc": Chart(
        "ROC curve",
        "ROC curve of {}: sensitivity against false positive rate.",
        lambda material: _area(material, "auroc", "AUROC"),
        lambda path, m: curves.roc_figure(path, m.evaluation, m.curves.for_page()),
        _at_threshold("sensitivity", "specificity"),
    ),
    "precision-recall": Chart(
        "Precision and recall",
        "Precision-recall curve of {}.",
        _precision_recall,
        lambda path, m: curves.precision_recall_figure(path, m.evaluation, m.curves.for_page()),
        _at_threshold("sensitivity", "precision"),
    ),
    "reliability": Chart(
        "Reliability",
        "Reliability diagram of {}: the share that is positive (of more than two classes, called "
        "right) against probability.",
        lambda material: calibration_sentence(_calibration(material)),
        lambda path, m: trust.reliability_figure(
            path, _calibration(m), classes=len(m.evaluation.classes)
        ),
    ),
    "decision-curve": Chart(
        "Decision curve",
        "Decision curve of {}: net benefit of the model, of acting on every patch and of acting "
        "on none.",
        lambda material: _useful(_decision_curve(material)),
        lambda path, m: trust.decision_curve_figure(path, _decision_curve(m)),
    ),
    "risk-coverage": Chart(
        "Risk and coverage",
        "Risk-coverage curve of {}.",
        lambda material: _risks(_referral(material).curve),
        lambda path, m: trust.risk_coverage_figure(path, _referral(m)),
    ),
    "probabilities": Chart(
        "Probability by true class",
        "Histogram of the probability of {}, by true class.",
        _errors,
        lambda path, m: figures.probability_histogram(path, m.evaluation, m.curves),
    ),
}


def training(material: Material) -> Drawing:
    """Losses and validation figures by epoch; raises MissingPart where they are not recorded."""
    rows = material.metrics
    if not rows:
        missing = "The run has no metrics.jsonl, so its course is unknown."
        raise MissingPart(material.missing.get("metrics.jsonl", missing))
    along = "epoch" if "epoch" in rows[0] else "choice tried"
    chart = Chart(
        f"Loss, and validation figures, by {along}",
        "Training curves.",
        lambda material: training_sentence(rows),
        lambda path, material: curves.training_curves(path, rows),
    )
    return chart.drawing("training", material)


def training_sentence(rows: list[dict[str, Any]]) -> str:
    """The course of training, or the choice of a probe's head, in a sentence or two."""
    if tried := next((key for key in ("strength", "neighbors") if key in rows[0]), None):
        best = min(rows, key=lambda row: float(row["val_loss"]))
        return (
            f"Of {count(len(rows), 'choice')} of {tried}, from {rows[0][tried]:g} to "
            f"{rows[-1][tried]:g}, {best[tried]:g} has the lowest log loss, "
            f"{number(best['val_loss'])}"
        ) + (f", with an AUROC of {number(best['val_auroc'])}." if "val_auroc" in best else ".")
    last = rows[-1]
    text = count(last.get("epoch", len(rows)), "epoch")
    if known(last.get("seconds")):
        text += f" in {last['seconds']:,.0f} s of training"
    text += f"; the training loss went from {number(rows[0].get('loss'))} to "
    text += f"{number(last.get('loss'))}."
    scored = [row for row in rows if known(row.get("val_auroc"))]
    if not scored:
        return text
    best = max(scored, key=lambda row: row["val_auroc"])
    text += f" Validation AUROC ended at {number(scored[-1]['val_auroc'])}"
    if best is scored[-1]:
        return f"{text}."
    highest = f"{number(best['val_auroc'])} after epoch {best.get('epoch')}"
    return f"{text}, its highest being {highest}."


def calibration_sentence(calibration: Calibration) -> str:
    """Calibration error before and after, in a sentence."""
    if calibration.note:
        return sentence(calibration.note)
    methods = calibration.methods
    before, after = (
        methods[name].ece if name in methods else Figure() for name in ("before", "temperature")
    )
    if after.value is None:
        why = next((each.note for each in methods.values() if each.note), "")
        return sentence(why) or "The calibration error is not defined."
    text = f"Expected calibration error {in_words(after)}"
    if before.value is not None:
        text += f" after temperature scaling, {in_words(before)} before"
    if calibration.temperature is not None:
        text += f"; the temperature is {number(calibration.temperature, 2)}"
    return f"{text}."


def _useful(curve: DecisionCurve) -> str:
    if curve.sentence:
        return sentence(curve.sentence)
    if "useful" not in curve.model_fields_set:
        return "Where acting on the model helps is not recorded."
    if not curve.useful:
        return "At no threshold is the model better than acting on every patch or on none."
    ranges = " and ".join(f"{percent(a, 0)} to {percent(b, 0)}" for a, b in curve.useful)
    return f"The model helps where one would act from a probability of {ranges}."


def _risks(curve: RiskCurve) -> str:
    both = zip(curve.coverage, curve.risk, strict=False)
    pairs = sorted((c, r) for c, r in both if c is not None and r is not None)
    if not pairs:
        return "The risk is not defined."
    half = min(pairs, key=lambda pair: abs(pair[0] - 0.5))
    most = "all patches" if pairs[-1][0] > 0.999 else f"{percent(pairs[-1][0], 0)} of the patches"
    return (
        f"Answering {most}, {percent(pairs[-1][1])} are wrong; answering the surest "
        f"{percent(half[0], 0)}, {percent(half[1])}."
    )
