"""The Predictor contract over torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from eosin.errors import RunError
from eosin.inference.predictor import load, predict_rows
from eosin.inference.torch_predictor import TorchPredictor
from eosin.models.classifier import Classifier, save_classifier, save_fitted
from eosin.records.model import Fitted

ARGUMENTS = {"widths": [8, 16], "blocks": [0, 1]}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = Classifier.build(
        "compact", classes=["a", "b", "c"], patch_size=(32, 32), arguments=ARGUMENTS
    )
    save_classifier(model, tmp_path)
    return tmp_path


def patches(n: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_probabilities_do_not_depend_on_the_batch(saved: Path) -> None:
    predictor = load(saved)
    assert isinstance(predictor, TorchPredictor)
    many = predictor.predict(patches(11))
    assert many.shape == (11, 3)
    assert many.dtype == np.float32
    assert np.allclose(many.sum(1), 1, atol=1e-5)
    predictor.batch.size = 3
    assert np.allclose(predictor.predict(patches(11)), many, atol=1e-6)
    assert predictor.predict(patches(0)).shape == (0, 3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predicting_alone_gives_what_examining_gives(saved: Path, precision: str) -> None:
    predictor = load(saved, precision=precision)
    for size in (32, 41):
        examined, distances = predictor.examine(patches(9, size))
        assert distances is None
        assert np.allclose(predictor.predict(patches(9, size)), examined, atol=1e-6)


def test_texture_and_distance_alone_are_those_beside_the_answers(saved: Path) -> None:
    predictor = load(saved)
    assert isinstance(predictor, TorchPredictor)
    assert predictor.apart(patches(3)) is None
    for rows in (np.array([4, 0, 2]), np.arange(0)):
        texture = predictor.read(patches(9), rows)[1]
        assert texture.shape == (len(rows), 48)
        assert np.allclose(predictor.texture(patches(9), rows), texture, atol=1e-6)
    width = texture.shape[1]
    predictor.model.scope_mean, predictor.model.scope_whitening = (
        torch.zeros(width),
        torch.eye(width),
    )
    apart, distances = predictor.apart(patches(9)), predictor.examine(patches(9))[1]
    assert apart is not None
    assert distances is not None
    assert np.allclose(apart, distances, atol=1e-6)


def test_rows_of_an_array_are_predicted_in_blocks(saved: Path) -> None:
    predictor = load(saved)
    rows = np.array([9, 2, 2, 5])
    found = np.concatenate(list(predict_rows(predictor, patches(10), rows, block=3)))
    assert np.allclose(found, predictor.predict(patches(10)[rows]), atol=1e-6)


def test_bf16_is_close_to_fp32(saved: Path) -> None:
    exact = load(saved).predict(patches(20))
    assert np.abs(load(saved, precision="bf16").predict(patches(20)) - exact).max() < 0.02


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((2, 3, 32, 32), np.uint8),
    ],
)
def test_what_is_not_patches_is_refused(saved: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        load(saved).predict(wrong)


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "resume.pt").touch()
    with pytest.raises(RunError, match="--resume"):
        load(tmp_path)


def test_the_check_comes_with_the_model(saved: Path) -> None:
    predictor = load(saved)
    assert predictor.examine(patches(3))[1] is None
    logits, texture = predictor.read(patches(40), np.arange(40))
    assert np.allclose(predictor.examine(patches(40))[0].argmax(1), logits.argmax(1))
    width = texture.shape[1]
    predictor.model.scope_mean = torch.from_numpy(texture.mean(0))
    predictor.model.scope_whitening = torch.eye(width)
    save_fitted(saved, Fitted(), predictor.model)
    distances = load(saved).examine(patches(40))[1]
    assert distances is not None
    wanted = np.sqrt(((texture - texture.mean(0)) ** 2).mean(1))
    assert np.allclose(distances, wanted, atol=1e-5)
    assert load(saved).examine(patches(0))[1] is not None


def test_a_damaged_check_is_named(saved: Path) -> None:
    model = load(saved).model
    model.scope_mean = torch.zeros(4)
    model.scope_whitening = torch.zeros(5, 5)
    save_fitted(saved, Fitted(), model)
    with pytest.raises(RunError, match="do not fit together"):
        load(saved)
