"""Activations: the output of a neuron for its sum z, each with its derivative beside it.

All accept float64 of any shape and return the same shape; the derivative is that at z.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, numbers

#: How much of a negative sum the leaky ReLU lets through.
LEAK = 0.01


def linear(z: npt.ArrayLike) -> Floats:
    """z itself. Layers of it add up to a single layer: only bends make depth worth having.

    >>> linear([-2, 3]).tolist()
    [-2.0, 3.0]
    """
    return np.array(z, dtype=np.float64)


def linear_prime(z: npt.ArrayLike) -> Floats:
    """1 everywhere."""
    return np.ones_like(z, dtype=np.float64)


def step(z: npt.ArrayLike) -> Floats:
    """1 where z > 0, else 0: the perceptron's decision.

    >>> step([-2, 0, 3]).tolist()
    [0.0, 0.0, 1.0]
    """
    return (np.asarray(z, dtype=np.float64) > 0).astype(np.float64)


def step_prime(z: npt.ArrayLike) -> Floats:
    """0 everywhere, so a step gives no direction. (At z = 0 it has no slope; 0 here.)"""
    return np.zeros_like(z, dtype=np.float64)


def sigmoid(z: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-z)): the step made smooth, from 0 to 1.

    >>> sigmoid([-800, 0, 800]).tolist()
    [0.0, 0.5, 1.0]
    """
    z = np.asarray(z, dtype=np.float64)
    # exp of a large number overflows, so only exp(-|z|), never above 1, is used.
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small))


def sigmoid_prime(z: npt.ArrayLike) -> Floats:
    """sigmoid(z) (1 - sigmoid(z)): at most 1/4, and almost 0 where the neuron is saturated.

    >>> sigmoid_prime([-10, 0, 10]).round(5).tolist()
    [5e-05, 0.25, 5e-05]
    """
    z = np.asarray(z, dtype=np.float64)
    # 1 - sigmoid(z) is sigmoid(-z), without the digits that a subtraction from 1 would lose.
    return sigmoid(z) * sigmoid(-z)


def tanh(z: npt.ArrayLike) -> Floats:
    """(exp(z) - exp(-z)) / (exp(z) + exp(-z)): a sigmoid from -1 to 1, with mean 0.

    >>> tanh([-1, 0, 1]).round(3).tolist()
    [-0.762, 0.0, 0.762]
    """
    return np.asarray(np.tanh(np.asarray(z, dtype=np.float64)))


def tanh_prime(z: npt.ArrayLike) -> Floats:
    """1 - tanh(z)^2: at most 1."""
    return np.asarray(1.0 - tanh(z) ** 2)


def relu(z: npt.ArrayLike) -> Floats:
    """max(0, z): never saturated above 0 (Nair & Hinton, ICML 2010).

    >>> relu([-2, 0, 3]).tolist()
    [0.0, 0.0, 3.0]
    """
    return np.maximum(np.asarray(z, dtype=np.float64), 0.0)


def relu_prime(z: npt.ArrayLike) -> Floats:
    """1 where z > 0, else 0. (At the corner z = 0 any slope from 0 to 1 would do; 0 here.)"""
    return step(z)


def leaky_relu(z: npt.ArrayLike) -> Floats:
    """z where z > 0, else 0.01 z: a silent neuron can still learn (Maas et al., ICML 2013).

    >>> leaky_relu([-2, 0, 3]).tolist()
    [-0.02, 0.0, 3.0]
    """
    z = np.asarray(z, dtype=np.float64)
    return np.asarray(np.where(z > 0, z, LEAK * z))


def leaky_relu_prime(z: npt.ArrayLike) -> Floats:
    """1 where z > 0, else 0.01."""
    return np.asarray(np.where(np.asarray(z, dtype=np.float64) > 0, 1.0, LEAK))


class Activation(NamedTuple):
    """A function and its derivative, both from float64 to float64 of the same shape."""

    function: Callable[[npt.ArrayLike], Floats]
    derivative: Callable[[npt.ArrayLike], Floats]


#: The activations that look at one sum at a time.
ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(linear, linear_prime),
    "step": Activation(step, step_prime),
    "sigmoid": Activation(sigmoid, sigmoid_prime),
    "tanh": Activation(tanh, tanh_prime),
    "relu": Activation(relu, relu_prime),
    "leaky_relu": Activation(leaky_relu, leaky_relu_prime),
}


def softmax(z: npt.ArrayLike) -> Floats:
    """exp(z_k) / sum over j of exp(z_j): sums made into probabilities that add up to 1.

    z: [N, K] or [K]. Over ONE sum it is always 1, whatever that sum is; a network that ends so
    can answer nothing else and learns nothing.

    >>> softmax([[0, 0], [1000, 0]]).tolist(), softmax([[-7], [7]]).tolist()
    ([[0.5, 0.5], [1.0, 0.0]], [[1.0], [1.0]])
    """
    z = np.asarray(z, dtype=np.float64)
    # Subtracting one number from every z does not change the ratio; the largest keeps exp <= 1.
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def softmax_jacobian(z: npt.ArrayLike) -> Floats:
    """d p_i / d z_j = p_i ((i = j) - p_j), float64 [K, K], for each sum moves every probability.

    z: [K], one row. Raises ValueError for another shape.

    >>> softmax_jacobian([0, 0]).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    p = softmax(numbers(z, "z", "K"))
    return np.diag(p) - np.outer(p, p)
