"""Embeddings are computed once, survive any end, and are never trusted unseen."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import BusyError, FailureError, StoppedError
from eosin.folders import whole_file
from eosin.models.classifier import Classifier
from eosin.probing import cache as caching
from eosin.probing.cache import BLOCK, Cache
from eosin.probing.embeddings import Watcher, embeddings_of, facts_of
from eosin.training.machine import choose_machine

FP32 = choose_machine("fp32")
ROWS = 3 * BLOCK + 40


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Four blocks of patches, the last one short."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("s") / "noise.store"
    with StoreWriter(path, classes=["negative", "positive"], patch_size=(8, 8)) as writer:
        writer.append(
            rng.integers(0, 256, (ROWS, 8, 8, 3), dtype=np.uint8),
            [{"label": i % 2, "case": str(i // 50)} for i in range(ROWS)],
        )
    return PatchStore.open(path)


def network(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier.build(
        "compact",
        classes=["negative", "positive"],
        patch_size=(8, 8),
        arguments={"widths": [8, 16], "blocks": [0, 1]},
    ).eval()


def embed(
    store: PatchStore, folder: Path, *, seed: int = 0, rows: Any = None, **watch: Any
) -> tuple[Cache, list[str], list[int]]:
    """The cache, what was warned, and the rows done at each step of this call."""
    warned: list[str] = []
    steps: list[int] = []
    watcher = Watcher(
        warned=warned.append, progress=lambda done, total, rate: steps.append(done), **watch
    )
    wanted = np.arange(ROWS) if rows is None else rows
    cache = embeddings_of(
        network(seed), store, wanted, machine=FP32, folder=folder, watcher=watcher
    )
    return cache, warned, steps


@torch.inference_mode()
def plainly(store: PatchStore, rows: Any, seed: int = 0) -> Any:
    model = network(seed)
    return model.network.embed(model.prepare(torch.from_numpy(store.patches[rows]))).numpy()


def test_they_are_the_networks_and_computed_once(store: PatchStore, tmp_path: Path) -> None:
    cache, warned, steps = embed(store, tmp_path)
    rows = np.array([700, 3, ROWS - 1, 3])
    assert np.allclose(cache.rows(rows), plainly(store, rows), atol=1e-5)
    assert not warned
    assert steps[-1] == cache.done() == ROWS
    again, warned, steps = embed(store, tmp_path)
    assert again.folder == cache.folder
    assert not warned
    assert not steps
    facts = json.loads(cache.facts_path.read_text())
    assert facts["done"] == facts["rows"] == ROWS
    assert facts["facts"]["store"] == store.digest
    assert np.load(cache.array_path).dtype == np.float32


def test_only_blocks_that_are_needed(store: PatchStore, tmp_path: Path) -> None:
    cache, _, _ = embed(store, tmp_path, rows=np.array([5, 2 * BLOCK]))
    assert [known is not None for known in cache.checksums] == [True, False, True, False]
    cache, _, steps = embed(store, tmp_path)
    assert steps[0] > 2 * BLOCK
    assert np.allclose(cache.rows(np.arange(ROWS)), plainly(store, np.arange(ROWS)), atol=1e-5)


def test_other_weights_sizes_and_stores_have_other_names(store: PatchStore) -> None:
    facts = facts_of(network(), store, FP32)
    assert facts == facts_of(network(), store, FP32)
    other = network()
    with torch.no_grad():
        other.network.head.weight += 1  # type: ignore[operator, union-attr]
    assert facts == facts_of(other, store, FP32), "the head decides no embedding"
    assert facts["weights"] != facts_of(network(1), store, FP32)["weights"]
    scaled = network()
    scaled.mean += 0.1
    assert facts != facts_of(scaled, store, FP32)


def flip(cache: Cache) -> None:
    data = bytearray(cache.array_path.read_bytes())
    data[-40 * 16 * 4 + 9] ^= 1  # one bit in the last block
    cache.array_path.write_bytes(data)


def cut(cache: Cache) -> None:
    data = cache.array_path.read_bytes()
    cache.array_path.write_bytes(data[: len(data) // 2])


def reshape(cache: Cache) -> None:
    np.save(cache.array_path, np.zeros((ROWS, 4), np.float32))


def change(key: str, value: Any) -> Callable[[Cache], None]:
    def edit(cache: Cache) -> None:
        found = json.loads(cache.facts_path.read_text())
        target = found["facts"] if key in found["facts"] else found
        target[key] = value
        cache.facts_path.write_text(json.dumps(found))

    return edit


def drift(cache: Cache) -> None:
    """Sound by its checksums, but not what the network gives."""
    values = np.lib.format.open_memmap(cache.array_path, "r+")
    values[:] = values[::-1].copy()
    values.flush()
    sums = [caching._checksum(values[cache.extent(b)]) for b in range(4)]
    change("checksums", sums)(cache)


@pytest.mark.parametrize(
    ("damage", "said", "computed"),
    [
        (flip, "1 of 4 blocks have changed", 40),
        (cut, "embeddings.npy cannot be read", ROWS),
        (reshape, "has float32", ROWS),
        (lambda cache: cache.array_path.unlink(), "embeddings.npy cannot be read", ROWS),
        (lambda cache: cache.facts_path.unlink(), "embeddings.json cannot be read", ROWS),
        (lambda cache: cache.facts_path.write_text("{"), "embeddings.json cannot", ROWS),
        (lambda cache: cache.facts_path.write_text("[]"), "embeddings.json cannot", ROWS),
        (change("store", "0" * 32), "another store", ROWS),
        (change("shape", [3, 16]), "embeddings.json has", ROWS),
        (change("checksums", [None]), "embeddings.json has", ROWS),
        (change("checksums", [1, 2, 3, 4]), "are not valid", ROWS),
        (drift, "gives other values now", ROWS),
    ],
)
def test_a_damaged_or_foreign_cache_is_computed_again(
    store: PatchStore,
    tmp_path: Path,
    damage: Callable[[Cache], None],
    said: str,
    computed: int,
) -> None:
    cache, _, _ = embed(store, tmp_path)
    sound = cache.rows(np.arange(ROWS))
    damage(cache)
    again, warned, steps = embed(store, tmp_path)
    assert len(warned) == 1
    assert said in warned[0]
    assert "computed again" in warned[0]
    assert steps[-1] - (ROWS - computed) == computed
    assert steps[0] <= ROWS - computed + 64
    assert np.allclose(again.rows(np.arange(ROWS)), sound, atol=1e-6)


def test_ctrl_c_keeps_what_is_done(store: PatchStore, tmp_path: Path) -> None:
    asked = iter([False] * 6 + [True])
    with pytest.raises(StoppedError, match=rf"stopped; {BLOCK} of {ROWS} embeddings are kept"):
        embed(store, tmp_path, stop=lambda: next(asked))
    cache, warned, steps = embed(store, tmp_path)
    assert not warned
    assert steps[0] == BLOCK + 64
    assert np.allclose(cache.rows(np.arange(ROWS)), plainly(store, np.arange(ROWS)), atol=1e-5)


KILLED = """
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_embeddings as t
from eosin.data.store import PatchStore
def progress(done, total, rate):
    print(done, flush=True)
    if done > 300:
        import time; time.sleep(60)
