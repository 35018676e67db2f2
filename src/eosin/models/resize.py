"""What a network is fed with: patches scaled, and brought to its size inside the network.

Image files get their patch size before, by ``eosin.data.fit``; the resizing here is for arrays of
another size that are given to a classifier directly.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def prepare(patches: Tensor, size: tuple[int, int], mean: Tensor, deviation: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to float32 [N, 3, h, w], scaled and of the size (h, w).

    mean, deviation: float32 [3], of pixels from 0 to 1. Scaling comes first: between the resizing
    and the first convolution OpenVINO cannot place it in an int8 model.

    >>> prepare(torch.zeros(1, 4, 4, 3).byte(), (2, 2), torch.ones(3), torch.ones(3)).unique()
    tensor([-1.])
    """
    images = patches.permute(0, 3, 1, 2).float()
    if torch.compiler.is_exporting():
        # One product and one sum instead of three operations on every pixel.
        scale, shift = 1 / (255 * deviation), -mean / deviation
        return resize(images * scale[:, None, None] + shift[:, None, None], size, "bilinear")
    images = (images.div(255.0) - mean[:, None, None]) / deviation[:, None, None]
    return images if images.shape[2:] == size else resize(images, size, "bilinear")


def resize(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """float [N, C, H, W] to [N, C, h, w], antialiased; mode: "bilinear" or "bicubic".

    An exported graph gets matrix products: OpenVINO silently drops the antialiasing from the
    operator that torch exports for it (decision 0021).
    """
    if torch.compiler.is_exporting():
        return resize_by_matrices(images, size, mode)
    return functional.interpolate(images, size=size, mode=mode, antialias=True)


def resize_by_matrices(images: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """The same as ``functional.interpolate(..., antialias=True)`` by two matrix products.

    images: float [N, C, H, W], of sizes that may be free in an exported graph. Images of the right
    size stay as they are, to the bit.

    >>> resize_by_matrices(torch.arange(4.0).reshape(1, 1, 1, 4), (1, 2)).flatten()
    tensor([0.7143, 2.2857])
    """
    height, width = images.shape[2:]
    down, across = weights(size[0], height, mode), weights(size[1], width, mode)
    return torch.matmul(torch.matmul(down, images), across.T)


def weights(target: int, source: int, mode: str = "bilinear") -> Tensor:
    """Share of each source pixel in each target pixel along a side: float32 [target, source].

    The kernel (a triangle, or Keys' cubic with a = -0.5) is as wide as the larger of the two pixels
    and its values sum to 1, as in Pillow and in torch's antialiased interpolation.

    >>> weights(1, 2)
    tensor([[0.5000, 0.5000]])
    """
    # A tensor from the start: in an exported graph the source size is only known at run time.
    scale = torch.ones(()) * source / target
    centers = (torch.arange(target) + 0.5) * scale
    apart = (torch.arange(source) + 0.5 - centers[:, None]).abs() / scale.clamp(min=1.0)
    kernel = _cubic(apart) if mode == "bicubic" else _triangle(apart)
    return kernel / kernel.sum(1, keepdim=True)


def _triangle(apart: Tensor) -> Tensor:
    return (1 - apart).clamp(min=0)


def _cubic(apart: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", a = -0.5."""
    near = (1.5 * apart - 2.5) * apart * apart + 1
    far = ((-0.5 * apart + 2.5) * apart - 4) * apart + 2
    return torch.where(apart < 1, near, torch.where(apart < 2, far, torch.zeros_like(apart)))
