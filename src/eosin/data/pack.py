"""From an archive of patches to a store: decode in threads, write in order, count everything."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.arrays import ArrayPlan, Block
from eosin.data.decode import (
    MAX_PIXELS,
    decode,
    fit_patch,
    image_size,
    read_png,
    strict_pillow,
    to_rgb,
    unfilter,
)
from eosin.data.sources import Plan, open_source
from eosin.data.store import PatchStore, StoreWriter, pixel_digests
from eosin.errors import ImageError, RejectsError, SourceError

FITS = ("pad", "resize", "reject")

#: How many rejects and label conflicts store.json lists; the counts are always whole.
LISTED_REJECTS, LISTED_CONFLICTS = 10_000, 50

_CHUNK_PATCHES = 256
_CHUNK_BYTES = 8 << 20
_WAITING_BYTES = 128 << 20
#: Larger images are decoded one at a time, so that a few huge ones cannot fill the memory.
_LARGE_BYTES = 4 << 20
_LARGE = Lock()

Progress = Callable[[int, int], None]


@dataclass
class _Chunk:
    """What a worker made of some candidates, in their order."""

    seen: int
    patches: npt.NDArray[np.uint8]
    columns: dict[str, Any]
    #: Number of each patch among the candidates (or -1 where the source has no twins).
    numbers: list[int]
    rejects: list[tuple[str, str]] = field(default_factory=list)
    #: Candidates that are byte for byte the twin that comes before them.
    copies: list[int] = field(default_factory=list)


@dataclass
class _Settings:
    size: tuple[int, int]
    fit: str
    max_pixels: int


def pack(
    source: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "pad",
    max_rejects: float | int = 0.01,
    max_pixels: int = MAX_PIXELS,
    mpp: float | None = None,
    include: str | Sequence[str] | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PatchStore:
    """Pack labelled patches into a store.

    source: a zip, folder, CSV manifest, npz, IDX or HDF5 file; see ``eosin.data.layouts``.
    store: the folder to make. layout: its name, or None to find it. size: (height_px, width_px)
    of the patches, or None for the most common size of a sample. fit: what happens to other
    sizes: "pad" (white, image at the top-left; larger ones are rejects), "resize" or "reject".
    max_rejects: the share (float below 1) or number (int) of unusable images that is tolerated.
    max_pixels: the most pixels an image may declare. mpp: micrometres a pixel. include: glob
    patterns of members to keep. force: replace a store. workers: threads, all cores by default.
    progress: called with (images done, images in all).

    Raises SourceError when the source cannot be read or holds nothing usable, RejectsError when
    too much of it is unusable, StoreError when the store cannot be written. Nothing is left then.
    """
    if fit not in FITS:
        raise SourceError(f"unknown --fit {fit!r}; known: {', '.join(FITS)}")
    source, target = Path(source), Path(store)
    patterns = [include] if isinstance(include, str) else list(include or ())
    StoreWriter.check(target, replace=force)
    # OpenCV's own threads would compete with ours.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with (
            strict_pillow(),
            closing(
                open_source(source, layout=layout, include=patterns, scratch=target.parent)
            ) as plan,
        ):
            chosen = size or _common_size(source, plan, max_pixels)
            settings = _Settings(chosen, fit, max_pixels)
            return _write(
                source, target, plan, settings, max_rejects, mpp, force, workers, progress
            )
    finally:
        cv2.setNumThreads(threads)


def _write(
    source: Path,
    target: Path,
    plan: Plan | ArrayPlan,
    settings: _Settings,
    max_rejects: float | int,
    mpp: float | None,
    force: bool,
    workers: int | None,
    progress: Progress | None,
) -> PatchStore:
    rejects = list(plan.rejects) if isinstance(plan, Plan) else []
    total = len(plan) + len(rejects)
    twins = plan.twins if isinstance(plan, Plan) else {}
    leaders = set(twins.values())
    digests: dict[int, set[str]] = {}
    nested = differing = 0
    done = len(rejects)
    height, width = settings.size
    with StoreWriter(
        target,
        classes=plan.classes,
        patch_size=settings.size,
        mpp=plan.layout.mpp if mpp is None else mpp,
        replace=force,
    ) as writer:
        with closing(_in_order(_tasks(plan, settings), workers, settings.size)) as chunks:
            for chunk in chunks:
                drop = []
                nested += len(chunk.copies)
                if twins:
                    for row, number in enumerate(chunk.numbers):
                        leader = twins.get(number, number)
                        if leader not in leaders:
                            continue
                        digest = chunk.columns["digest"][row]
                        known = digests.setdefault(leader, set())
                        if digest in known:
                            drop.append(row)
                        elif known:
                            differing += 1
                        known.add(digest)
                nested += len(drop)
                _append(writer, chunk, drop)
                rejects += chunk.rejects
                done += chunk.seen
                if progress is not None:
                    progress(done, total)
        _check_rejects(source, rejects, writer.count, total, max_rejects)
        table = writer.table()
        other = (pl.col("width") != width) | (pl.col("height") != height)
        notes = list(plan.notes)
        if not (table["case"] != "").all():
            notes.append(
                "the source does not say which case a patch is of: no split of this store can "
                "promise disjoint cases"
            )
        rejects.sort()
        writer.info.update(
            layout=plan.layout.name,
            source=source.name,
            fit=settings.fit,
            nested_copies=nested,
            nested_differing=differing,
            other_sizes=int(table.select(other.sum()).item()),
            **_repeated(table, plan.classes),
            rejects_count=len(rejects),
            reject_reasons=dict(sorted(Counter(kind_of(why) for _, why in rejects).items())),
            rejects=[{"source": name, "reason": why} for name, why in rejects[:LISTED_REJECTS]],
            ignored=plan.ignored if isinstance(plan, Plan) else 0,
            excluded=plan.excluded if isinstance(plan, Plan) else 0,
            made_up=plan.made_up,
            notes=notes,
        )
    return PatchStore.open(target)


def kind_of(reason: str) -> str:
    """What a reject is counted by: its reason up to the colon.

    >>> kind_of("truncated: PNG ends after 7 bytes")
    'truncated'
    """
    return reason.partition(":")[0]


def _append(writer: StoreWriter, chunk: _Chunk, drop: list[int]) -> None:
    if drop:
        keep = np.ones(len(chunk.patches), bool)
        keep[drop] = False
        chunk.patches = chunk.patches[keep]
        chunk.columns = {
            name: [value for value, kept in zip(values, keep, strict=True) if kept]
            for name, values in chunk.columns.items()
        }
    if len(chunk.patches):
        writer.append(chunk.patches, chunk.columns)


def _repeated(table: pl.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Equal pixels: how many patches repeat an earlier one, and which carry several labels."""
    conflicts = (
        table.with_row_index("row")
        .filter(pl.len().over("digest") > 1)
        .filter(pl.col("label").n_unique().over("digest") > 1)
        .group_by("digest", maintain_order=True)
        .agg("row", "label", "source")
    )
    listed = [
        [
            {"row": row, "label": classes[label], "source": name}
            for row, label, name in zip(found["row"], found["label"], found["source"], strict=True)
        ]
        for found in conflicts.head(LISTED_CONFLICTS).to_dicts()
    ]
    return {
        "duplicates": table.height - table["digest"].n_unique(),
        "conflicts": {"count": conflicts.height, "listed": listed},
    }


