"""OpenVINO answers as ONNX Runtime does, from the .onnx file and from its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eosin.errors import RunError, UserError
from eosin.inference.predictor import load
from eosin.runtime import with_openvino
from eosin.runtime.with_onnx import OnnxPredictor
from eosin.runtime.with_openvino import OpenvinoPredictor

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

Make = Callable[..., Path]


def patches(n: int, height: int = 50, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(make_exported: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx and, of the same graph, model.xml with its own facts."""
    folder = tmp_path_factory.mktemp("exported")
    file = make_exported(folder / "model.onnx")
    model = openvino.Core().read_model(str(file))
    info = OnnxPredictor(file).exported.info.to_json()
    model.set_rt_info(json.dumps({**info, "run": 'a "name" <with> & äöü'}), "eosin")
    openvino.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)
    return folder


@pytest.mark.parametrize("name", ["model.xml", "model.onnx"])
@pytest.mark.parametrize("count", [0, 1, 70])
def test_it_answers_as_onnx_runtime(exported: Path, name: str, count: int) -> None:
    reference = OnnxPredictor(exported / "model.onnx")
    predictor = OpenvinoPredictor(exported / name)
    given = patches(count, 44, 61)
    wanted, apart = reference.examine(given)
    found, distances = predictor.examine(given)
    assert distances is not None
    assert apart is not None
    assert found.dtype == distances.dtype == np.float32
    assert found.shape == (count, 2)
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.allclose(distances, apart, atol=1e-5)
    assert np.array_equal(predictor.predict(given), found)


def test_a_full_batch_answers_as_a_part_of_one(exported: Path) -> None:
    predictor = OpenvinoPredictor(exported / "model.xml", batch_size=8)
    given = patches(21)
    wanted, apart = OnnxPredictor(exported / "model.onnx").examine(given)
    found, distances = predictor.examine(given)
    assert distances is not None
    assert apart is not None
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.allclose(distances, apart, atol=1e-5)
    # Another size after that is still taken.
    assert predictor.predict(patches(8, 30, 70)).shape == (8, 2)


def test_its_own_facts_come_first(exported: Path) -> None:
    predictor = load(exported / "model.xml")
    assert isinstance(predictor, OpenvinoPredictor)
    assert predictor.exported.info.run == 'a "name" <with> & äöü'
    assert predictor.facts.temperature == 2.0


def test_patches_are_checked(exported: Path) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        load(exported / "model.xml").predict(np.zeros((2, 50, 50, 3), np.float32))


def test_bf16_of_a_folder_is_answered_by_openvino(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def core(capabilities: list[str]) -> SimpleNamespace:
        real = openvino.Core()
        return SimpleNamespace(
            read_model=real.read_model,
            compile_model=real.compile_model,
            get_property=lambda *_: capabilities,
        )

    monkeypatch.setattr(with_openvino, "_core", lambda: (core(["FP32", "BF16"]), "0"))
    assert load(exported, precision="bf16").exported.path.name == "model.xml"  # type: ignore[attr-defined]
    monkeypatch.setattr(with_openvino, "_core", lambda: (core(["FP32"]), "0"))
    with pytest.raises(UserError, match="no bf16"):
        load(exported / "model.onnx", precision="bf16")
    # What the machine decides is never refused.
    assert load(exported / "model.xml", precision="auto").predict(patches(2)).shape == (2, 2)


def test_damaged_files_are_one_sentence(exported: Path, tmp_path: Path) -> None:
    text, weights = (exported / "model.xml").read_text(), (exported / "model.bin").read_bytes()
    path = tmp_path / "model.xml"
    for content, stored, said in (
        (text, None, "does not exist"),
        (text, b"", "is empty"),
        (text, weights[:5], "cannot be opened"),
        (text[: len(text) // 2], weights, "cannot be opened"),
        ("<html></html>", weights, "not an OpenVINO model"),
        ("", weights, "is empty"),
        (text[: text.index("<rt_info>")] + "</net>", weights, "not exported by eosin"),
    ):
        path.write_text(content)
        path.with_suffix(".bin").unlink(missing_ok=True)
        if stored is not None:
            path.with_suffix(".bin").write_bytes(stored)
        with pytest.raises(RunError, match=said) as caught:
            OpenvinoPredictor(path)
        assert "\n" not in str(caught.value)


def test_a_reference_out_of_the_folder_is_refused(make_exported: Make, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(24))
    path = make_exported(tmp_path / "folder" / "model.onnx", external="../elsewhere")
    with pytest.raises(RunError, match="outside its own folder"):
        OpenvinoPredictor(path)


def test_a_limit_of_onednn_forbids_bf16(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def instructions(*_: object, **named: object) -> tuple[str, ...]:
        return ("avx512_bf16",) if "environment" in named else ()

    monkeypatch.setattr(with_openvino, "bf16_instructions", instructions)
    with pytest.raises(UserError, match="ONEDNN_MAX_CPU_ISA forbids bf16; choose --precision fp32"):
        load(exported / "model.xml", precision="bf16")
    wanted = load(exported / "model.xml").predict(patches(3))
    auto = load(exported / "model.xml", precision="auto")
    np.testing.assert_allclose(auto.predict(patches(3)), wanted, atol=1e-6)
