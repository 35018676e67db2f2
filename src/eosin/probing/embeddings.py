"""Embeddings of a store by a frozen network, computed once and kept beside the store."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eosin.data.store import PatchStore
from eosin.errors import StoppedError
from eosin.memory import LargestBatch
from eosin.models.classifier import Classifier
from eosin.probing.cache import BLOCK, Cache, Floats, Rows, alone
from eosin.training.batches import take
from eosin.training.machine import Machine

#: Patches through the network at once; halved automatically where memory runs out.
BATCH = 64
#: An embedding that the network gives now may differ by so much from the kept one (bf16, devices).
_DRIFT = 0.05
#: Arguments that decide the head or the training, and nothing of an embedding.
HEAD_ARGUMENTS = ("head", "neighbors", "points", "distance", "dropout", "drop_path")


@dataclass
class Watcher:
    """Whom the work tells what happens; every callback may be left out."""

    #: Rows done, rows wanted, rows a second in this process.
    progress: Callable[[int, int, float], None] = lambda done, total, rate: None
    #: A row of metrics.jsonl, as soon as it is known.
    tried: Callable[[dict[str, Any]], None] = lambda row: None
    said: Callable[[str], None] = lambda sentence: None
    warned: Callable[[str], None] = lambda sentence: None
    #: Asked between batches; True ends the work, and what is done is kept.
    stop: Callable[[], bool] = lambda: False


def embeddings_of(
    model: Classifier,
    store: PatchStore,
    rows: Rows,
    *,
    machine: Machine,
    folder: Path | None = None,
    watcher: Watcher | None = None,
) -> Cache:
    """The embeddings of a store's rows, from the disk where they are there and sound.

    model: its network has ``embed``. rows: int64 [n], whose blocks are completed. folder: where
    caches lie, by default beside the store (STORE.embeddings). Every block that is used is read
    and checked once; what is damaged is computed again, and watcher.warned says so.
    Raises StoppedError when the watcher asks to stop, FailureError where they cannot be kept.
    """
    watch = watcher or Watcher()
    model = model.eval().to(machine.device)
    with torch.inference_mode():
        width = int(_embed(model, np.zeros((1, *model.patch_size, 3), np.uint8), machine).shape[1])
    facts = facts_of(model, store, machine)
    home = folder or store.path.with_name(store.path.name + ".embeddings")
    cache = Cache(
        home / name_of(facts), facts, (len(store), width),
        "float32" if machine.precision == "fp32" else "float16",
    )  # fmt: skip
    needed = np.unique(rows // BLOCK).tolist()
    with alone(cache.folder):
        _prepare(cache, needed, model, store, machine, watch)
        _complete(cache, needed, model, store, machine, watch)
    return cache


def _prepare(
    cache: Cache,
    needed: list[int],
    model: Classifier,
    store: PatchStore,
    machine: Machine,
    watch: Watcher,
) -> None:
    """Make the cache, or find out what of it can be used."""
    if not cache.folder.exists():
        cache.create()
        return
    if problem := cache.problem():
        watch.warned(f"{cache.folder}: {problem}; all embeddings are computed again")
        cache.create()
        return
    if damaged := cache.damaged(needed):
        watch.warned(
            f"{cache.folder}: {len(damaged)} of {len(needed)} blocks have changed on the disk; "
            "they are computed again"
        )
        for block in damaged:
            cache.checksums[block] = None
    known = [block for block in needed if cache.checksums[block]]
    if not known:
        return
    # A checksum cannot see that the code or a library computes something else by now.
    some = np.arange(BLOCK)[:4] + known[0] * BLOCK
    some = some[some < cache.shape[0]]
    with torch.inference_mode():
        now, kept = _embed(model, take(store.patches, some).numpy(), machine), cache.rows(some)
    if not np.linalg.norm(now - kept) <= _DRIFT * np.linalg.norm(now):
        watch.warned(
            f"{cache.folder}: the encoder gives other values now; all embeddings are computed again"
        )
        cache.create()


def _complete(
    cache: Cache,
    needed: list[int],
    model: Classifier,
    store: PatchStore,
    machine: Machine,
    watch: Watcher,
) -> None:
    """Compute what is missing of the needed blocks."""

    def size(blocks: list[int]) -> int:
        return sum(cache.extent(b).stop - cache.extent(b).start for b in blocks)

    missing = [block for block in needed if cache.checksums[block] is None]
    total, left = size(needed), size(missing)
    before, made, started = total - left, 0, time.perf_counter()
    batch = LargestBatch(BATCH, watch.warned)
    if before:
        watch.said(f"{before:,} of {total:,} embeddings are there ({cache.folder.name})")
    for block in missing:
        extent = cache.extent(block)
        numbers = np.arange(extent.start, extent.stop)
        patches, found = take(store.patches, numbers).numpy(), []

        def embed(part: slice, patches: npt.NDArray[np.uint8] = patches) -> Floats:
            if watch.stop():
                raise StoppedError(
                    f"stopped; {cache.done():,} of {cache.shape[0]:,} embeddings are kept, and the "
                    "same command goes on with them"
                )
            with torch.inference_mode():
                return _embed(model, patches[part], machine)

        for _, embeddings in batch.parts(len(numbers), embed):
            found.append(embeddings)
            made += len(embeddings)
            watch.progress(before + made, total, made / (time.perf_counter() - started))
        cache.write(block, np.concatenate(found))
    if missing:
        seconds = time.perf_counter() - started
        watch.said(f"{left:,} embeddings in {seconds:.0f} s, {left / seconds:,.0f} patches/s")


def _embed(model: Classifier, patches: npt.NDArray[np.uint8], machine: Machine) -> Floats:
    """Embeddings float32 [n, D] of patches uint8 [n, H, W, 3]."""
    with machine.autocast():
        images = model.prepare(torch.from_numpy(patches).to(machine.device))
        found = model.network.embed(images)  # type: ignore[operator]
    result: Floats = found.float().cpu().numpy()
    return result


def facts_of(model: Classifier, store: PatchStore, machine: Machine) -> dict[str, Any]:
    """Everything that decides an embedding: store, network, its weights, scaling, precision."""
    arguments = {k: v for k, v in model.arguments.items() if k not in HEAD_ARGUMENTS}
    facts = {
        "store": store.digest,
        "network": model.architecture,
        "arguments": arguments,
        "weights": weights_digest(model),
        "patch_size": model.patch_size,
        "mean": model.mean.tolist(),
        "deviation": model.deviation.tolist(),
        "precision": machine.precision,
    }
    read: dict[str, Any] = json.loads(json.dumps(facts))
    return read


def weights_digest(model: Classifier) -> str:
    """SHA-256 of all tensors of the network but its head's, by name."""
    found = hashlib.sha256()
    for name, value in sorted(model.network.state_dict().items()):
        if not name.startswith("head."):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def name_of(facts: Mapping[str, Any]) -> str:
    """The name of a cache: the encoder, for people, and the first digits of the facts' digest.

    >>> name_of({"network": "encoder", "arguments": {"encoder": "resnet18"}})[:9]
    'resnet18-'
    """
    text = json.dumps(facts, sort_keys=True)
    encoder = str(facts["arguments"].get("encoder", facts["network"]))
    return f"{encoder}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
