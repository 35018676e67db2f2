"""Convolution two ways against torch, and its way back against autograd and measured slopes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eosin.scratch.convolution import (
    convolve,
    convolve_backward,
    convolve_by_matrix,
    from_windows,
    output_side,
    pad,
    windows,
)


@st.composite
def problems(draw):
    """Images, kernels, biases, stride and padding of any fitting sizes."""
    count, channels, many = (draw(st.integers(1, 3)) for _ in range(3))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    padding, stride = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    height = draw(st.integers(max(1, rows - 2 * padding), 7))
    width = draw(st.integers(max(1, columns - 2 * padding), 7))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    images = rng.normal(size=(count, channels, height, width))
    kernels = rng.normal(size=(many, channels, rows, columns))
    return images, kernels, rng.normal(size=many), {"stride": stride, "padding": padding}


@given(problems())
@settings(max_examples=30, deadline=None)
def test_sliding_against_matrix_against_torch(problem) -> None:
    images, kernels, bias, how = problem
    sliding, matrix = (way(images, kernels, bias, **how) for way in (convolve, convolve_by_matrix))
    theirs = torch.nn.functional.conv2d(*map(torch.tensor, (images, kernels, bias)), **how)
    assert sliding.shape == matrix.shape == tuple(theirs.shape)
    np.testing.assert_allclose(sliding, matrix, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(sliding, theirs.numpy(), rtol=1e-10, atol=1e-12)


@given(problems())
@settings(max_examples=30, deadline=None)
def test_the_way_back_against_autograd(problem) -> None:
    images, kernels, bias, how = problem
    leaves = [torch.tensor(part, requires_grad=True) for part in (images, kernels, bias)]
    maps = torch.nn.functional.conv2d(*leaves, **how)
    error = np.random.default_rng(0).normal(size=tuple(maps.shape))
    (maps * torch.tensor(error)).sum().backward()
    for ours, leaf in zip(convolve_backward(error, images, kernels, **how), leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (3, 2)])
def test_the_way_back_against_measured_slopes(measured, stride, padding) -> None:
    rng = np.random.default_rng(1)
    images, kernels = rng.normal(size=(2, 2, 5, 4)), rng.normal(size=(2, 2, 3, 2))
    bias, how = rng.normal(size=2), {"stride": stride, "padding": padding}
    error = rng.normal(size=convolve(images, kernels, **how).shape)
    found = convolve_backward(error, images, kernels, **how)
    for place, gradient in enumerate(found):

        def loss(values, place=place):
            parts = [images, kernels, bias]
            parts[place] = values
            return (convolve(*parts, **how) * error).sum()

        slopes = measured(loss, (images, kernels, bias)[place])
        np.testing.assert_allclose(gradient, slopes, atol=1e-7)


def test_a_feature_that_moves_moves_on_the_map() -> None:
    rng = np.random.default_rng(2)
    image, kernel = np.zeros((1, 1, 12, 12)), rng.normal(size=(1, 1, 3, 3))
    image[0, 0, 3:6, 3:6] = rng.normal(size=(3, 3))
    moved = np.roll(image, (2, 4), axis=(2, 3))
    np.testing.assert_allclose(
        np.roll(convolve(image, kernel, padding=1), (2, 4), axis=(2, 3)),
        convolve(moved, kernel, padding=1),
    )


def test_the_kernel_is_not_turned_over() -> None:
    image = np.zeros((1, 1, 3, 3))
    image[0, 0, 1, 1] = 1
    kernel = np.arange(9.0).reshape(1, 1, 3, 3)
    assert convolve(image, kernel, padding=1)[0, 0].tolist() == kernel[0, 0, ::-1, ::-1].tolist()


@given(problems())
@settings(max_examples=30, deadline=None)
def test_from_windows_is_the_transpose_of_windows(problem) -> None:
    images, kernels, _, how = problem
    images = pad(images, how["padding"])
    seen = windows(images, *kernels.shape[2:], how["stride"])
    shares = np.random.default_rng(0).normal(size=seen.shape)
    back = from_windows(shares, images.shape, how["stride"])
    assert (seen * shares).sum() == pytest.approx((images * back).sum(), abs=1e-9)


def test_arguments_are_not_changed() -> None:
    images, kernels = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    maps = convolve_by_matrix(images, kernels)
    maps += 1
    to_images, _, _ = convolve_backward(maps, images, kernels)
    to_images += 1
    assert (images == 1).all()
    assert (kernels == 1).all()


IMAGES, KERNELS = np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3))


@pytest.mark.parametrize("way", [convolve, convolve_by_matrix])
@pytest.mark.parametrize(
    ("arguments", "how", "message"),
    [
        ((IMAGES[0], KERNELS), {}, r"images has the shape \[2, 4, 4\]; it must be \[N, C, H, W\]"),
        ((IMAGES, KERNELS[:, :1]), {}, r"kernels has the shape \[3, 1, 3, 3\]; it must be \[K, 2,"),
        ((IMAGES, KERNELS, [0, 1]), {}, r"bias has the shape \[2\]; it must be \[3\]"),
        ((IMAGES * np.nan, KERNELS), {}, "images has 32 values that are not finite"),
        ((IMAGES, KERNELS), {"stride": 0}, "stride is 0"),
        ((IMAGES, KERNELS), {"padding": -1}, "padding is -1"),
        ((IMAGES[:, :, :2], KERNELS), {}, "a kernel 3 wide does not fit into 2 pixels"),
    ],
)
def test_bad_input_is_said(way, arguments, how, message) -> None:
    with pytest.raises(ValueError, match=message):
        way(*arguments, **how)


def test_bad_errors_and_sides_are_said() -> None:
    with pytest.raises(
        ValueError, match=r"error has the shape \[1, 3, 4, 4\]; it must be \[1, 3, 2"
    ):
        convolve_backward(np.ones((1, 3, 4, 4)), IMAGES, KERNELS)
    with pytest.raises(ValueError, match="side is 0"):
        output_side(0, 1)
    assert output_side(7, 3, 2) == 3
    assert output_side(8, 3, 2) == 3
