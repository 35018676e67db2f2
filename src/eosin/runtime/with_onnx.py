"""An exported .onnx file, answered by ONNX Runtime."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.errors import FailureError, MissingExtraError, RunError
from eosin.runtime.exported import (
    BATCH,
    DISTANCE,
    INPUT,
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

_KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxPredictor:
    """A Predictor over ONNX Runtime on the CPU, with as many threads as this process has cores.

    path: a file that ``eosin export`` has written. Numbers are computed as the file holds them:
    float32, or int8 in the quantized file.
    Raises RunError where the file is missing, damaged, not eosin's or of a newer format;
    MissingExtraError without ONNX Runtime.
    """

    def __init__(self, path: str | os.PathLike[str], *, batch_size: int = BATCH) -> None:
        self.path = existing(Path(path))
        self.batch_size = batch_size
        self._session = _open(self.path)
        self.exported = _facts(self.path, self._session)
        self.classes = self.exported.classes
        self.patch_size = self.exported.patch_size
        self.facts = self.exported.facts
        self.runtime = f"ONNX Runtime {_runtime().__version__}"
        self._options = _runtime().RunOptions()
        # What is not asked for is not computed: the texture of the out-of-scope check takes about
        # a third of the time.
        self._options.only_execute_path_to_fetches = True

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K].

        Raises ValueError for another dtype or shape.
        """
        return self._run(patches, [PROBABILITIES])[0]

    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the file has no such check.
        """
        if not self.exported.has_distance:
            return self.predict(patches), None
        probabilities, distances = self._run(patches, [PROBABILITIES, DISTANCE])
        return probabilities, distances

    def _run(self, patches: Patches, names: list[str]) -> list[Floats]:
        check_patches(patches)
        found: list[list[Floats]] = [[] for _ in names]
        for block in blocks(patches, self.patch_size, self.batch_size):
            given = {INPUT: np.ascontiguousarray(patches[block])}
            try:
                answers = self._session.run(names, given, self._options)
            except Exception as error:  # ONNX Runtime's errors have no base of their own
                raise FailureError(f"{self.path} could not answer: {_first_line(error)}") from None
            for each, answer in zip(found, answers, strict=True):
                each.append(answer)
        empty = {PROBABILITIES: (0, len(self.classes)), DISTANCE: (0,)}
        return [joined(each, empty[name]) for each, name in zip(found, names, strict=True)]


def _runtime() -> Any:
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError:
        raise MissingExtraError("runtime", "an exported .onnx file") from None


def _open(path: Path) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = usable_cores()[0]
    options.log_severity_level = 4  # what goes wrong becomes a sentence below
    try:
        return runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise RunError(_why(path, error)) from None


def _why(path: Path, error: Exception) -> str:
    """What ONNX Runtime says of a file that it does not open, as a sentence."""
    said = str(error)
    if "xternal data" in said or "SystemError" in said:
        if "does not exist" in said:
            return f"{path}: its weights are in another file, which is not there; copy both"
        return (
            f"{path} refers to a file outside its own folder, which is refused: no export of "
            "eosin does so"
        )
    if "INVALID_PROTOBUF" in said or "No graph was found" in said:
        return f"{path} is not an ONNX model, or was cut short; export it again"
    return f"{path} cannot be opened by ONNX Runtime ({_first_line(error)}); export it again"


def _facts(path: Path, session: Any) -> Exported:
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    ports = [
        {
            node.name: Port(
                _KINDS.get(node.type, str(node.type)),
                tuple(size if isinstance(size, int) else None for size in node.shape),
            )
            for node in nodes
        }
        for nodes in (session.get_inputs(), session.get_outputs())
    ]
    return read_exported(path, text, *ports)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
