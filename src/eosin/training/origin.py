"""Where a run's first weights come from: chance, an earlier run, or a pretrained encoder.

The record is in environment.json under "start", so that the run can be repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from torch import nn

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import LeakError, RecipeError, RunError
from eosin.models.checkpoints import digest, weights_files
from eosin.models.classifier import Classifier, load_classifier
from eosin.models.encoder import EncoderNetwork, load_encoder_weights
from eosin.models.networks import build_network
from eosin.models.pretrained import find_encoder
from eosin.runs import RunFolder
from eosin.splitting.seen import seen_table

Rows = npt.NDArray[np.int64]
Initializer = Callable[[Classifier], None]


def from_run(path: Path, recipe: Recipe) -> dict[str, Any]:
    """The record of an earlier run as the start of another.

    Raises RunError where it has no model, RecipeError where the recipe's network differs.
    """
    model, facts = load_classifier(RunFolder.open(path).path)
    if model.architecture == "ensemble":
        raise RecipeError(
            f"{path} is an ensemble, which is not trained: start from one of its members, or learn "
            f"from its answers with --teacher {path}"
        )
    mine = (recipe.network, dict(recipe.arguments))
    theirs = (model.architecture, model.arguments)
    regular = ("dropout", "drop_path")  # they own no weight
    if mine[0] != theirs[0] or _without(mine[1], regular) != _without(theirs[1], regular):
        raise RecipeError(
            f"the recipe's network is {mine[0]} with arguments {mine[1]}, that of {path} is "
            f"{theirs[0]} with {theirs[1]}: weights can be reused only in an equal network"
        )
    return {
        "kind": "run",
        "path": str(path.resolve()),
        "digest": digest_of(path / "model.safetensors"),
        "classes": list(model.classes),
        "mean": model.mean.tolist(),
        "deviation": model.deviation.tolist(),
        "store": facts.get("store_digest"),
    }


def from_encoder(recipe: Recipe, store: PatchStore, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The record of an encoder's weights, after they were put into the network once.

    So weights that do not fit are refused before a run folder is made. weights: where they are
    ("path") and what they are. Raises RunError where they are damaged or do not fit.
    """
    network = build_network(
        recipe.network,
        classes=len(store.classes),
        patch_size=store.patch_size,
        arguments=recipe.arguments,
    )
    assert isinstance(network, EncoderNetwork)
    loaded = load_encoder_weights(network, Path(str(weights["path"])))
    return {"kind": "encoder", **loaded, **weights}


def initializer(record: Mapping[str, Any], *, resume: bool) -> Initializer:
    """What puts the recorded weights into a fresh classifier.

    resume: the checkpoint brings the weights, only the input scaling is still to be set.
    Raises RunError where the recorded weights are missing or have changed.
    """
    kind = record.get("kind", "random")
    if kind == "random" or (resume and kind == "encoder"):
        return lambda model: None
    path = Path(str(record["path"]))
    if not resume and kind == "run":
        check_digest(path / "model.safetensors", str(record["digest"]))
    elif not resume and _weights_digest(str(record["encoder"]), record) != record["digest"]:
        raise _changed(path)

    def from_other(model: Classifier) -> None:
        model.mean.copy_(model.mean.new_tensor(record["mean"]))
        model.deviation.copy_(model.deviation.new_tensor(record["deviation"]))
        if not resume:
            _copy(load_classifier(path)[0], model)

    def from_file(model: Classifier) -> None:
        assert isinstance(model.network, EncoderNetwork)
        load_encoder_weights(model.network, path)

    return from_other if kind == "run" else from_file


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


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from None
    return found.hexdigest()


def _weights_digest(encoder: str, record: Mapping[str, Any]) -> str:
    return digest(weights_files(Path(str(record["path"])), find_encoder(encoder).files))


def check_digest(path: Path, expected: str) -> None:
    """Raise RunError where weights that were recorded are missing or have changed."""
    if not path.exists():
        raise RunError(f"the run started from {path}, which is missing; put it back, or retrain")
    if digest_of(path) != expected:
        raise _changed(path)


def _changed(path: Path) -> RunError:
    return RunError(f"the run started from {path}, which has changed since; retrain it")


def refuse_seen(
    what: str, earlier: RunFolder, store: PatchStore, parts: Mapping[str, Rows]
) -> list[str]:
    """Sentences on validation and test data that an earlier run has learned from.

    What it was trained on may be neither in the validation nor in the test part; what it was
    validated on may be validated on again, but not tested. what: the earlier run's role in this
    one, for example "--from" or "the teacher".
    """
    seen = seen_table(earlier)
    sentences = []
    for part, roles in (("val", ["train"]), ("test", ["train", "val"])):
        before = seen.filter(pl.col("part").is_in(roles))
        rows = parts[part]
        cases = set(before["case"].to_list()) - {""}
        shared = sorted(cases & set(store.cases[rows].tolist()))
        patches = int(store.index["digest"][rows].is_in(before["digest"].to_list()).sum())
        if shared or patches:
            some = f" (cases {', '.join(shared[:3])}{' ...' if len(shared) > 3 else ''})"
            sentences.append(
                f"{what} {earlier.path} has seen {len(shared)} cases and {patches} patches of the "
                f"{part} part{some if shared else ''}"
            )
    return sentences


def leak(sentences: Sequence[str]) -> LeakError:
    """The error that refuses them."""
    return LeakError(
        f"{'; '.join(sentences)}: figures on them would be too good. Make a split that leaves them "
        "out, or add --allow-leaks, and every output will carry a warning"
    )


def _without(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in names}
