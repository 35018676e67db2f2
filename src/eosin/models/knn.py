"""A head of nearest training embeddings: nothing is trained, they are its buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eosin.errors import RecipeError

HEADS = ("linear", "knn")
DISTANCES = ("cosine", "euclidean")


class NearestHead(nn.Module):
    """Logits from the k nearest of P labeled embeddings: float [N, D] to float32 [N, K].

    A logit is the logarithm of a class's share of the votes, with one more vote shared out as the
    classes are among the P, so that no probability is 0 (additive smoothing). Near is by the angle
    around the mean embedding (cosine), or in units of each dimension's deviation (euclidean).

    >>> head = NearestHead(2, 2, neighbors=1, points=2, distance="euclidean")
    >>> head.fill(torch.tensor([[0.0, 0.0], [4.0, 2.0]]), torch.tensor([0, 1]))
    >>> head.eval()(torch.tensor([[3.0, 2.0]])).exp()
    tensor([[0.2500, 0.7500]])
    """

    center: Tensor
    scale: Tensor
    embeddings: Tensor
    votes: Tensor
    prior: Tensor

    def __init__(
        self, width: int, classes: int, *, neighbors: int, points: int, distance: str = "cosine"
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise ValueError(f"distance {distance!r}; known: {', '.join(DISTANCES)}")
        if not 1 <= neighbors <= points:
            raise ValueError(
                f"{neighbors} neighbors of {points} points; the head knn is made by: "
                "eosin probe STORE --head knn"
            )
        self.neighbors = neighbors
        self.distance = distance
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("embeddings", torch.zeros(points, width))
        self.register_buffer("votes", torch.zeros(points, classes))
        self.register_buffer("prior", torch.full((classes,), 1 / classes))

    def fill(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take labeled embeddings float [P, D], int64 [P], in place of those before."""
        points = embeddings.float()
        self.center.copy_(points.mean(0))
        if self.distance == "euclidean":
            deviation = points.std(0, correction=0)
            # A dimension that never changes carries no information; it must not become infinite.
            self.scale.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))
        self.embeddings.copy_(self.placed(points))
        self.votes.copy_(torch.eye(self.votes.shape[1], device=labels.device)[labels])
        self.prior.copy_(self.votes.mean(0))

    def placed(self, embeddings: Tensor) -> Tensor:
        """Embeddings float [N, D] scaled so that near is by the plain distance: float32."""
        moved = (embeddings.float() - self.center) / self.scale
        if self.distance == "cosine":
            return torch.nn.functional.normalize(moved, dim=1)
        return moved

    def nearness(self, embeddings: Tensor) -> Tensor:
        """Larger is nearer: float32 [N, P], minus half the squared distance up to a constant."""
        # Half precision would confuse neighbors: differences of distances are small.
        with torch.autocast(embeddings.device.type, enabled=False):
            products = self.placed(embeddings) @ self.embeddings.T
            return products - self.embeddings.square().sum(1) / 2

    def answer(self, nearest: Tensor) -> Tensor:
        """Logits float32 [N, K] of the nearest points' numbers, int64 [N, k]."""
        count = nearest.shape[1]
        return ((self.votes[nearest].sum(1) + self.prior) / (count + 1)).clamp(min=1e-6).log()

    def forward(self, embeddings: Tensor) -> Tensor:
        """embeddings: float [N, D]. Returns logits float32 [N, K]."""
        if self.training:
            raise RecipeError(
                "a head of nearest neighbors is not trained by steps; eosin probe makes it"
            )
        return self.answer(self.nearness(embeddings).topk(self.neighbors, dim=1).indices)


def make_head(
    kind: str, width: int, classes: int, *, neighbors: int, points: int, distance: str
) -> nn.Module:
    """The head of a network by name, one of HEADS; the rest is for "knn" alone.

    Raises ValueError for an unknown name or numbers that do not fit.
    """
    if kind not in HEADS:
        raise ValueError(f"head {kind!r}; known: {', '.join(HEADS)}")
    if kind == "linear":
        return nn.Linear(width, classes)
    return NearestHead(width, classes, neighbors=neighbors, points=points, distance=distance)
