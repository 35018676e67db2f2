"""Panels with a heading and a legend in one picture that a phone can show as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eosin.data.tints import Image, probability_colors
from eosin.figures.canvas import MARK
from eosin.figures.letters import font_with, lacking, note_on, own_font, spelled
from eosin.records.model import INTENDED_USE

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

INK, QUIET, EDGE = "#1d2430", "#4d5766", "#9aa3ad"

#: Widths of the picture's parts in pixels. Letters are large: on a phone the picture is shown at
#: about a quarter of this size.
PANEL_PX = 780
_GAP, _TITLE, _LETTERS, _LINE, _SWATCH, _RAMP = 40, 46, 40, 56, 36, 320
_MARGIN_PX = 34


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a color and its words."""

    color: str
    text: str
    #: Stripes of this color over the first.
    stripes: str = ""
    #: Whether the color is a line around a place, not its tint.
    line: bool = False
    #: Whether the stripes run in both directions.
    crossed: bool = False


@dataclass(frozen=True)
class Panel:
    """A picture with a heading; below it a legend, a color ramp or a scale bar."""

    title: str
    #: uint8 [H, W, 3].
    image: Image
    keys: Sequence[Key] = field(default=())
    #: Words at the ends of the probability's color ramp.
    ramp: tuple[str, str] | None = None
    #: Pixels of ``image``, and the words, of a scale bar.
    bar: tuple[float, str] | None = None