t.Watcher = lambda **k: t_watcher(**{**k, "progress": progress})
from eosin.probing.embeddings import Watcher as t_watcher
t.embed(PatchStore.open(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_process_loses_a_block(store: PatchStore, tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(store.path), str(tmp_path)]
    child = subprocess.Popen(
        [*words, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) > 300:
            break
    # While it lives nobody else writes; the lock of a killed process is gone.
    with pytest.raises(BusyError, match="another process computes"):
        embed(store, tmp_path)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    cache, warned, steps = embed(store, tmp_path)
    assert not warned
    assert steps[0] == BLOCK + 64
    assert np.allclose(cache.rows(np.arange(ROWS)), plainly(store, np.arange(ROWS)), atol=1e-5)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_known_before_the_work(
    store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(
            FailureError, match=r"No space left.*it needs .*--embeddings"
        ):
            embed(store, home)
    assert [path.name for path in home.iterdir() if not path.name.endswith(".lock")] == []
    assert embed(store, home)[0].done() == ROWS


def test_a_disk_that_fills_up_keeps_the_blocks_before(
    store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fill(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:  # the array and the list of it, at creation and for each block
            full()

    with monkeypatch.context() as patched:
        patched.setattr(caching.os, "fsync", fill)
        with pytest.raises(FailureError, match=r"the disk is full.*run the same"):
            embed(store, tmp_path)
    cache, warned, steps = embed(store, tmp_path)
    assert not warned
    assert steps[0] >= BLOCK + 64
    assert np.allclose(cache.rows(np.arange(ROWS)), plainly(store, np.arange(ROWS)), atol=1e-5)


def test_values_that_cannot_be_kept(store: PatchStore, tmp_path: Path) -> None:
    for scale, said in ((float("nan"), "are not numbers"), (50.0, "too large for float16")):
        model = network()
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(scale)
        machine = choose_machine("fp32")
        object.__setattr__(machine, "precision", "fp16")  # kept as float16, computed as it is
        with pytest.raises(FailureError, match=said):
            embeddings_of(model, store, np.arange(4), machine=machine, folder=tmp_path / said)


def test_memory_that_runs_out_halves_the_batch(
    store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eosin.probing import embeddings

    real = embeddings._embed

    def small(model: Classifier, patches: Any, machine: Any) -> Any:
        if len(patches) > 20:
            raise RuntimeError("[enforce fail] can't allocate memory")
        return real(model, patches, machine)

    monkeypatch.setattr(embeddings, "_embed", small)
    cache, warned, _ = embed(store, tmp_path, rows=np.arange(10))
    assert [text.split()[-1] for text in warned] == ["32", "16"]
    assert cache.done() == BLOCK


def test_two_at_once_do_not_mix(store: PatchStore, tmp_path: Path) -> None:
    cache, _, _ = embed(store, tmp_path)
    with open(cache.folder.with_name(f".{cache.folder.name}.lock"), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another process computes"):
            embed(store, tmp_path)


def test_a_folder_that_cannot_be_written(store: PatchStore, tmp_path: Path) -> None:
    with whole_file(tmp_path / "file") as temporary:
        temporary.write_text("in the way")
    with pytest.raises(FailureError, match=r"cannot be written.*--embeddings FOLDER"):
        embed(store, tmp_path / "file")
