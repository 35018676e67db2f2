"""The ONNX file: the traced graph with names, free sizes and what the model is."""

from __future__ import annotations

import ast
import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from eosin import __version__
from eosin.errors import UserError, needing
from eosin.exporting.graph import ExportGraph
from eosin.folders import whole_file
from eosin.inference.torch_program import quiet_logs
from eosin.runtime.exported import INPUT, KEY, line_of

if TYPE_CHECKING:
    import onnx

OPSET = 20
#: A protobuf message, and so an ONNX file in one piece, holds at most 2 GiB.
MOST_BYTES = 2**31 - 2**24
#: The exporter and its optimizer log for developers, not for users.
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def trace(graph: ExportGraph) -> torch.export.ExportedProgram:
    """The graph as torch.export gives it, with free N, H and W.

    Raises UserError where a network cannot be traced, with torch's reason.
    """
    height, width = graph.model.patch_size
    # Sizes that no layer has, so that none is taken for one of the model's own.
    example = torch.zeros(3, height + 11, width + 7, 3, dtype=torch.uint8)
    free = {INPUT: dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)}
    try:
        with torch.no_grad(), quiet():
            traced = torch.export.export(graph, (example,), dynamic_shapes=free, strict=False)
    # Not eosin's fault: what a network of a library does in its forward may be untraceable.
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise UserError(_why(graph, error)) from None
    for node in traced.graph.nodes:
        # It would carry the paths of this machine into the file.
        node.meta.pop("stack_trace", None)
    return traced


def make_onnx(graph: ExportGraph, program: torch.export.ExportedProgram) -> onnx.ModelProto:
    """The ONNX model of a traced graph; batch norm is folded into the convolutions before it.

    Raises UserError where the exporter does not know a part of the network, or the weights are too
    many for one file; MissingExtraError without onnx.
    """
    bytes_of_weights = sum(each.numel() * each.element_size() for each in graph.parameters())
    if bytes_of_weights > MOST_BYTES:
        raise UserError(
            f"{graph.model.architecture} cannot be exported to one ONNX file: its weights are "
            f"{bytes_of_weights / 2**30:.1f} GiB and such a file holds 2; let a smaller network "
            "learn from it (eosin train --teacher), or use --torch"
        )
    with needing("deploy", "exporting to ONNX"):
        import onnx
        import onnxscript  # noqa: F401  (the exporter needs it)
    try:
        with torch.no_grad(), quiet():
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(graph.outputs),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UserError(_why(graph, error)) from None
    assert made is not None
    model: onnx.ModelProto = made.model_proto
    onnx.checker.check_model(model)
    _tidy(model, graph.outputs)
    return model


def save_onnx(model: onnx.ModelProto, path: Path, facts: Mapping[str, Any]) -> None:
    """Write the complete model or nothing, with the facts in its metadata.

    facts: one JSON object under "eosin" in ``metadata_props``; its "classes", "mpp" and
    "intended_use" are beside it as well, for viewers of ONNX files.
    """
    del model.metadata_props[:]
    plain = facts.get("facts") or {}
    entries = {
        KEY: json.dumps(facts, ensure_ascii=False),
        "classes": ", ".join(str(name) for name in facts["classes"]),
        "mpp": "unknown" if plain.get("mpp") is None else f"{plain['mpp']:g}",
        "intended_use": str(facts["intended_use"]),
    }
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.doc_string = ""
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _tidy(model: onnx.ModelProto, outputs: tuple[str, ...]) -> None:
    """Name free sizes, and nodes by their layer; leave out from where in the source each is."""
    model.producer_name, model.producer_version = "eosin", __version__
    graph = model.graph
    graph.name = "classifier"
    del graph.value_info[:]
    for number, node in enumerate(graph.node):
        node.name = f"{_layer(node)}/{node.op_type}_{number}"
    for part in (*graph.input, *graph.output, *graph.node, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    names = {INPUT: ("N", "H", "W"), **dict.fromkeys(outputs, ("N",))}
    for value in (*graph.input, *graph.output):
        for axis, name in enumerate(names[value.name]):
            value.type.tensor_type.shape.dim[axis].dim_param = name


def _layer(node: onnx.NodeProto) -> str:
    """The layer that a node comes from, "network.conv1", or "classifier" for what is around it."""
    scopes = [e.value for e in node.metadata_props if e.key == "pkg.torch.onnx.name_scopes"]
    named = [name for name in ast.literal_eval(scopes[0])[:-1] if name] if scopes else []
    inside = [name.removeprefix("model.") for name in named if name.startswith("model.network")]
    return inside[-1] if inside else "classifier"


def _why(graph: ExportGraph, error: Exception) -> str:
    return f"{graph.model.architecture} cannot be exported: {line_of(error)}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter's own messages do not reach a user; its errors do."""
    with quiet_logs(*_LOGGERS), warnings.catch_warnings():
        # torch 2.11 uses a part of itself that it has deprecated.
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        yield
