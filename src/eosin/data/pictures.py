"""Pictures of a store as PNG: a labeled grid of patches, a case beside its truth, or its heatmap.

They draw what is in the store and numbers given to them. The colors are apart for every kind of
color vision and in gray.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eosin.data.grid import Rows
from eosin.data.mosaic import EMPTY, Mosaic, mosaic_image
from eosin.data.store import PatchStore
from eosin.data.tints import (
    CLASS_COLORS,
    PROBABILITY_COLORS,
    Image,
    gray_name,
    label_colors,
    painted,
    probability_colors,
    scale_bar,
    shortened,
)
from eosin.errors import StoreError
from eosin.folders import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Path_ = str | os.PathLike[str]

INK, QUIET, MARK = "#1d2430", "#5c6675", "#c01622"
MADE_UP = "MADE-UP DATA"
NOT_FOR_DIAGNOSIS = "Research and education only, not for diagnosis."

_DPI = 150
_ACROSS = 8
_MOST_CLASSES = 12
_TILE_PX = 120
#: Widest mosaic that a page can show; more pixels would only cost time.
_PAGE_PX = 3_000_000


def patch_grid(
    store: PatchStore, path: Path_, *, per_class: int | None = None, seed: int = 0
) -> Path:
    """Draw a sample of every class, each patch with its case; returns the path.

    per_class: patches a class; 16 for up to 4 classes, else 8. As many cases as can be are shown.
    Raises StoreError when the store is empty or the file cannot be written.
    """
    import cv2

    if not len(store):
        raise StoreError(f"{store.path} holds no patch; there is nothing to draw")
    classes = store.classes[:_MOST_CLASSES]
    per_class = per_class or (16 if len(classes) <= 4 else 8)
    rng = np.random.default_rng(seed)
    height, width = store.patch_size
    tall = max(1, round(_TILE_PX * height / width))
    gap, caption, head = 10, 26, 46
    bands: list[tuple[int, Rows, int]] = []
    top = 0
    for label in range(len(classes)):
        rows = _sample(store, label, per_class, rng)
        bands.append((label, rows, top))
        lines = max(1, -(-len(rows) // _ACROSS))
        top += head + lines * (tall + caption + gap)
    sheet = np.full((top, _ACROSS * (_TILE_PX + gap) - gap, 3), 255, np.uint8)
    words: list[tuple[float, float, str, Mapping[str, Any]]] = []
    heading: Mapping[str, Any] = {"size": 11, "weight": "bold"}
    naming = {"color": INK, "size": 8.5, "ha": "center", "va": "center"}
    counts = np.bincount(store.labels, minlength=len(store.classes))
    for label, rows, start in bands:
        share = 100 * counts[label] / len(store)
        text = f"{classes[label]}   {counts[label]:,} patches ({share:.1f} %)"
        color = CLASS_COLORS[label % len(CLASS_COLORS)]
        words.append((0.0, start + head - 12.0, text, {**heading, "color": color}))
        for number, row in enumerate(rows.tolist()):
            x = (number % _ACROSS) * (_TILE_PX + gap)
            y = start + head + (number // _ACROSS) * (tall + caption + gap)
            patch = np.ascontiguousarray(store.patches[row])
            how = cv2.INTER_AREA if width > _TILE_PX else cv2.INTER_NEAREST
            sheet[y : y + tall, x : x + _TILE_PX] = cv2.resize(
                patch, (_TILE_PX, tall), interpolation=how
            )
            case = shortened(str(store.cases[row])) or "?"
            words.append((x + _TILE_PX / 2, y + tall + caption / 2, case, naming))
    size = f"{width} × {height} px" + _micrometers(store)
    left_out = len(store.classes) - len(classes)
    unknown = "" if store.cases_known else " (? where unknown)"
    more = f"; {left_out} further classes are not shown" if left_out else ""
    subtitle = f"a patch is {size}; under each stands its case{unknown}{more}"
    figure, (axes,) = _page(store, f"Patches of {store.path.name}", subtitle, [sheet], 10.4)
    for across, down, text, style in words:
        axes.text(across, down, text, parse_math=False, **style)
    return _save(figure, path)


def truth_map(store: PatchStore, rows: Rows, path: Path_) -> Path:
    """Draw one slide put together from its patches, beside the map of their labels.

    rows: int64 [n], rows of one slide.
    Raises StoreError when the positions are unknown or the file cannot be written.
    """
    mosaic = mosaic_image(store, rows, max_px=_PAGE_PX)
    labels = store.labels[mosaic.rows]
    truth = painted(mosaic, label_colors(labels), 0.62)
    counts = np.bincount(labels, minlength=len(store.classes))
    figure, (left, right) = _slide_page(store, mosaic, truth, "labels")
    _bar(left, store, mosaic)
    entries = [
        (CLASS_COLORS[k % len(CLASS_COLORS)], f"{store.classes[k]}: {counts[k]:,}")
        for k in np.argsort(-counts, kind="stable")[:6]
        if counts[k]
    ]
    _legend(right, [*sorted(entries, key=lambda e: e[1]), (gray_name(EMPTY), "no patch")], mosaic)
    return _save(figure, path)


def heatmap(
    store: PatchStore, rows: Rows, probabilities: npt.NDArray[np.floating], path: Path_
) -> Path:
    """Draw one slide beside the probability of each of its patches.

    rows: int64 [n], rows of one slide; probabilities: float [n], 0 to 1; NaN is drawn as no patch.
    Raises StoreError as ``truth_map`` does, ValueError when the lengths differ.
    """
    from matplotlib.colors import LinearSegmentedColormap

    if len(rows) != len(probabilities):
        raise ValueError(f"{len(rows)} rows but {len(probabilities)} probabilities")
    mosaic = mosaic_image(store, rows, max_px=_PAGE_PX)
    value = dict(zip(np.asarray(rows).tolist(), np.asarray(probabilities).tolist(), strict=True))
    shown = np.array([value[row] for row in mosaic.rows.tolist()], np.float64)
    target = store.classes[1] if len(store.classes) == 2 else "the class"
    figure, (left, right) = _slide_page(
        store, mosaic, painted(mosaic, probability_colors(shown), 0.75), f"probability of {target}"
    )
    _bar(left, store, mosaic)
    high, wide = mosaic.image.shape[:2]
    ramp = right.inset_axes((0.0, -0.085 * wide / high, 0.55, 0.035 * wide / high))
    scale = LinearSegmentedColormap.from_list("probability", list(PROBABILITY_COLORS))
    ramp.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=scale, extent=(0, 1, 0, 1))
    ramp.set(yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    ramp.tick_params(colors=INK, labelsize=9, length=2)
    for spine in ramp.spines.values():
        spine.set_visible(False)
    return _save(figure, path)


def _sample(store: PatchStore, label: int, count: int, rng: np.random.Generator) -> Rows:
    """Up to ``count`` rows of a class, the first of every case before the second of any."""
    rows = rng.permutation(np.flatnonzero(store.labels == label))
    _, inverse = np.unique(store.cases[rows], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    first = np.searchsorted(inverse[order], inverse[order])
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - first
    return np.asarray(rows[np.argsort(turn, kind="stable")[:count]], np.int64)


def _slide_page(
    store: PatchStore, mosaic: Mosaic, beside: Image, what: str
) -> tuple[Figure, list[Axes]]:
    labels = store.labels[mosaic.rows]
    height, width = store.patch_size
    row = int(mosaic.rows[0])
    case = str(store.cases[row]) or str(store.index["slide"][row]) or "unknown"
    size = f"{width} × {height} px" + _micrometers(store)
    text = f"{len(labels):,} patches of {size}"
    if len(store.classes) == 2:
        positive = int((labels == 1).sum())
        text += f"; {positive:,} {store.classes[1]} ({100 * positive / len(labels):.1f} %)"
    if mosaic.reduced > 1.0:
        text += f"; drawn {mosaic.reduced:.3g} times smaller"
    figure, axes = _page(
        store, f"Case {shortened(case, 40)}", text, [mosaic.image, beside], 11.6, foot_in=0.75
    )
    for panel, name in zip(axes, ("put together from its patches", what), strict=True):
        panel.set_title(name, loc="left", color=INK, fontsize=11, parse_math=False)
    return figure, axes


def _page(
    store: PatchStore,
    title: str,
    subtitle: str,
    images: list[Image],
    width_in: float,
    *,
    foot_in: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """A figure with its heading and the pictures side by side, one data unit a pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    high, wide = images[0].shape[:2]
    margin, between, bottom = 0.3, 0.35, 0.42 + foot_in
    head = (1.12 if len(images) > 1 else 0.86) + (0.26 if store.made_up else 0)
    panel_in = (width_in - 2 * margin - between * (len(images) - 1)) / len(images)
    # Very tall slides are drawn narrower, so that the page stays one that a screen can show.
    panel_high = min(panel_in * high / wide, 16.0 if len(images) > 1 else 60.0)
    height_in = panel_high + head + bottom
    figure = Figure(figsize=(width_in, height_in), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    down = 0.2
    lines = [(title, INK, 15, "bold", 0.34), (subtitle, QUIET, 10.5, "normal", 0.2)]
    if store.made_up:
        lines.insert(0, (MADE_UP, MARK, 11.5, "bold", 0.26))
    for text, color, size, weight, step in lines:
        figure.text(
            margin / width_in, 1 - down / height_in, text, color=color, fontsize=size,
            fontweight=weight, va="top", parse_math=False,
        )  # fmt: skip
        down += step
    figure.text(
        margin / width_in,
        0.14 / height_in,
        NOT_FOR_DIAGNOSIS,
        color=QUIET,
        fontsize=8.5,
        va="bottom",
    )
    axes = []
    for number, image in enumerate(images):
        left = margin + number * (panel_in + between)
        panel = figure.add_axes(
            (left / width_in, bottom / height_in, panel_in / width_in, panel_high / height_in)
        )
        panel.imshow(image, interpolation="antialiased", extent=(0, wide, high, 0), aspect="equal")
        panel.set_anchor("NW")
        panel.set_axis_off()
        axes.append(panel)
    return figure, axes


def _bar(axes: Axes, store: PatchStore, mosaic: Mosaic) -> None:
    """A scale bar under the picture, of a round length; nothing where the resolution is unknown."""
    found = scale_bar(store, mosaic)
    if found is None:
        return
    length_px, text = found
    wide = mosaic.image.shape[1]
    down = mosaic.image.shape[0] + 0.05 * wide
    axes.plot(
        [0, length_px], [down, down], color=INK, linewidth=3, clip_on=False,
        solid_capstyle="butt", scalex=False, scaley=False,
    )  # fmt: skip
    axes.text(length_px + 0.02 * wide, down, text, color=INK, fontsize=10, va="center")


def _legend(axes: Axes, entries: list[tuple[str, str]], mosaic: Mosaic) -> None:
    from matplotlib.patches import Patch

    high, wide = mosaic.image.shape[:2]
    handles = [Patch(facecolor=color, edgecolor="#9aa3ad", linewidth=0.5) for color, _ in entries]
    drawn = axes.legend(
        handles, [shortened(text, 40) for _, text in entries], loc="upper left",
        bbox_to_anchor=(0.0, -0.012 * wide / high), ncols=min(4, len(entries)), frameon=False,
        borderaxespad=0.3, handlelength=1.1, handleheight=1.1, columnspacing=1.4,
        labelcolor=INK, fontsize=10,
    )  # fmt: skip
    for text in drawn.get_texts():
        text.set_parse_math(False)


def _micrometers(store: PatchStore) -> str:
    if store.mpp is None:
        return ""
    height, width = (store.mpp * side for side in store.patch_size)
    return f", about {width:.3g} × {height:.3g} µm at {store.mpp:g} µm a pixel"


def _save(figure: Figure, path: Path_) -> Path:
    """Write a PNG under a temporary name and put it in its place."""
    target = Path(path)
    try:
        with whole_file(target) as temporary, warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box; that needs no warning.
            warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
            figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from None
    return target
