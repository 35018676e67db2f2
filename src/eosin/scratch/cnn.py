"""A small convolutional network: find features, keep the strongest, twice; then decide.

    images -> (convolve 3x3 -> ReLU -> max pool) twice -> one layer of weights -> softmax

The shape is that of LeNet-5 (LeCun et al., Proceedings of the IEEE 86, 1998), with ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partialmethod

import numpy as np
import numpy.typing as npt

from eosin.scratch.activations import relu, relu_prime, softmax
from eosin.scratch.checks import Floats, Ints, numbers, whole_number
from eosin.scratch.convolution import convolve_backward, convolve_by_matrix
from eosin.scratch.fitting import fit
from eosin.scratch.losses import correct, cross_entropy, cross_entropy_gradient
from eosin.scratch.network import bias_gradient, hidden_error, weight_gradient
from eosin.scratch.pooling import max_pool, max_pool_backward

#: Images that go through at once where no gradient is asked for: the windows are kept small.
CHUNK = 64


@dataclass(frozen=True)
class Maps:
    """Every layer's values for N images; float64, sides halved (rounded down) by a pool.

    images [N, C, H, W]; sums_1 and active_1 [N, F1, H, W]; pooled_1 [N, F1, H/2, W/2]; sums_2 and
    active_2 [N, F2, H/2, W/2]; pooled_2 [N, F2, H/4, W/4]; logits [N, K].
    """

    images: Floats
    sums_1: Floats
    active_1: Floats
    pooled_1: Floats
    sums_2: Floats
    active_2: Floats
    pooled_2: Floats
    logits: Floats


class SmallCNN:
    """Two convolutions with ReLU and max pooling, then one layer with softmax.

    classes: K >= 2; side: of the square images, in pixels, at least 4; channels: of the images, 1
    for gray; filters: kernels of the first and of the second convolution. Weights start normal
    with mean 0 and variance 2 / inputs of a neuron before a ReLU (He et al., ICCV 2015), 1 / inputs
    in the last layer (LeCun et al., 1998); biases at 0. Scale pixels to around 0 to 1 first.
    Raises ValueError for settings that do not fit.

    >>> net = SmallCNN(10)
    >>> net.forward(np.zeros((2, 1, 8, 8))).shape, net.parameter_count
    ((2, 10), 1898)
    """

    def __init__(
        self,
        classes: int,
        *,
        side: int = 8,
        channels: int = 1,
        filters: tuple[int, int] = (8, 16),
        seed: int = 0,
    ) -> None:
        self.classes = whole_number(classes, "classes", 2)
        self.side = whole_number(side, "side", 4)
        self.channels = whole_number(channels, "channels")
        first, second = (whole_number(count, "filters") for count in filters)
        flat = second * (side // 2 // 2) ** 2
        rng = np.random.default_rng(seed)
        self.kernels_1 = rng.normal(0.0, np.sqrt(2 / (9 * channels)), (first, channels, 3, 3))
        self.bias_1 = np.zeros(first)
        self.kernels_2 = rng.normal(0.0, np.sqrt(2 / (9 * first)), (second, first, 3, 3))
        self.bias_2 = np.zeros(second)
        self.weights = rng.normal(0.0, np.sqrt(1 / flat), (classes, flat))
        self.biases = np.zeros(classes)

    @property
    def parameters(self) -> list[Floats]:
        """Kernels and bias of both convolutions, then weights and biases: what descent changes."""
        return [
            self.kernels_1, self.bias_1, self.kernels_2, self.bias_2, self.weights, self.biases
        ]  # fmt: skip

    @property
    def parameter_count(self) -> int:
        """The number of values to learn."""
        return sum(parameter.size for parameter in self.parameters)

    def layers(self, images: npt.ArrayLike) -> Maps:
        """Everything that the network sees; images: [N, C, side, side]."""
        images = numbers(images, "images", "N", self.channels, self.side, self.side)
        # A padding of 1 centers a 3x3 kernel on every pixel, so the maps are as large.
        sums_1 = convolve_by_matrix(images, self.kernels_1, self.bias_1, padding=1)
        active_1 = relu(sums_1)
        pooled_1 = max_pool(active_1)
        sums_2 = convolve_by_matrix(pooled_1, self.kernels_2, self.bias_2, padding=1)
        active_2 = relu(sums_2)
        pooled_2 = max_pool(active_2)
        logits = pooled_2.reshape(len(images), -1) @ self.weights.T + self.biases
        return Maps(images, sums_1, active_1, pooled_1, sums_2, active_2, pooled_2, logits)

    def gradients(self, x: npt.ArrayLike, y: npt.ArrayLike) -> list[Floats]:
        """The loss's gradient for each of ``parameters``, in their order: the chain, backward."""
        maps = self.layers(x)
        error = cross_entropy_gradient(y, maps.logits)
        flat = maps.pooled_2.reshape(len(error), -1)
        to_weights, to_biases = weight_gradient(flat, error), bias_gradient(error)
        back = hidden_error(self.weights, error, np.ones_like(flat)).reshape(maps.pooled_2.shape)
        back = max_pool_backward(back, maps.active_2) * relu_prime(maps.sums_2)
        back, to_kernels_2, to_bias_2 = convolve_backward(
            back, maps.pooled_1, self.kernels_2, padding=1
        )
        back = max_pool_backward(back, maps.active_1) * relu_prime(maps.sums_1)
        _, to_kernels_1, to_bias_1 = convolve_backward(back, maps.images, self.kernels_1, padding=1)
        return [to_kernels_1, to_bias_1, to_kernels_2, to_bias_2, to_weights, to_biases]

    def logits(self, images: npt.ArrayLike) -> Floats:
        """The sums before softmax, float64 [N, K], a part of the images at a time."""
        images = numbers(images, "images", "N", self.channels, self.side, self.side)
        parts = range(0, len(images), CHUNK)
        return np.concatenate([self.layers(images[i : i + CHUNK]).logits for i in parts])

    def forward(self, images: npt.ArrayLike) -> Floats:
        """The probability of each class, float64 [N, K]; images: [N, C, side, side]."""
        return softmax(self.logits(images))

    def predict(self, images: npt.ArrayLike) -> Ints:
        """The likeliest class of each image, int64 [N]."""
        return np.asarray(self.logits(images).argmax(axis=1))

    def loss(self, images: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The cross-entropy; y: class numbers [N]."""
        return cross_entropy(y, self.logits(images))

    def accuracy(self, images: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The share of images whose likeliest class is right; y: class numbers [N]."""
        logits = self.logits(images)
        return correct(y, logits) / len(logits)

    #: Learn by mini-batch descent; see ``fitting.fit`` for the arguments.
    fit = partialmethod(fit, batch_size=32, rate=0.05, momentum=0.9)
