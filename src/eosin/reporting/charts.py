"""The figures of the report, each with its text alternative, its caption and what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eosin.evaluation import metrics as numbers
from eosin.figures import charts as figures
from eosin.figures import curves
from eosin.reporting.blocks import Drawing, MissingPart
from eosin.reporting.inline import drawn, thinned
from eosin.reporting.material import Material
from eosin.reporting.words import count, in_words, known, number, percent, sentence

MEANINGS = {
    "roc": "A threshold turns probabilities into answers. A low one finds every positive patch and "
    "raises many false alarms, a high one the reverse; the curve is all of these choices. The "
    "further it bends into the upper left corner, the better. The area under it, AUROC, is the "
    "chance that a positive patch drawn blindly has a higher probability than a negative one: 0.5 "
    "is guessing (the dashed line), 1 is perfect order. It does not depend on how many patches "
    "are positive, and says nothing of whether the probabilities themselves are right.",
    "precision-recall": "Of all positive patches, how many are found (recall, to the right), and "
    "of all patches that are called positive, how many are (precision, upward). The dashed line is "
    "what guessing reaches: the share of positives. The area, average precision, changes with that "
    "share; compare it only between data with the same share.",
    "probabilities": "How the model's probabilities are spread, apart for the two true classes. A "
    "good model puts them at opposite ends; what lies on the wrong side of the threshold is an "
    "error. The scale upward is logarithmic, so a tail that looks high may hold few patches.",
    "reliability": "Patches are put into groups by their probability, and each group's probability "
    "is compared with the share that truly is positive. On the diagonal a probability means what "
    "it says: of the patches with 0.8, eight in ten are positive. Below it the model is too "
    "sure of positive, above it too unsure. Calibration changes the probabilities, not their "
    "order, so AUROC stays as it is.",
    "decision-curve": "Whether it is worth acting on the model at all. The axis is the probability "
    "from which one would act, which states how many needless actions one positive is worth. The "
    "net benefit counts what is found minus what is done in vain at that exchange rate. The model "
    "is useful where it lies above both acting on every patch and acting on none (zero). After "
    "Vickers and Elkin, 2006.",
    "risk-coverage": "If the model answers only where it is surest and hands the rest to a person, "
    "how often is it wrong? To the right it answers everything, to the left only the clearest. "
    "A useful measure of certainty makes the curve fall steadily to the left.",
    "training": "Loss is what training makes smaller. Training and validation falling together is "
    "learning; validation rising while training falls is learning by heart. The training loss is "
    "measured with random changes of the patches and, here and there, softened labels, so it can "
    "lie above the validation loss.",
}


def roc(material: Material) -> Drawing:
    """The ROC curve of the measured part."""
    evaluation = _two_classes(material)
    auroc = evaluation["auroc"]
    false_rate, true_rate = thinned(*numbers.roc_points(*material.truth()))
    at = _at_threshold(evaluation)
    point = None if at is None else (1 - at["specificity"], at["sensitivity"])
    says = _defined("AUROC", auroc, evaluation, "auroc")
    alt = f"ROC curve of {_patches(evaluation)}: sensitivity against false positive rate. {says}"
    if at:
        alt += f" {_point(evaluation, at, 'sensitivity', 'specificity')}"
    return Drawing(
        "ROC curve",
        drawn(
            "roc",
            lambda path: curves.roc_curve_figure(
                path,
                false_rate,
                true_rate,
                auroc=auroc,
                point=point,
                point_name=_named(evaluation),
            ),
            alt=alt,
        ),
        says,
        MEANINGS["roc"],
    )


def precision_recall(material: Material) -> Drawing:
    """The precision-recall curve of the measured part."""
    evaluation = _two_classes(material)
    figure = evaluation["average_precision"]
    recall, precision = thinned(*numbers.precision_recall_points(*material.truth()))
    at = _at_threshold(evaluation, "precision")
    prevalence = evaluation.get("prevalence")
    says = _defined("Average precision", figure, evaluation, "average_precision")
    if known(prevalence) and known(figure.get("value")):
        says += f" Guessing would give {number(prevalence)}, the share of positive patches."
    alt = f"Precision-recall curve of {_patches(evaluation)}. {says}"
    if at:
        alt += f" {_point(evaluation, at, 'sensitivity', 'precision')}"
    return Drawing(
        "Precision and recall",
        drawn(
            "precision-recall",
            lambda path: curves.precision_recall_figure(
                path,
                recall,
                precision,
                average_precision=figure,
                prevalence=prevalence if known(prevalence) else None,
                point=None if at is None else (at["sensitivity"], at["precision"]),
                point_name=_named(evaluation),
            ),
            alt=alt,
        ),
        says,
        MEANINGS["precision-recall"],
    )


def probabilities(material: Material) -> Drawing:
    """How the probabilities are spread, by true class."""
    evaluation = _two_classes(material)
    edges, counts = numbers.score_histogram(*material.truth())
    cut = (evaluation.get("threshold") or {}).get("value")
    says = _errors(evaluation)
    return Drawing(
        "Probability by true class",
        drawn(
            "probabilities",
            lambda path: figures.probability_histogram(
                path,
                edges,
                counts,
                classes=[_short(name) for name in material.classes],
                threshold=cut if known(cut) else None,
            ),
            alt=f"Histogram of the probability of {_patches(evaluation)}, by true class. {says}",
        ),
        says,
        MEANINGS["probabilities"],
    )


def reliability(material: Material) -> Drawing:
    """The reliability diagram, before and after calibration."""
    from eosin.figures import trust

    evaluation = material.evaluation
    found = _given(evaluation, "calibration", "measures how far probabilities can be believed")
    says = calibration_sentence(found)
    share = "that is positive" if material.binary else "called right"
    return Drawing(
        "Reliability",
        drawn(
            "reliability",
            lambda path: trust.reliability_figure(
                path, found["methods"], classes=len(material.classes)
            ),
            alt=f"Reliability diagram of {_patches(evaluation)}: share {share} against "
            f"probability. {says}",
        ),
        says,
        MEANINGS["reliability"],
    )


def decision_curve(material: Material) -> Drawing:
    """The decision curve: net benefit by threshold probability."""
    from eosin.figures import trust

    evaluation = _two_classes(material)
    found = _given(evaluation, "decision_curve", "says where acting on the model helps")
    says = sentence(str(found.get("sentence") or "")) or _useful(found)
    return Drawing(
        "Decision curve",
        drawn(
            "decision-curve",
            lambda path: trust.decision_curve_figure(path, found),
            alt=f"Decision curve of {_patches(evaluation)}: net benefit of the model, of acting on "
            f"every patch and of acting on none. {says}",
        ),
        says,
        MEANINGS["decision-curve"],
    )


def risk_coverage(material: Material) -> Drawing:
    """Error among the patches that are answered, by the share that is."""
    from eosin.figures import trust

    evaluation = material.evaluation
    found = _given(evaluation, "referral", "says when to hand a patch to a person")
    curve = found.get("curve") or {}
    if not curve.get("coverage"):
        raise MissingPart(sentence(str(found.get("note") or "There is no risk-coverage curve")))
    says = _risks(curve)
    return Drawing(
        "Risk and coverage",
        drawn(
            "risk-coverage",
            lambda path: trust.risk_coverage_figure(path, found),
            alt=f"Risk-coverage curve of {_patches(evaluation)}. {says}",
        ),
        says,
        MEANINGS["risk-coverage"],
    )


def training(material: Material) -> Drawing:
    """Losses and validation figures by epoch."""
    rows = material.metrics
    if not rows:
        raise MissingPart(
            material.gone.get("metrics", "The run has no metrics.jsonl, so its course is unknown.")
        )
    says = training_sentence(rows)
    return Drawing(
        "Loss, and validation figures, by " + ("epoch" if "epoch" in rows[0] else "choice tried"),
        drawn(
            "training",
            lambda path: curves.training_curves(path, rows),
            alt=f"Training curves. {says}",
        ),
        says,
        MEANINGS["training"],
    )


#: In the order of the report.
CURVES: dict[str, tuple[str, Callable[[Material], Drawing]]] = {
    "roc": ("ROC curve", roc),
    "precision-recall": ("Precision and recall", precision_recall),
    "reliability": ("Reliability", reliability),
    "decision-curve": ("Decision curve", decision_curve),
    "risk-coverage": ("Risk and coverage", risk_coverage),
    "probabilities": ("Probability by true class", probabilities),
}


def training_sentence(rows: list[dict[str, Any]]) -> str:
    """The course of training, or the choice of a probe's head, in a sentence or two."""
    if tried := next((key for key in ("strength", "neighbors") if key in rows[0]), None):
        best = min(rows, key=lambda row: float(row["val_loss"]))
        return (
            f"Of {count(len(rows), 'choice')} of {tried}, from {rows[0][tried]:g} to "
            f"{rows[-1][tried]:g}, {best[tried]:g} has the lowest log loss, "
            f"{number(best['val_loss'])}, with an AUROC of {number(best.get('val_auroc'))}."
        )
    last = rows[-1]
    parts = [f"{count(last.get('epoch', len(rows)), 'epoch')}"]
    if known(last.get("seconds")):
        parts.append(f"{last['seconds']:,.0f} s of training")
    text = f"{' in '.join(parts)}; the training loss went from {number(rows[0].get('loss'))} to "
    text += f"{number(last.get('loss'))}."
    scored = [row for row in rows if known(row.get("val_auroc"))]
    if scored:
        best = max(scored, key=lambda row: row["val_auroc"])
        text += f" Validation AUROC ended at {number(scored[-1]['val_auroc'])}"
        text += (
            "."
            if best is scored[-1]
            else (
                f", its highest being {number(best['val_auroc'])} after epoch {best.get('epoch')}."
            )
        )
    return text


