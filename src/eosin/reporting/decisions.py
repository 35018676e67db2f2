"""Cards of decisions: operating points, when to refer to a person, and what is out of scope."""

from __future__ import annotations

from eosin.records.evaluation import Evaluation
from eosin.records.figures import Threshold, chosen
from eosin.records.points import EARLIER_NAMES, POINTS
from eosin.records.referral import RefersBetween
from eosin.records.trust import MeasuredPoint
from eosin.reporting import blocks
from eosin.reporting.blocks import Block, Card, Cell, MissingPart
from eosin.reporting.material import Material
from eosin.reporting.words import (
    FIGURES,
    count,
    in_words,
    integer,
    number,
    percent,
    sentence,
    span,
)

_SHARES = {
    "true_positive": ("found", "hit"),
    "false_negative": ("missed", "miss"),
    "false_positive": ("false alarms", "alarm"),
    "true_negative": ("rightly negative", "calm"),
}
_FIGURES = ("sensitivity", "specificity", "precision", "npv", "f1", "balanced_accuracy")
NO_BAND = "No referral band could be set: all patches are answered and no error rate is guaranteed"


def operating(material: Material) -> Card:
    """Thresholds chosen on validation, applied unchanged; then the referral band."""
    evaluation = material.evaluation
    referred = _referral(evaluation)
    name, title = "operating", "Operating points"
    if not evaluation.binary:
        lead = (
            "Operating points are thresholds, which need two classes; here there are "
            f"{len(evaluation.classes)}, and the most probable one is called."
        )
        if not referred:
            raise MissingPart(lead)
        return Card(name, title, lead, referred)
    points, deciding = evaluation.operating_points, evaluation.deciding
    parts: list[Block] = []
    if points:
        parts.append(blocks.Points([_point(point, point is deciding) for point in points]))
        if evaluation.fitting.cross_fitted:
            kept = "The thresholds written are those that the model keeps, chosen on all cases."
            parts += blocks.notes(kept)
        named = ", ".join(filter(None, [count(len(points), "threshold"), _chosen(evaluation)]))
        lead = f"{named}: what each finds, what it misses, and what it costs in false alarms."
    else:
        cut = evaluation.threshold or Threshold()
        origin = f" ({cut.origin})" if cut.origin else ""
        lead = "This evaluation has no operating points."
        if cut.value is not None:
            lead = (
                f"One threshold, {number(cut.value)}{origin}; this evaluation has no other "
                "operating points."
            )
        figures = ((FIGURES[name].lower(), evaluation.figure(name)) for name in _FIGURES[:3])
        facts = [(number(f.value), f"{name}, {span(f) or 'no interval'}") for name, f in figures]
        parts.append(blocks.Facts(facts))
    if deciding and deciding.sentence:
        text = sentence(deciding.sentence)
        lead += f" At the default one, {text[0].lower()}{text[1:]}"
    return Card(name, title, lead, [*parts, *referred])


def _chosen(evaluation: Evaluation) -> str:
    """How the thresholds of the operating points were chosen, as far as that is recorded."""
    fitting, origins = evaluation.fitting, {p.threshold.chosen_on for p in
                                            evaluation.operating_points}  # fmt: skip
    if origins != {"validation"}:
        return chosen(origins.pop()) if len(origins) == 1 else ""
    if fitting.cross_fitted:
        return "each case judged by what was chosen on other cases"
    if fitting.fitted_on and fitting.fitted_on == fitting.measured_on:
        return "chosen on the same patches, so what is measured is too good"
    if fitting.fitted_on and fitting.measured_on:
        return "chosen beforehand on validation patches and applied unchanged"
    return chosen("validation")


def _point(point: MeasuredPoint, default: bool) -> blocks.Point:
    notes = [sentence(text) for text in dict.fromkeys((point.note, point.threshold.note)) if text]
    missed = point.per_case.missed_positive
    if missed.median is not None:
        text = f"Positive patches missed in a case: median {missed.median:g}"
        if missed.worst is not None:
            text += f", at worst {number(missed.worst, 0)}"
            text += f" (case {missed.worst_case})" if missed.worst_case else ""
        notes.append(f"{text}.")
    own = point.referral
    if own and own.band:
        seen = [
            (own.coverage.value, "of the patches are answered"),
            (own.error.value, "of the answers are wrong"),
        ]
        shown = [f"{percent(share)} {what}" for share, what in seen if share is not None]
        measured = ", ".join(shown) or "not measured"
        notes.append(f"With its refer band ({_band(own.band)}): {measured}.")
    name = EARLIER_NAMES.get(point.name, point.name)
    label = point.label or POINTS.get(name, name.replace("_", " "))
    figures = point.figures.figures()
    shares = [(getattr(point.per_1000, key), *look) for key, look in _SHARES.items()]
    return blocks.Point(
        title=label[:1].upper() + label[1:],
        threshold=number(point.threshold.value),
        sentence=sentence(point.sentence),
        figures=[
            (FIGURES[name], number(figures[name].value), span(figures[name]))
            for name in _FIGURES
            if name in figures
        ],
        shares=[blocks.Share(name, n, tone) for n, name, tone in shares if n is not None],
        notes=notes,
        default=default,
    )


