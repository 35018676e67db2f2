"""NAME.heatmap.png and NAME.thumbnail.jpg: a slide beside its probabilities, for people.

Two classes: the tint is the probability of the positive class. More classes: the tint is the color
of the class that was decided, stronger where its probability is higher. What is referred is striped
and what is out of scope is crossed and not tinted, so both can be told apart without color.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eosin.data.tints import (
    CLASS_COLORS,
    Image,
    bar_of,
    label_colors,
    probability_colors,
    rgb,
    shortened,
)
from eosin.figures.canvas import INK, LINE
from eosin.figures.panels import PANEL_PX, Key, Panel, compose, headed, resized, striped
from eosin.records.points import OUTSIDE, REFER
from eosin.records.scan import Amount, Areas
from eosin.scanning.cells import positive, raster, shown
from eosin.scanning.scan import Ints, Scan

#: The tint of what is out of scope, and of what was referred in a legend.
_UNTINTED, _MIDDLE = "#eceef1", "#f4f0ea"
_STRENGTH, _DEPTH = 0.68, 0.7
#: From this many pixels a patch on, a line is around what was called positive; and a thick one.
_LINE_FROM_PX, _THICK_FROM_PX = 4, 10
_MOST_KEYS = 6
_THUMBNAIL_PX = (360, 240)


@dataclass(frozen=True)
class View:
    """A part of the slide as a picture."""

    #: uint8 [H, W, 3].
    image: Image
    #: Centers of its columns and rows in level-0 pixels.
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    #: Level-0 pixels a pixel, along x and y.
    step: tuple[float, float]


def write_pictures(scan: Scan, areas: Areas, title: str, heatmap: Path, thumbnail: Path) -> None:
    """Write the heatmap over the thumbnail with legend and scale bar, and a small one for lists.

    title: the slide's name. heatmap: a PNG; thumbnail: a JPEG of at most 360 x 240 pixels.
    """
    from PIL import Image as Pillow

    view = _view(scan)
    painted = _painted(scan, view)
    panels = [
        Panel("Slide", _framed(view.image), bar=_bar(scan, view)),
        Panel(
            _heading(scan),
            _framed(painted),
            _keys(scan, areas, view),
            ramp=None if positive(scan) is None else ("0", "1"),
        ),
    ]
    if scan.truth is not None:
        panels.append(Panel("Labels", _framed(_labeled(scan, scan.truth, view)), _classes(scan)))
    tall, wide = view.image.shape[:2]
    # A slide much wider than tall is read better one above the other.
    sheet = headed(
        compose(panels, columns=1 if wide > 2 * tall else len(panels)),
        shortened(title, 60),
        _words(scan, areas),
        names=[title, *scan.decision.classes],
    )
    Pillow.fromarray(sheet).save(heatmap, "PNG")
    scale = min(_THUMBNAIL_PX[0] / wide, _THUMBNAIL_PX[1] / tall)
    Pillow.fromarray(resized(painted, scale)).save(thumbnail, "JPEG", quality=85)


def _view(scan: Scan) -> View:
    """The scanned part at the size of a panel."""
    import cv2

    slide, picture = scan.slide, scan.thumbnail
    tall, wide = picture.shape[:2]
    across, down = slide.width_px / wide, slide.height_px / tall
    left, top, width, height = slide.bounds
    x0, x1 = _cut(left / across, (left + width) / across, wide)
    y0, y1 = _cut(top / down, (top + height) / down, tall)
    part = picture[y0:y1, x0:x1]
    scale = min(PANEL_PX / (x1 - x0), 1.3 * PANEL_PX / (y1 - y0))
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(np.ascontiguousarray(part), size, interpolation=how), np.uint8)
    step = ((x1 - x0) * across / size[0], (y1 - y0) * down / size[1])
    return View(
        image,
        x0 * across + (np.arange(size[0]) + 0.5) * step[0],
        y0 * down + (np.arange(size[1]) + 0.5) * step[1],
        step,
    )


def _cut(begin: float, end: float, size: int) -> tuple[int, int]:
    """Whole pixels of a picture that have all of a part of it; all where the part is empty."""
    first, last = max(0, int(np.floor(begin))), min(size, int(np.ceil(end)))
    return (first, last) if first < last else (0, size)


def _painted(scan: Scan, view: View) -> Image:
    """The picture in light gray, with the tints, stripes and lines of the patches."""
    light = 255 - _DEPTH * (255 - view.image.mean(axis=2, keepdims=True))
    # Outside the patches the tissue keeps some of its own color.
    out = 0.5 * light + 0.5 * (255 - 0.6 * (255 - view.image.astype(np.float64)))
    if not len(scan.grid):
        return np.asarray(np.rint(out), np.uint8)
    decided = scan.decided
    numbers = np.arange(len(decided))
    at = raster(scan.grid, numbers, -1, view.x, view.y)
    there = at >= 0
    colors, strength = _tints(scan)
    inside = at[there]
    out[there] = (1 - strength[inside, None]) * light[there] + strength[inside, None] * colors[
        inside
    ]
    states = np.where(there, decided[at], 0)
    where = there & (states == REFER) & striped(at.shape)
    out[where] = 0.25 * out[where] + 0.75 * np.array(rgb(INK))
    where = there & (states == OUTSIDE) & striped(at.shape, crossed=True)
    out[where] = 0.35 * out[where] + 0.65 * np.array(rgb(INK))
    if width := _line_px(scan, view):
        out[_edge(there & (states == positive(scan)), width)] = rgb(INK)
    return np.asarray(np.rint(out), np.uint8)


def _labeled(scan: Scan, truth: Ints, view: View) -> Image:
    """The picture in light gray, with a color for the label of each patch."""
    light = 255 - _DEPTH * (255 - view.image.mean(axis=2, keepdims=True))
    out = np.broadcast_to(light, view.image.shape).copy()
    at = raster(scan.grid, truth, -1, view.x, view.y)
    there = at >= 0
    out[there] = (1 - _STRENGTH) * out[there] + _STRENGTH * _label_tints(scan, at[there])
    return np.asarray(np.rint(out), np.uint8)


def _label_tints(scan: Scan, numbers: Ints) -> npt.NDArray[np.float64]:
    """The colors of classes, 0 to 255: as the ends of the ramp where there are two."""
    one = positive(scan)
    return label_colors(numbers) if one is None else probability_colors((numbers == one) * 1.0)


def _classes(scan: Scan) -> list[Key]:
    """The legend of the labels."""
    tints = _label_tints(scan, np.arange(min(len(scan.decision.classes), _MOST_KEYS)))
    return [
        Key("#" + "".join(f"{round(part):02x}" for part in tint), shortened(name, 30))
        for tint, name in zip(tints.tolist(), scan.decision.classes, strict=False)
    ]


def _tints(scan: Scan) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The color, 0 to 255, and the strength, 0 to 1, of each patch: [n, 3] and [n]."""
    values, decided = np.nan_to_num(shown(scan).astype(np.float64), nan=0.5), scan.decided
    if positive(scan) is not None:
        colors, strength = probability_colors(values), np.full(len(values), _STRENGTH)
    else:
        least = 1 / len(scan.decision.classes)
        colors = label_colors(np.nan_to_num(scan.probabilities).argmax(axis=1))
        strength = 0.2 + 0.7 * np.clip((values - least) / (1 - least), 0, 1)
    colors[decided == OUTSIDE] = rgb(_UNTINTED)
    strength[decided == OUTSIDE] = 0.6
    return colors, strength


