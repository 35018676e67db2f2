"""Assess a run on a store that it has never seen; nothing is fitted there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eosin.data.store import PatchStore
from eosin.errors import EosinError, RunError, UserError
from eosin.evaluation.decisions import Threshold
from eosin.evaluation.summary import evaluate
from eosin.inference.answers import Answers
from eosin.inference.fitting import Fitted, judge
from eosin.inference.measure import suspect_section, trust_sections
from eosin.inference.predictor import load
from eosin.inference.records import (
    Assessment,
    StoreRows,
    baselines_for,
    diagnosed,
    prediction_table,
    provenance,
    published_section,
    write_assessment,
)
from eosin.inference.scope import probe_scope
from eosin.runs import RunFolder
from eosin.training.session import MADE_UP, reopen, seen_before
from eosin.trust.calibration import Isotonic, Temperature
from eosin.trust.referral import Band

OWN_SPLIT = "of the run's own split, not of this store: "
OLDER = "the run was never evaluated on its own validation part, so nothing was fitted"
NO_CHECK = "the run has no out-of-scope check: there was too little to fit one on"


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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Assessment:
    """Evaluate a run on the whole of a store that it has never seen.

    Raises RunError when a case or the pixels of a patch were trained on (unless ``allow_seen``,
    which every output then says), or when the classes differ; UserError when the output is a run.
    """
    folder = output or run / f"evaluation-{store.path.name}"
    _refuse_run(folder)
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
    marks += [_of_own_split(str(mark)) for mark in predictor.facts.get("marks", [])]
    rows = np.arange(len(store))
    done = 0

    def stepped(patches: int) -> None:
        nonlocal done
        done += patches
        progress(done, len(rows))

    logits, texture = predictor.read(store.patches, rows, progress=stepped)
    temperature = float(predictor.model.temperature)
    fitted, band = _fitted(predictor.facts, temperature)
    # The model divides by its temperature; what was fitted does so itself.
    judged = judge(fitted, logits * temperature)
    limit = (predictor.facts.get("scope") or {}).get("threshold")
    distances = None if limit is None else predictor.distances(texture)
    others, missing = {}, []
    if with_baselines:
        try:
            others = baselines_for(reopen(run.path), StoreRows(store.patches, rows), seed)
        except EosinError as error:
            missing = [f"no baselines, which need the run's own training patches: {error}"]
    evaluation = evaluate(
        store.labels,
        judged.after,
        store.cases,
        classes=store.classes,
        threshold=fitted.threshold,
        replicates=replicates,
        seed=seed,
        baselines=others,
        marks=list(dict.fromkeys([*marks, *diagnosed(predictor.facts)])),
    )
    evaluation["warnings"] += missing
    evaluation |= provenance(run, predictor, store, "all", "unseen store")
    evaluation["fitting"] = {
        "fitted_on": "val",
        "measured_on": "all",
        "cross_fitted": 0,
        # More than two classes have no operating points; a band is kept all the same.
        "sentence": "Temperature, operating points and refer band are the model's own, fitted on "
        "the validation part of its split, and were applied unchanged to this store."
        if fitted.points or band is not None
        else f"{OLDER[0].upper()}{OLDER[1:]}.",
    }
    evaluation |= trust_sections(
        store.labels,
        judged,
        store.cases,
        temperature=temperature,
        note="",
        points=fitted.points,
        band=band,
        part="all",
        replicates=replicates,
        seed=seed,
    )
    if distances is None or limit is None:
        why = OLDER if band is None else NO_CHECK
        evaluation["scope"] = {"note": why, "probes": []}
    else:
        evaluation["scope"] = probe_scope(predictor, store, rows, distances, limit, seed=seed)
    evaluation["suspects"] = suspect_section(store, rows, judged.after)
    evaluation["published"] = published_section("unseen store", store, rows, evaluation)
    folder.mkdir(parents=True, exist_ok=True)
    answers = Answers.of(predictor.facts, store.classes)
    table = prediction_table(store, "all", rows, judged.after, distances, answers)
    return write_assessment(run, folder, evaluation, store, table)


def _of_own_split(mark: str) -> str:
    """A leak between the parts that a run was made from is none between them and this store."""
    return mark if mark == MADE_UP else f"{OWN_SPLIT}{mark}"


def _refuse_run(folder: Path) -> None:
    """Refuse a folder whose own evaluation would be written over."""
    if (folder / "recipe.toml").exists():
        raise UserError(
            f"{folder} is a run folder, and its own evaluation would be lost; name another folder "
            "with -o FOLDER"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with -o FOLDER")


def _fitted(facts: dict[str, Any], temperature: float) -> tuple[Fitted, Band | None]:
    """What the model keeps of its fitting on validation."""
    points = {
        name: Threshold(**saved) for name, saved in (facts.get("operating_points") or {}).items()
    }
    if not points and facts.get("threshold"):
        saved = Threshold(**facts["threshold"])
        points = {saved.rule: saved}
    referral = facts.get("referral")
    band = Band.from_dict(referral) if referral else None
    isotonic = Isotonic(note="the isotonic map was fitted for comparison and is not kept")
    nothing = Band(None, None, note="nothing was fitted")
    return Fitted(Temperature(temperature), isotonic, points, band or nothing), band