def calibration_sentence(found: Mapping[str, Any]) -> str:
    """Calibration error before and after, in a sentence."""
    if found.get("note"):
        return sentence(str(found["note"]))
    methods = found.get("methods") or {}
    before, after = (methods.get(name) or {} for name in ("before", "temperature"))
    if not known((after.get("ece") or {}).get("value")):
        why = next((str(one["note"]) for one in methods.values() if one.get("note")), "")
        return sentence(why) or "The calibration error is not defined."
    text = f"Expected calibration error {in_words(after.get('ece'))}"
    if known((before.get("ece") or {}).get("value")):
        text += f" after temperature scaling, {in_words(before['ece'])} before"
    if known(found.get("temperature")):
        text += f"; the temperature is {number(found['temperature'], 2)}"
    return f"{text}."


def _two_classes(material: Material) -> Mapping[str, Any]:
    if not material.binary:
        raise MissingPart(
            f"This figure is defined for two classes; here there are {len(material.classes)}."
        )
    return material.evaluation


def _given(evaluation: Mapping[str, Any], key: str, what: str) -> Mapping[str, Any]:
    found = evaluation.get(key)
    if not found:
        raise MissingPart(
            f"This evaluation has no part that {what}; evaluate the run again with this version."
        )
    if found.get("note") and not (found.get("methods") or found.get("model") or found.get("curve")):
        raise MissingPart(sentence(str(found["note"])))
    return dict(found)


