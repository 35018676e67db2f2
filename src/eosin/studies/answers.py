"""What finished runs of a study answer for their patches, kept in their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.folders import whole_file
from eosin.sources.files import read_npz
from eosin.studies.study import Done, Job, PlannedRun, Study
from eosin.training.session import Session

Probabilities = npt.NDArray[np.float32]

#: The study's own predictions of a finished run, kept so that a second call need not predict.
_MEASURED = "measured.npz"


def measured_runs(study: Study, planned: Iterable[PlannedRun]) -> Done[Session]:
    """Train the planned runs of a study and keep their answers; failures are collected."""

    def trained(run: PlannedRun) -> Session:
        session = study.trained(run)
        # Here, so that a damaged model costs its own run only.
        measured(session)
        return session

    return study.do(Job(run.name, run.title, partial(trained, run)) for run in planned)


def measured(session: Session) -> dict[str, Probabilities]:
    """Probabilities of a finished run's "val" and "test" part, float32 [n, K], kept in its folder.

    As the network gives them, without calibration, in exact arithmetic (fp32).
    """
    from eosin.inference.predictor import load, predict_rows

    path = session.run / _MEASURED
    parts = {name: session.parts[name] for name in ("val", "test")}
    kept = read_arrays(path)
    if all(name in kept and len(kept[name]) == len(rows) for name, rows in parts.items()):
        return {name: kept[name] for name in parts}
    predictor = load(session.run.path, precision="fp32")
    empty = np.zeros((0, len(session.store.classes)), np.float32)
    answers = {
        name: np.concatenate([empty, *predict_rows(predictor, session.store.patches, rows)])
        for name, rows in parts.items()
    }
    write_arrays(path, answers)
    return answers


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file; none where it is missing or damaged, as it can be made again."""
    try:
        return read_npz(path)
    except (OSError, ValueError):
        return {}


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file under a temporary name and put it in its place."""
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
