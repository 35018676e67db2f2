"""Each loss and its gradient, against torch and against measured slopes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch import losses
from eosin.scratch.losses import correct, correct_gradient

sizes = st.integers(1, 5)
seeds = st.integers(0, 999)


def check(loss, gradient, reference, y, z, measured) -> None:
    leaf = torch.tensor(z, requires_grad=True)
    value = reference(leaf, torch.tensor(y))
    value.backward()
    assert loss(y, z) == pytest.approx(value.item(), rel=1e-12, abs=1e-15)
    found = gradient(y, z)
    assert found.shape == z.shape
    np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found, measured(lambda t: loss(y, t), z), atol=1e-7)


@given(st.lists(sizes, min_size=1, max_size=3), seeds)
@settings(max_examples=25, deadline=None)
def test_mean_squared_error(measured, shape, seed) -> None:
    rng = np.random.default_rng(seed)
    check(
        losses.mean_squared_error, losses.mean_squared_error_gradient,
        torch.nn.functional.mse_loss, rng.normal(size=shape), rng.normal(size=shape), measured,
    )  # fmt: skip


@given(st.lists(sizes, min_size=1, max_size=2), seeds)
@settings(max_examples=25, deadline=None)
def test_binary_cross_entropy(measured, shape, seed) -> None:
    rng = np.random.default_rng(seed)
    check(
        losses.binary_cross_entropy, losses.binary_cross_entropy_gradient,
        torch.nn.functional.binary_cross_entropy_with_logits,
        rng.uniform(size=shape).round(seed % 3), rng.normal(scale=5, size=shape), measured,
    )  # fmt: skip


@given(sizes, sizes, seeds)
@settings(max_examples=25, deadline=None)
def test_cross_entropy(measured, rows, classes, seed) -> None:
    rng = np.random.default_rng(seed)
    check(
        losses.cross_entropy, losses.cross_entropy_gradient,
        torch.nn.functional.cross_entropy,
        rng.integers(classes, size=rows), rng.normal(scale=3, size=(rows, classes)), measured,
    )  # fmt: skip


def test_logits_of_any_size_are_safe() -> None:
    assert losses.binary_cross_entropy([1, 0], [-1e4, -1e4]) == 5e3
    assert losses.cross_entropy([0, 1], [[1e4, 0], [1e4, 0]]) == 5e3
    assert losses.cross_entropy_gradient([1], [[1e4, 0]]).tolist() == [[1.0, -1.0]]


def test_two_classes_are_one_logit_and_a_zero() -> None:
    z, y = np.array([-1.0, 0.3, 2.0]), np.array([1, 0, 1])
    pair = np.stack([np.zeros(3), z], axis=1)
    assert losses.cross_entropy(y, pair) == pytest.approx(losses.binary_cross_entropy(y, z))


def test_correct_counts_and_has_no_slope(measured) -> None:
    y, logits = np.array([0, 1, 2, 1]), np.array([[3, 1, 1], [1, 2, 0], [5, 0, 1], [1, 1, 0.0]])
    assert correct(y, logits) == 2  # the last: of equals the first is taken
    assert not correct_gradient(y, logits).any()
    assert correct([0, 1, 1], [0.0, 0.1, -1]) == 2
    off = logits + np.arange(12).reshape(4, 3) * 1e-3
    assert not measured(lambda z: correct(y, z), off).any()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: losses.mean_squared_error([1, 2], [1]),
            r"y has the shape \[2\]; it must be \[1\]",
        ),
        (lambda: losses.mean_squared_error([], []), "prediction is empty"),
        (lambda: losses.mean_squared_error([1], [np.nan]), "prediction has 1 values that are not"),
        (lambda: losses.binary_cross_entropy([2], [0]), "y ranges from 2 to 2; it must be between"),
        (
            lambda: losses.cross_entropy([0], [0, 1]),
            r"logits has the shape \[2\]; it must be \[N, K",
        ),
        (lambda: losses.cross_entropy([3], [[0, 1]]), "y has the label 3; with 2 classes"),
        (lambda: losses.cross_entropy_gradient([-1], [[0, 1]]), "y has the label -1"),
        (lambda: losses.cross_entropy([[0, 1]], [[0, 1]]), r"y has the shape \[1, 2\]"),
        (lambda: correct([2], [0.5]), "y has the label 2"),
        (lambda: correct_gradient([5], [[0.5, 1]]), "y has the label 5"),
    ],
)
def test_bad_input_is_said(act, message) -> None:
    with pytest.raises(ValueError, match=message):
        act()