def _patches(evaluation: Mapping[str, Any]) -> str:
    text = count(evaluation.get("n_patches"), "patch", "patches")
    cases = evaluation.get("n_cases")
    return f"{text} of {count(cases, 'case')}" if known(cases) and cases else text


def _defined(name: str, figure: Mapping[str, Any], evaluation: Mapping[str, Any], key: str) -> str:
    if known(figure.get("value")):
        return f"{name} {in_words(figure)}."
    why = (evaluation.get("undefined") or {}).get(key, "")
    return f"{name} is not defined{': ' + str(why) if why else ''}."


def _at_threshold(evaluation: Mapping[str, Any], *also: str) -> dict[str, float] | None:
    """Figures at the threshold, or None where one of them is not defined."""
    names = ("sensitivity", "specificity", *also)
    values = {name: (evaluation.get(name) or {}).get("value") for name in names}
    return values if all(map(known, values.values())) else None  # type: ignore[return-value]


def _named(evaluation: Mapping[str, Any]) -> str:
    return f"threshold {number((evaluation.get('threshold') or {}).get('value'))}"


def _point(evaluation: Mapping[str, Any], at: Mapping[str, float], *names: str) -> str:
    told = " and ".join(f"{name} {number(at[name])}" for name in names)
    return f"At the {_named(evaluation)}: {told}."


def _errors(evaluation: Mapping[str, Any]) -> str:
    matrix = evaluation.get("confusion")
    if not matrix:
        return "The probabilities are not all numbers, so nothing is counted."
    missed, alarms = matrix[1][0], matrix[0][1]
    return (
        f"At the {_named(evaluation)}, {missed:,} of {sum(matrix[1]):,} positive patches fall "
        f"below it and {alarms:,} of {sum(matrix[0]):,} negative ones above."
    )


def _useful(found: Mapping[str, Any]) -> str:
    spans = found.get("useful") or []
    if not spans:
        return "At no threshold is the model better than acting on every patch or on none."
    told = " and ".join(f"{percent(low, 0)} to {percent(high, 0)}" for low, high in spans)
    return f"The model helps where one would act from a probability of {told}."


def _risks(curve: Mapping[str, Any]) -> str:
    pairs = sorted(zip(curve["coverage"], curve["risk"], strict=True))
    pairs = [pair for pair in pairs if all(map(known, pair))]
    if not pairs:
        return "The risk is not defined."
    half = min(pairs, key=lambda pair: abs(pair[0] - 0.5))
    return (
        f"Answering all patches, {percent(pairs[-1][1])} are wrong; answering the surest "
        f"{percent(half[0], 0)}, {percent(half[1])}."
    )


def _short(name: str) -> str:
    """A class name that fits a legend; a dollar sign would begin a formula."""
    return (name if len(name) <= 18 else f"{name[:17]}…").replace("$", r"\$")


__all__ = ["CURVES", "MEANINGS", "calibration_sentence", "training", "training_sentence"]
