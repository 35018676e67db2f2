"""An ONNX model cut to one of its outputs, without the onnx package.

ONNX Runtime computes every node of a file, whatever outputs are asked for: neither its option
``only_execute_path_to_fetches`` nor outputs left out of the graph keep it from doing so (measured
with 1.32). So nodes that an output does not need are taken out of the file's bytes before they are
opened. The file is a protobuf message (onnx.proto), read by the protobuf library that ONNX Runtime
brings with it. Only the fields below are declared; all else is kept and written as it is.
"""

from __future__ import annotations

from typing import Any

#: Message -> field -> its number in onnx.proto and its message, "" for text. All are repeated here:
#: a field that is there once is a list of one.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {"graph": (7, "Graph")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "output": (12, "Value")},
    "Node": {"input": (1, ""), "output": (2, ""), "attribute": (5, "Attribute")},
    "Attribute": {"g": (6, "Graph"), "graphs": (11, "Graph")},
    "Tensor": {"name": (8, "")},
    "Value": {"name": (1, "")},
}


def pruned(model: bytes, output: str) -> bytes:
    """The model with this output only, and what that needs.

    Raises ValueError where the bytes are not an ONNX model with such an output, or its nodes have
    graphs of their own, into which this does not look.

    >>> pruned(b"nothing", "probabilities")
    Traceback (most recent call last):
        ...
    ValueError: not an ONNX model
    """
    from google.protobuf.message import DecodeError

    message = _model_type()()
    try:
        message.ParseFromString(model)
    except DecodeError:
        raise ValueError("not an ONNX model") from None
    if not message.graph:
        raise ValueError("not an ONNX model")
    for graph in message.graph:
        _cut(graph, output)
    written: bytes = message.SerializeToString()
    return written


def _cut(graph: Any, output: str) -> None:
    """Take out of a graph what the output does not need."""
    needed = {output}
    _keep_named(graph.output, needed)
    if not graph.output:
        raise ValueError(f"the model has no output {output}")
    if any(each.g or each.graphs for node in graph.node for each in node.attribute):
        raise ValueError("the model has nodes with graphs of their own")
    # Nodes are in the order in which they are computed, so one pass backward finds those needed.
    for place in range(len(graph.node) - 1, -1, -1):
        if needed.isdisjoint(graph.node[place].output):
            del graph.node[place]
        else:
            needed.update(graph.node[place].input)
    _keep_named(graph.initializer, needed)


def _keep_named(parts: Any, names: set[str]) -> None:
    for place in range(len(parts) - 1, -1, -1):
        if names.isdisjoint(parts[place].name):
            del parts[place]


def _model_type() -> Any:
    """The class of the message, made of what is declared above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text, message, repeated = 9, 11, 3
    file = descriptor_pb2.FileDescriptorProto(name="eosin.proto", package="eosin")
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made.field.add(
                name=field, number=number, label=repeated, type=message if kind else text,
                type_name=f".eosin.{kind}" if kind else None,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("eosin.Model"))
