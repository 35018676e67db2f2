"""The perceptron: a yes or no from weighted evidence, learned from its own mistakes.

Rosenblatt, Psychological Review 65, 1958; the rule's proof: Novikoff, Symposium on the
Mathematical Theory of Automata, 1962.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, Ints, above_zero, labels, numbers, whole_number

#: Every combination of two yes-or-no inputs, float64 [4, 2].
INPUTS: Floats = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
#: The answers to the rows of INPUTS, int64 [4] each.
AND: Ints = np.array([0, 0, 0, 1])
OR: Ints = np.array([0, 1, 1, 1])
NAND: Ints = np.array([1, 1, 1, 0])
XOR: Ints = np.array([0, 1, 1, 0])


@dataclass(frozen=True)
class History:
    """What happened in each epoch of learning.

    mistakes: int64 [E], wrong decisions in each epoch; weights: float64 [E + 1, F] and biases:
    float64 [E + 1], the start and then the state after each epoch.
    """

    mistakes: Ints
    weights: Floats
    biases: Floats

    @property
    def learned(self) -> bool:
        """Whether the last epoch passed without a mistake."""
        return bool(self.mistakes[-1] == 0)


class Perceptron:
    """One neuron: 1 where its weighted evidence exceeds a threshold, else 0.

    inputs: how many numbers it weighs, F. It starts with ``weights`` float64 [F] and ``bias`` of 0
    by default. Raises ValueError where they do not fit.

    >>> go = Perceptron(3, weights=[6, 2, 2], bias=-5)  # good weather outweighs the other two
    >>> go.decide([[1, 0, 0], [0, 1, 1]]).tolist(), go.threshold
    ([1, 0], 5.0)
    """

    def __init__(
        self, inputs: int, *, weights: npt.ArrayLike | None = None, bias: float = 0.0
    ) -> None:
        self.inputs = whole_number(inputs, "inputs")
        start = np.zeros(inputs) if weights is None else weights
        self.weights: Floats = numbers(start, "weights", inputs).copy()
        self.bias = float(numbers(bias, "bias"))

    @property
    def threshold(self) -> float:
        """What the weighted sum must exceed: w . x > threshold is w . x + bias > 0."""
        return 0.0 - self.bias  # not -bias, for minus zero would be shown as -0.0

    def evidence(self, x: npt.ArrayLike) -> Floats:
        """w . x + bias of each row, float64 [N]; x: [N, F]."""
        result: Floats = numbers(x, "x", "N", self.inputs) @ self.weights + self.bias
        return result

    def decide(self, x: npt.ArrayLike) -> Ints:
        """1 where the evidence is above 0, else 0: int64 [N].

        x: [N, F], 0 and 1 for Rosenblatt's yes-or-no inputs; any finite numbers work as well.
        Raises ValueError for another width or values that are not finite.

        >>> nand().decide(INPUTS).tolist()
        [1, 1, 1, 0]
        """
        return (self.evidence(x) > 0).astype(np.int64)

    def learn(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, epochs: int, rate: float = 1.0
    ) -> History:
        """Look at the rows in turn, and after each mistake step toward the right answer.

            w <- w + rate (y - decided) x        bias <- bias + rate (y - decided)

        x: [N, F]; y: [N] of 0 and 1; epochs: times through all rows, at most, for once an epoch
        has no mistake, nothing would change any more. If any line (plane) parts the two answers,
        this finds one after finitely many mistakes (Novikoff 1962); if none does, it never ends.
        Raises ValueError for shapes, labels, epochs or a rate that do not fit.

        >>> p = Perceptron(2)
        >>> p.learn(INPUTS, AND, epochs=20).mistakes.tolist()
        [1, 3, 3, 2, 1, 0]
        >>> p.decide(INPUTS).tolist(), Perceptron(2).learn(INPUTS, XOR, epochs=99).learned
        ([0, 0, 0, 1], False)
        """
        rows = numbers(x, "x", "N", self.inputs)
        answers = labels(y, len(rows), 2)
        whole_number(epochs, "epochs")
        above_zero(rate, "rate")
        mistakes, weights, biases = [], [self.weights.copy()], [self.bias]
        for _ in range(epochs):
            wrong = 0
            for row, answer in zip(rows, answers, strict=True):
                decided = int(row @ self.weights + self.bias > 0)
                # +1: it said no and should have said yes, so this row's inputs gain weight; -1:
                # the other way; 0: it was right, and a right decision teaches it nothing.
                surprise = int(answer) - decided
                self.weights += rate * surprise * row
                self.bias += rate * surprise
                wrong += abs(surprise)
            mistakes.append(wrong)
            weights.append(self.weights.copy())
            biases.append(self.bias)
            if wrong == 0:
                break
        return History(np.array(mistakes), np.array(weights), np.array(biases))


def nand() -> Perceptron:
    """A perceptron that says no only where both inputs are 1: weights -2 and -2, bias 3.

    Every computer can be wired from this one part, so networks of perceptrons can compute
    anything; the question that remains is how they learn it.
    """
    return Perceptron(2, weights=[-2, -2], bias=3)


def xor(x: npt.ArrayLike) -> Ints:
    """Exactly one of the two, int64 [N], from four NANDs in layers; x: [N, 2] of 0 and 1.

    No single perceptron can: bias <= 0, w1 + bias > 0 and w2 + bias > 0 force
    w1 + w2 + bias > -bias >= 0, which answers 1 where both inputs are 1 (Minsky & Papert,
    Perceptrons, 1969).

    >>> xor(INPUTS).tolist()
    [0, 1, 1, 0]
    """
    first, second = numbers(x, "x", "N", 2).T
    gate = nand()
    both = gate.decide(np.stack([first, second], axis=1))
    left = gate.decide(np.stack([first, both], axis=1))
    right = gate.decide(np.stack([both, second], axis=1))
    return gate.decide(np.stack([left, right], axis=1))
