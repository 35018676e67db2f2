"""Each activation and its derivative, against torch and against measured slopes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch.activations import ACTIVATIONS, sigmoid, sigmoid_prime, softmax, softmax_jacobian

TORCH = {
    "linear": lambda z: z * 1.0,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
}
Z = np.array([-30.0, -5.0, -1.0, -0.3, 0.0, 1e-9, 0.2, 1.0, 4.0, 30.0])


def test_the_table_has_all_that_the_lesson_names() -> None:
    assert [*ACTIVATIONS] == ["linear", "step", "sigmoid", "tanh", "relu", "leaky_relu"]


@pytest.mark.parametrize("name", TORCH)
def test_function_and_derivative_against_autograd(name) -> None:
    function, derivative = ACTIVATIONS[name]
    z = torch.tensor(Z, requires_grad=True)
    value = TORCH[name](z)
    value.sum().backward()
    np.testing.assert_allclose(function(Z), value.detach().numpy(), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(derivative(Z), z.grad.numpy(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_against_measured_slopes(name, measured) -> None:
    function, derivative = ACTIVATIONS[name]
    smooth = Z[np.abs(Z) > 1e-3]  # at 0 the ReLUs have a corner and the step a jump
    np.testing.assert_allclose(
        derivative(smooth), measured(lambda z: function(z).sum(), smooth), atol=2e-8
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3)])
def test_shapes_are_kept_and_the_argument_too(name, shape) -> None:
    for function in ACTIVATIONS[name]:
        z = np.full(shape, -0.5)
        found = function(z)
        assert found.shape == shape
        assert found.dtype == np.float64
        found += 1.0
        assert (z == -0.5).all()


def test_step_decides_as_the_perceptron_does() -> None:
    assert ACTIVATIONS["step"].function([-1, 0, 1e-12]).tolist() == [0, 0, 1]
    assert not ACTIVATIONS["step"].derivative(Z).any()


def test_sigmoid_where_exp_would_overflow() -> None:
    assert sigmoid([-1e4, 1e4]).tolist() == [0.0, 1.0]
    assert sigmoid(-700.0) > 0
    assert sigmoid_prime(40.0) == sigmoid_prime(-40.0) > 0


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 900), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_softmax_against_torch(rows, classes, scale, seed) -> None:
    z = np.random.default_rng(seed).normal(scale=scale, size=(rows, classes))
    p = softmax(z)
    np.testing.assert_allclose(p, torch.softmax(torch.tensor(z), 1).numpy(), rtol=1e-9, atol=1e-30)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_allclose(softmax(z + 123.0), p, rtol=1e-9, atol=1e-30)
    np.testing.assert_array_equal(softmax(z[0]), p[0])


@given(st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_softmax_jacobian(measured, classes, seed) -> None:
    z = np.random.default_rng(seed).normal(size=classes)
    jacobian = softmax_jacobian(z)
    autograd = torch.autograd.functional.jacobian(lambda t: torch.softmax(t, 0), torch.tensor(z))
    np.testing.assert_allclose(jacobian, autograd.numpy(), rtol=1e-10, atol=1e-15)
    by_hand = [measured(lambda t, k=k: softmax(t)[k], z) for k in range(classes)]
    np.testing.assert_allclose(jacobian, by_hand, atol=1e-9)


def test_softmax_over_one_sum_cannot_be_taught() -> None:
    assert softmax([[-9.0], [9.0]]).tolist() == [[1.0], [1.0]]
    assert softmax_jacobian([3.0]).tolist() == [[0.0]]


def test_bad_input_is_said() -> None:
    with pytest.raises(ValueError, match=r"z has the shape \[1, 2\]; it must be \[K\]"):
        softmax_jacobian([[0, 1]])
