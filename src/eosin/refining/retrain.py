"""A new run from an old recipe on new data, and whether it should take the old one's place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.data.views import for_recipe
from eosin.errors import RunError, StoppedError
from eosin.evaluation.intervals import LEVEL, resampling_units
from eosin.evaluation.paired import paired_differences
from eosin.evaluation.summary import FEW_CASES
from eosin.folders import refuse_overlap
from eosin.inference.assess import assess
from eosin.inference.predictor import predict_rows
from eosin.inference.torch_predictor import TorchPredictor, load_run
from eosin.records.model import INTENDED_USE, ModelFacts
from eosin.records.scored import Scored
from eosin.records.weights import weights_digest
from eosin.refining.verdict import NEW, OLD, page, verdict
from eosin.runs import RunFolder
from eosin.splitting.seen import Seen
from eosin.splitting.split_file import Split, split_text
from eosin.studies.compare import P_VALUE
from eosin.studies.plan import PLAN, Plan, identity, refuse_other
from eosin.studies.study import (
    Note,
    PlannedRun,
    Watch,
    open_run,
    silent,
    train,
    unwatched,
)
from eosin.training.session import Session, start
from eosin.trust.calibration import measure_calibration

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FORMAT = 1
NO_TEST = (
    "the split has no test part, and on the validation part the new run chose its threshold, so a "
    "comparison there would favor it; use --split with a split that has one"
)


def check_old(path: Path, store: PatchStore, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of the new run, once the old one is known to be comparable with it.

    settings: key=value changes. Raises RunError for an unfinished run, an ensemble, or classes that
    differ from the store's.
    """
    predictor = load_run(RunFolder.open(path).path)
    if predictor.model.architecture == "ensemble":
        raise RunError(
            f"{path} is an ensemble, which is not trained; retrain its members and join those with "
            "eosin ensemble"
        )
    if sorted(predictor.classes) != sorted(store.classes):
        raise RunError(
            f"{path} has the classes {', '.join(predictor.classes)}, {store.path} has "
            f"{', '.join(store.classes)}; a run on other classes cannot take its place. Train it "
            f"with: eosin train {store.path} --from {path} -o RUN"
        )
    recipe = read_recipe(str((path / "recipe.toml").resolve()), list(settings))
    if predictor.classes != for_recipe(store, recipe).classes and len(store.classes) == 2:
        recipe = recipe.changed(positive=predictor.classes[1])
    return recipe


def retrain(
    path: Path,
    store: PatchStore,
    split: Split,
    output: str | os.PathLike[str],
    *,
    settings: Sequence[str] = (),
    from_weights: bool = False,
    fold: int | None = None,
    allow_leaks: bool = False,
    force: bool = False,
    replicates: int = 2000,
    seed: int = 0,
    again: str = "eosin retrain",
    watch: Watch = unwatched,
    note: Note = silent,
) -> dict[str, Any]:
    """Train the old run's recipe on a new store, evaluate it, and compare both on the same cases.

    path: the old run, finished; from_weights: start with its weights, which refuses a split that
    measures on what it was trained on. A retraining that was stopped is resumed; again: the command
    for that. Writes plan.json, retrain.json (which is returned) and retrain.md into the new run.
    Raises what ``training.session.start`` raises, RunError where the runs cannot be compared,
    UserError where the folder was started with other settings, StoppedError at Ctrl-C.
    """
    refuse_overlap(output, {"RUN": path, "--store": store.path})
    recipe, run = check_old(path, store, settings), RunFolder(output)
    plan = Plan(
        "retrain",
        identity(store),
        recipe,
        {
            "old_run": weights_digest(path)[:12],
            "split": hashlib.sha256(split_text(split).encode()).hexdigest()[:12],
            "fold": fold,
            "from_weights": from_weights,
        },
    )
    options: dict[str, Any] = {
        "allow_leaks": allow_leaks,
        "force": force,
        "base": path if from_weights else None,
        "weights": None if from_weights else _encoder_weights(path, recipe),
    }
    resume = False
    if not force and (run / PLAN).is_file():
        refuse_other(run, plan)
        planned = PlannedRun(run.path.name, split, recipe, fold, options)
        session, resume = open_run(store, planned, run.path)
    else:
        session, _ = start(store, split, recipe, output, fold=fold, **options)
    run.write_json(PLAN, plan.to_dict())
    try:
        train(session, resume=resume, watch=watch)
    except StoppedError:
        raise StoppedError(f"stopped; the state is saved; resume with: {again}") from None
    return judge(path, session, replicates=replicates, seed=seed, note=note)


def _encoder_weights(path: Path, recipe: Recipe) -> dict[str, Any] | None:
    """Where the old run's encoder had its weights from; None for a network that has none.

    Raises RunError where that is not known: random ones would be no retraining of the recipe.
    """
    if recipe.network != "encoder":
        return None
    origin = RunFolder(path).read_environment().get("start") or {}
    if origin.get("kind") == "random":
        return None
    if origin.get("kind") != "encoder":
        raise RunError(
            f"{path} started with the weights of {origin.get('path')}, not with an encoder's own; "
            "use --from-weights"
        )
    return {key: value for key, value in origin.items() if key not in ("kind", "encoder", "digest")}


