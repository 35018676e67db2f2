"""The places of patches on their slide: the step of their grid, and the part without padding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eosin.data.store import PatchStore

Rows = npt.NDArray[np.int64]

#: A step of more patch widths than this is not a step of a grid but a gap between a few patches.
_MAX_STEP = 16


def content_sizes(store: PatchStore, rows: Rows) -> tuple[Rows, Rows]:
    """Height and width in pixels of the picture inside each patch, without its padding.

    rows: int64 [n] -> int64 [n], int64 [n].
    """
    height, width = store.patch_size
    if store.fit != "pad":
        return np.full(len(rows), height), np.full(len(rows), width)
    index = store.index[rows]
    heights = index["height"].fill_null(height).to_numpy().astype(np.int64).clip(1, height)
    widths = index["width"].fill_null(width).to_numpy().astype(np.int64).clip(1, width)
    return heights, widths


def slide_numbers(store: PatchStore) -> Rows:
    """The slide of every patch as a number, int64 [N]; a name in two cases is two slides."""
    names = np.asarray((store.index["case"] + "\n" + store.index["slide"]).to_list(), dtype=np.str_)
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def positions(store: PatchStore) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Level-0 pixels x, y of every top-left corner, int64 [N] each, and where known, bool [N].

    Unknown ones are 0.
    """
    index = store.index
    known = (index["x"].is_not_null() & index["y"].is_not_null()).to_numpy()
    x, y = (index[name].fill_null(0).to_numpy().astype(np.int64) for name in ("x", "y"))
    return x, y, known


def step_px(slides: Rows, x: Rows, y: Rows) -> int:
    """The greatest step, in level-0 pixels, that all distances on a slide are multiples of.

    slides, x, y: int64 [n]. 0 where no slide has two patches.

    >>> step_px(np.zeros(3, int), np.array([1, 101, 251]), np.array([7, 7, 57]))
    50
    """
    step = 0
    for values in (x, y):
        order = np.lexsort((values, slides))
        steps = np.diff(values[order])[np.diff(slides[order]) == 0]
        step = int(np.gcd.reduce([step, *np.unique(steps).tolist()]))
    return step


def field_px(store: PatchStore, rows: Rows | None = None) -> int:
    """The width, in level-0 pixels, of the field that a patch shows; of these rows or of all.

    A store that was cut from slides knows it, and the widest counts. Else it is the patch's own
    width, unless the grid's step is larger: then the patch was reduced from a field that wide.
    """
    if fields := (store.info.get("reading") or {}).get("fields_px"):
        index = store.index if rows is None else store.index[rows]
        known = [fields.get(name) for name in index["slide"].unique().to_list()]
        if known and all(isinstance(value, int) and value > 0 for value in known):
            return int(max(known))
    x, y, known_places = positions(store)
    wide = max(store.patch_size)
    step = step_px(slide_numbers(store)[known_places], x[known_places], y[known_places])
    return step if wide < step <= _MAX_STEP * wide else wide
