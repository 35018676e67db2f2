"""Assess a run: predict, choose the threshold on validation, and write every figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import EosinError, RunError
from eosin.evaluation.baselines import BASELINES, Baseline
from eosin.evaluation.decisions import Threshold, choose_threshold
from eosin.evaluation.summary import evaluate
from eosin.figures import charts
from eosin.inference.predictor import Predictor, decide, load, predict_rows
from eosin.runs import RunFolder
from eosin.training.session import MADE_UP, Session, reopen, seen_before

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

NO_TEST = (
    "the split has no test part: these figures are on the validation part, on which the threshold "
    "was chosen, so they are somewhat too good"
)


@dataclass(frozen=True)
class Assessment:
    """What an assessment found and where it was written."""

    evaluation: dict[str, Any]
    folder: Path
    files: tuple[str, ...]


class _Rows:
    """Some rows of a memory-mapped array, read when asked for: uint8 [n, H, W, 3]."""

    def __init__(self, patches: npt.NDArray[np.uint8], rows: Rows) -> None:
        self.patches = patches
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        return np.asarray(self.patches[self.rows[index]])


def assess(
    session: Session,
    *,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    with_baselines: bool = True,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the test part of its own store; writes into the run folder.

    The threshold is chosen on the validation part and stored in model.json. Without a test part the
    figures are those of the validation part, and say so.
    """
    store, run, parts = session.store, session.run, session.parts
    predictor = load(run.path, precision=precision)
    named = {name: parts[name] for name in ("val", "test") if len(parts[name])}
    if not named:
        raise RunError(
            f"{run.path}: its split has neither validation nor test patches to evaluate on"
        )
    found = _predict(predictor, store, named, progress)
    threshold = _threshold(store, parts["val"], found.get("val"))
    _store_threshold(run, predictor, threshold)
    part = "test" if "test" in named else "val"
    chosen = named[part]
    marks = [*session.marks, *_dead(predictor.facts), *([NO_TEST] if part == "val" else [])]
    others = _baselines(session, _Rows(store.patches, chosen), seed) if with_baselines else {}
    evaluation = evaluate(
        store.labels[chosen],
        found[part],
        store.cases[chosen],
        classes=store.classes,
        threshold=threshold,
        replicates=replicates,
        seed=seed,
        baselines=others,
        marks=list(dict.fromkeys(marks)),
    )
    evaluation |= _provenance(session.run, predictor, store, part, session.split.scheme)
    return _write(run, run.path, evaluation, store, named, found, threshold)


