#!/usr/bin/env bash
# One would guess: a quantized file (QDQ, uint8 activations, int8 weights) gives the same integers on every
# processor.
#
# What happens: on x86-64 processors without VNNI, products are added in pairs that saturate at 16 bits: with
# activations of 255 and weights of 127, ONNX Runtime's MatMul and OpenVINO's MatMul and Conv answer half of the
# exact sum, without a warning. ONNX Runtime is exact with session.x64quantprecision=1. Processors with VNNI are
# exact; there OpenVINO does the same under oneDNN's limit to AVX2, which ONNX Runtime does not know.
#
# Tested: onnxruntime 1.32.0, openvino 2026.4.1, 2026-12-01: a processor with AVX2 and without VNNI, and one with VNNI,
# where only OpenVINO is looked at, with ONEDNN_MAX_CPU_ISA=AVX2.
#
# Who is hurt: whoever quantizes on a new processor and predicts on an older one (Intel before 2019, AMD before
# 2022): classes change there, and no check of the file can see it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$folder"
export ONEDNN_MAX_CPU_ISA=AVX2
"$folder/env/bin/python" - <<'PYTHON'
import sys
import numpy as np, onnx, onnxruntime, openvino
from onnx import TensorProto, helper, numpy_helper

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__, "openvino", openvino.__version__)
try:
    flags = open("/proc/cpuinfo").read()
except OSError:
    flags = ""
if "avx2" not in flags:
    print("this processor is not x86-64 with AVX2: nothing to see here")
    sys.exit()
vnni = "vnni" in flags


def model(operator, weights, shape, answer):
    constants = {"w": weights, "scale": np.float32(1), "zero_u": np.uint8(0), "zero_i": np.int8(0)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero_u"], ["xq"]),
             helper.make_node("DequantizeLinear", ["xq", "scale", "zero_u"], ["xd"]),
             helper.make_node("DequantizeLinear", ["w", "scale", "zero_i"], ["wd"]),
             helper.make_node(operator, ["xd", "wd"], ["y"])]
    graph = helper.make_graph(
        nodes, operator, [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def first(file, x, precise=None):
    if precise is None:
        settings = {"INFERENCE_PRECISION_HINT": "f32"}  # what is not int8
        compiled = openvino.compile_model(openvino.Core().read_model(file), "CPU", settings)
        return float(compiled(x)[0].ravel()[0])
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", precise)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": x})[0].ravel()[0])


cases = {
    "MatMul": (model("MatMul", np.full((64, 1), 127, np.int8), [1, 64], [1, 1]), (1, 64), 64),
    "Conv": (model("Conv", np.full((8, 16, 3, 3), 127, np.int8), [1, 16, 16, 16], [1, 8, 14, 14]),
             (1, 16, 16, 16), 144),
}
wrong = []
for name, (file, shape, terms) in cases.items():
    x = np.full(shape, 255, np.float32)
    exact = 255 * 127 * terms
    values = {"ONNX Runtime": first(file, x, "0"), "ONNX Runtime, x64quantprecision": first(file, x, "1"),
              "OpenVINO": first(file, x)}
    for runtime, value in values.items():
        print(f"{name}: exact {exact}, {runtime} {value:.0f} ({value / exact:.2f})")
        if abs(value / exact - 1) > 0.4:
            wrong.append((name, runtime))
expected = [("MatMul", "ONNX Runtime"), ("MatMul", "OpenVINO"), ("Conv", "OpenVINO")]
assert wrong == (expected[1:] if vnni else expected), f"changed: {wrong}"
print("as described")
PYTHON
