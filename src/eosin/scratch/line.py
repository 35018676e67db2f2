"""A line y = w x + b, its loss and the loss's slope: two numbers, so that all can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, numbers
from eosin.scratch.losses import mean_squared_error, mean_squared_error_gradient


@dataclass(frozen=True)
class Line:
    """y = w x + b.

    >>> Line(2, 1).predict([0, 3]).tolist(), Line(2, 1).loss([0, 3], [1, 9])
    ([1.0, 7.0], 2.0)
    """

    w: float = 4.0
    b: float = 0.0

    def predict(self, x: npt.ArrayLike) -> Floats:
        """w x + b, float64 [N]; x: [N]."""
        return self.w * np.asarray(x, dtype=np.float64) + self.b

    def loss(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The mean squared error on points x, y: [N] each."""
        return mean_squared_error(y, self.predict(x))

    def gradient(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[float, float]:
        """(d loss / d w, d loss / d b) = (mean of 2 (w x + b - y) x, mean of 2 (w x + b - y)).

        The chain rule: the loss's slope in each prediction, times the prediction's slope in w
        (which is x) and in b (which is 1).

        >>> Line(2, 1).gradient([0, 3], [1, 9])
        (-6.0, -2.0)
        """
        slope = mean_squared_error_gradient(y, self.predict(x))
        return float(slope @ np.asarray(x, dtype=np.float64)), float(slope.sum())


def highest_stable_rate(x: npt.ArrayLike) -> float:
    """The rate at which plain descent with all points stops coming down and starts to climb.

    2 / (the largest curvature of the loss), which is the largest eigenvalue of 2/N times
    [[sum x^2, sum x], [sum x, N]]: below it each step shortens the way to the bottom in every
    direction, above it the steepest direction is overshot by more than it was off. x: [N].

    >>> highest_stable_rate([-2, 0, 2])
    0.375
    """
    x = numbers(x, "x", "N")
    columns = np.stack([x, np.ones_like(x)], axis=1)
    return 2.0 / float(np.linalg.eigvalsh(2.0 * columns.T @ columns / len(x))[-1])


def surface(x: npt.ArrayLike, y: npt.ArrayLike, *, w: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """The loss over a grid of lines, to draw a path on: float64 [B, W]; w: [W], b: [B], x, y: [N].

    >>> surface([0, 1], [0, 2], w=[0, 1, 2], b=[0]).tolist()
    [[2.0, 0.5, 0.0]]
    """
    w, b = numbers(w, "w", "W"), numbers(b, "b", "B")
    return np.array([[Line(wide, high).loss(x, y) for wide in w] for high in b])
