"""What an exported file must say of itself, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.errors import MissingExtraError, RunError, UserError
from eosin.inference.predictor import is_exported, load
from eosin.runtime.exported import Port, blocks, read_exported
from eosin.runtime.with_onnx import OnnxPredictor
from eosin.runtime.with_openvino import OpenvinoPredictor

pytest.importorskip("onnxruntime")

Make = Callable[..., Path]


def patches(n: int, height: int = 50, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def expected(given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tiny model of the fixture, in NumPy."""
    weights = np.array(((-8.0, 8.0), (4.0, -4.0), (4.0, -4.0)))
    mean = given.astype(np.float64).mean((1, 2)) / 255
    odds = np.exp(mean @ weights)
    apart = np.sqrt(((mean - (0.8, 0.6, 0.75)) ** 2).sum(1))
    return odds / odds.sum(1, keepdims=True), apart


@pytest.mark.parametrize("count", [0, 1, 5, 70])
@pytest.mark.parametrize("size", [(50, 50), (31, 80)])
def test_any_number_and_size_of_patches(
    make_exported: Make, tmp_path: Path, count: int, size: tuple[int, int]
) -> None:
    predictor = load(make_exported(tmp_path / "model.onnx"))
    given = patches(count, *size)
    wanted, apart = expected(given)
    found, distances = predictor.examine(given)
    assert found.dtype == np.float32
    assert distances is not None
    assert found.shape == (count, 2)
    assert distances.shape == (count,)
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.allclose(distances, apart, atol=1e-5)
    assert np.array_equal(predictor.predict(given), found)
    assert np.array_equal(predictor.apart(given), distances)
    # A view that is not contiguous is taken as well.
    assert np.allclose(predictor.predict(given[:, ::-1]), wanted, atol=1e-5)


def test_what_the_file_carries(make_exported: Make, tmp_path: Path) -> None:
    predictor = load(make_exported(tmp_path / "model.onnx"))
    assert isinstance(predictor, OnnxPredictor)
    assert predictor.classes == ("negative", "positive")
    assert predictor.patch_size == (50, 50)
    point = predictor.facts.decision().point
    assert (point.name, point.threshold) == ("balanced", 0.45)
    assert point.band is not None
    assert (point.band.low, point.band.high) == (0.3, 0.6)  # around the threshold: it is kept
    assert predictor.exported.info.seen_cases == {"train": ("seen-1",), "val": ("seen-2",)}
    assert predictor.exported.info.kind == "fp32"


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 50, 50, 3), np.float32),
        np.zeros((50, 50, 3), np.uint8),
        np.zeros((2, 3, 50, 50), np.uint8),
    ],
)
def test_what_is_not_patches_is_refused(
    make_exported: Make, tmp_path: Path, wrong: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        load(make_exported(tmp_path / "model.onnx")).predict(wrong)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metadata": None}, "not exported by eosin"),
        ({"metadata": "{"}, "metadata are damaged"),
        ({"metadata": "[1]"}, "valid dictionary"),
        ({"metadata": "[" * 100_000}, "metadata are damaged"),
        ({"metadata": json.dumps({"format": 1})}, "classes: Field required"),
        ({"format": 3}, "newer eosin"),
        ({"format": "one"}, "format: Input should be a valid integer"),
        ({"classes": "np"}, "metadata are damaged"),
        ({"classes": ["n"]}, "at least 2 items"),
        ({"classes": ["a", "b", "c"]}, r"float32 \[any, 3\]"),
        ({"patch_size": [50]}, "metadata are damaged"),
        ({"patch_size": [50, -1]}, "metadata are damaged"),
        ({"facts": None}, "metadata are damaged"),
        ({"seen_cases": {"train": "all"}}, "metadata are damaged"),
        ({"input_kind": "FLOAT"}, "takes patches: float32"),
        ({"rename": {"probabilities": "logits_out"}}, "nothing of that name"),
        ({"external": "../elsewhere"}, "outside its own folder"),
        ({"external": "gone"}, "another file, which is missing"),
    ],
)
def test_what_eosin_has_not_written_is_one_sentence(
    make_exported: Make, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(24))
    path = make_exported(tmp_path / "folder" / "model.onnx", **changes)
    with pytest.raises(RunError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_model(make_exported: Make, tmp_path: Path) -> None:
    whole = make_exported(tmp_path / "model.onnx").read_bytes()
    path = tmp_path / "other.onnx"
    for content, said in (
        (b"", "is empty"),
        (b"a text, not a model\n" * 9, "not an ONNX model"),
        (whole[: len(whole) // 2], "is incomplete"),
        (whole[:300], "is incomplete"),
    ):
        path.write_bytes(content)
        with pytest.raises(RunError, match=said):
            load(path)
    with pytest.raises(RunError, match="does not exist"):
        load(tmp_path / "gone.onnx")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RunError, match="neither a run folder nor an exported model"):
        load(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="choose fp32, bf16 or auto"):
        load(tmp_path / "model.onnx", precision="int8")


def test_a_distance_is_not_needed(make_exported: Make, tmp_path: Path) -> None:
    predictor = load(make_exported(tmp_path / "model.onnx", rename={"distance": "other"}))
    probabilities, distances = predictor.examine(patches(3))
    assert distances is None
    assert probabilities.shape == (3, 2)


def test_the_folder_of_an_export_is_opened(make_exported: Make, tmp_path: Path) -> None:
    make_exported(tmp_path / "model.onnx")
    assert is_exported(tmp_path)
    assert load(tmp_path).classes == ("negative", "positive")
    (tmp_path / "recipe.toml").touch()
    assert not is_exported(tmp_path)  # a run folder stays one, whatever lies in it


def test_blocks_hold_no_more_pixels_than_wanted() -> None:
    assert len(list(blocks(patches(9, 10, 10), (10, 10), 4))) == 3
    # A patch of 1,000 x 1,000 pixels, or one that becomes as large, is a batch of its own.
    assert len(list(blocks(patches(2, 1000, 1000), (10, 10), 4))) == 2
    assert len(list(blocks(patches(2, 10, 10), (1000, 1000), 4))) == 2
    assert list(blocks(patches(0), (10, 10), 4)) == []


def test_a_wrong_distance_is_refused() -> None:
    text = json.dumps(
        {"format": 1, "kind": "fp32", "classes": ["a", "b"], "patch_size": [5, 5], "facts": {}}
    )
    inputs = {"patches": Port("uint8", (None, None, None, 3))}
    outputs = {
        "probabilities": Port("float32", (None, 2)),
        "distance": Port("float32", (None, 3)),
    }
    with pytest.raises(RunError, match="distance"):
        read_exported(Path("a.onnx"), text, inputs, outputs)


def test_a_missing_runtime_names_its_extra(
    make_exported: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_exported(tmp_path / "model.onnx")
    # None in sys.modules is how Python says that a module cannot be imported.
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"eosin\[runtime\]"):
        load(path)
    with pytest.raises(MissingExtraError, match=r"eosin\[openvino\]"):
        OpenvinoPredictor(path)
