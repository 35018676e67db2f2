"""Pooling against torch, its way back against autograd and measured slopes, and its ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch.pooling import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
)

WAYS = {
    "max": (max_pool, max_pool_backward, torch.nn.functional.max_pool2d),
    "average": (average_pool, average_pool_backward, torch.nn.functional.avg_pool2d),
}


@pytest.mark.parametrize("name", WAYS)
@given(
    size=st.integers(1, 3),
    stride=st.one_of(st.none(), st.integers(1, 4)),
    height=st.integers(3, 8),
    width=st.integers(3, 8),
    levels=st.sampled_from([2, 4, 10**6]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_there_and_back_against_autograd(name, size, stride, height, width, levels, seed) -> None:
    pool, backward, theirs = WAYS[name]
    rng = np.random.default_rng(seed)
    images = rng.integers(levels, size=(2, 3, height, width)).astype(float)  # few levels: many ties
    leaf = torch.tensor(images, requires_grad=True)
    maps = theirs(leaf, size, stride)
    error = rng.normal(size=tuple(maps.shape))
    (maps * torch.tensor(error)).sum().backward()
    np.testing.assert_allclose(
        pool(images, size=size, stride=stride), maps.detach().numpy(), rtol=1e-12
    )
    np.testing.assert_allclose(
        backward(error, images, size=size, stride=stride), leaf.grad.numpy(), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(("size", "stride"), [(2, None), (2, 1), (3, 2)])
def test_the_way_back_against_measured_slopes(measured, name, size, stride) -> None:
    pool, backward, _ = WAYS[name]
    rng = np.random.default_rng(0)
    images = rng.permutation(2 * 5 * 6).reshape(1, 2, 5, 6).astype(float)  # all different
    error = rng.normal(size=pool(images, size=size, stride=stride).shape)
    slopes = measured(lambda x: (pool(x, size=size, stride=stride) * error).sum(), images)
    np.testing.assert_allclose(backward(error, images, size=size, stride=stride), slopes, atol=1e-7)


def test_of_equals_the_first_wins_all() -> None:
    error = np.array([[[[5.0]]]])
    assert max_pool_backward(error, np.zeros((1, 1, 2, 2)))[0, 0].tolist() == [[5, 0], [0, 0]]
    tied = [[[[0, 1], [1, 1]]]]
    assert max_pool_backward(error, tied)[0, 0].tolist() == [[0, 5], [0, 0]]
    assert average_pool_backward(error, tied)[0, 0].tolist() == [[1.25, 1.25], [1.25, 1.25]]


def test_a_pixel_that_wins_twice_gets_both() -> None:
    images = np.zeros((1, 1, 3, 3))
    images[0, 0, 1, 1] = 1
    back = max_pool_backward(np.ones((1, 1, 2, 2)), images, stride=1)
    assert back[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]


def test_what_is_past_the_last_window_is_left_out() -> None:
    images = np.arange(9.0).reshape(1, 1, 3, 3)
    assert max_pool(images).tolist() == [[[[4.0]]]]
    assert not max_pool_backward(np.ones((1, 1, 1, 1)), images)[0, 0, 2].any()


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize(
    ("images", "how", "message"),
    [
        (np.ones((2, 2)), {}, r"images has the shape \[2, 2\]; it must be \[N, C, H, W\]"),
        (np.ones((1, 1, 2, 2)), {"size": 3}, "3 wide does not fit into 2 pixels"),
        (np.ones((1, 1, 2, 2)), {"size": 0}, "kernel is 0"),
        (np.ones((1, 1, 2, 2)), {"stride": 0}, "stride is 0"),
        (np.full((1, 1, 2, 2), np.inf), {}, "images has 4 values that are not finite"),
    ],
)
def test_bad_input_is_said(pool, images, how, message) -> None:
    with pytest.raises(ValueError, match=message):
        pool(images, **how)


@pytest.mark.parametrize("backward", [max_pool_backward, average_pool_backward])
def test_an_error_of_another_shape_is_said(backward) -> None:
    with pytest.raises(
        ValueError, match=r"error has the shape \[1, 1, 2, 2\]; it must be \[1, 1, 1"
    ):
        backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
