"""From a grid to patches: regions that several patches share are read once."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from eosin.scanning.grid import starts
from eosin.scanning.scan import Grid, Ints
from eosin.slides.reading import best_level, factors, fitted
from eosin.slides.slide import Pixels, Slide

#: Sides of a region that is read at once, in pixels of the level.
BLOCK_PX = 1536
#: A region with less than this share in patches is read patch by patch.
SPARSE = 0.5


@dataclass(frozen=True)
class Plan:
    """Which pixels of which level become each patch, and in which order patches are read."""

    level: int
    #: First pixel of each column and row of the grid, and how many a patch has, in the level.
    left: Ints
    top: Ints
    across: int
    down: int
    #: Cells of the grid (places in ``grid.column``), in the order of reading.
    order: Ints
    #: Where each block starts in ``order``, and the end.
    blocks: Ints


def plan_of(slide: Slide, grid: Grid, level: int | None = None) -> Plan:
    """The plan of a grid; level: the one to read, None for the best."""
    # Level-0 pixels for each of the model's.
    step = (grid.field_px[0] / grid.patch_px[0], grid.field_px[1] / grid.patch_px[1])
    level = best_level(slide, step) if level is None else level
    factor = factors(slide, slide.levels[level])
    left, top = (
        starts(origin, pitch, count, f)
        for origin, pitch, count, f in zip(
            grid.origin_px, grid.step_px, (grid.columns, grid.rows), factor, strict=True
        )
    )
    across, down = (max(1, round(size / f)) for size, f in zip(grid.field_px, factor, strict=True))
    pitches = [float(pitch / f) for pitch, f in zip(grid.step_px, factor, strict=True)]
    wide, tall = (max(1, int(BLOCK_PX / pitch)) for pitch in pitches)
    block = np.stack([grid.row // tall, grid.column // wide])
    order = np.lexsort((grid.column, grid.row, block[1], block[0]))
    changes = np.flatnonzero(np.diff(block[:, order]).any(0)) + 1
    blocks = np.concatenate([[0], changes, [len(order)]]).astype(np.int64)
    return Plan(level, left, top, across, down, order.astype(np.int64), blocks)


def read_cells(slide: Slide, grid: Grid, plan: Plan, cells: Ints) -> Pixels:
    """The patches of some cells near each other: uint8 [n, height, width, 3], glass white."""
    width, height = grid.patch_px
    out = np.empty((len(cells), height, width, 3), np.uint8)
    left, top = plan.left[grid.column[cells]], plan.top[grid.row[cells]]
    x0, y0 = int(left.min()), int(top.min())
    wide, tall = int(left.max()) + plan.across - x0, int(top.max()) + plan.down - y0
    if len(cells) * plan.across * plan.down < SPARSE * wide * tall:
        for k, (x, y) in enumerate(zip(left.tolist(), top.tolist(), strict=True)):
            pixels, _ = slide.region(plan.level, x, y, plan.across, plan.down)
            out[k] = fitted(pixels, width, height)
        return out
    region, _ = slide.region(plan.level, x0, y0, wide, tall)
    for k, (x, y) in enumerate(zip((left - x0).tolist(), (top - y0).tolist(), strict=True)):
        out[k] = fitted(region[y : y + plan.down, x : x + plan.across], width, height)
    return out


def batches(
    slide: Slide, grid: Grid, plan: Plan, size: int, *, first: int = 0, readers: int = 1
) -> Iterator[tuple[Ints, Pixels]]:
    """All patches in the order of the plan, ``size`` at once: cells int64 [n], uint8 [n, h, w, 3].

    first: the batch to begin with. Batches are the same wherever one begins. readers: threads that
    read ahead; what waits is bounded.
    """
    begin = first * size
    tasks = (
        plan.order[max(start, begin) : stop]
        for start, stop in itertools.pairwise(plan.blocks.tolist())
        if stop > begin
    )
    cells: list[Ints] = []
    pixels: list[Pixels] = []
    waiting: deque[tuple[Ints, Future[Pixels]]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="eosin-read") as pool:
        try:
            while True:
                for some in itertools.islice(tasks, readers + 2 - len(waiting)):
                    waiting.append((some, pool.submit(read_cells, slide, grid, plan, some)))
                if not waiting:
                    break
                some, future = waiting.popleft()
                cells.append(some)
                pixels.append(future.result())
                while sum(map(len, cells)) >= size:
                    yield _first(cells, pixels, size)
            if cells and sum(map(len, cells)):
                yield np.concatenate(cells), np.concatenate(pixels)
        finally:
            for _, future in waiting:
                future.cancel()


def _first(cells: list[Ints], pixels: list[Pixels], size: int) -> tuple[Ints, Pixels]:
    """Take the first ``size`` from both lists."""
    every, whole = np.concatenate(cells), np.concatenate(pixels)
    cells[:], pixels[:] = [every[size:]], [whole[size:]]
    return every[:size], whole[:size]
