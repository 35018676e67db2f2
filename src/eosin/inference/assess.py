"""Assess a model: a subject, a reading of it, and what was fitted, new or kept.

Three ways in: a run on its own split (what is fitted is new, and kept in the model), a run on
another store, and an exported file (both by what the model keeps). Torch is loaded for runs only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin.data.rows import StoreRows
from eosin.data.scale import measured_scale, scale_mark, to_model_scale, unknown_scale
from eosin.data.store import PatchStore
from eosin.errors import EosinError, RunError
from eosin.evaluation.baselines import Baseline
from eosin.folders import set_mark
from eosin.inference.fitting import NO_VALIDATION, Fit, FittingOptions, cross_judge, fit
from eosin.inference.measure import measure
from eosin.inference.predictor import Predictor, load_file
from eosin.inference.records import Assessment, baselines_for, write_assessment
from eosin.inference.scope import NOT_FITTED, TOO_FEW, fit_scope
from eosin.inference.subject import (
    NEITHER,
    NO_TEST,
    Progress,
    Reading,
    Subject,
    as_model_names,
    check_output,
    counter,
    measured_part,
    of_own_split,
    read_file,
    read_run,
    seen_by,
    seen_marks,
)
from eosin.locks import working_on
from eosin.records.agreement import fitted_digest
from eosin.records.evaluation import MeasuredScale
from eosin.records.marks import Mark
from eosin.records.model import FITTED, MODEL, ModelFacts
from eosin.runs import RunFolder, environment, recorded_path
from eosin.splitting.seen import SEEN, Seen
from eosin.splitting.split_file import Split
from eosin.trust.literature import UNSEEN
from eosin.trust.scope import scope_threshold

if TYPE_CHECKING:
    from eosin.training.session import Session

#: What the lock of a folder names as its user.
TASK = "eosin evaluate"
OLDER = "the run was never evaluated on its own validation part, so nothing was fitted"
NO_CHECK = "the run has no out-of-scope check: there was too little to fit one on"
_NEEDED = "no baselines, which need the patches that the model was trained on: "
NO_TRAINING = f"{_NEEDED}give its own store with --store and its split with --split"
OTHER_TRAINING = f"{_NEEDED}this split has other training cases"
#: The file that needs no mention in the name of its folder of results.
_PLAIN = "model.onnx"


def assess(
    session: Session,
    *,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    with_baselines: bool = True,
    with_scope: bool = True,
    options: FittingOptions | None = None,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the test part of its own store; writes into the run folder.

    The temperature, the operating points with their refer bands and the out-of-scope threshold are
    fitted on the validation part and kept in the model; ``options``: what the bands must promise,
    and the point that decides. Without a test part the figures are those of the validation part,
    and have a mark. replicates, seed: of the bootstrap; nothing that is kept depends on them.
    with_scope: fit the out-of-scope check, without which every patch gets an answer.
    Raises RunError for a split without such parts, BusyError where another process changes the run.
    """
    from eosin.inference.torch_predictor import load_run
    from eosin.models.classifier import fitted_text

    store, run, parts = session.store, session.run, session.parts
    options = options or FittingOptions()
    named = {name: parts[name] for name in ("val", "test") if len(parts[name])}
    if not named:
        raise RunError(f"{run.path}: {NEITHER}")
    with working_on(run.path, TASK):
        predictor = load_run(run.path, precision=precision)
        # What is fitted here replaces what was fitted before.
        predictor.model.temperature.fill_(1.0)
        for_scope = parts["train"] if with_scope else parts["train"][:0]
        has_scope = fit_scope(predictor, store, for_scope)
        part = list(named)[-1]
        others: Mapping[str, Baseline] = {}
        if with_baselines:
            others = baselines_for(store, parts, StoreRows(store.patches, named[part]))
        subject = Subject(
            store, named, run.path, run.path, session.split.scheme,
            marks=[*map(Mark.read, session.marks), *([NO_TEST] if part == "val" else [])],
            baselines=others,
            seen=Seen.of_run(run) if (run / SEEN).exists() else Seen.of_store(store, parts),
        )  # fmt: skip
        stepped = counter(named, progress)
        readings = {
            name: read_run(predictor, store, rows, has_scope, stepped)
            for name, rows in named.items()
        }
        empty = Reading(np.empty((0, len(store.classes))), None)
        rows, reading = parts["val"], readings.get("val", empty)
        fitted = fit(store.labels[rows], reading.logits, store.cases[rows], options)
        limit = None if reading.distances is None else scope_threshold(reading.distances)
        crossed, count = None, None
        if part == "val":
            crossed, count = cross_judge(
                store.labels[rows], reading.logits, store.cases[rows], options
            )
        digest = predictor.facts.weights_digest
        kept = fitted.record(limit).model_copy(update={"weights_digest": digest})
        predictor.model.temperature.fill_(kept.temperature)
        evaluation, table = measure(
            subject, predictor, readings, fitted, limit,
            scope_note=NO_VALIDATION if has_scope else TOO_FEW if with_scope else NOT_FITTED,
            crossed=crossed,
            replicates=replicates, seed=seed,
        )  # fmt: skip
        evaluation |= {
            "fitting": _fitting(part, count), "fitted_digest": fitted_digest(kept),
            "audit": run.read_environment().get("audit"),
        }  # fmt: skip

        def model_files(staging: Path) -> Sequence[str]:
            (staging / FITTED).write_text(fitted_text(kept, predictor.model), "utf-8")
            return (FITTED,)

        return write_assessment(
            run.path, evaluation, store, table, metrics=run.metrics(), model_files=model_files
        )


