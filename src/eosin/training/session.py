"""A run from start to trained model: audit, refusal of leaks, the run folder, the trainer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.config import Recipe
from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import LeakError, RecipeError, RunError, TrainingError
from eosin.records.model import ModelFacts
from eosin.records.origin import Origin, Teacher
from eosin.runs import RunFolder, environment
from eosin.splitting.audit import AuditResult, audit
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.splits import Split, read_split, write_split
from eosin.training.loop import Reporter, Trainer
from eosin.training.origin import (
    from_encoder,
    from_run,
    leak,
    refuse_seen,
    weights_of,
)
from eosin.training.parallel import Team
from eosin.training.teacher import as_teacher, teach


@dataclass(frozen=True)
class Session:
    """What a run is made from; kept in the run folder so that it can go on and be repeated."""

    store: PatchStore
    split: Split
    fold: int | None
    parts: Mapping[str, npt.NDArray[np.int64]]
    recipe: Recipe
    run: RunFolder
    marks: tuple[str, ...]
    #: Where the first weights come from, and the teacher.
    origin: Origin
    teacher: Teacher | None


def start(
    store: PatchStore,
    split: Split,
    recipe: Recipe,
    path: str | os.PathLike[str],
    *,
    fold: int | None = None,
    allow_leaks: bool = False,
    force: bool = False,
    base: Path | None = None,
    teacher: Path | None = None,
    weights: Mapping[str, Any] | None = None,
) -> tuple[Session, AuditResult]:
    """Audit the split and make the run folder.

    base: an earlier run whose weights this one begins with; teacher: one whose answers it learns
    from; weights: where an encoder's weights lie ("path") and what they are.
    Raises LeakError when the parts share information, or an earlier run has seen what is to be
    measured on, and neither the scheme is ``patch`` nor ``allow_leaks`` is said; RunError when the
    folder exists; SplitError when the split does not fit.
    """
    recipe = at_scale(recipe, store)
    parts = split.parts(store, fold)
    result = audit(store, split, fold=fold)
    if result.leaking and split.scheme != "patch" and not allow_leaks:
        raise LeakError(
            f"the split leaks: {'; '.join(result.marks)}. See: eosin audit {store.path} "
            "SPLIT; train on it all the same with --allow-leaks, and every output will say so"
        )
    origin = Origin()
    if base is not None:
        origin = from_run(base, recipe)
    elif weights is not None:
        origin = from_encoder(recipe, store, weights)
    taught = None if teacher is None else as_teacher(teacher, store)
    option = "--from" if recipe.probe == "none" else "--encoder"
    earlier = {option: base, "the teacher": teacher}
    before = {what: RunFolder(found) for what, found in earlier.items() if found is not None}
    seen = [s for what, other in before.items() for s in refuse_seen(what, other, store, parts)]
    if seen and not allow_leaks:
        raise leak(seen)
    marks = [*([MADE_UP] if store.made_up else []), *split.marks, *result.marks, *seen]
    run = RunFolder(path)
    if force and (run / "recipe.toml").exists():
        shutil.rmtree(run.path)
    run.create()
    run.write_text("recipe.toml", recipe.to_toml())
    write_split(split, run / "split.csv")
    run.write_json(
        "environment.json",
        {
            **environment(),
            "store": {
                "path": str(store.path.resolve()),
                "digest": store.digest,
                "layout": store.info.get("layout"),
                "patches": len(store),
            },
            "fold": fold,
            "marks": list(dict.fromkeys(marks)),
            "audit": result.to_dict(),
            "start": origin.to_json(),
            "teacher": taught and taught.to_json(),
        },
    )
    earlier_seen = [Seen.of_run(other) for other in before.values()]
    Seen.of_store(store, parts).joined(earlier_seen).write(run / SEEN)
    return _session(store, split, fold, recipe, run), result


def at_scale(recipe: Recipe, store: PatchStore) -> Recipe:
    """The recipe with the store's mpp where an encoder is to see patches at its own.

    Raises RecipeError where the store does not know it.
    """
    arguments = recipe.arguments
    if arguments.get("resize") != "mpp" or arguments.get("patch_mpp"):
        return recipe
    if not store.mpp:
        raise RecipeError(
            f"arguments.resize = mpp needs the scale of the patches, which {store.path} does not "
            "know; say it: --set arguments.patch_mpp=0.5 (micrometers a pixel)"
        )
    return recipe.changed(arguments={**arguments, "patch_mpp": store.mpp})


def reopen(path: str | os.PathLike[str], store_path: str | None = None) -> Session:
    """The session of a run folder, for going on or evaluating.

    store_path: where the store is now; by default where it was.
    Raises RunError, StoreError or SplitError where something is missing or does not fit.
    """
    run = RunFolder.open(path)
    facts = run.read_json("environment.json")
    try:
        recorded = str(facts["store"]["path"])
        digest, fold = str(facts["store"]["digest"]), facts["fold"]
    except (KeyError, TypeError):
        raise RunError(f"{run / 'environment.json'} does not name its store") from None
    if store_path is None and not Path(recorded).exists():
        raise RunError(
            f"{run.path} was made from the store {recorded}, which is gone; say where it is now: "
            f"eosin evaluate {run.path} --store STORE, or eosin train STORE --resume {run.path}"
        )
    store = PatchStore.open(store_path or recorded)
    if store.digest != digest:
        raise RunError(
            f"{run.path} was made from store {digest[:12]}, but {store.path} is "
            f"{store.digest[:12]}; say where the store is with --store"
        )
    return _session(store, read_split(run / "split.csv"), fold, run.recipe(), run)


def fit(
    session: Session,
    *,
    reporter: Reporter | None = None,
    resume: bool = False,
    team: Team | None = None,
) -> ModelFacts:
    """Train, or go on training; returns the facts of model.json.

    team: the processes that train together; each of them calls this with the same session.
    Where training fails, failed.json keeps the reason, for `eosin runs`.
    """
    reporter, team = reporter or Reporter(), team or Team()
    (session.run / "failed.json").unlink(missing_ok=True)
    if session.recipe.probe != "none":
        raise RecipeError(
            f"{session.run.path} is a probe, which is not trained by steps; use: eosin probe"
        )
    soft = None
    if session.teacher is not None:
        ask = partial(
            teach,
            session.teacher,
            session.store,
            session.parts["train"],
            session.run,
            precision=session.recipe.precision,
            progress=reporter.taught,
        )
        if team.count > 1:
            # The main process asks and keeps the answers in the run folder; then all read them.
            team.once(lambda: len(ask()), patient=True)
        soft = ask()
    trainer = Trainer(
        session.store,
        session.parts,
        session.recipe,
        session.run,
        marks=session.marks,
        reporter=reporter,
        facts={
            "split": session.split,
            "start": session.origin,
            "teacher": session.teacher,
        },
        begin=weights_of(session.origin, resumed=resume),
        soft=soft,
        team=team,
    )
    try:
        return trainer.fit(resume=resume)
    except TrainingError as error:
        # A full disk must not hide what went wrong before.
        with suppress(OSError):
            session.run.write_json("failed.json", {"sentence": str(error)})
        raise


def _session(
    store: PatchStore, split: Split, fold: int | None, recipe: Recipe, run: RunFolder
) -> Session:
    facts = run.read_json("environment.json")
    marks = tuple(str(mark) for mark in facts["marks"])
    origin = Origin.model_validate(facts.get("start") or {})
    teacher = Teacher.model_validate(facts["teacher"]) if facts.get("teacher") else None
    parts = split.parts(store, fold)
    return Session(store, split, fold, parts, recipe, run, marks, origin, teacher)
