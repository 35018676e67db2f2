"""An ONNX model cut to one of its outputs, without the onnx package.

ONNX Runtime computes every node of a file, whatever outputs are asked for: neither its option
``only_execute_path_to_fetches`` nor outputs left out of the graph keep it from doing so (measured
with 1.32). So nodes that an output does not need are taken out of the file's bytes before they are
opened. The file is a protobuf message (onnx.proto): a ModelProto whose field 7 is the graph, which
has nodes (field 1, with inputs in field 1 and outputs in field 2), initializers (5) and outputs
(12). All else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

_GRAPH = 7
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12
_TENSOR_NAME, _VALUE_NAME = 8, 1
_BYTES = 2  # wire type of everything that has a length


def pruned(model: bytes, output: str) -> bytes:
    """The model with this output only, and what that needs.

    Raises ValueError where the bytes are not an ONNX model with such an output, or its nodes have
    graphs of their own, into which this does not look.

    >>> pruned(b"nothing", "probabilities")
    Traceback (most recent call last):
        ...
    ValueError: not an ONNX model
    """
    parts: list[bytes | memoryview] = []
    graphs = 0
    try:
        for number, field, content in _fields(memoryview(model)):
            if number != _GRAPH:
                parts.append(field)
                continue
            graph = _cut(content, output)
            parts += [_varint(_GRAPH << 3 | _BYTES), _varint(len(graph)), graph]
            graphs += 1
    except (IndexError, UnicodeDecodeError):
        graphs = 0
    if not graphs:
        raise ValueError("not an ONNX model")
    return b"".join(parts)


def _cut(graph: memoryview, output: str) -> bytes:
    fields = list(_fields(graph))
    outputs = [_text(content, _VALUE_NAME) for n, _, content in fields if n == _OUTPUT]
    if output not in outputs:
        raise ValueError(f"the model has no output {output}")
    # Nodes are in the order in which they are computed, so one pass backward finds those needed.
    needed, kept = {output}, set()
    for place in range(len(fields) - 1, -1, -1):
        number, _, content = fields[place]
        if number != _NODE:
            continue
        inputs: list[str] = []
        made: list[str] = []
        for inner, _, name in _fields(content):
            if inner in (1, 2):
                (inputs if inner == 1 else made).append(str(name, "utf-8"))
            elif inner == 5 and any(n in (6, 11) for n, _, _ in _fields(name)):
                raise ValueError("the model has nodes with graphs of their own")
        if needed.intersection(made):
            kept.add(place)
            needed.update(inputs)
    parts = []
    for place, (number, field, content) in enumerate(fields):
        if number == _NODE and place not in kept:
            continue
        if number == _INITIALIZER and _text(content, _TENSOR_NAME) not in needed:
            continue
        if number == _OUTPUT and _text(content, _VALUE_NAME) != output:
            continue
        parts.append(field)
    return b"".join(parts)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """(number, the field with its key, its content) of each field of a message."""
    place = 0
    while place < len(message):
        start = place
        key, place = _read_varint(message, place)
        kind = key & 7
        if kind == _BYTES:
            size, place = _read_varint(message, place)
        elif kind == 0:
            size = _read_varint(message, place)[1] - place
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise IndexError
        if place + size > len(message):
            raise IndexError
        yield key >> 3, message[start : place + size], message[place : place + size]
        place += size


def _text(message: memoryview, field: int) -> str:
    return next((str(c, "utf-8") for number, _, c in _fields(message) if number == field), "")


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise IndexError


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
