"""Mini-batch descent of any network, and its history epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, NotFiniteError, whole_number
from eosin.scratch.descent import Momentum, mini_batches


class Model(Protocol):
    """What can be fitted: parameters that change in place, and the gradient of each."""

    @property
    def parameters(self) -> Sequence[Floats]: ...

    def gradients(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Sequence[Floats]: ...

    def loss(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float: ...

    def accuracy(self, x: npt.ArrayLike, y: npt.ArrayLike) -> float: ...


@dataclass
class History:
    """The loss and the share of right answers after each epoch, a list of E each.

    Both are measured on all examples with the weights as the epoch left them. The validation lists
    are empty without validation data; accuracy is nan where there are no classes to be right about.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def fit(
    model: Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    rate: float,
    momentum: float = 0.0,
    seed: int = 0,
    validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> History:
    """Descend: for each batch of each epoch, the gradients and one step down them.

    x: [N, ...] and y: [N, ...], as the model takes them; seed: of the order of the examples;
    validation: (x, y) that are looked at and never learned from. Raises ValueError for shapes and
    settings that do not fit, and for a rate so high that the loss leaves all bounds.
    """
    model.loss(x, y)  # raises for wrong data before the first step, not in the middle
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y)
    whole_number(batch_size, "batch_size")
    descent = Momentum(model.parameters, rate=rate, momentum=momentum)
    rng = np.random.default_rng(seed)
    history = History()
    for epoch in range(whole_number(epochs, "epochs")):
        try:
            with np.errstate(over="raise", invalid="raise"):
                for batch in mini_batches(len(x), batch_size, rng):
                    descent.step(model.gradients(x[batch], y[batch]))
                history.loss.append(model.loss(x, y))
                history.accuracy.append(model.accuracy(x, y))
        except (FloatingPointError, NotFiniteError):
            raise ValueError(
                f"the weights exceeded the range of float64 in epoch {epoch + 1}: the rate of "
                f"{rate} is too high for these data; try {rate / 10:g}, or inputs closer to 0"
            ) from None
        if validation is not None:
            history.validation_loss.append(model.loss(*validation))
            history.validation_accuracy.append(model.accuracy(*validation))
    return history
