"""Several runs as one classifier, saved as an ordinary run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import Recipe, make_recipe
from eosin.errors import LeakError, RunError, UserError
from eosin.folders import check_target
from eosin.models.classifier import Classifier, load_classifier
from eosin.models.ensemble import OF_A_MEMBER
from eosin.records.origin import Member, Origin
from eosin.records.weights import weights_digest
from eosin.refining.derived import finished_session, write_derived
from eosin.runs import RunFolder
from eosin.training.origin import refuse_seen
from eosin.training.session import Session


def ensemble(
    paths: Sequence[Path],
    output: str | os.PathLike[str],
    *,
    store: str | None = None,
    allow_leaks: bool = False,
    force: bool = False,
) -> RunFolder:
    """Make one run of several: its answer is the mean of their probabilities.

    paths: two or more finished runs of the same store, split and classes; store: where their store
    is now, by default where it was. The members keep the temperature that they have: each counts
    with the probabilities it gives alone, and the ensemble gets a temperature of its own when it is
    evaluated. Nothing is trained.
    Raises UserError for fewer than two runs, the same one twice, or the output among them; RunError
    for a run that is unfinished, is itself an ensemble or differs in store, split or classes;
    LeakError where a member has seen what the ensemble is measured on, unless ``allow_leaks``.
    """
    if len(paths) < 2:
        raise UserError("give at least two runs: eosin ensemble RUN RUN -o RUN")
    inputs = {f"member {number}": path for number, path in enumerate(paths, 1)}
    check_target(Path(output), "run", force=force, inputs=inputs)
    sessions = [finished_session(path, store, "a member of an ensemble") for path in paths]
    models = [load_classifier(path) for path in paths]
    for path, (_, facts) in zip(paths, models, strict=True):
        if facts.architecture == "ensemble":
            names = " ".join(each.path for each in facts.start.members) if facts.start else ""
            raise RunError(f"{path} is an ensemble itself; use its members instead: {names}")
    _refuse_twins(paths)
    _same_ground(paths, sessions, [model for model, _ in models])
    first = sessions[0]
    seen = [
        texts
        for path, session in zip(paths, sessions, strict=True)
        for texts in refuse_seen("the member", RunFolder(path), session.store, first.parts)
    ]
    if seen and not allow_leaks:
        raise LeakError(
            f"{'; '.join(seen)}: figures of the ensemble there would be too good. Leave that run "
            "out, or add --allow-leaks to join it anyway and mark every output"
        )
    members = [
        Member.of(
            path,
            recipe=session.recipe.model_dump(),
            parameters=facts.parameters,
            temperature=facts.temperature,
        )
        for path, session, (_, facts) in zip(paths, sessions, models, strict=True)
    ]
    times = [facts.train_seconds for _, facts in models]
    return write_derived(
        output,
        joined([model for model, _ in models]),
        _recipe(paths, sessions),
        first,
        start=Origin(kind="ensemble", members=tuple(members)),
        parents=[session.run for session in sessions],
        marks=list(dict.fromkeys([*(m for s in sessions for m in s.marks), *seen])),
        facts={
            "train_seconds": sum(t for t in times if t is not None),
            "machine": "; ".join(dict.fromkeys(f.machine for _, f in models)),
            "diagnoses": [
                each.changed(sentence=f"member {path.name}: {each.sentence}", dead=False)
                for path, (_, facts) in zip(paths, models, strict=True)
                for each in facts.diagnoses
            ],
        },
        inputs=inputs,
        force=force,
    )


def joined(models: Sequence[Classifier]) -> Classifier:
    """One classifier whose probabilities are the mean of those of the given ones.

    Their classes and patch sizes are equal; their weights are copied.

    >>> one = Classifier.build("compact", classes=["n", "p"], patch_size=(50, 50))
    >>> joined([one, one]).architecture
    'ensemble'
    """
    first = models[0]
    described = [
        {**vars(model.facts()), "temperature": float(model.temperature)} for model in models
    ]
    made = Classifier.build(
        "ensemble",
        classes=first.classes,
        patch_size=first.patch_size,
        arguments={"members": [{key: each[key] for key in OF_A_MEMBER} for each in described]},
    )
    made.network.load_state_dict(
        {
            f"members.{place}.network.{name}": value
            for place, model in enumerate(models)
            for name, value in model.network.state_dict().items()
        }
    )
    return made.eval()


def _refuse_twins(paths: Sequence[Path]) -> None:
    """The same weights twice would count double and look like agreement."""
    result: dict[str, Path] = {}
    for path in paths:
        digest = weights_digest(path)
        if digest in result:
            raise UserError(
                f"{path} and {result[digest]} have the same weights; train another seed with: "
                "eosin train STORE --set seed=1 -o RUN"
            )
        result[digest] = path


def _same_ground(
    paths: Sequence[Path], sessions: Sequence[Session], models: Sequence[Classifier]
) -> None:
    first = sessions[0]
    for path, session, model in zip(paths[1:], sessions[1:], models[1:], strict=True):
        if model.classes != models[0].classes:
            raise RunError(
                f"{path} has the classes {', '.join(model.classes)}, {paths[0]} "
                f"{', '.join(models[0].classes)}; members must have the same"
            )
        if session.store.digest != first.store.digest:
            raise RunError(
                f"{path} was made from store {session.store.digest[:12]}, {paths[0]} from "
                f"{first.store.digest[:12]}; members must share their store"
            )
        for part, rows in first.parts.items():
            if not np.array_equal(rows, session.parts[part]):
                raise RunError(
                    f"{path} has another {part} part than {paths[0]}; members must share their "
                    "split, so that none has learned from what another is measured on"
                )


def _recipe(paths: Sequence[Path], sessions: Sequence[Session]) -> Recipe:
    """What all members agree on; where they differ, the default. All of them: environment.json."""
    values = [session.recipe.model_dump() for session in sessions]
    default = make_recipe({}).model_dump()
    shared: dict[str, Any] = {
        key: value if all(each[key] == value for each in values) else default[key]
        for key, value in values[0].items()
    }
    shared |= {
        "name": "ensemble",
        "about": f"Mean answer of {len(paths)} runs: {', '.join(p.name for p in paths)}.",
        "network": "ensemble",
        "arguments": {"members": [str(path.resolve()) for path in paths]},
        "normalize": "none",
        "test_time": "none",
        "loss": "cross_entropy",
    }
    return make_recipe(shared, origin="the ensemble's recipe")
