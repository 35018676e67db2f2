"""Assess a run: predict, fit on validation what is fitted there, and measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import PatchStore
from eosin.errors import RunError
from eosin.evaluation.decisions import Threshold
from eosin.evaluation.intervals import resampling_units
from eosin.evaluation.summary import evaluate
from eosin.inference.answers import Answers
from eosin.inference.fitting import Fitted, Judged, Wishes, case_groups, cross_judge, fit, judge
from eosin.inference.measure import suspect_section, trust_sections
from eosin.inference.records import (
    NO_TEST,
    Assessment,
    StoreRows,
    baselines_for,
    diagnosed,
    prediction_table,
    provenance,
    published_section,
    write_assessment,
)
from eosin.inference.scope import TOO_FEW, fit_scope, probe_scope
from eosin.inference.torch_predictor import TorchPredictor, load_run
from eosin.models.classifier import save_fitted
from eosin.records.model import Fitted as KeptFitted
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.training.session import Session
from eosin.trust.scope import KEPT, scope_threshold

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

NO_VALIDATION = "there is no validation part to choose a threshold on"


def assess(
    session: Session,
    *,
    precision: str = "fp32",
    replicates: int = 2000,
    seed: int = 0,
    with_baselines: bool = True,
    wishes: Wishes | None = None,
    progress: Progress = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the test part of its own store; writes into the run folder.

    The temperature, the operating points, the refer band and the out-of-scope threshold are fitted
    on the validation part and kept in the model; ``wishes`` says what the band must promise.
    Without a test part the figures are those of the validation part, and say so.
    """
    store, run, parts = session.store, session.run, session.parts
    predictor = load_run(run.path, precision=precision)
    named = {name: parts[name] for name in ("val", "test") if len(parts[name])}
    if not named:
        raise RunError(
            f"{run.path}: its split has neither validation nor test patches to evaluate on"
        )
    # What is fitted here replaces what was fitted before.
    predictor.model.temperature.fill_(1.0)
    has_scope = fit_scope(predictor, store, parts["train"], seed=seed)
    logits, distances = _read(predictor, store, named, has_scope, progress)
    wanted = wishes or Wishes()
    fitted = _fit(store, parts["val"], logits.get("val"), wanted)
    limit = scope_threshold(distances["val"]) if has_scope and "val" in named else None
    part = "test" if "test" in named else "val"
    chosen = named[part]
    judged, fitting = _judge(store, chosen, logits[part], fitted, part, wanted, seed)
    probabilities = {name: fitted.temperature.apply(given) for name, given in logits.items()}
    marks = [
        *session.marks,
        *diagnosed(predictor.facts),
        *([NO_TEST] if part == "val" else []),
    ]
    others = (
        baselines_for(store, parts, StoreRows(store.patches, chosen), seed)
        if with_baselines
        else {}
    )
    evaluation = evaluate(
        store.labels[chosen],
        probabilities[part],
        store.cases[chosen],
        classes=store.classes,
        threshold=fitted.threshold,
        replicates=replicates,
        seed=seed,
        baselines=others,
        marks=list(dict.fromkeys(marks)),
    )
    evaluation |= provenance(run.path, predictor, store, part, session.split.scheme)
    evaluation["fitting"] = fitting
    evaluation |= trust_sections(
        store.labels[chosen],
        judged,
        store.cases[chosen],
        temperature=float(fitted.temperature),
        note=fitted.temperature.note,
        points=fitted.points,
        band=fitted.band,
        part=part,
        replicates=replicates,
        seed=seed,
    )
    if limit is None:
        evaluation["scope"] = {"note": NO_VALIDATION if has_scope else TOO_FEW, "probes": []}
    else:
        units = resampling_units(store.cases[chosen], len(chosen))
        groups = case_groups(store.labels[chosen], units, seed=seed) if part == "val" else None
        evaluation["scope"] = probe_scope(
            predictor, store, chosen, distances[part], limit, groups=groups, seed=seed
        )
    seen = np.concatenate(list(named.values()))
    evaluation["suspects"] = suspect_section(
        store, seen, np.concatenate([probabilities[name] for name in named])
    )
    evaluation["published"] = published_section(
        session.split.scheme, store, chosen, evaluation, trained=parts["train"]
    )
    evaluation["audit"] = run.read_json("environment.json").get("audit")
    facts = _keep(run, predictor, fitted, limit)
    answers = Answers.of(facts, store.classes)
    tables = [
        prediction_table(store, name, rows, probabilities[name], distances.get(name), answers)
        for name, rows in named.items()
    ]
    return write_assessment(run.path, evaluation, store, pl.concat(tables), metrics=run.metrics())


