"""One trial after another: each an ordinary run folder, judged on the validation part alone."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import (
    EosinError,
    FailureError,
    LeakError,
    RunError,
    StoppedError,
    StoreError,
    TrainingError,
)
from eosin.runs import RunFolder
from eosin.search.plan import METRICS, Plan
from eosin.search.space import shown
from eosin.search.study import Claimed, claim, trial_recipe
from eosin.splitting.split_file import Split, split_text
from eosin.training.loop import Reporter
from eosin.training.session import Session, fit, reopen, start

#: Makes a context that shows a run's progress and asks it to stop, as `eosin train` does.
Watch = Callable[[Session], AbstractContextManager[Reporter]]
#: A trial whose process was killed so often in one epoch has failed: most likely memory runs out.
MOST_ATTEMPTS = 3

_NEEDED = ("recipe.toml", "split.csv", "environment.json", "seen.parquet")


class _Pruned(Exception):
    """Below the median after an epoch."""


@contextmanager
def unwatched(session: Session) -> Iterator[Reporter]:
    """Train in silence."""
    yield Reporter()


def trial_name(number: int) -> str:
    """The folder of a trial.

    >>> trial_name(3)
    'trial-003'
    """
    return f"trial-{number:03d}"


def work(
    study: Any,
    plan: Plan,
    folder: Path,
    store: PatchStore,
    split: Split,
    *,
    watch: Watch = unwatched,
    said: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Claim trials and run them until none is left.

    Raises StoppedError where the reporter or ``stop`` asks for it: the trial under way keeps its
    checkpoint; LeakError, StoreError and FailureError for what would meet every trial.
    """
    while True:
        if stop():
            raise StoppedError(f"stopped between two trials; {again(folder)}")
        claimed = claim(study, plan, folder)
        if claimed is None:
            return
        try:
            _run(study, claimed, plan, folder, store, split, watch, said)
        finally:
            claimed.lock.release()


def again(folder: Path) -> str:
    """How to go on, for the end of a sentence."""
    return f"go on with: eosin search --resume {folder}"


def _run(
    study: Any,
    claimed: Claimed,
    plan: Plan,
    folder: Path,
    store: PatchStore,
    split: Split,
    watch: Watch,
    said: Callable[[str], None],
) -> None:
    """One trial to its end: complete, pruned or failed, each told to the study."""
    trial, number = claimed.trial, claimed.number
    run = RunFolder(folder / trial_name(number))
    settings = ", ".join(f"{key} {shown(value)}" for key, value in claimed.values.items())
    taken = "taken up again" if claimed.taken_up else f"of {plan.trials}"
    given = " (the recipe as given)" if number == 0 else ""
    said(f"trial {number}{given}, {taken}: {settings}")
    trial.set_user_attr("values", claimed.values)
    try:
        recipe = trial_recipe(plan, number, claimed.values)
        _count_attempt(trial, run)
        value = _value(trial, plan, run, store, split, recipe, watch, said)
    except _Pruned:
        _end(study, trial, run, "PRUNED")
        said(f"trial {number} pruned after epoch {len(run.metrics())}: below the median")
        return
    except StoppedError:
        _count_attempt(trial, run, back=True)
        raise StoppedError(
            f"stopped in trial {number}, its state is saved; {again(folder)}"
        ) from None
    except (LeakError, StoreError, FailureError) as error:
        # The trial's own trouble is a failed trial; a leak or a full disk would meet every one.
        if not isinstance(error, TrainingError) or "cannot be written" in str(error):
            raise
        _failed(study, trial, run, str(error), said)
        return
    except EosinError as error:
        _failed(study, trial, run, str(error), said)
        return
    except OSError as error:
        raise FailureError(
            f"trial {number} cannot go on: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}; once the cause is mended "
            f"{again(folder)}"
        ) from None
    except (RuntimeError, ValueError, MemoryError) as error:
        _failed(study, trial, run, f"{type(error).__name__}: {error}", said)
        return
    _end(study, trial, run, "COMPLETE", value)
    said(f"trial {number}: {METRICS[plan.metric][0]} {value:.4f}")


def _value(
    trial: Any,
    plan: Plan,
    run: RunFolder,
    store: PatchStore,
    split: Split,
    recipe: Recipe,
    watch: Watch,
    said: Callable[[str], None],
) -> float:
    """Train, or go on; the metric of the epoch whose weights are kept."""
    session, going_on = session_of(run, store, split, recipe, plan)
    if not run.finished:
        if going_on:
            _replay(trial, plan, run)
        with watch(session) as reporter:
            reporter = _reporting(reporter, trial, plan, recipe)
            try:
                fit(session, reporter=reporter, resume=going_on)
            except RunError as error:
                if not going_on:
                    raise
                said(f"trial {trial.number} begins again: {error}")
                shutil.rmtree(run.path)
                session, _ = session_of(run, store, split, recipe, plan)
                fit(session, reporter=reporter)
    value = kept_value(run, plan.metric)
    if value is None:
        raise TrainingError(f"{plan.metric} is not a number after {len(run.metrics())} epochs")
    return value


