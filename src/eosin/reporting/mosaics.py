"""Cases put together from their patches: tissue, labels, probability and errors, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.data.grid import Rows, positions, slide_numbers, step_px
from eosin.data.mosaic import EMPTY, Mosaic, mosaic_image
from eosin.data.published import published_cases
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
from eosin.records.decision import OUTSIDE
from eosin.records.points import REFER
from eosin.reporting.pictures import MOSAIC_BYTES, Draft, Gallery, Image, gallery_of
from eosin.reporting.predictions import NO_CALL, Predictions

#: Amber and purple: far apart in brightness and on the axis from yellow to blue, which every kind
#: of color vision sees; and neither is a class's color.
FALSE_POSITIVE, MISSED, REFERRED_COLOR, OUTSIDE_COLOR = "#f2a900", "#5a189a", "#7d8590", "#3c434d"

#: Fewer patches make no picture of a case.
LEAST_PATCHES = 20
#: Share of a case's patches from which it counts as complete, where their number is known;
#: elsewhere the share of the patches' neighbors. A sample of 9 % has 9 % of them, a complete case
#: of the archive 75 to 93 % (its rim and its holes have none).
COMPLETE, CONTIGUOUS = 0.99, 0.5
_PAINT_PX = 1_500_000
#: Entries of a panel's legend at most.
_MOST_KEYS = 6


@dataclass(frozen=True)
class CaseView:
    """One slide of the measured part, with what the model answered."""

    name: str
    #: Rows of the store on this slide: int64 [n].
    rows: Rows
    #: Those that were measured.
    measured: Predictions
    #: Patches of the complete case where the source is known to have as many or more; else None.
    of: int | None
    contiguity: float

    @property
    def calls(self) -> Rows:
        """The call of each measured patch: int64 [m]."""
        return self.measured.calls

    @property
    def complete(self) -> bool:
        """Whether (nearly) all of the case was measured."""
        if self.of is not None:
            return len(self.measured) >= COMPLETE * self.of
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

    table: rows of predictions.parquet of the measured part, as for ``Predictions.of``; threshold:
    for the captions only, two classes. Each picture has four panels: tissue, labels, probability
    (two classes) or calls (more), errors. Where fewer than ``most`` cases are complete, the most
    complete and largest ones are shown instead, and captions and the note say how much of them is
    there. Where nothing can be drawn, ``items`` is empty and the note is the reason.
    Raises ValueError where the table has rows that the store lacks, or lacks a column.
    """
    views, reason = case_views(store, table)
    if not views:
        return Gallery([], reason, 1)
    chosen, note = choose(store, views, most)
    drafts = [_draft(store, view, role, threshold) for view, role in chosen]
    return gallery_of(store, drafts, 1, [note], budget_bytes)


