"""The look of every figure: canvas, colors, marks, and an atomic save. No global plotting state.

A path that ends in .svg gives a drawing with real text; inside ``with for_page():`` figures are
narrow and without title, subtitle and marks, because the page around them has these.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from eosin.figures.letters import make_drawable
from eosin.folders import whole_file
from eosin.records.figures import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

PathLike = str | os.PathLike[str]
#: Settings of one thing that matplotlib draws.
Look = dict[str, Any]


class Heading(TypedDict, total=False):
    """What is above a figure beside its title: which data, and marks in red."""

    subtitle: str
    marks: Sequence[str]


#: Apart for every kind of color vision (after Okabe & Ito, 2008), and in gray as well.
BLUE, ORANGE, GREEN, PURPLE = "#0f5c9c", "#d1602a", "#1b8a6b", "#8a4f9e"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#b58900", "#4a4a4a")
INK, QUIET, LINE, PAPER, MARK = "#1d2430", "#5c6675", "#dfe3e8", "#ffffff", "#c01622"
#: Words beside an orange mark.
ORANGE_INK = "#a8481a"
DASHES = (0, (4, 4))
DPI = 150

#: Width in inches of the figures of a page, or 0 where figures are not part of a page.
_page_width_in: ContextVar[float] = ContextVar("page_width_in", default=0.0)


@contextmanager
def for_page(width_in: float = 4.6) -> Iterator[None]:
    """Figures made inside are for a page: ``width_in`` inches wide, letters as large as ever.

    >>> with for_page(4.0):
    ...     figure, axes = canvas("Not drawn on a page", panels=2)
    >>> float(figure.get_figwidth()), len(figure.texts)
    (4.0, 0)
    """
    before = _page_width_in.set(width_in)
    try:
        yield
    finally:
        _page_width_in.reset(before)


def on_page() -> bool:
    """Whether figures are being made for a page."""
    return bool(_page_width_in.get())


def canvas(
    title: str,
    subtitle: str = "",
    *,
    marks: Sequence[str] = (),
    width_in: float = 7.2,
    height_in: float = 6.0,
    panels: int = 1,
    side_in: float = 0.85,
    foot_in: float = 0.72,
    head_in: float = 0.16,
) -> tuple[Drawing, list[Axes]]:
    """An empty figure with its heading: title, what the data are, and marks in red.

    Sizes are in inches; panels are side by side; ``side_in``, ``foot_in`` and
    ``head_in`` are the room left of, below and above the axes. On a page the figure is narrower
    with the same shape, panels are one below the other, and the heading is left to the page.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    rows, columns = 1, panels
    if on_page():
        marks, title, subtitle, rows, columns = (), "", "", panels, 1
        # A figure made of panels keeps the shape that a panel had.
        height_in *= _page_width_in.get() / width_in * panels**2
        width_in = _page_width_in.get()
        height_in = min(height_in, 3.0 * panels) if panels > 1 else height_in
        side_in, foot_in = min(side_in, 0.68), foot_in - 0.16
    figure = Drawing(figsize=(width_in, height_in), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    lines = [(row, MARK, 11.5, "bold", 0.25) for row in _wrapped(" · ".join(marks), width_in, 11.5)]
    lines += [(row, INK, 15.0, "bold", 0.33) for row in _wrapped(title, width_in, 15.0)]
    lines += [
        (row, QUIET, 10.5, "normal", 0.22)
        for line in subtitle.split("\n")
        for row in _wrapped(line, width_in, 10.5)
    ]
    down = 0.0 if on_page() else 0.16
    height_in += sum(line[-1] for line in lines[3:])
    figure.set_figheight(height_in)
    for text, color, size, weight, step in lines:
        place = (0.2 / width_in, 1 - down / height_in)
        figure.text(*place, text, color=color, fontsize=size, fontweight=weight, va="top")
        down += step
    grid = figure.add_gridspec(
        rows,
        columns,
        left=side_in / width_in,
        right=1 - 0.3 / width_in,
        bottom=foot_in / height_in,
        top=1 - (down + head_in) / height_in,
        wspace=0.28,
        hspace=0.42,
    )
    return figure, [styled(figure.add_subplot(grid[k])) for k in range(panels)]


def _wrapped(text: str, width_in: float, size_pt: float) -> list[str]:
    """Lines that fit the figure: marks may be whole sentences."""
    # A bold letter is about 0.64 of its size wide; 72 points are an inch.
    return textwrap.wrap(text, max(20, int((width_in - 0.4) * 72 / (0.64 * size_pt))))


def styled(axes: Axes) -> Axes:
    """Light grid, two spines, readable ticks."""
    axes.set_facecolor(PAPER)
    axes.grid(True, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#aab2bd")
    axes.tick_params(colors=QUIET, labelsize=10.5, length=3)
    axes.xaxis.label.set(color=INK, fontsize=11.5)
    axes.yaxis.label.set(color=INK, fontsize=11.5)
    return axes


def save(figure: Drawing, path: str | os.PathLike[str]) -> Path:
    """Write a PNG, or an SVG where the path ends so; the file is complete or not there.

    The same numbers give the same bytes. In an SVG the words are words, so that they can be read
    aloud and take the font of the page around them.
    """
    import matplotlib

    target = Path(path)
    kind = "svg" if target.suffix.lower() == ".svg" else "png"
    # No software version and no date in the file, and no random names.
    no_metadata = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}[kind]
    words = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "eosin"})
    make_drawable(figure, as_words=kind == "svg")
    with whole_file(target) as temporary, words, open(temporary, "wb") as file:
        figure.savefig(file, format=kind, dpi=DPI, metadata=no_metadata)
    return target


