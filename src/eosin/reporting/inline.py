"""A figure as part of a page: the SVG that a figure function wrote, made to follow the page.

Fixed colors become variables of the style sheet, so that dark mode and print work; letters take
the page's font; the size follows the column; ids are unique in the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup, escape

from eosin.figures import canvas
from eosin.folders import temporary_folder

#: Colors of figures.canvas -> variables of style.css.
COLORS = {
    canvas.BLUE: "--blue",
    canvas.ORANGE: "--orange",
    canvas.GREEN: "--green",
    canvas.PURPLE: "--purple",
    "#b58900": "--yellow",
    "#4a4a4a": "--gray",
    canvas.INK: "--ink",
    "#000000": "--ink",
    canvas.QUIET: "--quiet",
    canvas.LINE: "--line",
    canvas.PAPER: "--ground",
    canvas.MARK: "--mark",
    "#aab2bd": "--axis",
    canvas.ORANGE_INK: "--orange-ink",
}


def drawn(name: str, make: Callable[[Path], Path], *, alt: str) -> Markup:
    """Call a figure function with a path and return its drawing as an element of a page.

    name: unique in the page, made of letters and dashes; alt: what the figure shows, in words.
    """
    with temporary_folder() as folder, canvas.for_page():
        text = make(folder / "figure.svg").read_text("utf-8")
    return for_html(text, name, alt=alt)


def for_html(text: str, name: str, *, alt: str) -> Markup:
    """The <svg> element of a file that matplotlib wrote, ready for a page.

    >>> str(for_html('<svg width="9pt" viewBox="0 0 9 9"><g id="a"/></svg>', "f", alt="A curve"))
    '<svg class="drawing" viewBox="0 0 9 9" role="img" aria-label="A curve"><g id="f-a"/></svg>'
    """
    inner = text[text.index("<svg") :]
    head, _, rest = inner.partition(">")
    box = re.search(r'viewBox="([\d. -]+)"', head)
    if box is None:
        raise ValueError("the drawing has no viewBox")
    # A style sheet inside an SVG would apply to the whole page, and metadata name web addresses.
    rest = re.sub(r"<(style|metadata)\b.*?</\1>", "", rest, flags=re.DOTALL)
    rest = re.sub(r"<!--.*?-->", "", rest, flags=re.DOTALL)
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", rest)
    for color, variable in COLORS.items():
        rest = re.sub(rf"(?<=: ){color}\b", f"var({variable})", rest, flags=re.IGNORECASE)
    rest = re.sub(
        r"\bfont: ((?:bold |italic |[1-9]00 )*)([\d.]+)px [^;\"]+",
        r"font: \1\2px var(--sans)",
        rest,
    )
    rest = re.sub(r"\bfont-family: [^;\"]+", "font-family: var(--sans)", rest)
    # Text without a color is black in an SVG; here it is the page's ink.
    rest = re.sub(r'(\bd="[^"]*")', lambda path: _rounded(path[1]), rest)
    rest = re.sub(r">\s+<", "><", rest)
    opening = f'<svg class="drawing" viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">'
    return Markup(opening + rest.strip())


def _rounded(path: str) -> str:
    """Coordinates to a hundredth of a point, which nobody sees, on one line."""
    path = re.sub(r"-?\d+\.\d{3,}", lambda value: f"{float(value[0]):.2f}", path)
    return re.sub(r"\s+", " ", path)
