"""The verdict: what the figures allow to be said, in one sentence with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eosin.reporting.words import BASELINES, count, known, number, percent, sentence, span

#: Below so many cases a figure says little about other cases.
FEW_CASES = 10


@dataclass(frozen=True)
class Caution:
    """Something that must be known before a figure is quoted."""

    head: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What stands at the top of the report."""

    #: "AUROC", or "AUROC, mean of 9 classes".
    name: str
    #: "0.963", or "" where the figure is not defined.
    value: str
    #: "0.950 to 0.974", or "".
    interval: str
    #: What the interval is: "95 % interval over 29 cases", or why there is none.
    basis: str
    sentence: str
    cautions: tuple[Caution, ...]
    #: Whether nothing but its interval stands between a reader and the figure.
    sound: bool


def verdict(
    evaluation: Mapping[str, Any], *, diagnoses: Sequence[Mapping[str, Any]] = ()
) -> Verdict:
    """Judge an evaluation; never raises for one that is thin, old or degenerate.

    evaluation: the content of evaluation.json; diagnoses: those of model.json.

    >>> auroc = {"value": 0.963, "low": 0.95, "high": 0.974}
    >>> verdict({"auroc": auroc, "n_cases": 29, "part": "test"}).sentence[:64]
    'On 29 cases that training never saw, the model ranks a positive '
    """
    key = "macro_auroc" if "macro_auroc" in evaluation else "auroc"
    figure = evaluation.get(key) or {}
    classes = [str(name) for name in evaluation.get("classes") or ("negative", "positive")]
    cautions = _cautions(evaluation, diagnoses)
    heads = {caution.head for caution in cautions}
    return Verdict(
        name="AUROC" if key == "auroc" else f"AUROC, mean of {len(classes)} classes",
        value=number(figure.get("value")) if known(figure.get("value")) else "",
        interval=span(figure),
        basis=_basis(evaluation, figure),
        sentence=_sentence(evaluation, key, figure, classes, heads),
        cautions=cautions,
        sound=not heads,
    )


LEAK, MADE_UP, DEAD, FEW, NO_TEST, SEEN, ONE_CLASS = (
    "The split leaks",
    "Made-up data",
    "The network has learned nothing",
    "Too few cases",
    "No test cases",
    "Seen in training",
    "Not defined",
)


def _cautions(
    evaluation: Mapping[str, Any], diagnoses: Sequence[Mapping[str, Any]]
) -> tuple[Caution, ...]:
    """The gravest first; every mark is there."""
    dead = [str(found.get("sentence", "")) for found in diagnoses]
    found: dict[str, Caution] = {}
    for mark in map(str, evaluation.get("marks") or ()):
        head, text = _head(mark, dead), mark
        # The heading says these words already.
        for beginning in ("leak: ", "made-up data: ", "seen in training: "):
            text = text.removeprefix(beginning)
        found[mark] = Caution(head, sentence(text))
    for text in dead:
        found.setdefault(text, Caution(DEAD, sentence(text)))
    kinds = {caution.head for caution in found.values()}
    if _leaking(evaluation) and LEAK not in kinds:
        why = "its parts share information, so every figure here is too good"
        found[LEAK] = Caution(LEAK, sentence(why))
    warnings = [str(text) for text in evaluation.get("warnings") or ()]
    constant = next((text for text in warnings if "the model does not look" in text), "")
    if constant and DEAD not in kinds:
        found[DEAD] = Caution(DEAD, constant)
    cases = evaluation.get("n_cases")
    if known(cases) and 0 < int(cases or 0) < FEW_CASES:
        text = f"Only {count(cases, 'case')}: the figures say little about other cases."
        found[FEW] = Caution(FEW, text)
    if evaluation.get("part") == "val" and NO_TEST not in kinds:
        found[NO_TEST] = Caution(NO_TEST, "The figures are those of the validation part.")
    order = (MADE_UP, LEAK, SEEN, DEAD, FEW, NO_TEST)
    rank = {head: at for at, head in enumerate(order)}
    return tuple(sorted(found.values(), key=lambda caution: rank.get(caution.head, len(order))))


def _head(mark: str, dead: Sequence[str]) -> str:
    """The kind of a mark; the marks themselves are sentences written elsewhere."""
    if mark in dead:
        return DEAD
    beginnings = (
        ("leak", LEAK),
        ("patch-random", LEAK),
        ("made-up", MADE_UP),
        ("the split has no test", NO_TEST),
        ("seen in training", SEEN),
        ("no weight changed", DEAD),
        ("constant predictions", DEAD),
    )
    return next((head for start, head in beginnings if mark.lower().startswith(start)), "Note")


def _leaking(evaluation: Mapping[str, Any]) -> bool:
    return evaluation.get("split") == "patch" or bool(
        (evaluation.get("audit") or {}).get("leaking")
    )