def case_views(store: PatchStore, table: pl.DataFrame) -> tuple[list[CaseView], str]:
    """Every slide of the measured part that can be drawn, or none and the reason."""
    predictions = Predictions.of(store, table)
    if not len(predictions):
        return [], "There are no predictions to draw."
    x, y, known = positions(store)
    if not known[predictions.rows].any():
        return [], "The positions of the patches are unknown, so no case can be put together."
    sizes, several = _archive_sizes(store), _cases_of_many_slides(store)
    slides = np.where(known, slide_numbers(store), -1)
    measured = slides[predictions.rows]
    views = []
    for number in np.unique(measured[measured >= 0]):
        rows, places = np.flatnonzero(slides == number), np.flatnonzero(measured == number)
        case, slide = str(store.cases[rows[0]]), str(store.index["slide"][int(rows[0])])
        if len(places) < LEAST_PATCHES or not (case or slide):
            continue
        name = f"Case {shortened(case, 40)}" if case else f"Slide {shortened(slide, 40)}"
        name += f", slide {shortened(slide, 40)}" if case in several else ""
        near = contiguity(x[rows], y[rows])
        views.append(CaseView(name, rows, predictions[places], sizes.get(case), near))
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
    scores = [_score(store, view)[0] for view in views]
    order = sorted(range(len(views)), key=lambda k: (-np.nan_to_num(scores[k]), views[k].name))
    complete = [k for k in order if views[k].complete]
    ranked = [k for k in complete if np.isfinite(scores[k])]
    by = "AUROC" if len(store.classes) == 2 else "accuracy"
    # Without the size of the complete case, all that is known is that its patches are together.
    kind = "complete" if all(views[k].of is not None for k in complete) else "contiguous"
    chosen = [(k, "") for k in ranked]
    if len(ranked) > most:
        places = np.linspace(0, len(ranked) - 1, most).round().astype(int).tolist()
        words = {0: "best", len(ranked) - 1: "worst"}
        if most % 2:
            words.setdefault(places[most // 2], "median")
        among = f"of {len(ranked)} {kind} cases by {by}"
        chosen = [(ranked[k], f"{words.get(k, f'number {k + 1}')} {among}") for k in places]
    others = sorted(
        (k for k in order if not views[k].complete),
        key=lambda k: (views[k].contiguity < CONTIGUOUS, -len(views[k].measured), views[k].name),
    )
    if complete:
        others = [k for k in others if views[k].contiguity >= CONTIGUOUS]
    unranked = [k for k in complete if not np.isfinite(scores[k])]
    chosen += [(k, "") for k in [*unranked, *others]][: max(0, most - len(chosen))]
    note = ""
    if not complete:
        note = "No case of the measured part is complete; the largest ones are shown."
    elif any(not views[k].complete for k, _ in chosen):
        one = "1 case" if len(complete) == 1 else f"{len(complete)} cases"
        note = (
            f"Only {one} of the measured part can be shown complete; the others are parts of cases."
        )
    return [(views[k], role) for k, role in chosen], note


def _score(store: PatchStore, view: CaseView) -> tuple[float, str]:
    """What cases are ordered by, and its name."""
    truth, probabilities = view.measured.labels, view.measured.probabilities
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.any():
        return float("nan"), "AUROC"
    if len(store.classes) == 2:
        return auroc(truth[finite], probabilities[finite, 1]), "AUROC"
    return float((probabilities[finite].argmax(axis=1) == truth[finite]).mean()), "accuracy"


def _archive_sizes(store: PatchStore) -> dict[str, int]:
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
    order[view.measured.rows] = np.arange(len(view.measured))
    place = order[mosaic.rows]
    measured = place >= 0
    calls = np.where(measured, view.calls[place], NO_CALL)
    values = np.where(measured[:, None], view.measured.probabilities[place], np.nan)
    labels = store.labels[mosaic.rows]
    panels = [
        Panel("Tissue", mosaic.image, bar=scale_bar(store, mosaic, most=0.4)),
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


def _class_keys(store: PatchStore, numbers: Rows, *, counted: bool = False) -> list[Key]:
    """A legend of the classes among these numbers."""
    counts = np.bincount(numbers, minlength=len(store.classes))
    return [
        Key(CLASS_COLORS[k % len(CLASS_COLORS)], shortened(name, 24) + f" {n:,}" * counted)
        for k, (name, n) in enumerate(zip(store.classes, counts.tolist(), strict=True))
        if n
    ][:_MOST_KEYS]


def _label_panel(store: PatchStore, mosaic: Mosaic, labels: Rows) -> Panel:
    image = painted(mosaic, label_colors(labels), 0.62)
    return Panel("Labels", image, _class_keys(store, labels, counted=True))


def _value_panel(
    store: PatchStore, mosaic: Mosaic, values: npt.NDArray[np.float64], calls: Rows
) -> Panel:
    keys: list[Key] = []
    if len(store.classes) == 2:
        strength = np.where(np.isnan(values[:, 1]), 0.0, 0.78)
        image = painted(mosaic, probability_colors(values[:, 1]), strength)
        title, ramp = f"Probability of {shortened(store.classes[1], 22)}", ("0", "1")
    else:
        best, sure = (of(np.nan_to_num(values), axis=1) for of in (np.argmax, np.max))
        image = painted(mosaic, label_colors(best), 0.8 * sure)
        title, ramp = "Most probable class", None
        keys = _class_keys(store, best[sure > 0])
    if (calls == REFER).any():
        image = _hatched(image, mosaic, calls == REFER)
        keys.append(Key("#f4f0ea", "referred", INK))
    if (calls == OUTSIDE).any():
        for x0, y0, x1, y1 in mosaic.boxes[calls == OUTSIDE].tolist():
            image[y0:y1, x0:x1] = rgb(OUTSIDE_COLOR)
        keys.append(Key(OUTSIDE_COLOR, "out of scope"))
    return Panel(title, image, keys, ramp)


def _error_panel(store: PatchStore, mosaic: Mosaic, labels: Rows, calls: Rows) -> Panel:
    called = calls >= 0
    wrong, two = called & (calls != labels), len(store.classes) == 2
    missed = (wrong & (calls == 0)) if two else wrong
    positive = shortened(store.classes[-1], 14)
    #: Patches, their color, words, strength, and whether the legend has them without any.
    kinds = [
        (missed, MISSED, "missed" if two else "wrong class", 0.9, True),
        (calls == REFER, REFERRED_COLOR, "referred", 0.675, False),
        (calls == OUTSIDE, OUTSIDE_COLOR, "out of scope", 0.9, False),
    ]
    if two:
        alarms = wrong & (calls == 1)
        kinds.insert(0, (alarms, FALSE_POSITIVE, f"false {positive}", 0.9, True))
    colors, strength = np.zeros((len(calls), 3)), np.zeros(len(calls))
    keys = []
    for mask, color, text, share, always in kinds:
        colors[mask], strength[mask] = rgb(color), share
        if always or mask.any():
            keys.append(Key(color, f"{text} {int(mask.sum()):,}"))
    keys.append(Key("#e6e4e6", f"right {int((called & (calls == labels)).sum()):,}"))
    if (calls == NO_CALL).any():
        strength[calls == NO_CALL], colors[calls == NO_CALL] = 0.85, EMPTY
        keys.append(Key(gray_name(EMPTY), "not measured"))
    image = painted(mosaic, colors, strength, depth=0.45)
    if two and (labels == 1).any():
        image = _outlined(image, mosaic, labels == 1)
        keys.append(Key(CLASS_COLORS[1], f"labeled {positive}", line=True))
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


def _outlined(image: Image, mosaic: Mosaic, mask: npt.NDArray[np.bool_]) -> Image:
    """A line around the patches labeled positive: where the labels put the tumor."""
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
    labels, calls = view.measured.labels, view.calls
    count = len(labels)
    first = f"{count:,} patches"
    if view.of is not None and not view.complete:
        first = f"{count:,} of the {view.of:,} patches of this case"
    elif count < len(view.rows):
        first = f"{count:,} measured of {len(view.rows):,} patches"
    elif not view.complete:
        first += f", a sample of the case ({100 * view.contiguity:.0f} % of neighbors are there)"
    wrong = (calls >= 0) & (calls != labels)
    errors = f"{int(wrong.sum()):,} called a wrong class"
    if len(store.classes) == 2:
        negative, positive = store.classes
        share = int((labels == 1).sum())
        first += f", {share:,} labeled {positive} ({100 * share / count:.1f} %)"
        alarms, missed = (int((wrong & (calls == called)).sum()) for called in (1, 0))
        errors = f"{alarms:,} {negative} patches called {positive}, {missed:,} {positive} missed"
        if (calls < 0).any():
            errors += " among the patches that were answered"
        elif threshold is not None:
            errors += f" at threshold {threshold:.3f}"
    score, name = _score(store, view)
    figure = f"{name} {score:.3f}" if np.isfinite(score) else f"{name} not defined"
    left = ((int((calls == code).sum()), word) for code, word in _UNANSWERED.items())
    parts = [errors, *(f"{number:,} {word}" for number, word in left if number)]
    return f"{first}. {figure[0].upper()}{figure[1:]}; {', '.join(parts)}."


_UNANSWERED = {REFER: "referred", OUTSIDE: "out of scope"}
