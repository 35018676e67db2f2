"""The perceptron decides, learns what a line can part, and never learns XOR."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch.perceptron import AND, INPUTS, NAND, OR, XOR, Perceptron, nand, xor


@pytest.mark.parametrize("y", [AND, OR, NAND], ids=["and", "or", "nand"])
@pytest.mark.parametrize("rate", [0.1, 1.0, 7.0])
def test_learns_what_a_line_parts(y, rate) -> None:
    perceptron = Perceptron(2)
    history = perceptron.learn(INPUTS, y, epochs=50, rate=rate)
    assert history.learned
    assert perceptron.decide(INPUTS).tolist() == y.tolist()
    assert history.mistakes[-1] == 0
    assert (history.mistakes[:-1] > 0).all()


def test_never_learns_xor_and_comes_back_to_where_it_was() -> None:
    history = Perceptron(2).learn(INPUTS, XOR, epochs=500)
    assert not history.learned
    assert len(history.mistakes) == 500
    assert (history.mistakes > 0).all()
    states = np.column_stack([history.weights, history.biases])
    # It runs in a circle: few states, seen again and again (Minsky & Papert's cycling theorem).
    assert len(np.unique(states, axis=0)) < 10


def test_no_weights_of_a_grid_compute_xor() -> None:
    grid = np.indices((21, 21, 21)).reshape(3, -1) - 10  # w1, w2, bias from -10 to 10
    decided = INPUTS @ grid[:2] + grid[2] > 0
    assert not (decided == XOR[:, None]).all(axis=0).any()
    assert (decided == NAND[:, None]).all(axis=0).any()


def test_layers_of_nand_compute_xor() -> None:
    assert nand().decide(INPUTS).tolist() == NAND.tolist()
    assert xor(INPUTS).tolist() == XOR.tolist()


def test_the_rule_by_hand() -> None:
    p = Perceptron(2, weights=[0.5, -1.0], bias=0.25)
    history = p.learn([[1, 1], [0, 1]], [1, 1], epochs=1, rate=0.5)
    # row 1: 0.5 - 1 + 0.25 = -0.25, says 0 and should say 1: all move up by 0.5 x
    # row 2: -0.5 + 0.75 = 0.25, says 1, right
    assert history.mistakes.tolist() == [1]
    assert p.weights.tolist() == [1.0, -0.5]
    assert p.bias == 0.75
    assert history.weights.tolist() == [[0.5, -1.0], [1.0, -0.5]]
    assert history.biases.tolist() == [0.25, 0.75]


def test_on_the_threshold_it_says_no() -> None:
    p = Perceptron(1, weights=[2], bias=-2)
    assert p.threshold == 2.0
    assert p.decide([[1], [1.001]]).tolist() == [0, 1]
    assert str(Perceptron(1).threshold) == "0.0"


def test_given_weights_are_not_changed() -> None:
    given_ = np.zeros(2)
    Perceptron(2, weights=given_).learn(INPUTS, AND, epochs=3)
    assert given_.tolist() == [0, 0]


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_whatever_a_plane_parts_is_learned(inputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    teacher = Perceptron(inputs, weights=rng.normal(size=inputs), bias=rng.normal())
    x = rng.normal(size=(30, inputs))
    x = x[np.abs(teacher.evidence(x)) > 0.2]  # a margin keeps Novikoff's bound small
    if len(x):
        y = teacher.decide(x)
        pupil = Perceptron(inputs)
        assert pupil.learn(x, y, epochs=3000).learned
        assert (pupil.decide(x) == y).all()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Perceptron(0), r"inputs is 0; it must be a whole number of at least 1"),
        (lambda: Perceptron(2, weights=[1]), r"weights has the shape \[1\]; it must be \[2\]"),
        (lambda: Perceptron(2, bias=float("nan")), "bias has 1 values that are not finite"),
        (lambda: Perceptron(2).decide([0, 1]), r"x has the shape \[2\]; it must be \[N, 2\]"),
        (lambda: Perceptron(2).decide([[0, np.inf]]), "x has 1 values that are not finite"),
        (lambda: Perceptron(2).decide([["a", "b"]]), "x is not an array of numbers"),
        (lambda: Perceptron(2).decide(np.zeros((0, 2))), "x is empty"),
        (lambda: Perceptron(2).learn(INPUTS, [0, 1], epochs=1), r"y has the shape \[2\]"),
        (lambda: Perceptron(2).learn(INPUTS, [0, 1, 2, 0], epochs=1), "y has the label 2; with 2"),
        (lambda: Perceptron(2).learn(INPUTS, [0, 0.5, 1, 0], epochs=1), "y has the label 0.5"),
        (lambda: Perceptron(2).learn(INPUTS, AND, epochs=0), "epochs is 0"),
        (lambda: Perceptron(2).learn(INPUTS, AND, epochs=1, rate=-1), "rate is -1"),
        (lambda: xor([[1, 0, 1]]), r"x has the shape \[1, 3\]"),
    ],
)
def test_bad_input_is_said(act, message) -> None:
    with pytest.raises(ValueError, match=message):
        act()
