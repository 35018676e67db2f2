"""Cases put together from their patches: tissue, labels, probability and errors, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.grid import Rows, positions, slide_numbers, step_px
from eosin.data.mosaic import EMPTY, Mosaic, mosaic_image
from eosin.data.store import PatchStore
from eosin.data.tints import (
    CLASS_COLORS,
    gray_name,
    label_colors,
    painted,
    probability_colors,
    rgb,
    scale_bar,
    shortened,
)
from eosin.evaluation.ranking import auroc
from eosin.figures.panels import INK, Key, Panel, compose
from eosin.reporting.pictures import MADE_UP, MOSAIC_BYTES, Draft, Gallery, Image, within
from eosin.splitting.published import published_cases

#: Amber and purple: far apart in brightness and on the axis from yellow to blue, which every kind
#: of color vision sees; and neither is a class's color.
FALSE_POSITIVE, MISSED, REFERRED, OUTSIDE = "#f2a900", "#5a189a", "#7d8590", "#3c434d"
REFER, OUT_OF_SCOPE = "refer", "out of scope"
_REFER, _OUT, _NONE = -1, -2, -3

#: Fewer patches make no picture of a case.
LEAST_PATCHES = 20
#: Share of a case's patches from which it counts as complete, where the whole number is known;
#: elsewhere the share of the patches' neighbors. A sample of 9 % has 9 % of them, a whole case of
#: the archive 75 to 93 % (its rim and its holes have none).
COMPLETE, CONTIGUOUS = 0.99, 0.5
_PAINT_PX = 1_500_000


@dataclass(frozen=True)
class CaseView:
    """One slide of the measured part, with what was said of it."""

    name: str
    #: Rows of the store on this slide: int64 [n].
    rows: Rows
    #: Rows of the store that were measured: int64 [m], their probabilities float [m, K], and their
    #: calls int64 [m]: a class, or less than 0 for what the model did not call.
    measured: Rows
    probabilities: npt.NDArray[np.float64]
    calls: Rows
    #: Patches of the whole case where the source is known to hold more or as many; else None.
    whole: int | None
    contiguity: float

    @property
    def complete(self) -> bool:
        """Whether (nearly) all of the case was measured."""
        if self.whole is not None:
            return len(self.measured) >= COMPLETE * self.whole
        shown = len(self.measured) >= COMPLETE * len(self.rows)
        return shown and self.contiguity >= CONTIGUOUS


def case_mosaics(
    store: PatchStore,
    table: pl.DataFrame,
    *,
    most: int = 3,
    threshold: float | None = None,
    budget_bytes: int = MOSAIC_BYTES,
) -> Gallery:
    """Pictures of complete cases: the best, the median and the worst by AUROC.

    table: rows of predictions.parquet of the measured part: ``patch`` (row of the store),
    ``p_<class>`` and ``decision``; threshold: for the captions only, two classes. Each picture has
    four panels: tissue, labels, probability (two classes) or calls (more), errors. Where fewer than
    ``most`` cases are complete, the most complete and largest ones stand in, and captions and the
    note say how much of them is there. Where nothing can be drawn, ``items`` is empty and the note
    is the reason.
    Raises ValueError where the table has rows that the store lacks, or lacks a column.
    """
    views, reason = case_views(store, table)
    if not views:
        return Gallery([], reason, 1)
    chosen, note = choose(store, views, most)
    drafts = [_draft(store, view, role, threshold) for view, role in chosen]
    pictures, left_out = within(drafts, budget_bytes)
    made_up = MADE_UP if store.made_up else ""
    return Gallery(pictures, " ".join(part for part in (made_up, note, left_out) if part), 1)


def case_views(store: PatchStore, table: pl.DataFrame) -> tuple[list[CaseView], str]:
    """Every slide of the measured part that can be drawn, or none and the reason."""
    columns = [f"p_{name}" for name in store.classes]
    if missing := [name for name in ("patch", "decision", *columns) if name not in table.columns]:
        raise ValueError(f"the predictions lack the columns {missing}")
    if not table.height:
        return [], "There are no predictions to draw."
    patches = table["patch"].to_numpy().astype(np.int64)
    if not 0 <= patches.min() <= patches.max() < len(store):
        raise ValueError(f"predictions of rows up to {patches.max()}, the store has {len(store)}")
    x, y, known = positions(store)
    if not known[patches].any():
        return [], "The positions of the patches are unknown, so no case can be put together."
    probabilities = table.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    codes = {name: k for k, name in reversed(list(enumerate(store.classes)))}
    codes = {REFER: _REFER, OUT_OF_SCOPE: _OUT, **codes}
    calls = np.array([codes.get(word, _NONE) for word in table["decision"].to_list()], np.int64)
    whole = _whole_counts(store)
    slides = slide_numbers(store)
    several = _cases_of_many_slides(store)
    views = []
    on = np.flatnonzero(known[patches])
    on = on[np.argsort(slides[patches[on]], kind="stable")]
    every = np.flatnonzero(known)
    every = every[np.argsort(slides[every], kind="stable")]
    for block in np.split(on, np.flatnonzero(np.diff(slides[patches[on]])) + 1):
        first = int(patches[block[0]])
        case, slide = str(store.cases[first]), str(store.index["slide"][first])
        low, high = np.searchsorted(slides[every], [slides[first], slides[first] + 1])
        rows = every[low:high]
        if len(block) < LEAST_PATCHES or not (case or slide):
            continue
        name = f"Case {shortened(case, 40)}" if case else f"Slide {shortened(slide, 40)}"
        name += f", slide {shortened(slide, 40)}" if case in several else ""
        views.append(
            CaseView(
                name, rows, patches[block], probabilities[block], calls[block],
                whole.get(case), contiguity(x[rows], y[rows]),
            )
        )  # fmt: skip
    return views, f"No case has {LEAST_PATCHES} patches at known positions."


def contiguity(x: Rows, y: Rows) -> float:
    """The share of the patches' four neighbors on the grid that are there as well.

    x, y: int64 [n], level-0 pixels of one slide. A random sample of a share s of a large slide has
    about s.

    >>> x, y = (axis.ravel() for axis in np.meshgrid(np.arange(0, 100, 50), np.arange(0, 100, 50)))
    >>> contiguity(x, y)
    0.5
    """
    step = step_px(np.zeros(len(x), np.int64), x, y)
    if not step:
        return 0.0
    cells = set(zip((x // step).tolist(), (y // step).tolist(), strict=True))
    there = sum(
        (column + dx, line + dy) in cells
        for column, line in cells
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    )
    return there / (4 * len(cells))


def choose(
    store: PatchStore, views: Sequence[CaseView], most: int
) -> tuple[list[tuple[CaseView, str]], str]:
    """The cases to show, each with its place among the others in words, and a note."""
    scores = np.array([_score(store, view)[0] for view in views])
    complete = [k for k in range(len(views)) if views[k].complete]
    ranked = sorted(
        (k for k in complete if np.isfinite(scores[k])), key=lambda k: (-scores[k], views[k].name)
    )
    unranked = sorted((k for k in complete if not np.isfinite(scores[k])), key=lambda k: k)
    by = "AUROC" if len(store.classes) == 2 else "accuracy"
    # Without a count of the whole case, all that is known is that its patches lie together.
    whole = all(views[k].whole is not None for k in complete)
    kind = "complete" if whole else "contiguous"
    chosen: list[tuple[int, str]] = []
    if len(ranked) <= most:
        chosen = [(k, "") for k in ranked]
    else:
        places = np.linspace(0, len(ranked) - 1, most).round().astype(int).tolist()
        words = {0: "best", len(ranked) - 1: "worst"}
        if most % 2:
            words.setdefault(places[most // 2], "median")
        for place in places:
            role = words.get(place, f"number {place + 1}")
            chosen.append((ranked[place], f"{role} of {len(ranked)} {kind} cases by {by}"))
    chosen += [(k, "") for k in unranked[: max(0, most - len(chosen))]]
    others = sorted(
        (k for k in range(len(views)) if k not in complete),
        key=lambda k: (views[k].contiguity < CONTIGUOUS, -len(views[k].measured), views[k].name),
    )
    if complete:
        others = [k for k in others if views[k].contiguity >= CONTIGUOUS]
    chosen += [(k, "") for k in others[: max(0, most - len(chosen))]]
    partial = sum(not views[k].complete for k, _ in chosen)
    note = ""
    if not complete:
        note = "No case of the measured part is complete; the largest ones are shown."
    elif partial:
        one = "1 case" if len(complete) == 1 else f"{len(complete)} cases"
        note = f"Only {one} of the measured part can be shown whole; the others are parts of cases."
    return [(views[k], role) for k, role in chosen], note


def _score(store: PatchStore, view: CaseView) -> tuple[float, str]:
    """What cases are ordered by, and its name."""
    truth, found = store.labels[view.measured], view.probabilities
    finite = np.isfinite(found).all(axis=1)
    if not finite.any():
        return float("nan"), "AUROC"
    if len(store.classes) == 2:
        return auroc(truth[finite], found[finite, 1]), "AUROC"
    return float((found[finite].argmax(axis=1) == truth[finite]).mean()), "accuracy"


def _whole_counts(store: PatchStore) -> dict[str, int]:
    """Case -> patches in the archive, for a store packed from it; else nothing."""
    if store.info.get("layout") != "idc" or store.made_up:
        return {}
    return {
        each.case: each.n_negative + (each.n_positive or 0)
        for each in published_cases()
        if each.n_negative is not None
    }


def _cases_of_many_slides(store: PatchStore) -> set[str]:
    pairs = store.index.select("case", "slide").unique()
    return set(pairs.filter(pl.col("case").is_duplicated())["case"].to_list())


def _draft(store: PatchStore, view: CaseView, role: str, threshold: float | None) -> Draft:
    mosaic = mosaic_image(store, view.rows, max_px=_PAINT_PX)
    order = np.full(len(store), -1, np.int64)
    order[view.measured] = np.arange(len(view.measured))
    place = order[mosaic.rows]
    measured = place >= 0
    calls = np.where(measured, view.calls[place], _NONE)
    values = np.where(measured[:, None], view.probabilities[place], np.nan)
    labels = store.labels[mosaic.rows]
    bar = scale_bar(store, mosaic, most=0.4)
    panels = [
        Panel("Tissue", mosaic.image, bar=bar),
        _label_panel(store, mosaic, labels),
        _value_panel(store, mosaic, values, calls),
        _error_panel(store, mosaic, labels, calls),
    ]
    title = view.name + (f": {role}" if role else "")
    caption = _caption(store, view, threshold)
    what = "probability" if len(store.classes) == 2 else "the model's calls"
    alt = (
        f"{view.name} put together from its patches, four times: the tissue, its labels, {what}, "
        f"and the errors. {caption}"
    )
    return Draft(compose(panels), title, alt, caption)


def _label_panel(store: PatchStore, mosaic: Mosaic, labels: Rows) -> Panel:
    counts = np.bincount(labels, minlength=len(store.classes))
    keys = [
        Key(CLASS_COLORS[k % len(CLASS_COLORS)], f"{shortened(name, 24)} {counts[k]:,}")
        for k, name in enumerate(store.classes)
        if counts[k]
    ]
    return Panel("Labels", painted(mosaic, label_colors(labels), 0.62), keys[:6])


def _value_panel(
    store: PatchStore, mosaic: Mosaic, values: npt.NDArray[np.float64], calls: Rows
) -> Panel:
    keys = []
    if len(store.classes) == 2:
        unknown = np.isnan(values[:, 1])
        colors = probability_colors(values[:, 1])
        image = painted(mosaic, colors, np.where(unknown, 0.0, 0.78))
        title, ramp = f"Probability of {shortened(store.classes[1], 22)}", ("0", "1")
    else:
        best = np.nan_to_num(values).argmax(axis=1)
        sure = np.nan_to_num(values).max(axis=1)
        image = painted(mosaic, label_colors(best), 0.8 * sure)
        title, ramp = "Most probable class", None
        found = np.bincount(best[sure > 0], minlength=len(store.classes))
        keys = [
            Key(CLASS_COLORS[k % len(CLASS_COLORS)], shortened(name, 24))
            for k, name in enumerate(store.classes)
            if found[k]
        ][:6]
    if (calls == _REFER).any():
        image = _hatched(image, mosaic, calls == _REFER)
        keys.append(Key("#f4f0ea", "referred", INK))
    if (calls == _OUT).any():
        image = _filled(image, mosaic, calls == _OUT, OUTSIDE)
        keys.append(Key(OUTSIDE, "out of scope"))
    return Panel(title, image, keys, ramp)


def _error_panel(store: PatchStore, mosaic: Mosaic, labels: Rows, calls: Rows) -> Panel:
    called = calls >= 0
    wrong = called & (calls != labels)
    kinds: list[tuple[npt.NDArray[np.bool_], str, str, float]] = []
    if len(store.classes) == 2:
        kinds += [
            (wrong & (calls == 1), FALSE_POSITIVE, f"false {shortened(store.classes[1], 14)}", 1),
            (wrong & (calls == 0), MISSED, "missed", 1),
        ]
    else:
        kinds.append((wrong, MISSED, "wrong class", 1))
    kinds += [
        (calls == _REFER, REFERRED, "referred", 0.75),
        (calls == _OUT, OUTSIDE, "out of scope", 1),
    ]
    colors, strength = np.zeros((len(calls), 3)), np.zeros(len(calls))
    keys = []
    for mask, color, text, share in kinds:
        colors[mask], strength[mask] = rgb(color), 0.9 * share
        if mask.any() or text.startswith(("false", "missed", "wrong")):
            keys.append(Key(color, f"{text} {int(mask.sum()):,}"))
    right = int((called & (calls == labels)).sum())
    keys.append(Key("#e6e4e6", f"right {right:,}"))
    if (calls == _NONE).any():
        strength[calls == _NONE], colors[calls == _NONE] = 0.85, EMPTY
        keys.append(Key(gray_name(EMPTY), "not measured"))
    image = painted(mosaic, colors, strength, depth=0.45)
    if len(store.classes) == 2 and (labels == 1).any():
        image = _outlined(image, mosaic, labels == 1)
        keys.append(Key(CLASS_COLORS[1], f"labeled {shortened(store.classes[1], 14)}", line=True))
    return Panel("Errors", image, keys)


def _hatched(image: Image, mosaic: Mosaic, mask: npt.NDArray[np.bool_]) -> Image:
    """Diagonal stripes that run on from patch to patch."""
    period = max(5, round(mosaic.image.shape[1] / 130))
    diagonal = np.arange(image.shape[0])[:, None] + np.arange(image.shape[1])
    stripes = diagonal % period < max(1, period // 3)
    out = image.copy()
    for x0, y0, x1, y1 in mosaic.boxes[mask].tolist():
        out[y0:y1, x0:x1][stripes[y0:y1, x0:x1]] = rgb(INK)
    return out


def _filled(image: Image, mosaic: Mosaic, mask: npt.NDArray[np.bool_], color: str) -> Image:
    out = image.copy()
    for x0, y0, x1, y1 in mosaic.boxes[mask].tolist():
        out[y0:y1, x0:x1] = rgb(color)
    return out


def _outlined(image: Image, mosaic: Mosaic, mask: npt.NDArray[np.bool_]) -> Image:
    """A line around the patches labeled positive: where the tumor is said to be."""
    import cv2

    region = np.zeros(image.shape[:2], np.uint8)
    for x0, y0, x1, y1 in mosaic.boxes[mask].tolist():
        region[y0:y1, x0:x1] = 1
    outlines = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
    out = image.copy()
    thickness = max(1, round(image.shape[1] / 400))
    cv2.drawContours(out, outlines, -1, rgb(CLASS_COLORS[1]), thickness)
    return out


def _caption(store: PatchStore, view: CaseView, threshold: float | None) -> str:
    labels = store.labels[view.measured]
    count = len(labels)
    first = f"{count:,} patches"
    if view.whole is not None and not view.complete:
        first = f"{count:,} of the {view.whole:,} patches of this case"
    elif count < len(view.rows):
        first = f"{count:,} measured of {len(view.rows):,} patches"
    elif not view.complete:
        first += f", a sample of the case ({100 * view.contiguity:.0f} % of neighbors are there)"
    called = view.calls >= 0
    wrong = called & (view.calls != labels)
    score, name = _score(store, view)
    said = f"{name} {score:.3f}" if np.isfinite(score) else f"{name} not defined"
    said = said[0].upper() + said[1:]
    if len(store.classes) == 2:
        positive, negative = store.classes[1], store.classes[0]
        share = int((labels == 1).sum())
        first += f", {share:,} labeled {positive} ({100 * share / count:.1f} %)."
        errors = (
            f"{int((wrong & (view.calls == 1)).sum()):,} {negative} patches called {positive}, "
            f"{int((wrong & (view.calls == 0)).sum()):,} {positive} missed"
        )
        if not called.all():
            errors += " among the patches that were answered"
        elif threshold is not None:
            errors += f" at threshold {threshold:.3f}"
    else:
        first += "."
        errors = f"{int(wrong.sum()):,} called a wrong class"
    parts = [errors]
    for code, word in ((_REFER, "referred"), (_OUT, "out of scope")):
        if number := int((view.calls == code).sum()):
            parts.append(f"{number:,} {word}")
    return f"{first} {said}; {', '.join(parts)}."
