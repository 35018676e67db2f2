"""Letters: any name can be drawn, in a font that has its letters or else by their numbers.

DejaVu Sans, which is part of matplotlib, has Latin, Greek, Cyrillic, Hebrew and Arabic letters; for
others a font of this machine is looked for. A letter that no font has is spelled as ``[U+4E2D]`` in
a picture, and a note says so. In an SVG words are words, and the reader's own fonts draw them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

OWN = "DejaVu Sans"
#: Part of matplotlib; it has a box for every letter, by which the room for a word is measured.
ANY = "Last Resort High-Efficiency"
NOTE = "[U+…]: letters that no font of this machine has; install one, such as Noto Sans CJK"
#: Put before a name that begins with an underscore, which a legend would leave out.
JOINER = "\N{WORD JOINER}"
#: What turns the direction of all the text after it.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def series(name: str) -> str:
    """The name of a series, as a legend shows it whatever it begins with.

    >>> series("tumor"), len(series("_x"))
    ('tumor', 3)
    """
    return JOINER + name if name.startswith("_") else name


def own_font(*, bold: bool = False) -> Path:
    """The file of ``OWN``: the same letters on every machine."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@cache
def _has(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    font = get_font(path)
    return frozenset(font.get_charmap() if font.scalable else ())


@cache
def lacking(text: str) -> str:
    """The letters that the own font has not, each once and in order."""
    known = _has(str(own_font()))
    return "".join(dict.fromkeys(c for c in text if ord(c) not in known and c != "\n"))


@cache
def font_with(letters: str) -> tuple[str, Path] | None:
    """Family and file of a font of this machine that has all of these letters, if there is one."""
    from matplotlib.font_manager import fontManager

    needed = {ord(c) for c in letters}
    entries = sorted(fontManager.ttflist, key=lambda each: (each.style, each.weight != 400))
    for entry in entries:
        try:
            if entry.name != ANY and needed <= _has(entry.fname):
                return entry.name, Path(entry.fname)
        except (OSError, RuntimeError, ValueError):
            continue  # a font that cannot be opened has no letters
    return None


def spelled(text: str) -> str:
    """The text with the number of each letter that no font has.

    >>> spelled("tumor $1"), spelled("a" + chr(0x10FFFD))
    ('tumor $1', 'a[U+10FFFD]')
    """
    text = _TURNING.sub("", text)
    lost = "".join(c for c in lacking(text) if font_with(c) is None)
    if not lost:
        return text
    return re.sub(
        f"[{re.escape(lost)}]+",
        lambda run: f"[{' '.join(f'U+{ord(c):04X}' for c in run[0])}]",
        text,
    )


def room_of(name: str) -> int:
    """How many letters wide a name is, in a picture or as words.

    >>> room_of("tumor")
    5
    """
    # Chinese, Japanese and Korean letters are about twice as wide as others.
    return max(len(spelled(name)), len(name) + sum(letter > "\u2e7f" for letter in name))


def note_on(names: Iterable[str]) -> str:
    """A sentence where letters of some names had to be spelled, or ""."""
    return NOTE if any(spelled(each) != _TURNING.sub("", each) for each in names) else ""


def _families(text: str) -> Iterator[str]:
    yield OWN
    for letter in lacking(text):
        if found := font_with(letter):
            yield found[0]
    yield ANY


def make_drawable(figure: Drawing, *, as_words: bool) -> None:
    """Give every text of a figure the fonts for its letters, and let no name be a formula.

    as_words: the file keeps words as words, so no letter is spelled.
    """
    from matplotlib.text import Text

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [each.get_text() for each in axis.get_ticklabels()]
        if not as_words and (shown := [spelled(each) for each in labels]) != labels:
            # They are written anew when the figure is drawn.
            axis.set_ticklabels(shown)
    texts = [each for each in figure.findobj(Text) if each.get_text()]
    note = "" if as_words else NOTE * any("[U+" in spelled(each.get_text()) for each in texts)
    for each in texts:
        text = each.get_text().replace(JOINER, "")
        # The numbers of a logarithmic axis are matplotlib's own formulas.
        if "$" in text and not text.startswith(r"$\mathdefault{"):
            each.set_parse_math(False)
        if lacking(text) or _TURNING.search(text):
            each.set_fontfamily(list(dict.fromkeys(_families(text))))
            # Not every font has bold letters.
            each.set_fontweight("normal")
            text = _TURNING.sub("", text) if as_words else spelled(text)
        each.set_text(text)
    if note:
        figure.text(
            0.02, 0.02 / figure.get_figheight(), note, color="#5c6675", fontsize=6.5, va="bottom"
        )
