"""The four equations and the network made of them, against autograd and measured slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from eosin.scratch.activations import ACTIVATIONS
from eosin.scratch.fitting import fit
from eosin.scratch.network import (
    Network,
    bias_gradient,
    hidden_error,
    output_error,
    weight_gradient,
)
from eosin.scratch.outputs import OUTPUTS

F = torch.nn.functional
TORCH_ACTIVATION = {
    "linear": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
}  # fmt: skip
TORCH_LOSS = {
    "softmax": F.cross_entropy,
    "sigmoid": F.binary_cross_entropy_with_logits,
    "linear": F.mse_loss,
    "sigmoid_squared": lambda z, y: F.mse_loss(torch.sigmoid(z), y),
}


def answers(output: str, rows: int, outputs: int, rng: np.random.Generator):
    if output == "softmax":
        return rng.integers(outputs, size=rows)
    if output == "linear":
        return rng.normal(size=(rows, outputs))
    return rng.integers(2, size=(rows, outputs)).astype(float)


def autograd(net: Network, activation: str, x, y):
    """The loss, and what torch says of every sum (a layer's error), bias and weight."""
    weights = [torch.tensor(w, requires_grad=True) for w in net.weights]
    biases = [torch.tensor(b, requires_grad=True) for b in net.biases]
    a, sums = torch.tensor(x), []
    for w, b in zip(weights, biases, strict=True):
        sums.append(F.linear(a, w, b))
        sums[-1].retain_grad()
        a = TORCH_ACTIVATION[activation](sums[-1])
    loss = TORCH_LOSS[net.output](sums[-1], torch.tensor(y))
    loss.backward()
    return loss.item(), *([leaf.grad.numpy() for leaf in part] for part in (sums, biases, weights))


def close(ours, theirs) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", TORCH_ACTIVATION)
def test_backpropagation_against_autograd(activation, output) -> None:
    rng = np.random.default_rng(5)
    net = Network([4, 6, 5, 3], activation=activation, output=output, seed=2)
    for biases in net.biases:
        biases += rng.normal(size=biases.shape)
    x, y = rng.normal(size=(7, 4)), answers(output, 7, 3, rng)
    loss, errors, biases, weights = autograd(net, activation, x, y)
    assert net.loss(x, y) == pytest.approx(loss, rel=1e-12)
    close(net.errors(net.layers(x)[0], y), errors)
    ours = net.backpropagate(x, y)
    close(ours[0], biases)
    close(ours[1], weights)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.integers(1, 6),
    st.sampled_from([*OUTPUTS]),
    st.integers(0, 999),
)
@settings(max_examples=25, deadline=None)
def test_any_depth_against_measured_slopes(measured, sizes, rows, output, seed) -> None:
    if output == "softmax":
        sizes[-1] += 1
    rng = np.random.default_rng(seed)
    net = Network(sizes, activation="tanh", output=output, seed=seed)
    x, y = rng.normal(size=(rows, sizes[0])), answers(output, rows, sizes[-1], rng)
    for parameter, gradient in zip(net.parameters, net.gradients(x, y), strict=True):
        kept = parameter.copy()

        def loss(values, parameter=parameter):
            parameter[...] = values
            return net.loss(x, y)

        slopes = measured(loss, kept)
        parameter[...] = kept
        np.testing.assert_allclose(gradient, slopes, atol=1e-7)


@pytest.mark.parametrize("output", OUTPUTS)
def test_bp1(output, measured) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(3, 4)), answers(output, 3, 4, rng)
    leaf = torch.tensor(z, requires_grad=True)
    TORCH_LOSS[output](leaf, torch.tensor(y)).backward()
    close([output_error(y, z, output=output)], [leaf.grad.numpy()])
    slopes = measured(lambda t: OUTPUTS[output].loss(y, t), z)
    np.testing.assert_allclose(output_error(y, z, output=output), slopes, atol=1e-8)


