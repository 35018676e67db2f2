"""Where a run's first weights come from: chance, an earlier run, or a pretrained encoder.

The origin is kept in environment.json under "start", so that the run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import LeakError, RecipeError, RunError
from eosin.models.checkpoints import digest, weights_files
from eosin.models.classifier import Classifier, load_classifier
from eosin.models.encoder import EncoderNetwork, load_encoder_weights
from eosin.models.networks import build_network
from eosin.models.pretrained import find_encoder
from eosin.records.origin import Origin
from eosin.runs import RunFolder
from eosin.splitting.seen import Seen
from eosin.training.draws import mixed_seed

Rows = npt.NDArray[np.int64]
Initializer = Callable[[Classifier], None]


def fresh_network(recipe: Recipe, store: PatchStore) -> nn.Module:
    """The recipe's network for a store; raises RecipeError where it cannot be made."""
    classes, size = len(store.classes), store.patch_size
    return build_network(
        recipe.network, classes=classes, patch_size=size, arguments=recipe.arguments
    )


def fresh_classifier(
    recipe: Recipe, store: PatchStore, initialize: Initializer, **scaling: Sequence[float]
) -> Classifier:
    """The recipe's classifier with its first weights, which depend on the seed alone.

    initialize: puts earlier weights into it; scaling: mean and deviation of the input.
    """
    torch.manual_seed(mixed_seed(recipe.seed, 1))
    model = Classifier.build(
        recipe.network,
        classes=store.classes,
        patch_size=store.patch_size,
        arguments=recipe.arguments,
        **scaling,
    )
    initialize(model)
    return model


def from_run(path: Path, recipe: Recipe) -> Origin:
    """An earlier run as the start of another.

    Raises RunError where it has no model, RecipeError where the recipe's network differs.
    """
    model, facts = load_classifier(RunFolder.open(path).path)
    if model.architecture == "ensemble":
        raise RecipeError(
            f"{path} is an ensemble, which is not trained: start from one of its members, or learn "
            f"from its answers with --teacher {path}"
        )
    mine, earlier = _shaping(recipe.arguments), _shaping(model.arguments)
    if (recipe.network, mine) != (model.architecture, earlier):
        raise RecipeError(
            f"the recipe's network is {recipe.network} with arguments {dict(recipe.arguments)}, "
            f"that of {path} is {model.architecture} with {model.arguments}: weights "
            "can be reused only in an equal network"
        )
    kept = {name: getattr(facts, name) for name in ("classes", "mean", "deviation")}
    return Origin.of(path, kind="run", store=facts.store_digest, **kept)


def from_encoder(recipe: Recipe, store: PatchStore, weights: Mapping[str, Any]) -> Origin:
    """An encoder's weights as the start, after they were put into the network once.

    So weights that do not fit are refused before a run folder is made. weights: where they are
    ("path") and what they are. Raises RunError where they are damaged or do not fit.
    """
    network = fresh_network(recipe, store)
    assert isinstance(network, EncoderNetwork)
    loaded = load_encoder_weights(network, Path(str(weights["path"])))
    return Origin(**{"kind": "encoder", **loaded, **weights})


def initializer(origin: Origin, *, resume: bool) -> Initializer:
    """What puts the origin's weights into a fresh classifier.

    resume: the checkpoint brings the weights, only the input scaling is still to be set.
    Raises RunError where the recorded weights are missing or have changed.
    """
    path = Path(origin.path)
    if origin.kind == "run":
        if not resume:
            origin.check()

        def from_other(model: Classifier) -> None:
            model.mean.copy_(model.mean.new_tensor(origin.mean))
            model.deviation.copy_(model.deviation.new_tensor(origin.deviation))
            if not resume:
                _copy(load_classifier(path)[0], model)

        return from_other
    if origin.kind != "encoder" or resume:
        return lambda model: None
    if digest(weights_files(path, find_encoder(origin.encoder).files)) != origin.digest:
        raise RunError(f"the run started from {path}, which has changed since; retrain it")

    def from_file(model: Classifier) -> None:
        assert isinstance(model.network, EncoderNetwork)
        load_encoder_weights(model.network, path)

    return from_file


def _copy(earlier: Classifier, model: Classifier) -> None:
    """All weights; but a fresh head where the classes differ."""
    weights = earlier.network.state_dict()
    if earlier.classes != model.classes:
        fresh = model.network.state_dict()
        weights |= {name: fresh[name] for name in head_tensors(model.network)}
    model.network.load_state_dict(weights)


def head_tensors(network: nn.Module) -> list[str]:
    """Names of the last linear layer's tensors.

    >>> from eosin.models.compact import CompactNetwork
    >>> head_tensors(CompactNetwork())
    ['head.weight', 'head.bias']
    """
    name, layer = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    return [f"{name}.{tensor}" for tensor in layer.state_dict()]


def refuse_seen(
    what: str, earlier: RunFolder, store: PatchStore, parts: Mapping[str, Rows]
) -> list[str]:
    """Sentences on validation and test data that an earlier run has learned from.

    What it was trained on may be neither in the validation nor in the test part; what it was
    validated on may be validated on again, but not tested. what: the earlier run's role in this
    one, for example "--from" or "the teacher". The sentences become marks, so they list no cases.
    """
    seen = Seen.of_run(earlier)
    sentences = []
    for part, roles in (("val", ["train"]), ("test", ["train", "val"])):
        shared = seen.only(*roles).overlap(store, parts[part])
        if shared:
            sentences.append(
                f"{what} {earlier.path.name} has seen {shared.counts} of the {part} part"
            )
    return sentences


def leak(sentences: Sequence[str]) -> LeakError:
    """The error that refuses them."""
    return LeakError(
        f"{'; '.join(sentences)}: figures on them would be too good. Make a split that leaves them "
        "out, or add --allow-leaks, and every output will carry a warning"
    )


def _shaping(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that decide which weights a network has."""
    return {k: value for k, value in arguments.items() if k not in ("dropout", "drop_path")}
