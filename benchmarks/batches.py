"""Shuffled batches from a store against the tutorial's way: a DataLoader over image files.

    python benchmarks/batches.py
    python benchmarks/batches.py ARCHIVE.zip --files 4000 --turns 3

The tutorial's way (benchmarks/tutorial.py) opens an image file a patch in two worker processes; its
time is that of a whole epoch over ``--files`` files, with the start of its workers left out.
eosin gathers rows of the store's array, which is in memory; an epoch of the same number of patches,
drawn from all patches. Batches of 128: as uint8 [n, H, W, 3], which is what its networks take, and
once more as the tutorial's network takes them, float32 [n, 3, H, W] in 0..1. A training step of
compact is measured beside them, to see which share of it a batch is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import tutorial
from harness import SAMPLE, Times, rows_of, show, write_csv

from eosin.config import Recipe
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.memory import keep_freed_memory
from eosin.training.batches import Batches, take
from eosin.training.machine import choose_machine
from training import BATCH, eosin_turn

STEPS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--files", type=int, default=8000)
    parser.add_argument("--turns", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        files = tutorial.extract(wanted.archive, Path(folder) / "files", wanted.files)
        store = pack(wanted.archive, Path(folder) / "made.store")
        begun = time.perf_counter()
        patches = take(store.patches, np.arange(len(store)))
        reading = time.perf_counter() - begun
        rows = measured(files, store, patches, wanted.turns)
        precision = choose_machine("auto").precision
        step = eosin_turn(store.path, Path(folder), precision, "compact", STEPS)["seconds"] / STEPS
    for row in rows:
        row["ms_a_batch"] = round(1e3 * BATCH / row["patches_per_s"], 3)
        row["of_a_step"] = round(row["ms_a_batch"] / step / 1e3, 4)
    show(rows, f"epochs of {len(files):,} patches in shuffled batches of {BATCH}")
    print(f"  a training step of compact with {BATCH} patches: {1e3 * step:.0f} ms")
    print(f"  the store's {len(store):,} patches are read into memory once, in {reading:.2f} s")
    write_csv("batches", rows, packages=("torch", "pillow"))


def measured(
    files: list[Path], store: PatchStore, patches: torch.Tensor, turns: int
) -> list[dict[str, object]]:
    """All ways in turn; the clock of the tutorial's starts with its first batch."""
    labels = torch.from_numpy(store.labels)
    count = len(files) // BATCH - 1
    epochs = iter(range(1, 1000))

    def tutorials() -> Iterator[object]:
        yield from tutorial.loader(files, batch_size=BATCH)

    def ours() -> Iterator[object]:
        data = Batches(patches, labels, Recipe(batch_size=BATCH))
        yield from data.epoch(next(epochs))

    def converted() -> Iterator[object]:
        data = Batches(patches, labels, Recipe(batch_size=BATCH))
        for batch, truth in data.epoch(next(epochs)):
            yield batch.permute(0, 3, 1, 2).float().div_(255).contiguous(), truth

    ways = {
        "files, DataLoader, 2 workers": tutorials,
        "store, uint8": ours,
        "store, float32 NCHW": converted,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, turns):
        for name, way in ways.items():
            if turn < 0 and way is tutorials:
                continue
            batches = way()
            next(batches)
            begun = time.perf_counter()
            for _ in islice(batches, count):
                pass
            seconds = time.perf_counter() - begun
            list(batches) if way is tutorials else None
            if turn >= 0:
                taken[name].append(seconds)
    times = {name: Times(tuple(seconds)) for name, seconds in taken.items()}
    return rows_of(times, work=count * BATCH)


if __name__ == "__main__":
    keep_freed_memory()
    main()
