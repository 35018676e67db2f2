"""Known limits of a model, derived from what its run recorded; only those that apply."""

from __future__ import annotations

from collections.abc import Iterator

from eosin.records.environment import RunEnvironment
from eosin.records.evaluation import Audit, Evaluation
from eosin.records.model import ModelFacts
from eosin.reporting.words import count, sentence

#: Below so many cases a figure says little, and below so many it is still coarse.
VERY_FEW, FEW = 10, 50


def known_limits(
    evaluation: Evaluation, model: ModelFacts | None, environment: RunEnvironment
) -> list[str]:
    """Sentences, the most serious first.

    >>> few = Evaluation(n_cases=4, part="test", split="case")
    >>> known_limits(few, None, RunEnvironment())[0]
    'Measured on 4 cases only: the figures say little about other cases.'
    """
    return list(dict.fromkeys(_limits(evaluation, model, environment)))


def _limits(
    evaluation: Evaluation, model: ModelFacts | None, environment: RunEnvironment
) -> Iterator[str]:
    elsewhere = evaluation.part == "all"
    scheme = evaluation.split or (not elsewhere and model and model.split_scheme) or ""
    # The audit of a run's own split tells nothing about another store.
    audit = evaluation.audit or (None if elsewhere else environment.audit)
    leaking = bool(audit and audit.leaking)
    made_up = bool(model and model.made_up) or environment.store.layout == "made-up"
    if made_up:
        yield "The data are made up by a program: no figure says anything about tissue."
    if leaking or (model and model.leaking and not elsewhere):
        yield "The split leaks between its parts, so the figures are too good."
    if scheme == "patch":
        yield "Patches of one case are on both sides of the split, so the figures are too good."
    yield from (sentence(each.sentence) for each in (model.diagnoses if model else ()))
    yield from _measured(evaluation)
    if not made_up:
        yield from _source(evaluation, environment.store.layout, audit)
    if model and model.mpp is None:
        yield "The resolution of the patches is not recorded."
    referral, suspects = evaluation.referral, evaluation.suspects
    if refers(evaluation, model) is False:
        yield "It never refers a patch to a person: doubtful ones get a class as well."
    elif referral and referral.achieved.held is False:
        yield "The promised error among its own decisions did not hold on the measured part."
    if suspects and suspects.total:
        labels = count(suspects.total, "label")
        yield f"{labels} of the data may be wrong; they were neither changed nor left out."


def refers(evaluation: Evaluation, model: ModelFacts | None) -> bool | None:
    """Whether the model has a refer band; None where nothing that is recorded tells."""
    if evaluation.decided is not None and "band" in evaluation.decided.model_fields_set:
        return evaluation.decided.band is not None
    if evaluation.referral is not None and "band" in evaluation.referral.model_fields_set:
        return evaluation.referral.band is not None
    return bool(model.decision().point.band) if model else None


def _measured(evaluation: Evaluation) -> Iterator[str]:
    cases = evaluation.n_cases
    if evaluation.caseless and cases:
        alone = count(evaluation.caseless, "patch", "patches")
        yield f"The case of {alone} is unknown: they may be of cases that were trained on."
    if cases is None:
        yield (
            "The cases of the patches are unknown: figures may be of cases that were trained on, "
            "and the intervals are too narrow."
        )
    elif cases < VERY_FEW:
        only = count(cases, "case")
        yield f"Measured on {only} only: the figures say little about other cases."
    elif cases < FEW:
        only = count(cases, "case")
        yield f"Measured on {only}: the intervals are wide, and rare tissue may be missing."
    cut = evaluation.threshold
    if evaluation.part == "val":
        on = "on which thresholds were chosen" if cut and cut.chosen_on == "validation" else ""
        part = ", ".join(filter(None, ["the figures are of the validation part", on]))
        yield f"There is no test part: {part}, so they are somewhat too good."
    elif evaluation.part == "test":
        yield "Measured on cases of the data that it was made from, on none from elsewhere."


def _source(evaluation: Evaluation, layout: str, audit: Audit | None) -> Iterator[str]:
    if layout == "idc":
        which = "cases that it was made from" if evaluation.part == "all" else "cases"
        yield (
            f"All {which} come from one archive: how it does with other hospitals, stains and "
            "scanners is not known."
        )
        yield (
            "Labels come from outlines drawn by hand at low magnification: patches at the rim of "
            "a tumor can be labeled wrongly, and tissue inside the outline is not all tumor."
        )
    else:
        yield (
            "How it does with other hospitals, stains and scanners than those of its data is not "
            "known."
        )
    # A list of the user's own keeps cases apart only where an audit has checked it.
    own = evaluation.split in ("given", "file") and (audit is None or not audit.clean)
    if evaluation.apart and not own and not (audit and audit.leaking):
        yield (
            "What was trained on and what was measured share no case, but nothing ties a case to a "
            "patient: two cases of one patient may be on both sides."
        )
    for each in audit.findings if audit else ():
        if each.kind == "consecutive-cases":
            yield sentence(each.sentence)
    yield "There are no figures by age, grade, stain or scanner: the data name none of them."
