"""Run folders below a folder, a row each; a damaged one is a row with its reason.

Only small text files are read, never weights, so hundreds of runs take a moment.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from eosin.errors import RunError
from eosin.evaluation.definitions import NAMES
from eosin.records.marks import Mark
from eosin.runs import RunFolder
from eosin.texts import from_toml, read_text

#: Files of a run; a folder with any two of them counts as one, complete or not.
_TRACES = frozenset(
    ("recipe.toml", "environment.json", "metrics.jsonl", "model.json", "resume.pt", "split.csv",
     "seen.parquet")
)  # fmt: skip
#: Folders without runs that may be large.
_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages"))
#: A run saves its state every half minute: one that changed more recently may still be training.
RUNNING_SECONDS = 120.0

FIGURES = (*NAMES, "precision")


@dataclass(frozen=True)
class RunRow:
    """What a table shows of one run; None where it is unknown."""

    #: The path below the folder that was searched.
    name: str
    path: Path
    #: finished, running, unfinished, failed or damaged.
    status: str
    #: Why it is damaged or failed, or how to continue; "" for a finished run.
    remark: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    #: The content of environment.json and of model.json.
    environment: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    #: Figure -> {value, low, high} on the measured part.
    figures: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: test, val or, for another store, all.
    part: str | None = None
    #: The same for two runs exactly where they were measured on the same patches.
    measured: str | None = None
    n_patches: int | None = None
    n_cases: int | None = None
    marks: tuple[str, ...] = ()

    def value(self, key: str) -> Any:
        """The content of a column, or of a recipe key ("arguments.width"); None if unknown."""
        if (column := COLUMNS.get(key)) is not None:
            try:
                found = column.of(self)
            except (TypeError, AttributeError, ValueError, KeyError):
                return None  # of a damaged run, which the remark tells
            return found if not column.number or _finite(found) else None
        result: Any = self.recipe
        for piece in key.split("."):
            result = result.get(piece) if isinstance(result, Mapping) else None
        return result


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    about: str
    of: Callable[[RunRow], Any]
    #: Whether the larger value is the better one; None where there is no better.
    larger: bool | None = None
    number: bool = True


def _figure(name: str) -> Column:
    return Column(
        f"{NAMES.get(name, name)} on the measured part",
        lambda row: (row.figures.get(name) or {}).get("value"),
        larger=name != "brier",
    )


def _recorded(name: str) -> Callable[[RunRow], Any]:
    return lambda row: row.metrics[-1].get(name) if row.metrics else None


def _best_validation(row: RunRow) -> float | None:
    values = (each.get("val_auroc") for each in row.metrics)
    return max(filter(_finite, values), default=None)


def _finite(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


#: Every column that a table, a filter or an order may name.
COLUMNS: dict[str, Column] = {
    "name": Column("the path of the run", lambda row: row.name, number=False),
    "recipe": Column("the recipe", lambda row: row.recipe.get("name"), number=False),
    "network": Column("the network", lambda row: row.recipe.get("network"), number=False),
    "status": Column(
        "finished, running, unfinished, failed or damaged", lambda row: row.status, number=False
    ),
    "epochs": Column("epochs done", lambda row: _epochs(row)),
    "planned": Column("epochs that the recipe asks for", lambda row: row.recipe.get("epochs")),
    "seconds": Column("seconds of training", lambda row: _seconds(row), larger=False),
    "part": Column("what the figures are of", lambda row: row.part, number=False),
    **{name: _figure(name) for name in FIGURES},
    "val_auroc": Column("best validation AUROC during training", _best_validation, larger=True),
    "val_loss": Column("last validation loss", _recorded("val_loss"), larger=False),
    "loss_now": Column("last training loss", _recorded("loss"), larger=False),
    "parameters": Column("parameters", lambda row: row.model.get("parameters"), larger=False),
    "patches": Column("patches measured", lambda row: row.n_patches),
    "cases": Column("cases measured", lambda row: row.n_cases),
    "train_patches": Column("patches trained on", lambda row: row.model.get("train_patches")),
    "seed": Column("the seed", lambda row: row.recipe.get("seed")),
    "fold": Column("the fold tested on", lambda row: row.environment.get("fold")),
    "split": Column("scheme of the split", lambda row: row.model.get("split_scheme"), number=False),
    "store": Column("first digits of the store's digest", lambda row: _store(row), number=False),
    "date": Column("day of the start", lambda row: row.environment.get("date"), number=False),
    "machine": Column("the machine", lambda row: row.model.get("machine"), number=False),
    "marks": Column("how many marks its outputs carry", lambda row: len(row.marks)),
}  # fmt: skip


def _store(row: RunRow) -> str | None:
    result = row.environment.get("store")
    return (result.get("digest", "")[:8] or None) if isinstance(result, Mapping) else None


def _epochs(row: RunRow) -> int | None:
    result = len(row.metrics) or row.model.get("epochs")
    return result if isinstance(result, int) else (None if row.status == "damaged" else 0)


def _seconds(row: RunRow) -> float | None:
    kept = row.model.get("train_seconds")
    result = _recorded("seconds")(row) if kept is None else kept
    return float(result) if _finite(result) else None


def find_runs(folder: str | os.PathLike[str]) -> tuple[list[Path], list[str]]:
    """Run folders at and below a folder, by name; and what could not be read.

    Hidden folders, stores and links are skipped. Raises RunError where there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RunError(
            f"{root}: no such folder; give one with runs in it, for example: eosin runs ."
        )
    result: list[Path] = []
    errors: list[OSError] = []
    for path, folders, files in os.walk(root, onerror=errors.append):
        names = set(files)
        if {"store.json", "patches.npy"} <= names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        if len(names & _TRACES) > 1:
            result.append(Path(path))
    return sorted(result), [f"{error.filename}: {error.strerror}" for error in errors]


