"""The parts of evaluation.json that tell whether probabilities and decisions can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore
from eosin.evaluation.decisions import Threshold
from eosin.evaluation.intervals import resampling_units
from eosin.inference.fitting import DEFAULT_POINT, Judged
from eosin.trust.benefit import decision_curve
from eosin.trust.calibration import measure_calibration, say_calibration
from eosin.trust.operating import operating_points
from eosin.trust.referral import Band, measure_referral, referral_section
from eosin.trust.reliability import BINS
from eosin.trust.selective import risk_coverage
from eosin.trust.suspects import find_suspects

Ints = npt.NDArray[np.int64]

TWO_CLASSES = "defined for two classes only"


def trust_sections(
    y_true: Ints,
    judged: Judged,
    cases: npt.ArrayLike,
    *,
    temperature: float,
    note: str,
    points: Mapping[str, Threshold],
    band: Band | None,
    part: str,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Calibration, operating points, decision curve and referral of the measured patches.

    y_true: int64 [N]; judged: their probabilities and decisions; cases: [N] names; temperature and
    its note, points and band: what the model keeps; part: what the measured patches are called.
    Replicates and seed are those of the bootstrap.
    """
    units = resampling_units(cases, len(y_true))
    drawn: dict[str, Any] = {"replicates": replicates, "seed": seed}
    two = judged.after.shape[1] == 2
    methods = {"before": judged.before, "temperature": judged.after, "isotonic": judged.isotonic}
    calibrated = measure_calibration(y_true, methods, units, **drawn)
    found: dict[str, Any] = {
        "calibration": {
            "temperature": temperature,
            "note": note,
            "sentence": say_calibration(calibrated),
            "bins": BINS,
            "methods": calibrated,
        }
    }
    if two:
        positive = judged.after[:, 1]
        # No threshold decides on NaN, though a comparison with it calls every patch negative.
        called = judged.called if np.isfinite(positive).all() else {}
        found["operating_points"] = operating_points(
            y_true, called, points, units, default=DEFAULT_POINT, **drawn
        )
        found["decision_curve"] = decision_curve(y_true, positive, units, **drawn)
    else:
        found["operating_points"] = []
        found["decision_curve"] = {"note": TWO_CLASSES}
    if band is not None:
        achieved = measure_referral(y_true, judged.decided, units, level=band.level, **drawn)
        curve = risk_coverage(y_true, judged.after, units, **drawn)
        found["referral"] = referral_section(band, achieved, curve, part=part)
    return found


def suspect_section(
    store: PatchStore, rows: Ints, probabilities: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """The "suspects" part: patches of rows that were not trained on, int64 [n]; float [n, K]."""
    found = find_suspects(store.labels[rows], probabilities)
    return found.as_dict(
        store.classes,
        patch=rows,
        case=store.cases[rows],
        source=store.index["source"].gather(rows).to_numpy(),
    )
