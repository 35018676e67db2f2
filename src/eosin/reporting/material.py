"""Everything that a report is made from, read from a run folder; what is missing has a reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import EosinError, RunError
from eosin.reporting.blocks import MissingPart
from eosin.runs import RunFolder


@dataclass(frozen=True)
class Material:
    """The files of an evaluation, as far as they are there."""

    #: Where evaluation.json lies: the run folder, or an evaluation on another store.
    folder: Path
    #: The run folder.
    run: Path
    evaluation: Mapping[str, Any]
    model: Mapping[str, Any]
    environment: Mapping[str, Any]
    recipe: str
    metrics: list[dict[str, Any]]
    #: Predictions of the measured part, a row a patch.
    table: pl.DataFrame | None
    store: PatchStore | None
    #: Why a thing is not there: "store", "table", "model", ...
    gone: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return [str(name) for name in self.evaluation.get("classes") or ()]

    @property
    def name(self) -> str:
        """What was evaluated: the run's name, and that of the exported file if it was one."""
        exported = self.evaluation.get("exported")
        if not exported:
            return self.run.resolve().name
        file = Path(str(exported.get("file"))).name
        return f"{exported.get('run') or 'exported model'}, {file}"

    @property
    def binary(self) -> bool:
        """Whether there are two classes, the second being positive."""
        return len(self.classes) == 2

    def truth(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """y_true int64 [N] and y_prob float64 [N, K] of the measured part."""
        table = self.needed_table()
        columns = [f"p_{name}" for name in self.classes]
        absent = [name for name in columns if name not in table.columns]
        if absent:
            raise MissingPart(f"predictions.parquet has no column {absent[0]}.")
        probabilities = np.stack([table[name].to_numpy() for name in columns], axis=1)
        return table["label"].to_numpy().astype(np.int64), probabilities.astype(np.float64)

    def needed_table(self) -> pl.DataFrame:
        """The predictions; raises MissingPart with the reason where there are none."""
        if self.table is None:
            raise MissingPart(self.gone["table"])
        return self.table

    def needed_store(self) -> PatchStore:
        """The store; raises MissingPart with the reason where it is gone."""
        if self.store is None:
            raise MissingPart(self.gone["store"])
        return self.store


def read(path: str | os.PathLike[str], store: PatchStore | str | Path | None = None) -> Material:
    """Read a run folder, or a folder that `eosin evaluate --store` made.

    store: an opened store or where it is now; by default where the evaluation found it.
    Raises RunError where there is no evaluation, or where ``store`` is not the evaluated one.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; make a run with: eosin train STORE -o RUN")
    if not (folder / "evaluation.json").is_file():
        raise RunError(f"{folder} has no evaluation.json; make it with: eosin evaluate {folder}")
    evaluation = RunFolder(folder).read_json("evaluation.json")
    run = _run_of(folder, evaluation)
    gone: dict[str, str] = {}
    opened = _store(evaluation, store, gone)
    return Material(
        folder=folder,
        run=run,
        evaluation=evaluation,
        model=_facts(run, "model.json", gone),
        environment=_facts(run, "environment.json", gone),
        recipe=_text(run / "recipe.toml"),
        metrics=_metrics(run, gone),
        table=_table(folder, evaluation, gone),
        store=opened,
        gone=gone,
    )


def _run_of(folder: Path, evaluation: Mapping[str, Any]) -> Path:
    """The run that was evaluated: here, the folder above, or where the evaluation says."""
    places = [folder, folder.resolve().parent, Path(str(evaluation.get("run", folder)))]
    return next((place for place in places if (place / "recipe.toml").is_file()), folder)


def _facts(run: Path, name: str, gone: dict[str, str]) -> dict[str, Any]:
    try:
        return RunFolder(run).read_json(name)
    except EosinError as error:
        gone[name] = f"{error}."
        return {}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""


def _metrics(run: Path, gone: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return RunFolder(run).metrics()
    except (EosinError, OSError, ValueError) as error:
        gone["metrics"] = f"metrics.jsonl cannot be read: {error}."
        return []


def _table(
    folder: Path, evaluation: Mapping[str, Any], gone: dict[str, str]
) -> pl.DataFrame | None:
    path = folder / "predictions.parquet"
    try:
        table = pl.read_parquet(path)
        return table.filter(pl.col("part") == str(evaluation.get("part")))
    except (OSError, pl.exceptions.PolarsError) as error:
        why = "is not there" if not path.is_file() else f"cannot be read ({error})"
        gone["table"] = f"predictions.parquet {why}; make it with: eosin evaluate."
        return None


def _store(
    evaluation: Mapping[str, Any],
    given: PatchStore | str | Path | None,
    gone: dict[str, str],
) -> PatchStore | None:
    facts = evaluation.get("store") or {}
    digest = facts.get("digest")
    if given is not None:
        opened = given if isinstance(given, PatchStore) else PatchStore.open(given)
        if digest and opened.digest != digest:
            raise RunError(
                f"{opened.path} is not the store of this evaluation ({opened.digest[:12]}, "
                f"evaluated was {str(digest)[:12]}); say where that one is with --store"
            )
        return opened
    recorded = facts.get("path")
    try:
        if not recorded:
            raise RunError("evaluation.json does not name its store")
        opened = PatchStore.open(str(recorded))
        if digest and opened.digest != digest:
            raise RunError(f"{recorded} holds another store now")
    except (EosinError, OSError, ValueError) as error:
        gone["store"] = (
            f"No pictures, because the store cannot be opened: {error}. "
            "Say where it is now with: eosin report RUN --store STORE."
        )
        return None
    return opened
