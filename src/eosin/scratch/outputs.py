"""How a network ends: what its last sums become, and the loss that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy.typing as npt

from eosin.scratch import losses
from eosin.scratch.activations import linear, sigmoid, sigmoid_prime, softmax
from eosin.scratch.checks import Floats


class Output(NamedTuple):
    """How a network ends: its answers from the last sums, and loss(y, z) with d loss / d z."""

    answers: Callable[[npt.ArrayLike], Floats]
    loss: Callable[[npt.ArrayLike, npt.ArrayLike], float]
    error: Callable[[npt.ArrayLike, npt.ArrayLike], Floats]


#: Each way to end, with the loss that goes with it. y is int [N] for softmax, else [N, K].
OUTPUTS: dict[str, Output] = {
    "softmax": Output(softmax, losses.cross_entropy, losses.cross_entropy_gradient),
    "sigmoid": Output(sigmoid, losses.binary_cross_entropy, losses.binary_cross_entropy_gradient),
    "linear": Output(linear, losses.mean_squared_error, losses.mean_squared_error_gradient),
    "sigmoid_squared": Output(
        sigmoid,
        lambda y, z: losses.mean_squared_error(y, sigmoid(z)),
        lambda y, z: losses.mean_squared_error_gradient(y, sigmoid(z)) * sigmoid_prime(z),
    ),
}
