"""The baselines: what they find, what they cannot, their caps and thin data."""

import numpy as np
import pytest

from eosin.evaluation import baselines, features
from eosin.evaluation.baselines import ALL_BASELINES as BASELINES
from eosin.evaluation.baselines import color_features, small_features
from eosin.evaluation.metrics import figure, predicted
from eosin.evaluation.ranking import auroc

FITTED = ("color_histogram", "nearest_neighbors", "texture")


def colored(n, seed, classes=2):
    """Patches whose class is their tint, under noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    tint = (
        rng.integers(60, 120, (classes, 3)) if classes > 2 else np.array([[90] * 3, [110, 90, 90]])
    )
    noise = rng.normal(0, 25, (n, 8, 8, 3)) + rng.normal(0, 6, (n, 1, 1, 3))
    return np.clip(tint[y][:, None, None] + noise, 0, 255).astype(np.uint8), y


def three_parts(classes=2):
    patches, y = colored(360, 5, classes)
    return patches[:200], y[:200], patches[200:280], y[200:280], patches[280:], y[280:]


@pytest.mark.parametrize("name", FITTED)
def test_color_is_found(name):
    train, train_y, val, val_y, test, test_y = three_parts()
    found = BASELINES[name](train, train_y, val, val_y, test)
    assert found.y_prob.shape == (80, 2)
    np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-6)
    assert auroc(test_y, found.y_prob) > 0.9
    assert found.threshold.chosen_on == "validation"
    assert "all 200 training patches" in found.note


@pytest.mark.parametrize("name", BASELINES)
def test_many_classes(name):
    train, train_y, val, val_y, test, test_y = three_parts(classes=4)
    found = BASELINES[name](train, train_y, val, val_y, test, classes=5)
    assert found.y_prob.shape == (80, 5)
    np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-6)
    if name in FITTED:
        assert figure("accuracy", test_y, found.y_prob) > 0.6


def test_base_rate_is_the_majority_class():
    none = np.zeros((4, 2, 2, 3), np.uint8)
    for y, called in (([0, 0, 0, 1], 0), ([1, 1, 0, 1], 1)):
        found = baselines.base_rate(none, y, none, y, none)
        assert predicted(found.y_prob, threshold=float(found.threshold)).tolist() == [called] * 4


@pytest.mark.parametrize("name", FITTED)
def test_the_cap_is_seeded_and_said(monkeypatch, name):
    for limit in ("MAX_TRAIN", "MAX_NEAREST", "MAX_VAL"):
        monkeypatch.setattr(baselines, limit, 50)
    parts = three_parts()[:5]
    first = BASELINES[name](*parts, seed=1)
    assert "50 of 200 training patches" in first.note
    np.testing.assert_array_equal(first.y_prob, BASELINES[name](*parts, seed=1).y_prob)
    assert not np.array_equal(first.y_prob, BASELINES[name](*parts, seed=2).y_prob)


@pytest.mark.parametrize("name", FITTED)
def test_blocks_and_memory_maps_change_nothing(monkeypatch, tmp_path, name):
    parts = three_parts()[:5]
    whole = BASELINES[name](*parts).y_prob
    np.save(tmp_path / "train.npy", parts[0])
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    monkeypatch.setattr(features, "BLOCK", 7)
    np.testing.assert_allclose(BASELINES[name](mapped, *parts[1:]).y_prob, whole, atol=1e-6)


@pytest.mark.parametrize("name", BASELINES)
def test_one_class_no_validation_and_no_test(name):
    train, train_y, val, val_y, test, _ = three_parts()
    only = BASELINES[name](train, np.ones(200, int), val, val_y, test)
    assert only.y_prob[:, 1].tolist() == [1.0] * 80
    bare = BASELINES[name](train, train_y, val[:0], [], test)
    assert bare.y_prob.shape == (80, 2)
    assert bare.threshold.threshold == 0.5
    assert BASELINES[name](train, train_y, val, val_y, test[:0]).y_prob.shape == (0, 2)


@pytest.mark.parametrize("name", BASELINES)
def test_what_does_not_fit_is_a_value_error(name):
    train, train_y, val, val_y, test, _ = three_parts()
    with pytest.raises(ValueError, match="200 training patches and 3 training labels"):
        BASELINES[name](train, [0, 1, 0], val, val_y, test)
    with pytest.raises(ValueError, match="needs training patches"):
        BASELINES[name](train[:0], [], val, val_y, test)
    with pytest.raises(ValueError, match="labels reach 1; there are 1 classes"):
        BASELINES[name](train, train_y, val, val_y, test, classes=1)


def test_color_features_are_histogram_mean_and_deviation():
    patch = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), dtype=np.uint8)
    found = color_features(patch)[0]
    red = patch[0, ..., 0].ravel()
    shares = np.histogram(red, bins=16, range=(0, 256))[0] / 30
    np.testing.assert_allclose(found[:16], np.sqrt(shares), atol=1e-6)
    mean = patch.reshape(-1, 3).mean(axis=0) / 255
    np.testing.assert_allclose(found[96:99], mean, atol=1e-6)
    np.testing.assert_allclose(found[102], red.std() / 255, atol=1e-5)


def test_small_features_never_enlarge():
    assert small_features(np.zeros((3, 4, 20, 3), np.uint8)).shape == (3, 4 * 7 * 3)
    assert small_features(np.full((1, 50, 50, 3), 255, np.uint8)).min() == 1.0


@pytest.mark.parametrize("name", ["color_histogram", "nearest_neighbors"])
def test_remembered_features_give_the_same_baseline(name):
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8) for n in (90, 40)]
    truths = [rng.integers(0, 2, len(part)) for part in parts]
    plain = BASELINES[name](parts[0], truths[0], parts[1], truths[1], parts[1])
    train, val = (features.Remembered(part) for part in parts)
    for _ in range(2):  # the second time all of it is in memory
        found = BASELINES[name](train, truths[0], val, truths[1], val)
        np.testing.assert_array_equal(found.y_prob, plain.y_prob)
        assert (found.threshold, found.note) == (plain.threshold, plain.note)


def test_features_are_made_once_for_every_row():
    asked = []

    def maker(block):
        asked.extend(block[:, 0, 0, 0].tolist())
        return block[:, 0, 0, :2].astype(np.float32)

    patches = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    remembered = features.Remembered(patches)
    for rows in ([7, 2, 2], [2, 3], [], range(10)):
        rows = np.array(rows, np.int64)
        found = features.features_of(remembered, rows, maker)
        np.testing.assert_array_equal(found, patches[rows, 0, 0, :2])
    assert sorted(asked) == list(range(10))
