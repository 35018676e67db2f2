"""Open whatever a model is kept in: a run folder or an exported file."""

from __future__ import annotations

import os
from pathlib import Path

from eosin.errors import RunError, missing_extra
from eosin.runtime import predictor as runtime
from eosin.runtime.predictor import FilePredictor as FilePredictor
from eosin.runtime.predictor import Predictor as Predictor
from eosin.runtime.predictor import examine_rows as examine_rows
from eosin.runtime.predictor import is_exported as is_exported
from eosin.runtime.predictor import predict_rows as predict_rows


def load(path: str | os.PathLike[str], *, precision: str = "fp32") -> Predictor:
    """The predictor of a run folder, an exported file (.onnx, .xml, .pt2) or an export's folder.

    A run folder and a .pt2 file are answered by torch, which is loaded for them only. precision and
    errors: as in ``eosin.runtime.predictor.load_file``; also RunError where training has not
    finished.
    """
    place = Path(path)
    if is_exported(place) or place.is_file():
        return load_file(place, precision=precision)
    runtime.check_precision(precision)
    finished_run(place)
    try:
        from eosin.inference.torch_predictor import load_run

        return load_run(place, precision=precision)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"answering with the run {place}") or error from None


def load_file(
    path: str | os.PathLike[str], *, precision: str = "fp32", check: bool = True
) -> FilePredictor:
    """The predictor of an exported file, .pt2 included, or of an export's folder."""
    runtime.check_precision(precision)
    place = runtime.file_of(Path(path), precision)
    if place.suffix.lower() != ".pt2":
        return runtime.load_file(place, precision=precision, check=check)
    try:
        from eosin.inference.torch_program import ProgramPredictor

        made = ProgramPredictor(place, precision=precision)
        return made.proven() if check else made
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"answering with {place}") or error from None


def finished_run(folder: Path) -> Path:
    """The folder; raises RunError where it is missing or its training has not finished."""
    if not folder.is_dir():
        raise RunError(f"{folder} does not exist; make a run with: eosin train STORE -o {folder}")
    if not (folder / "model.json").exists() and (folder / "resume.pt").exists():
        raise RunError(
            f"{folder}: training has not finished; resume it with: eosin train --resume {folder}"
        )
    return folder
