"""One trial after another: each an ordinary run folder, judged on the validation part alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from eosin.config import Recipe
from eosin.disks import writing
from eosin.errors import (
    DiskError,
    EosinError,
    FailureError,
    RunError,
    StoppedError,
    StoreError,
    TrainingError,
)
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.search.plan import Search
from eosin.search.space import shown
from eosin.search.storage import JOURNAL, Claimed, claim, rows_of, trial_name, trial_recipe
from eosin.studies.study import PlannedRun, discard_run, open_run, train
from eosin.training.loop import Reporter
from eosin.training.session import Session

#: A trial whose process was killed so often in one epoch has failed: most likely memory runs out.
MOST_ATTEMPTS = 3


class _Pruned(Exception):
    """Below the median after an epoch."""


def work(search: Search, journal: Any, stop: Callable[[], bool] = lambda: False) -> None:
    """Claim trials of the Optuna study and run them until none is left.

    Raises StoppedError where the reporter or ``stop`` asks for it: the trial under way keeps its
    checkpoint; LeakError, StoreError and FailureError for what would meet every trial.
    """
    while True:
        if stop():
            raise StoppedError(f"stopped between two trials; resume with: {search.study.again}")
        with search.study.writing():
            claimed = claim(journal, search.plan, search.folder)
        if claimed is None:
            return
        try:
            _run(search, journal, claimed)
        finally:
            claimed.lock.release()


def _run(search: Search, journal: Any, claimed: Claimed) -> None:
    """One trial to its end: complete, pruned or failed, each recorded in the journal."""
    from optuna.trial import TrialState

    trial, number, study = claimed.trial, claimed.number, search.study
    run = RunFolder(search.folder / trial_name(number))
    settings = ", ".join(f"{key} {shown(value)}" for key, value in claimed.values.items())
    taken = "taken over" if claimed.taken_over else f"of {search.plan.trials}"
    remark = " (the recipe as given)" if number == 0 else ""
    study.note(f"trial {number}{remark}, {taken}: {settings}")
    state, value, reason = "COMPLETE", None, ""
    try:
        with writing(search.folder / JOURNAL):
            trial.set_user_attr("values", claimed.values)
            recipe = trial_recipe(search.plan, number, claimed.values)
            _count_attempt(trial, run)
            value = _value(search, trial, run, recipe)
    except _Pruned:
        state = "PRUNED"
    except StoppedError:
        _count_attempt(trial, run, back=True)
        raise StoppedError(
            f"stopped in trial {number}, its state is saved; resume with: {study.again}"
        ) from None
    except OSError as error:
        raise FailureError(
            f"trial {number} cannot continue: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}; once the cause is removed, "
            f"resume with: {study.again}"
        ) from None
    except DiskError as error:
        raise error.followed_by(f"resume with: {study.again}") from None
    except (EosinError, RuntimeError, ValueError, MemoryError) as error:
        # A leak would meet every trial; other errors fail this one only.
        if isinstance(error, StoreError | FailureError) and not isinstance(error, TrainingError):
            raise
        own = isinstance(error, EosinError)
        state, reason = "FAIL", str(error) if own else f"{type(error).__name__}: {error}"
    with study.writing():
        rows = run.metrics()
        if reason:
            trial.set_user_attr("reason", reason)
        trial.set_user_attr("epochs", len(rows))
        trial.set_user_attr("seconds", round(rows[-1]["seconds"], 2) if rows else 0.0)
        journal.tell(trial, value, state=TrialState[state])
        # The checkpoint is three times as large as the weights.
        (run / "resume.pt").unlink(missing_ok=True)
    row = rows_of(journal)[number]
    study.note(
        {
            "complete": f"trial {number}: {search.plan.words} {row.value or 0.0:.4f}",
            "pruned": f"trial {number} pruned after epoch {row.epochs}: below the median",
        }.get(row.state, f"trial {number} failed: {reason}")
    )


def _value(search: Search, trial: Any, run: RunFolder, recipe: Recipe) -> float:
    """Train, or resume; the metric of the epoch whose weights are kept."""

    @contextmanager
    def watch(session: Session) -> Iterator[Reporter]:
        def epoch_done(row: dict[str, Any]) -> None:
            reporter.epoch_done(row)
            _report(trial, search.plan.metric, recipe, [row])

        with search.study.watch(session) as reporter:
            yield replace(reporter, epoch_done=epoch_done)

    def trained() -> None:
        session, resume = open_trial(search, run, recipe)
        if resume and not run.finished:
            # The process may have ended before it reported its last epochs.
            _report(trial, search.plan.metric, run.recipe(), run.metrics())
        train(session, resume=resume, watch=watch)

    try:
        trained()
    except RunError as error:
        search.study.note(f"trial {trial.number} starts again: {error}")
        if run.path.exists():
            discard_run(run.path)
        trained()
    value = kept_value(run, search.plan.metric)
    if value is None:
        raise TrainingError(
            f"{search.plan.metric} is not a number after {len(run.metrics())} epochs"
        )
    return value


def kept_value(run: RunFolder, metric: str) -> float | None:
    """The metric after the epoch whose weights a finished run kept; None if it is not a number."""
    kept = ModelFacts.of_run(run.path).kept_epoch
    rows = [row for row in run.metrics() if metric in row]
    at = [row for row in rows if row["epoch"] == kept] or rows
    value = at[-1][metric] if at else None
    return float(value) if value is not None and math.isfinite(value) else None


def open_trial(search: Search, run: RunFolder, recipe: Recipe) -> tuple[Session, bool]:
    """The session of a run, new or resumed, without test rows; and whether a checkpoint is there.

    Raises FailureError where test rows came back into it.
    """
    options = {"allow_leaks": search.plan.allow_leaks, "weights": search.plan.weights}
    planned = PlannedRun(run.path.name, search.split, recipe, options=options)
    session, resume = open_run(search.study.store, planned, run.path)
    if len(session.parts["test"]):
        raise FailureError(f"{run.path}: {len(session.parts['test'])} test patches in a search")
    parts = {name: session.parts[name] for name in ("train", "val")}
    return replace(session, parts=parts), resume


def _report(trial: Any, metric: str, recipe: Recipe, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Report the epochs that the journal lacks, and end a trial that is below the median."""
    reported = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    rows = [row for row in metrics if row.get(metric) is not None]
    for row in rows:
        # A trial that starts again measures its first epochs a second time.
        if row["epoch"] not in reported:
            trial.report(row[metric], step=row["epoch"])
    # Trial 0 is what the others are compared with, and a trained network saves nothing.
    unfinished = bool(rows) and rows[-1]["epoch"] < recipe.epochs
    if trial.number and unfinished and trial.should_prune():
        raise _Pruned


def _count_attempt(trial: Any, run: RunFolder, *, back: bool = False) -> None:
    """Count how often a trial was started in one epoch, without stops that were asked for.

    Raises TrainingError where its process was killed too often.
    """
    epoch, count = trial.user_attrs.get("attempts", (0, 0))
    if back:
        trial.set_user_attr("attempts", [epoch, max(0, count - 1)])
        return
    if (epochs := len(run.metrics())) > epoch:
        epoch, count = epochs, 0
    if count >= MOST_ATTEMPTS:
        raise TrainingError(
            f"its process was killed {count} times in epoch {epoch + 1}; most likely the machine's "
            "memory ran out: allow smaller batches or networks, or fewer workers"
        )
    trial.set_user_attr("attempts", [epoch, count + 1])
