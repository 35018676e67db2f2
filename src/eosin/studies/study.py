"""A study: planned runs in one folder. What is finished is left, what was stopped is resumed.

Started again after any end (Ctrl-C, a kill, a full disk) it does only what is missing, and gives
the same result as if it had never been stopped. Failures of single runs are collected.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.disks import writing
from eosin.errors import (
    DiskError,
    EosinError,
    FailureError,
    LeakError,
    RecipeError,
    RunError,
    StoppedError,
    StoreError,
    UserError,
)
from eosin.folders import check_target, clear, make_folder
from eosin.locks import working_on
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.runs import RunFolder, environment
from eosin.splitting.split_file import Split, split_text
from eosin.studies.plan import PLAN, Plan, differences, earlier_plan, refuse_other
from eosin.training.loop import Reporter
from eosin.training.session import Session, at_scale, fit, reopen, start

FORMAT = 1
#: A folder with all of these is a run that was started; with fewer it was killed in the making.
_COMPLETE = ("recipe.toml", "split.csv", "environment.json", "seen.parquet")

T = TypeVar("T")
#: Makes a context that shows a run's progress and asks it to stop, as `eosin train` does.
Watch = Callable[[Session], AbstractContextManager[Reporter]]
#: Shows a person what comes next.
Note = Callable[[str], None]


@contextmanager
def unwatched(session: Session) -> Iterator[Reporter]:
    """Train in silence."""
    yield Reporter()


def silent(text: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class PlannedRun:
    """One run to be made.

    name: of its folder; title: what a person calls it; options: further ones of ``start``.
    """

    name: str
    split: Split
    recipe: Recipe
    fold: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True)
class Job(Generic[T]):
    """One step of a study: the folder it fills, what a person calls it, and how it is done."""

    name: str
    title: str
    do: Callable[[], T]


@dataclass(frozen=True)
class Done(Generic[T]):
    """The results of the jobs of a study."""

    finished: dict[str, T]
    #: Name -> why the job failed, in a sentence.
    failed: dict[str, str]

    def some(self) -> Done[T]:
        """Itself; raises FailureError where no job finished."""
        if not self.finished:
            first = next(iter(self.failed.values()), "none was planned")
            count = len(self.failed)
            raise FailureError(f"not one of {count} runs finished; the first failed: {first}")
        return self


@dataclass(frozen=True)
class StudyResult:
    """The result of a study and where it was written."""

    result: dict[str, Any]
    folder: Path
    files: tuple[str, ...]
    #: Run -> why it failed.
    failed: dict[str, str]


@dataclass(frozen=True)
class Study:
    """The folder of a study, open for work; ``again`` is the command that resumes it."""

    store: PatchStore
    plan: Plan
    folder: RunFolder
    again: str
    watch: Watch = unwatched
    note: Note = silent

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        store: PatchStore,
        plan: Plan,
        *,
        force: bool = False,
        inputs: Mapping[str, Path | None] | None = None,
        files: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Study:
        """The folder of a study, new or one to resume; it has plan.json afterwards.

        force: start over; what the folder has of an earlier study is removed, and nothing else.
        inputs: what else the study reads, by the option that names it, which must not be in the
        folder. files: name -> text of what belongs to the plan. options: again (the command that
        resumes, by default `eosin STUDY`), watch and note (called with the progress).
        Raises UserError where the folder contains something else, or a study with other settings
        of which something is trained.
        """
        folder, source = RunFolder(path), store.path.resolve()
        if folder.path.resolve().is_relative_to(source):
            raise UserError(f"{folder.path} is inside the store; choose a folder beside it")
        check_target(folder.path, "study", force=True, inputs={"STORE": source, **(inputs or {})})
        study = cls(store, plan, folder, **{"again": f"eosin {plan.study}", **options})
        with study.alone(), study.writing():
            new = force or not (folder / PLAN).is_file()
            if not new and has_trained(folder):
                refuse_other(folder, plan)
            elif not new:
                new = bool(differences(earlier_plan(folder), plan.to_dict(), plan.counted))
            if new and (kept := make_folder(folder.path, "study", force=True)):
                study.note(f"left in {folder.path}: {', '.join(kept)}")
            for name, text in (files or {}).items():
                folder.write_text(name, text)
            # Last: a folder with a plan is complete.
            folder.write_json(PLAN, plan.to_dict())
        return study

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process in the folder; a search is open to several, one trial each.

        Raises BusyError where another process works in it.
        """
        task = f"eosin {self.plan.study}"
        several = self.plan.study == "search"
        with nullcontext() if several else working_on(self.folder.path, task):
            yield

    def trained(self, planned: PlannedRun) -> Session:
        """The session of a planned run, trained to its end; a finished one is only opened."""
        session, resume = open_run(self.store, planned, self.folder / planned.name)
        return train(session, resume=resume, watch=self.watch)

    def do(self, jobs: Iterable[Job[T]]) -> Done[T]:
        """Do one job after the other; one that fails is collected with its cause.

        Raises StoppedError at Ctrl-C; LeakError, RecipeError and StoreError at once, as every run
        would meet them.
        """
        with self.alone():
            return self._do(list(jobs))

    def _do(self, listed: list[Job[T]]) -> Done[T]:
        done: Done[T] = Done({}, {})
        seconds: list[float] = []
        runs = [RunFolder(self.folder / job.name) for job in listed]
        for number, (job, run) in enumerate(zip(listed, runs, strict=True)):
            try:
                if run.finished:
                    seconds.append(ModelFacts.of_run(run.path).train_seconds or 0.0)
                    done.finished[job.name] = job.do()
                    continue
                left = sum(not each.finished for each in runs[number:])
                text = f"{job.title} (run {number + 1} of {len(listed)}); "
                text += f"{left - 1} more after it" if left > 1 else "the last one"
                if seconds:
                    text += f", about {in_words(left * float(np.mean(seconds)))} in all"
                self.note(text)
                started = time.perf_counter()
                done.finished[job.name] = job.do()
                seconds.append(time.perf_counter() - started)
            except StoppedError:
                raise StoppedError(
                    f"stopped in {job.title}; {len(done.finished)} of {len(listed)} runs are "
                    f"finished and the state is saved; resume with: {self.again}"
                ) from None
            except (LeakError, RecipeError, StoreError):
                self._withdraw()
                raise
            except DiskError as error:
                # Every run would meet it.
                raise error.followed_by(f"resume with: {self.again}") from None
            except (EosinError, OSError, RuntimeError, ValueError, MemoryError) as error:
                # A lost device must not cost the other runs.
                own = isinstance(error, EosinError)
                why = str(error) if own else f"{type(error).__name__}: {error}"
                if run.finished:
                    why += f"; remove {run.path} and the run is made again"
                done.failed[job.name] = why
                self.note(f"{job.title} failed: {why}")
        return done

    def _withdraw(self) -> None:
        """Remove a folder in which nothing was trained: a refused study leaves none behind."""
        folder = self.folder.path
        alone = self.plan.study != "search" and not has_trained(self.folder)
        if alone and not clear(folder, "study"):
            shutil.rmtree(folder, ignore_errors=True)

    def result(
        self, marks: Sequence[str], failed: Mapping[str, str], **content: Any
    ) -> dict[str, Any]:
        """The content of a result file: what every study records, and its own."""
        return {
            "version": FORMAT,
            "study": self.plan.study,
            "marks": list(dict.fromkeys(marks)),
            **content,
            "failed": dict(failed),
            "recipe": self.plan.recipe.model_dump(),
            "store": dict(self.plan.store),
            "command": self.again,
            "environment": environment(),
            "intended_use": INTENDED_USE,
        }

    def write(
        self,
        result: dict[str, Any],
        files: Mapping[str, str | Callable[[Path], object] | None],
    ) -> StudyResult:
        """Write the files of a result, and STUDY.json last.

        files: name -> its text, or what writes it to a path, or None to remove that of an earlier
        call, which is out of date.
        """
        last = f"{self.plan.study}.json"
        with self.writing():
            for name, content in files.items():
                if content is None:
                    (self.folder / name).unlink(missing_ok=True)
                elif isinstance(content, str):
                    self.folder.write_text(name, content)
                else:
                    content(self.folder / name)
            self.folder.write_json(last, result)
        written = (last, *(name for name, content in files.items() if content is not None))
        return StudyResult(result, self.folder.path, written, dict(result["failed"]))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what cannot be written into a DiskError with the command that resumes."""
        try:
            with writing(self.folder / "."):
                yield
        except DiskError as error:
            raise error.followed_by(f"resume with: {self.again}") from None


def open_run(store: PatchStore, planned: PlannedRun, path: Path) -> tuple[Session, bool]:
    """The session of a run that was started, or a new one; and whether a checkpoint is there.

    Raises RunError where the folder contains a run of another recipe or split.
    """
    if all((path / name).is_file() for name in _COMPLETE):
        session = reopen(path, str(store.path))
        same = session.recipe == at_scale(planned.recipe, store) and session.fold == planned.fold
        if not same or split_text(session.split) != split_text(planned.split):
            raise RunError(
                f"{path} contains a run of another recipe or split than planned; move it away and "
                "it is made again"
            )
        return session, (path / "resume.pt").is_file()
    if path.exists():
        # Killed while the folder was being made: nothing has been trained in it.
        discard_run(path)
    session, _ = start(
        store, planned.split, planned.recipe, path, fold=planned.fold, **planned.options
    )
    return session, False


def discard_run(path: Path) -> None:
    """Remove a run that is made again; raises RunError where there is anything else with it."""
    if kept := [name for name in clear(path, "run") if not name.endswith(".partial")]:
        raise RunError(f"{path} also contains {', '.join(kept)}; move that away")
    shutil.rmtree(path)


def train(session: Session, *, resume: bool, watch: Watch = unwatched) -> Session:
    """Train a run to its end unless it is finished."""
    if not session.run.finished:
        with watch(session) as reporter:
            fit(session, reporter=reporter, resume=resume)
    return session


def marks_of(session: Session) -> list[str]:
    """The marks of a run: leaks, made-up data, a network that learned nothing."""
    run = session.run.path
    diagnoses = ModelFacts.of_run(run).diagnoses
    return [*session.marks, *(f"{run.name}: {each.sentence}" for each in diagnoses)]


def check_classes(store: PatchStore, nothing: str) -> None:
    """Refuse a store without patches (``nothing`` names what cannot be done), or of one class."""
    if not len(store):
        raise StoreError(f"{store.path} has no patches; {nothing}")
    present = np.unique(store.labels)
    if len(present) < 2:
        raise StoreError(
            f"all {len(store):,} patches of {store.path} are {store.classes[present[0]]}; "
            "a classifier needs at least two classes"
        )


def in_words(seconds: float) -> str:
    """A length of time for people.

    >>> in_words(40), in_words(610), in_words(9000)
    ('40 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def has_trained(folder: RunFolder) -> bool:
    """Whether any run has trained for a while: only then is there something to lose."""
    return any(any(folder.path.glob(f"**/{n}")) for n in ("resume.pt", "model.safetensors"))