def kept_value(run: RunFolder, metric: str) -> float | None:
    """The metric after the epoch whose weights a finished run kept; None where it is no number."""
    kept = run.read_json("model.json").get("kept_epoch")
    rows = [row for row in run.metrics() if metric in row]
    at = [row for row in rows if row["epoch"] == kept] or rows
    value = at[-1][metric] if at else None
    return float(value) if value is not None and math.isfinite(value) else None


def session_of(
    run: RunFolder, store: PatchStore, split: Split, recipe: Recipe, plan: Plan
) -> tuple[Session, bool]:
    """The session of a trial's folder, new or gone on with, and whether a checkpoint is there.

    It holds training and validation rows only.
    """
    session: Session | None = None
    if all((run / name).is_file() for name in _NEEDED):
        found = reopen(run.path, str(store.path))
        if found.recipe == recipe and split_text(found.split) == split_text(split):
            session = found
    if session is None:
        if run.path.exists():
            # Killed while the folder was being made.
            shutil.rmtree(run.path)
        session, _ = start(
            store, split, recipe, run.path, allow_leaks=plan.allow_leaks, weights=plan.weights
        )
    if len(session.parts["test"]):
        raise FailureError(f"{run.path}: {len(session.parts['test'])} test patches in a search")
    parts = {name: session.parts[name] for name in ("train", "val")}
    return replace(session, parts=parts), (run / "resume.pt").is_file()


def _reporting(shown_to: Reporter, trial: Any, plan: Plan, recipe: Recipe) -> Reporter:
    """The same reporter, which also reports each epoch to the study and ends a poor trial."""
    reported = _reported(trial)

    def epoch_done(row: dict[str, Any]) -> None:
        shown_to.epoch_done(row)
        if row.get(plan.metric) is None:
            return
        # A trial that begins again measures its first epochs a second time.
        if row["epoch"] not in reported:
            trial.report(row[plan.metric], step=row["epoch"])
        _prune(trial, row["epoch"], recipe)

    return replace(shown_to, epoch_done=epoch_done)


def _prune(trial: Any, epoch: int, recipe: Recipe) -> None:
    # Trial 0 is what the others are compared with, and a trained network is no saving.
    if trial.number and epoch < recipe.epochs and trial.should_prune():
        raise _Pruned


def _replay(trial: Any, plan: Plan, run: RunFolder) -> None:
    """Report what was measured before the process ended; it may have had no time to."""
    reported = _reported(trial)
    rows = [row for row in run.metrics() if row.get(plan.metric) is not None]
    for row in rows:
        if row["epoch"] not in reported:
            trial.report(row[plan.metric], step=row["epoch"])
    if rows:
        _prune(trial, rows[-1]["epoch"], run.recipe())


def _reported(trial: Any) -> set[int]:
    """Epochs that the study knows of."""
    return set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)


def _count_attempt(trial: Any, run: RunFolder, *, back: bool = False) -> None:
    """Count how often a trial was begun in one epoch; a stop that was asked for does not count.

    Raises TrainingError where its process was killed too often.
    """
    epochs = len(run.metrics())
    epoch, count = trial.user_attrs.get("attempts", (0, 0))
    if back:
        trial.set_user_attr("attempts", [epoch, max(0, count - 1)])
        return
    if epochs > epoch:
        epoch, count = epochs, 0
    if count >= MOST_ATTEMPTS:
        raise TrainingError(
            f"its process was killed {count} times in epoch {epoch + 1}; most likely the machine's "
            "memory ran out: allow smaller batches or networks, or fewer workers"
        )
    trial.set_user_attr("attempts", [epoch, count + 1])


def _failed(
    study: Any, trial: Any, run: RunFolder, reason: str, said: Callable[[str], None]
) -> None:
    trial.set_user_attr("reason", reason)
    _end(study, trial, run, "FAIL")
    said(f"trial {trial.number} failed: {reason}")


def _end(study: Any, trial: Any, run: RunFolder, state: str, value: float | None = None) -> None:
    """Tell the study; the checkpoint, three times as large as the weights, is needed no more."""
    from optuna.trial import TrialState

    rows = run.metrics()
    trial.set_user_attr("epochs", len(rows))
    trial.set_user_attr("seconds", round(rows[-1]["seconds"], 2) if rows else 0.0)
    study.tell(trial, value, state=TrialState[state])
    (run / "resume.pt").unlink(missing_ok=True)