def read_rows(folder: str | os.PathLike[str]) -> tuple[list[RunRow], list[str]]:
    """A row for every run at and below a folder; and what could not be read."""
    paths, closed = find_runs(folder)
    root = Path(folder)
    names = [path.relative_to(root).as_posix() for path in paths]
    return [
        read_row(path, name=path.resolve().name if name == "." else name)
        for path, name in zip(paths, names, strict=True)
    ], closed


def read_row(path: str | os.PathLike[str], *, name: str | None = None) -> RunRow:
    """The row of one run folder; whatever is wrong with it is in ``status`` and ``remark``."""
    run = RunFolder(path)
    problems: list[str] = []
    has_model = (run / "model.json").exists()
    facts: dict[str, Any] = {
        "name": name or run.path.name,
        "path": run.path,
        "recipe": _try(problems, lambda: _recipe(run), {}),
        "metrics": _try(problems, run.metrics, []),
        "environment": _try(problems, lambda: run.read_json("environment.json"), {}),
        "model": _try(problems, lambda: run.read_json("model.json"), {}) if has_model else {},
    }
    marks = facts["model"].get("marks") or facts["environment"].get("marks") or []
    facts["marks"] = _try(problems, lambda: tuple(str(Mark.read(mark)) for mark in marks), ())
    if (run / "evaluation.json").exists():
        facts |= _try(problems, lambda: _measured(run), {})
    unknown = ("damaged", "")
    status, remark = unknown if problems else _try(problems, lambda: _status(run, facts), unknown)
    return RunRow(**facts, status=status, remark="; ".join(problems) or remark)


def _try(problems: list[str], read: Callable[[], Any], instead: Any) -> Any:
    """What was read, or ``instead`` and the reason among the problems."""
    try:
        return read()
    except RunError as error:
        problems.append(str(error))
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        problems.append(f"its files contain something unexpected ({type(error).__name__}: {error})")
    return instead


def _recipe(run: RunFolder) -> dict[str, Any]:
    """The recipe as written: one of another version may have keys that this one lacks."""
    try:
        return from_toml(read_text(run / "recipe.toml"))
    except FileNotFoundError:
        raise RunError(f"{run.path} has no recipe.toml") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{run / 'recipe.toml'} cannot be read ({error})") from None


def _measured(run: RunFolder) -> dict[str, Any]:
    """From evaluation.json: part, figures, and which patches these are of."""
    result = run.read_json("evaluation.json")
    store = result.get("store") or {}
    figures = {
        name: {end: result[name].get(end) for end in ("value", "low", "high")}
        for name in FIGURES
        if isinstance(result.get(name), dict)
    }
    cases = [
        (str(row["case"]), row["n"], row.get("positives")) for row in result.get("cases") or []
    ]
    same = json.dumps(
        [store.get("digest"), result["part"], result["n_patches"], result.get("prevalence"),
         sorted(cases, key=str)]
    )  # fmt: skip
    return {
        "figures": figures,
        "part": str(result["part"]),
        "measured": hashlib.blake2b(same.encode(), digest_size=8).hexdigest(),
        "n_patches": int(result["n_patches"]),
        "n_cases": result.get("n_cases"),
        "marks": tuple(str(Mark.read(mark)) for mark in result.get("marks") or ()),
    }


def _status(run: RunFolder, facts: Mapping[str, Any]) -> tuple[str, str]:
    model = facts["model"]
    if run.finished:
        for diagnosis in model.get("diagnoses") or []:
            if diagnosis.get("dead"):
                return "failed", str(diagnosis.get("sentence"))
        return "finished", f"measure it with: eosin evaluate {run.path}" * ("part" not in facts)
    again = f"resume it with: eosin train --resume {run.path}"
    if (run / "failed.json").exists():
        return "failed", str(run.read_json("failed.json").get("sentence"))
    changed = max(
        ((run / name).stat().st_mtime for name in _TRACES if (run / name).exists()), default=0.0
    )
    if (seconds := time.time() - changed) < RUNNING_SECONDS:
        return "running", f"changed {max(0, seconds):.0f} s ago; if it has stopped, {again}"
    return "unfinished", again
