"""The trials of a search in one Optuna journal that any number of processes share.

Locks of the operating system tell which process works on which trial: a killed one has none, so
the next process takes over its trial.
"""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eosin.disks import writing
from eosin.errors import DiskError, FailureError, MissingExtraError, first_line
from eosin.folders import whole_file
from eosin.locks import Lock, waiting_for
from eosin.search.plan import SearchPlan
from eosin.search.space import Dimension, recipe_with, value_of

JOURNAL = "search.journal"
#: The SQLite database of earlier versions; its trials are copied into a journal once.
DATABASE = "search.db"
_LOCKS = ".locks"
_NAME = "search"
#: Trials that must be complete before any is pruned: a median of fewer is too uncertain.
COMPLETE_BEFORE_PRUNING = 4
#: Share of the epochs in which no trial is pruned: early figures follow the warm-up.
_SPARED = 0.25

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class Row:
    """One trial."""

    number: int
    #: complete, pruned, failed or running.
    state: str
    #: The metric: of a complete trial as kept, of a pruned one after its last epoch.
    value: float | None
    epochs: int
    seconds: float
    #: What was tried, by key.
    values: dict[str, Any]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        row = {"trial": self.number, **vars(self), "folder": trial_name(self.number)}
        del row["number"]
        return row if self.reason else {k: v for k, v in row.items() if k != "reason"}


@dataclass
class Claimed:
    """A trial that this process works on; nobody else does while ``lock`` is held."""

    trial: Any
    values: dict[str, Any]
    lock: Lock
    #: Taken over from a process that ended.
    taken_over: bool

    @property
    def number(self) -> int:
        return int(self.trial.number)


def optuna() -> Any:
    """The library without its log: a search reports the same in its own words.

    Raises MissingExtraError where it is not installed.
    """
    try:
        import optuna as library
    except ModuleNotFoundError:
        raise MissingExtraError("search", "eosin search") from None
    library.logging.set_verbosity(library.logging.ERROR)
    return library


class _JournalLock:
    """Optuna's lock of its journal, held by the operating system; cuts off a half-written line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(waiting_for(self._path.with_name(f".{self._path.name}.lock")))
        with open(self._path, "rb+") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            if size and file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        self._held.close()


def opened(folder: Path, plan: SearchPlan) -> Any:
    """The Optuna study of a folder, made where it is not there yet.

    Median pruning: after each epoch a trial below the median of the trials so far ends. Hyperband
    would divide few trials into brackets and learn from none; the median needs no tuning.
    Raises FailureError where the journal cannot be read or written.
    """
    library = optuna()
    path = folder / JOURNAL
    try:
        with writing(path):
            if not path.exists() and (folder / DATABASE).exists():
                _import(library, folder)
            study = library.create_study(
                storage=_storage(library, path),
                study_name=_NAME,
                direction="maximize" if plan.higher_is_better else "minimize",
                pruner=library.pruners.MedianPruner(
                    n_startup_trials=COMPLETE_BEFORE_PRUNING,
                    n_warmup_steps=max(1, math.ceil(_SPARED * plan.recipe.epochs)),
                ),
                load_if_exists=True,
            )
            if not study.get_trials(deepcopy=False) and any(folder.glob("trial-*/recipe.toml")):
                raise ValueError("it does not list the trials of this folder")
            return study
    except DiskError as error:
        raise error.followed_by(f"resume with: eosin search --resume {folder}") from None
    except FailureError:
        raise
    except Exception as error:
        # Optuna replays the file, and a damaged line ends in as many kinds of exception.
        raise FailureError(
            f"{path} cannot be used ({first_line(error)}); a damaged file cannot be repaired: "
            "start another search"
        ) from None


def _storage(library: Any, path: Path) -> Any:
    journal = library.storages.journal
    return library.storages.JournalStorage(
        journal.JournalFileBackend(str(path), lock_obj=_JournalLock(path))
    )


def _import(library: Any, folder: Path) -> None:
    """Copy the trials of a search that an earlier version kept in SQLite."""
    import sqlalchemy

    url = sqlalchemy.URL.create("sqlite", database=str((folder / DATABASE).resolve()))
    old = None
    try:
        old = library.storages.RDBStorage(url.render_as_string())
        with whole_file(folder / JOURNAL) as temporary:
            library.copy_study(
                from_study_name=_NAME, from_storage=old,
                to_storage=_storage(library, temporary),
            )  # fmt: skip
    except (sqlalchemy.exc.SQLAlchemyError, library.exceptions.StorageInternalError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ValueError(f"{DATABASE} of an earlier version cannot be read: {cause}") from None
    finally:
        if old is not None:
            old.remove_session()
            old.engine.dispose()


def claim(study: Any, plan: SearchPlan, folder: Path) -> Claimed | None:
    """The next trial for this process: one whose process ended, else a new one, else None.

    Trial 0 is the recipe as given. The values of a trial depend on the seed, its number and the
    trials before, so that a resumed search draws the values that it would have drawn unstopped.
    """
    from optuna.trial import Trial, TrialState

    with waiting_for(folder / _LOCKS / "claim"):
        trials = study.get_trials(deepcopy=False)
        for left in trials:
            if left.state == TrialState.RUNNING and (lock := _lock(folder, left.number)):
                study.sampler = _sampler(plan, left.number)
                trial = Trial(study, left._trial_id)
                return Claimed(trial, _values(trial, plan), lock, taken_over=True)
        number = sum(trial.state != TrialState.WAITING for trial in trials)
        if number >= plan.trials:
            return None
        if number == 0 and not trials:
            own = [(d, value_of(plan.recipe, d.key)) for d in plan.space]
            # As the storage has them, without what is outside the space.
            study.enqueue_trial(
                {d.key: json.dumps(v) if d.choices else v for d, v in own if d.holds(v)}
            )
        study.sampler = _sampler(plan, number)
        lock = _lock(folder, number)
        if lock is None:
            raise FailureError(f"{folder / _LOCKS}: another process works on trial {number}")
        trial = study.ask()
        return Claimed(trial, _values(trial, plan), lock, taken_over=False)


def rows_of(study: Any) -> list[Row]:
    """All trials that have started, in their order."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        attributes, state = trial.user_attrs, STATES.get(trial.state.name)
        if state is None:
            continue
        value, reported = trial.value, trial.intermediate_values
        if state == "pruned" and reported:
            value = reported[max(reported)]
        value = float(value) if value is not None and math.isfinite(value) else None
        epochs, seconds = attributes.get("epochs", len(reported)), attributes.get("seconds", 0.0)
        values, reason = dict(attributes.get("values", {})), str(attributes.get("reason", ""))
        rows.append(Row(trial.number, state, value, epochs, seconds, values, reason))
    return rows


