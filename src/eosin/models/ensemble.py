"""EnsembleNetwork: several classifiers of the same patches, answering with their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eosin.models.staged import StagedNetwork
from eosin.models.symmetry import views_of

#: What an ensemble records of a member besides its weights; all members share the rest.
OF_A_MEMBER = ("architecture", "arguments", "mean", "deviation", "temperature", "views")


class EnsembleNetwork(StagedNetwork):
    """The mean of the members' probabilities, each member with its own scaling inside.

    members: for each a mapping with the keys of ``OF_A_MEMBER``, as ``Classifier.description``
    gives them. Images come as they are, from 0 to 1; every member scales them, turns them if it
    averages over views, and divides by its own temperature, so that its probabilities here are
    those that it gives alone. Averaging probabilities of networks that were trained apart:
    Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles".

    Raises ValueError for fewer than two members or a member that is an ensemble.

    >>> member = {"architecture": "compact", "arguments": {}, "mean": [0.5] * 3,
    ...           "deviation": [0.2] * 3, "temperature": 1.0, "views": 1}
    >>> network = EnsembleNetwork(members=[member, member], patch_size=(50, 50))
    >>> network(torch.ones(1, 3, 50, 50)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        *,
        members: Sequence[Mapping[str, Any]] = (),
        classes: int = 2,
        patch_size: tuple[int, int],
    ) -> None:
        super().__init__()
        if not all(isinstance(member, Mapping) for member in members) or len(members) < 2:
            raise ValueError(
                "an ensemble is not trained, it is made of trained runs: "
                "eosin ensemble RUN RUN -o RUN"
            )
        if any(member["architecture"] == "ensemble" for member in members):
            raise ValueError("an ensemble cannot be a member of another; give its members")
        # Here, because a classifier is built from networks and this network from classifiers.
        from eosin.models.classifier import Classifier

        self.members = nn.ModuleList(
            Classifier.build(
                member["architecture"],
                classes=[str(k) for k in range(classes)],
                patch_size=patch_size,
                **{key: member[key] for key in OF_A_MEMBER[1:]},
            )
            for member in members
        )

    def late(self, maps: Tensor) -> Tensor:
        """From images float [N, 3, H, W], 0 to 1, to logits [N, K]: logs of mean probabilities."""
        from eosin.models.classifier import mean_answer

        return mean_answer(torch.stack([self._answer(m, maps) for m in self.members]))

    @staticmethod
    def _answer(member: nn.Module, images: Tensor) -> Tensor:
        """Logits float [N, K] of one member, as it would give them alone."""
        scaled = (images - member.mean[:, None, None]) / member.deviation[:, None, None]  # type: ignore[index]
        views = views_of(scaled.permute(0, 2, 3, 1), member.views)  # type: ignore[arg-type]
        outputs = [member.network(view.permute(0, 3, 1, 2)) for view in views]  # type: ignore[operator]
        logits: Tensor = member.scaled(*outputs)  # type: ignore[operator]
        return logits
