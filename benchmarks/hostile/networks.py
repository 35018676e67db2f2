"""Exported files: ONNX graphs, OpenVINO's pair of files, and torch's zips with pickles."""

from __future__ import annotations

import io
import pickle
import random
import re
import warnings
import zipfile
from pathlib import Path

from hostile import damage


def hostile_onnx(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """A graph with nodes, shapes, weights or metadata changed, or damaged bytes."""
    import onnx

    draw = rng.random()
    if draw < 0.2:
        return damage.bytes_of(rng, data)
    model = onnx.load_from_string(data)
    graph = model.graph
    if draw < 0.5:
        entry = next(each for each in model.metadata_props if each.key == "eosin")
        text, words = damage.json_of(rng, entry.value)
        entry.value = text.decode("utf-8", "replace")
        return model.SerializeToString(), f"metadata: {words}"
    draw_2 = rng.randrange(8)
    if draw_2 == 0:
        at = rng.randrange(len(graph.node))
        words = f"node {graph.node[at].op_type} gone"
        del graph.node[at]
    elif draw_2 == 1:
        node = rng.choice(graph.node)
        old = node.op_type
        node.op_type = rng.choice(
            ("Relu", "Identity", "Nothing", "MatMul", "If", "Resize", "Concat")
        )
        words = f"{old} is {node.op_type}"
    elif draw_2 == 2:
        weights = rng.choice(graph.initializer)
        weights.dims[:] = rng.choice(([0], [-1], [2**40], [2**31, 2**31], [3], []))
        words = f"weights of shape {list(weights.dims)}"
    elif draw_2 == 3:
        weights = rng.choice(graph.initializer)
        size = len(weights.raw_data)
        weights.raw_data = rng.choice(
            (b"", b"\xff" * size, weights.raw_data[: size // 2], b"\0" * 8)
        )
        words = "other weights"
    elif draw_2 == 4:
        port = rng.choice([*graph.input, *graph.output])
        kind = port.type.tensor_type
        if rng.random() < 0.5:
            kind.elem_type = rng.choice((0, 1, 7, 8, 16, 99))
        elif len(kind.shape.dim):
            side = rng.choice(kind.shape.dim)
            side.Clear()
            side.dim_value = rng.choice((0, -1, 1, 7, 2**40))
        if rng.random() < 0.3:
            port.name = rng.choice(("", "x", "patches", "probabilities"))
        words = f"port {port.name} changed"
    elif draw_2 == 5:
        weights = rng.choice(graph.initializer)
        weights.data_location = 1
        for key, value in (("location", rng.choice(("/etc/hostname", "../x", "w.bin"))),
                           ("length", "999999999999")):  # fmt: skip
            weights.external_data.add(key=key, value=value)
        words = "weights in another file"
    elif draw_2 == 6:
        model.opset_import[0].version = rng.choice((0, 1, 9, 99, 2**40))
        model.ir_version = rng.choice((0, 1, 10, 99))
        words = "versions"
    else:
        node = rng.choice(graph.node)
        if len(node.input):
            node.input[0] = rng.choice((*node.output, "nothing", ""))
        words = "an edge to elsewhere"
    return model.SerializeToString(), words


def hostile_openvino(rng: random.Random, folder: Path) -> str:
    """model.xml or model.bin in a folder damaged."""
    xml, weights = folder / "model.xml", folder / "model.bin"
    draw = rng.random()
    if draw < 0.2:
        data, words = damage.bytes_of(rng, weights.read_bytes())
        weights.write_bytes(data)
        return f"model.bin: {words}"
    if draw < 0.25:
        weights.unlink()
        return "no model.bin"
    text = xml.read_text("utf-8")
    if draw < 0.4:
        data, words = damage.bytes_of(rng, text.encode())
        xml.write_bytes(data)
        return f"model.xml: {words}"
    if draw < 0.65:
        found = list(re.finditer(r'(\w+)="([^"]*)"', text))
        at = rng.choice(found)
        value = rng.choice(("", "0", "-1", "99999999999999999999", "x", "f32", "i64", "1,1,1,1,1",
                            "nan", "Relu", "Nothing", "../x", "9" * 500, "2147483648"))  # fmt: skip
        xml.write_text(f'{text[: at.start()]}{at[1]}="{value}"{text[at.end() :]}', "utf-8")
        return f"{at[1]}={at[2][:20]} is {value[:20]}"
    if draw < 0.8:
        layers = list(re.finditer(r"<(layer|edge|port|dim)\b.*?(?:/>|</\1>)", text, re.S))
        at = rng.choice(layers)
        again = rng.choice(("", at[0] * 2, at[0] * 200))
        xml.write_text(text[: at.start()] + again + text[at.end() :], "utf-8")
        return f"a {at[1]} gone or repeated"
    if draw < 0.9:
        entities = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10 if k else "x"}">' for k in range(9))
        made = rng.choice(
            (f"<!DOCTYPE net [{entities}]><net name='&a8;'/>", "<net>" * 20_000, "<net/>", "",
             text.replace("<net", '<!DOCTYPE n SYSTEM "file:///etc/hostname"><net', 1))
        )  # fmt: skip
        xml.write_text(made, "utf-8")
        return f"another text: {made[:30]!r}"
    start = text.find("{&quot;")
    end = text.rfind("}", start) + 1
    if start < 0:
        return "as it was"
    inner, words = damage.json_of(rng, text[start:end].replace("&quot;", '"'))
    shown = inner.decode("utf-8", "replace").replace("&", "&amp;").replace('"', "&quot;")
    xml.write_text(text[:start] + shown.replace("<", "&lt;") + text[end:], "utf-8")
    return f"metadata: {words}"


class _Call:
    """A pickle that calls a harmless function when it is read, which no reader may do."""

    def __reduce__(self) -> tuple[type[dict], tuple[()]]:  # type: ignore[type-arg]
        return (dict, ())


def hostile_torch(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """A file of torch.save (a zip with a pickle and raw numbers), damaged inside or outside."""
    draw = rng.random()
    if draw < 0.3:
        return damage.bytes_of(rng, data)
    if draw < 0.4:
        made = rng.choice((pickle.dumps(_Call()), pickle.dumps([1]), pickle.dumps({"epoch": "x"})))
        return made, "a bare pickle"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    words = f"{name}: "
    if rng.random() < 0.5:
        name = next((each for each in members if each.endswith("data.pkl")), name)
    draw = rng.random()
    if draw < 0.5:
        members[name], words = damage.bytes_of(rng, members[name])
    elif draw < 0.6:
        del members[name]
        words += "gone"
    elif draw < 0.75:
        members[name] = pickle.dumps(
            rng.choice((None, [], {"epoch": 1}, {1: 2}, "x", 3.5, _Call()))
        )
        words += "another pickle"
    else:
        members[name] = rng.choice((b"\xff", b"\0")) * len(members[name])
        words += "filled"
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        for each, body in members.items():
            archive.writestr(each, body)
    return stream.getvalue(), f"{name}: {words}"