def assess_unseen(
    run: RunFolder,
    store: PatchStore,
    *,
    output: Path | None = None,
    point: str | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    allow_seen: bool = False,
    with_baselines: bool = True,
    resample: bool = False,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on all patches of a store that it has never seen; nothing is fitted.

    point: the operating point that decides, by default the model's own; resample: bring the patches
    to the model's scale. Classes are matched by name.
    Raises RunError when a case or the pixels of a patch were trained on (unless ``allow_seen``;
    every output then has a mark), or when the classes differ; UserError when the output is a run.
    """
    from eosin.inference.torch_predictor import load_run
    from eosin.training.session import reopen

    folder = output or run / f"evaluation-{store.path.name}"
    check_output(folder)
    predictor = load_run(run.path, precision=precision)
    store = as_model_names(run.path, predictor, store)
    facts = predictor.facts
    store, beside, scaled, unknown = _at_scale(facts, store, resample)
    seen = Seen.of_run(run)
    marks = [
        *scaled,
        *seen.check(store, allow_seen=allow_seen),
        *(of_own_split(mark) for mark in facts.marks),
    ]
    rows = np.arange(len(store))
    others, warnings = {}, unknown
    if with_baselines:
        try:
            own = reopen(run.path)
            others = baselines_for(own.store, own.parts, StoreRows(store.patches, rows))
        except EosinError as error:
            warnings += [f"no baselines, which need the run's own training patches: {error}"]
    subject = Subject(
        store, {"all": rows}, folder, run.path,
        marks=marks, warnings=warnings, baselines=others, scale=beside, seen=seen,
    )  # fmt: skip
    has_scope = facts.decision(point).scope_limit is not None
    stepped = counter(subject.parts, progress)
    reading = read_run(predictor, store, rows, has_scope, stepped)
    return _assess_kept(subject, predictor, reading, point, replicates=replicates, seed=seed)


def assess_file(
    path: str | os.PathLike[str],
    store: PatchStore,
    *,
    split: Split | None = None,
    fold: int | None = None,
    output: Path | None = None,
    point: str | None = None,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    allow_seen: bool = False,
    with_baselines: bool = True,
    resample: bool = False,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate an exported file on the test part of a split of a store, or on all of the store.

    Without a test part the figures are those of the validation part, and have a mark. Nothing is
    fitted. What is written goes to ``output``, by default evaluation-STORE beside the file.
    Raises errors as ``assess_unseen``; UserError when the output contains a run or an export;
    SplitError where the split does not fit the store.
    """
    predictor = load_file(path, precision=precision)
    exported = predictor.exported
    name = f"evaluation-{store.path.name}"
    if exported.path.name != _PLAIN:
        name += f"-{exported.path.name}"
    folder = output or exported.path.parent / name
    check_output(folder)
    store = as_model_names(exported.path, predictor, store)
    facts = predictor.facts
    parts = None if split is None else split.parts(store, fold)
    part, rows = measured_part(parts, len(store))
    own = parts if store.digest == facts.store_digest else None
    store, beside, scaled, unknown = _at_scale(facts, store, resample)
    seen, warnings = seen_by(predictor)
    warnings += unknown
    marks = [
        *scaled,
        *seen_marks(seen, store, rows, part, allow_seen=allow_seen),
        *(mark if own else of_own_split(mark) for mark in facts.marks),
        *map(Mark.read, () if split is None else split.marks),
    ]
    others: Mapping[str, Baseline] = {}
    if with_baselines:
        listed = Seen.of_cases(exported.info.seen_cases, exported.info.seen_key)
        trained = set(listed.only("train").overlap(store).cases)
        if own is None:
            warnings.append(NO_TRAINING)
        elif trained and set(store.cases[own["train"]].tolist()) != trained:
            warnings.append(OTHER_TRAINING)
        else:
            others = baselines_for(store, own, StoreRows(store.patches, rows))
    subject = Subject(
        store, {part: rows}, folder, exported.path, UNSEEN if split is None else split.scheme,
        marks=marks, warnings=warnings, baselines=others, scale=beside, seen=seen,
    )  # fmt: skip
    stepped = counter(subject.parts, progress)
    reading = read_file(predictor, store, rows, facts.temperature, stepped)
    info = exported.info
    return _assess_kept(
        subject, predictor, reading, point, replicates=replicates, seed=seed,
        exported={
            **recorded_path(exported.path, folder), "file": str(exported.path), "run": info.run,
            "kind": info.kind, "precision": precision, "runtime": predictor.runtime,
            "weights_digest": info.weights_digest, "parity": info.parity,
        },
    )  # fmt: skip


def _at_scale(
    facts: ModelFacts, store: PatchStore, resample: bool
) -> tuple[PatchStore, MeasuredScale | None, list[Mark], list[str]]:
    """The store as it is measured, its scale beside the model's, marks and warnings of that."""
    if store.digest == facts.store_digest:
        return store, None, [], []
    warnings = []
    if store.fit != facts.fit and (others := store.info.get("other_sizes")):
        warnings.append(
            f"{others:,} patches of {store.path} had another size and became patches by "
            f"{store.fit}; the model learned from patches made by {facts.fit}"
        )
    beside = measured_scale(facts, store.patch_size, store.mpp)
    if resample:
        store, done = to_model_scale(facts, store)
        beside = beside.model_copy(update={"resampled": done is not None})
        return store, beside, [done] if done else [], warnings
    mark, unknown = scale_mark(beside), unknown_scale(beside)
    return store, beside, [mark] if mark else [], [*warnings, *([unknown] if unknown else [])]


def _assess_kept(
    subject: Subject,
    predictor: Predictor,
    reading: Reading,
    point: str | None,
    *,
    replicates: int,
    seed: int,
    exported: Mapping[str, Any] | None = None,
) -> Assessment:
    """Measure by what the model keeps of its own fitting, and write the results."""
    facts = predictor.facts
    fitted = Fit.kept(facts, point)
    limit = facts.decision(point).scope_limit
    with working_on(subject.folder, TASK):
        evaluation, table = measure(
            subject, predictor, {subject.part: reading}, fitted, limit,
            scope_note=NO_CHECK if facts.fitted else OLDER, replicates=replicates, seed=seed,
        )  # fmt: skip
        kept = (
            "Temperature, operating points and refer bands are the model's own, fitted on the "
            "validation part of its split, and were applied unchanged to this store."
        )
        evaluation |= {
            "fitting": {
                "fitted_on": "val", "measured_on": subject.part, "cross_fitted": 0,
                "sentence": kept if facts.fitted else f"{OLDER[0].upper()}{OLDER[1:]}.",
            },
            "fitted_digest": fitted_digest(facts.fitted),
            "audit": None,
        }  # fmt: skip
        if exported is not None:
            evaluation["exported"] = dict(exported)
        set_mark(subject.folder, "evaluation")

        def model_files(staging: Path) -> Sequence[str]:
            """What a report reads of a run; the run itself may be on another machine."""
            if exported is None:
                return ()
            written, here = RunFolder(staging), environment()
            del here["date"]  # which would be taken for that of the run
            written.write_json("environment.json", here)
            written.write_json(MODEL, facts.to_json())
            if facts.fitted is None:
                return "environment.json", MODEL
            written.write_json(FITTED, facts.fitted.to_json())
            return "environment.json", MODEL, FITTED

        return write_assessment(
            subject.folder, evaluation, subject.store, table, model_files=model_files
        )


def _fitting(part: str, groups: int | None = None) -> dict[str, Any]:
    """The "fitting" part for a run on its own split; groups: of cases, where cross-fitted."""
    what = "Temperature, operating points and refer bands were fitted"
    if groups is None:
        sentence = f"{what} on the validation part and applied unchanged to the test part."
    elif groups:
        sentence = (
            f"{what} and measured on the validation part, as there is no test part: its cases were "
            f"shared out to {groups} groups, and each group was judged by what was fitted on the "
            "others. The model keeps what was fitted on all of them. The headline figures, the "
            "confusion matrix, the rows of cases and the shares that are referred by class are at "
            "the model's threshold and band, which were chosen on these patches."
        )
    else:
        sentence = (
            f"{what} and measured on the validation part, as there is no test part: with one case, "
            "on the same patches, so what is measured is too good."
        )
    return {
        "fitted_on": "val", "measured_on": part, "cross_fitted": groups or 0, "sentence": sentence
    }  # fmt: skip
