"""An exported model, answered by OpenVINO: .xml with its .bin, or the .onnx file itself."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.errors import FailureError, MissingExtraError, RunError, UserError
from eosin.runtime.exported import (
    BATCH,
    DISTANCE,
    KEY,
    PROBABILITIES,
    Exported,
    Port,
    blocks,
    check_patches,
    existing,
    joined,
    read_exported,
)

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_KINDS = {"u8": "uint8", "f32": "float32"}
#: What OpenVINO is told for a precision; "auto" leaves the choice to it.
_HINTS = {"fp32": {"INFERENCE_PRECISION_HINT": "f32"}, "bf16": {"INFERENCE_PRECISION_HINT": "bf16"}}


class OpenvinoPredictor:
    """A Predictor over OpenVINO on the CPU, with as many threads as this process has cores.

    path: an .xml file (its .bin beside it) or an .onnx file that ``eosin export`` has written.
    precision: "fp32" is exact; "bf16" is faster where the processor is good at it; "auto" takes
    what OpenVINO prefers here. In a quantized file it acts on what is not int8.
    Raises RunError where a file is missing, damaged, not eosin's or of a newer format; UserError
    where the processor has no bf16; MissingExtraError without OpenVINO.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, precision: str = "fp32", batch_size: int = BATCH
    ) -> None:
        self.path = existing(Path(path))
        self.batch_size = batch_size
        self._core, version = _core()
        self.runtime = f"OpenVINO {version}"
        if precision == "bf16" and "BF16" not in self._core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise UserError("this processor has no bf16; choose --precision fp32")
        self._settings = {
            # The other hint, THROUGHPUT, is half as fast on two cores.
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_cores()[0],
            **_HINTS.get(precision, {}),
        }
        self._model = _read(self._core, self.path)
        self.exported = _facts(self.path, self._model)
        self.classes = self.exported.classes
        self.patch_size = self.exported.patch_size
        self.facts = self.exported.facts
        self._compiled: dict[tuple[Any, ...], Any] = {}

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K].

        Raises ValueError for another dtype or shape.
        """
        return self._run(patches, (PROBABILITIES,))[0]

    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the file has no such check.
        """
        if not self.exported.has_distance:
            return self.predict(patches), None
        probabilities, distances = self._run(patches, (PROBABILITIES, DISTANCE))
        return probabilities, distances

    def _run(self, patches: Patches, names: tuple[str, ...]) -> list[Floats]:
        check_patches(patches)
        found: list[list[Floats]] = [[] for _ in names]
        for block in blocks(patches, self.patch_size, self.batch_size):
            given = np.ascontiguousarray(patches[block])
            try:
                answers = self._for(names, given.shape)([given])
            except RuntimeError as error:
                raise FailureError(f"{self.path} could not answer: {_last_line(error)}") from None
            for k, each in enumerate(found):
                each.append(np.array(answers[k], np.float32))
        empty = {PROBABILITIES: (0, len(self.classes)), DISTANCE: (0,)}
        return [joined(each, empty[name]) for each, name in zip(found, names, strict=True)]

    def _for(self, names: tuple[str, ...], shape: tuple[int, ...]) -> Any:
        """The model compiled with only these outputs, so that no other is computed.

        Full batches of the model's own size are worth a model of this one shape: a tenth faster.
        """
        usual = shape == (self.batch_size, *self.patch_size, 3)
        key = (names, shape if usual else None)
        if key not in self._compiled:
            copied = self._model.clone()
            results = [
                output.get_node()
                for name in names
                for output in copied.outputs
                if name in output.get_names()
            ]
            part = import_module("openvino").Model(results, copied.get_parameters(), KEY)
            if usual:
                part.reshape(list(shape))
            self._compiled[key] = self._core.compile_model(part, "CPU", self._settings)
        return self._compiled[key]


def _core() -> tuple[Any, str]:
    try:
        openvino = import_module("openvino")
    except ModuleNotFoundError:
        raise MissingExtraError("openvino", "OpenVINO, for an .xml file or for bf16,") from None
    return openvino.Core(), str(openvino.__version__).partition("-")[0]


def _read(core: Any, path: Path) -> Any:
    if path.suffix.lower() == ".xml":
        # Other text would be tried as a model of every format that OpenVINO knows, with much noise.
        with open(path, "rb") as file:
            if b"<net" not in file.read(4096):
                raise RunError(f"{path} is not an OpenVINO model; export it again")
        existing(path.with_suffix(".bin"))
    try:
        return core.read_model(str(path))
    except RuntimeError as error:
        if "outside the base directory" in str(error):
            raise RunError(
                f"{path} refers to a file outside its own folder, which is refused: no export of "
                "eosin does so"
            ) from None
        raise RunError(
            f"{path} cannot be opened by OpenVINO ({_last_line(error)}); export it again"
        ) from None


def _facts(path: Path, model: Any) -> Exported:
    text = None
    # Its own facts, and those of the .onnx file that it was made from.
    for place in ([KEY], ["framework", KEY]):
        if text is None and model.has_rt_info(place):
            text = str(model.get_rt_info(place).value)
    return read_exported(path, text, _ports(model.inputs), _ports(model.outputs))


def _ports(nodes: Any) -> dict[str, Port]:
    found = {}
    for node in nodes:
        kind = str(node.get_element_type().get_type_name())
        sizes = tuple(
            None if size.is_dynamic else int(size.get_length()) for size in node.partial_shape
        )
        names = sorted(node.get_names()) or [""]
        # One tensor may have several names; that of the contract is looked for.
        known = [name for name in names if name in ("patches", PROBABILITIES, DISTANCE)]
        found[(known or names)[0]] = Port(_KINDS.get(kind, kind), sizes)
    return found


def _last_line(error: Exception) -> str:
    """OpenVINO says where in its source first, and what in the end."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
