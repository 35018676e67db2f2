"""A probe: an encoder that stays as it is, a head fitted on its embeddings, a run as any other."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.config import Recipe, make_recipe
from eosin.data.store import PatchStore
from eosin.errors import EosinError, RecipeError, SplitError, closest
from eosin.models.classifier import Classifier, load_classifier, save_classifier
from eosin.models.pretrained import ENCODERS, find_encoder, input_size
from eosin.probing.cache import Cache
from eosin.probing.embeddings import HEAD_ARGUMENTS, Watcher, embeddings_of
from eosin.probing.heads import Fitted, Part, fit_logistic, fit_nearest
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split
from eosin.training.facts import facts_of
from eosin.training.machine import choose_machine
from eosin.training.origin import fresh_classifier, initializer
from eosin.training.session import Session, start

#: What may be fitted on embeddings -> in words.
HEADS = {
    "logistic": "logistic regression",
    "knn": "k nearest neighbors by cosine",
    "knn-euclidean": "k nearest neighbors by Euclidean distance",
}


def probe_recipe(
    store: PatchStore,
    encoder: str,
    *,
    head: str = "logistic",
    input_px: int = 0,
    resize: str = "pixels",
    precision: str = "auto",
    seed: int = 0,
) -> tuple[Recipe, Path | None]:
    """The recipe of a probe, and the earlier run whose features are the encoder, if it is one.

    encoder: a name of the table, or a run folder. head: one of HEADS. input_px and resize: as for
    an encoder (`eosin.models.pretrained.input_size`); a run brings its own.
    Raises RecipeError for an unknown encoder, head or size, RunError for a run that cannot serve.

    >>> from types import SimpleNamespace
    >>> store = SimpleNamespace(mpp=4.0, patch_size=(50, 50))
    >>> probe_recipe(store, "resnet18", input_px=64)[0].arguments
    {'encoder': 'resnet18', 'input_px': 64}
    """
    if head not in HEADS:
        raise RecipeError(f"head {head!r}; {closest(head, HEADS)}")
    chosen: dict[str, Any] = {"name": "probe", "probe": head, "precision": precision, "seed": seed}
    base = Path(encoder)
    if encoder not in ENCODERS and base.is_dir():
        if input_px or resize != "pixels":
            raise RecipeError(f"{base} sees patches as it was trained; leave out the size")
        run = RunFolder.open(base)
        model, _ = load_classifier(run.path)
        if not hasattr(model.network, "embed"):
            raise RecipeError(
                f"{base} is of network {model.architecture}, which has no features to probe; "
                "runs of compact and of encoder have"
            )
        if model.arguments.get("head", "linear") != "linear":
            raise RecipeError(
                f"{base} has a head of nearest neighbors; use its encoder instead of the run"
            )
        chosen |= {"network": model.architecture, "arguments": dict(model.arguments)}
        chosen |= {"normalize": run.recipe().normalize}
        chosen["about"] = f"{HEADS[head]} on the frozen features of {base.name}"
        return make_recipe(chosen), base
    spec = find_encoder(encoder)
    arguments: dict[str, Any] = {"encoder": encoder}
    if input_px:
        arguments["input_px"] = input_px
    if resize != "pixels":
        arguments |= {"resize": resize, "patch_mpp": store.mpp or 0.0}
    # Refused here, before there is a run folder.
    input_size(spec, store.patch_size, input_px=input_px, resize=resize, patch_mpp=store.mpp)
    chosen |= {"network": "encoder", "arguments": arguments, "normalize": "encoder"}
    chosen["about"] = f"{HEADS[head]} on frozen embeddings of {spec.title}"
    return make_recipe(chosen), None


def begin(
    store: PatchStore,
    split: Split,
    recipe: Recipe,
    path: str | os.PathLike[str],
    *,
    base: Path | None = None,
    weights: Mapping[str, Any] | None = None,
    force: bool = False,
    **options: Any,
) -> Session:
    """Audit the split and make the run folder; an unfinished probe is replaced.

    weights: where an encoder's weights are, as for `training.session.start`, which raises what this
    raises; base: an earlier run. options: fold, allow_leaks.
    """
    _trainable(store, split.parts(store, options.get("fold"))["train"])
    again = force or _unfinished(RunFolder(path))
    return start(store, split, recipe, path, base=base, weights=weights, force=again, **options)[0]


def _unfinished(run: RunFolder) -> bool:
    """Whether the folder has a probe that was stopped; its embeddings are elsewhere."""
    if not (run / "recipe.toml").is_file() or run.finished:
        return False
    try:
        return run.recipe().probe != "none"
    except EosinError:
        return False


def _trainable(store: PatchStore, rows: npt.NDArray[np.int64]) -> None:
    if len(np.unique(store.labels[rows])) < 2:
        result = sorted({store.classes[label] for label in store.labels[rows].tolist()})
        raise SplitError(
            f"the training part has {'one class only, ' + result[0] if result else 'no patches'}; "
            "a classifier needs at least two: make another split"
        )


def fit_probe(
    session: Session, *, folder: Path | None = None, watcher: Watcher | None = None
) -> ModelFacts:
    """Embed the training and validation patches, fit the head and save the classifier.

    folder: where embeddings are kept, by default beside the store. Returns the facts of model.json.
    Raises StoppedError when the watcher asks to stop, FailureError where embeddings cannot be kept.
    """
    watch = watcher or Watcher()
    store, parts, recipe, run = session.store, session.parts, session.recipe, session.run
    _trainable(store, parts["train"])
    started = time.perf_counter()
    machine = choose_machine(recipe.precision)
    model = frozen(session)
    rows = np.concatenate([parts["train"], parts["val"]])
    cache = embeddings_of(model, store, rows, machine=machine, folder=folder, watcher=watch)
    train, val = (
        Part(cache.rows(parts[name]), store.labels[parts[name]], store.cases[parts[name]])
        for name in ("train", "val")
    )
    run.keep_metrics(0)

    def tried(row: dict[str, Any]) -> None:
        run.append_metrics(row)
        watch.tried(row)

    common: dict[str, Any] = {
        "classes": len(store.classes), "seed": recipe.seed, "tried": tried, "stop": watch.stop,
    }  # fmt: skip
    if recipe.probe == "logistic":
        fitted = fit_logistic(train, val, **common)
        arguments: dict[str, Any] = {}
    else:
        distance = "euclidean" if recipe.probe == "knn-euclidean" else "cosine"
        fitted = fit_nearest(train, val, distance=distance, **common)
        points = len(fitted.head.embeddings)  # type: ignore[arg-type]
        arguments = {"head": "knn", **fitted.chosen, "points": points, "distance": distance}
    for note in fitted.notes:
        watch.warned(note)
    kept = {k: v for k, v in model.arguments.items() if k not in HEAD_ARGUMENTS}
    # Dropout and stochastic depth have no effect in a frozen network, but a run may start from it.
    kept |= {k: v for k, v in model.arguments.items() if k in ("dropout", "drop_path")}
    model.arguments = {**kept, **arguments}
    model.network.head = fitted.head
    facts = facts_of(
        model,
        store,
        recipe,
        train_patches=len(train),
        marks=session.marks,
        split=session.split,
        start=session.origin,
        epochs=1,
        kept_epoch=1,
        train_seconds=round(time.perf_counter() - started, 2),
        machine=str(machine),
        probe=_summary(recipe.probe, fitted, cache),
    )
    return save_classifier(model, run.path, facts)


def frozen(session: Session) -> Classifier:
    """The classifier with the weights that the session starts with; its head is not fitted yet."""
    recipe, store = session.recipe, session.store
    scaling: dict[str, Any] = {}
    if recipe.normalize == "encoder":
        spec = find_encoder(str(recipe.arguments["encoder"]))
        scaling = {"mean": spec.mean, "deviation": spec.deviation}
    initialize = initializer(session.origin, resume=False)
    return fresh_classifier(recipe, store, initialize, **scaling).eval()


def _summary(head: str, fitted: Fitted, cache: Cache) -> dict[str, Any]:
    """What model.json records of the probe."""
    (name, value), tried = next(iter(fitted.chosen.items())), fitted.tried
    best = next(row for row in tried if row[name] == value)
    loss = f"log loss {best['val_loss']:.4f} on {fitted.chosen_on}"
    what = f"C = {value:g}" if name == "strength" else f"k = {value}"
    return {
        "head": head,
        "title": HEADS[head],
        **fitted.chosen,
        "chosen_on": fitted.chosen_on,
        "log_loss": best["val_loss"],
        "auroc": best["val_auroc"],
        "width": cache.shape[1],
        "embeddings": cache.folder.name,
        "notes": fitted.notes,
        "sentence": f"{HEADS[head]}, {what}, the best of {len(tried)} by {loss}",
    }
