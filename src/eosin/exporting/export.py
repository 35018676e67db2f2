"""An export from run to folder: written, tried on validation patches, described; whole or not."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eosin import __version__
from eosin.errors import RunError, SplitError, StoreError, UserError
from eosin.exporting.card import export_card
from eosin.exporting.checked import Checker, Refused
from eosin.exporting.graph import ExportGraph
from eosin.exporting.int8 import CALIBRATED, make_int8
from eosin.exporting.onnx_file import make_onnx, save_onnx, trace
from eosin.exporting.openvino_file import save_openvino
from eosin.exporting.parity import random_sample, some, validation_sample
from eosin.exporting.torch_file import save_program
from eosin.inference.torch_predictor import TorchPredictor, load_run
from eosin.reporting.words import INTENDED_USE
from eosin.runs import RunFolder
from eosin.splitting.seen import SEEN, seen_table
from eosin.training.session import Session, reopen

FORMAT = 1
CARD, RESULT = "EXPORT_CARD.md", "export.json"
_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "timm")

Said = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """Which files are asked for. int8 is made of whatever stands beside it, torch excepted."""

    onnx: bool = True
    int8: bool = False
    openvino: bool = False
    torch: bool = False

    @classmethod
    def of(cls, *, onnx: bool, int8: bool, openvino: bool, torch: bool) -> Wanted:
        """From the options of the command: ONNX where nothing else could be meant.

        >>> Wanted.of(onnx=False, int8=True, openvino=False, torch=True).onnx
        True
        """
        return cls(onnx or not (openvino or (torch and not int8)), int8, openvino, torch)


def export(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    wanted: Wanted | None = None,
    store: str | None = None,
    force: bool = False,
    said: Said = lambda text: None,
) -> dict[str, Any]:
    """Export a run; returns the content of export.json, which the folder then holds as well.

    path: a run folder; store: where its store is now, by default where it was; said: told in words
    what is being done. Every file is tried on validation patches of the run beside torch; where
    its store is gone, float32 files are tried on made-up patches, and int8 is refused.

    Raises RunError where the run is not finished or damaged, UserError where its network cannot be
    exported or the folder holds something else, FailureError where a float32 file does not answer
    as torch does. Then nothing is left. A refused int8 file is no error: "refused" says why.
    """
    asked, target = wanted or Wanted(), Path(folder)
    _check_target(target, force)
    predictor = load_run(path)
    run = RunFolder(path)
    session, missing = _reopened(run, store)
    sample = random_sample(predictor.patch_size) if session is None else validation_sample(session)
    if missing:
        said(missing)
    said(f"torch answers for {sample.words()}")
    checker = Checker(predictor, sample)
    facts = _facts(run, predictor)
    with whole_folder(target) as partial:
        checker.begin(partial / "work", said)
        files, refused = _write_all(partial, asked, predictor, checker, facts, session)
        shutil.rmtree(partial / "work")
        if (run / SEEN).exists():
            shutil.copyfile(run / SEEN, partial / SEEN)
        result = {
            **{key: facts[key] for key in ("format", "run", "classes", "patch_size")},
            "files": files,
            "refused": refused,
            "sample": sample.about() | {"note": missing},
            "facts": facts["facts"],
            "weights_digest": facts["weights_digest"],
            "exported_with": facts["exported_with"],
            "intended_use": INTENDED_USE,
        }
        RunFolder(partial).write_json(RESULT, result)
        RunFolder(partial).write_text(CARD, export_card(result))
    return result


def _write_all(
    partial: Path,
    asked: Wanted,
    predictor: TorchPredictor,
    checker: Checker,
    facts: dict[str, Any],
    session: Session | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write what is asked for; returns the rows of "files" and of "refused"."""
    graph = ExportGraph(predictor.model.cpu()).eval()
    checker.said("tracing the network")
    program = trace(graph)
    files: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    if asked.torch:
        files.append(
            checker.write(
                partial / "model.pt2",
                lambda path, known: save_program(program, path, known),
                facts,
            )
        )
    if not asked.onnx and not asked.openvino:
        return files, refused
    models = {"": make_onnx(graph, program)}
    if asked.int8:
        calibration = _calibration(session)
        if isinstance(calibration, str):
            refused += [
                {"file": name, "why": calibration, "parity": None} for name in _int8_names(asked)
            ]
        else:
            checker.said(f"quantizing with {len(calibration)} training patches")
            models["-int8"] = make_int8(models[""], calibration)
    for ending, model in models.items():
        known = facts | {"kind": "int8" if ending else "fp32"}
        writers = {}
        if asked.onnx:
            writers[f"model{ending}.onnx"] = lambda path, f, m=model: save_onnx(m, path, f)
        if asked.openvino:
            # OpenVINO reads it from a file.
            source = partial / "work" / f"source{ending}.onnx"
            save_onnx(model, source, known)
            writers[f"model{ending}.xml"] = lambda path, f, s=source: save_openvino(s, path, f)
        for name, writer in writers.items():
            try:
                files.append(checker.write(partial / name, writer, known))
            except Refused as why:
                refused.append({"file": name, "why": str(why), "parity": why.parity})
    return files, refused


def _calibration(session: Session | None) -> Any:
    """Training patches uint8 [n, H, W, 3] to calibrate on, or why there are none."""
    if session is None:
        return "the run's store cannot be read, so there are no training patches to calibrate on"
    if not len(session.parts["val"]):
        return "the run has no validation patches to judge it on"
    rows = some(session.parts["train"], CALIBRATED, 0)
    return np.asarray(session.store.patches[rows])


def _int8_names(asked: Wanted) -> list[str]:
    given = {"model-int8.onnx": asked.onnx, "model-int8.xml": asked.openvino}
    return [name for name, there in given.items() if there]


def _reopened(run: RunFolder, store: str | None) -> tuple[Session | None, str]:
    """The run's session, or None and a sentence on why its patches cannot be read."""
    try:
        return reopen(run.path, store), ""
    except (RunError, StoreError, SplitError) as error:
        if store is not None:
            raise
        return None, (
            "the files are tried on made-up patches, as those of the run cannot be read "
            f"({error}); say where its store is with --store"
        )


def _facts(run: RunFolder, predictor: TorchPredictor) -> dict[str, Any]:
    """The metadata of a file, but for its kind and its parity."""
    seen: dict[str, list[str]] = {}
    if (run / SEEN).exists():
        table = seen_table(run)
        seen = {
            part: sorted(set(table.filter(part=part)["case"].to_list()) - {""})
            for part in ("train", "val")
        }
    versions = {"eosin": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "format": FORMAT,
        "kind": "fp32",
        "classes": list(predictor.classes),
        "patch_size": list(predictor.patch_size),
        "facts": predictor.facts,
        "weights_digest": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        "run": run.path.resolve().name,
        "seen_cases": seen,
        "exported_with": versions,
        "intended_use": INTENDED_USE,
    }


def _check_target(target: Path, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise UserError(f"{target} is a file; name a folder with -o FOLDER")
    if not (target / RESULT).exists():
        raise UserError(f"{target} holds something else than an export; name another folder")
    if not force:
        raise UserError(f"{target} holds an export already; choose another name or say --force")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of ``target`` where the block ends without error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