def _check_rejects(
    source: Path,
    rejects: Sequence[tuple[str, str]],
    kept: int,
    total: int,
    allowed: float | int,
) -> None:
    reasons = Counter(kind_of(why) for _, why in rejects)
    shown = ", ".join(f"{kind} {count}" for kind, count in reasons.most_common(6))
    first = f"; the first is {rejects[0][0]} ({rejects[0][1]})" if rejects else ""
    if kept == 0:
        raise SourceError(
            f"{source} holds nothing usable: {len(rejects)} of {total} images are rejected "
            f"({shown or 'none found'}){first}"
        )
    most = allowed if isinstance(allowed, int) else allowed * total
    if len(rejects) > most:
        limit = f"{allowed}" if isinstance(allowed, int) else f"{100 * allowed:g}%"
        raise RejectsError(
            f"{len(rejects)} of {total} images of {source} are unusable, more than --max-rejects "
            f"{limit}: {shown}{first}; mend the source or allow them with --max-rejects "
            f"{len(rejects)}"
        )


def _common_size(source: Path, plan: Plan | ArrayPlan, max_pixels: int) -> tuple[int, int]:
    """(height_px, width_px): the most common one of 200 headers spread over the source."""
    if isinstance(plan, ArrayPlan):
        return plan.size
    sizes: Counter[tuple[int, int]] = Counter()
    first = ""
    count = len(plan)
    for k in sorted({k * count // 200 for k in range(200)}) if count else ():
        try:
            sizes[image_size(plan.files.read(plan.members[k]), max_pixels)] += 1
        except ImageError as error:
            first = first or f"{plan.columns['source'][k]} ({error})"
    if not sizes:
        if not first and plan.rejects:
            first = f"{plan.rejects[0][0]} ({plan.rejects[0][1]})"
        raise SourceError(f"{source} holds nothing usable; the first image is {first}")
    return max(sizes, key=lambda found: (sizes[found], found))


def _tasks(plan: Plan | ArrayPlan, settings: _Settings) -> Iterator[Callable[[], _Chunk]]:
    if isinstance(plan, ArrayPlan):
        with closing(plan.blocks()) as blocks:  # type: ignore[type-var]
            for block in blocks:
                yield partial(_convert, block, settings)
        return
    height, width = settings.size
    step = max(1, min(_CHUNK_PATCHES, _CHUNK_BYTES // (3 * height * width)))
    for start in range(0, len(plan), step):
        yield partial(_decode, plan, start, min(start + step, len(plan)), settings)


def _in_order(
    tasks: Iterator[Callable[[], _Chunk]], workers: int | None, size: tuple[int, int]
) -> Iterator[_Chunk]:
    """Run tasks in threads and give their chunks in order; only so many wait at a time."""
    count = workers or min(8, available_cores())
    chunk_bytes = max(3 * size[0] * size[1], min(_CHUNK_BYTES, 768 * size[0] * size[1]))
    window = max(1, min(2 * count + 2, _WAITING_BYTES // chunk_bytes))
    pool = ThreadPoolExecutor(count, thread_name_prefix="pack")
    waiting: deque[Future[_Chunk]] = deque()
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


def _decode(plan: Plan, start: int, stop: int, settings: _Settings) -> _Chunk:
    height, width = settings.size
    count = stop - start
    patches = np.empty((count, height, width, 3), np.uint8)
    sizes = [settings.size] * count
    kept: list[int] = []
    rejects = []
    copies = []
    plain: list[int] = []
    rows: list[bytes] = []
    files, members, twins = plan.files, plan.members, plan.twins
    for slot in range(count):
        number = start + slot
        try:
            data = files.read(members[number])
            leader = twins.get(number)
            if leader is not None and _is_copy(plan, number, leader, data):
                copies.append(number)
                continue
            if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) < _LARGE_BYTES:
                png = read_png(data, settings.max_pixels)
                if png.plain and (png.height, png.width) == settings.size:
                    plain.append(slot)
                    rows.append(png.rows)
                    kept.append(slot)
                    continue
            with _LARGE:
                image = decode(data, max_pixels=settings.max_pixels)
                sizes[slot] = image.shape[0], image.shape[1]
                patches[slot] = fit_patch(image, settings.size, settings.fit)
            kept.append(slot)
        except ImageError as error:
            rejects.append((plan.columns["source"][number], str(error)))
    if plain:
        patches[plain] = unfilter(rows, height, width)
    if len(kept) < count:
        patches = patches[kept]
    columns: dict[str, Any] = {
        name: [values[start + slot] for slot in kept] for name, values in plan.columns.items()
    }
    columns["height"] = [sizes[slot][0] for slot in kept]
    columns["width"] = [sizes[slot][1] for slot in kept]
    columns["digest"] = pixel_digests(patches)
    numbers = [start + slot for slot in kept]
    return _Chunk(count, patches, columns, numbers, rejects, copies)


def _is_copy(plan: Plan, number: int, leader: int, data: bytes) -> bool:
    """Whether a twin is byte for byte its leader; one that cannot be read is no leader."""
    first, second = plan.members[leader], plan.members[number]
    if not plan.files.same_bytes(first, second):
        return False
    try:
        return plan.files.read(first) == data
    except ImageError:
        return False


def _convert(block: Block, settings: _Settings) -> _Chunk:
    pixels = to_rgb(block.images)
    count = len(pixels)
    height, width = pixels.shape[1:3]
    columns: Mapping[str, list[Any]] = block.columns
    return _Chunk(count, pixels, {**columns, "digest": pixel_digests(pixels),
                  "height": [height] * count, "width": [width] * count}, [-1] * count)  # fmt: skip