def _band(band: RefersBetween) -> str:
    if band.low is None:
        return f"below {number(band.high, 2)}"
    return f"{number(band.low, 2)} to {number(band.high, 2)}"


def _referral(evaluation: Evaluation) -> list[Block]:
    """When the model refers a patch to a person; nothing where no band was looked for."""
    referral = evaluation.referral
    if referral is None:
        return []
    parts: list[Block] = [blocks.Heading("Refer to a person")]
    band, achieved = referral.band, referral.achieved
    if band is None and "band" not in referral.model_fields_set:
        return [*parts, blocks.Text("The referral band of this evaluation is not recorded.")]
    if band is None:
        # No promise and no referral: numbers here would suggest one.
        why = blocks.notes(referral.note.removeprefix("no band: "))
        return [*parts, blocks.Text(sentence(NO_BAND)), *why]
    where = "largest probability at which" if band.low is None else "probability inside which"
    facts = [(_band(band), f"{where} the model refers")]
    if referral.level is not None:
        sure = referral.confidence
        at = "" if sure is None else f", at {percent(sure, 0)} confidence"
        promise = f"error promised at most{at}"
        facts.append((percent(referral.level, 0), promise))
    error, coverage = achieved.error, achieved.coverage
    if error.value is not None:
        held = {True: ": the promise is kept", False: ": the promise is not kept", None: ""}
        facts.append((percent(error.value), f"error measured here{held[achieved.held]}"))
    if coverage.value is not None:
        facts.append((percent(coverage.value), "of the patches are answered"))
    parts += [blocks.Text(sentence(referral.sentence))] if referral.sentence else []
    parts.append(blocks.Facts(facts))
    if error.value is not None:
        text = (
            f"Error among answered patches {in_words(error)}, share answered {in_words(coverage)}, "
            f"on {count(achieved.patches, 'patch', 'patches')} of {count(achieved.cases, 'case')}."
        )
        parts += blocks.notes(text)
    return [*parts, *_by_class(evaluation), *blocks.notes(referral.assumption, referral.note)]


def _by_class(evaluation: Evaluation) -> list[Block]:
    """With the band and without it, for each true class and for all patches."""
    decided, referral = evaluation.decided, evaluation.referral
    classes = (decided and decided.classes) or (referral.achieved.classes if referral else ())
    if not classes:
        return []
    wrong = evaluation.wrong_by_class()
    rows: list[list[Cell]] = [
        [row.name, f"{row.patches:,}", _rest(row.referred), percent(row.error),
         percent(wrong.get(row.name))]
        for row in classes
    ]  # fmt: skip
    if decided:
        total = integer(decided.patches or evaluation.n_patches)
        right = evaluation.figure("accuracy").value
        shown = (_rest(decided.referred), percent(decided.error), _rest(right))
        rows.append(["all patches", total, *shown])
    columns = ["truly", "patches", "answered with the band", "wrong among the answered",
               "wrong without the band"]  # fmt: skip
    return [blocks.Table("With the band and without it, for each class", columns, rows)]


def _rest(share: float | None) -> str:
    """What is left of a share, in percent."""
    return percent(None if share is None else 1 - share)


def scope(material: Material) -> Card:
    """Whether foreign input is noticed."""
    check = material.evaluation.scope
    if check is None:
        raise MissingPart(
            "This evaluation has no out-of-scope check; evaluate the run again with this version."
        )
    if not check.fitted:
        why = sentence(check.note)
        raise MissingPart(f"{why} Any picture of the right size gets a class.".strip())
    lead = "The share of measured patches out of scope is not known"
    if check.flagged is not None:
        lead = f"{percent(check.flagged)} of the measured patches are marked as out of scope"
    ranked = [(probe.auroc, probe.name) for probe in check.probes if probe.auroc is not None]
    if ranked:
        auroc, name = min(ranked, key=lambda pair: pair[0])
        lead += f"; of foreign input, the hardest to tell is {name} (AUROC {number(auroc)})"
    rows: list[list[Cell]] = [
        [(probe.name, probe.what), integer(probe.n), number(probe.auroc), percent(probe.flagged)]
        for probe in check.probes
    ]
    parts: list[Block] = []
    if rows:
        columns = ["foreign input", "patches", "AUROC against real patches", "marked"]
        parts.append(blocks.Table("What the check notices", columns, rows))
    if check.method:
        cut = check.threshold
        limit = "" if cut is None else f" The threshold is {number(cut, 2)}."
        parts += blocks.notes(f"{sentence(check.method)}{limit}")
    return Card("scope", "Out of scope", f"{lead}.", [*parts, *blocks.notes(check.note)])