def with_interval(name: str, figure: Figure) -> str:
    """A figure in words: ``AUROC 0.926 (0.912 to 0.937)``.

    >>> with_interval("AUROC", Figure(value=0.9257, low=0.9125, high=0.9373))
    'AUROC 0.926 (0.912 to 0.937)'
    >>> with_interval("AUROC", Figure())
    'AUROC not defined'
    """
    if figure.value is None:
        return f"{name} not defined"
    if figure.low is None or figure.high is None:
        return f"{name} {figure.value:.3f} (no interval)"
    return f"{name} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def note(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Words inside the axes at (x, y) of their size, quiet and aligned left unless ``look``ed so.

    look: settings of matplotlib's text; ``transform=axes.transData`` places it by the data.
    """
    settings = {"transform": axes.transAxes, "color": QUIET, "fontsize": 10.5}
    axes.text(x, y, text, **{**settings, **look})


def nothing(axes: Axes, text: str) -> None:
    """Write in the middle of the axes why there is nothing to draw."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    note(axes, 0.5, 0.5, text, ha="center", va="center", fontsize=12, wrap=True)


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, with the same ticks."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)


def dot(axes: Axes, at: tuple[float, float], text: str = "", *, left: bool = False) -> None:
    """A marked point with its words beside it."""
    edge: Look = {"markeredgecolor": PAPER, "markeredgewidth": 1.6}
    axes.plot(*at, "o", color=ORANGE, markersize=10, zorder=4, **edge)
    side = "right" if left else "left"
    beside(axes, at, text, (-14 if left else 16, -14), ha=side, va="top")


def beside(
    axes: Axes, at: tuple[float, float], text: str, offset_pt: tuple[float, float], **look: Any
) -> None:
    """Words at an offset in points from a place in the data, in the color of orange marks."""
    settings = {"color": ORANGE_INK, "fontsize": 10.5, "linespacing": 1.35}
    axes.annotate(text, at, xytext=offset_pt, textcoords="offset points", **{**settings, **look})


def statement(axes: Axes, text: str, x: float, y: float, side: str = "right") -> None:
    """The figure's one number, in words, inside the axes at (x, y) of their size.

    On a page the words beside the figure say it.
    """
    if on_page():
        return
    bold = {"color": INK, "fontsize": 13, "fontweight": "bold"}
    note(axes, x, y, text, ha=side, va="bottom", **bold)


def legend(axes: Axes, *, above: bool = False) -> None:
    """Names of the series: where they hide least, or in a row above the axes."""
    place: Look = {"loc": "best"}
    if above:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2, "borderaxespad": 0.2}
    frame: Look = {"framealpha": 0.92, "edgecolor": "none", "facecolor": PAPER}
    drawn = axes.legend(**place, **frame, labelcolor=INK, fontsize=10.5)
    drawn.set_zorder(5)
