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
    """Callbacks that show what happens; each may be left out."""

    #: Rows done, rows in all, rows a second in this process.
    progress: Callable[[int, int, float], None] = lambda done, total, rate: None
    #: A row of metrics.jsonl, as soon as it is known.
    tried: Callable[[dict[str, Any]], None] = lambda row: None
    note: Callable[[str], None] = lambda sentence: None
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
    """The embeddings of a store's rows, from the disk where they are valid.

    model: its network has ``embed``. rows: int64 [n], whose blocks are completed. folder: where
    caches are, by default beside the store (STORE.embeddings). Every block that is used is read
    and checked once; what is damaged is computed again, with a warning.
    Raises StoppedError when the watcher asks to stop, FailureError where they cannot be kept.
    """
    watch = watcher or Watcher()
    model = model.eval().to(machine.device)
    width = _embed(model, np.zeros((1, *model.patch_size, 3), np.uint8), machine).shape[1]
    facts = facts_of(model, store, machine)
    home = folder or store.path.with_name(store.path.name + ".embeddings")
    cache = Cache(
        home / name_of(facts), facts, (len(store), width),
        "float32" if machine.precision == "fp32" else "float16",
    )  # fmt: skip
    with alone(cache.folder):
        work = _Work(cache, np.unique(rows // BLOCK).tolist(), model, store, machine, watch)
        work.prepare()
        work.complete()
    return cache


@dataclass(frozen=True)
class _Work:
    """The needed blocks of a cache, and what computes them."""

    cache: Cache
    needed: list[int]
    model: Classifier
    store: PatchStore
    machine: Machine
    watch: Watcher

    def prepare(self) -> None:
        """Make the cache, or check which blocks of it can be used."""
        cache, folder, needed = self.cache, self.cache.folder, self.needed
        if not folder.exists():
            cache.create()
            return
        if problem := cache.problem():
            self.watch.warned(f"{folder}: {problem}; all embeddings are computed again")
            cache.create()
            return
        if damaged := cache.damaged(needed):
            self.watch.warned(
                f"{folder}: {len(damaged)} of {len(needed)} blocks have changed on the disk; "
                "they are computed again"
            )
            for block in damaged:
                cache.checksums[block] = None
        known = [block for block in needed if cache.checksums[block]]
        if not known:
            return
        # A checksum cannot show that the code or a library computes other values now.
        some = np.arange(BLOCK)[:4] + known[0] * BLOCK
        some = some[some < cache.shape[0]]
        patches = take(self.store.patches, some).numpy()
        now, kept = _embed(self.model, patches, self.machine), cache.rows(some)
        if not np.linalg.norm(now - kept) <= _DRIFT * np.linalg.norm(now):
            self.watch.warned(
                f"{folder}: the encoder gives other values now; all embeddings are computed again"
            )
            cache.create()

    def complete(self) -> None:
        """Compute the needed blocks that are missing."""
        cache, watch = self.cache, self.watch
        extents = {block: cache.extent(block) for block in self.needed}
        sizes = {block: extent.stop - extent.start for block, extent in extents.items()}
        missing = [block for block in self.needed if cache.checksums[block] is None]
        total, left = sum(sizes.values()), sum(sizes[block] for block in missing)
        made, started = 0, time.perf_counter()
        batch = LargestBatch(BATCH, watch.warned)
        if total > left:
            watch.note(f"{total - left:,} of {total:,} embeddings are there ({cache.folder.name})")
        for block in missing:
            rows = np.arange(extents[block].start, extents[block].stop)
            patches = take(self.store.patches, rows).numpy()

            def embed(part: slice, patches: npt.NDArray[np.uint8] = patches) -> Floats:
                if watch.stop():
                    raise StoppedError(
                        f"stopped; {cache.done():,} of {cache.shape[0]:,} embeddings are kept, and "
                        "the same command resumes with them"
                    )
                return _embed(self.model, patches[part], self.machine)

            parts = []
            for _, embeddings in batch.parts(len(patches), embed):
                parts.append(embeddings)
                made += len(embeddings)
                rate = made / (time.perf_counter() - started)
                watch.progress(total - left + made, total, rate)
            cache.write(block, np.concatenate(parts))
        if missing:
            seconds = time.perf_counter() - started
            watch.note(f"{left:,} embeddings in {seconds:.0f} s, {left / seconds:,.0f} patches/s")


@torch.inference_mode()
def _embed(model: Classifier, patches: npt.NDArray[np.uint8], machine: Machine) -> Floats:
    """Embeddings float32 [n, D] of patches uint8 [n, H, W, 3]."""
    with machine.autocast():
        images = model.prepare(torch.from_numpy(patches).to(machine.device))
        values = model.network.embed(images)  # type: ignore[operator]
    result: Floats = values.float().cpu().numpy()
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
    result = hashlib.sha256()
    for name, value in sorted(model.network.state_dict().items()):
        if not name.startswith("head."):
            result.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            result.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return result.hexdigest()


def name_of(facts: Mapping[str, Any]) -> str:
    """The name of a cache: the encoder, for people, and the first digits of the facts' digest.

    >>> name_of({"network": "encoder", "arguments": {"encoder": "resnet18"}})[:9]
    'resnet18-'
    """
    text = json.dumps(facts, sort_keys=True)
    encoder = str(facts["arguments"].get("encoder", facts["network"]))
    return f"{encoder}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
