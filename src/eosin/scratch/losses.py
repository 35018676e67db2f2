"""Losses: how wrong the answers are, in one number, each with its gradient beside it.

All are means, so that a loss does not depend on how many examples there are. The cross-entropies
take logits (the sums before sigmoid or softmax), for log(softmax(z)) written in one piece neither
overflows nor takes the logarithm of 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.scratch.activations import sigmoid, softmax
from eosin.scratch.checks import Floats, labels, numbers


def mean_squared_error(y: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean over all values of (prediction - y)^2.

    y and prediction: of one shape, any. Raises ValueError where the shapes differ.

    >>> mean_squared_error([1, 2], [1, 4])
    2.0
    """
    y, prediction = _alike(y, prediction, "prediction")
    return float(np.mean((prediction - y) ** 2))


def mean_squared_error_gradient(y: npt.ArrayLike, prediction: npt.ArrayLike) -> Floats:
    """d loss / d prediction = 2 (prediction - y) / number of values, of their shape.

    >>> mean_squared_error_gradient([1, 2], [1, 4]).tolist()
    [0.0, 2.0]
    """
    y, prediction = _alike(y, prediction, "prediction")
    return 2.0 * (prediction - y) / y.size


def binary_cross_entropy(y: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Mean over all values of -(y log p + (1 - y) log(1 - p)) with p = sigmoid(logit).

    y: from 0 to 1; logits: of the same shape, any. Raises ValueError for other shapes or values.

    >>> binary_cross_entropy([1, 0], [0, 0]) == float(np.log(2))  # a coin's answer
    True
    >>> binary_cross_entropy([1, 1], [800, -800])  # right is free; surely wrong is dear
    400.0
    """
    y, logits = _chances(y, logits)
    # log(1 + exp(z)) - y z, with exp(-|z|) in place of exp(z), which would overflow.
    each = np.maximum(logits, 0.0) - y * logits + np.log1p(np.exp(-np.abs(logits)))
    return float(np.mean(each))


def binary_cross_entropy_gradient(y: npt.ArrayLike, logits: npt.ArrayLike) -> Floats:
    """d loss / d logits = (sigmoid(logits) - y) / number of values: error, and no slope in it.

    >>> binary_cross_entropy_gradient([1, 0], [0, 0]).tolist()
    [-0.25, 0.25]
    """
    y, logits = _chances(y, logits)
    return (sigmoid(logits) - y) / y.size


def cross_entropy(y: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Mean over the rows of -log p of the right class, with p = softmax(logits).

    y: class numbers [N]; logits: [N, K]. Raises ValueError for shapes or labels that do not fit.

    >>> cross_entropy([0, 1], [[0, 0], [0, 0]]) == float(np.log(2))
    True
    """
    logits = numbers(logits, "logits", "N", "K")
    right = labels(y, *logits.shape)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-np.mean(log_p[np.arange(len(right)), right]))


def cross_entropy_gradient(y: npt.ArrayLike, logits: npt.ArrayLike) -> Floats:
    """d loss / d logits = (softmax(logits) - one 1 at the right class) / N, float64 [N, K].

    >>> cross_entropy_gradient([0, 1], [[0, 0], [0, 0]]).tolist()
    [[-0.25, 0.25], [0.25, -0.25]]
    """
    logits = numbers(logits, "logits", "N", "K")
    right = labels(y, *logits.shape)
    error = softmax(logits)
    error[np.arange(len(right)), right] -= 1.0
    return error / len(right)


def correct(y: npt.ArrayLike, logits: npt.ArrayLike) -> int:
    """How many answers are right: what we want, and what cannot be descended.

    y: class numbers [N]; logits: [N, K], where the largest is the answer (the first of equals),
    or [N], where above 0 means class 1. Raises ValueError for shapes or labels that do not fit.

    >>> correct([0, 1, 1], [[2, 1], [0, 3], [1, 0]]), correct([0, 1], [-0.1, 5])
    (2, 2)
    """
    logits = np.asarray(logits)
    if logits.ndim == 1:
        logits = numbers(logits, "logits", "N")
        return int(np.sum((logits > 0) == labels(y, len(logits), 2)))
    logits = numbers(logits, "logits", "N", "K")
    return int(np.sum(logits.argmax(axis=1) == labels(y, *logits.shape)))


def correct_gradient(y: npt.ArrayLike, logits: npt.ArrayLike) -> Floats:
    """d correct / d logits: 0 everywhere, of the shape of the logits.

    The count stays the same while an answer moves, then jumps by one where it changes sides:
    flat treads and sheer edges (where there is no derivative at all). No tread shows which way is
    down, so a better answer that is not yet right earns nothing, and the model learns nothing.

    >>> correct([1], [-0.2]), correct([1], [-0.1]), correct_gradient([1], [-0.1]).tolist()
    (0, 0, [0.0])
    """
    correct(y, logits)
    return np.zeros_like(logits, dtype=np.float64)


def _alike(y: npt.ArrayLike, other: npt.ArrayLike, name: str) -> tuple[Floats, Floats]:
    other = numbers(other, name, *np.shape(other))
    return numbers(y, "y", *other.shape), other


def _chances(y: npt.ArrayLike, logits: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, logits = _alike(y, logits, "logits")
    if y.min() < 0 or y.max() > 1:
        raise ValueError(f"y ranges from {y.min():g} to {y.max():g}; it must be between 0 and 1")
    return y, logits
