#!/usr/bin/env bash
# One would guess: a runtime that compiles a valid ONNX file without a warning computes every attribute of its
# operators, or refuses the file.
#
# What happens: OpenVINO reads Resize with antialias=1 and gives exactly the result of antialias=0. ONNX Runtime
# follows the attribute.
#
# Tested: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, processor plugin, 2026-12-01.
#
# Who is hurt: whoever exports a network that shrinks its input inside (as interpolate(antialias=True) is
# exported): answers differ between the two runtimes, and nothing is said.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np, onnx, onnxruntime, openvino
from onnx import TensorProto, helper

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__, "openvino", openvino.__version__)
x = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)


def model(antialias):
    """Shrink 64 x 64 to 16 x 16, linear."""
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear",
                            coordinate_transformation_mode="half_pixel", antialias=antialias)
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 1, 16, 16])
    graph = helper.make_graph(
        [node], "shrink",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 16, 16])], [sizes])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def answers(antialias):
    file = model(antialias)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(openvino.Core().read_model(file), "CPU")
    return session.run(None, {"x": x})[0], compiled(x)[0]


plain, smooth = answers(0), answers(1)
for name, (ort, ov) in {"antialias=0": plain, "antialias=1": smooth}.items():
    print(f"{name}: deviation of the pixels {ort.std():.4f} (ONNX Runtime), {ov.std():.4f} (OpenVINO); "
          f"largest difference between them {np.abs(ort - ov).max():.4f}")
assert np.abs(plain[0] - plain[1]).max() < 1e-5, "they differ without antialiasing, too"
assert np.array_equal(plain[1], smooth[1]), "changed: OpenVINO's result depends on the attribute now"
assert np.abs(smooth[0] - smooth[1]).max() > 0.1, "changed: the runtimes agree now"
print("as described")
PYTHON
