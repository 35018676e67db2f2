"""Cross-validation by case: every patch judged by models that never saw its case.

Each fold tests once, validates once (the threshold of a fold is chosen on its validation part) and
trains the rest of the time, with one or more training seeds. Out-of-fold probabilities are means
over the seeds, as the networks give them (not calibrated).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import FailureError, SplitError
from eosin.evaluation.decisions import choose_threshold
from eosin.evaluation.intervals import LEVEL, resampling_units
from eosin.evaluation.metrics import predicted
from eosin.files import whole
from eosin.records.points import OperatingPoint
from eosin.records.scored import Scored
from eosin.runs import RunFolder, environment
from eosin.splitting.published import published_cases
from eosin.splitting.split_summary import missing_classes
from eosin.splitting.splits import by_folds, groups_of
from eosin.studies.drawings import suspects_gallery
from eosin.studies.plan import check_classes, open_study, plan_of, writing
from eosin.studies.pooled import intervals_of, spread, values_of
from eosin.studies.series import Planned, Series, Study, Watch, measured, run_series, unwatched
from eosin.trust.literature import compare_with_published
from eosin.trust.suspects import find_suspects

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FORMAT = 1
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
    force: bool = False,
    replicates: int = 2000,
    again: str = "eosin crossval",
    watch: Watch = unwatched,
    said: Callable[[str], None] = lambda text: None,
) -> Study:
    """Train and test k folds by case with every training seed; called again, it goes on.

    k: folds, at least 3; seeds: training seeds, the recipe's and the following ones; again: the
    command that goes on, for the sentence at Ctrl-C; watch, said: who is shown the progress.
    Raises SplitError or StoreError where the store cannot be shared out, UserError where the folder
    holds something else, StoppedError at Ctrl-C, FailureError where not one run finished.
    """
    _check(store, k)
    split = by_folds(store, k=k, seed=split_seed)
    plan = plan_of("crossval", store, recipe, seeds=seeds, k=k, split_seed=split_seed)
    study = open_study(folder, plan, force=force)
    numbers = [recipe.seed + i for i in range(seeds)]
    planned = [
        Planned(
            f"seed{seed}-fold{fold}",
            f"seed {seed}, fold {fold}",
            split,
            recipe.changed(seed=seed),
            fold,
        )
        for seed in numbers
        for fold in range(k)
    ]
    series = run_series(
        store, planned, study.path, again=again, allow_leaks=allow_leaks, watch=watch, said=said
    )
    if not series.finished:
        first = next(iter(series.failed.values()))
        raise FailureError(f"not one of {len(planned)} runs finished; the first failed: {first}")
    said("computing figures and intervals")
    folds = [
        found for fold in range(k) if (found := _fold(store, series, fold, numbers)) is not None
    ]
    result = _result(store, series, folds, k, numbers, replicates)
    result["warnings"] = [
        *(f"{text[0].upper()}{text[1:]}." for text in missing_classes(split, store)),
        *result["warnings"],
    ]
    result |= {
        "recipe": recipe.model_dump(),
        "store": plan["store"],
        "split": {"scheme": "folds", "k": k, "seed": split_seed, "notes": list(split.notes)},
        "command": again,
        "environment": environment(),
        "intended_use": "Research and education only, not for diagnosis.",
    }
    files = _write(study, store, folds, numbers, result)
    return Study(result, study.path, files, series.failed)


def _check(store: PatchStore, k: int) -> None:
    """Refuse at once what no run could mend."""
    check_classes(store, "there is nothing to cross-validate")
    if k < 3:
        raise SplitError(
            f"-k {k}: at least 3 folds are needed (one tests, one validates, the rest trains)"
        )
    groups = len(np.unique(groups_of(store)))
    if groups < k:
        what = "1 case" if groups == 1 else f"{groups} cases"
        hint = f"choose -k {groups} or fewer" if groups >= 3 else "at least 3 cases are needed"
        raise SplitError(
            f"{store.path} has {what}, which cannot be shared out to {k} folds; {hint}"
        )


def _fold(store: PatchStore, series: Series, fold: int, seeds: Sequence[int]) -> _Fold | None:
    """What the finished runs of a fold say of its patches, or None where none finished."""
    sessions = {
        seed: series.finished[name]
        for seed in seeds
        if (name := f"seed{seed}-fold{fold}") in series.finished
    }
    if not sessions:
        return None
    found = {seed: measured(session) for seed, session in sessions.items()}
    parts = next(iter(sessions.values())).parts
    truth = store.labels[parts["val"]]
    probs = {seed: each["test"].astype(np.float64) for seed, each in found.items()}
    prob = np.mean(list(probs.values()), axis=0)
    val = np.mean([each["val"].astype(np.float64) for each in found.values()], axis=0)
    threshold = _threshold(truth, val)
    return _Fold(
        fold,
        parts["test"],
        probs,
        prob,
        threshold,
        _called(prob, threshold),
        {
            seed: _called(probs[seed], _threshold(truth, each["val"].astype(np.float64)))
            for seed, each in found.items()
        },
    )


def _threshold(truth: Rows, prob: Floats) -> OperatingPoint | None:
    return choose_threshold(truth, prob) if prob.shape[1] == 2 else None


def _called(prob: Floats, threshold: OperatingPoint | None) -> Rows:
    if threshold is None:
        return np.asarray(prob.argmax(axis=1), np.int64)
    return predicted(prob, threshold=float(threshold))


def _result(
    store: PatchStore,
    series: Series,
    folds: Sequence[_Fold],
    k: int,
    seeds: Sequence[int],
    replicates: int,
) -> dict[str, Any]:
    rows = np.concatenate([fold.rows for fold in folds])
    truth, cases = store.labels[rows], store.cases[rows]
    prob = np.concatenate([fold.prob for fold in folds])
    called = np.concatenate([fold.called for fold in folds])
    units = resampling_units(cases, len(rows))
    pooled = intervals_of(truth, prob, called, units, replicates=replicates)
    per_fold = [_fold_row(store, fold, replicates) for fold in folds]
    per_seed: list[dict[str, Any]] = []
    for seed in seeds:
        whole = [fold for fold in folds if seed in fold.probs]
        if len(whole) == k:
            joined = [
                np.concatenate([store.labels[fold.rows] for fold in whole]),
                np.concatenate([fold.probs[seed] for fold in whole]),
                np.concatenate([fold.seed_called[seed] for fold in whole]),
            ]
            per_seed.append({"seed": seed, "figures": values_of(*joined)})
    # In the order of predictions.parquet, so that suspects.csv agrees among equals.
    order = np.argsort(rows)
    suspects = find_suspects(Scored.of(truth[order], prob[order]), most=MOST_SUSPECTS)
    sources = store.index["source"][rows[order]].to_list()
    marks, warnings = list(series.marks), []
    for name, why in series.failed.items():
        marks.append(f"{name} failed and is left out: {why}")
    if missing := sorted(set(range(k)) - {fold.number for fold in folds}):
        names = ", ".join(str(fold) for fold in missing)
        marks.append(f"the patches of fold {names} are missing: no run of it finished")
    if units.note:
        warnings.append(f"{units.note[0].upper()}{units.note[1:]}.")
    warnings += [
        f"Threshold of fold {fold.number}: {fold.threshold.note}."
        for fold in folds
        if fold.threshold is not None and fold.threshold.note
    ]
    return {
        "version": FORMAT,
        "study": "crossval",
        "classes": list(store.classes),
        "marks": marks,
        "warnings": warnings,
        "notes": [NOT_IN_THE_INTERVAL, MIXED_SCALES],
        "k": k,
        "seeds": list(seeds),
        "n_patches": len(rows),
        "n_cases": len(units.names) or None,
        "pooled": {name: interval.as_dict() for name, interval in pooled.items()},
        "undefined": {n: i.note for n, i in pooled.items() if i.value is None},
        "intervals": {
            "method": f"percentile bootstrap over {units.kind}",
            "level": LEVEL,
            "replicates": replicates,
            "units": units.count,
        },
        "decisions": (
            "of the largest probability"
            if len(store.classes) > 2
            else "of each fold's own threshold, chosen on its validation part"
        ),
        "per_fold": per_fold,
        "per_seed": per_seed,
        "spread": {
            "folds": spread([_values(row["figures"]) for row in per_fold]),
            "seeds": spread([row["figures"] for row in per_seed]),
        },
        "published": compare_with_published(
            "folds",
            "all",
            cases.tolist(),
            len(rows),
            published_cases(),
            {name: interval.as_dict() for name, interval in pooled.items()},
            made_up=store.made_up,
            folds=k,
        ),
        "suspects": suspects.as_dict(
            store.classes, patch=rows[order], case=cases[order], source=sources
        ),
        "failed": dict(series.failed),
    }


def _values(figures: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    return {name: each["value"] for name, each in figures.items()}


def _fold_row(store: PatchStore, fold: _Fold, replicates: int) -> dict[str, Any]:
    truth, cases = store.labels[fold.rows], store.cases[fold.rows]
    units = resampling_units(cases, len(truth))
    found = intervals_of(truth, fold.prob, fold.called, units, replicates=replicates)
    return {
        "fold": fold.number,
        "seeds": list(fold.probs),
        "cases": len(units.names) or None,
        "patches": len(truth),
        "counts": np.bincount(truth, minlength=len(store.classes)).tolist(),
        "threshold": None if fold.threshold is None else fold.threshold.threshold_json(),
        "figures": {name: interval.as_dict() for name, interval in found.items()},
    }


def _write(
    study: RunFolder,
    store: PatchStore,
    folds: Sequence[_Fold],
    seeds: Sequence[int],
    result: dict[str, Any],
) -> tuple[str, ...]:
    """predictions.parquet, suspects.csv, suspects.png, and crossval.json last."""
    with writing(study):
        table = _predictions(store, folds, seeds).sort("patch")
        table = table.with_columns(marks=pl.lit("; ".join(result["marks"])))
        with whole(study / "predictions.parquet") as temporary:
            table.write_parquet(temporary)
        with whole(study / "suspects.csv") as temporary:
            _suspects(store, table).write_csv(temporary)
        files = ["crossval.json", "predictions.parquet", "suspects.csv"]
        if result["suspects"]["rows"]:
            suspects_gallery(store, result["suspects"], study / "suspects.png", result["marks"])
            files.append("suspects.png")
        else:
            # Of an earlier call, when more had failed: it would show what is no longer found.
            (study / "suspects.png").unlink(missing_ok=True)
        study.write_json("crossval.json", result)
    return tuple(files)


def _predictions(store: PatchStore, folds: Sequence[_Fold], seeds: Sequence[int]) -> pl.DataFrame:
    """A row for every patch that was judged; probabilities of a seed that failed are null."""
    tables = []
    for fold in folds:
        table = pl.DataFrame({"patch": fold.rows}).hstack(
            store.index[fold.rows].select("source", "case", "slide", "x", "y", "label")
        )
        columns: dict[str, Any] = {"fold": pl.lit(fold.number, pl.Int32)}
        for place, name in enumerate(store.classes):
            columns[f"p_{name}"] = pl.Series(fold.prob[:, place])
        for seed in seeds:
            for place, name in enumerate(store.classes):
                given = fold.probs.get(seed)
                columns[f"p_{name}_seed{seed}"] = (
                    pl.lit(None, pl.Float64) if given is None else pl.Series(given[:, place])
                )
        cut = None if fold.threshold is None else float(fold.threshold)
        columns["threshold"] = pl.lit(cut, pl.Float64)
        columns["decision"] = pl.Series([store.classes[code] for code in fold.called.tolist()])
        tables.append(table.with_columns(**columns))
    return pl.concat(tables)


def _suspects(store: PatchStore, table: pl.DataFrame) -> pl.DataFrame:
    """Every suspect, worst first."""
    prob = table.select([f"p_{name}" for name in store.classes]).to_numpy()
    found = find_suspects(Scored.of(table["label"].to_numpy(), prob), most=None)
    names = np.array(store.classes, dtype=object)
    return table[found.rows].select("patch", "case", "source", "x", "y").with_columns(
        label=pl.Series(names[found.labels].tolist(), dtype=pl.String),
        suggested=pl.Series(names[found.suggested].tolist(), dtype=pl.String),
        probability=pl.Series(found.probability),
        score=pl.Series(found.score),
    )  # fmt: skip
