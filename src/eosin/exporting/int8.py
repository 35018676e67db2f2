"""The int8 model: weights and activations as whole numbers, calibrated on training patches."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eosin.errors import needing
from eosin.exporting.graph import OUTPUTS
from eosin.folders import temporary_folder
from eosin.runtime.exported import INPUT

if TYPE_CHECKING:
    import onnx

#: Training patches whose activations are looked at. More change the ranges hardly (docs/log.md).
CALIBRATED = 512
_BATCH = 32
#: What is computed in whole numbers; the rest stays float32.
_WITH_WEIGHTS = ("Conv", "Gemm", "MatMul")
_BETWEEN = ("Add", "MaxPool", "Relu")


def make_int8(model: onnx.ModelProto, patches: npt.NDArray[np.uint8]) -> onnx.ModelProto:
    """The same model with int8 weights (7 bits, a scale a channel) and uint8 activations.

    With 8 bits, x86-64 processors without VNNI add products in pairs that saturate at 16 bits, and
    answer otherwise without a warning (findings/int8-products-saturate-without-vnni.sh).

    model: what ``make_onnx`` gave; patches: uint8 [n, H, W, 3], training patches, of which the
    smallest and largest activation of each layer are taken. Quantization is written as pairs of
    QuantizeLinear and DequantizeLinear, which every runtime knows. Scaling, resizing, the head and
    softmax stay float32, and so does all that the out-of-scope check looks at: its distances are
    those of the float32 file.

    Raises MissingExtraError without ONNX Runtime.
    """
    import onnx

    with needing("deploy", "an int8 model"):
        quantizer = import_module("onnxruntime.quantization")
    answer = onnx.utils.Extractor(model).extract_model([INPUT], [OUTPUTS[0]])
    # The quantizer warns of a model that it did not prepare itself; this one is folded already.
    mark = answer.metadata_props.add()
    mark.key, mark.value = "onnx.quant.pre_process", "onnxruntime.quant"
    with temporary_folder() as folder:
        made = folder / "int8.onnx"
        quantizer.quantize_static(
            answer,
            made,
            _Patches(patches),
            quant_format=quantizer.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=quantizer.QuantType.QUInt8,
            weight_type=quantizer.QuantType.QInt8,
            op_types_to_quantize=[*_WITH_WEIGHTS, *_BETWEEN],
            nodes_to_exclude=kept_exact(answer),
        )
        quantized = onnx.load(made)
    _add_examination(quantized, model)
    onnx.checker.check_model(quantized)
    return quantized


def kept_exact(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that stay float32: before the first layer, and the head."""
    names, inside = [], False
    for node in model.graph.node:
        layer = node.name.partition("/")[0]
        inside = inside or (layer != "classifier" and node.op_type in _WITH_WEIGHTS)
        foreign = node.op_type in _WITH_WEIGHTS and layer == "classifier"
        if not inside or foreign or "head" in layer.split("."):
            names.append(node.name)
    return names


class _Patches:
    """What the calibration reads, batch by batch."""

    def __init__(self, patches: npt.NDArray[np.uint8]) -> None:
        self.left: Iterator[npt.NDArray[np.uint8]] = (
            patches[start : start + _BATCH] for start in range(0, len(patches), _BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.left, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch)}


def _add_examination(quantized: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Add the float32 way to texture and distance, with names of its own."""
    import onnx

    outputs = [value for value in model.graph.output if value.name in OUTPUTS[1:]]
    part = onnx.utils.Extractor(model).extract_model([INPUT], [value.name for value in outputs])
    there = {name for node in quantized.graph.node for name in node.output}
    shared = {node.name for node in quantized.graph.node} & set(kept_exact(model))
    shared_names = {INPUT, *(value.name for value in outputs)}
    for node in part.graph.node:
        if node.name in shared and set(node.output) <= there:
            shared_names.update(node.output)  # scaling and resizing are there already

    def own(name: str) -> str:
        return name if name in shared_names or not name else f"examined.{name}"

    used: set[str] = set()
    for node in part.graph.node:
        if node.name in shared and set(node.output) <= there:
            continue
        used.update(node.input)
        copied = quantized.graph.node.add()
        copied.CopyFrom(node)
        copied.name = own(node.name)
        del copied.input[:], copied.output[:]
        copied.input.extend(own(name) for name in node.input)
        copied.output.extend(own(name) for name in node.output)
    for weight in part.graph.initializer:
        if weight.name in used:
            quantized.graph.initializer.add().CopyFrom(weight)
            quantized.graph.initializer[-1].name = own(weight.name)
    quantized.graph.output.extend(outputs)
