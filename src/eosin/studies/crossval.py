"""Cross-validation by case: every patch judged by models that never saw its case.

Each fold tests once, validates once (the threshold of a fold is chosen on its validation part) and
trains the rest of the time, with one or more training seeds. Out-of-fold probabilities are means
over the seeds, as the networks give them (not calibrated).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.config import Recipe
from eosin.data.published import published_cases
from eosin.data.sheets import sheet
from eosin.data.store import PatchStore
from eosin.data.views import for_recipe
from eosin.errors import SplitError
from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.intervals import LEVEL, resampling_units
from eosin.evaluation.metrics import predicted
from eosin.folders import whole_file
from eosin.records.points import OperatingPoint
from eosin.records.scored import Scored
from eosin.splitting.split_summary import missing_classes
from eosin.splitting.splits import by_folds, groups_of
from eosin.studies import markdown
from eosin.studies.answers import measured, measured_runs
from eosin.studies.drawings import suspects_gallery
from eosin.studies.plan import Plan, identity
from eosin.studies.pooled import intervals_of, spread, values_of
from eosin.studies.study import Done, PlannedRun, Study, StudyResult, check_classes, marks_of
from eosin.training.session import Session
from eosin.trust.literature import compare_with_published
from eosin.trust.suspects import find_suspects

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Suspects in crossval.json and in the gallery; suspects.csv has all.
MOST_SUSPECTS = 60

NOT_IN_THE_INTERVAL = (
    "Intervals are over cases, for the models that were trained; how results vary with the "
    "training seed is the spread over seeds, with the choice of training cases that over folds."
)
MIXED_SCALES = (
    "Pooled AUROC and average precision rank patches of different folds, which different models "
    "scored, against each other; the mean over folds does not."
)


@dataclass(frozen=True)
class _Fold:
    """One fold's predictions; ``probs`` holds each finished seed's, float64 [n, K]."""

    number: int
    rows: Rows
    probs: dict[int, Floats]
    prob: Floats
    threshold: OperatingPoint | None
    called: Rows
    #: Each seed's own decisions, with its own threshold.
    seed_called: dict[int, Rows]


def crossval(
    store: PatchStore,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    k: int = 5,
    seeds: int = 1,
    split_seed: int = 42,
    allow_leaks: bool = False,
    replicates: int = 2000,
    **options: Any,
) -> StudyResult:
    """Train and test k folds by case with every training seed; called again, it resumes.

    k: folds, at least 3; seeds: training seeds, the recipe's and the following ones; options:
    force, again, watch and note, as for `Study.open`.
    Raises SplitError or StoreError where the store cannot be divided, UserError where the folder
    contains something else, StoppedError at Ctrl-C, FailureError where not one run finished.
    """
    store = for_recipe(store, recipe)
    _check(store, k)
    split = by_folds(store, k=k, seed=split_seed)
    settings = {"k": k, "split_seed": split_seed}
    plan = Plan("crossval", identity(store), recipe, settings, seeds)
    study = Study.open(folder, store, plan, **options)
    numbers = [recipe.seed + i for i in range(seeds)]
    done = measured_runs(
        study,
        (
            PlannedRun(
                f"seed{seed}-fold{fold}", split, recipe.changed(seed=seed), fold,
                {"allow_leaks": allow_leaks}, f"seed {seed}, fold {fold}",
            )
            for seed in numbers
            for fold in range(k)
        ),
    ).some()  # fmt: skip
    study.note("computing figures and intervals")
    folds = [each for fold in range(k) if (each := _fold(store, done, fold, numbers)) is not None]
    result = _result(study, done, folds, numbers, replicates)
    missing = [f"{text[0].upper()}{text[1:]}." for text in missing_classes(split, store)]
    result["warnings"] = missing + result["warnings"]
    notes = list(split.notes)
    result["split"] = {"scheme": "folds", "k": k, "seed": split_seed, "notes": notes}
    return _write(study, folds, numbers, result)


def _check(store: PatchStore, k: int) -> None:
    """Refuse at once what no run could change."""
    check_classes(store, "there is nothing to cross-validate")
    if k < 3:
        raise SplitError(
            f"-k {k}: at least 3 folds are needed (one tests, one validates, the rest trains)"
        )
    groups = len(np.unique(groups_of(store)))
    if groups < k:
        what = markdown.counted(groups, "case")
        if (cases := len(np.unique(store.cases))) > groups:
            what = f"{cases} cases, which equal patches join to {markdown.counted(groups, 'group')}"
        hint = f"choose -k {groups} or fewer" if groups >= 3 else "at least 3 cases are needed"
        raise SplitError(f"{store.path} has {what}: too few for {k} folds; {hint}")


def _fold(store: PatchStore, done: Done[Session], fold: int, seeds: Sequence[int]) -> _Fold | None:
    """The answers of a fold's finished runs for its patches, or None where none finished."""
    sessions = {
        seed: done.finished[name]
        for seed in seeds
        if (name := f"seed{seed}-fold{fold}") in done.finished
    }
    if not sessions:
        return None
    result = {seed: measured(session) for seed, session in sessions.items()}
    parts = next(iter(sessions.values())).parts
    truth = store.labels[parts["val"]]
    probs = {seed: each["test"].astype(np.float64) for seed, each in result.items()}
    vals = {seed: each["val"].astype(np.float64) for seed, each in result.items()}
    prob, val = (np.mean(list(each.values()), axis=0) for each in (probs, vals))
    threshold, called = _decided(truth, val, prob)
    by_seed = {seed: _decided(truth, vals[seed], probs[seed])[1] for seed in vals}
    return _Fold(fold, parts["test"], probs, prob, threshold, called, by_seed)