def is_free(folder: Path, number: int) -> bool:
    """Whether no process works on a trial."""
    lock = _lock(folder, number)
    if lock is not None:
        lock.release()
    return lock is not None


def in_use(folder: Path) -> bool:
    """Whether any process works on a trial of this folder."""
    return any(not is_free(folder, int(lock.name)) for lock in (folder / _LOCKS).glob("[0-9]*"))


def trial_name(number: int) -> str:
    """The folder of a trial.

    >>> trial_name(3)
    'trial-003'
    """
    return f"trial-{number:03d}"


def trial_recipe(plan: SearchPlan, number: int, values: dict[str, Any]) -> Any:
    """The recipe of a trial; number 0 is the recipe as given, whatever the space."""
    if number == 0:
        return plan.recipe
    return recipe_with(plan.recipe, values, name=f"{plan.recipe.name} trial {number}")


def _lock(folder: Path, number: int) -> Lock | None:
    return Lock.take(folder / _LOCKS / f"{number:03d}")


def _values(trial: Any, plan: SearchPlan) -> dict[str, Any]:
    """A value for every dimension; trial 0 has the recipe's own, also those outside the space."""
    own = {d.key: value_of(plan.recipe, d.key) for d in plan.space} if trial.number == 0 else {}
    suggested = {d.key: _suggest(trial, d) for d in plan.space if not own or d.holds(own[d.key])}
    return own or suggested


def _suggest(trial: Any, dimension: Dimension) -> Any:
    if dimension.kind == "choice":
        labels = dimension.labels()
        return dimension.choices[labels.index(trial.suggest_categorical(dimension.key, labels))]
    number = int if dimension.kind == "int" else float
    suggest = getattr(trial, f"suggest_{dimension.kind}")
    options = {"step": number(dimension.step)} if dimension.step else {}
    low, high = number(dimension.low), number(dimension.high)
    return number(suggest(dimension.key, low, high, log=dimension.log, **options))


def _sampler(plan: SearchPlan, number: int) -> Any:
    """TPE with random numbers of its own for every trial, so that a resumed search repeats none.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011. The first third, 10 at
    most, is drawn at random: a model of three points would only narrow the view.
    """
    import numpy as np
    from optuna.samplers import TPESampler

    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    return TPESampler(n_startup_trials=max(4, min(10, plan.trials // 3)), seed=seed)
