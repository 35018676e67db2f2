"""From slides and annotations to a store: each slide is looked at, then its patches are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eosin.errors import EosinError, SlideError, SourceError, needing
from eosin.slides.annotations import by_class, file_for, read_annotations
from eosin.slides.find import TissueSettings, find_tissue
from eosin.slides.labeled import Cut, Places, place_patches, steps_of
from eosin.slides.listing import Listed, listed, slides_in
from eosin.slides.opening import open_slide
from eosin.slides.reading import read
from eosin.slides.slide import Pixels
from eosin.sources.arrays import ArrayPlan, Block
from eosin.sources.layouts import Layout, natural_key, plainly
from eosin.sources.names import CasePattern

if TYPE_CHECKING:
    from eosin.data.store import PatchStore

#: Bytes of patches that are read at a time.
_BLOCK_BYTES = 8 << 20


@dataclass
class _Source:
    """A slide with its patches."""

    path: Path
    about: Listed
    places: Places
    #: The width of the field that a patch shows, in level-0 pixels.
    field_px: int


def plan_slides(
    slides: Sequence[Path],
    annotations: Path,
    cut: Cut,
    *,
    table: Path | None = None,
    case_pattern: str | None = None,
    reader: str | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ArrayPlan:
    """What is to be packed: the labeled patches of all slides that have a file of annotations.

    annotations: the folder of these files, each named as its slide. progress: called with (slides
    done, slides in all). A slide that fails is a reject of the plan. Raises SourceError where no
    patch is found, or what was asked for cannot be.
    """
    with needing("slides", "reading annotations"):
        import shapely  # noqa: F401

    if not annotations.is_dir():
        raise SourceError(f"--annotations {annotations} is no folder; give that of the annotations")
    if twice := [stem for stem, n in Counter(path.stem for path in slides).items() if n > 1]:
        raise SourceError(
            f"{len(twice):,} names of slides are there twice, such as {plainly(twice[0])}: "
            "annotations are found by the slide's name; pack the folders one by one, or rename them"
        )
    pattern = None if case_pattern is None else CasePattern(case_pattern)
    known, notes, bad = listed(slides, table, pattern)
    rejects = [(path.name, reason) for path, reason in bad]
    sources: list[_Source] = []
    without: list[str] = []
    unknown: dict[str, None] = {}
    left_out: Counter[str] = Counter()
    for done, (path, about) in enumerate(known.items(), 1):
        try:
            file = file_for(path, annotations)
            if file is None:
                without.append(path.name)
                continue
            with closing(open_slide(path, reader=reader, mpp=about.mpp)) as slide:
                found = read_annotations(file, slide.bounds)
                classes = by_class(found.areas, cut.classes)
                tissue = find_tissue(slide, TissueSettings(focus_um=0))
                places = place_patches(slide, classes, tissue, cut)
                side = steps_of(slide, cut)[1]
                field_px = round(max(side[0] * cut.size_px[1], side[1] * cut.size_px[0]))
        except (SlideError, SourceError) as error:
            rejects.append((path.name, f"unusable slide: {error}"))
            continue
        finally:
            if progress is not None:
                progress(done, len(known))
        notes += found.notes
        unknown |= dict.fromkeys(classes.unknown_names)
        left_out.update(places.left_out)
        sources.append(_Source(path, about, places, field_px))
    count = sum(len(source.places.x) for source in sources)
    if not count:
        reasons = [f"{name}: {reason}" for name, reason in rejects[:3]]
        reasons += [f"no annotations for {plainly(', '.join(without[:3]))}"] if without else []
        reasons += [f"classes not asked for: {_listed(unknown)}"] if unknown else []
        reasons += [f"{n:,} patches {why}" for why, n in left_out.items() if n]
        raise SourceError(
            f"no labeled patch in {len(slides):,} slides and {annotations}"
            + (f" ({'; '.join(reasons)})" if reasons else "")
        )
    notes += _notes(without, unknown, left_out, cut)
    names = {name for source in sources for name in source.places.names}
    ordered = sorted(names, key=natural_key)
    asked = ", ".join(f"{a or '(no class)'}={b}" for a, b in cut.classes.items())
    slides_ = f"{len(sources):,} slide{'s' * (len(sources) != 1)}"
    text = (
        f"slides: {count:,} patches of {slides_}, labeled where at least "
        f"{100 * cut.overlap:g} % of a patch is in areas of a class"
        + (f", else {cut.background}" if cut.background else "")
        + (f"; classes {asked}" if asked else "")
    )
    return ArrayPlan(
        Layout("slides", "slides and annotations", None, None, cut.mpp), ordered, cut.size_px,
        count, lambda: _blocks(sources, ordered, cut, reader, workers), notes=notes,
        rejects=rejects,
        reading={
            "levels": None, "case_pattern": case_pattern, "text": text,
            "fields_px": {source.path.stem: source.field_px for source in sources},
        },
    )  # fmt: skip


def _notes(
    without: Sequence[str], unknown: Mapping[str, None], left_out: Mapping[str, int], cut: Cut
) -> list[str]:
    notes = []
    if without:
        shown = plainly(", ".join(without[:5])) + (", ..." if len(without) > 5 else "")
        notes.append(f"{len(without):,} slides have no file of annotations: {shown}")
    if unknown:
        where = "neither labeled nor background" if cut.background else "not labeled"
        notes.append(f"areas of {_listed(unknown)} are {where}; --class NAME=CLASS takes them")
    notes += [f"{n:,} patches were left out: {why}" for why, n in left_out.items() if n]
    return notes


def _listed(names: Mapping[str, None]) -> str:
    shown = [plainly(name, 40) or "(no class)" for name in list(names)[:5]]
    return ", ".join(shown) + (", ..." if len(names) > 5 else "")


def _blocks(
    sources: Sequence[_Source], classes: Sequence[str], cut: Cut, reader: str | None, workers: int
) -> Generator[Block]:
    """The patches of all slides, a few at a time, each with its row of the index."""
    numbers = {name: k for k, name in enumerate(classes)}
    height, width = cut.size_px
    most = max(1, min(256, _BLOCK_BYTES // (3 * height * width)))
    with ThreadPoolExecutor(workers, thread_name_prefix="slide") as pool:
        for source in sources:
            with closing(open_slide(source.path, reader=reader, mpp=source.about.mpp)) as slide:
                side = steps_of(slide, cut)[1]
                for start in range(0, len(source.places.x), most):
                    part = slice(start, start + most)
                    corners = [v[part].tolist() for v in (source.places.x, source.places.y)]
                    tasks = [
                        pool.submit(read, slide, x, y, width, height, side)
                        for x, y in zip(*corners, strict=True)
                    ]
                    made: list[Pixels | str] = []
                    for task in tasks:
                        try:
                            made.append(task.result())
                        except EosinError as error:
                            made.append(f"damaged: {error}")
                    yield _block(source, part, made, numbers, cut)


def _block(
    source: _Source, part: slice, made: Sequence[Pixels | str], numbers: Mapping[str, int], cut: Cut
) -> Block:
    """What was read of some patches: pixels, or why there are none."""
    x, y = source.places.x[part].tolist(), source.places.y[part].tolist()
    names = [f"{source.path.name} [x={a},y={b}]" for a, b in zip(x, y, strict=True)]
    good = [k for k, each in enumerate(made) if not isinstance(each, str)]
    images = np.empty((len(good), *cut.size_px, 3), np.uint8)
    for slot, k in enumerate(good):
        images[slot] = made[k]
    labels = [numbers[name] for name in source.places.names[part]]
    about = {"case": source.about.case, "slide": source.path.stem, "part": source.about.part}
    columns: dict[str, list[Any]] = {key: [value] * len(good) for key, value in about.items()}
    for key, values in {"label": labels, "x": x, "y": y, "source": names}.items():
        columns[key] = [values[k] for k in good]
    rejects = [(names[k], each) for k, each in enumerate(made) if isinstance(each, str)]
    return Block(images, columns, rejects)


def pack_slides(
    source: Path,
    annotations: Path,
    store: Path,
    cut: Cut,
    *,
    table: Path | None = None,
    case_pattern: str | None = None,
    max_rejects: float | int = 0.01,
    positive: str | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    looking: Callable[[int, int], None] | None = None,
) -> PatchStore:
    """Pack the labeled patches of slides into a store.

    source: a slide or a folder of slides; annotations: a folder of GeoJSON or XML files, each named
    as its slide; looking: called with (slides looked at, slides in all), progress with (patches,
    all). Other arguments and errors as ``eosin.data.pack.pack`` has them.
    """
    from eosin.cores import usable_cores
    from eosin.data.fit import PictureRule
    from eosin.data.identity import origin_of
    from eosin.data.pack import pack_plan
    from eosin.folders import check_target

    inputs = {"SOURCE": source, "--annotations": annotations, "--table": table}
    check_target(store, "store", force=force, inputs=inputs)
    slides = slides_in([source])
    threads = workers or min(8, usable_cores()[0])
    files = [*slides, *([table] if table else [])]
    files += sorted(annotations.iterdir()) if annotations.is_dir() else []
    origin = origin_of(source, files)
    plan = plan_slides(
        slides, annotations, cut, table=table, case_pattern=case_pattern, workers=threads,
        progress=looking,
    )  # fmt: skip
    with closing(plan):
        return pack_plan(
            plan, source, store, origin=origin, rule=PictureRule(cut.size_px),
            max_rejects=max_rejects, positive=positive, force=force, workers=workers,
            progress=progress,
        )  # fmt: skip
