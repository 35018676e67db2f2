"""A run folder whose model was made from finished runs instead of being trained in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eosin.config import Recipe
from eosin.errors import FailureError, RunError
from eosin.models.classifier import Classifier, save_classifier
from eosin.records.origin import Origin
from eosin.runs import RunFolder, environment
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.splits import write_split
from eosin.training.facts import facts_of
from eosin.training.session import Session


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
    force: bool = False,
) -> RunFolder:
    """Write a complete run folder, which every command takes; it is there whole or not at all.

    recipe: how the model would be built; session: of the run whose store, split and fold it keeps;
    start: what the model was made from, for environment.json; parents: the runs whose seen cases
    it has seen; facts: more of model.json. force: replace a run that is there.
    Raises RunError where the folder exists, FailureError where it cannot be written.
    """
    target, store = RunFolder(path), session.store
    if force and (target / "recipe.toml").exists():
        shutil.rmtree(target.path)
    target.create()
    temporary = target.path.with_name(f".{target.path.name}.{os.getpid()}.part")
    made = RunFolder(temporary)
    before = session.run.read_json("environment.json")
    try:
        made.create()
        made.write_text("recipe.toml", recipe.to_toml())
        write_split(session.split, made / "split.csv")
        made.write_json(
            "environment.json",
            {
                **environment(),
                "store": {
                    **before["store"],
                    "path": str(store.path.resolve()),
                    "digest": store.digest,
                },
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
        target.path.rmdir()
        os.replace(made.path, target.path)
    except OSError as error:
        raise FailureError(f"{target.path} cannot be written ({error})") from None
    finally:
        shutil.rmtree(made.path, ignore_errors=True)
    return target


def finished_session(path: Path, store: str | None, what: str) -> Session:
    """The session of a finished run; raises RunError where it has no model.

    what: the run's role, for the sentence, such as "a member".
    """
    from eosin.training.session import reopen

    run = RunFolder.open(path)
    if not run.finished:
        again = f"go on with: eosin train --resume {path}" if (run / "resume.pt").exists() else ""
        raise RunError(
            f"{path} cannot be {what}: its training has not finished" + (again and f"; {again}")
        )
    return reopen(path, store)
