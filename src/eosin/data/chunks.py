"""Decoding in threads: candidates of a plan go in, chunks of patches come out in order.

At most so many chunks wait at a time as fit 128 MB, whatever the archive's size.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.data.arrays import ArrayPlan, Block
from eosin.data.decode import decode, fit_patch, read_png, to_rgb, unfilter
from eosin.data.digests import pixel_digests
from eosin.data.sources import Plan
from eosin.errors import ImageError

_CHUNK_PATCHES = 256
_CHUNK_BYTES = 8 << 20
_WAITING_BYTES = 128 << 20


@dataclass
class Chunk:
    """What a worker made of some candidates, in their order."""

    seen: int
    patches: npt.NDArray[np.uint8]
    columns: dict[str, Any]
    #: Number of each patch among the candidates; empty where the source has no twins.
    numbers: list[int]
    rejects: list[tuple[str, str]] = field(default_factory=list)
    #: Candidates that are byte for byte the twin that comes before them.
    copies: list[int] = field(default_factory=list)


@dataclass
class Settings:
    size: tuple[int, int]
    fit: str
    max_pixels: int


def tasks_of(plan: Plan | ArrayPlan, settings: Settings) -> Generator[Callable[[], Chunk]]:
    if isinstance(plan, ArrayPlan):
        with closing(plan.blocks()) as blocks:
            for block in blocks:
                yield partial(_convert, block, settings)
        return
    height, width = settings.size
    step = max(1, min(_CHUNK_PATCHES, _CHUNK_BYTES // (3 * height * width)))
    for start in range(0, len(plan), step):
        yield partial(_decode, plan, start, min(start + step, len(plan)), settings)


def in_order(
    tasks: Generator[Callable[[], Chunk]], workers: int | None, size: tuple[int, int]
) -> Generator[Chunk]:
    """Run tasks in threads and give their chunks in order; only so many wait at a time."""
    count = workers or min(8, available_cores())
    chunk_bytes = max(3 * size[0] * size[1], min(_CHUNK_BYTES, 768 * size[0] * size[1]))
    window = max(1, min(2 * count + 2, _WAITING_BYTES // chunk_bytes))
    pool = ThreadPoolExecutor(count, thread_name_prefix="pack")
    waiting: deque[Future[Chunk]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def available_cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _decode(plan: Plan, start: int, stop: int, settings: Settings) -> Chunk:
    height, width = settings.size
    count = stop - start
    patches = np.empty((count, height, width, 3), np.uint8)
    sizes = [settings.size] * count
    kept: list[int] = []
    rejects = []
    copies = []
    plain: list[int] = []
    rows: list[bytes] = []
    # How a PNG of the store's size begins: signature, header mark, width and height.
    usual = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
    files, members, twins = plan.files, plan.members, plan.twins
    for slot in range(count):
        number = start + slot
        try:
            data = files.read(members[number])
            leader = twins.get(number)
            if leader is not None and _is_copy(plan, number, leader, data):
                copies.append(number)
                continue
            if data[:24] == usual:
                png = read_png(data, settings.max_pixels)
                if png.plain:
                    plain.append(slot)
                    rows.append(png.rows)
                    kept.append(slot)
                    continue
            image = decode(data, max_pixels=settings.max_pixels)
            sizes[slot] = image.shape[0], image.shape[1]
            patches[slot] = fit_patch(image, settings.size, settings.fit)
            kept.append(slot)
        except ImageError as error:
            rejects.append((plan.columns["source"][number], str(error)))
    # Groups of 32 stay in the cache; larger ones are no faster.
    for first in range(0, len(plain), 32):
        group = slice(first, first + 32)
        patches[plain[group]] = unfilter(rows[group], height, width)
    if len(kept) < count:
        patches = patches[kept]
    columns: dict[str, Any] = {
        name: [values[start + slot] for slot in kept] for name, values in plan.columns.items()
    }
    columns["height"] = [sizes[slot][0] for slot in kept]
    columns["width"] = [sizes[slot][1] for slot in kept]
    columns["digest"] = pixel_digests(patches)
    numbers = [start + slot for slot in kept]
    return Chunk(count, patches, columns, numbers, rejects, copies)


def _is_copy(plan: Plan, number: int, leader: int, data: bytes) -> bool:
    """Whether a twin is byte for byte its leader; one that cannot be read is no leader."""
    first, second = plan.members[leader], plan.members[number]
    if not plan.files.same_bytes(first, second):
        return False
    try:
        return plan.files.read(first) == data
    except ImageError:
        return False


def _convert(block: Block, settings: Settings) -> Chunk:
    images = block.images
    pixels = to_rgb(images[..., None] if images.ndim == 3 else images)
    count = len(pixels)
    height, width = pixels.shape[1:3]
    columns: dict[str, Any] = dict(block.columns)
    rejects = []
    if (height, width) != settings.size:
        fitted = []
        kept = []
        for k, image in enumerate(pixels):
            try:
                fitted.append(fit_patch(image, settings.size, settings.fit))
                kept.append(k)
            except ImageError as error:
                rejects.append((columns["source"][k], str(error)))
        pixels = np.stack(fitted) if fitted else np.empty((0, *settings.size, 3), np.uint8)
        columns = {name: [values[k] for k in kept] for name, values in columns.items()}
    n = len(pixels)
    columns |= {"height": [height] * n, "width": [width] * n, "digest": pixel_digests(pixels)}
    return Chunk(count, pixels, columns, [], rejects)