def _read(
    predictor: TorchPredictor,
    store: PatchStore,
    parts: Mapping[str, Rows],
    has_scope: bool,
    progress: Progress,
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, npt.NDArray[np.float32]]]:
    """Logits and distances of each part."""
    total, done = sum(map(len, parts.values())), 0

    def stepped(patches: int) -> None:
        nonlocal done
        done += patches
        progress(done, total)

    logits, distances = {}, {}
    for name, rows in parts.items():
        logits[name], texture = predictor.read(store.patches, rows, progress=stepped)
        if has_scope:
            distances[name] = predictor.distances(texture)
    return logits, distances


def _fit(
    store: PatchStore, rows: Rows, logits: npt.NDArray[np.float32] | None, wishes: Wishes
) -> Fitted:
    classes = len(store.classes)
    given = np.empty((0, classes), np.float32) if logits is None else logits
    units = resampling_units(store.cases[rows], len(rows))
    fitted = fit(store.labels[rows], given, units, wishes=wishes)
    if logits is not None or classes > 2:
        return fitted
    points = {
        name: Threshold(0.5, point.rule, "nothing", NO_VALIDATION)
        for name, point in fitted.points.items()
    }
    return Fitted(fitted.temperature, fitted.isotonic, points, fitted.band)


def _judge(
    store: PatchStore,
    rows: Rows,
    logits: npt.NDArray[np.float32],
    fitted: Fitted,
    part: str,
    wishes: Wishes,
    seed: int,
) -> tuple[Judged, dict[str, Any]]:
    """Probabilities and decisions of the measured patches, and the "fitting" part."""
    what = "Temperature, operating points and refer band"
    if part == "test":
        sentence = (
            f"{what} were fitted on the validation part and applied unchanged to the test part."
        )
        judged, groups = judge(fitted, logits), 0
    else:
        units = resampling_units(store.cases[rows], len(rows))
        judged, groups = cross_judge(store.labels[rows], logits, units, wishes=wishes, seed=seed)
        sentence = (
            f"{what} were fitted and measured on the validation part, as there is no test part: "
            + (
                f"its cases were shared out to {groups} groups, and each group was judged by what "
                "was fitted on the others. The model keeps what was fitted on all of them. The "
                "headline figures, the confusion matrix and the rows of cases are at the model's "
                "threshold, which was chosen on these patches."
                if groups
                else "with one case, on the same patches, so what is measured is too good."
            )
        )
    return judged, {
        "fitted_on": "val",
        "measured_on": part,
        "cross_fitted": groups,
        "sentence": sentence,
    }


def _keep(
    run: RunFolder, predictor: TorchPredictor, fitted: Fitted, limit: float | None
) -> ModelFacts:
    """Store what was fitted in the model; returns what is known of it now."""
    predictor.model.temperature.fill_(float(fitted.temperature))
    two = len(predictor.classes) == 2
    earlier = {
        "format": 1,
        **predictor.facts.to_json(),
        "temperature": float(fitted.temperature),
        "threshold": fitted.threshold.as_dict() if two else None,
        "operating_points": {name: point.as_dict() for name, point in fitted.points.items()},
        "referral": fitted.band.as_dict(),
        "scope": None if limit is None else {"threshold": limit, "kept": KEPT},
    }
    values = ModelFacts.read(earlier | {"format": 1}).fitted or KeptFitted()
    save_fitted(run.path, values, predictor.model)
    predictor.facts = ModelFacts.of_run(run.path)
    return predictor.facts
