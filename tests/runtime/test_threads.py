"""Predictors answer several threads at once: the same as one thread gets."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from eosin.inference.predictor import load
from eosin.models.classifier import Classifier, save_classifier
from eosin.runtime import with_onnx
from eosin.runtime.predictor import Predictor
from eosin.runtime.with_onnx import OnnxPredictor
from eosin.runtime.with_openvino import OpenvinoPredictor

Make = Callable[..., Path]
THREADS = 8


def patches(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 50, 50, 3), dtype=np.uint8)


def ask_all(predictor: Predictor, fresh: Predictor) -> None:
    """Compare the answers of eight threads with those of one; sizes are mixed."""
    given = [patches(n, seed) for seed, n in enumerate([3, 90, 1, 70, 64, 5, 200, 63] * 3)]
    alone = [(fresh.predict(each), fresh.examine(each)) for each in given]
    with ThreadPoolExecutor(THREADS) as pool:
        predicted = pool.map(predictor.predict, given)
        examined = pool.map(predictor.examine, given)
        for (wanted, both), found, pair in zip(alone, predicted, examined, strict=True):
            assert np.allclose(found, wanted, atol=1e-6)
            assert np.allclose(pair[0], both[0], atol=1e-6)
            assert (pair[1] is None) == (both[1] is None)
            if pair[1] is not None:
                assert np.allclose(pair[1], both[1], atol=1e-5)


def test_onnx_runtime(make_exported: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    file = make_exported(tmp_path / "model.onnx")
    predictor = OnnxPredictor(file)
    opened: list[object] = []
    real = with_onnx._open

    def counted(path: Path, model: bytes | None = None) -> object:
        opened.append(path)
        return real(path, model)

    monkeypatch.setattr(with_onnx, "_open", counted)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(predictor.predict, [patches(80, seed) for seed in range(THREADS)]))
    assert len(opened) == 1  # the file without the check is opened once, not once a thread
    ask_all(OnnxPredictor(file), OnnxPredictor(file))


def test_openvino(make_exported: Make, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    file = make_exported(tmp_path / "model.onnx")
    ask_all(OpenvinoPredictor(file, batch_size=64), OpenvinoPredictor(file, batch_size=64))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threads") / "run"
    torch.manual_seed(0)
    model = Classifier.build(
        "compact", classes=["n", "p"], patch_size=(50, 50),
        arguments={"widths": [8, 16], "blocks": [0, 1]},
    )  # fmt: skip
    save_classifier(model.eval(), folder)
    return folder


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch(run: Path, precision: str) -> None:
    ask_all(load(run, precision=precision), load(run, precision=precision))


def test_a_torch_program(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from eosin.exporting.export import Formats, export

    export(run, tmp_path / "out", formats=Formats(onnx=False, torch=True))
    file = tmp_path / "out" / "model.pt2"
    ask_all(load(file), load(file))