def judge(
    path: Path,
    session: Session,
    *,
    replicates: int = 2000,
    seed: int = 0,
    note: Note = silent,
) -> dict[str, Any]:
    """Evaluate a finished new run and compare the old one with it; returns retrain.json.

    Both answer for the patches of the new run's test part whose case and pixels the old run has
    never seen, each with its own temperature and threshold.
    """
    run, store = session.run, session.store
    note("evaluating the new run")
    values = assess(session, with_baselines=False, replicates=replicates, seed=seed)
    old = RunFolder.open(path)
    test = session.parts["test"]
    kept, shared = unseen_rows(old, store, test)
    cases = sorted(set(store.cases[kept].tolist()) - {""})
    predictor = load_run(path)
    result: dict[str, Any] = {
        "version": FORMAT,
        "study": "retrain",
        "old": {
            "path": str(path.resolve()),
            "digest": weights_digest(path),
            "recipe": predictor.facts.recipe,
        },
        "new": {"path": str(run.path), "start": session.origin.kind},
        "store": {"path": str(store.path), "digest": store.digest},
        "marks": [mark["sentence"] for mark in values.evaluation["marks"]],
        "notes": _notes(predictor, ModelFacts.of_run(run.path), store),
        "shared": shared,
        "common": {
            "patches": len(kept),
            "cases": len(cases) or None,
            "counts": np.bincount(store.labels[kept], minlength=len(store.classes)).tolist(),
        },
    }
    why = _why_not(test, kept, store, shared)
    if not why:
        note(f"comparing on {len(kept):,} patches")
        drawn = {"replicates": replicates, "seed": seed}
        result |= _compared(predictor, run, store, kept, drawn)
    result["why_not"] = why or None
    result |= verdict(result)
    result["intended_use"] = INTENDED_USE
    run.write_text("retrain.md", page(result))
    run.write_json("retrain.json", result)
    return result


def unseen_rows(old: RunFolder, store: PatchStore, rows: Rows) -> tuple[Rows, dict[str, Any]]:
    """Those of some rows that a run has neither trained nor validated on, and what it has.

    rows: int64 [n] of the store. A row is shared where its case has been seen, by name, or its very
    pixels. Returns int64 [m] and {"cases", "patches", "names"}.
    """
    shared = Seen.of_run(old).overlap(store, rows)
    counts = {"cases": len(shared.cases), "patches": int(shared.rows.sum())}
    return rows[~shared.rows], {**counts, "names": list(shared.cases)}


def _why_not(test: Rows, kept: Rows, store: PatchStore, shared: Mapping[str, Any]) -> str:
    """Why the two runs cannot be compared, or ""."""
    if not len(test):
        return NO_TEST
    left = (
        f"of the {len(test):,} test patches the old run has seen {shared['patches']:,}"
        + (f" ({shared['cases']} cases)" if shared["cases"] else "")
        + f" in its training or validation, and {len(kept):,} remain"
    )
    if not len(kept):
        return f"{left}; make a split whose test cases are new to both runs"
    if len(np.unique(store.labels[kept])) < 2:
        return f"{left}, all of one class; ranking needs both"
    units = resampling_units(store.cases[kept], len(kept))
    if units.kind == "cases" and units.count < FEW_CASES:
        cases = f"{units.count} case{'s' * (units.count != 1)}"
        return f"{left}, of {cases}; fewer than {FEW_CASES} are too few to conclude on other cases"
    return ""


def _compared(
    predictor: TorchPredictor, run: RunFolder, store: PatchStore, rows: Rows, drawn: dict[str, Any]
) -> dict[str, Any]:
    """Figures of both, differences new less old, and the calibration of both.

    drawn: replicates and seed of the bootstrap.
    """
    two = len(store.classes) == 2
    models = {OLD: predictor, NEW: load_run(run.path)}
    answers: dict[str, Floats] = {
        name: np.concatenate(list(predict_rows(each, store.patches, rows))).astype(np.float64)
        for name, each in models.items()
    }
    thresholds = {
        name: float(each.facts.decision().point.threshold or 0.5) for name, each in models.items()
    }
    scores = {name: each[:, 1] if two else each for name, each in answers.items()}
    truth = store.labels[rows]
    units = resampling_units(store.cases[rows], len(rows))
    result = paired_differences(truth, scores, units, thresholds, **drawn)
    scored = Scored(truth, answers[OLD], store.cases[rows])
    calibrated = measure_calibration(scored, scores, **drawn)
    return {
        "reference": OLD,
        "thresholds": thresholds if two else None,
        "runs": [
            {
                "name": name,
                "figures": {key: each.as_dict() for key, each in result.figures[name].items()},
                "calibration": {"ece": calibrated[name]["ece"], "note": calibrated[name]["note"]},
            }
            for name in (OLD, NEW)
        ],
        "differences": {NEW: {k: each.as_dict() for k, each in result.differences[NEW].items()}},
        "interval": {
            "method": f"percentile bootstrap over {units.kind}, the same draws for both runs",
            "kind": units.kind,
            "level": LEVEL,
            **drawn,
            "p": P_VALUE,
        },
    }


def _notes(predictor: TorchPredictor, new: ModelFacts, store: PatchStore) -> list[str]:
    """What makes the comparison uneven."""
    facts, texts = predictor.facts, []
    if len(store.classes) == 2 and not (facts.fitted and facts.fitted.points):
        texts.append(
            "The old run was never evaluated, so it has no temperature and no threshold of its "
            "own: it decides at 0.5, to its disadvantage in all figures but the ranking."
        )
    before, now = facts.mpp, store.mpp
    if before and now and abs(before - now) > 0.1 * before:
        texts.append(
            f"The old run was trained at {before:g} micrometers a pixel, the new data are at "
            f"{now:g}: it sees tissue at another size than it learned."
        )
    if facts.teacher:
        texts.append("The old run learned from a teacher's answers as well; the new one did not.")
    count, earlier = new.train_patches, facts.train_patches
    if count and earlier:
        texts.append(
            f"The new run was trained on {count:,} patches, the old one on {earlier:,}; both are "
            "one training run, and another seed would give slightly other figures."
        )
    return texts