def test_bp2_bp3_bp4_by_hand() -> None:
    error = np.array([[1.0, 2.0]])
    weights = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 1.0]])
    slope = np.array([[1.0, 1.0, 0.5]])
    assert hidden_error(weights, error, slope).tolist() == [[1.0, 2.0, 2.5]]
    two = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert bias_gradient(two).tolist() == [4.0, 6.0]
    inputs = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert weight_gradient(inputs, two).tolist() == [[1.0, 6.0], [2.0, 8.0]]


def test_each_equation_carries_its_number() -> None:
    for number, equation in enumerate(
        (output_error, hidden_error, bias_gradient, weight_gradient), start=1
    ):
        assert equation.__doc__.startswith(f"BP{number},")


def test_saturated_and_silent_neurons_learn_slowly() -> None:
    right, off = np.array([[0.0]]), np.array([[8.0]])
    slow = output_error(right, off, output="sigmoid_squared").item()
    assert slow < 0.001 < 0.99 < output_error(right, off, output="sigmoid").item()
    quiet = weight_gradient(np.array([[1.0, 0.001]]), np.array([[1.0]]))
    assert quiet[0, 1] == pytest.approx(quiet[0, 0] / 1000)


def test_layers_and_answers_have_their_shapes() -> None:
    net = Network([4, 3, 2])
    sums, activations = net.layers(np.ones((5, 4)))
    assert [z.shape for z in sums] == [(5, 3), (5, 2)]
    assert [a.shape for a in activations] == [(5, 4), (5, 3), (5, 2)]
    assert [w.shape for w in net.weights] == [(3, 4), (2, 3)]
    np.testing.assert_allclose(net.forward(np.ones((5, 4))).sum(axis=1), 1)
    assert net.predict(np.ones((5, 4))).shape == (5,)
    assert net.predict(np.ones((5, 4))).dtype == np.int64
    assert Network([4, 1], output="sigmoid").predict(np.ones((5, 4))).dtype == np.int64


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_sums_keep_their_size_through_the_layers(activation) -> None:
    net = Network([200] * 8, activation=activation, output="linear", seed=1)
    sums, _ = net.layers(np.random.default_rng(0).normal(size=(100, 200)))
    assert 0.25 < sums[-1].std() / sums[0].std() < 2
    assert all(not biases.any() for biases in net.biases)


def test_classes_as_numbers_or_as_columns() -> None:
    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([0, 1, 2, 2, 1, 0])
    net = Network([2, 3], output="sigmoid")
    assert net.loss(x, y) == net.loss(x, np.eye(3)[y])
    assert net.accuracy(x, y) == net.accuracy(x, np.eye(3)[y])
    one = Network([2, 1], output="sigmoid")
    assert one.loss(x, y > 0) == one.loss(x, (y > 0)[:, None])
    assert one.accuracy(x, y > 0) == one.accuracy(x, (y > 0)[:, None])


def test_the_seeds_decide() -> None:
    x, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3

    def run(seed: int, order: int):
        net = Network([4, 5, 3], seed=seed)
        history = net.fit(x, y, epochs=2, batch_size=7, rate=0.1, seed=order)
        return history.loss, net.weights[0]

    assert run(1, 1)[0] == run(1, 1)[0]
    np.testing.assert_array_equal(run(1, 1)[1], run(1, 1)[1])
    assert run(1, 1)[0] != run(2, 1)[0]
    assert run(1, 1)[0] != run(1, 2)[0]


def test_one_step_of_fit_is_one_step_down_the_gradient() -> None:
    x, y = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 3
    net, same = Network([4, 5, 3], seed=1), Network([4, 5, 3], seed=1)
    gradients = same.gradients(x, y)
    net.fit(x, y, epochs=1, batch_size=9, rate=0.3)
    for moved, start, gradient in zip(net.parameters, same.parameters, gradients, strict=True):
        np.testing.assert_allclose(moved, start - 0.3 * gradient, rtol=1e-12, atol=1e-15)


