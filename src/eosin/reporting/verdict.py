"""The verdict: what the figures allow a reader to conclude, in one sentence with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eosin.records.evaluation import Evaluation
from eosin.records.marks import Kind
from eosin.reporting.words import (
    BASELINES,
    count,
    in_words,
    number,
    patches_of,
    percent,
    sentence,
    span,
)

#: Below so many cases a figure says little about other cases.
FEW_CASES = 10


@dataclass(frozen=True)
class Caution:
    """Something that a reader must know before quoting a figure."""

    head: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What is at the top of the report."""

    #: "AUROC", or "AUROC, mean of 9 classes" (of those that occur).
    name: str
    #: "0.963", or "" where the figure is not defined.
    value: str
    #: "0.950 to 0.974", or "".
    interval: str
    #: What the interval is: "95 % interval over 29 cases", or why there is none.
    basis: str
    sentence: str
    cautions: tuple[Caution, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing but its interval has to be known before quoting the figure."""
        return not self.cautions


LEAK, MADE_UP, DEAD, FEW, NO_TEST, SEEN, NOTE = (
    "The split leaks",
    "Made-up data",
    "The network has learned nothing",
    "Too few cases",
    "No test cases",
    "Seen in training",
    "Note",
)
_HEADS: dict[Kind, str] = {
    "made_up": MADE_UP, "leak": LEAK, "seen": SEEN, "diagnosis": DEAD, "no_test": NO_TEST,
}  # fmt: skip
#: The most serious first.
_ORDER = (MADE_UP, LEAK, SEEN, DEAD, FEW, NO_TEST, NOTE)
#: How marks begin with what their heading says already.
_TOO_GOOD = "This is too good, because"
_REPEATED = ("leak: ", "made-up data: ", "seen in training: ")


def verdict(evaluation: Evaluation, *, diagnoses: Sequence[str] = ()) -> Verdict:
    """Judge an evaluation; never raises for one that is thin, old or degenerate.

    diagnoses: what training noticed about itself, as sentences.

    >>> auroc = {"value": 0.963, "low": 0.95, "high": 0.974}
    >>> sections = {"auroc": auroc, "n_cases": 29, "part": "test", "classes": ["n", "p"]}
    >>> verdict(Evaluation.model_validate(sections)).sentence[:65]
    'On 29 cases (whether training saw them is not recorded), the mode'
    """
    cautions = _cautions(evaluation, diagnoses)
    figure = evaluation.ranking
    of = "" if evaluation.ranking_name == "auroc" else f", mean of {_classes(evaluation)}"
    return Verdict(
        name=f"AUROC{of}",
        value="" if figure.value is None else number(figure.value),
        interval=span(figure),
        basis=_basis(evaluation),
        sentence=_sentence(evaluation, {caution.head for caution in cautions}),
        cautions=cautions,
    )


def _cautions(evaluation: Evaluation, diagnoses: Sequence[str]) -> tuple[Caution, ...]:
    """Every mark, and what the figures themselves warn of."""
    cautions = {}
    for mark in evaluation.marks:
        text = mark.sentence
        for beginning in _REPEATED:
            text = text.removeprefix(beginning)
        head = DEAD if mark.sentence in diagnoses else _HEADS.get(mark.kind, NOTE)
        cautions[mark.sentence] = Caution(head, sentence(text))
    for text in diagnoses:
        cautions.setdefault(text, Caution(DEAD, sentence(text)))
    heads = {caution.head for caution in cautions.values()}
    leaking = evaluation.split == "patch" or (evaluation.audit and evaluation.audit.leaking)
    constant = next((w for w in evaluation.warnings if "the model does not look" in w), "")
    few = f"Only {count(evaluation.n_cases, 'case')}: the figures say little about other cases."
    for head, applies, text in (
        (LEAK, leaking, "Its parts share information, so every figure here is too good."),
        (DEAD, constant, constant),
        (NO_TEST, evaluation.part == "val", "The figures are those of the validation part."),
        (FEW, 0 < (evaluation.n_cases or 0) < FEW_CASES, few),
    ):
        if applies and head not in heads:
            cautions[head] = Caution(head, text)
    return tuple(sorted(cautions.values(), key=lambda caution: _ORDER.index(caution.head)))


def _basis(evaluation: Evaluation) -> str:
    how, cases = evaluation.intervals, evaluation.n_cases
    if not span(evaluation.ranking):
        note = how.notes.get(evaluation.ranking_name, "")
        return f"no interval: {note}" if note else "no interval"
    units, one = how.units, {"cases": "case", "patches": "patch"}
    if not units or not how.over:
        return how.words
    among = count(units, one[how.over], how.over)
    if how.over == "cases" and cases is not None and units > cases:
        # A patch of unknown case is drawn alone; it is not a case.
        alone = count(units - cases, "patch", "patches")
        among = f"{count(cases, 'case')} and {alone} of unknown case"
    return how.words.removesuffix(how.over) + among


def _sentence(evaluation: Evaluation, heads: set[str]) -> str:
    if evaluation.ranking.value is None:
        missing = "it is not in evaluation.json"
        reason = evaluation.undefined.get(evaluation.ranking_name, missing)
        return f"There is no verdict, because the AUROC is not defined: {sentence(reason)}"
    result = f"{_whose(evaluation, heads)}, {_ranks(evaluation)}"
    limits = {
        DEAD: "But the network has learned nothing, so this is not a result of training",
        MADE_UP: "The data are drawn by a program, so this says nothing about tissue",
        LEAK: f"{_TOO_GOOD} the parts of the split share some of what is measured here",
        SEEN: f"{_TOO_GOOD} the model has been shown some of what is measured here",
    }
    limit = next((text for head, text in limits.items() if head in heads), "")
    return sentence(f"{result}. {limit}" if limit else result + _against(evaluation))


def _whose(evaluation: Evaluation, heads: set[str]) -> str:
    cases, validation = evaluation.n_cases, evaluation.part == "val"
    who = f"{patches_of(evaluation)} whose cases are unknown"
    alone = evaluation.caseless
    if cases:
        made_up = "made-up " if MADE_UP in heads else ""
        noun = f"{made_up}{'validation ' if validation else ''}case"
        who = ("only " if FEW in heads else "") + count(cases, noun)
        who += f" and {count(alone, 'patch', 'patches')} of unknown case" if alone else ""
    if LEAK in heads:
        return f"On {who} of a split that leaks"
    if SEEN in heads:
        return f"On {who}, some of which training saw"
    if validation:
        return f"On {who} (the split has no test cases)"
    if alone:
        return f"On {who} (training may have seen them)"
    return f"On {who} " + (
        "that training never saw"
        if evaluation.apart
        else "(whether training saw them is not recorded)"
    )


def _classes(evaluation: Evaluation) -> str:
    """What a mean over classes is of: those that occur among the measured patches."""
    number_of = evaluation.ranked_classes
    return "the classes that occur" if number_of is None else count(number_of, "class", "classes")


def _ranks(evaluation: Evaluation) -> str:
    figure, classes, how = evaluation.ranking, evaluation.classes, evaluation.intervals
    bounds = f"{how.words} {span(figure)}" if span(figure) else "without an interval"
    value = f"{number(figure.value)}, {bounds}"
    if evaluation.ranking_name == "macro_auroc":
        right = evaluation.figure("accuracy").value
        also = f"the model names the right class of {percent(right)} of the patches; "
        mean = f"its mean AUROC over {_classes(evaluation)} is {value}"
        return mean if right is None else also + mean
    pair = "a positive patch above a negative one"
    if classes and classes != ("negative", "positive"):
        pair = f"a patch of “{classes[-1]}” above one of “{classes[0]}”"
    return f"the model ranks {pair} {percent(figure.value)} of the time (AUROC {value})"


def best_baseline(evaluation: Evaluation) -> tuple[str, float] | None:
    """The simple method that ranks best, in words, and its headline figure; None without one."""
    values = {
        BASELINES.get(name, name.replace("_", " ")): value
        for name, row in evaluation.baselines.items()
        if (value := row.figure(evaluation.ranking_name).value) is not None
    }
    best = max(values, key=lambda name: values[name], default="")
    return (best, values[best]) if best else None


def _against(evaluation: Evaluation) -> str:
    """How the best simple baseline does, and whether the interval reaches it."""
    best, figure = best_baseline(evaluation), evaluation.ranking
    if best is None or figure.value is None:
        return "; no simple baseline was fitted beside it"
    reaches = f"{best[0]}, reaches {number(best[1])}"
    if figure.value <= best[1]:
        return f"; a simple baseline, {reaches}: the network is not better than that"
    inside = figure.low is not None and figure.low <= best[1]
    end = ", which is still inside this interval" if inside else ""
    return f"; the best simple baseline, {reaches}{end}"


def against_simple_methods(evaluation: Evaluation) -> str:
    """The headline figure beside the best simple method, in a sentence."""
    best, figure = best_baseline(evaluation), evaluation.ranking
    if figure.value is None:
        return "The ranking figures are not defined on these patches; the rest is below."
    if best is None:
        return (
            f"The model's AUROC is {in_words(figure)}; no baseline was fitted to compare it with."
        )
    gain = figure.value - best[1]
    if gain <= 0:
        which = "a higher" if gain else "the same"
        return f"The model is not better than a simple method: {best[0]} has {which} AUROC."
    text = f"The model's AUROC is {number(gain)} above that of the best simple method, {best[0]}"
    if figure.low is None:
        return f"{text}; without an interval it is not known whether by chance."
    if figure.low <= best[1]:
        return f"{text}; the lower end of its interval is not."
    return f"{text}, and so is the lower end of its interval."