def _line_px(scan: Scan, view: View) -> int:
    """How wide the line around positive patches is; 0 where they are too small for one."""
    if positive(scan) is None:
        return 0
    patch = min(float(s) / px for s, px in zip(scan.grid.step_px, view.step, strict=True))
    return (patch >= _LINE_FROM_PX) + (patch >= _THICK_FROM_PX)


def _edge(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """The border of a mask, inside of it."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(mask, iterations=width, border_value=1)
    return np.asarray(mask & ~inner, np.bool_)


def _framed(image: Image) -> Image:
    """With a thin line around it: glass is white, as the page is."""
    out = image.copy()
    color = np.array(rgb(LINE), np.uint8)
    out[[0, -1]] = color
    out[:, [0, -1]] = color
    return out


def _bar(scan: Scan, view: View) -> tuple[float, str] | None:
    scale = scan.slide.scale
    if scale is None:
        return None
    return bar_of(scale.x_um * view.step[0], view.image.shape[1])


def _heading(scan: Scan) -> str:
    one = positive(scan)
    if one is None:
        return "Decided class"
    return f"Probability of {shortened(scan.decision.classes[one], 22)}"


def _keys(scan: Scan, areas: Areas, view: View) -> list[Key]:
    """The legend: what was called, referred and out of scope, with its share."""
    one = positive(scan)
    keys = []
    if one is None:
        order = sorted(range(len(areas.classes)), key=lambda k: -areas.classes[k].patches)
        for k in sorted(order[:_MOST_KEYS]):
            words = f"{shortened(areas.classes[k].name, 30)}{_percent(areas.classes[k].share)}"
            keys.append(Key(CLASS_COLORS[k % len(CLASS_COLORS)], words))
    elif _line_px(scan, view):
        called = f"called {shortened(areas.classes[one].name, 24)}"
        keys.append(Key(INK, called + _percent(areas.positive_share), line=True))
    if scan.decision.point.band:
        keys.append(Key(_MIDDLE, "refer" + _percent(areas.refer_share), stripes=INK))
    if scan.decision.scope_limit is not None:
        words = "out of scope" + _percent(areas.out_of_scope_share)
        keys.append(Key(_UNTINTED, words, stripes=INK, crossed=True))
    return keys


def _percent(share: Amount) -> str:
    return "" if share.value is None else f": {100 * share.value:.1f} %"


def _words(scan: Scan, areas: Areas) -> str:
    """What the picture shows, on one line."""
    grid, scale = scan.grid, scan.slide.scale
    across, down = (float(side) for side in grid.field_px)
    if scale is None:
        field = f"{across:.4g} × {down:.4g} level-0 px, no scale"
    else:
        field = f"{across * scale.x_um:.3g} × {down * scale.y_um:.3g} µm"
    words = f"{areas.patches:,} patches of {field}"
    if grid.step_px != grid.field_px:
        unit = (1.0, "level-0 px") if scale is None else (scale.x_um, "µm")
        words += f", {float(grid.step_px[0]) * unit[0]:.3g} {unit[1]} apart"
    if areas.scanned_mm2.value is not None:
        words += f", {areas.scanned_mm2.value:.3g} mm² in all"
    if not areas.patches:
        return "no patch was scanned: no tissue was found"
    one = positive(scan)
    if one is None:
        return f"{words}; the stronger the color, the surer the class"
    called = shortened(scan.decision.classes[one], 24)
    return f"{words}; called {called}{_percent(areas.positive_share)}"