def _decided(truth: Rows, val: Floats, prob: Floats) -> tuple[OperatingPoint | None, Rows]:
    """The threshold that validation gives for two classes, and what is decided with it."""
    if prob.shape[1] > 2:
        return None, np.asarray(prob.argmax(axis=1), np.int64)
    threshold = choose_threshold(truth, val)
    return threshold, predicted(prob, threshold=float(threshold))


def _result(
    study: Study,
    done: Done[Session],
    folds: Sequence[_Fold],
    seeds: Sequence[int],
    replicates: int,
) -> dict[str, Any]:
    store, k = study.store, int(study.plan.settings["k"])
    each = ((fold.rows, fold.prob, fold.called) for fold in folds)
    rows, prob, called = map(np.concatenate, zip(*each, strict=True))
    truth, cases = store.labels[rows], store.cases[rows]
    units = resampling_units(cases, len(rows))
    pooled = intervals_of(truth, prob, called, units, replicates=replicates)
    per_fold = [_fold_row(store, fold, replicates) for fold in folds]
    per_seed: list[dict[str, Any]] = []
    for seed in seeds:
        complete = [fold for fold in folds if seed in fold.probs]
        if len(complete) == k:
            answers = ((store.labels[f.rows], f.probs[seed], f.seed_called[seed]) for f in complete)
            joined = map(np.concatenate, zip(*answers, strict=True))
            per_seed.append({"seed": seed, "figures": values_of(*joined)})
    # In the order of predictions.parquet, so that suspects.csv agrees among equals.
    order = np.argsort(rows)
    suspects = find_suspects(Scored.of(truth[order], prob[order]), most=MOST_SUSPECTS)
    sources = store.index["source"][rows[order]].to_list()
    marks = [mark for session in done.finished.values() for mark in marks_of(session)]
    marks += [f"{name} failed and is left out: {why}" for name, why in done.failed.items()]
    warnings = []
    if missing := sorted(set(range(k)) - {fold.number for fold in folds}):
        names = ", ".join(map(str, missing))
        marks.append(f"the patches of fold {names} are missing: none of its runs finished")
    if units.note:
        warnings.append(f"{units.note[0].upper()}{units.note[1:]}.")
    warnings += [
        f"Threshold of fold {fold.number}: {fold.threshold.note}."
        for fold in folds
        if fold.threshold is not None and fold.threshold.note
    ]
    figures = {name: interval.as_dict() for name, interval in pooled.items()}
    return study.result(
        marks,
        done.failed,
        classes=list(store.classes),
        warnings=warnings,
        notes=[NOT_IN_THE_INTERVAL, MIXED_SCALES],
        k=k,
        seeds=list(seeds),
        n_patches=len(rows),
        n_cases=len(units.names) or None,
        pooled=figures,
        undefined={n: i.note for n, i in pooled.items() if i.value is None},
        intervals={
            "method": f"percentile bootstrap over {units.kind}",
            "level": LEVEL,
            "replicates": replicates,
            "units": units.count,
        },
        decisions=(
            "of the largest probability"
            if len(store.classes) > 2
            else "of each fold's own threshold, chosen on its validation part"
        ),
        per_fold=per_fold,
        per_seed=per_seed,
        spread={
            "folds": spread([{n: v["value"] for n, v in r["figures"].items()} for r in per_fold]),
            "seeds": spread([row["figures"] for row in per_seed]),
        },
        published=compare_with_published(
            "folds", "all", cases.tolist(), len(rows), published_cases(), figures,
            made_up=store.made_up, folds=k,
        ),
        suspects=suspects.as_dict(
            store.classes, patch=rows[order], case=cases[order], source=sources
        ),
    )  # fmt: skip


