"""Known limits of a model, derived from what its run recorded; only those that apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.reporting.words import count, known, sentence

Facts = Mapping[str, Any]

#: Below so many cases a figure says little, and below so many it is still coarse.
VERY_FEW, FEW = 10, 50


def known_limits(evaluation: Facts, model: Facts, environment: Facts) -> list[str]:
    """Sentences, the gravest first; arguments as for ``card.model_card``.

    >>> found = known_limits({"n_cases": 4, "part": "test", "split": "case"}, {}, {})
    >>> found[0]
    'Measured on 4 cases only: the figures say little about other cases.'
    """
    store = environment.get("store") or {}
    scheme = str(evaluation.get("split") or model.get("split_scheme") or "")
    elsewhere = evaluation.get("part") == "all"
    # The audit of a run's own split says nothing about another store.
    audit = evaluation.get("audit") or ({} if elsewhere else environment.get("audit")) or {}
    made_up = bool(model.get("made_up")) or store.get("layout") == "made-up"
    said: list[str] = []
    if made_up:
        said.append("The data are made up by a program: no figure says anything about tissue.")
    if (model.get("leaking") and not elsewhere) or audit.get("leaking"):
        said.append("The split leaks between its parts, so the figures are too good.")
    if scheme == "patch":
        said.append(
            "Patches of one case stand on both sides of the split, so the figures are too good."
        )
    said += [
        sentence(str(each.get("sentence", "")))
        for each in model.get("diagnoses") or []
        if each.get("sentence")
    ]
    said += _measured(evaluation)
    if not made_up:
        said += _source(evaluation, store, audit, scheme)
    if not known(model.get("mpp")):
        said.append("The resolution of the patches is not recorded.")
    # Without a band the threshold answers everything, whatever the section holds.
    if evaluation and not (evaluation.get("referral") or {}).get("band"):
        said.append("It never refers a patch to a person: doubtful ones get a class as well.")
    held = ((evaluation.get("referral") or {}).get("achieved") or {}).get("held")
    if held is False:
        said.append("The promised error among its own decisions did not hold on the measured part.")
    suspects = (evaluation.get("suspects") or {}).get("total")
    if known(suspects) and suspects:
        said.append(
            f"{count(suspects, 'label')} of the data may be wrong; they were neither changed nor "
            "left out."
        )
    return list(dict.fromkeys(said))


def _measured(evaluation: Facts) -> list[str]:
    if not evaluation:
        return ["It has not been evaluated: nothing is known about its errors."]
    said = []
    cases = evaluation.get("n_cases")
    if not known(cases):
        said.append(
            "The cases of the patches are unknown: figures may be of cases that were trained on, "
            "and the intervals are too narrow."
        )
    elif int(cases) < VERY_FEW:  # type: ignore[arg-type]
        only = count(cases, "case")
        said.append(f"Measured on {only} only: the figures say little about other cases.")
    elif int(cases) < FEW:  # type: ignore[arg-type]
        only = count(cases, "case")
        said.append(f"Measured on {only}: the intervals are wide, and rare tissue may be missing.")
    if evaluation.get("part") == "val":
        said.append(
            "There is no test part: the figures are of the validation part, on which thresholds "
            "were chosen, so they are somewhat too good."
        )
    elif evaluation.get("part") == "test":
        said.append("Measured on cases of the data that it was made from, on none from elsewhere.")
    return said


def _source(evaluation: Facts, store: Facts, audit: Facts, scheme: str) -> list[str]:
    said = []
    if store.get("layout") == "idc":
        said += [
            "All cases come from one archive: how it does with other hospitals, stains and "
            "scanners is not known.",
            "Labels come from outlines drawn by hand at low magnification: patches at the rim of "
            "a tumor can be labeled wrongly, and tissue inside the outline is not all tumor.",
        ]
    elif evaluation:
        said.append(
            "How it does with other hospitals, stains and scanners than those of its data is not "
            "known."
        )
    seen = any(str(mark).startswith("seen in") for mark in evaluation.get("marks") or ())
    # A list of the user's own keeps cases apart only where an audit has said so.
    apart = scheme not in ("patch", "given", "file") or (bool(audit) and scheme != "patch")
    if known(evaluation.get("n_cases")) and apart and not audit.get("leaking") and not seen:
        said.append(
            "What was trained on and what was measured share no case, but nothing ties a case to a "
            "patient: two cases of one patient may be on both sides."
        )
    said += [
        sentence(str(each.get("sentence", "")))
        for each in audit.get("findings") or []
        if each.get("kind") == "consecutive-cases"
    ]
    if evaluation:
        said.append(
            "There are no figures by age, grade, stain or scanner: the data name none of them."
        )
    return said
