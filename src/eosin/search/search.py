"""A search from its plan to its result: trials, the best recipe, tables and figures."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from eosin import __version__
from eosin.config import Recipe
from eosin.data.store import MADE_UP, PatchStore
from eosin.data.views import for_recipe
from eosin.errors import BusyError, FailureError, StoppedError, UserError
from eosin.records.model import ModelFacts
from eosin.search import drawings, outcome
from eosin.search.confirm import confirm as confirm_seeds
from eosin.search.confirm import words_of
from eosin.search.plan import Search, SearchPlan, check_metric, without_test
from eosin.search.space import Dimension, built_in_space, check_space
from eosin.search.storage import Row, in_use, is_free, opened, optuna, rows_of, trial_name
from eosin.search.trials import work
from eosin.search.workers import run_workers
from eosin.splitting.audit import audit, refuse_leak
from eosin.splitting.split_file import Split, split_text
from eosin.studies.plan import FORMAT, PLAN, identity
from eosin.studies.study import Study, StudyResult, check_classes

_WAIT_SECONDS = 0.2


def search(
    store: PatchStore,
    split: Split,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    trials: int,
    space: tuple[Dimension, ...] | None = None,
    space_origin: str = "the built-in space",
    metric: str = "val_auroc",
    seed: int = 0,
    fold: int | None = None,
    share: float = 1.0,
    allow_leaks: bool = False,
    recipe_name: str = "",
    split_words: tuple[str, ...] = (),
    weights: Mapping[str, Any] | None = None,
    workers: int = 1,
    confirm: int = 0,
    force: bool = False,
    **options: Any,
) -> StudyResult:
    """Try settings of a recipe and judge each on the validation part; test patches are left out.

    trials: in all, the recipe as given among them (number 0); space: what is tried, by default the
    built-in space of the recipe's optimizer; metric: a key of METRICS; share: of the training
    cases; weights: of an encoder, as `session.start` takes them; workers: processes; confirm:
    further seeds for the best and the recipe as given; options: watch and note, as for
    `Study.open`.
    Raises MissingExtraError without Optuna; RecipeError for a space that cannot be tried,
    SplitError, LeakError and UserError before anything is written; StoppedError at Ctrl-C, with
    all state saved; FailureError where not one trial finished.
    """
    optuna()
    store = for_recipe(store, recipe)
    _check_numbers(trials, workers, share, confirm)
    check_classes(store, "there is nothing to search on")
    own = built_in_space(recipe) if space is None else space
    check_space(
        own, recipe, classes=len(store.classes), patch_size=store.patch_size, origin=space_origin
    )
    if weights is not None and {d.key for d in own} & {"network", "arguments.encoder"}:
        raise UserError(
            f"{space_origin} searches the network, but --weights are of one encoder; search "
            "each encoder by itself"
        )
    reduced = without_test(split, store, fold=fold, share=share, seed=seed)
    check_metric(metric, store, reduced)
    audited = audit(store, reduced)
    refuse_leak(audited, store, split, fold=fold, allow_leaks=allow_leaks)
    plan = SearchPlan(
        identity(store), recipe, recipe_name or recipe.name, own, space_origin, metric, seed,
        trials, allow_leaks, share, split_words, weights,
    )  # fmt: skip
    if force and in_use(Path(folder)):
        raise BusyError(f"{folder} is in use by another search; wait until it has finished")
    study = Study.open(
        folder, store, plan.plan(), force=force,
        inputs={"--weights": None if weights is None else Path(weights["path"])},
        files={"split.csv": split_text(reduced)},
        again=_again(folder, workers, confirm), **options,
    )  # fmt: skip
    return _run(Search(study, plan, reduced), workers, confirm)


def resume(
    folder: str | os.PathLike[str],
    *,
    store_path: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    workers: int = 1,
    confirm: int = 0,
    **options: Any,
) -> StudyResult:
    """Resume a search until it has ``trials`` in all, by default as many as it was started for.

    A trial that was running is resumed from its checkpoint; options: watch and note.
    Raises UserError where the folder has no search, or the store is missing or another one;
    otherwise as `search`.
    """
    optuna()
    again = _again(folder, workers, confirm, store_path)
    search = Search.reopen(folder, store_path, again=again, **options)
    plan = replace(search.plan, trials=trials or search.plan.trials)
    _check_numbers(plan.trials if trials is None else trials, workers, plan.share, confirm)
    if plan.trials < (started := len(rows_of(opened(search.folder, plan)))):
        raise UserError(
            f"--trials {trials}: {search.folder} has {started} trials already; ask for at least "
            "as many"
        )
    if plan != search.plan:
        search.study.folder.write_json(PLAN, plan.plan().to_dict())
    return _run(replace(search, plan=plan), workers, confirm)


def _again(
    folder: str | os.PathLike[str],
    workers: int,
    confirm: int,
    store: str | os.PathLike[str] | None = None,
) -> str:
    """The command that resumes a search as it was called."""
    words: list[Any] = ["eosin", "search", *([store] if store else []), "--resume", folder]
    words += ["--workers", workers] if workers > 1 else []
    words += ["--confirm", confirm] if confirm else []
    return shlex.join(map(str, words))


def _check_numbers(trials: int, workers: int, share: float, confirm: int) -> None:
    numbers = (("trials", trials, 1), ("workers", workers, 1), ("confirm", confirm, 0))
    for name, value, least in numbers:
        if value < least:
            raise UserError(f"--{name} {value}: at least {least}")
    if not 0 < share <= 1:
        raise UserError(f"--share {share:g}: a share of the training cases, above 0 and up to 1")


def _run(search: Search, workers: int, confirm: int) -> StudyResult:
    plan, study = search.plan, search.study
    sizes = {name: len(rows) for name, rows in search.split.parts(study.store).items()}
    study.note(
        f"search in {search.folder}: {plan.trials} trials of {plan.recipe_name} on "
        f"{sizes['train']:,} training and {sizes['val']:,} validation patches, "
        f"{plan.space_origin}: {'; '.join(dimension.sentence() for dimension in plan.space)}"
    )
    try:
        journal = opened(search.folder, plan)
        _all_trials(search, journal, workers)
        rows, shares = rows_of(journal), outcome.importance(journal, plan)
        best = outcome.best_of(rows, plan)
        if best is None:
            first = next((row.reason for row in rows if row.reason), "no reason is known")
            raise FailureError(f"not one of {len(rows)} trials finished; the first failed: {first}")
        finish = partial(_finish, search, rows, best, shares)
        result = finish(None)
        # The result is written by now; the further seeds are only added to it.
        return finish(confirm_seeds(search, best, confirm)) if confirm else result
    except KeyboardInterrupt:
        raise StoppedError(
            f"stopped by Ctrl-C; what is done is kept; resume with: {study.again}"
        ) from None


def _all_trials(search: Search, journal: Any, workers: int) -> None:
    """Run trials until all have ended, also those that other processes work on or left."""
    waiting = False
    while True:
        rows = rows_of(journal)
        running = [row.number for row in rows if row.state == "running"]
        left = sum(is_free(search.folder, number) for number in running)
        left += max(0, search.plan.trials - len(rows))
        # No more processes than trials.
        if min(workers, left) > 1:
            run_workers(search, min(workers, left))
        elif left:
            work(search, journal)
        elif not running:
            return
        else:
            if not waiting:
                numbers = ", ".join(map(str, running))
                search.study.note(f"waiting for trial {numbers} in another process")
            waiting = True
            time.sleep(_WAIT_SECONDS)


def _finish(
    search: Search,
    rows: list[Row],
    best: Row,
    shares: dict[str, float],
    seeds: dict[str, Any] | None,
) -> StudyResult:
    """The result in words and numbers, written to the folder, search.json last."""
    folder, plan, split = search.folder, search.plan, search.split
    store = search.study.store
    of_best = map(str, ModelFacts.of_run(folder / trial_name(best.number)).all_marks)
    marks = [*dict.fromkeys([*([MADE_UP] if store.made_up else []), *split.marks, *of_best])]
    result = search.study.result(
        marks,
        {},
        format=FORMAT,
        eosin=__version__,
        trials=plan.trials,
        **plan.settings(),
        best=best.to_dict(),
        given=rows[0].to_dict(),
        rows=[row.to_dict() for row in rows],
        patches={name: len(part) for name, part in split.parts(store).items()},
        importance=shares,
        confirm=seeds,
        sentences=[
            *outcome.sentences(plan, rows, best, folder),
            *words_of(seeds, higher_is_better=plan.higher_is_better, best=best),
            outcome.importance_sentence(shares, rows),
            f"Train it with: {outcome.train_command(plan, folder)}",
        ],
    )
    given: dict[str, Any] = {"rows": rows, "marks": marks}
    several = len(outcome.complete(rows)) > 1
    figures = {
        "history": partial(drawings.history, plan=plan, **given),
        "parallel": partial(drawings.parallel, plan=plan, **given) if several else None,
        "importance": partial(drawings.importance_bars, shares=shares, **given) if shares else None,
    }
    files = {
        "best.toml": outcome.best_toml(plan, best, rows, folder, marks),
        "trials.csv": outcome.trials_csv(rows, plan),
    }
    drawn = {f"{n}.{kind}": figures[n] for n in figures for kind in ("png", "svg")}
    return search.study.write(result, {**files, **drawn})
