"""Pictures of a store as PNG: a labeled grid of patches, a case beside its truth, or its heatmap.

They draw the content of the store and numbers given to them. The colors differ for every kind of
color vision and in gray.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows
from eosin.data.mosaic import EMPTY, Mosaic, mosaic_image
from eosin.data.store import PatchStore
from eosin.data.tints import (
    CLASS_COLORS,
    Image,
    gray_name,
    label_colors,
    painted,
    probability_colors,
    scale_bar,
    shortened,
)
from eosin.errors import StoreError
from eosin.figures.panels import Key, Panel, compose, headed, write
from eosin.folders import whole_file

PathLike = str | os.PathLike[str]

MADE_UP = "MADE-UP DATA"

_ACROSS, _TILE_PX, _GAP_PX = 8, 176, 12
_MOST_CLASSES = 12
#: Most pixels of a mosaic; more would only take time.
_MOSAIC_PX = 3_000_000


def patch_grid(
    store: PatchStore, path: PathLike, *, per_class: int | None = None, seed: int = 0
) -> Path:
    """Draw a sample of every class, each patch with its case; returns the path.

    per_class: patches a class; 16 for up to 4 classes, else 8. As many cases as possible are shown.
    Raises StoreError when the store is empty or the file cannot be written.
    """
    import cv2
    from PIL import Image as Pillow
    from PIL import ImageDraw

    if not len(store):
        raise StoreError(f"{store.path} contains no patches; there is nothing to draw")
    classes = store.classes[:_MOST_CLASSES]
    per_class = per_class or (16 if len(classes) <= 4 else 8)
    rng = np.random.default_rng(seed)
    samples = [_sample(store, label, per_class, rng) for label in range(len(classes))]
    height, width = store.patch_size
    tall = max(1, round(_TILE_PX * height / width))
    head, step = 60, tall + 44
    total = sum(head + step * max(1, -(-len(rows) // _ACROSS)) for rows in samples)
    sheet = Pillow.new("RGB", (_ACROSS * (_TILE_PX + _GAP_PX) - _GAP_PX, total), "#ffffff")
    draw = ImageDraw.Draw(sheet)
    how = cv2.INTER_AREA if width > _TILE_PX else cv2.INTER_NEAREST
    top = 0
    for label, rows in enumerate(samples):
        count = int((store.labels == label).sum())
        text = f"{shortened(classes[label], 60)}   {_share(count, len(store), 'patches')}"
        color = CLASS_COLORS[label % len(CLASS_COLORS)]
        write(draw, (0, top + 36), text, 24, color, bold=True, anchor="lm")
        top += head
        for number, row in enumerate(rows.tolist()):
            x, y = (number % _ACROSS) * (_TILE_PX + _GAP_PX), top + number // _ACROSS * step
            patch = np.ascontiguousarray(store.patches[row])
            tile = cv2.resize(patch, (_TILE_PX, tall), interpolation=how)
            sheet.paste(Pillow.fromarray(tile), (x, y))
            case, below = shortened(str(store.cases[row])) or "?", (x + _TILE_PX / 2, y + tall + 17)
            write(draw, below, case, 18, room=_TILE_PX, anchor="mm")
        top += step * max(1, -(-len(rows) // _ACROSS))
    left_out = len(store.classes) - len(classes)
    unknown = "" if store.cases_known else " (? where unknown)"
    more = f"; {left_out} further classes are not shown" if left_out else ""
    subtitle = f"a patch is {_patch(store)}; its case is below it{unknown}{more}"
    title = f"Patches of {shortened(store.path.name, 60)}"
    return _save(store, path, title, subtitle, np.asarray(sheet, np.uint8))


def truth_map(store: PatchStore, rows: Rows, path: PathLike) -> Path:
    """Draw one slide assembled from its patches, beside the map of their labels.

    rows: int64 [n], rows of one slide.
    Raises StoreError when the positions are unknown or the file cannot be written.
    """
    mosaic = mosaic_image(store, rows, max_px=_MOSAIC_PX)
    labels = store.labels[mosaic.rows]
    counts = np.bincount(labels, minlength=len(store.classes))
    keys = [
        Key(
            CLASS_COLORS[k % len(CLASS_COLORS)], f"{shortened(store.classes[k], 40)}: {counts[k]:,}"
        )
        for k in sorted(np.argsort(-counts, kind="stable")[:6].tolist())
        if counts[k]
    ]
    keys.append(Key(gray_name(EMPTY), "no patch"))
    truth = painted(mosaic, label_colors(labels), 0.62)
    return _slide(store, mosaic, Panel("Labels", truth, keys), path)


def heatmap(
    store: PatchStore, rows: Rows, probabilities: npt.NDArray[np.floating], path: PathLike
) -> Path:
    """Draw one slide beside the probability of each of its patches.

    rows: int64 [n], rows of one slide; probabilities: float [n], 0 to 1; NaN is drawn as no patch.
    Raises StoreError as ``truth_map`` does, ValueError when the lengths differ.
    """
    if len(rows) != len(probabilities):
        raise ValueError(f"{len(rows)} rows but {len(probabilities)} probabilities")
    mosaic = mosaic_image(store, rows, max_px=_MOSAIC_PX)
    value = dict(zip(np.asarray(rows).tolist(), np.asarray(probabilities).tolist(), strict=True))
    colors = probability_colors([value[row] for row in mosaic.rows.tolist()])
    target = shortened(store.classes[1], 22) if len(store.classes) == 2 else "the class"
    panel = Panel(f"Probability of {target}", painted(mosaic, colors, 0.75), ramp=("0", "1"))
    return _slide(store, mosaic, panel, path)


def _sample(store: PatchStore, label: int, count: int, rng: np.random.Generator) -> Rows:
    """Up to ``count`` rows of a class, the first of every case before the second of any."""
    rows = rng.permutation(np.flatnonzero(store.labels == label))
    _, inverse = np.unique(store.cases[rows], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    first = np.searchsorted(inverse[order], inverse[order])
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - first
    return np.asarray(rows[np.argsort(turn, kind="stable")[:count]], np.int64)


def _slide(store: PatchStore, mosaic: Mosaic, beside: Panel, path: PathLike) -> Path:
    row = int(mosaic.rows[0])
    case = str(store.cases[row]) or str(store.index["slide"][row]) or "unknown"
    text = f"{len(mosaic.rows):,} patches of {_patch(store)}"
    if len(store.classes) == 2:
        positive = int((store.labels[mosaic.rows] == 1).sum())
        text += f"; {_share(positive, len(mosaic.rows), shortened(store.classes[1], 40))}"
    if mosaic.reduced > 1.0:
        text += f"; drawn {mosaic.reduced:.3g} times smaller"
    tissue = Panel("Tissue", mosaic.image, bar=scale_bar(store, mosaic))
    return _save(store, path, f"Case {shortened(case, 40)}", text, compose([tissue, beside]))


def _share(count: int, total: int, what: str) -> str:
    return f"{count:,} {what} ({100 * count / total:.1f} %)"


def _patch(store: PatchStore) -> str:
    height, width = store.patch_size
    text = f"{width} × {height} px"
    if store.mpp is None:
        return text
    across, down = width * store.mpp, height * store.mpp
    return f"{text}, about {across:.3g} × {down:.3g} µm at {store.mpp:g} µm a pixel"


def _save(store: PatchStore, path: PathLike, title: str, subtitle: str, image: Image) -> Path:
    """Write a picture with its heading as PNG; a failure leaves nothing behind."""
    from PIL import Image as Pillow

    names = [*store.classes, *np.unique(store.cases).tolist()]
    marks = [MADE_UP] if store.made_up else []
    page = Pillow.fromarray(headed(image, title, subtitle, marks=marks, names=names))
    target = Path(path)
    try:
        with whole_file(target) as temporary:
            page.save(temporary, "PNG")
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from None
    return target
