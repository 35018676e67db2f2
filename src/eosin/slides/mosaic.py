"""CaseMosaic: the patches of a case at their places, as a slide; there need be no slide file."""

from __future__ import annotations

import numpy as np

from eosin.data.grid import Rows, content_sizes, field_px, positions, slide_numbers
from eosin.data.store import PatchStore
from eosin.errors import SlideError, StoreError, closest
from eosin.slides.associated import unknown
from eosin.slides.scale import plausible
from eosin.slides.slide import WHITE, Box, Known, Level, Pixels, SlideInfo

#: A place further out than this, in pixels, is a mistake of the source.
MOST_PX = 1 << 24


class CaseMosaic:
    """One slide of a case of a store; see ``eosin.slides.slide.Slide``.

    Its pixels are those of the patches: a region that is a patch's box gives the patch back
    exactly (of two that overlap, the later row). Pixel (0, 0) is that of the source's slide where
    patches were cut at its full resolution; where the grid's step is larger than a patch, it is
    the source's divided by that.

    case: as in the store. slide: needed where the case has several. Raises StoreError for a case
    or slide that is not there, and where places are unknown.
    """

    def __init__(self, store: PatchStore, case: str, slide: str | None = None) -> None:
        self.path = store.path
        self.reader = "eosin (patches of a store)"
        self._store: PatchStore | None = store
        #: Rows of the store that have a place: int64 [n].
        self.rows = _rows(store, case, slide)
        x, y, known = positions(store)
        without = int((~known[self.rows]).sum())
        self.rows = self.rows[known[self.rows]]
        if not len(self.rows):
            raise StoreError(
                f"{store.path}: the source gives no x and y for the patches of case {case}, so "
                "they cannot be placed"
            )
        left, top = x[self.rows].min(), y[self.rows].min()
        #: Level-0 pixels of the source for each pixel of the mosaic.
        self.source_px = field_px(store) / max(store.patch_size)
        side, field = max(store.patch_size), field_px(store)
        # Within a slide, places differ by whole steps, so only the first is rounded.
        first = [int(start * side // field) for start in (left, top)]
        self._left = first[0] + (x[self.rows] - left) * side // field
        self._top = first[1] + (y[self.rows] - top) * side // field
        heights, widths = content_sizes(store, self.rows)
        self._right, self._bottom = self._left + widths, self._top + heights
        #: Upper left corners and sizes in pixels of the mosaic: int64 [n, 4] of x, y, w, h.
        self.boxes = np.stack([self._left, self._top, widths, heights], axis=1)
        # A patch at an edge may be cut; the mosaic has all of its field.
        self.width_px = int(self._left.max()) + store.patch_size[1]
        self.height_px = int(self._top.max()) + store.patch_size[0]
        if min(*first) < 0 or max(self.width_px, self.height_px) > MOST_PX:
            raise StoreError(
                f"{store.path}: case {case} has places from {min(*first):,} to "
                f"{max(self.width_px, self.height_px):,} pixels, which no slide has"
            )
        self.levels: tuple[Level, ...] = (Level(self.width_px, self.height_px),)
        self.bounds = Box(first[0], first[1], self.width_px - first[0], self.height_px - first[1])
        self.scale, note = plausible(store.mpp, store.mpp, "the store")
        notes = [note] if note else []
        if without:
            notes.append(f"{without:,} patches have no place and are left out")
        if (twice := len(self.rows) - len(np.unique(self.boxes[:, :2], axis=0))) > 0:
            notes.append(f"{twice:,} patches lie where another one lies")
        self.info = SlideInfo(
            format="patches of a case", tile_px=(store.patch_size[1], store.patch_size[0]),
            notes=tuple(notes),
        )  # fmt: skip

    def region(self, level: int, x: int, y: int, width: int, height: int) -> tuple[Pixels, Known]:
        """A region in pixels: uint8 [height, width, 3], and bool of where there are patches."""
        if self._store is None:
            raise SlideError(f"{self.path} is closed; open it again")
        if level != 0:
            raise SlideError(f"{self.path} has no level {level}, only 0")
        pixels = np.full((height, width, 3), WHITE, np.uint8)
        known = np.zeros((height, width), np.bool_)
        touched = (
            (self._left < x + width) & (self._right > x)
            & (self._top < y + height) & (self._bottom > y)
        )  # fmt: skip
        for number in np.flatnonzero(touched):
            left, top, wide, high = self.boxes[number].tolist()
            x0, x1 = max(x, left), min(x + width, left + wide)
            y0, y1 = max(y, top), min(y + height, top + high)
            place = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
            part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
            pixels[place] = self._store.patches[self.rows[number]][part]
            known[place] = True
        return pixels, known

    def associated(self, name: str) -> Pixels:
        """Raises SlideError: there is no other picture."""
        raise unknown(self.path, name, ())

    def close(self) -> None:
        """Let go of the store."""
        self._store = None


def slides_of(store: PatchStore, case: str) -> list[str]:
    """The names of the slides of a case, in order; [""] where the source does not name them.

    Raises StoreError for a case that is not there.
    """
    names = store.index["slide"].to_list()
    return sorted({names[row] for row in _case_rows(store, case).tolist()})


def _case_rows(store: PatchStore, case: str) -> Rows:
    rows = np.flatnonzero(store.cases == case)
    if not case or not len(rows):
        known = sorted({*store.cases.tolist()} - {""})
        hint = closest(case, known) if known else "it does not record the case of any patch"
        raise StoreError(f"no case {case!r} in {store.path}; {hint}")
    return rows.astype(np.int64)


def _rows(store: PatchStore, case: str, slide: str | None) -> Rows:
    rows = _case_rows(store, case)
    names = np.asarray(store.index["slide"].to_list(), dtype=np.str_)[rows]
    known = sorted(set(names.tolist()))
    if slide is None:
        if len(np.unique(slide_numbers(store)[rows])) > 1:
            raise StoreError(
                f"case {case} has {len(known)} slides in {store.path}; choose one: "
                f"{', '.join(known[:10])}"
            )
        return rows
    if slide not in known:
        raise StoreError(f"case {case} has no slide {slide!r}; {closest(slide, known)}")
    chosen: Rows = rows[names == slide]
    return chosen
