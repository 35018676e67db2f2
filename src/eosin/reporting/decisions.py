"""The section of decisions: operating points, what they mean, and when to refer to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.reporting.blocks import (
    Facts,
    Heading,
    MissingPart,
    Point,
    Points,
    Section,
    Share,
    Text,
)
from eosin.reporting.material import Material
from eosin.reporting.words import (
    FIGURES,
    count,
    in_words,
    known,
    number,
    percent,
    sentence,
    span,
)

_TONES = {
    "true_positive": ("found", "hit"),
    "false_negative": ("missed", "miss"),
    "false_positive": ("false alarms", "alarm"),
    "true_negative": ("rightly negative", "calm"),
}


def operating(material: Material) -> Section:
    """Thresholds chosen on validation, applied unchanged; then the band of referral."""
    evaluation = material.evaluation
    if not material.binary:
        says = (
            f"Operating points are thresholds, which need two classes; here there are "
            f"{len(material.classes)}, and the most probable one is called."
        )
        referred = _referral(evaluation.get("referral"))
        if not referred:
            raise MissingPart(says)
        return Section("operating", "Operating points", says, referred)
    found = list(evaluation.get("operating_points") or ())
    points = [_point(one) for one in found]
    default = next((one for one in found if one.get("default")), found[0] if found else None)
    blocks: list[object] = []
    if points:
        blocks.append(Points(points))
        crossed = (evaluation.get("fitting") or {}).get("cross_fitted")
        how = (
            "each case judged by what was chosen on other cases"
            if crossed
            else "chosen beforehand on validation patches and applied unchanged"
        )
        says = (
            f"{count(len(points), 'threshold')}, {how}: what each finds, what it misses, and what "
            "it costs in false alarms."
        )
        if crossed:
            text = "The thresholds written are those that the model keeps, chosen on all cases."
            blocks.append(Text(text, quiet=True))
    else:
        cut = evaluation.get("threshold") or {}
        says = (
            f"One threshold, {number(cut.get('value'))} ({str(cut.get('rule')).replace('_', ' ')}, "
            f"chosen on {cut.get('chosen_on')}); this evaluation holds no other operating points."
        )
        blocks.append(
            Facts(
                [
                    (
                        number((evaluation.get(name) or {}).get("value")),
                        f"{FIGURES[name].lower()}, {span(evaluation.get(name)) or 'no interval'}",
                    )
                    for name in ("sensitivity", "specificity", "precision")
                ]
            )
        )
    if default and default.get("sentence"):
        text = sentence(str(default["sentence"]))
        says += f" At the default one, {text[0].lower()}{text[1:]}"
    blocks += _referral(evaluation.get("referral"))
    return Section("operating", "Operating points", says, blocks)


def _point(one: Mapping[str, Any]) -> Point:
    threshold = one.get("threshold") or {}
    figures = one.get("figures") or {}
    order = ("sensitivity", "specificity", "precision", "npv", "f1", "balanced_accuracy")
    per = one.get("per_1000") or {}
    notes = [sentence(str(text)) for text in (one.get("note"), threshold.get("note")) if text]
    notes += _missed((one.get("per_case") or {}).get("missed_positive") or {})
    label = str(one.get("label") or one.get("name") or "")
    return Point(
        title=label[:1].upper() + label[1:],
        threshold=number(threshold.get("value")),
        sentence=sentence(str(one.get("sentence") or "")),
        figures=[
            (FIGURES[name], number((figures.get(name) or {}).get("value")), span(figures.get(name)))
            for name in order
            if name in figures
        ],
        shares=[
            Share(words, float(per[key]), tone)
            for key, (words, tone) in _TONES.items()
            if known(per.get(key))
        ],
        notes=notes,
        default=bool(one.get("default")),
    )


def _missed(found: Mapping[str, Any]) -> list[str]:
    """What the median and the worst case miss; the point's own sentence counts false alarms."""
    if not known(found.get("median")):
        return []
    text = f"Positive patches missed in a case: median {found['median']:g}"
    if known(found.get("worst")):
        text += f", at worst {number(found['worst'], 0)}"
        text += f" (case {found['worst_case']})" if found.get("worst_case") else ""
    return [f"{text}."]


def _referral(found: Mapping[str, Any] | None) -> list[object]:
    if not found:
        return []
    blocks: list[object] = [Heading("Refer to a person")]
    if found.get("sentence"):
        blocks.append(Text(sentence(str(found["sentence"]))))
    band, achieved = found.get("band"), found.get("achieved") or {}
    facts = []
    if not band:
        # Nothing is promised, and nothing is referred: the numbers would say otherwise.
        return blocks
    if known(band.get("low")):
        facts.append(
            (f"{number(band.get('low'), 2)} to {number(band.get('high'), 2)}",
             "probability inside which the model refers")
        )  # fmt: skip
    else:
        below = number(band.get("high"), 2)
        facts.append((f"below {below}", "largest probability at which the model refers"))
    if known(found.get("level")):
        sure = percent(found.get("confidence"), 0)
        facts.append((percent(found["level"], 0), f"error promised at most, at {sure} confidence"))
    error, coverage = achieved.get("error") or {}, achieved.get("coverage") or {}
    if known(error.get("value")):
        held = {True: "kept", False: "not kept"}.get(achieved.get("held"), "not decided")  # type: ignore[arg-type]
        facts.append((percent(error["value"]), f"error found here: the promise is {held}"))
    if known(coverage.get("value")):
        facts.append((percent(coverage["value"]), "of the patches are answered"))
    if facts:
        blocks.append(Facts(facts))
    if known(error.get("value")):
        blocks.append(
            Text(
                f"Error among answered patches {in_words(error)}, share answered "
                f"{in_words(coverage)}, on {count(achieved.get('patches'), 'patch', 'patches')} of "
                f"{count(achieved.get('cases'), 'case')}.",
                quiet=True,
            )
        )
    blocks += [
        Text(sentence(str(found[key])), quiet=True)
        for key in ("assumption", "note")
        if found.get(key)
    ]
    return blocks
