"""The graph of an exported file: patches in; probabilities, texture and distance out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eosin.models.classifier import Classifier, texture_of, two_columns
from eosin.models.symmetry import turn
from eosin.runtime.exported import DISTANCE, PROBABILITIES

#: Names of the graph's outputs; the last only where an out-of-scope check was fitted.
OUTPUTS = (PROBABILITIES, "features", DISTANCE)


class ExportGraph(nn.Module):
    """A classifier as one graph without a branch on sizes, as an exported file needs it.

    forward(patches: uint8 [N, H, W, 3]) -> probabilities float32 [N, K], features float32 [N, F]
    and, where the classifier has an out-of-scope check, distance float32 [N]. N, H and W are free:
    patches are always resized, which leaves those of the right size as they are. A classifier that
    averages over views sees eight of a square patch and four of any other; the graph computes all
    eight, in one batch, and gives the last four no weight where H and W differ.

    The answers are those of ``Classifier``; a test compares them for every network.

    >>> model = Classifier.build("compact", classes=["n", "p"], patch_size=(20, 20)).eval()
    >>> [tuple(each.shape) for each in ExportGraph(model)(torch.zeros(3, 24, 20, 3).byte())]
    [(3, 2), (3, 96)]
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what ``forward`` gives, in its order."""
        return OUTPUTS if self.model.scope_mean is not None else OUTPUTS[:2]

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        """patches: uint8 [N, H, W, 3]. Returns what ``outputs`` names."""
        model = self.model
        views = [model.prepare(turn(patches, which)) for which in range(model.views)]
        early = model.network.early(  # type: ignore[operator]
            views[0] if len(views) == 1 else torch.cat(views)
        )
        answers = model.network.late(early)  # type: ignore[operator]
        texture = texture_of((early if len(views) == 1 else early[: patches.shape[0]]).float())
        outputs = (self._probabilities(answers, patches), texture, model.distance(texture))
        return tuple(each for each in outputs if each is not None)

    def _probabilities(self, answers: Tensor, patches: Tensor) -> Tensor:
        """float32 [N, K] of what the network gives for all views of N patches."""
        model = self.model
        if model.views == 1:
            return torch.softmax(model.scaled(answers), dim=1)
        each = torch.softmax(two_columns(answers.float()), dim=1)
        number, height, width = patches.shape[:3]
        each = each.reshape(model.views, number, len(model.classes))
        straight, swapped = each.chunk(2)
        square = (torch.ones(()) * height == torch.ones(()) * width).float()
        mean = (straight.mean(0) + square * swapped.mean(0)) / (1 + square)
        return torch.softmax(mean.log() / model.temperature, dim=1)
