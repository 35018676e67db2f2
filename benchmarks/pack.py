"""Packing against reading every file with Pillow, and against decoding alone.

    python benchmarks/pack.py
    python benchmarks/pack.py ARCHIVE.zip --turns 3

The jobs take turns: Pillow in one process on the bytes of every patch; eosin's decoding alone, with
its threads and its checks, the pixels thrown away; OpenCV's decoding alone in as many threads,
without checks; and packing as a whole: listing the zip, decoding, digests, the index, the store
on disk and synchronized. Every job begins with the closed zip, which the system has in memory.
Peak memory is that of a process of its own that packs once.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from harness import SAMPLE, alternate, child, cores, rows_of, show, write_csv
from PIL import Image

from eosin.data import chunks
from eosin.data.chunks import in_order
from eosin.data.fit import PictureRule
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.memory import keep_freed_memory
from eosin.sources.archives import ZipFiles
from eosin.sources.layouts import LAYOUTS
from eosin.sources.plans import Plan

PACKAGES = ("opencv-python-headless", "pillow", "deflate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--turns", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        target = Path(folder) / "made.store"
        kept = pack(wanted.archive, target)
        names, members = kept.index["source"].to_list(), numbers(wanted.archive, kept)
        size, count = kept.patch_size, len(kept)
        times = alternate(
            {
                "Pillow, one process": lambda: with_pillow(wanted.archive, names),
                "OpenCV alone, no checks": lambda: with_opencv(wanted.archive, members),
                "decoding alone": lambda: decoding(wanted.archive, members, size),
                "pack": lambda: pack(wanted.archive, target),
            },
            repeats=wanted.turns,
            prepare=lambda: shutil.rmtree(target, ignore_errors=True),
        )
        shutil.rmtree(target)
        alone = child(["-m", "eosin", "pack", wanted.archive, target])
        same = PatchStore.open(target).digest == kept.digest
    rows = rows_of(times, work=count)
    for row in rows:
        row["of_decoding"] = round(times["decoding alone"].median / row["median_s"], 3)
        row["peak_mib"] = alone.peak_mib if row["job"] == "pack" else ""
        row["threads"] = 1 if row["job"].startswith("Pillow") else min(8, cores())
    show(rows, f"{count:,} patches of {wanted.archive.name}")
    print(f"  the command, from a cold start: {alone.seconds:.2f} s, {alone.peak_mib:,.0f} MiB")
    if not same:
        raise SystemExit("the store has another digest in a second run")
    write_csv("pack", rows, packages=PACKAGES)


def numbers(archive: Path, store: PatchStore) -> list[int]:
    """The zip's member of each patch of a store."""
    with closing(ZipFiles(archive)) as files:
        known = {name: number for number, name in enumerate(files.names)}
    return [known[name] for name in store.index["source"]]


def with_pillow(archive: Path, names: list[str]) -> None:
    """Read and decode each file as the manuals have it."""
    with zipfile.ZipFile(archive) as source:
        for name in names:
            with Image.open(io.BytesIO(source.read(name))) as image:
                np.asarray(image.convert("RGB"))


def with_opencv(archive: Path, members: list[int]) -> None:
    """Decode in threads and look at nothing."""

    def decode(part: list[int]) -> None:
        for number in part:
            data = np.frombuffer(files.read(number), np.uint8)
            cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)

    threads = min(8, cores())
    cv2.setNumThreads(1)
    with closing(ZipFiles(archive)) as files, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(decode, (members[k : k + 256] for k in range(0, len(members), 256))):
            pass


def decoding(archive: Path, members: list[int], size: tuple[int, int]) -> None:
    """List the zip and decode a store's patches as packing does; the pixels are thrown away."""
    cv2.setNumThreads(1)
    rule = PictureRule(size, "pad", 1 << 24)
    digests, chunks.pixel_digests = chunks.pixel_digests, lambda patches: [""] * len(patches)
    try:
        with closing(ZipFiles(archive)) as files:
            plan = Plan(LAYOUTS["idc"], files, [], {"source": files.names}, members)
            for chunk in in_order(chunks.tasks_of(plan, rule), None, size):
                chunk.patches = chunk.patches[:0]
    finally:
        chunks.pixel_digests = digests


if __name__ == "__main__":
    keep_freed_memory()
    main()
