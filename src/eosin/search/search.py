"""A search from its plan to its result: trials, the best recipe, tables and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eosin.config import Recipe
from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import FailureError, LeakError, StoppedError, UserError
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder, environment
from eosin.search import outcome
from eosin.search.confirm import confirm as confirm_seeds
from eosin.search.confirm import words_of
from eosin.search.drawings import draw_all
from eosin.search.plan import Plan, begin, check_metric, grown, reopen, without_test
from eosin.search.space import Dimension, built_in_space, check_space
from eosin.search.study import is_free, opened, optuna, under_way
from eosin.search.trials import Watch, again, unwatched, work
from eosin.search.workers import run_workers
from eosin.splitting.audit import audit
from eosin.splitting.split_file import Split
from eosin.studies.plan import check_classes
from eosin.studies.series import Study

FORMAT = 1
_WAIT_SECONDS = 0.2

Said = Callable[[str], None]


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
    watch: Watch = unwatched,
    said: Said = lambda text: None,
) -> Study:
    """Try settings of a recipe and judge each on the validation part; test patches are left out.

    trials: in all, the recipe as given among them (number 0); space: what is tried, by default the
    built-in space of the recipe's optimizer; metric: a key of METRICS; share: of the training
    cases; weights: of an encoder, as `session.start` takes them; workers: processes; confirm:
    further seeds for the best and the recipe as given.
    Raises MissingExtraError without Optuna; RecipeError for a space that cannot be tried,
    SplitError, LeakError and UserError before anything is written; StoppedError at Ctrl-C, with
    all state saved; FailureError where not one trial finished.
    """
    optuna()
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
    found = audit(store, reduced)
    if found.leaking and split.scheme != "patch" and not allow_leaks:
        raise LeakError(
            f"training and validation part leak: {'; '.join(found.marks)}. Search on them all the "
            "same with --allow-leaks, and every output will say so"
        )
    plan = Plan(
        store_path=str(store.path.resolve()),
        store_digest=store.digest,
        recipe=recipe,
        recipe_name=recipe_name or recipe.name,
        space=own,
        space_origin=space_origin,
        metric=metric,
        seed=seed,
        trials=trials,
        allow_leaks=allow_leaks,
        share=share,
        split_words=split_words,
        weights=weights,
    )
    run = begin(folder, plan, reduced)
    return _go_on(run, plan, store, reduced, workers, confirm, watch, said)


def resume(
    folder: str | os.PathLike[str],
    *,
    store_path: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    workers: int = 1,
    confirm: int = 0,
    watch: Watch = unwatched,
    said: Said = lambda text: None,
) -> Study:
    """Go on with a search until it has ``trials`` in all (by default as many as it was begun for).

    A trial that was under way goes on from its checkpoint. Raises UserError where the folder holds
    no search, or the store is gone or another one; otherwise as `search`.
    """
    optuna()
    run, plan, store, split = reopen(folder, store_path)
    _check_numbers(plan.trials if trials is None else trials, workers, plan.share, confirm)
    with opened(run.path, plan) as study:
        begun = len(outcome.rows_of(study))
    if trials is not None and trials < begun:
        raise UserError(
            f"--trials {trials}: {run.path} has {begun} trials already; say at least so many"
        )
    return _go_on(run, grown(run, plan, trials), store, split, workers, confirm, watch, said)


def _check_numbers(trials: int, workers: int, share: float, confirm: int) -> None:
    for name, value, least in (("trials", trials, 1), ("workers", workers, 1),
                               ("confirm", confirm, 0)):  # fmt: skip
        if value < least:
            raise UserError(f"--{name} {value}: at least {least}")
    if not 0 < share <= 1:
        raise UserError(f"--share {share:g}: a share of the training cases, above 0 and up to 1")


def _go_on(
    run: RunFolder,
    plan: Plan,
    store: PatchStore,
    split: Split,
    workers: int,
    confirm: int,
    watch: Watch,
    said: Said,
) -> Study:
    folder = run.path
    sizes = {name: len(rows) for name, rows in split.parts(store).items()}
    said(
        f"search in {folder}: {plan.trials} trials of {plan.recipe_name} on {sizes['train']:,} "
        f"training and {sizes['val']:,} validation patches, {plan.space_origin}: "
        f"{'; '.join(dimension.sentence() for dimension in plan.space)}"
    )
    try:
        with opened(folder, plan) as study:
            _all_trials(study, run, plan, store, split, workers, watch, said)
            rows = outcome.rows_of(study)
            shares = outcome.importance(study, plan)
        best = outcome.best_of(rows, plan)
        if best is None:
            first = next((row.reason for row in rows if row.reason), "no reason is known")
            raise FailureError(f"not one of {len(rows)} trials finished; the first failed: {first}")
        found = _finished(run, plan, store, split, rows, best, shares, None)
        if confirm:
            # The result stands by now; the further seeds are only added to it.
            seeds = confirm_seeds(
                folder, plan, store, split, best, seeds=confirm, watch=watch, said=said,
                again=f"eosin search --resume {folder} --confirm {confirm}",
            )  # fmt: skip
            found = _finished(run, plan, store, split, rows, best, shares, seeds)
    except KeyboardInterrupt:
        raise StoppedError(f"stopped by Ctrl-C; what is done is kept; {again(folder)}") from None
    return found


def _finished(
    run: RunFolder,
    plan: Plan,
    store: PatchStore,
    split: Split,
    rows: list[outcome.Row],
    best: outcome.Row,
    shares: dict[str, float],
    seeds: dict[str, Any] | None,
) -> Study:
    """The result in words and numbers, written to the folder."""
    folder = run.path
    marks = _marks(store, split, run, best)
    words = [
        *outcome.sentences(plan, rows, best, folder),
        *words_of(seeds, higher_is_better=plan.higher_is_better, best=best),
        outcome.importance_sentence(shares, rows),
        f"Train it anew with: {outcome.train_command(plan, folder)}",
    ]
    result = {
        "version": FORMAT,
        **plan.to_dict(),
        "best": best.to_dict(),
        "given": rows[0].to_dict(),
        "rows": [row.to_dict() for row in rows],
        "patches": {name: len(part) for name, part in split.parts(store).items()},
        "importance": shares,
        "confirm": seeds,
        "marks": marks,
        "sentences": words,
        "environment": environment(),
        "intended_use": "Research and education only, not for diagnosis.",
    }
    return Study(result, folder, _write(run, plan, rows, best, shares, result), {})


def _all_trials(
    study: Any,
    run: RunFolder,
    plan: Plan,
    store: PatchStore,
    split: Split,
    workers: int,
    watch: Watch,
    said: Said,
) -> None:
    """Run trials until all have ended, also those that other processes work on or left."""
    import time

    waiting = False
    while True:
        missing = plan.trials - len(outcome.rows_of(study))
        left = [number for number in under_way(study) if is_free(run.path, number)]
        if missing > 0 or left:
            # No more processes than trials.
            several = min(workers, max(missing, 0) + len(left))
            if several > 1:
                run_workers(run.path, store.path, several, said)
            else:
                work(study, plan, run.path, store, split, watch=watch, said=said)
            continue
        if not (held := under_way(study)):
            return
        if not waiting:
            waiting = True
            said(f"waiting for trial {', '.join(map(str, held))} in another process")
        time.sleep(_WAIT_SECONDS)


def _marks(store: PatchStore, split: Split, run: RunFolder, best: outcome.Row) -> list[str]:
    """What every output must carry: made-up data, leaks, a winner that learned nothing."""
    from eosin.search.trials import trial_name

    facts = ModelFacts.of_run(run / trial_name(best.number))
    found = [*([MADE_UP] if store.made_up else []), *split.marks, *map(str, facts.all_marks)]
    return list(dict.fromkeys(found))


def _write(
    run: RunFolder,
    plan: Plan,
    rows: list[outcome.Row],
    best: outcome.Row,
    shares: dict[str, float],
    result: dict[str, Any],
) -> tuple[str, ...]:
    """best.toml, trials.csv, the figures, and search.json last."""
    folder: Path = run.path
    marks = result["marks"]
    try:
        run.write_text("best.toml", outcome.best_toml(plan, best, rows, folder, marks))
        run.write_text("trials.csv", outcome.trials_csv(rows, plan))
        figures = draw_all(folder, plan, rows, shares, marks)
        run.write_json("search.json", result)
    except OSError as error:
        raise FailureError(
            f"{folder} cannot be written: {error.strerror or error}; the trials are kept, so make "
            f"room and {again(folder)}"
        ) from None
    return ("best.toml", "search.json", "trials.csv", *figures)