def _basis(evaluation: Mapping[str, Any], figure: Mapping[str, Any]) -> str:
    how = evaluation.get("intervals") or {}
    if not span(figure):
        note = (how.get("notes") or {}).get("auroc", "")
        return f"no interval: {note}" if note else "no interval"
    over = "patches" if "patches" in str(how.get("method", "")) else "cases"
    units = how.get("units", evaluation.get("n_cases"))
    among = count(units, over[:-2] if over == "patches" else "case", over) if units else over
    cases = evaluation.get("n_cases")
    if over == "cases" and isinstance(units, int) and isinstance(cases, int) and units > cases:
        # A patch of unknown case is drawn alone; it is not a case.
        alone = count(units - cases, "patch", "patches")
        among = f"{count(cases, 'case')} and {alone} of unknown case"
    return f"{percent(how.get('level', 0.95), 0)} interval over {among}"


def _sentence(
    evaluation: Mapping[str, Any],
    key: str,
    figure: Mapping[str, Any],
    classes: Sequence[str],
    heads: set[str],
) -> str:
    value = figure.get("value")
    if not known(value):
        reason = str((evaluation.get("undefined") or {}).get(key) or "it is not in evaluation.json")
        return f"There is no verdict, because the AUROC is not defined: {sentence(reason)}"
    said = f"{_whose(evaluation, heads)}, {_ranks(evaluation, key, figure, classes)}"
    if DEAD in heads:
        why = f"{said}. But the network has learned nothing, so this is not a result of training."
        return sentence(why)
    if MADE_UP in heads:
        return sentence(f"{said}. The data are drawn by a program, so this says nothing of tissue")
    if LEAK in heads or SEEN in heads:
        why = "the parts of the split share" if LEAK in heads else "the model has been shown"
        return sentence(f"{said}. This is too good, because {why} some of what is measured here")
    return sentence(said + _against(evaluation, key, figure))


def _whose(evaluation: Mapping[str, Any], heads: set[str]) -> str:
    cases, patches = (
        evaluation.get("n_cases"),
        count(evaluation.get("n_patches"), "patch", "patches"),
    )
    part = evaluation.get("part")
    if not known(cases) or not cases:
        who = f"{patches} whose cases are unknown"
    else:
        who = ("only " if FEW in heads else "") + count(
            cases, "validation case" if part == "val" else "case"
        )
    if MADE_UP in heads and known(cases) and cases:
        who = who.replace("case", "made-up case", 1)
    if LEAK in heads:
        return f"On {who} of a split that leaks"
    if SEEN in heads:
        return f"On {who}, some of which training saw"
    if part == "val":
        return f"On {who} (the split has no test cases)"
    return f"On {who} that training never saw"


def _ranks(
    evaluation: Mapping[str, Any], key: str, figure: Mapping[str, Any], classes: Sequence[str]
) -> str:
    interval = span(figure)
    over = "patches" if "patches" in str((evaluation.get("intervals") or {}).get("method")) else ""
    over = over or "cases"
    bounds = f", 95 % interval over {over} {interval}" if interval else ", without an interval"
    if key == "macro_auroc":
        right = (evaluation.get("accuracy") or {}).get("value")
        also = (
            f"the model names the right class of {percent(right)} of the patches; "
            if known(right)
            else ""
        )
        return (
            f"{also}its mean AUROC over {len(classes)} classes is {number(figure['value'])}{bounds}"
        )
    pair = (
        "a positive patch above a negative one"
        if tuple(classes) == ("negative", "positive")
        else f"a patch of “{classes[-1]}” above one of “{classes[0]}”"
    )
    brackets = f"(AUROC {number(figure['value'])}{bounds})"
    return f"the model ranks {pair} {percent(figure['value'])} of the time {brackets}"


def _against(evaluation: Mapping[str, Any], key: str, figure: Mapping[str, Any]) -> str:
    """How the best simple baseline does, and whether the interval reaches it."""
    others = {
        name: row[key]["value"]
        for name, row in (evaluation.get("baselines") or {}).items()
        if known((row.get(key) or {}).get("value"))
    }
    if not others:
        return "; no simple baseline was fitted beside it"
    best = max(others, key=lambda name: others[name])
    named, theirs = BASELINES.get(best, best.replace("_", " ")), others[best]
    if figure["value"] <= theirs:
        return (
            f"; a simple baseline, {named}, reaches {number(theirs)}: "
            "the network is not better than that"
        )
    if known(figure.get("low")) and figure["low"] <= theirs:
        return (
            f"; the best simple baseline, {named}, reaches {number(theirs)}, "
            "which is still inside this interval"
        )
    return f"; the best simple baseline, {named}, reaches {number(theirs)}"
