"""From an archive of patches to a store: decode in threads, write in order, count everything."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from eosin.data.chunks import Chunk, in_order, tasks_of
from eosin.data.decode import MAX_PIXELS, STRICT, image_size
from eosin.data.depth import FULL, Deep, depth_sentence, white_of
from eosin.data.fit import FITS, PictureRule
from eosin.data.identity import origin_of
from eosin.data.positive import PositiveClass, choose_positive
from eosin.data.store import INDEX_SCHEMA, PatchStore, StoreWriter
from eosin.errors import ImageError, RejectsError, SourceError
from eosin.folders import check_target
from eosin.sources.arrays import ArrayPlan
from eosin.sources.detect import open_source
from eosin.sources.layouts import PARTS, plainly
from eosin.sources.plans import Plan, readable

Progress = Callable[[int, int], None]

#: How many rejects and label conflicts store.json lists; the counts are always complete.
LISTED_REJECTS, LISTED_CONFLICTS = 10_000, 50


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
    positive: str | None = None,
    include: str | Sequence[str] | None = None,
    table: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    levels: str | None = None,
    case_pattern: str | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PatchStore:
    """Pack labeled patches into a store.

    source: a zip, tar, folder, CSV, Parquet, npz, IDX or HDF5 file; see ``eosin.sources.layouts``.
    store: the folder to make. layout: its name, or None to detect it. size: (height_px, width_px)
    of the patches, or None for the most common size of a sample. fit: what happens to other
    sizes: "pad", "resize" or "reject" (``eosin.data.fit``).
    max_rejects: the share (float below 1) or number (int) of unusable images that is tolerated.
    max_pixels: the most pixels an image may declare. mpp: micrometers a pixel. positive: which of
    two classes is positive, and so the second (``eosin.data.positive``), or None to know it from
    the names. include: glob patterns of members to keep. table: the table that lists the images,
    where there are several. columns: role -> column of that table (``eosin.sources.tables.ROLES``),
    where names do not decide. levels: what each level of folders is, such as "part/label/case", or
    None to find that. case_pattern: a regular expression with one group, the case, that is searched
    in file names, or in paths if it has a slash. force: replace a store. workers: threads, all
    cores by default. progress: called with (images done, images in all).

    Raises SourceError when the source cannot be read or has nothing usable, RejectsError when
    too much of it is unusable, DiskError where the disk refuses it. Nothing is left then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, value in (("benign", 0), ("malignant", 255)):
    ...         (Path(folder) / "images" / name).mkdir(parents=True)
    ...         image = np.full((4, 4, 3), value, np.uint8)
    ...         _ = cv2.imwrite(f"{folder}/images/{name}/1.png", image)
    ...     made = pack(f"{folder}/images", f"{folder}/store")
    ...     made.classes, made.labels.tolist(), made.patches[1, 0, 0].tolist()
    (('benign', 'malignant'), [0, 1], [255, 255, 255])
    """
    if fit not in FITS:
        raise SourceError(f"unknown --fit {fit!r}; known: {', '.join(FITS)}")
    source, target = Path(source), Path(store)
    patterns = [include] if isinstance(include, str) else list(include or ())
    check_target(target, "store", force=force, inputs={"SOURCE": source})
    # Before it is read: a source that changes meanwhile is not taken for the one that was packed.
    origin = origin_of(source) if source.exists() else {}
    with STRICT, closing(
        _plan(
            source,
            layout=layout,
            include=patterns,
            table=table,
            columns=columns,
            levels=levels,
            case_pattern=case_pattern,
            scratch=target.parent,
        )
    ) as plan:  # fmt: skip
        rule = PictureRule(size or _common_size(source, plan, max_pixels), fit, max_pixels)
        return pack_plan(
            plan, source, target, origin=origin, rule=rule, max_rejects=max_rejects, mpp=mpp,
            positive=positive, force=force, workers=workers, progress=progress,
        )  # fmt: skip


def pack_plan(
    plan: Plan | ArrayPlan,
    source: Path,
    store: Path,
    *,
    origin: Mapping[str, Any],
    rule: PictureRule,
    max_rejects: float | int = 0.01,
    mpp: float | None = None,
    positive: str | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PatchStore:
    """Pack what a plan lists, which stays open; arguments and errors as ``pack`` has them.

    source: what it was planned from, for messages; origin: what that is (``identity.origin_of``);
    rule: how an image becomes a patch.
    """
    # OpenCV's own threads would compete with ours.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with STRICT:
            chosen = choose_positive(plan.classes, positive, fixed=plan.layout.classes is not None)
            more = max_rejects, mpp, chosen, force, workers, progress
            try:
                return _write(source, origin, store, plan, rule, *more)
            except _OtherWhiteError as error:
                # What is white is known when all images are read; nearly always it is right.
                rule = rule._replace(white=error.white)
                return _write(source, origin, store, plan, rule, *more)
    finally:
        cv2.setNumThreads(threads)


class _OtherWhiteError(Exception):
    """Images of more than 8 bits were read by another rule than all of their values call for."""

    def __init__(self, white: float) -> None:
        self.white = white


def _plan(source: Path, **options: Any) -> Plan | ArrayPlan:
    """What is to be packed, listed without pauses of the garbage collector: a sixth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return open_source(source, **options)
    finally:
        if collecting:
            gc.enable()


