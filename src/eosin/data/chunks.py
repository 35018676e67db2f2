"""Decoding in threads: candidates of a plan go in, chunks of patches come out in order.

At most so many chunks wait at a time as fit 128 MB, whatever the archive's size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eosin.cores import usable_cores
from eosin.data.decode import unfilter
from eosin.data.depth import Deep, deep_of, is_deep, to_rgb
from eosin.data.digests import pixel_digests
from eosin.data.fit import PictureRule
from eosin.data.quick import quick_rows
from eosin.errors import ImageError
from eosin.memory import memory, out_of_memory
from eosin.sources.arrays import ArrayPlan, Block
from eosin.sources.plans import Plan

_CHUNK_PATCHES = 256
_CHUNK_BYTES = 8 << 20
_WAITING_BYTES = 128 << 20


@dataclass
class Chunk:
    """What a worker made of some candidates, in their order."""

    seen: int
    patches: npt.NDArray[np.uint8]
    #: Of a block of an array all index columns; of images those that decoding gives.
    columns: dict[str, Any]
    #: Number of each patch among the candidates of a plan; empty for a block of an array.
    numbers: list[int]
    rejects: list[tuple[str, str]] = field(default_factory=list)
    #: Candidates that are byte for byte the twin that comes before them.
    copies: list[int] = field(default_factory=list)
    #: Those of more than 8 bits.
    deep: list[Deep] = field(default_factory=list)


def tasks_of(plan: Plan | ArrayPlan, rule: PictureRule) -> Generator[Callable[[], Chunk]]:
    """Functions that decode the candidates of a plan, a chunk each, in order."""
    if isinstance(plan, ArrayPlan):
        with closing(plan.blocks()) as blocks:
            for block in blocks:
                yield partial(_convert, block, rule)
        return
    height, width = rule.size
    step = max(1, min(_CHUNK_PATCHES, _CHUNK_BYTES // (3 * height * width)))
    for start in range(0, len(plan), step):
        yield partial(_decode, plan, start, min(start + step, len(plan)), rule)


def in_order(
    tasks: Generator[Callable[[], Chunk]], workers: int | None, size: tuple[int, int]
) -> Generator[Chunk]:
    """Run tasks in threads and give their chunks in order; only so many wait at a time."""
    count = workers or min(8, usable_cores()[0])
    chunk_bytes = max(3 * size[0] * size[1], min(_CHUNK_BYTES, 768 * size[0] * size[1]))
    sizes = memory()
    most = _WAITING_BYTES if sizes is None else min(_WAITING_BYTES, sizes[1] // 8)
    window = max(1, min(2 * count + 2, most // chunk_bytes))
    pool = ThreadPoolExecutor(min(count, window), thread_name_prefix="pack")
    waiting: deque[tuple[Callable[[], Chunk], Future[Chunk]]] = deque()

    def first() -> Chunk:
        task, future = waiting.popleft()
        try:
            return future.result()
        except Exception as error:
            if not out_of_memory(error):
                raise
        # Once more, while no other thread works.
        wait([other for _, other in waiting])
        return task()

    try:
        for task in tasks:
            waiting.append((task, pool.submit(task)))
            if len(waiting) >= window:
                yield first()
        while waiting:
            yield first()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(plan: Plan, start: int, stop: int, rule: PictureRule) -> Chunk:
    height, width = rule.size
    count = stop - start
    patches = np.empty((count, height, width, 3), np.uint8)
    sizes = [rule.size] * count
    rejects: list[tuple[str, str]] = []
    copies: list[int] = []
    rows = _usual_rows(plan, start, stop, rule)
    unusual: list[int] = []
    # Groups of 32 stay in the cache; larger ones are no faster.
    usual = [slot for slot, data in enumerate(rows) if data is not None]
    for first in range(0, len(usual), 32):
        group = usual[first : first + 32]
        try:
            patches[group] = unfilter([rows[slot] or b"" for slot in group], height, width)
        except ImageError:
            unusual += group
    unusual += [slot for slot, data in enumerate(rows) if data is None]
    del rows
    dropped, deep = set(), []
    for slot in unusual:
        number = start + slot
        try:
            data = plan.files.read(plan.members[number])
            leader = plan.twins.get(number)
            if leader is not None and _is_copy(plan, number, leader, data):
                copies.append(number)
                dropped.add(slot)
                continue
            picture = rule.read(data)
            patches[slot], sizes[slot] = picture.pixels, picture.size
            deep += [picture.deep] if picture.deep else []
        except ImageError as error:
            rejects.append((plan.columns["source"][number], str(error)))
            dropped.add(slot)
    kept = [slot for slot in range(count) if slot not in dropped]
    if dropped:
        patches = patches[kept]
    columns: dict[str, Any] = {
        "height": [sizes[slot][0] for slot in kept],
        "width": [sizes[slot][1] for slot in kept],
        "digest": pixel_digests(patches),
    }
    numbers = [start + slot for slot in kept]
    return Chunk(count, patches, columns, numbers, rejects, copies, deep)


def _usual_rows(plan: Plan, start: int, stop: int, rule: PictureRule) -> list[bytes | None]:
    """The filtered rows of those candidates that are usual PNGs of the store's size."""
    height, width = rule.size
    rows: list[bytes | None] = [None] * (stop - start)
    if height * width > rule.max_pixels:
        return rows
    # Twins are most often copies, which are not decoded at all.
    slots = [slot for slot in range(stop - start) if start + slot not in plan.twins]
    for run in plan.files.runs([plan.members[start + slot] for slot in slots]):
        for k, data in zip(run.slots, quick_rows(run, height, width), strict=True):
            rows[slots[k]] = data
    return rows


def _is_copy(plan: Plan, number: int, leader: int, data: bytes) -> bool:
    """Whether a twin is byte for byte its leader; one that cannot be read is not a leader."""
    first, second = plan.members[leader], plan.members[number]
    if not plan.files.same_bytes(first, second):
        return False
    try:
        return plan.files.read(first) == data
    except ImageError:
        return False


def _convert(block: Block, rule: PictureRule) -> Chunk:
    images = block.images[..., None] if block.images.ndim == 3 else block.images
    columns: dict[str, Any] = dict(block.columns)
    height, width = images.shape[1:3]
    rejects, deep = list(block.rejects), []
    try:
        deep = [deep_of(images)._replace(images=len(images))] if is_deep(images) else []
        pixels = to_rgb(images, rule.white)
        if (height, width) != rule.size:
            pixels = np.stack([rule.patch(image) for image in pixels])
    except ImageError as error:
        # All images of a block have one size, so one is refused where all are.
        rejects += [(source, str(error)) for source in columns["source"]]
        pixels = np.empty((0, *rule.size, 3), np.uint8)
        columns = dict.fromkeys(columns, ())
    n = len(pixels)
    columns |= {"height": [height] * n, "width": [width] * n, "digest": pixel_digests(pixels)}
    seen = len(images) + len(block.rejects)
    return Chunk(seen, pixels, columns, [], rejects, deep=deep)
