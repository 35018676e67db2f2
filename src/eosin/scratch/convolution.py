"""Convolution: one small set of weights, a kernel, slides over an image and weighs each place.

What it gives is a map of where its feature is. Two ways to the same maps: as a sliding dot product,
to be understood, and as one matrix product, to be fast. As in every deep-learning library the
kernel is not turned over first (strictly, this is cross-correlation; LeCun et al., Proceedings of
the IEEE 86, 1998). Images are float64 [N, C, H, W], kernels [K, C, R, S], biases [K], and maps
[N, K, H', W'].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, numbers, whole_number


def output_side(side: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel has along a side: floor((side + 2 padding - kernel) / stride) + 1.

    All in pixels. Dumoulin & Visin, arXiv 1603.07285, 2016. Raises ValueError where the kernel is
    wider than the padded image.

    >>> output_side(50, 3), output_side(50, 3, padding=1), output_side(50, 2, stride=2)
    (48, 50, 25)
    """
    whole_number(side, "side")
    whole_number(kernel, "kernel")
    whole_number(padding, "padding", 0)
    if kernel > side + 2 * padding:
        raise ValueError(
            f"a kernel {kernel} wide does not fit into {side} pixels with a padding of {padding}"
        )
    return (side + 2 * padding - kernel) // whole_number(stride, "stride") + 1


def convolve(
    images: npt.ArrayLike,
    kernels: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Floats:
    """The maps [N, K, H', W'] by sliding: at each place, kernel . window + bias.

    images: [N, C, H, W]; kernels: [K, C, R, S]; bias: [K], or none for 0; stride: pixels from a
    place to the next; padding: pixels of 0 put around. Raises ValueError for shapes or settings
    that do not fit.

    >>> dark_to_light = [[[[-1, 1]]]]
    >>> convolve([[[[0, 0, 5, 5]]]], dark_to_light).tolist()
    [[[[0.0, 5.0, 0.0]]]]
    """
    images, kernels, bias = _checked(images, kernels, bias)
    count, _, height, width = images.shape
    many, _, rows, columns_ = kernels.shape
    padded = pad(images, padding)
    maps = np.empty(
        (
            count,
            many,
            output_side(height, rows, stride, padding),
            output_side(width, columns_, stride, padding),
        )
    )
    for i in range(maps.shape[2]):
        for j in range(maps.shape[3]):
            top, left = i * stride, j * stride
            window = padded[:, :, top : top + rows, left : left + columns_]
            maps[:, :, i, j] = np.tensordot(window, kernels, axes=((1, 2, 3), (1, 2, 3))) + bias
    return maps


def convolve_by_matrix(
    images: npt.ArrayLike,
    kernels: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Floats:
    """The maps of ``convolve`` by a matrix product an image: windows as rows, kernels as columns.

    The windows overlap, so their matrix is R S / stride^2 times as large as the images: memory for
    speed (Chellapilla et al., 2006).

    >>> images, kernels = np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3))
    >>> maps = convolve_by_matrix(images, kernels, padding=1)
    >>> maps.shape, bool((maps == convolve(images, kernels, padding=1)).all())
    ((1, 3, 4, 4), True)
    """
    images, kernels, bias = _checked(images, kernels, bias)
    rows, columns = kernels.shape[2:]
    seen = windows(pad(images, padding), rows, columns, stride)
    maps = as_rows(seen) @ kernels.reshape(len(kernels), -1).T + bias
    return maps.transpose(0, 2, 1).reshape(len(images), len(kernels), *seen.shape[2:4])


def convolve_backward(
    error: npt.ArrayLike,
    images: npt.ArrayLike,
    kernels: npt.ArrayLike,
    *,
    stride: int = 1,
    padding: int = 0,
) -> tuple[Floats, Floats, Floats]:
    """d loss by images [N, C, H, W], kernels [K, C, R, S] and bias [K], from that by the maps.

    error: d loss / d maps [N, K, H', W']. It is backpropagation (BP2, BP4, BP3) through the matrix
    product, where a weight, being used at every place, collects from every place; then each
    window's share goes back to the pixels that it was taken from.
    """
    images, kernels, _ = _checked(images, kernels, None)
    padded = pad(images, padding)
    rows, columns = kernels.shape[2:]
    seen = windows(padded, rows, columns, stride)
    error = numbers(error, "error", len(images), len(kernels), *seen.shape[2:4])
    by_kernel = error.reshape(len(images), len(kernels), -1)
    to_kernels = (by_kernel @ as_rows(seen)).sum(axis=0).reshape(kernels.shape)
    shares = by_kernel.transpose(0, 2, 1) @ kernels.reshape(len(kernels), -1)
    count, channels, high, wide = seen.shape[:4]
    shares = shares.reshape(count, high, wide, channels, rows, columns).transpose(0, 3, 1, 2, 4, 5)
    to_padded = from_windows(shares, padded.shape, stride)
    height, width = images.shape[2:]
    to_images = to_padded[:, :, padding : padding + height, padding : padding + width]
    return to_images, to_kernels, error.sum(axis=(0, 2, 3))


def pad(images: Floats, padding: int) -> Floats:
    """The images with ``padding`` pixels of 0 on every side, so that a kernel reaches the edges."""
    whole_number(padding, "padding", 0)
    return np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def windows(images: Floats, rows: int, columns: int, stride: int) -> Floats:
    """What a kernel sees at each place: a view [N, C, H', W', rows, columns] of [N, C, H, W].

    >>> windows(np.arange(9.0).reshape(1, 1, 3, 3), 2, 2, 1)[0, 0, 1, 0].tolist()
    [[3.0, 4.0], [6.0, 7.0]]
    """
    for side, kernel in zip(images.shape[2:], (rows, columns), strict=True):
        output_side(side, kernel, stride)
    every = np.lib.stride_tricks.sliding_window_view(images, (rows, columns), axis=(2, 3))
    return every[:, :, ::stride, ::stride]


def from_windows(shares: Floats, shape: tuple[int, ...], stride: int) -> Floats:
    """The way back from ``windows``: what the windows hold, added up over the pixels [N, C, H, W].

    shares: [N, C, H', W', rows, columns]; shape: of the images.

    >>> ones = np.ones((1, 1, 3, 3))
    >>> from_windows(windows(ones, 2, 2, 1), ones.shape, 1)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    images = np.zeros(shape)
    high, wide, rows, columns = shares.shape[2:]
    for i in range(rows):
        for j in range(columns):
            bottom, right = i + stride * high, j + stride * wide
            images[:, :, i:bottom:stride, j:right:stride] += shares[..., i, j]
    return images


def as_rows(seen: Floats) -> Floats:
    """The windows as a matrix an image, a row a place: [N, H' W', C rows columns].

    seen: from ``windows``. One product an image is small enough to stay in a core's cache.
    """
    count, channels, high, wide, rows, columns = seen.shape
    by_place = seen.transpose(0, 2, 3, 1, 4, 5)
    return by_place.reshape(count, high * wide, channels * rows * columns)


def _checked(
    images: npt.ArrayLike, kernels: npt.ArrayLike, bias: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    images = numbers(images, "images", "N", "C", "H", "W")
    kernels = numbers(kernels, "kernels", "K", images.shape[1], "R", "S")
    none = np.zeros(len(kernels))
    return images, kernels, none if bias is None else numbers(bias, "bias", len(kernels))
