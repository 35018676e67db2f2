"""The tutorial's MNIST network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from eosin.models.staged import StagedNetwork


class DigitsNetwork(StagedNetwork):
    """Two 5x5 convolutions (1 -> 16 -> 32), pooling, 512 -> 120 -> 10, for 28x28 images.

    widths: what the two convolutions and the first linear layer give, smaller after `eosin prune`.

    >>> sum(p.numel() for p in DigitsNetwork().parameters())
    76018
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        patch_size: tuple[int, int] = (28, 28),
        widths: Sequence[int] = (16, 32, 120),
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(1, first, 5)
        self.conv2 = nn.Conv2d(first, second, 5)
        height, width = (((side - 4) // 2 - 4) // 2 for side in patch_size)
        if min(height, width) < 1:
            raise ValueError("the digits network needs images of at least 16 pixels")
        self.fc1 = nn.Linear(second * height * width, third)
        self.fc2 = nn.Linear(third, classes)

    def early(self, images: Tensor) -> Tensor:
        """The first map, of the mean over channels, before pooling: [N, C, H - 4, W - 4]."""
        return functional.relu(self.conv1(images.mean(1, keepdim=True)))

    def late(self, maps: Tensor) -> Tensor:
        """From the first feature map to logits float [N, K]."""
        hidden = functional.max_pool2d(maps, 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        logits: Tensor = self.fc2(functional.relu(self.fc1(hidden.flatten(1))))
        return logits