def compose(panels: Sequence[Panel], *, columns: int = 2) -> Image:
    """Panels of one size in one picture, ``columns`` in a row: uint8 [H, W, 3].

    Tall pictures are drawn narrower, so that they fit on a screen.
    Raises ValueError where the panels' pictures differ in size.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    sizes = {panel.image.shape for panel in panels}
    if len(sizes) != 1:
        raise ValueError(f"panels of one size are needed, not {sorted(sizes)}")
    high, wide = panels[0].image.shape[:2]
    scale = min(PANEL_PX / wide, 1.3 * PANEL_PX / high)
    drawn = [resized(panel.image, scale) for panel in panels]
    tall = drawn[0].shape[0]
    head = _TITLE + 22
    rows = [range(k, min(k + columns, len(panels))) for k in range(0, len(panels), columns)]
    measure = ImageDraw.Draw(Pillow.new("RGB", (8, 8)))
    feet = [max(_foot(measure, panels[k], 0, 0, scale) for k in row) for row in rows]
    height = sum(feet) + len(rows) * (head + tall) + (len(rows) - 1) * _GAP + _GAP // 2
    sheet = Pillow.new("RGB", (columns * PANEL_PX + (columns - 1) * _GAP, height), "#ffffff")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for row, foot in zip(rows, feet, strict=True):
        for place, k in enumerate(row):
            left = place * (PANEL_PX + _GAP)
            write(draw, (left, top), panels[k].title, _TITLE, bold=True, room=PANEL_PX)
            sheet.paste(Pillow.fromarray(drawn[k]), (left, top + head))
            _foot(draw, panels[k], left, top + head + tall, scale)
        top += head + tall + foot + _GAP
    return np.asarray(sheet, np.uint8)


def _foot(draw: ImageDraw, panel: Panel, left: int, top: int, scale: float) -> int:
    """Draw the part below a panel; returns its height in pixels."""
    start, top = top, top + 14
    middle = top + _LINE // 2
    if panel.bar:
        length, text = panel.bar
        draw.rectangle((left, middle - 4, left + length * scale, middle + 4), fill=INK)
        write(draw, (left + length * scale + 16, middle), text, _LETTERS, anchor="lm")
        top += _LINE
    if panel.ramp:
        low, high = panel.ramp
        at = left + write(draw, (left, middle), low, _LETTERS, anchor="lm") + 14
        colors = probability_colors(np.arange(_RAMP) / _RAMP).round().astype(int).tolist()
        for x, color in enumerate(colors, int(at)):
            draw.line((x, middle - 15, x, middle + 15), fill=tuple(color))
        write(draw, (at + _RAMP + 14, middle), high, _LETTERS, anchor="lm")
        top += _LINE
    at = float(left)
    for k, key in enumerate(panel.keys):
        text, letters = fitted(draw, key.text, _LETTERS, room=PANEL_PX - _SWATCH - 14)
        width = _SWATCH + 14 + draw.textlength(text, letters)
        if k and at + width > left + PANEL_PX:
            at, top = float(left), top + _LINE
        middle = top + _LINE // 2
        box = (at, middle - _SWATCH // 2, at + _SWATCH, middle + _SWATCH // 2)
        if key.line:
            draw.rectangle(box, fill="#ffffff", outline=key.color, width=5)
        else:
            draw.rectangle(box, fill=key.color, outline=EDGE, width=2)
        if key.stripes:
            _stripes(draw, box, key.stripes, key.crossed)
        draw.text((at + _SWATCH + 14, middle), text, INK, letters, anchor="lm")
        at += width + 36
    return top + (_LINE if panel.keys else 0) - start


def _stripes(
    draw: ImageDraw, box: tuple[float, float, float, float], color: str, crossed: bool
) -> None:
    x0, y0, x1, y1 = (int(side) for side in box)
    places = np.argwhere(striped((y1 - y0 - 3, x1 - x0 - 3), crossed=crossed)).tolist()
    draw.point([(x0 + 2 + x, y0 + 2 + y) for y, x in places], fill=color)


def striped(shape: tuple[int, int], *, crossed: bool = False) -> npt.NDArray[np.bool_]:
    """Where diagonal stripes run in a picture of this height and width: bool [H, W].

    >>> striped((2, 12))[0].astype(int).tolist()
    [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    y, x = np.indices(shape)
    if crossed:
        return np.asarray(((x + y) % 11 < 2) | ((x - y) % 11 < 2))
    return np.asarray((x + y) % 11 < 4)


def headed(
    image: Image,
    title: str,
    subtitle: str,
    *,
    marks: Iterable[str] = (),
    names: Iterable[str] = (),
) -> Image:
    """A picture with its heading, and the intended use below it: uint8 [H, W, 3].

    marks: words in red above the title; names: those in the picture, for a note where letters of
    them cannot be drawn.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    lines = [
        *((mark, MARK, 24, True) for mark in marks),
        (title, INK, 44, True),
        (subtitle, QUIET, 22, False),
    ]
    high, wide = image.shape[:2]
    head = _MARGIN_PX + sum(size + 18 for _, _, size, _ in lines)
    page = Pillow.new("RGB", (wide + 2 * _MARGIN_PX, head + high + 60), "#ffffff")
    draw = ImageDraw.Draw(page)
    top = _MARGIN_PX
    for text, color, size, bold in lines:
        write(draw, (_MARGIN_PX, top), text, size, color, bold=bold, room=wide)
        top += size + 18
    page.paste(Pillow.fromarray(image), (_MARGIN_PX, head))
    foot = " ".join(filter(None, [INTENDED_USE, note_on(names)]))
    write(draw, (_MARGIN_PX, head + high + 22), foot, 18, QUIET, room=wide)
    return np.asarray(page, np.uint8)


def resized(image: Image, scale: float) -> Image:
    """The picture with its sides times ``scale``, at least one pixel: uint8 [H, W, 3]."""
    import cv2

    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def write(
    draw: ImageDraw,
    at: tuple[float, float],
    text: str,
    size_px: int,
    color: str = INK,
    *,
    bold: bool = False,
    room: float | None = None,
    anchor: str = "la",
) -> float:
    """Draw text that is not wider than ``room`` pixels; returns its width."""
    shown, letters = fitted(draw, text, size_px, bold=bold, room=room)
    draw.text(at, shown, color, letters, anchor=anchor)
    return draw.textlength(shown, letters)


def fitted(
    draw: ImageDraw, text: str, size_px: int, *, bold: bool = False, room: float | None = None
) -> tuple[str, FreeTypeFont]:
    """Text cut to ``room`` pixels, and the font that has its letters."""
    text = text.replace("\n", " ")
    shown = spelled(text)
    own = own_font(bold=bold)
    other = None if shown != text or not lacking(text) else font_with(text)
    letters = _font(other[1] if other else own, size_px)
    if room is None or draw.textlength(shown, letters) <= room:
        return shown, letters
    while shown and draw.textlength(shown + "…", letters) > room:
        shown = shown[:-1]
    return shown + "…", letters


@cache
def _font(path: Path, size_px: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(path), size_px)
