"""Gradient descent on the two numbers of a line: all data, some of it, and with momentum.

The loss is the line's mean squared error over the points, and the whole way down is recorded.
Networks are descended with the same ``mini_batches`` and ``Momentum``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, Ints, above_zero, numbers, share, whole_number
from eosin.scratch.line import Line


@dataclass(frozen=True)
class Path:
    """A way down: w, b and loss float64 [steps + 1], from the start on; loss is over all points.

    steps_per_epoch: how many steps see every point once. A path that leaves the numbers that
    float64 can hold ends there, at a loss of infinity.
    """

    w: Floats
    b: Floats
    loss: Floats
    steps_per_epoch: int = 1

    @property
    def line(self) -> Line:
        """Where the path ends."""
        return Line(float(self.w[-1]), float(self.b[-1]))

    @property
    def diverged(self) -> bool:
        """Whether the path ends higher than it began."""
        return not self.loss[-1] <= self.loss[0]


class Momentum:
    """Steps downhill that keep some of their speed (Rumelhart, Hinton & Williams, Nature 1986).

        v <- momentum v - rate gradient        parameter <- parameter + v

    parameters: arrays, which are changed in place. Where gradients agree from step to step, speed
    adds up, to 1 / (1 - momentum) times the plain step; where they alternate, they cancel. A
    momentum of 0 is plain descent. Raises ValueError for a rate or momentum out of range.

    >>> w = np.array([4.0])
    >>> Momentum([w], rate=0.1).step([np.array([10.0])])
    >>> w.tolist()
    [3.0]
    """

    def __init__(self, parameters: Sequence[Floats], *, rate: float, momentum: float = 0.0) -> None:
        self.rate = above_zero(rate, "rate")
        self.momentum = share(momentum, "momentum")
        self.parameters = parameters
        self.velocities = [np.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients: Sequence[Floats]) -> None:
        """One step down the gradients, which are of the shapes of the parameters."""
        for parameter, velocity, gradient in zip(
            self.parameters, self.velocities, gradients, strict=True
        ):
            velocity *= self.momentum
            velocity -= self.rate * gradient
            parameter += velocity


def mini_batches(count: int, batch_size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """One epoch: the numbers 0 to count - 1 in a new random order, ``batch_size`` at a time.

    The last batch has what is left. Each is int64 [<= batch_size].

    >>> [len(batch) for batch in mini_batches(10, 4, np.random.default_rng(0))]
    [4, 4, 2]
    """
    order = rng.permutation(count)
    for start in range(0, count, whole_number(batch_size, "batch_size")):
        yield order[start : start + batch_size]


def gradient_descent(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    steps: int,
    w: float = 4.0,
    b: float = 0.0,
    rate: float = 1e-4,
) -> Path:
    """Descend with all points in each step (Cauchy 1847): w <- w - rate d loss / d w, b likewise.

    x, y: [N]. A step is long where the slope is steep and short near the bottom, all by itself.
    Raises ValueError for shapes, steps or a rate that do not fit.

    >>> path = gradient_descent([1, 2, 3], [2, 4, 6], steps=100, rate=0.1)
    >>> round(path.line.w, 2), round(float(path.loss[0]), 2), bool(path.loss[-1] < 0.001)
    (2.03, 18.67, True)
    """
    x = numbers(x, "x", "N")
    y = numbers(y, "y", len(x))
    w, b = numbers([w, b], "the start (w, b)", 2).tolist()
    above_zero(rate, "rate")

    def lines() -> Iterator[Line]:
        line = Line(w, b)
        for _ in range(whole_number(steps, "steps", 0)):
            yield line
            dw, db = line.gradient(x, y)
            line = Line(line.w - rate * dw, line.b - rate * db)
        yield line

    return _recorded(lines(), x, y, steps_per_epoch=1)


def stochastic_descent(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    batch_size: int,
    epochs: int,
    rate: float,
    momentum: float = 0.0,
    seed: int = 0,
    w: float = 4.0,
    b: float = 0.0,
) -> Path:
    """Descend with ``batch_size`` random points a step (Robbins & Monro 1951).

    x, y: [N]. The slope at a few points is, on average, that at all of them, with noise; it costs
    batch_size / N as much. Raises ValueError for shapes or settings that do not fit.

    >>> x = np.arange(8.0)
    >>> path = stochastic_descent(x, 2 * x, batch_size=2, epochs=50, rate=0.01)
    >>> len(path.w), path.steps_per_epoch, round(path.line.w, 1)
    (201, 4, 2.0)
    """
    x = numbers(x, "x", "N")
    y = numbers(y, "y", len(x))
    rng = np.random.default_rng(seed)
    place = numbers([w, b], "the start (w, b)", 2)
    descent = Momentum([place], rate=rate, momentum=momentum)

    def lines() -> Iterator[Line]:
        yield Line(w, b)
        for _ in range(whole_number(epochs, "epochs")):
            for batch in mini_batches(len(x), batch_size, rng):
                line = Line(*place.tolist())
                descent.step([np.array(line.gradient(x[batch], y[batch]))])
                yield Line(*place.tolist())

    per_epoch = -(-len(x) // whole_number(batch_size, "batch_size"))
    return _recorded(lines(), x, y, steps_per_epoch=per_epoch)


def _recorded(lines: Iterator[Line], x: Floats, y: Floats, *, steps_per_epoch: int) -> Path:
    """The path of the lines, to its end or to where its loss is no longer a finite number."""
    seen = []
    # Overflow is what divergence comes to, and the path shows it; it needs no warning as well.
    with np.errstate(over="ignore", invalid="ignore"):
        for line in lines:
            loss = float(np.mean((line.predict(x) - y) ** 2))
            seen.append((line.w, line.b, loss if np.isfinite(loss) else np.inf))
            if not np.isfinite(loss):
                break
    w, b, loss_path = np.array(seen).T
    return Path(w, b, loss_path, steps_per_epoch)
