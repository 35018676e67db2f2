"""The tutorial's MNIST network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class DigitsNetwork(nn.Module):
    """Two 5x5 convolutions (1 -> 16 -> 32), pooling, 512 -> 120 -> 10, for 28x28 images.

    >>> sum(p.numel() for p in DigitsNetwork().parameters())
    76018
    """

    def __init__(self, *, classes: int = 10, patch_size: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.conv2 = nn.Conv2d(16, 32, 5)
        height, width = (((side - 4) // 2 - 4) // 2 for side in patch_size)
        if min(height, width) < 1:
            raise ValueError("the digits network needs images of at least 16 pixels")
        self.fc1 = nn.Linear(32 * height * width, 120)
        self.fc2 = nn.Linear(120, classes)

    def forward(self, images: Tensor) -> Tensor:
        """images: float [N, 3, H, W]; their mean over channels is used. Returns logits [N, K]."""
        return self.late(self.early(images))

    def early(self, images: Tensor) -> Tensor:
        """The first feature map, before pooling: [N, C, H - 4, W - 4]."""
        return functional.relu(self.conv1(images.mean(1, keepdim=True)))

    def late(self, maps: Tensor) -> Tensor:
        """From the first feature map to logits float [N, K]."""
        hidden = functional.max_pool2d(maps, 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        logits: Tensor = self.fc2(functional.relu(self.fc1(hidden.flatten(1))))
        return logits
