"""A model cut to one output answers as before, and holds nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from eosin.runtime.pruned import pruned


def model() -> onnx.ModelProto:
    """patches -> scaled -> probabilities; scaled -> features, by a weight of its own."""
    nodes = [
        helper.make_node("Cast", ["patches"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "a"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "b"], ["features"]),
        helper.make_node("ReduceMean", ["scaled", "axes"], ["probabilities"], keepdims=0),
    ]
    weights = {"a": np.float32(2), "b": np.ones(300, np.float32), "axes": np.array([1, 2])}
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("patches", TensorProto.UINT8, ["N", "H", "W", 300]),
            ("probabilities", TensorProto.FLOAT, ["N", 300]),
            ("features", TensorProto.FLOAT, ["N", "H", "W", 300]),
        )
    ]
    graph = helper.make_graph(
        nodes, "g", values[:1], values[1:],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(made, {"eosin": "{}" * 200})
    return made


def test_only_what_the_output_needs_is_left() -> None:
    given = model()
    found = onnx.load_from_string(pruned(given.SerializeToString(), "probabilities"))
    onnx.checker.check_model(found)
    assert [node.op_type for node in found.graph.node] == ["Cast", "Mul", "ReduceMean"]
    assert [weight.name for weight in found.graph.initializer] == ["a", "axes"]
    assert [each.name for each in found.graph.output] == ["probabilities"]
    assert found.metadata_props == given.metadata_props
    assert found.opset_import == given.opset_import
    patches = np.arange(2 * 2 * 2 * 300, dtype=np.uint8).reshape(2, 2, 2, 300)
    both = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(
            ["probabilities"], {"patches": patches}
        )[0]
        for each in (given, found)
    ]
    assert np.array_equal(*both)


def test_what_is_no_model_is_refused() -> None:
    data = model().SerializeToString()
    for wrong in (b"", b"\xff" * 40, data[: len(data) // 2]):
        with pytest.raises(ValueError, match="not an ONNX model"):
            pruned(wrong, "probabilities")
    with pytest.raises(ValueError, match="no output logits"):
        pruned(data, "logits")


def test_nodes_with_graphs_of_their_own_are_left_alone() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "b", [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)], "g",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    with pytest.raises(ValueError, match="graphs of their own"):
        pruned(helper.make_model(graph).SerializeToString(), "z")