def _fold_row(store: PatchStore, fold: _Fold, replicates: int) -> dict[str, Any]:
    truth, cases = store.labels[fold.rows], store.cases[fold.rows]
    units = resampling_units(cases, len(truth))
    result = intervals_of(truth, fold.prob, fold.called, units, replicates=replicates)
    return {
        "fold": fold.number,
        "seeds": list(fold.probs),
        "cases": len(units.names) or None,
        "patches": len(truth),
        "counts": np.bincount(truth, minlength=len(store.classes)).tolist(),
        "threshold": None if fold.threshold is None else fold.threshold.threshold_json(),
        "figures": {name: interval.as_dict() for name, interval in result.items()},
    }


def _write(
    study: Study, folds: Sequence[_Fold], seeds: Sequence[int], result: dict[str, Any]
) -> StudyResult:
    """predictions.parquet, suspects.csv, suspects.png, and crossval.json last."""
    store, suspects = study.store, result["suspects"]
    table = _predictions(store, folds, seeds).sort("patch")
    table = table.with_columns(marks=pl.lit("; ".join(result["marks"])))

    listed = _suspects(store, table)

    def predictions(path: Path) -> None:
        with whole_file(path) as temporary:
            table.write_parquet(temporary)

    files: dict[str, str | Callable[[Path], object] | None] = {
        "predictions.parquet": predictions,
        "suspects.csv": sheet(listed.columns, listed.iter_rows()),
        "suspects.png": partial(suspects_gallery, store, suspects, marks=result["marks"])
        if suspects["rows"]
        else None,
    }
    return study.write(result, files)


def _predictions(store: PatchStore, folds: Sequence[_Fold], seeds: Sequence[int]) -> pl.DataFrame:
    """A row for every patch that was judged; probabilities of a seed that failed are null."""
    tables = []
    for fold in folds:
        table = pl.DataFrame({"patch": fold.rows}).hstack(
            store.index[fold.rows].select("source", "case", "slide", "x", "y", "label")
        )
        columns: dict[str, Any] = {"fold": pl.lit(fold.number, pl.Int32)}
        answers = {"": fold.prob} | {f"_seed{seed}": fold.probs.get(seed) for seed in seeds}
        for ending, prob in answers.items():
            for place, name in enumerate(store.classes):
                column = None if prob is None else pl.Series(prob[:, place])
                columns[f"p_{name}{ending}"] = pl.lit(column, pl.Float64)
        cut = None if fold.threshold is None else float(fold.threshold)
        columns["threshold"] = pl.lit(cut, pl.Float64)
        columns["decision"] = pl.Series([store.classes[code] for code in fold.called.tolist()])
        tables.append(table.with_columns(**columns))
    return pl.concat(tables)


def _suspects(store: PatchStore, table: pl.DataFrame) -> pl.DataFrame:
    """Every suspect, worst first."""
    prob = table.select([f"p_{name}" for name in store.classes]).to_numpy()
    result = find_suspects(Scored.of(table["label"].to_numpy(), prob), most=None)
    codes = {"label": result.labels, "suggested": result.suggested}
    names = np.array(store.classes, dtype=object)
    return (
        table[result.rows]
        .select("patch", "case", "source", "x", "y")
        .with_columns(
            *(pl.Series(key, names[of].tolist(), dtype=pl.String) for key, of in codes.items()),
            probability=pl.Series(result.probability),
            score=pl.Series(result.score),
        )
    )
