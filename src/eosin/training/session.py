"""A run from start to trained model: audit, refusal of leaks, the run folder, the trainer."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eosin.config import Recipe
from eosin.data.store import MADE_UP, PatchStore
from eosin.data.views import for_recipe
from eosin.errors import DiskError, RecipeError, RunError, TrainingError
from eosin.folders import sweep, whole_folder
from eosin.records.model import ModelFacts
from eosin.records.origin import Origin, Teacher
from eosin.runs import RunFolder, environment, recorded_path, recorded_places
from eosin.splitting.audit import AuditResult, audit, refuse_leak
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.split_file import Split, read_split, write_split
from eosin.training.diagnose import missing_classes
from eosin.training.loop import Reporter, Trainer
from eosin.training.origin import (
    fresh_network,
    from_encoder,
    from_run,
    initializer,
    leak,
    refuse_seen,
)
from eosin.training.parallel import Team
from eosin.training.teacher import as_teacher, teach


@dataclass(frozen=True)
class Session:
    """What a run is made from; kept in the run folder so that it can be resumed and repeated."""

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
    """Audit the split and make the run folder, complete or not at all.

    force: replace a run, of which files that eosin did not make are kept; base: an earlier run
    whose weights this one starts with; teacher: one whose answers it learns from; weights: where an
    encoder's weights are ("path") and what they are.
    Raises LeakError when the parts share information, or an earlier run has seen what is to be
    measured on, unless the scheme is ``patch`` or ``allow_leaks`` is set; UserError when the folder
    may not be made; RecipeError when the network cannot be made; SplitError when the split
    does not fit.
    """
    run = RunFolder(path)
    option = "--from" if recipe.probe == "none" else "--encoder"
    inputs = {"STORE": store.path, option: base, "--teacher": teacher}
    run.check(force=force, inputs=inputs)
    recipe, store = at_scale(recipe, store), for_recipe(store, recipe)
    parts = split.parts(store, fold)
    result = audit(store, split, fold=fold)
    refuse_leak(result, store, split, fold=fold, allow_leaks=allow_leaks)
    origin = Origin()
    if base is not None:
        origin = from_run(base, recipe)
    elif weights is not None:
        origin = from_encoder(recipe, store, weights)
    else:
        # What cannot be trained is refused before a run is replaced.
        labels = store.labels[parts["train"]]
        missing_classes(store.classes, np.bincount(labels, minlength=len(store.classes)).tolist())
        fresh_network(recipe, store)
    taught = None if teacher is None else as_teacher(teacher, store)
    earlier = {option: base, "the teacher": teacher}
    before = {role: RunFolder(other) for role, other in earlier.items() if other is not None}
    seen = [s for role, other in before.items() for s in refuse_seen(role, other, store, parts)]
    if seen and not allow_leaks:
        raise leak(seen)
    marks = [*([MADE_UP] if store.made_up else []), *split.marks, *result.marks, *seen]
    here = environment()
    # The digits of a sum depend on how many threads share it.
    here["machine"]["threads"] = torch.get_num_threads()
    content = {
        **here,
        "store": {
            **recorded_path(store.path, run.path),
            "digest": store.digest,
            "layout": store.info.get("layout"),
            "patches": len(store),
        },
        "fold": fold,
        "marks": list(dict.fromkeys(marks)),
        "audit": result.to_dict(),
        "start": origin.to_json(),
        "teacher": taught and taught.to_json(),
    }
    earlier_seen = [Seen.of_run(other) for other in before.values()]
    with whole_folder(
        run.path, "run", force=force, inputs=inputs, resume=run.resume_command
    ) as temporary:
        made = RunFolder(temporary)
        made.write_text("recipe.toml", recipe.to_toml())
        write_split(split, made / "split.csv")
        made.write_json("environment.json", content)
        Seen.of_store(store, parts).joined(earlier_seen).write(made / SEEN)
    return _session(store, split, fold, recipe, run), result


def at_scale(recipe: Recipe, store: PatchStore) -> Recipe:
    """The recipe with the store's mpp where patches are scaled to that of the encoder.

    Raises RecipeError where the store does not have it.
    """
    arguments = recipe.arguments
    if arguments.get("resize") != "mpp" or arguments.get("patch_mpp"):
        return recipe
    if not store.mpp:
        raise RecipeError(
            f"arguments.resize = mpp needs the scale of the patches, which {store.path} does not "
            "have; give it: --set arguments.patch_mpp=0.5 (micrometers a pixel)"
        )
    return recipe.changed(arguments={**arguments, "patch_mpp": store.mpp})


def reopen(path: str | os.PathLike[str], store_path: str | None = None) -> Session:
    """The session of a run folder, to resume or to evaluate it.

    store_path: where the store is now; by default where it was, or where it is relative to the run.
    Raises RunError, StoreError or SplitError where something is missing or does not fit.
    """
    run = RunFolder(path)
    sweep(run.path)
    run = RunFolder.open(path)
    record = run.read_environment()
    digest, fold = str(record["store"]["digest"]), record["fold"]
    places = [Path(store_path)] if store_path else recorded_places(record["store"], run.path)
    there = [place for place in places if store_path or place.exists()]
    if not there:
        name = shlex.quote(str(run.path))
        raise RunError(
            f"{run.path} was made from {places[0]}, which is missing; give the store's new place: "
            f"eosin evaluate {name} --store STORE, or eosin train STORE --resume {name}"
        )
    for place in there:
        store = PatchStore.open(place)
        if store.digest == digest:
            return _session(store, read_split(run / "split.csv"), fold, run.recipe(), run)
    raise RunError(
        f"{run.path} was made from store {digest[:12]}, but {store.path} is "
        f"{store.digest[:12]}; give the right store with --store"
    )


def fit(
    session: Session,
    *,
    reporter: Reporter | None = None,
    resume: bool = False,
    team: Team | None = None,
) -> ModelFacts:
    """Train, or resume training; returns the facts of model.json.

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
            warned=reporter.warned,
        )
        if team.count > 1:
            # The main process computes the answers and keeps them in the run folder for all.
            team.once(lambda: len(ask()), patient=True)
        soft = ask()
    trainer = Trainer(
        session.store,
        session.parts,
        session.recipe,
        session.run,
        marks=session.marks,
        reporter=reporter,
        model_facts={"split": session.split, "start": session.origin, "teacher": session.teacher},
        initialize=initializer(session.origin, resume=resume),
        soft=soft,
        team=team,
    )
    try:
        return trainer.fit(resume=resume)
    except TrainingError as error:
        # A full disk must not hide what went wrong before.
        with suppress(OSError, DiskError):
            session.run.write_json("failed.json", {"sentence": str(error)})
        raise


def _session(
    store: PatchStore, split: Split, fold: int | None, recipe: Recipe, run: RunFolder
) -> Session:
    store = for_recipe(store, recipe)
    record = run.read_environment()
    marks = tuple(str(mark) for mark in record["marks"])
    origin = Origin.model_validate(record.get("start") or {})
    teacher = Teacher.model_validate(record["teacher"]) if record.get("teacher") else None
    parts = split.parts(store, fold)
    return Session(store, split, fold, parts, recipe, run, marks, origin, teacher)
