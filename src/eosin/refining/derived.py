"""A run folder whose model was made from finished runs instead of being trained in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eosin.config import Recipe
from eosin.errors import FailureError, RunError
from eosin.folders import whole_folder
from eosin.models.classifier import Classifier, save_classifier
from eosin.records.origin import Origin
from eosin.runs import RunFolder, environment
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.split_file import write_split
from eosin.studies.plan import identity
from eosin.training.facts import facts_of
from eosin.training.session import Session, reopen


def write_derived(
    path: str | os.PathLike[str],
    model: Classifier,
    recipe: Recipe,
    session: Session,
    *,
    start: Origin,
    parents: Sequence[RunFolder],
    marks: Sequence[str],
    facts: Mapping[str, Any],
    inputs: Mapping[str, Path | None] | None = None,
    force: bool = False,
) -> RunFolder:
    """Write a complete run folder, which every command takes, complete or not at all.

    recipe: how the model would be built; session: of the run whose store, split and fold it keeps;
    start: what the model was made from, for environment.json; parents: the runs whose seen cases
    it has seen; facts: more of model.json; inputs: what it is made from, by the option that names
    it; force: replace a run that is there.
    Raises UserError where the folder may not be made, FailureError where it cannot be written.
    """
    store = session.store
    before = session.run.read_environment()
    try:
        with whole_folder(path, "run", force=force, inputs=inputs) as folder:
            made = RunFolder(folder)
            made.write_text("recipe.toml", recipe.to_toml())
            write_split(session.split, made / "split.csv")
            made.write_json(
                "environment.json",
                {
                    **environment(),
                    "store": {**before["store"], **identity(store)},
                    "fold": session.fold,
                    "marks": list(marks),
                    "audit": before.get("audit"),
                    "start": start.to_json(),
                    "teacher": None,
                },
            )
            first, *others = (Seen.of_run(parent) for parent in parents)
            first.joined(others).write(made / SEEN)
            known = facts_of(
                model,
                store,
                recipe,
                train_patches=len(session.parts["train"]),
                marks=marks,
                split=session.split,
                start=start,
                **facts,
            )
            save_classifier(model, made.path, known)
    except OSError as error:
        raise FailureError(f"{path} cannot be written ({error})") from None
    return RunFolder(path)


def finished_session(path: Path, store: str | None, what: str) -> Session:
    """The session of a finished run; raises RunError where it has no model.

    what: the run's role, for the sentence, such as "a member".
    """
    run = RunFolder.open(path)
    if not run.finished:
        again = f"; resume it with: {run.resume_command}" if run.resume_command else ""
        raise RunError(f"{path} cannot be {what}: its training has not finished{again}")
    return reopen(path, store)
