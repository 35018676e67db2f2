"""The exported graph of every network and head answers as its Classifier does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest
import torch

from eosin.errors import UserError
from eosin.exporting import onnx_file
from eosin.exporting.graph import ExportGraph
from eosin.exporting.onnx_file import make_onnx, save_onnx, trace
from eosin.models.classifier import Classifier
from eosin.models.pretrained import ENCODERS, find_encoder
from eosin.runtime.exported import INPUT

TINY = {"widths": [4, 8], "blocks": [0, 1]}
KNN = {"head": "knn", "neighbors": 3, "points": 12}


@pytest.fixture(autouse=True)
def tiny_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders that are built in a moment, beside the real ones."""
    small = {"embed_dim": 16, "depth": 1, "num_heads": 2}
    vit = replace(
        find_encoder("phikon"), name="tiny-vit", family="timm", width=16,
        arguments={**small, "patch_size": 14}, input_px=28, grid_px=28,
    )  # fmt: skip
    dino = replace(
        vit, name="tiny-dino", architecture="vit_base_patch14_reg4_dinov2", arguments=small,
        pooling="token+mean", width=32,
    )  # fmt: skip
    conch = replace(vit, name="tiny-conch", pooling="attention", width=16)
    for spec in (vit, dino, conch):
        monkeypatch.setitem(ENCODERS, spec.name, spec)


def built(
    architecture: str,
    arguments: dict[str, Any],
    size: tuple[int, int],
    classes: int = 2,
    **more: Any,
) -> Classifier:
    """A classifier whose weights, batch norm and scaling all matter."""
    torch.manual_seed(3)
    model = Classifier.build(
        architecture,
        classes=[f"class {k}" for k in range(classes)],
        patch_size=size,
        arguments=arguments,
        **{"mean": (0.7, 0.5, 0.6), "deviation": (0.2, 0.3, 0.1), "temperature": 1.7, **more},
    ).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    for head in (m for m in model.modules() if hasattr(m, "fill")):
        head.fill(torch.randn(12, head.center.shape[0]), torch.arange(12) % classes)
    return model


def scoped(model: Classifier) -> Classifier:
    """The same with an out-of-scope check."""
    features = model.examine(torch.zeros(1, *model.patch_size, 3, dtype=torch.uint8))[1].shape[1]
    model.scope_mean = torch.randn(features)
    model.scope_whitening = torch.randn(features, features) / features
    return model


def ensemble() -> Classifier:
    members = []
    for architecture, arguments, views in (("compact", TINY, 1), ("article", {"width": 2}, 8)):
        member = built(architecture, arguments, (24, 24), views=views)
        facts = member.facts().to_json()
        members.append({key: facts[key] for key in (
            "architecture", "arguments", "mean", "deviation", "views")})  # fmt: skip
        members[-1]["temperature"] = float(member.temperature)
    return built("ensemble", {"members": members}, (24, 24), mean=(0.0,) * 3, deviation=(1.0,) * 3)


NETWORKS: dict[str, Callable[[], Classifier]] = {
    "compact": lambda: scoped(
        built("compact", {**TINY, "dropout": 0.5, "drop_path": 0.5}, (20, 26))
    ),
    "compact, pruned, nearest neighbors, eight views, three classes": lambda: built(
        "compact", {**TINY, **KNN, "inner": [5]}, (24, 24), 3, views=8
    ),
    "article, pruned": lambda: built("article", {"widths": [3, 5, 6, 7, 4]}, (24, 30)),
    "article-verbatim": lambda: built("article-verbatim", {"width": 2}, (22, 22)),
    "digits": lambda: scoped(built("digits", {}, (28, 28), 10)),
    "a CNN of gray patches": lambda: scoped(
        built("encoder", {"encoder": "resnet18", "input_px": 32, "channels": 1}, (20, 24))
    ),
    "a ViT": lambda: built("encoder", {"encoder": "tiny-dino", **KNN}, (20, 20)),
    "a ViT with attention pooling": lambda: built("encoder", {"encoder": "tiny-conch"}, (50, 50)),
    "ensemble": ensemble,
}  # fmt: skip


def expected(model: Classifier, patches: np.ndarray) -> list[np.ndarray]:
    """What the classifier itself gives, in the order of the graph's outputs."""
    with torch.inference_mode():
        logits, texture = model.examine(torch.from_numpy(patches))
        distance = model.distance(texture)
    found = [torch.softmax(logits, 1), texture, *([] if distance is None else [distance])]
    return [each.numpy() for each in found]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_answers_as_the_classifier(name: str, tmp_path: Path) -> None:
    model = NETWORKS[name]()
    graph = ExportGraph(model)
    made = make_onnx(graph, trace(graph))
    path = tmp_path / "model.onnx"
    save_onnx(made, path, {"classes": model.classes, "intended_use": "", "facts": {}})
    # Nothing of this machine is in the file, and batch norm is not either.
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()
    assert "BatchNormalization" not in {node.op_type for node in made.graph.node}
    assert all(node.name.split("/")[0] for node in made.graph.node)
    session = onnxruntime.InferenceSession(path)
    inference = openvino.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    assert [each.name for each in session.get_outputs()] == list(graph.outputs)
    height, width = model.patch_size
    rng = np.random.default_rng(0)
    for shape in ((2, height, width), (1, height, width), (3, 37, 31), (1, 9, 9), (2, 40, 40)):
        patches = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        wanted = expected(model, patches)
        answers = inference(patches)
        for k, found in enumerate(session.run(None, {INPUT: patches})):
            for each in (found, answers[k]):
                assert each.dtype == np.float32
                assert each.shape == wanted[k].shape
                np.testing.assert_allclose(
                    each, wanted[k], atol=1e-4, rtol=1e-4, err_msg=str(shape)
                )


def test_the_graph_runs_in_torch_as_well() -> None:
    model = scoped(built("compact", TINY, (20, 20), views=8))
    graph = ExportGraph(model).eval()
    for size in ((20, 20), (24, 20), (30, 30)):
        patches = np.random.default_rng(1).integers(0, 256, (3, *size, 3), dtype=np.uint8)
        with torch.inference_mode():
            found = graph(torch.from_numpy(patches))
        for each, wanted in zip(found, expected(model, patches), strict=True):
            np.testing.assert_allclose(each.numpy(), wanted, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_exported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built("compact", TINY, (20, 20))
    graph = ExportGraph(model)
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"weights are 0\.0 GiB and such a file holds 2"):
        make_onnx(graph, None)  # type: ignore[arg-type]
    model.network.late = lambda maps: torch.zeros(int(maps.sum()), 2)  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"^compact cannot be exported: "):
        trace(graph)
