"""A series of planned runs: what is finished is left, what was stopped goes on, failures collect.

Called again after any end (Ctrl-C, a kill, a full disk) it does only what is missing, and gives
the same predictions as if it had never been stopped.
"""

from __future__ import annotations

import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import EosinError, LeakError, RecipeError, RunError, StoppedError, StoreError
from eosin.files import whole
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split, split_text
from eosin.training.loop import Reporter
from eosin.training.session import Session, fit, reopen, start

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
#: Makes a context that shows a run's progress and asks it to stop, as `eosin train` does.
Watch = Callable[[Session], AbstractContextManager[Reporter]]

#: The study's own predictions of a finished run, kept so that a second call need not predict.
_MEASURED = "measured.npz"
_NEEDED = ("recipe.toml", "split.csv", "environment.json", "seen.parquet")


@contextmanager
def unwatched(session: Session) -> Iterator[Reporter]:
    """Train in silence."""
    yield Reporter()


@dataclass(frozen=True)
class Planned:
    """One run to be made: its name is that of its folder."""

    name: str
    #: What a person calls it: "seed 0, fold 2".
    title: str
    split: Split
    recipe: Recipe
    fold: int | None = None


@dataclass
class Series:
    """What came of the planned runs."""

    finished: dict[str, Session] = field(default_factory=dict)
    #: Name -> why the run failed, in a sentence.
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> list[str]:
        """What the runs carry: leaks, made-up data, networks that learned nothing."""
        found: list[str] = []
        for name, session in self.finished.items():
            found += session.marks
            facts = ModelFacts.of_run(session.run.path)
            found += [f"{name}: {each.sentence}" for each in facts.diagnoses]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Study:
    """What a study of many runs found and where it was written."""

    result: dict[str, Any]
    folder: Path
    files: tuple[str, ...]
    #: Run -> why it failed.
    failed: dict[str, str]


def run_series(
    store: PatchStore,
    planned: Sequence[Planned],
    folder: Path,
    *,
    again: str,
    allow_leaks: bool = False,
    watch: Watch = unwatched,
    said: Callable[[str], None] = lambda text: None,
) -> Series:
    """Make and measure every planned run that is not finished yet, in a folder of its name.

    again: the command that goes on, for the sentence of StoppedError; said: told what comes next.
    A run that fails is collected with its cause and the next one begins. Raises StoppedError at
    Ctrl-C; LeakError, RecipeError and StoreError at once, as they would meet every run.
    """
    series = Series()
    clock = _Clock()
    for number, plan in enumerate(planned):
        path = folder / plan.name
        done = len(series.finished)
        try:
            if RunFolder(path).finished:
                session = _reopened(path, store, plan)
                clock.known(session)
            else:
                left = sum(not RunFolder(folder / p.name).finished for p in planned[number:])
                said(
                    f"{plan.title} (run {number + 1} of {len(planned)}); "
                    f"{_left(left - 1)}{clock.about(left)}"
                )
                session, going_on = _begun_or_new(path, store, plan, allow_leaks)
                with clock.running(), watch(session) as reporter:
                    fit(session, reporter=reporter, resume=going_on)
            # Here, so that a damaged model costs its own run only.
            measured(session)
            series.finished[plan.name] = session
        except StoppedError:
            raise StoppedError(
                f"stopped in {plan.title}; {done} of {len(planned)} runs are finished and the "
                f"state is saved; go on with: {again}"
            ) from None
        except (LeakError, RecipeError, StoreError):
            raise
        except EosinError as error:
            series.failed[plan.name] = str(error)
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            # A full disk, a device that went away: the other runs must not be lost to it.
            series.failed[plan.name] = f"{type(error).__name__}: {error}"
        if plan.name in series.failed:
            if RunFolder(path).finished:
                series.failed[plan.name] += f"; remove {path} and the run is made again"
            said(f"{plan.title} failed: {series.failed[plan.name]}")
    return series


def _begun_or_new(
    path: Path, store: PatchStore, plan: Planned, allow_leaks: bool
) -> tuple[Session, bool]:
    """The session of a run that was begun, or a new one; and whether a checkpoint is there."""
    if all((path / name).is_file() for name in _NEEDED):
        return _reopened(path, store, plan), (path / "resume.pt").is_file()
    if path.exists():
        # Killed while the folder was being made: nothing has been trained in it.
        shutil.rmtree(path)
    session, _ = start(
        store, plan.split, plan.recipe, path, fold=plan.fold, allow_leaks=allow_leaks
    )
    return session, False


def _reopened(path: Path, store: PatchStore, plan: Planned) -> Session:
    session = reopen(path, str(store.path))
    same = session.recipe == plan.recipe and session.fold == plan.fold
    if not same or split_text(session.split) != split_text(plan.split):
        raise RunError(
            f"{path} holds a run of another recipe or split than planned; move it away and it is "
            "made again"
        )
    return session


class _Clock:
    """How long a run takes, from those made so far."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def known(self, session: Session) -> None:
        """A run finished before: its training time says about how long the next ones take."""
        self.seconds.append(float(session.run.read_json("model.json").get("train_seconds", 0.0)))

    @contextmanager
    def running(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - begun)

    def about(self, runs: int) -> str:
        if not self.seconds:
            return ""
        return f", about {in_words(runs * float(np.mean(self.seconds)))} in all"


def in_words(seconds: float) -> str:
    """A length of time for people.

    >>> in_words(40), in_words(610), in_words(9000)
    ('40 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _left(runs: int) -> str:
    return {0: "the last one", 1: "1 more after it"}.get(runs, f"{runs} more after it")


class Picked:
    """Some rows of a store's patches, read when asked for: uint8 [n, H, W, 3]."""

    def __init__(self, store: PatchStore, rows: Rows) -> None:
        self.patches = store.patches
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        return np.asarray(self.patches[self.rows[index]])


def measured(session: Session) -> dict[str, Probabilities]:
    """Probabilities of a finished run's "val" and "test" part, float32 [n, K], kept in its folder.

    As the network gives them, without calibration, in exact arithmetic (fp32).
    """
    from eosin.inference.predictor import load, predict_rows

    path = session.run / _MEASURED
    parts = {name: session.parts[name] for name in ("val", "test")}
    kept = read_arrays(path)
    if all(name in kept and len(kept[name]) == len(rows) for name, rows in parts.items()):
        return {name: kept[name] for name in parts}
    predictor = load(session.run.path, precision="fp32")
    empty = np.zeros((0, len(session.store.classes)), np.float32)
    found = {
        name: np.concatenate([empty, *predict_rows(predictor, session.store.patches, rows)])
        for name, rows in parts.items()
    }
    write_arrays(path, found)
    return found


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file; none where it is missing or damaged, as it can be made again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
        return {}


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file under a temporary name and put it in its place."""
    with whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
