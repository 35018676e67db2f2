"""Everything that a report is made from, read from a run folder; what is missing has a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
from markupsafe import Markup

from eosin.data.store import PatchStore
from eosin.data.views import in_order
from eosin.errors import EosinError, RunError
from eosin.evaluation.curves import Curves
from eosin.records.agreement import check_agreement
from eosin.records.environment import RunEnvironment
from eosin.records.evaluation import Evaluation
from eosin.records.model import ModelFacts
from eosin.records.shared import shared_evaluation, shared_model, shared_text
from eosin.reporting.blocks import MissingPart
from eosin.reporting.words import sentence
from eosin.runs import RunFolder
from eosin.sources.files import read_predictions
from eosin.splitting.seen import case_names
from eosin.texts import from_toml, read_text

if TYPE_CHECKING:
    from eosin.models.classifier import Classifier

T = TypeVar("T")


@dataclass(frozen=True)
class Material:
    """The files of an evaluation, as far as they are there."""

    #: Where evaluation.json is: the run folder, or an evaluation on another store.
    folder: Path
    #: The run folder.
    run: Path
    evaluation: Evaluation
    #: None where model.json is missing or damaged.
    model: ModelFacts | None = None
    environment: RunEnvironment = field(default_factory=RunEnvironment)
    #: The text of recipe.toml, or "".
    recipe_text: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    #: Predictions of the measured part, a row a patch.
    table: pl.DataFrame | None = None
    store: PatchStore | None = None
    #: Why a thing is missing: "store", "table", or the name of a file.
    missing: dict[str, str] = field(default_factory=dict)
    #: What could not be made, in sentences; grows while the report is made.
    problems: list[str] = field(default_factory=list)
    #: Figures by name, each drawn once for all that is made from this.
    drawings: dict[str, Markup] = field(default_factory=dict)

    def attempt(self, what: str, make: Callable[[], T]) -> T | str:
        """What ``make`` gives, or the sentence on why there is none: nothing stops the rest."""
        try:
            return make()
        except MissingPart as missing:
            return str(missing)
        except Exception as error:
            text = f"{what} could not be made: {type(error).__name__}: {error}"
            self.problems.append(text)
            return sentence(text)

    def shared(self) -> Material:
        """The same as others may see it: no absolute path, no name of a case."""
        model, evaluation = self.model, self.evaluation
        key = (model and model.store_digest) or evaluation.store.digest
        names = case_names(RunFolder(self.run)) | {row.case for row in evaluation.cases}
        if self.store is not None:
            names |= {str(case) for case in np.unique(self.store.cases)} - {""}

        def text(sentence: str) -> str:
            return shared_text(sentence, names, key)

        environment = shared_evaluation(self.environment.to_json(), key, names)
        command = {"command": text(self.environment.command)}
        return replace(
            self,
            folder=_shared_path(self.folder),
            run=_shared_path(self.run),
            evaluation=Evaluation.model_validate(
                shared_evaluation(evaluation.to_json(), key, names)
            ),
            model=model and shared_model(model, names),
            environment=RunEnvironment.model_validate(environment | command),
            recipe_text=text(self.recipe_text),
            missing={what: text(why) for what, why in self.missing.items()},
            problems=[],  # of the report's pictures, which a card does not have
        )

    @property
    def name(self) -> str:
        """What was evaluated: the run's name, and that of the exported file if it was one."""
        exported = self.evaluation.exported
        if exported is None:
            return self.run.resolve().name
        return f"{exported.run or 'exported model'}, {Path(exported.file).name}"

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe's keys and values; empty where its file is damaged."""
        try:
            return from_toml(self.recipe_text)
        except ValueError as error:
            self.problems.append(f"recipe.toml is damaged ({error})")
            return {}

    @cached_property
    def curves(self) -> Curves:
        """The curves of the measured part; raises MissingPart with the reason where none are."""
        classes = self.evaluation.classes
        if len(classes) != 2:
            raise MissingPart(
                f"This figure is defined for two classes; here there are {len(classes)}."
            )
        table = self.needed_table()
        columns = [f"p_{name}" for name in classes]
        if absent := [name for name in columns if name not in table.columns]:
            raise MissingPart(f"predictions.parquet has no column {absent[0]}.")
        probabilities = table.select(pl.col(columns).cast(pl.Float64)).to_numpy()
        curves = Curves.of(table["label"].to_numpy().astype(np.int64), probabilities)
        assert curves is not None
        return curves

    @cached_property
    def network(self) -> Classifier | None:
        """The network, for explanation maps; None where it cannot be loaded."""
        from eosin.errors import missing_extra

        why = "an exported file does not open its network"
        if self.evaluation.exported is None:
            try:
                from eosin.models.classifier import load_classifier

                return load_classifier(self.run)[0].eval()
            except EosinError as error:
                why = str(error)
            except ModuleNotFoundError as error:
                # A report can be made again where torch is not installed.
                why = str(missing_extra(error, "a map of the network") or "")
                if not why:
                    raise
        self.problems.append(f"no explanation maps: {why}")
        return None

    def needed_table(self) -> pl.DataFrame:
        """The predictions; raises MissingPart with the reason where there are none."""
        if self.table is None:
            raise MissingPart(self.missing.get("table", "There are no predictions."))
        return self.table

    def needed_store(self) -> PatchStore:
        """The store; raises MissingPart with the reason where it cannot be opened."""
        if self.store is None:
            raise MissingPart(self.missing.get("store", "There is no store."))
        return self.store


