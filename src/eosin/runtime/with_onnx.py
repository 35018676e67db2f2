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
from eosin.runtime.pruned import pruned

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: From so many patches on it pays to open the file a second time without the texture of the
#: out-of-scope check, which costs a fifth of the time, and half of it in an int8 file.
_WORTH_PRUNING = 64
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
        #: The same without the out-of-scope check, once it is worth opening.
        self._quick: Any = None

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K].

        Raises ValueError for another dtype or shape.
        """
        session = self._session
        if self._quick is not None or len(patches) >= _WORTH_PRUNING:
            self._quick = session = self._quick or self._pruned()
        return self._run(session, patches, [PROBABILITIES])[0]

    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the file has no such check.
        """
        if not self.exported.has_distance:
            return self.predict(patches), None
        names = [PROBABILITIES, DISTANCE]
        probabilities, distances = self._run(self._session, patches, names)
        return probabilities, distances

    def _pruned(self) -> Any:
        try:
            return _open(self.path, pruned(self.path.read_bytes(), PROBABILITIES))
        except ValueError:
            return self._session

    def _run(self, session: Any, patches: Patches, names: list[str]) -> list[Floats]:
        check_patches(patches)
        found: list[list[Floats]] = [[] for _ in names]
        for block in blocks(patches, self.patch_size, self.batch_size):
            given = {INPUT: np.ascontiguousarray(patches[block])}
            try:
                answers = session.run(names, given)
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


def _open(path: Path, model: bytes | None = None) -> Any:
    """A session of a file, or of bytes that were made of it."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = usable_cores()[0]
    options.log_severity_level = 4  # what goes wrong becomes a sentence below
    try:
        return runtime.InferenceSession(
            model or str(path), options, providers=["CPUExecutionProvider"], enable_fallback=False
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
