"""The Optuna study behind a search: search.db, the sampler, the pruner, and who works on what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eosin.errors import FailureError, MissingExtraError
from eosin.search.locks import Lock, waiting_for
from eosin.search.plan import Plan
from eosin.search.space import Dimension, recipe_with, value_of

DATABASE = "search.db"
_LOCKS = ".locks"
#: Trials that must have come to their end before any is pruned: a median of fewer says little.
COMPLETE_BEFORE_PRUNING = 4
#: Share of the epochs in which no trial is pruned: early figures follow the warm-up.
_SPARED = 0.25


@dataclass
class Claimed:
    """A trial that this process works on; nobody else does while ``lock`` is held."""

    trial: Any
    values: dict[str, Any]
    lock: Lock
    #: Taken up from a process that ended.
    taken_up: bool

    @property
    def number(self) -> int:
        return int(self.trial.number)


def optuna() -> Any:
    """The library, silent: what it logs, a search says in its own words.

    Raises MissingExtraError where it is not installed.
    """
    try:
        import optuna as library
    except ModuleNotFoundError:
        raise MissingExtraError("search", "eosin search") from None
    library.logging.set_verbosity(library.logging.ERROR)
    return library


@contextmanager
def opened(folder: Path, plan: Plan) -> Iterator[Any]:
    """The study of a folder, made where it is not there yet.

    Median pruning: after each epoch a trial below the median of the trials so far ends. Hyperband
    would share few trials out to brackets and learn from none; the median has nothing to tune.
    Raises FailureError where the database cannot be read or written.
    """
    library = optuna()
    import sqlalchemy

    url = sqlalchemy.URL.create("sqlite", database=str((folder / DATABASE).resolve()))
    try:
        # Several workers write: wait for each other rather than fail.
        storage = library.storages.RDBStorage(
            url.render_as_string(), engine_kwargs={"connect_args": {"timeout": 60}}
        )
        try:
            yield library.create_study(
                storage=storage,
                study_name="search",
                direction="maximize" if plan.higher_is_better else "minimize",
                pruner=library.pruners.MedianPruner(
                    n_startup_trials=COMPLETE_BEFORE_PRUNING,
                    n_warmup_steps=max(1, math.ceil(_SPARED * plan.recipe.epochs)),
                ),
                load_if_exists=True,
            )
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, library.exceptions.StorageInternalError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise FailureError(
            f"{folder / DATABASE} cannot be used ({cause}); if the disk is full make room and go "
            f"on with: eosin search --resume {folder}; a damaged file cannot be mended: begin "
            "another search"
        ) from None


def claim(study: Any, plan: Plan, folder: Path) -> Claimed | None:
    """The next trial for this process: one that its process left, else a new one, else None.

    Trial 0 is the recipe as given. What is drawn for a trial depends on the seed, its number and
    the trials before, so that a search that was stopped draws what it would have drawn anyhow.
    """
    from optuna.trial import Trial, TrialState

    with waiting_for(folder / _LOCKS / "claim"):
        trials = study.get_trials(deepcopy=False)
        for left in trials:
            if left.state == TrialState.RUNNING and (lock := _lock(folder, left.number)):
                study.sampler = _sampler(plan, left.number)
                trial = Trial(study, left._trial_id)
                return Claimed(trial, _values(trial, plan), lock, taken_up=True)
        number = sum(trial.state != TrialState.WAITING for trial in trials)
        if number >= plan.trials:
            return None
        if number == 0 and not trials:
            study.enqueue_trial(_own(plan))
        study.sampler = _sampler(plan, number)
        lock = _lock(folder, number)
        if lock is None:
            raise FailureError(f"{folder / _LOCKS}: trial {number} is held by another process")
        trial = study.ask()
        return Claimed(trial, _values(trial, plan), lock, taken_up=False)


def under_way(study: Any) -> list[int]:
    """Numbers of the trials that have begun and not ended, whoever works on them."""
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial.number for trial in running]


def is_free(folder: Path, number: int) -> bool:
    """Whether no process works on a trial."""
    lock = _lock(folder, number)
    if lock is not None:
        lock.release()
    return lock is not None


def trial_recipe(plan: Plan, number: int, values: dict[str, Any]) -> Any:
    """The recipe of a trial; number 0 is the recipe as given, whatever the space."""
    if number == 0:
        return plan.recipe
    return recipe_with(plan.recipe, values, name=f"{plan.recipe.name} trial {number}")


def _lock(folder: Path, number: int) -> Lock | None:
    return Lock.take(folder / _LOCKS / f"{number:03d}")


def _own(plan: Plan) -> dict[str, Any]:
    """The recipe's own values as parameters; what lies outside the space is none of it."""
    found = {}
    for dimension in plan.space:
        value = value_of(plan.recipe, dimension.key)
        if dimension.holds(value):
            found[dimension.key] = json.dumps(value) if dimension.kind == "choice" else value
    return found


def _values(trial: Any, plan: Plan) -> dict[str, Any]:
    """A value for every dimension; trial 0 has the recipe's own."""
    if trial.number == 0:
        inside = _own(plan)
        for dimension in plan.space:
            if dimension.key in inside:
                _suggest(trial, dimension)
        return {d.key: value_of(plan.recipe, d.key) for d in plan.space}
    return {dimension.key: _suggest(trial, dimension) for dimension in plan.space}


def _suggest(trial: Any, dimension: Dimension) -> Any:
    if dimension.kind == "choice":
        labels = dimension.labels()
        return dimension.choices[labels.index(trial.suggest_categorical(dimension.key, labels))]
    given: dict[str, Any] = {"log": dimension.log}
    if dimension.kind == "int":
        low, high = int(dimension.low), int(dimension.high)
        given |= {"step": int(dimension.step)} if dimension.step else {}
        return int(trial.suggest_int(dimension.key, low, high, **given))
    given |= {"step": dimension.step} if dimension.step else {}
    return float(trial.suggest_float(dimension.key, dimension.low, dimension.high, **given))


def _sampler(plan: Plan, number: int) -> Any:
    """TPE with random numbers of its own for every trial, so that a resumed search repeats none.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011. The first third, 10 at
    most, is drawn at random: a model of three points would only narrow the view.
    """
    import numpy as np
    from optuna.samplers import TPESampler

    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    return TPESampler(n_startup_trials=max(4, min(10, plan.trials // 3)), seed=seed)
