"""Galleries: the most confident errors and the label suspects, with what the model looked at.

Each picture has up to three tiles: the patch, the same with its explanation, and the patch in its
surroundings, framed; a field of 50 pixels alone can hardly be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from eosin.data.grid import Rows, content_sizes, field_px, positions, slide_numbers
from eosin.data.mosaic import EMPTY
from eosin.data.store import PatchStore
from eosin.data.tints import shortened
from eosin.errors import UserError
from eosin.figures.panels import resized
from eosin.records.trust import Suspects
from eosin.reporting.pictures import GALLERY_BYTES, Draft, Gallery, Image, gallery_of
from eosin.reporting.predictions import Predictions

if TYPE_CHECKING:
    from eosin.inference.maps import Method
    from eosin.models.classifier import Classifier

#: Height of a tile in pixels: twice what a phone shows of it.
TILE_PX = 228
PER_CASE = 2
#: A Grad-CAM of fewer cells a side often covers the whole patch; that of compact has 3.
LEAST_MAP = 6
COLUMNS = 3
_GAP_PX = 10
_WIDEST = 2.0
#: The frame around the patch in its surroundings: light in a dark casing, on any tissue.
_FRAME, _CASING = (255, 221, 51), (20, 24, 36)

PATCH = "the patch"
MAP = "what the call depends on ({}: in color and inside the line most, pale least)"
METHODS = {"grad-cam": "Grad-CAM", "occlusion": "occlusion"}
AROUND = "its surroundings, the patch framed"


def error_gallery(
    store: PatchStore,
    table: pl.DataFrame,
    model: Classifier | None = None,
    *,
    most: int = 12,
    budget_bytes: int = GALLERY_BYTES,
) -> Gallery:
    """The wrong calls that the model was surest of, at most two a case.

    table: rows of predictions.parquet of the measured part: ``patch`` (row of the store), ``label``
    (number of the class), ``p_<class>`` and ``decision``; patches that the model did not call
    (referred, out of scope) are no errors. With two classes half are called positive wrongly and
    half are missed, as far as there are so many. model: for the maps; without one, or with one
    that answers the same whatever it sees, there are none and the note says so.
    Raises ValueError where the table has rows that the store lacks.
    """
    predictions = Predictions.of(store, table)
    if not len(predictions):
        return Gallery([], "There are no predictions to draw.", COLUMNS)
    places, total = _worst(store, predictions, most)
    if not len(places):
        return Gallery([], "Among the patches that the model called there is no error.", COLUMNS)
    worst = predictions[places]
    captions = [
        f"called {_class(store, call)} ({values[call]:.2f}), labeled {_class(store, label)}"
        for call, label, values in zip(worst.calls, worst.labels, worst.probabilities, strict=True)
    ]
    among = " among the patches that were answered" if (predictions.calls < 0).any() else ""
    first = f"The most confident of {total:,} errors{among}, at most {PER_CASE} a case."
    if total <= len(places):
        first = f"All {total:,} errors{among}." if total > 1 else f"The only error{among}."
    return _gallery(store, worst.rows, worst.calls, captions, model, first, budget_bytes)


def suspect_gallery(
    store: PatchStore,
    suspects: Suspects,
    model: Classifier | None = None,
    *,
    most: int = 12,
    budget_bytes: int = GALLERY_BYTES,
) -> Gallery:
    """Patches whose label the out-of-fold model contradicts most, worst first, two a case.

    The map is of the class that is suggested.
    """
    here = [(row.patch, row) for row in suspects.rows if row.patch in range(len(store))]
    if not here:
        return Gallery([], suspects.note or "No suspect is in this store.", COLUMNS)
    keep = _few_a_case([str(store.cases[place]) for place, _ in here], most)
    rows = np.array([here[k][0] for k in keep], np.int64)
    chosen = [here[k][1] for k in keep]
    numbers = {name: k for k, name in reversed(list(enumerate(store.classes)))}
    targets = np.array([numbers.get(row.suggested, -1) for row in chosen], np.int64)
    captions = [
        f"labeled {shortened(row.label, 40)}, the model suggests {shortened(row.suggested, 40)}"
        + (f" ({row.probability:.2f})" if row.probability is not None else "")
        for row in chosen
    ]
    first = f"{len(rows)} of {suspects.total or len(here):,} labels in doubt"
    first += f" among {suspects.of:,} patches" if suspects.of is not None else ""
    first += f", the most doubtful first, at most {PER_CASE} a case."
    if unknown := len(suspects.rows) - len(here):
        first += f" {unknown} more are not in this store."
    return _gallery(store, rows, targets, captions, model, first, budget_bytes)


def _worst(store: PatchStore, predictions: Predictions, most: int) -> tuple[Rows, int]:
    """Places of the wrong calls that the model was surest of, and how many errors there are."""
    calls, values = predictions.calls, predictions.probabilities
    sure = values[np.arange(len(calls)), np.maximum(calls, 0)]
    wrong = np.flatnonzero((calls >= 0) & (calls != predictions.labels) & np.isfinite(sure))
    order = wrong[np.argsort(-sure[wrong], kind="stable")]

    def few(places: Rows) -> list[int]:
        cases = store.cases[predictions.rows[places]].astype(str).tolist()
        kept: list[int] = places[_few_a_case(cases, most)].tolist()
        return kept

    picked = few(order)
    if len(store.classes) == 2:
        alarms, missed = (few(order[calls[order] == kind]) for kind in (1, 0))
        # Half each; where one side has fewer, the other may have more.
        picked = alarms[: max(most // 2, most - len(missed))]
        picked += missed[: most - len(picked)]
    return np.array(picked, np.int64), len(wrong)


def _few_a_case(cases: Sequence[str], most: int) -> list[int]:
    """The first places with at most ``PER_CASE`` of one case; an unknown case limits nothing.

    >>> _few_a_case(["a", "a", "a", "b"], 3)
    [0, 1, 3]
    """
    seen: dict[str, int] = {}
    kept: list[int] = []
    for k, case in enumerate(cases):
        if len(kept) == most:
            break
        seen[case] = seen.get(case, 0) + 1
        if not case or seen[case] <= PER_CASE:
            kept.append(k)
    return kept


def _gallery(
    store: PatchStore,
    rows: Rows,
    targets: Rows,
    captions: Sequence[str],
    model: Classifier | None,
    first: str,
    budget_bytes: int,
) -> Gallery:
    overlays, method, why = _overlays(store, rows, targets, model)
    places = _Places(store)
    # All pictures of a gallery have the same tiles, so that they are aligned.
    shown = [PATCH, *([MAP.format(METHODS[method])] if overlays else [])]
    shown += [AROUND] if any(len(places.near(row)) > 1 for row in rows.tolist()) else []
    drafts = []
    for number, (row, caption) in enumerate(zip(rows.tolist(), captions, strict=True)):
        tiles = [_content(store, row)]
        tiles += [overlays[number]] if overlays else []
        tiles += [places.around(row)] if AROUND in shown else []
        where = _where(store, row)
        alt = f"Side by side: {'; '.join(shown)}."
        image = _row([_tile(store, tile) for tile in tiles])
        drafts.append(Draft(image, where, f"{where}, {caption}. {alt}", f"{where}: {caption}"))
    note = f"{first} From left to right: {'; '.join(shown)}." if len(shown) > 1 else first
    return gallery_of(store, drafts, COLUMNS, [note, why], budget_bytes)


def _overlays(
    store: PatchStore, rows: Rows, targets: Rows, model: Classifier | None
) -> tuple[list[Image], Method, str]:
    """The explained patches, or none; the method; its caveat, or why there are none.

    targets: int64 [n]; where below 0 the label's class is explained.
    """
    if model is None:
        return [], "grad-cam", "There are no explanation maps, because the model is not there."
    from eosin.inference.explain import explain
    from eosin.inference.maps import CAVEAT, overlay

    method = _method(model)
    patches = np.ascontiguousarray(store.patches[rows])
    chosen = np.where(targets >= 0, targets, store.labels[rows])
    maps = explain(model, patches, target=chosen.tolist(), method=method)
    if not (maps > 0).any():
        why = "There are no explanation maps: no part of these patches moves the model's score."
        return [], method, why
    heights, widths = content_sizes(store, rows)
    drawn = []
    for patch, values, high, wide in zip(patches, maps, heights, widths, strict=True):
        inside, shown = patch[:high, :wide], values[:high, :wide]
        side = max(TILE_PX, round(TILE_PX * max(high, wide) / min(high, wide)))
        square = overlay(inside, shown, side_px=side)
        # The overlay is a square with the patch in its middle: take the patch out of it.
        scale = side / max(high, wide)
        tall, across = max(1, round(high * scale)), max(1, round(wide * scale))
        top, left = (side - tall) // 2, (side - across) // 2
        drawn.append(square[top : top + tall, left : left + across])
    return drawn, method, CAVEAT


def _method(model: Classifier) -> Method:
    """Grad-CAM where the last feature map can show a place, else occlusion, which takes longer."""
    from eosin.inference.explain import feature_layer

    try:
        _, size = feature_layer(model)
    except UserError:
        return "occlusion"
    return "grad-cam" if min(size) >= LEAST_MAP else "occlusion"


class _Places:
    """Finds what lies around a patch on its slide."""

    def __init__(self, store: PatchStore) -> None:
        self.store = store
        self.x, self.y, self.known = positions(store)
        self.slides = slide_numbers(store) if self.known.any() else np.zeros(len(store), np.int64)
        self.field = field_px(store) if self.known.any() else max(store.patch_size)

    def near(self, row: int) -> Rows:
        """Rows of the patch and of those that share or touch its field: int64 [n]."""
        store = self.store
        named = bool(store.cases[row]) or bool(store.index["slide"][row])
        if not self.known[row] or not named:
            return np.array([row])
        reach = 2 * self.field
        close = self.known & (abs(self.x - self.x[row]) < reach)
        close &= (abs(self.y - self.y[row]) < reach) & (self.slides == self.slides[row])
        return np.flatnonzero(close)

    def around(self, row: int) -> Image:
        """The 3 x 3 fields around a patch, as far as they are in the store, the patch framed."""
        store, rows = self.store, self.near(row)
        dx, dy = self.x[rows] - self.x[row], self.y[rows] - self.y[row]
        height, width = store.patch_size
        scale = max(height, width) / self.field
        out = np.full((3 * height, 3 * width, 3), EMPTY, np.uint8)
        heights, widths = content_sizes(store, rows)
        # The patch itself last, so that overlapping neighbors do not cover it.
        for k in sorted(range(len(rows)), key=lambda k: rows[k] == row):
            top = height + round(int(dy[k]) * scale)
            left = width + round(int(dx[k]) * scale)
            picture = store.patches[rows[k], : heights[k], : widths[k]]
            cut = picture[max(0, -top) :, max(0, -left) :]
            top, left = max(0, top), max(0, left)
            cut = cut[: max(0, 3 * height - top), : max(0, 3 * width - left)]
            out[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        own = int(np.flatnonzero(rows == row)[0])
        return _framed(out, (width, height, width + int(widths[own]), height + int(heights[own])))


def _framed(image: Image, box: tuple[int, int, int, int]) -> Image:
    """The picture twice as large or more, with a frame around the box: left, top, right, bottom."""
    import cv2

    scale = max(2, -(-TILE_PX // image.shape[0]))
    out = resized(image, scale)
    left, top, right, bottom = (side * scale for side in box)
    thin = max(1, round(out.shape[0] / 100))
    for color, thickness in ((_CASING, 3 * thin), (_FRAME, thin)):
        cv2.rectangle(out, (left, top), (right - 1, bottom - 1), color, thickness)
    return out


def _content(store: PatchStore, row: int) -> Image:
    heights, widths = content_sizes(store, np.array([row]))
    return np.ascontiguousarray(store.patches[row, : heights[0], : widths[0]])


def _tile(store: PatchStore, image: Image) -> Image:
    """The picture as large as fits a tile, in its middle: smooth upward, averaged downward."""
    # The shape of the store's patches, but never very wide.
    shape = store.patch_size[1] / store.patch_size[0]
    height, width = TILE_PX, round(TILE_PX * min(_WIDEST, max(1 / _WIDEST, shape)))
    scale = min(height / image.shape[0], width / image.shape[1])
    drawn = resized(np.ascontiguousarray(image), scale)
    tall, wide = drawn.shape[:2]
    out = np.full((height, width, 3), EMPTY, np.uint8)
    top, left = (height - tall) // 2, (width - wide) // 2
    out[top : top + tall, left : left + wide] = drawn
    return out


def _row(tiles: Sequence[Image]) -> Image:
    height, width = tiles[0].shape[:2]
    out = np.full((height, len(tiles) * (width + _GAP_PX) - _GAP_PX, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        left = k * (width + _GAP_PX)
        out[:, left : left + width] = tile
    return out


def _class(store: PatchStore, number: np.int64) -> str:
    return shortened(store.classes[int(number)], 40)


def _where(store: PatchStore, row: int) -> str:
    case = shortened(str(store.cases[row]), 40)
    x, y = store.index["x"][row], store.index["y"][row]
    name = f"case {case}" if case else f"patch {row:,}"
    return name if x is None or y is None else f"{name}, x {x} y {y}"