def read(path: str | os.PathLike[str], store: PatchStore | str | Path | None = None) -> Material:
    """Read a run folder, or a folder that `eosin evaluate --store` made.

    store: an opened store or where it is now; by default where the evaluation found it.
    Raises RunError where there is no evaluation, where it was interrupted before the model kept
    what was fitted, or where ``store`` is not the evaluated one.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; make a run with: eosin train STORE -o RUN")
    evaluation = Evaluation.read(folder)
    places = [folder, folder.resolve().parent, recorded(evaluation.run, folder, evaluation)]
    run = next((place for place in places if (place / "recipe.toml").is_file()), folder)
    missing: dict[str, str] = {}
    files = RunFolder(run)
    model = _tried(lambda: ModelFacts.of_run(run), None, missing, "model.json")
    if model is not None and run == folder:
        check_agreement(evaluation.fitted_digest, model.fitted, run)
    return Material(
        folder=folder,
        run=run,
        evaluation=evaluation,
        model=model,
        environment=_tried(
            lambda: RunEnvironment.model_validate(files.read_json("environment.json")),
            RunEnvironment(),
            missing,
            "environment.json",
        ),
        recipe_text=_tried(lambda: read_text(run / "recipe.toml"), "", missing, "recipe.toml"),
        metrics=_tried(files.metrics, [], missing, "metrics.jsonl"),
        table=_table(folder, evaluation.part, missing),
        store=_store(folder, evaluation, store, missing),
        missing=missing,
    )


def recorded(path: str, folder: Path, evaluation: Evaluation) -> Path:
    """Where a path of evaluation.json is now: as written, or by the place of the evaluation.

    A relative path was typed in the working folder of that time. It is looked for from here, from
    the evaluation's folder, and from where the recorded path of the run leads to that folder.
    """
    here = folder.resolve()
    bases = [Path(), here]
    run = Path(evaluation.run)
    depth = len(run.parts)
    if evaluation.run and not run.is_absolute() and ".." not in run.parts:
        bases += [base.parents[depth - 1] for base in (here, here.parent) if _ends(base, run)]
    places = [base / path for base in bases]
    return next((place for place in places if place.exists()), Path(path))


def _shared_path(path: Path) -> Path:
    return Path(path.name) if path.is_absolute() else path


def _ends(base: Path, run: Path) -> bool:
    return len(base.parents) >= len(run.parts) and base.parts[-len(run.parts) :] == run.parts


def _tried(read: Callable[[], T], otherwise: T, missing: dict[str, str], name: str) -> T:
    """What a file says, or ``otherwise`` where it is missing or damaged, with the reason."""
    try:
        return read()
    except (EosinError, OSError, ValueError) as error:
        missing[name] = f"{name} cannot be read: {error}."
        return otherwise


def _table(folder: Path, part: str, missing: dict[str, str]) -> pl.DataFrame | None:
    path = folder / "predictions.parquet"
    try:
        return read_predictions(path).filter(pl.col("part") == part)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        why = "is missing" if not path.is_file() else f"cannot be read ({error})"
        missing["table"] = f"predictions.parquet {why}; make it with: eosin evaluate."
        return None


def _store(
    folder: Path,
    evaluation: Evaluation,
    chosen: PatchStore | str | Path | None,
    missing: dict[str, str],
) -> PatchStore | None:
    digest, path = evaluation.store.digest, evaluation.store.path
    if chosen is not None:
        opened = chosen if isinstance(chosen, PatchStore) else PatchStore.open(chosen)
        if digest and opened.digest != digest:
            raise RunError(
                f"{opened.path} is not the store of this evaluation ({opened.digest[:12]}, "
                f"evaluated was {digest[:12]}); give the path of that one with --store"
            )
        return _as_measured(opened, evaluation)
    try:
        if not path:
            raise RunError("evaluation.json does not name its store")
        place = recorded(path, folder, evaluation)
        if not place.exists() and evaluation.store.relative:
            place = folder / evaluation.store.relative
        opened = PatchStore.open(place)
        if digest and opened.digest != digest:
            raise RunError(f"{path} is another store now")
    except (EosinError, OSError, ValueError) as error:
        missing["store"] = (
            f"No pictures, because the store cannot be opened: {error}. "
            "Give its path with: eosin report RUN --store STORE."
        )
        return None
    return _as_measured(opened, evaluation)


def _as_measured(store: PatchStore, evaluation: Evaluation) -> PatchStore:
    """The store with its classes in the order of the evaluation."""
    return in_order(store, evaluation.classes) if evaluation.classes else store
