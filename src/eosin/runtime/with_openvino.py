"""An exported model, answered by OpenVINO: .xml with its .bin, or the .onnx file itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from eosin.cores import bf16_instructions, usable_cores
from eosin.errors import FailureError, MissingExtraError, RunError, UserError
from eosin.runtime.exported import (
    BATCH,
    DISTANCE,
    INPUT,
    KEY,
    OUTSIDE,
    PROBABILITIES,
    Port,
    existing,
    line_of,
)
from eosin.runtime.predictor import FilePredictor, Floats, Opened, Patches

_KINDS = {"u8": "uint8", "f32": "float32"}
#: OpenVINO's setting for a precision; "auto" leaves the choice to it.
_HINTS = {"fp32": {"INFERENCE_PRECISION_HINT": "f32"}, "bf16": {"INFERENCE_PRECISION_HINT": "bf16"}}


class OpenvinoPredictor(FilePredictor):
    """A predictor over OpenVINO on the CPU, with as many threads as this process has cores.

    path: an .xml file (its .bin beside it) or an .onnx file that ``eosin export`` has written.
    precision: "fp32" is exact; "bf16" is faster where the processor is good at it; "auto" takes
    what OpenVINO prefers here. In a quantized file it acts on what is not int8.
    Raises RunError where a file is missing, damaged, not eosin's or of a newer format; UserError
    where the processor has no bf16; MissingExtraError without OpenVINO.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, precision: str = "fp32", batch_size: int = BATCH
    ) -> None:
        self.precision = precision
        super().__init__(path, batch_size=batch_size)

    def _open(self) -> Opened:
        self._core, version = _core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        # OpenVINO's capabilities are the processor's, whatever oneDNN's limit allows.
        limited = bool(bf16_instructions(environment={})) and not bf16_instructions()
        if self.precision == "bf16" and (limited or "BF16" not in able):
            why = "ONEDNN_MAX_CPU_ISA forbids bf16" if limited else "this processor has no bf16"
            raise UserError(f"{why}; choose --precision fp32")
        self._settings = {
            # The other hint, THROUGHPUT, is half as fast on two cores.
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_cores()[0],
            **_HINTS.get("fp32" if limited else self.precision, {}),
        }
        self._model = model = _read(self._core, self.path)
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()
        #: Requests of this thread: one request answers one call at a time.
        self._mine = threading.local()
        text = None
        # Its own metadata, and those of the .onnx file that it was made from.
        for place in ([KEY], ["framework", KEY]):
            if text is None and model.has_rt_info(place):
                text = str(model.get_rt_info(place).value)
        return f"OpenVINO {version}", text, _ports(model.inputs), _ports(model.outputs)

    def _answers(self, patches: Patches, names: tuple[str, ...]) -> Sequence[Floats]:
        # Full batches of the model's own size are worth a model of this one shape: a tenth faster.
        usual = patches.shape == (self.batch_size, *self.patch_size, 3)
        key = (names, patches.shape if usual else None)
        requests: dict[Any, Any] = self._mine.__dict__
        try:
            if key not in requests:
                requests[key] = self._model_for(*key).create_infer_request()
            answers = requests[key].infer([patches])
        except RuntimeError as error:
            raise FailureError(f"{self.path} could not answer: {line_of(error, -1)}") from None
        return [np.array(answers[k], np.float32) for k in range(len(names))]

    def _model_for(self, names: tuple[str, ...], shape: tuple[int, ...] | None) -> Any:
        """The model compiled with only these outputs, so that no other is computed."""
        with self._lock:
            if (names, shape) not in self._compiled:
                copied = self._model.clone()
                results = [
                    output.get_node()
                    for name in names
                    for output in copied.outputs
                    if name in output.get_names()
                ]
                part = import_module("openvino").Model(results, copied.get_parameters(), KEY)
                if shape:
                    part.reshape(list(shape))
                self._compiled[names, shape] = self._core.compile_model(part, "CPU", self._settings)
            return self._compiled[names, shape]


def _core() -> tuple[Any, str]:
    try:
        openvino = import_module("openvino")
    except ModuleNotFoundError:
        raise MissingExtraError("openvino", "OpenVINO, for an .xml file or for bf16,") from None
    return openvino.Core(), str(openvino.__version__).partition("-")[0]


def _read(core: Any, path: Path) -> Any:
    if path.suffix.lower() == ".xml":
        # Other text would be tried as a model of every format of OpenVINO, with much noise.
        with open(path, "rb") as file:
            if b"<net" not in file.read(4096):
                raise RunError(f"{path} is not an OpenVINO model; export it again")
        existing(path.with_suffix(".bin"))
    try:
        return core.read_model(str(path))
    except RuntimeError as error:
        if "outside the base directory" in str(error):
            raise RunError(f"{path} {OUTSIDE}") from None
        # OpenVINO's message has the place in its source first, and the reason last.
        why = line_of(error, -1)
        raise RunError(f"{path} cannot be opened by OpenVINO ({why}); export it again") from None


def _ports(nodes: Any) -> dict[str, Port]:
    ports = {}
    for node in nodes:
        kind = str(node.get_element_type().get_type_name())
        sizes = tuple(
            None if size.is_dynamic else int(size.get_length()) for size in node.partial_shape
        )
        names = sorted(node.get_names()) or [""]
        # One tensor may have several names; that of the contract is looked for.
        known = [name for name in names if name in (INPUT, PROBABILITIES, DISTANCE)]
        ports[(known or names)[0]] = Port(_KINDS.get(kind, kind), sizes)
    return ports
