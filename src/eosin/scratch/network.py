"""A feed-forward network of any depth, and the four equations of backpropagation.

Rumelhart, Hinton & Williams, Nature 323, 1986; the equations' numbers are those of Nielsen, Neural
Networks and Deep Learning, chapter 2. A layer makes of its inputs a [N, in]

    z = a w^T + b    the sums [N, out]; w[j, k] leads from neuron k of its inputs to its neuron j
    f(z)             its activations [N, out], the inputs of the next layer

and what is passed back is each layer's error, d loss / d z [N, out]: how the loss, a mean over the
N examples, would change with each sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.scratch.activations import ACTIVATIONS
from eosin.scratch.checks import Floats, Ints, labels, numbers, one_of, whole_number
from eosin.scratch.fitting import fit
from eosin.scratch.outputs import OUTPUTS


def output_error(y: npt.ArrayLike, z: npt.ArrayLike, *, output: str = "softmax") -> Floats:
    """BP1, the error in the output layer: (d loss / d activation) * f'(z), float64 [N, K].

    y: the right answers; z: the last sums [N, K]; output: a name in OUTPUTS. A cross-entropy's
    slope cancels f'(z), which leaves (answer - y) / N; in "sigmoid_squared" f'(z) stays, so an
    output that is surely wrong, and so saturated, learns slowly.

    >>> output_error([[0]], [[6]], output="sigmoid").round(3).item()
    0.998
    >>> output_error([[0]], [[6]], output="sigmoid_squared").round(3).item()
    0.005
    """
    return one_of(OUTPUTS, output, "output").error(y, z)


def hidden_error(next_weights: Floats, next_error: Floats, slope: Floats) -> Floats:
    """BP2, a layer's error from the next layer's: (next_error next_weights) * f'(z), [N, out].

    next_weights: [next, out]; next_error: [N, next]; slope: f'(z) of this layer [N, out]. Each
    neuron is blamed through the weights by which it took part, and as far as it could move.
    """
    return np.asarray((next_error @ next_weights) * slope)


def bias_gradient(error: Floats) -> Floats:
    """BP3, how the loss changes with each bias: the error, summed over the examples, [out].

    error: [N, out].
    """
    return np.asarray(error.sum(axis=0))


def weight_gradient(inputs: Floats, error: Floats) -> Floats:
    """BP4, how the loss changes with each weight: error (out) times input (in), [out, in].

    inputs: the layer's inputs [N, in]; error: [N, out]; summed over the N examples. A weight
    whose input is near 0 learns slowly.
    """
    return np.asarray(error.T @ inputs)


class Network:
    """Layers of neurons, each fed by all of the layer before.

    sizes: neurons a layer, inputs first and outputs last; activation: of the hidden layers, a name
    in ACTIVATIONS; output: how it ends, a name in OUTPUTS. Weights start random, because neurons
    that start equal would stay equal, with mean 0 and variance 1 / inputs (LeCun et al., Efficient
    BackProp, 1998; 2 / inputs for the ReLUs, which silence half: He et al., ICCV 2015), so that
    sums keep their size from layer to layer; biases start at 0. Raises ValueError for settings
    that do not fit.

    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = Network([2, 8, 2], activation="tanh")
    >>> history = net.fit(x, y, epochs=200, batch_size=4, rate=0.5)
    >>> net.predict(x).tolist()  # XOR, which no single perceptron can do
    [0, 1, 1, 0]
    """

    def __init__(
        self, sizes: Sequence[int], *, activation: str = "sigmoid", output: str = "softmax",
        seed: int = 0,
    ) -> None:  # fmt: skip
        if len(sizes) < 2:
            raise ValueError(f"sizes is {list(sizes)}; it needs inputs and outputs at least")
        self.sizes = [whole_number(size, "a layer's size") for size in sizes]
        self.function, self.derivative = one_of(ACTIVATIONS, activation, "activation")
        self.answers, self._loss, _ = one_of(OUTPUTS, output, "output")
        if output == "softmax" and sizes[-1] == 1:
            raise ValueError(
                "softmax over one output is always 1, so its gradient is 0 and the network learns "
                "nothing; use two outputs, or output='sigmoid'"
            )
        self.output = output
        rng = np.random.default_rng(seed)
        gain = 2.0 if activation in ("relu", "leaky_relu") else 1.0
        self.weights: list[Floats] = [
            rng.normal(0.0, np.sqrt(gain / inputs), (outputs, inputs))
            for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False)
        ]
        self.biases: list[Floats] = [np.zeros(outputs) for outputs in self.sizes[1:]]

    def layers(self, x: npt.ArrayLike) -> tuple[list[Floats], list[Floats]]:
        """The sums z of each layer, and the inputs x followed by the activations of each layer.

        x: [N, sizes[0]]. The last activations are the network's answers.
        """
        sums: list[Floats] = []
        activations = [numbers(x, "x", "N", self.sizes[0])]
        for weights, biases in zip(self.weights, self.biases, strict=True):
            sums.append(activations[-1] @ weights.T + biases)
            last = len(sums) == len(self.weights)
            activations.append((self.answers if last else self.function)(sums[-1]))
        return sums, activations

    def forward(self, x: npt.ArrayLike) -> Floats:
        """The answers, float64 [N, K]: probabilities, unless the output is "linear"; x: [N, F]."""
        return self.layers(x)[1][-1]

    def predict(self, x: npt.ArrayLike) -> Ints:
        """The class of each row, int64 [N]: the likeliest, or of one output whether it is > 0.5."""
        answers = self.forward(x)
        return answers.argmax(axis=1) if answers.shape[1] > 1 else (answers[:, 0] > 0.5).astype(int)

    def loss(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The loss on x [N, F] with the right answers y."""
        return self._loss(self._answers(y), self.layers(x)[0][-1])

    def accuracy(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The share of right classes, nan for the "linear" output; y: [N], or [N, K]."""
        if self.output == "linear":
            return float("nan")
        predicted, right = self.predict(x), np.asarray(y)
        if right.ndim == 2:  # a column a class, or one column that is the class
            right = right.argmax(axis=1) if right.shape[1] > 1 else right[:, 0]
        right = labels(right, len(predicted), max(2, self.sizes[-1]))
        return float(np.mean(predicted == right))

    def errors(self, sums: list[Floats], y: npt.ArrayLike) -> list[Floats]:
        """The error of each layer, first to last, [N, out] each: BP1, then BP2 backward.

        sums: from ``layers``; y: the right answers.
        """
        errors = [output_error(self._answers(y), sums[-1], output=self.output)]
        for layer in range(len(sums) - 2, -1, -1):
            slope = self.derivative(sums[layer])
            errors.insert(0, hidden_error(self.weights[layer + 1], errors[0], slope))
        return errors

    def backpropagate(
        self, x: npt.ArrayLike, y: npt.ArrayLike
    ) -> tuple[list[Floats], list[Floats]]:
        """The loss's gradient for all biases and all weights, lists by layer: BP1 to BP4."""
        sums, activations = self.layers(x)
        errors = self.errors(sums, y)
        return (
            [bias_gradient(error) for error in errors],
            [weight_gradient(a, error) for a, error in zip(activations, errors, strict=False)],
        )

    @property
    def parameters(self) -> list[Floats]:
        """All biases, then all weights: what descent changes."""
        return [*self.biases, *self.weights]

    def gradients(self, x: npt.ArrayLike, y: npt.ArrayLike) -> list[Floats]:
        """The gradients in the order of ``parameters``."""
        biases, weights = self.backpropagate(x, y)
        return [*biases, *weights]

    #: Learn by mini-batch descent; see ``fitting.fit`` for the arguments.
    fit = fit

    def _answers(self, y: npt.ArrayLike) -> npt.NDArray[Any]:
        """y as the loss takes it: [N] for softmax, else [N, K], where class k has a 1 at k."""
        y, outputs = np.asarray(y), self.sizes[-1]
        if self.output == "softmax" or y.ndim != 1:
            return y
        return y[:, None] if outputs == 1 else np.eye(outputs)[labels(y, len(y), outputs)]
