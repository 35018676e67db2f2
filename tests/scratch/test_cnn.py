"""The small CNN: the same gradients as torch's of the same network, and digits learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from eosin.scratch import cnn
from eosin.scratch.cnn import SmallCNN

F = torch.nn.functional


def same_in_torch(leaves, images):
    kernels_1, bias_1, kernels_2, bias_2, weights, biases = leaves
    x = F.max_pool2d(F.relu(F.conv2d(torch.tensor(images), kernels_1, bias_1, padding=1)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, kernels_2, bias_2, padding=1)), 2)
    return F.linear(x.flatten(1), weights, biases)


@pytest.mark.parametrize(
    ("side", "channels", "filters"), [(8, 1, (8, 16)), (4, 3, (1, 2)), (11, 2, (3, 4))]
)
def test_forward_and_gradients_against_autograd(side, channels, filters) -> None:
    rng = np.random.default_rng(0)
    net = SmallCNN(3, side=side, channels=channels, filters=filters, seed=4)
    for parameter in net.parameters:
        parameter += 0.1 * rng.normal(size=parameter.shape)
    images, y = rng.normal(size=(5, channels, side, side)), np.array([0, 1, 2, 1, 0])
    leaves = [torch.tensor(p, requires_grad=True) for p in net.parameters]
    logits = same_in_torch(leaves, images)
    loss = F.cross_entropy(logits, torch.tensor(y))
    loss.backward()
    np.testing.assert_allclose(net.logits(images), logits.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        net.forward(images), torch.softmax(logits, 1).detach().numpy(), rtol=1e-9
    )
    assert net.loss(images, y) == pytest.approx(loss.item())
    for ours, leaf in zip(net.gradients(images, y), leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-8, atol=1e-13)


def test_gradients_against_measured_slopes(measured) -> None:
    rng = np.random.default_rng(1)
    net = SmallCNN(2, side=4, filters=(2, 2), seed=1)
    images, y = rng.normal(size=(2, 1, 4, 4)), np.array([0, 1])
    for parameter, gradient in zip(net.parameters, net.gradients(images, y), strict=True):
        kept = parameter.copy()

        def loss(values, parameter=parameter):
            parameter[...] = values
            return net.loss(images, y)

        slopes = measured(loss, kept)
        parameter[...] = kept
        np.testing.assert_allclose(gradient, slopes, atol=1e-7)


def test_every_map_has_its_shape() -> None:
    maps = SmallCNN(10, side=10, channels=3, filters=(4, 6)).layers(np.zeros((2, 3, 10, 10)))
    assert maps.sums_1.shape == maps.active_1.shape == (2, 4, 10, 10)
    assert maps.pooled_1.shape == (2, 4, 5, 5)
    assert maps.sums_2.shape == maps.active_2.shape == (2, 6, 5, 5)
    assert maps.pooled_2.shape == (2, 6, 2, 2)
    assert maps.logits.shape == (2, 10)


def test_parts_at_a_time_give_the_same(monkeypatch) -> None:
    images = np.random.default_rng(0).normal(size=(7, 1, 8, 8))
    whole = SmallCNN(10).logits(images)
    monkeypatch.setattr(cnn, "CHUNK", 3)
    np.testing.assert_allclose(SmallCNN(10).logits(images), whole, rtol=1e-12)


def test_the_seeds_decide() -> None:
    images, y = np.random.default_rng(0).normal(size=(20, 1, 8, 8)), np.arange(20) % 10

    def run(seed: int, order: int) -> list[float]:
        return SmallCNN(10, seed=seed).fit(images, y, epochs=1, batch_size=6, seed=order).loss

    assert run(1, 1) == run(1, 1)
    assert run(1, 1) != run(2, 1)
    assert run(1, 1) != run(1, 2)


def test_learns_digits() -> None:
    digits = load_digits()
    images, y = digits.images[:, None] / 16, digits.target
    order = np.random.default_rng(42).permutation(len(y))
    train, test = order[449:], order[:449]
    net = SmallCNN(10)
    history = net.fit(images[train], y[train], epochs=8, validation=(images[test], y[test]))
    assert net.accuracy(images[test], y[test]) >= 0.95
    assert history.validation_accuracy[-1] == net.accuracy(images[test], y[test])
    assert (net.predict(images[test]) == y[test]).mean() == history.validation_accuracy[-1]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: SmallCNN(1), "classes is 1; it must be a whole number of at least 2"),
        (lambda: SmallCNN(2, side=3), "side is 3; it must be a whole number of at least 4"),
        (lambda: SmallCNN(2, channels=0), "channels is 0"),
        (lambda: SmallCNN(2, filters=(0, 1)), "filters is 0"),
        (
            lambda: SmallCNN(2).forward(np.ones((1, 8, 8))),
            r"images has the shape \[1, 8, 8\]; it m",
        ),
        (lambda: SmallCNN(2).forward(np.ones((1, 3, 8, 8))), r"it must be \[N, 1, 8, 8\]"),
        (lambda: SmallCNN(2).loss(np.ones((1, 1, 8, 8)), [2]), "y has the label 2; with 2 classes"),
        (lambda: SmallCNN(2).fit(np.ones((2, 1, 8, 8)), [0], epochs=1), r"y has the shape \[1\]"),
    ],
)
def test_bad_input_is_said(act, message) -> None:
    with pytest.raises(ValueError, match=message):
        act()