def _write(
    source: Path,
    origin: Mapping[str, Any],
    target: Path,
    plan: Plan | ArrayPlan,
    rule: PictureRule,
    max_rejects: float | int,
    mpp: float | None,
    positive: PositiveClass,
    force: bool,
    workers: int | None,
    progress: Progress | None,
) -> PatchStore:
    rejects = list(plan.rejects)
    total = len(plan) + len(rejects)
    twins = plan.twins if isinstance(plan, Plan) else {}
    leaders = set(twins.values())
    digests: dict[int, set[str]] = {}
    nested = differing = 0
    done = len(rejects)
    height, width = rule.size
    # Of two classes the positive one is the second.
    reverse = positive.name == plan.classes[0]
    classes = plan.classes[::-1] if reverse else plan.classes
    deep: list[Deep] = []
    with StoreWriter(
        target,
        classes=classes,
        patch_size=rule.size,
        mpp=plan.layout.mpp if mpp is None else mpp,
        replace=force,
    ) as writer:
        numbers: list[int] = []
        columns: dict[str, Any] = {}
        with closing(in_order(tasks_of(plan, rule), workers, rule.size)) as chunks:
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
                _drop(chunk, drop)
                writer.append(chunk.patches)
                numbers += chunk.numbers
                for name, values in chunk.columns.items():
                    columns.setdefault(name, []).extend(values)
                rejects += chunk.rejects
                deep += chunk.deep
                done += chunk.seen
                if progress is not None:
                    progress(done, total)
        _check_rejects(source, rejects, writer.count, total, max_rejects)
        white = white_of(deep)
        assumed = rule.white or (None if any(one.real for one in deep) else FULL)
        if white is not None and white != assumed:
            raise _OtherWhiteError(white)
        if isinstance(plan, Plan):
            # The plan's lists go, one by one, or they would be in memory twice.
            for name in list(plan.columns):
                column = pl.Series(name, plan.columns.pop(name), INDEX_SCHEMA[name])
                columns[name] = column.gather(numbers)
        if reverse:
            columns["label"] = 1 - np.asarray(columns["label"], np.int16)
        # One table of all is many times quicker than a small one a chunk.
        writer.describe(columns)
        del columns
        table = writer.table()
        other = (pl.col("width") != width) | (pl.col("height") != height)
        notes = list(plan.notes)
        if not (table["case"] != "").all():
            notes.append(
                "the source does not give the case of every patch: no split of this store can "
                "guarantee disjoint cases"
            )
        parts = Counter(table["part"])
        if len(parts) > 1 and "train" in parts and parts.keys() <= set(PARTS):
            shown = ", ".join(f"{name} {parts[name]:,}" for name in PARTS if name in parts)
            notes.append(f"the source has parts ({shown}): eosin split --by given uses them")
        if white is not None:
            notes.append(depth_sentence(sum(one.images for one in deep), white))
        rejects.sort()
        writer.info.update(
            positive=positive.name or None,
            positive_by=positive.by,
            white=white,
            deep_images=sum(one.images for one in deep),
            layout=plan.layout.name,
            reading=plan.reading,
            source=source.name,
            origin=origin,
            fit=rule.fit,
            nested_copies=nested,
            nested_differing=differing,
            other_sizes=int(table.select(other.sum()).item()),
            **_repeated(table, classes),
            rejects_count=len(rejects),
            reject_reasons=dict(sorted(Counter(kind_of(why) for _, why in rejects).items())),
            rejects=[
                {"source": readable(name), "reason": readable(why)}
                for name, why in rejects[:LISTED_REJECTS]
            ],
            ignored=plan.ignored if isinstance(plan, Plan) else 0,
            excluded=plan.excluded if isinstance(plan, Plan) else 0,
            made_up=plan.made_up,
            notes=notes,
        )
        if isinstance(plan, Plan) and plan.table is not None:
            writer.info["table"] = plan.table
    return PatchStore.open(target)


