"""Pooling: of each small window only the strongest value, or the mean, is passed on.

The maps shrink, what follows costs less, and a feature that moves by a pixel often gives the same
answer. Nothing is learned here, so the way back leads to the images alone. Windows are square;
pixels past the last whole window are left out. Images: float64 [N, C, H, W].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.scratch.checks import Floats, numbers
from eosin.scratch.convolution import from_windows, windows


def max_pool(images: npt.ArrayLike, *, size: int = 2, stride: int | None = None) -> Floats:
    """The largest value of each window, [N, C, H', W'].

    size: pixels a side; stride: pixels from a window to the next, the size where not given. Raises
    ValueError where no window fits.

    >>> max_pool([[[[1, 2, 5, 5], [3, 4, 5, 5]]]]).tolist()
    [[[[4.0, 5.0]]]]
    """
    return np.asarray(_seen(images, size, stride)[1].max(axis=(4, 5)))


def max_pool_backward(
    error: npt.ArrayLike, images: npt.ArrayLike, *, size: int = 2, stride: int | None = None
) -> Floats:
    """d loss / d images [N, C, H, W] from error, d loss / d maps [N, C, H', W'].

    All of it goes to the pixel that won, for a small change of any other changes nothing. Among
    equals the first wins, row by row, as in torch. (The derivative does not exist there.)

    >>> max_pool_backward([[[[7, 9]]]], [[[[1, 2, 5, 5], [3, 4, 5, 5]]]]).tolist()
    [[[[0.0, 0.0, 9.0, 0.0], [0.0, 7.0, 0.0, 0.0]]]]
    """
    images, seen = _seen(images, size, stride)
    error = numbers(error, "error", *seen.shape[:4])
    flat = seen.reshape(*seen.shape[:4], -1)
    shares = np.zeros(flat.shape)
    winner = flat.argmax(axis=-1)[..., np.newaxis]
    np.put_along_axis(shares, winner, error[..., np.newaxis], axis=-1)
    return from_windows(shares.reshape(seen.shape), images.shape, stride or size)


def average_pool(images: npt.ArrayLike, *, size: int = 2, stride: int | None = None) -> Floats:
    """The mean of each window, [N, C, H', W']; the arguments of ``max_pool``.

    >>> average_pool([[[[1, 2, 5, 5], [3, 4, 5, 5]]]]).tolist()
    [[[[2.5, 5.0]]]]
    """
    return np.asarray(_seen(images, size, stride)[1].mean(axis=(4, 5)))


def average_pool_backward(
    error: npt.ArrayLike, images: npt.ArrayLike, *, size: int = 2, stride: int | None = None
) -> Floats:
    """d loss / d images [N, C, H, W]: each pixel of a window gets an equal share, 1 / size^2.

    >>> average_pool_backward([[[[8, 4]]]], [[[[1, 2, 5, 5], [3, 4, 5, 5]]]]).tolist()
    [[[[2.0, 2.0, 1.0, 1.0], [2.0, 2.0, 1.0, 1.0]]]]
    """
    images, seen = _seen(images, size, stride)
    error = numbers(error, "error", *seen.shape[:4])
    shares = np.broadcast_to((error / size**2)[..., np.newaxis, np.newaxis], seen.shape)
    return from_windows(shares, images.shape, stride or size)


def _seen(images: npt.ArrayLike, size: int, stride: int | None) -> tuple[Floats, Floats]:
    """The images, checked, and their windows [N, C, H', W', size, size]."""
    images = numbers(images, "images", "N", "C", "H", "W")
    return images, windows(images, size, size, size if stride is None else stride)
