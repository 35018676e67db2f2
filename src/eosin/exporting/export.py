"""An export from run to folder: written, tried on validation patches, and described."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eosin import __version__
from eosin.cores import instructions, kinds_of_processor, processor
from eosin.errors import RunError, SplitError, StoreError
from eosin.exporting.card import export_card
from eosin.exporting.checked import Checker, Note, Writer
from eosin.exporting.graph import ExportGraph
from eosin.exporting.int8 import CALIBRATED, make_int8
from eosin.exporting.onnx_file import make_onnx, save_onnx, trace
from eosin.exporting.openvino_file import save_openvino
from eosin.exporting.parity import random_sample, validation_sample
from eosin.exporting.torch_file import save_program
from eosin.folders import check_target, whole_folder
from eosin.inference.scope import some
from eosin.inference.torch_predictor import TorchPredictor, load_run
from eosin.records.export import CheckedOn, ExportFacts, FileFacts, RefusedFile
from eosin.records.shared import shared_model, shared_text
from eosin.runs import RunFolder, installed
from eosin.splitting.seen import SEEN, Seen, case_names
from eosin.training.session import Session, reopen

CARD, RESULT = "EXPORT_CARD.md", "export.json"
_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "timm")
#: What every file contains, and export.json as well.
_OF_THE_RUN = ("run", "classes", "patch_size", "facts", "weights_digest", "checked_on",
           "exported_with")  # fmt: skip


@dataclass(frozen=True)
class Formats:
    """Which files to write. int8 is made of those beside it, torch excepted."""

    onnx: bool = True
    int8: bool = False
    openvino: bool = False
    torch: bool = False

    @classmethod
    def of(cls, *, onnx: bool, int8: bool, openvino: bool, torch: bool) -> Formats:
        """From the options of the command: ONNX where nothing else could be meant.

        >>> Formats.of(onnx=False, int8=True, openvino=False, torch=True).onnx
        True
        """
        return cls(onnx or not (openvino or (torch and not int8)), int8, openvino, torch)


def export(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    formats: Formats | None = None,
    point: str | None = None,
    store: str | None = None,
    force: bool = False,
    note: Note = lambda text: None,
) -> ExportFacts:
    """Export a run; returns the content of export.json, which is also in the folder.

    path: a run folder; point: the operating point that decides, by default that of the run; store:
    where the run's store is now, by default where it was; note: called with a sentence on each
    step. Every file is tried on validation patches of the run beside torch; where its store is
    missing, float32 files are tried on made-up patches, and int8 is refused. The folder contains no
    absolute path and no name of a case.

    Raises RunError where the run is not finished or damaged, UserError where its network cannot be
    exported, the point is unknown or the folder contains something else, FailureError where a
    float32 file does not answer as torch does. Then nothing is left. A refused int8 file is not an
    error: "refused" has the reason.
    """
    target, inputs = Path(folder), {"RUN": path, "--store": store}
    check_target(target, "export", force=force, inputs=inputs)
    predictor = load_run(path)
    predictor.facts = predictor.facts.with_point(point)
    run = RunFolder(path)
    session, missing = _reopened(run, store)
    sample = random_sample(predictor.patch_size) if session is None else validation_sample(session)
    if missing:
        note(missing)
    with whole_folder(target, "export", force=force, inputs=inputs) as made:
        work = made / "work"
        work.mkdir()
        checker = Checker(predictor, sample, work, note)
        key = predictor.facts.store_digest
        seen = Seen.of_run(run) if (run / SEEN).exists() else Seen.of_cases({})
        shared = seen.for_others(key)
        public = shared_model(predictor.facts, case_names(run))
        info = FileFacts(
            run=run.path.resolve().name,
            classes=predictor.classes,
            patch_size=predictor.patch_size,
            facts=public.to_json() | {"fitted": public.fitted and public.fitted.to_json()},
            weights_digest=predictor.facts.weights_digest,
            seen_cases=shared.cases_by_part(),
            seen_key=key,
            checked_on=checked_on(),
            exported_with={
                "eosin": __version__,
                "python": platform.python_version(),
                **installed(_PACKAGES),
            },
        )
        _write_all(made, formats or Formats(), predictor, checker, info, session)
        shutil.rmtree(work)
        if len(shared):
            shared.write(made / SEEN)
        result = ExportFacts(
            files=tuple(checker.files),
            refused=tuple(checker.refused),
            sample=sample.about(shared_text(missing)),
            **{name: getattr(info, name) for name in _OF_THE_RUN},
        )
        RunFolder(made).write_json(RESULT, result.model_dump(mode="json"))
        RunFolder(made).write_text(CARD, export_card(result, public))
    return result


def checked_on() -> CheckedOn:
    """The processor that files are checked on here."""
    _, flags = processor()
    kind, others = kinds_of_processor(flags, platform.machine())
    return CheckedOn(kind=kind, not_on=others, instructions=instructions(flags))


def _write_all(
    made: Path,
    formats: Formats,
    predictor: TorchPredictor,
    checker: Checker,
    info: FileFacts,
    session: Session | None,
) -> None:
    """Write what is asked for."""
    graph = ExportGraph(predictor.model.cpu()).eval()
    checker.note("tracing the network")
    program = trace(graph)
    if formats.torch:
        checker.write(made / "model.pt2", partial(save_program, program), info)
    if not formats.onnx and not formats.openvino:
        return
    models = {"": make_onnx(graph, program)}
    if formats.int8:
        calibration = _calibration(session)
        if isinstance(calibration, str):
            endings = {".onnx": formats.onnx, ".xml": formats.openvino}
            checker.refused += [
                RefusedFile(file=f"model-int8{ending}", why=calibration)
                for ending, asked in endings.items()
                if asked
            ]
        else:
            checker.note(f"quantizing with {len(calibration)} training patches")
            models["-int8"] = make_int8(models[""], calibration)
    for ending, model in models.items():
        known = info.model_copy(update={"kind": "int8" if ending else "fp32"})
        writers: dict[str, Writer] = {}
        if formats.onnx:
            writers[f"model{ending}.onnx"] = partial(save_onnx, model)
        if formats.openvino:
            # OpenVINO reads it from a file.
            source = checker.work / f"source{ending}.onnx"
            save_onnx(model, source, known.model_dump(mode="json"))
            writers[f"model{ending}.xml"] = partial(save_openvino, source)
        for name, writer in writers.items():
            checker.write(made / name, writer, known)


def _calibration(session: Session | None) -> Any:
    """Training patches uint8 [n, H, W, 3] to calibrate on, or why there are none."""
    if session is None:
        return "the run's store cannot be read, so there are no training patches to calibrate on"
    if not len(session.parts["val"]):
        return "the run has no validation patches to judge it on"
    rows = some(session.parts["train"], CALIBRATED, 0)
    return np.asarray(session.store.patches[rows])


def _reopened(run: RunFolder, store: str | None) -> tuple[Session | None, str]:
    """The run's session, or None and a sentence on why its patches cannot be read."""
    try:
        return reopen(run.path, store), ""
    except (RunError, StoreError, SplitError) as error:
        if store is not None:
            raise
        return None, (
            "the files are tried on made-up patches, as those of the run cannot be read "
            f"({error}); name its store with --store"
        )