def kind_of(reason: str) -> str:
    """What a reject is counted by: its reason up to the colon.

    >>> kind_of("truncated: PNG ends after 7 bytes")
    'truncated'
    """
    return reason.partition(":")[0]


def _drop(chunk: Chunk, rows: list[int]) -> None:
    """Take rows out of a chunk."""
    if not rows:
        return
    keep = np.ones(len(chunk.patches), bool)
    keep[rows] = False
    chunk.patches = chunk.patches[keep]
    chunk.numbers = [number for number, kept in zip(chunk.numbers, keep, strict=True) if kept]
    chunk.columns = {
        name: [value for value, kept in zip(values, keep, strict=True) if kept]
        for name, values in chunk.columns.items()
    }


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
            for row, label, name in zip(*columns, strict=True)
        ]
        for _, *columns in conflicts.head(LISTED_CONFLICTS).rows()
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
    first = f"; the first is {plainly(rejects[0][0])} ({plainly(rejects[0][1])})" if rejects else ""
    if kept == 0:
        raise SourceError(
            f"{source} contains nothing usable: {len(rejects)} of {total} images are rejected "
            f"({shown or 'none found'}){first}"
        )
    most = allowed if isinstance(allowed, int) else allowed * total
    if len(rejects) > most:
        limit = f"{allowed}" if isinstance(allowed, int) else f"{100 * allowed:g}%"
        raise RejectsError(
            f"{len(rejects)} of {total} images of {source} are unusable, more than --max-rejects "
            f"{limit}: {shown}{first}; fix the source, or allow them with --max-rejects "
            f"{len(rejects)}"
        )


def _common_size(source: Path, plan: Plan | ArrayPlan, max_pixels: int) -> tuple[int, int]:
    """(height_px, width_px): the most common one of 200 headers spread over the source."""
    if isinstance(plan, ArrayPlan):
        return plan.size
    sizes: Counter[tuple[int, int]] = Counter()
    first = ""
    count = len(plan)
    near = plan.files.together
    places = (k // near * near * count // 200 + k % near for k in range(200))
    for k in sorted({min(place, count - 1) for place in places}) if count else ():
        try:
            sizes[image_size(plan.files.read(plan.members[k]), max_pixels)] += 1
        except ImageError as error:
            first = first or f"{plainly(plan.columns['source'][k])} ({error})"
    if not sizes:
        if not first and plan.rejects:
            first = f"{plainly(plan.rejects[0][0])} ({plan.rejects[0][1]})"
        raise SourceError(f"{source} contains nothing usable; the first image is {first}")
    return max(sizes, key=lambda size: (sizes[size], size))
