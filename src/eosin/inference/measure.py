"""What evaluation.json contains: figures, and whether answers can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from eosin.data.store import MADE_UP
from eosin.evaluation.summary import evaluate
from eosin.inference.fitting import Fit, Judged, case_groups, judge
from eosin.inference.predictor import Predictor
from eosin.inference.records import prediction_table, published_section
from eosin.inference.scope import probe_scope
from eosin.inference.subject import Reading, Subject
from eosin.records.decision import Decision
from eosin.records.marks import Mark, unique
from eosin.records.model import INTENDED_USE
from eosin.records.points import Band
from eosin.records.scored import Scored
from eosin.runs import recorded_path
from eosin.trust.benefit import decision_curve
from eosin.trust.calibration import calibration_effect, measure_calibration
from eosin.trust.operating import operating_points
from eosin.trust.referral import decided_section, measure_referral, referral_section
from eosin.trust.reliability import BINS
from eosin.trust.selective import risk_coverage
from eosin.trust.suspects import find_suspects

TWO_CLASSES = "defined for two classes only"


def measure(
    subject: Subject,
    predictor: Predictor,
    readings: Mapping[str, Reading],
    fitted: Fit,
    scope_limit: float | None,
    *,
    scope_note: str,
    crossed: Judged | None = None,
    replicates: int,
    seed: int,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """evaluation.json and the table of predictions; nothing is fitted here.

    readings: by part; scope_limit: of the out-of-scope check, or None with a note that says why
    there is none; crossed: the measured patches judged by what was fitted on others, where the
    model's own fitting saw them.
    """
    store, part = subject.store, subject.part
    rows, reading = subject.parts[part], readings[part]
    facts = predictor.facts
    decision = Decision(store.classes, fitted.point, scope_limit)
    judged = {
        name: judge(fitted, each.logits, each.probabilities) for name, each in readings.items()
    }
    answers = {name: each.after for name, each in judged.items()}
    scored = Scored(store.labels[rows], answers[part], store.cases[rows])
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    made_up = [Mark("made_up", MADE_UP)] if store.made_up else []
    noticed = (Mark("diagnosis", each.sentence) for each in facts.diagnoses)
    evaluation = evaluate(
        scored, classes=store.classes, point=fitted.point, baselines=subject.baselines,
        marks=unique([*made_up, *subject.marks, *noticed]), **drawn,
    )  # fmt: skip
    evaluation["warnings"] += subject.warnings
    evaluation |= {
        "run": str(subject.model.resolve()),
        "part": part,
        "split": subject.scheme,
        "store": {
            **recorded_path(store.path, subject.folder),
            "digest": store.digest, "patches": len(store),
        },
        "recipe": facts.recipe,
        "intended_use": INTENDED_USE,
        "point": fitted.default,
        "decided": decided_section(
            scored, decision, decision.decide(scored.probabilities, reading.distances)
        ),
    }  # fmt: skip
    honest = crossed or judged[part]
    evaluation |= trust_sections(
        scored.answering(honest.after), honest, fitted, store.classes, part=part, **drawn
    )
    evaluation["scope"] = {"note": scope_note, "probes": []}
    if reading.distances is not None and scope_limit is not None:
        groups = None if crossed is None else case_groups(scored.labels, scored.units)
        evaluation["scope"] = probe_scope(
            predictor, store, rows, reading.distances, scope_limit, groups=groups, seed=seed
        )
    asked = np.concatenate(list(subject.parts.values()))
    probabilities = np.concatenate(list(answers.values()))
    evaluation["suspects"] = find_suspects(
        Scored(store.labels[asked], probabilities, store.cases[asked])
    ).as_dict(
        store.classes,
        patch=asked,
        case=store.cases[asked],
        source=store.index["source"].gather(asked).to_numpy(),
    )
    evaluation["published"] = published_section(subject, evaluation)
    tables = [
        prediction_table(store, name, each, answers[name], readings[name].distances, decision)
        for name, each in subject.parts.items()
    ]
    return evaluation, pl.concat(tables)


def trust_sections(
    scored: Scored,
    judged: Judged,
    fitted: Fit,
    classes: tuple[str, ...],
    *,
    part: str,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Calibration, operating points, decision curve and referral of the measured patches.

    scored: the patches with the probabilities ``judged.after``; fitted: what the model keeps; part:
    what the measured patches are called. Replicates and seed are those of the bootstrap.
    """
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    methods = {"before": judged.before, "temperature": judged.after, "isotonic": judged.isotonic}
    calibrated = measure_calibration(scored, methods, **drawn)
    sections: dict[str, Any] = {
        "calibration": {
            "temperature": float(fitted.temperature),
            "note": fitted.temperature.note,
            "sentence": calibration_effect(calibrated),
            "bins": BINS,
            "methods": calibrated,
        },
        "operating_points": [],
        "decision_curve": {"note": TWO_CLASSES},
    }
    achieved = {
        name: measure_referral(
            scored, judged.decided[name], classes, level=(point.band or Band()).level, **drawn
        )
        for name, point in fitted.points.items()
    }
    if scored.classes == 2:
        # No threshold decides on NaN, though a comparison with it calls every patch negative.
        called = judged.called if scored.finite.all() else {}
        rows = operating_points(scored, called, fitted.points, default=fitted.default, **drawn)
        for row in rows:
            band, seen = fitted.points[row["name"]].band, achieved[row["name"]]
            limits = {"low": band.low, "high": band.high} if band else None
            row["referral"] = {
                "band": limits, "coverage": seen["coverage"], "error": seen["error"]
            }  # fmt: skip
        sections |= {"operating_points": rows, "decision_curve": decision_curve(scored, **drawn)}
    if fitted.point.band is not None:
        curve = risk_coverage(scored, fitted.point, **drawn)
        sections["referral"] = referral_section(
            fitted.point, achieved[fitted.default], curve, part=part
        )
    return sections
