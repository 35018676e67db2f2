"""The OpenVINO model: .xml and .bin, made from the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from eosin.errors import needing


def save_openvino(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:
    """Write ``path`` (.xml) and the .bin beside it, with the facts in their rt_info.

    onnx_file: what ``save_onnx`` has written. Weights stay as they are there. OpenVINO's own reader
    and writer are used, not its converter, which reports to its makers over the network where
    openvino-telemetry is installed.

    Raises MissingExtraError without OpenVINO.
    """
    with needing("openvino", "exporting to OpenVINO"):
        openvino = import_module("openvino")
    model = openvino.Core().read_model(str(onnx_file))
    # The reader copies the ONNX file's metadata; they should be under "eosin" only.
    if model.has_rt_info("framework"):
        model.set_rt_info({"made_from": "onnx"}, "framework")
    model.set_rt_info(json.dumps(facts, ensure_ascii=False), "eosin")
    for key in ("classes", "mpp", "intended_use"):
        value = facts.get(key, (facts.get("facts") or {}).get(key))
        model.set_rt_info(
            ", ".join(map(str, value)) if isinstance(value, list) else str(value), key
        )
    openvino.save_model(model, str(path), compress_to_fp16=False)
