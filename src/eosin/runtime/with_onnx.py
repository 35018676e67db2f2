"""An exported .onnx file, answered by ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from eosin.cores import usable_cores
from eosin.errors import FailureError, MissingExtraError, RunError
from eosin.runtime.exported import DISTANCE, INPUT, KEY, OUTSIDE, PROBABILITIES, Port, line_of
from eosin.runtime.predictor import FilePredictor, Floats, Opened, Patches
from eosin.runtime.pruned import pruned

#: From so many patches on it pays to open the file a second time without the texture of the
#: out-of-scope check, which costs a fifth of the time, and half of it in an int8 file.
_WORTH_PRUNING = 64
_KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxPredictor(FilePredictor):
    """A predictor over ONNX Runtime on the CPU, with as many threads as this process has cores.

    Numbers are computed as the file has them: float32, or int8 in the quantized file. Arguments and
    errors: as for ``FilePredictor``.
    """

    def _open(self) -> Opened:
        self._session = session = _open(self.path)
        #: The same without the out-of-scope check, once it is worth opening.
        self._quick: Any = None
        self._lock = threading.Lock()
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
        ports = (_ports(session.get_inputs()), _ports(session.get_outputs()))
        return f"ONNX Runtime {_runtime().__version__}", text, *ports

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K].

        Raises ValueError for another dtype or shape.
        """
        if len(patches) >= _WORTH_PRUNING:
            with self._lock:
                self._quick = self._quick or self._pruned()
        return super().predict(patches)

    def _pruned(self) -> Any:
        try:
            return _open(self.path, pruned(self.path.read_bytes(), PROBABILITIES))
        except ValueError:
            return self._session

    def _answers(self, patches: Patches, names: tuple[str, ...]) -> Sequence[Floats]:
        session = self._session if DISTANCE in names else self._quick or self._session
        try:
            answers: Sequence[Floats] = session.run(list(names), {INPUT: patches})
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise FailureError(f"{self.path} could not answer: {line_of(error)}") from None
        return answers


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
    """Why ONNX Runtime does not open a file, as a sentence."""
    message = str(error)
    if "xternal data" in message or "SystemError" in message:
        if "does not exist" in message:
            return f"{path}: its weights are in another file, which is missing; copy both"
        return f"{path} {OUTSIDE}"
    if "INVALID_PROTOBUF" in message or "No graph was found" in message:
        return f"{path} is not an ONNX model, or is incomplete; export it again"
    return f"{path} cannot be opened by ONNX Runtime ({line_of(error)}); export it again"


def _ports(nodes: Any) -> dict[str, Port]:
    return {
        node.name: Port(
            _KINDS.get(node.type, str(node.type)),
            tuple(size if isinstance(size, int) else None for size in node.shape),
        )
        for node in nodes
    }
