"""Embeddings of a store by a frozen network, computed once: a memory-mapped array beside the store.

They are made block by block. A block counts as done when its bytes are on the disk and its checksum
is in embeddings.json, in this order, so that a process may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eosin.data.store import PatchStore
from eosin.errors import FailureError, RunError, StoppedError
from eosin.files import whole
from eosin.models.classifier import Classifier
from eosin.training.batches import take
from eosin.training.machine import Machine, out_of_memory

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

FORMAT = 1
#: Rows a block: what a killed process loses at most, and the unit of checksums.
BLOCK = 256
#: Patches through the network at once; halved by itself where memory runs out.
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


@dataclass
class Cache:
    """The embeddings of one encoder and one store in a folder of its own.

    facts: what decides the values; a cache with other facts is not used. shape: (rows, width);
    dtype: "float32" or "float16".
    """

    folder: Path
    facts: Mapping[str, Any]
    shape: tuple[int, int]
    dtype: str
    checksums: list[str | None] = field(default_factory=list)

    @property
    def array_path(self) -> Path:
        """embeddings.npy: float [N, D], row for row the patches of the store."""
        return self.folder / "embeddings.npy"

    @property
    def facts_path(self) -> Path:
        """embeddings.json: facts, shape, rows done, a checksum a block."""
        return self.folder / "embeddings.json"

    def values(self) -> npt.NDArray[np.floating[Any]]:
        """The memory-mapped array, float [N, D]; rows of blocks not done hold nothing."""
        found: npt.NDArray[np.floating[Any]] = np.load(
            self.array_path, mmap_mode="r", allow_pickle=False
        )
        return found

    def rows(self, rows: Rows) -> Floats:
        """Embeddings of some rows in their order: float32 [n, D]."""
        return np.asarray(self.values()[rows], dtype=np.float32)

    def extent(self, block: int) -> slice:
        """The rows of a block."""
        return slice(block * BLOCK, min((block + 1) * BLOCK, self.shape[0]))

    def done(self) -> int:
        """How many rows are there."""
        extents = [self.extent(block) for block, known in enumerate(self.checksums) if known]
        return sum(extent.stop - extent.start for extent in extents)

    def problem(self) -> str:
        """What is wrong with the folder as a whole, "" where nothing is; reads its checksums."""
        try:
            found = json.loads(self.facts_path.read_text("utf-8"))
            facts, sums = dict(found["facts"]), list(found["checksums"])
            recorded = (int(found["format"]), tuple(found["shape"]), str(found["dtype"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"embeddings.json cannot be read ({type(error).__name__}: {error})"
        if facts != dict(self.facts):
            other = sorted(k for k in {*facts, *self.facts} if facts.get(k) != self.facts.get(k))
            return f"they are of another {', '.join(other)}"
        blocks = -(-self.shape[0] // BLOCK)
        if recorded != (FORMAT, self.shape, self.dtype) or len(sums) != blocks:
            return f"embeddings.json says {recorded}, not {(FORMAT, self.shape, self.dtype)}"
        if not all(known is None or isinstance(known, str) for known in sums):
            return "the checksums in embeddings.json are no checksums"
        try:
            values = self.values()
        except (OSError, ValueError, EOFError) as error:
            return f"embeddings.npy cannot be read ({str(error).partition(chr(10))[0]})"
        if values.shape != self.shape or values.dtype != np.dtype(self.dtype):
            return f"embeddings.npy holds {values.dtype} {values.shape}, not {self.shape}"
        self.checksums = sums
        return ""

    def create(self) -> None:
        """An empty cache in place of whatever is there, its whole space reserved.

        Raises FailureError where the disk has no room for it or cannot be written.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.checksums = [None] * -(-self.shape[0] // BLOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(self.array_path, "w+", self.dtype, self.shape)
            if hasattr(os, "posix_fallocate"):
                # So a full disk is known now and not after hours; and no page is ever missing.
                with open(self.array_path, "r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            self._mark()
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()
            size = self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize
            raise FailureError(
                f"{self.folder} cannot be made ({error.strerror or error}): it needs "
                f"{size / 1e6:,.1f} MB; make room, or keep embeddings elsewhere with "
                "--embeddings FOLDER"
            ) from None

    def damaged(self, blocks: list[int]) -> list[int]:
        """Those of the blocks whose bytes are not those that were written."""
        values = self.values()
        return [
            block
            for block in blocks
            if self.checksums[block] not in (None, _checksum(values[self.extent(block)]))
        ]

    def write(self, block: int, found: Floats) -> None:
        """Put a block's embeddings, float32 [n, D], on the disk, then mark it done.

        Raises FailureError where they cannot be kept: not finite, too large, or no room.
        """
        with np.errstate(over="ignore"):
            values = found.astype(self.dtype)
        if not np.isfinite(values).all():
            why = (
                "values beyond what float16 holds; say --precision fp32"
                if np.isfinite(found).all()
                else "values that are no numbers: the weights are damaged or the precision is too "
                "low; try --precision fp32"
            )
            raise FailureError(f"the encoder gives {why}")
        width = self.shape[1] * values.itemsize
        try:
            with open(self.array_path, "r+b") as file:
                start = os.fstat(file.fileno()).st_size - self.shape[0] * width
                file.seek(start + self.extent(block).start * width)
                file.write(values.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self.checksums[block] = _checksum(values)
            self._mark()
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            remedy = "make room" if full else "mend that"
            raise FailureError(
                f"{self.folder} cannot be written ({error.strerror or error}); {remedy} and give "
                "the same command again: the blocks before are kept"
            ) from None

    def _mark(self) -> None:
        found = {
            "format": FORMAT,
            "facts": dict(self.facts),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "rows": self.shape[0],
            "done": self.done(),
            "block_rows": BLOCK,
            "checksums": self.checksums,
        }
        with whole(self.facts_path, durable=True) as temporary:
            temporary.write_text(json.dumps(found) + "\n", "utf-8")


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
    with _alone(cache.folder):
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
    before, made, batch, started = total - left, 0, BATCH, time.perf_counter()
    if before:
        watch.said(f"{before:,} of {total:,} embeddings are there ({cache.folder.name})")
    for block in missing:
        extent = cache.extent(block)
        numbers = np.arange(extent.start, extent.stop)
        patches, found = take(store.patches, numbers).numpy(), []
        done = 0
        while done < len(numbers):
            if watch.stop():
                raise StoppedError(
                    f"stopped; {cache.done():,} of {cache.shape[0]:,} embeddings are kept, and the "
                    "same command goes on with them"
                )
            try:
                with torch.inference_mode():
                    found.append(_embed(model, patches[done : done + batch], machine))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or batch == 1:
                    raise
                batch //= 2
                watch.warned(f"memory ran out; going on with {batch} patches at once")
                continue
            done += len(found[-1])
            made += len(found[-1])
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


def _checksum(values: npt.NDArray[np.floating[Any]]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=12).hexdigest()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process writes this cache meanwhile; a killed one holds no lock.

    Raises RunError where another one does.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    path = folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "wb")  # noqa: SIM115
    except OSError as error:
        raise FailureError(
            f"{path.parent} cannot be written ({error.strerror or error}); keep embeddings "
            "elsewhere with --embeddings FOLDER"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"another process computes {folder}; wait for it, then give the same command again"
            ) from None
        yield