def assess_unseen(
    run: RunFolder,
    store: PatchStore,
    *,
    output: Path | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    allow_seen: bool = False,
    with_baselines: bool = True,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the whole of a store that it has never seen.

    Raises RunError when a case or the pixels of a patch were trained on (unless ``allow_seen``,
    which every output then says), or when the classes differ.
    """
    predictor = load(run.path, precision=precision)
    if predictor.classes != store.classes:
        raise RunError(
            f"{run.path} knows the classes {list(predictor.classes)}, {store.path} has "
            f"{list(store.classes)}; they must be the same, in the same order"
        )
    marks = [MADE_UP] if store.made_up else []
    cases, patches = seen_before(run, store)
    if cases or patches:
        what = (
            f"{len(cases)} case(s) ({', '.join(cases[:5])}{', ...' if len(cases) > 5 else ''}) and "
            f"{patches} patch(es) of {store.path} were seen in training"
        )
        if not allow_seen:
            raise RunError(
                f"{what}: figures on them would be too good. Leave them out, or say --allow-seen "
                "and every output will say so"
            )
        marks.append(f"seen in training: {what}")
    marks += [str(mark) for mark in predictor.facts.get("marks", [])]
    rows = np.arange(len(store))
    found = _predict(predictor, store, {"all": rows}, progress)
    saved = predictor.facts.get("threshold")
    threshold = (
        Threshold(**saved) if saved else Threshold(0.5, "fixed", "nothing", "none was chosen")
    )
    others, missing = {}, []
    if with_baselines:
        try:
            others = _baselines(reopen(run.path), _Rows(store.patches, rows), seed)
        except EosinError as error:
            missing = [f"no baselines, which need the run's own training patches: {error}"]
    evaluation = evaluate(
        store.labels,
        found["all"],
        store.cases,
        classes=store.classes,
        threshold=threshold,
        replicates=replicates,
        seed=seed,
        baselines=others,
        marks=list(dict.fromkeys([*marks, *_dead(predictor.facts)])),
    )
    evaluation["warnings"] += missing
    evaluation |= _provenance(run, predictor, store, "all", "unseen store")
    folder = output or run / f"evaluation-{store.path.name}"
    folder.mkdir(parents=True, exist_ok=True)
    return _write(run, folder, evaluation, store, {"all": rows}, found, threshold)


def _baselines(session: Session, patches: _Rows, seed: int) -> dict[str, Baseline]:
    """The simple methods, fitted on what the network was trained on, asked about ``patches``."""
    store, parts = session.store, session.parts
    train, val = (_Rows(store.patches, parts[name]) for name in ("train", "val"))
    truths = [store.labels[each.rows] for each in (train, val)]
    return {
        name: method(
            train, truths[0], val, truths[1], patches, classes=len(store.classes), seed=seed
        )
        for name, method in BASELINES.items()
    }


def _predict(
    predictor: Predictor, store: PatchStore, parts: Mapping[str, Rows], progress: Progress
) -> dict[str, npt.NDArray[np.float32]]:
    total, done = sum(map(len, parts.values())), 0
    found = {}
    for name, rows in parts.items():
        blocks = []
        for block in predict_rows(predictor, store.patches, rows):
            blocks.append(block)
            done += len(block)
            progress(done, total)
        found[name] = np.concatenate(blocks)
    return found


def _threshold(
    store: PatchStore, rows: Rows, probabilities: npt.NDArray[np.float32] | None
) -> Threshold:
    if len(store.classes) != 2:
        return Threshold(0.5, "most probable class", "nothing")
    if probabilities is None:
        return Threshold(
            0.5, "fixed", "nothing", "there is no validation part to choose a threshold on"
        )
    return choose_threshold(store.labels[rows], probabilities)


def _store_threshold(run: RunFolder, predictor: Predictor, threshold: Threshold) -> None:
    if len(predictor.classes) == 2:
        facts = run.read_json("model.json")
        facts["threshold"] = threshold.as_dict()
        run.write_json("model.json", facts)


def _dead(facts: Mapping[str, Any]) -> list[str]:
    return [str(found["sentence"]) for found in facts.get("diagnoses", [])]


def _provenance(
    run: RunFolder, predictor: Predictor, store: PatchStore, part: str, scheme: str
) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "part": part,
        "split": scheme,
        "store": {"path": str(store.path), "digest": store.digest, "patches": len(store)},
        "recipe": predictor.facts.get("recipe"),
        "intended_use": "Research and education only, not for diagnosis.",
    }


def _write(
    run: RunFolder,
    folder: Path,
    evaluation: dict[str, Any],
    store: PatchStore,
    parts: Mapping[str, Rows],
    found: Mapping[str, npt.NDArray[np.float32]],
    threshold: Threshold,
) -> Assessment:
    _write_predictions(
        folder / "predictions.parquet", store, parts, found, threshold, evaluation["marks"]
    )
    RunFolder(folder).write_json("evaluation.json", evaluation)
    files = ["evaluation.json", "predictions.parquet"]
    rows = parts[evaluation["part"]]
    files += charts.draw_all(
        folder,
        evaluation,
        store.labels[rows],
        found[evaluation["part"]],
        metrics=run.metrics() if folder == run.path else [],
    )
    return Assessment(evaluation, folder, tuple(files))


def _write_predictions(
    path: Path,
    store: PatchStore,
    parts: Mapping[str, Rows],
    found: Mapping[str, npt.NDArray[np.float32]],
    threshold: Threshold,
    marks: Sequence[str],
) -> None:
    tables = []
    for name, rows in parts.items():
        index = store.index[rows].select("source", "case", "slide", "x", "y", "label")
        decisions = decide(found[name], store.classes, float(threshold))
        columns = {f"p_{c}": found[name][:, k] for k, c in enumerate(store.classes)}
        table = pl.DataFrame({"patch": rows, "part": [name] * len(rows)}).hstack(index)
        table = table.hstack(pl.DataFrame(columns))
        tables.append(
            table.with_columns(decision=pl.Series(decisions), marks=pl.lit("; ".join(marks)))
        )
    temporary = path.with_name(path.name + ".partial")
    pl.concat(tables).write_parquet(temporary)
    os.replace(temporary, path)