def test_history_is_what_the_network_says_of_itself() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    other = rng.normal(size=(8, 4)), np.arange(8) % 3
    net, without = Network([4, 5, 3]), Network([4, 5, 3])
    history = net.fit(x, y, epochs=3, batch_size=8, rate=0.1, validation=other)
    assert len(history.loss) == len(history.accuracy) == len(history.validation_loss) == 3
    assert history.loss[-1] == net.loss(x, y)
    assert history.accuracy[-1] == net.accuracy(x, y)
    assert history.validation_loss[-1] == net.loss(*other)
    assert history.validation_accuracy[-1] == net.accuracy(*other)
    # Looking at validation data changes nothing in what is learned.
    assert without.fit(x, y, epochs=3, batch_size=8, rate=0.1).loss == history.loss


def test_a_line_is_a_network_too() -> None:
    x = np.linspace(-1, 1, 20)[:, None]
    net = Network([1, 1], output="linear")
    history = net.fit(x, 3 * x + 1, epochs=200, batch_size=20, rate=0.3)
    assert net.weights[0].item() == pytest.approx(3, abs=1e-3)
    assert net.biases[0].item() == pytest.approx(1, abs=1e-3)
    assert math.isnan(history.accuracy[-1])


def test_steps_learn_nothing_in_hidden_layers() -> None:
    assert not ACTIVATIONS["step"].derivative([1.0]).any()
    net = Network([2, 4, 2], activation="step")
    biases, weights = net.backpropagate([[1, 0], [0, 1]], [0, 1])
    assert not weights[0].any()
    assert not biases[0].any()
    assert weights[1].any()


def test_learns_digits() -> None:
    digits = load_digits()
    x, y = digits.data / 16, digits.target
    order = np.random.default_rng(42).permutation(len(x))
    train, test = order[449:], order[:449]
    net = Network([64, 30, 10])
    net.fit(x[train], y[train], epochs=15, batch_size=16, rate=0.5)
    assert net.accuracy(x[test], y[test]) >= 0.93


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Network([3]), r"sizes is \[3\]; it needs inputs and outputs at least"),
        (lambda: Network([3, 0]), "a layer's size is 0"),
        (lambda: Network([3, 2.5]), "a layer's size is 2.5"),
        (
            lambda: Network([3, 2], activation="swish"),
            "activation is 'swish'; it must be one of li",
        ),
        (lambda: Network([3, 2], output="argmax"), "output is 'argmax'; it must be one of softmax"),
        (lambda: Network([3, 1]), "softmax over one output is always 1"),
        (lambda: output_error([0], [[1, 2]], output="x"), "output is 'x'; it must be one of"),
        (lambda: Network([3, 2]).forward([[1, 2]]), r"x has the shape \[1, 2\]; it must be \[N, 3"),
        (lambda: Network([1, 2]).loss([[1]], [2]), "y has the label 2; with 2 classes"),
        (lambda: Network([1, 2]).accuracy([[1]], [0, 1]), r"y has the shape \[2\]; it must be \[1"),
        (lambda: Network([1, 1], output="sigmoid").loss([[1]], [3]), "y ranges from 3 to 3"),
        (lambda: Network([1, 3], output="sigmoid").loss([[1]], [3]), "y has the label 3"),
        (lambda: small([[np.nan]], [0]), "x has 1 values that are not finite"),
        (lambda: small([[1]], [0], batch_size=0), "batch_size is 0"),
        (lambda: small([[1]], [0], epochs=0), "epochs is 0"),
        (lambda: small([[1]], [0], rate=-0.5), "rate is -0.5"),
        (lambda: small([[1]], [0], momentum=1.5), "momentum is 1.5"),
    ],
)
def test_bad_input_is_said(act, message) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def small(x, y, **changed):
    settings_ = {"epochs": 1, "batch_size": 1, "rate": 0.1} | changed
    return fit(Network([1, 2]), x, y, **settings_)


def test_a_rate_beyond_all_bounds_is_said() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    net = Network([3, 8, 8, 1], activation="relu", output="linear")
    with pytest.raises(
        ValueError, match=r"in epoch \d+: the rate of 1000.0 is too high .* try 100"
    ):
        net.fit(x, x[:, :1], epochs=200, batch_size=5, rate=1000.0)
