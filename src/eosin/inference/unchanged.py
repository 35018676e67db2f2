"""Measure a model with the thresholds that it carries: nothing is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.store import MADE_UP, PatchStore
from eosin.errors import RunError, UserError
from eosin.evaluation.baselines import Baseline
from eosin.evaluation.decisions import Threshold
from eosin.evaluation.summary import evaluate
from eosin.inference.answers import Answers
from eosin.inference.fitting import Fitted, judge
from eosin.inference.measure import suspect_section, trust_sections
from eosin.inference.predictor import Predictor
from eosin.inference.records import diagnosed, prediction_table, provenance, published_section
from eosin.inference.scope import probe_scope
from eosin.records.model import EARLIER_BAND, ModelFacts
from eosin.records.points import EARLIER_NAMES
from eosin.splitting.seen import seen_before
from eosin.trust.calibration import Isotonic, Temperature
from eosin.trust.referral import Band

Rows = npt.NDArray[np.int64]

OWN_SPLIT = "of the run's own split, not of this store: "
OLDER = "the run was never evaluated on its own validation part, so nothing was fitted"
NO_CHECK = "the run has no out-of-scope check: there was too little to fit one on"
UNSEEN = "unseen store"


@dataclass(frozen=True)
class Measured:
    """What a model said of some patches of a store, and what else is known of them."""

    store: PatchStore
    rows: Rows
    #: float [n, K], not yet divided by the model's temperature.
    logits: npt.NDArray[np.floating] = field(repr=False)
    #: float32 [n] from the training patches; None where the model has no out-of-scope check.
    distances: npt.NDArray[np.float32] | None = field(repr=False)
    #: "all" for a whole store, else "test" or "val" of a split, and the split's scheme.
    part: str = "all"
    scheme: str = UNSEEN
    marks: Sequence[str] = ()
    warnings: Sequence[str] = ()
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    #: int64 [m], the training patches where they are of this store.
    trained: Rows | None = None


def measure_unchanged(
    predictor: Predictor,
    path: Path,
    found: Measured,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """evaluation.json and the table of predictions, by what the model keeps of its own fitting.

    path: the run folder or the file that was asked; replicates and seed are those of the bootstrap.
    """
    store, rows = found.store, found.rows
    facts = predictor.facts
    labels, cases = store.labels[rows], store.cases[rows]
    temperature = facts.temperature
    fitted, band = _fitted(facts, temperature)
    judged = judge(fitted, found.logits)
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    evaluation = evaluate(
        labels,
        judged.after,
        cases,
        classes=store.classes,
        threshold=fitted.threshold,
        baselines=found.baselines,
        marks=list(dict.fromkeys([*found.marks, *diagnosed(facts)])),
        **drawn,
    )
    evaluation["warnings"] += found.warnings
    evaluation |= provenance(path, predictor, store, found.part, found.scheme)
    evaluation["fitting"] = {
        "fitted_on": "val",
        "measured_on": found.part,
        "cross_fitted": 0,
        # More than two classes have no operating points; a band is kept all the same.
        "sentence": "Temperature, operating points and refer band are the model's own, fitted on "
        "the validation part of its split, and were applied unchanged to this store."
        if fitted.points or band is not None
        else f"{OLDER[0].upper()}{OLDER[1:]}.",
    }
    evaluation |= trust_sections(
        labels,
        judged,
        cases,
        temperature=temperature,
        note="",
        points=fitted.points,
        band=band,
        part=found.part,
        **drawn,
    )
    limit = facts.decision().scope_limit
    distances = None if limit is None else found.distances
    if distances is None or limit is None:
        evaluation["scope"] = {"note": OLDER if band is None else NO_CHECK, "probes": []}
    else:
        evaluation["scope"] = probe_scope(predictor, store, rows, distances, limit, seed=seed)
    evaluation["suspects"] = suspect_section(store, rows, judged.after)
    evaluation["published"] = published_section(
        found.scheme, store, rows, evaluation, trained=found.trained
    )
    answers = Answers.of(facts, store.classes)
    table = prediction_table(store, found.part, rows, judged.after, distances, answers)
    return evaluation, table


def check_classes(path: Path, predictor: Predictor, store: PatchStore) -> None:
    """Raise RunError where a store has other classes than a model."""
    if predictor.classes != store.classes:
        raise RunError(
            f"{path} knows the classes {list(predictor.classes)}, {store.path} has "
            f"{list(store.classes)}; they must be the same, in the same order"
        )


def mark_seen(
    seen: pl.DataFrame, store: PatchStore, rows: Rows | None = None, *, allow_seen: bool = False
) -> list[str]:
    """The mark of patches that a model has learned from; none where there are none.

    seen: as ``splitting.seen`` reads it; rows: int64 [n], the measured patches, by default all.
    Raises RunError where there are some and ``allow_seen`` was not said.
    """
    cases, patches = seen_before(seen, store, rows)
    if not cases and not patches:
        return []
    what = (
        f"{len(cases)} case(s) ({', '.join(cases[:5])}{', ...' if len(cases) > 5 else ''}) and "
        f"{patches} patch(es) of {store.path} were seen in training"
    )
    if not allow_seen:
        raise RunError(
            f"{what}: figures on them would be too good. Leave them out, or say --allow-seen "
            "and every output will say so"
        )
    return [f"seen in training: {what}"]


def of_own_split(mark: str) -> str:
    """A leak between the parts that a run was made from is none between them and another store."""
    return mark if mark == MADE_UP else f"{OWN_SPLIT}{mark}"


def refuse_folder(folder: Path) -> None:
    """Raise UserError for a folder in which results would write over a run or an export."""
    if (folder / "recipe.toml").exists():
        raise UserError(
            f"{folder} is a run folder, and its own evaluation would be lost; name another folder "
            "with -o FOLDER"
        )
    if any((folder / name).exists() for name in ("export.json", "model.onnx", "model.xml")):
        raise UserError(f"{folder} holds an exported model; name another folder with -o FOLDER")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with -o FOLDER")


def _fitted(facts: ModelFacts, temperature: float) -> tuple[Fitted, Band | None]:
    """What the model keeps of its fitting on validation."""
    kept = facts.fitted.points if facts.fitted else {}
    earlier = {new: old for old, new in EARLIER_NAMES.items()}
    points = {
        earlier.get(name, name): Threshold(
            point.threshold, earlier.get(name, name), point.chosen_on
        )
        for name, point in kept.items()
        if point.threshold is not None and name != EARLIER_BAND
    }
    bands = [asdict(point.band) for point in kept.values() if point.band is not None]
    band = Band.from_dict(bands[0]) if bands else None
    isotonic = Isotonic(note="the isotonic map was fitted for comparison and is not kept")
    nothing = Band(None, None, note="nothing was fitted")
    return Fitted(Temperature(temperature), isotonic, points, band or nothing), band
