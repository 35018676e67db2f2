"""Structured pruning: the least important channels of a network are removed.

The result is an ordinary, smaller network that is built from its arguments alone; torch-pruning,
which finds the channels that belong together, is needed only for the cut itself.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.errors import UserError, needing
from eosin.models.classifier import Classifier
from eosin.models.compact import CompactNetwork

IMPORTANCES = ("taylor", "magnitude")
#: Processors work on blocks of channels: layers at least twice as wide keep a multiple of it.
_STEP = 8
_BATCH = 128


def kept_channels(width: int, keep: float) -> int:
    """How many of a layer's channels stay: at least the share ``keep``, in multiples of eight.

    Layers with fewer than 16 channels are cut to whole channels.

    >>> kept_channels(64, 0.5), kept_channels(16, 0.75), kept_channels(120, 0.5)
    (32, 16, 64)
    """
    step = _STEP if width >= 2 * _STEP else 1
    return min(width, max(step, math.ceil(width * keep / step - 1e-9) * step))


def refuse_unprunable(architecture: str, path: object) -> None:
    """Raise UserError with the reason and a way out for a network that cannot be pruned."""
    if architecture in _WIDTHS:
        return
    reasons = {
        "encoder": "is a pretrained encoder, whose layers are fixed by its published weights; "
        f"a small network learns from it with: eosin train STORE --teacher {path} -o SMALL",
        "ensemble": "is an ensemble: prune its members and join those, or let a small network "
        f"learn from it with: eosin train STORE --teacher {path} -o SMALL",
        "article-verbatim": "is the tutorial's network with its mistake: no weight of it was ever "
        "trained, so no channel is better than another; use the recipe article",
    }
    why = reasons.get(architecture, f"has the network {architecture!r}")
    raise UserError(f"{path} cannot be pruned: it {why} (known: {', '.join(sorted(_WIDTHS))})")


def slim(
    model: Classifier, patches: Tensor, labels: Tensor, *, keep: float, by: str = "taylor"
) -> Classifier:
    """A smaller classifier with the same share of every layer's most important channels.

    patches: uint8 [N, H, W, 3] and labels: int64 [N], of the training part; keep: the share of
    channels that stays, between 0 and 1; by: "taylor" (what the loss would change by to first
    order without a channel, from the gradients of each batch: Molchanov et al. 2019, "Importance
    estimation for neural network pruning") or "magnitude" (the size of its weights: no patch is
    looked at). Channels that are added or follow one another are judged and cut together (Fang et
    al. 2023, "DepGraph"). The given classifier is left as it is.

    Raises UserError for a network that cannot be pruned, MissingExtraError without torch-pruning.
    """
    refuse_unprunable(model.architecture, "the classifier")
    if not 0 < keep < 1:
        raise UserError(f"--keep {keep:g}: a share between 0 and 1")
    if by not in IMPORTANCES:
        raise UserError(f"--by {by}: choose {' or '.join(IMPORTANCES)}")
    with needing("prune", "pruning"):
        import torch_pruning
    cut = copy.deepcopy(model).cpu().float().to(memory_format=torch.contiguous_format).eval()
    for parameter in cut.parameters():
        parameter.requires_grad_(True)
    network = cut.network
    head = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            network, example_inputs=torch.zeros(1, 3, *model.patch_size)
        )
    groups = list(
        graph.get_all_groups(ignored_layers=[head], root_module_types=[nn.Conv2d, nn.Linear])
    )
    if by == "taylor":
        scores = _taylor(cut, patches.cpu(), labels.cpu(), groups)
    else:
        measure = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        scores = [measure(group) for group in groups]
    # The groups are named by module and function, as indices change with every cut.
    plans = []
    for group, score in zip(groups, scores, strict=True):
        fewest = score.argsort(stable=True)[: len(score) - kept_channels(len(score), keep)]
        plans.append((group[0].dep.target.module, group[0].dep.handler, sorted(fewest.tolist())))
    for layer, handler, indices in plans:
        if indices:
            graph.get_pruning_group(layer, handler, indices).prune()
    return _rebuilt(model, network)


def _taylor(
    model: Classifier, patches: Tensor, labels: Tensor, groups: Sequence[Any]
) -> list[Tensor]:
    """The mean importance of each group's channels over batches: float [C] each.

    Over batches, because the gradient of all patches together is near 0 where training has ended.
    """
    import torch_pruning

    measure = torch_pruning.importance.GroupTaylorImportance()
    totals = [torch.zeros(len(group[0].idxs)) for group in groups]
    for start in range(0, len(patches), _BATCH):
        part = slice(start, start + _BATCH)
        model.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = functional.cross_entropy(model(patches[part]), labels[part])
            loss.backward()  # type: ignore[no-untyped-call]
        for total, group in zip(totals, groups, strict=True):
            total += measure(group).nan_to_num()
    return totals


def _rebuilt(model: Classifier, network: nn.Module) -> Classifier:
    """The pruned network, built again from its arguments."""
    kept = {name: value for name, value in model.arguments.items() if name != "width"}
    made = Classifier.build(
        model.architecture,
        classes=model.classes,
        patch_size=model.patch_size,
        arguments=kept | _WIDTHS[model.architecture](network),
        mean=model.mean.tolist(),
        deviation=model.deviation.tolist(),
        views=model.views,
    )
    made.network.load_state_dict(network.state_dict())
    return made.eval()


def _compact_widths(network: nn.Module) -> dict[str, list[int]]:
    assert isinstance(network, CompactNetwork)
    residual: list[Any] = [layer for layer in network.features if hasattr(layer, "skipped")]
    plain = [layer for layer in network.features if isinstance(layer, nn.Sequential)]
    return {
        "widths": [_outputs(layer[0]) for layer in plain],
        "inner": [_outputs(layer.first[0]) for layer in residual],
    }


def _plain_widths(network: nn.Module) -> dict[str, list[int]]:
    """Of a network whose layers follow one another; the last one gives the classes."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return {"widths": [_outputs(layer) for layer in layers[:-1]]}


def _outputs(layer: Any) -> int:
    return len(layer.weight)


#: Network -> the arguments that give its present shape.
_WIDTHS: dict[str, Callable[[nn.Module], dict[str, list[int]]]] = {
    "compact": _compact_widths,
    "article": _plain_widths,
    "digits": _plain_widths,
}
