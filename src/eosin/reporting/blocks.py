"""What a card is made of: plain values that renderers turn into HTML and Markdown.

Everything in a block is text, which renderers escape, except ``Drawing.svg``, which comes from our
own figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eosin.reporting.words import sentence

if TYPE_CHECKING:
    from markupsafe import Markup

    from eosin.reporting.pictures import Picture

#: A cell: its text, or its text with a smaller line below.
Cell = str | tuple[str, str]


class Block:
    """One thing in a card."""

    @property
    def kind(self) -> str:
        """The name by which the HTML template knows it."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; quiet ones are smaller."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Heading(Block):
    """A heading inside a card."""

    text: str


@dataclass(frozen=True)
class Facts(Block):
    """Short facts in a row: a large number or word above its name."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table(Block):
    """A table that scrolls inside its own box where it is too wide.

    words: columns (numbers from 0) that are text and are aligned left; the first always is.
    strong: rows (numbers from 0) to stress.
    shades: shares 0 to 1 that tint the cells after the first, a row a row of the table.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()
    shades: Sequence[Sequence[float]] = ()
    #: Whether the first column of numbers is the one to read.
    stress: bool = False
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure: the drawing, its caption, and what it means."""

    title: str
    svg: Markup
    caption: str
    meaning: str = ""


@dataclass(frozen=True)
class Figures(Block):
    """Figures side by side where there is room; (title, reason) for one that cannot be made."""

    items: Sequence[Drawing | tuple[str, str]]


@dataclass(frozen=True)
class Pictures(Block):
    """Pictures as small multiples."""

    items: Sequence[Picture]
    columns: int
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """One row of a forest: a name, an interval and its words; with details it opens."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    beside: str = ""
    details: Sequence[tuple[str, str]] = ()
    opened: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Forest(Block):
    """Intervals above each other on one axis."""

    label: str
    rows: Sequence[Bar]
    #: Ends of the axis.
    begin: float
    end: float
    #: Interval of all patches, drawn behind the rows: low, value, high.
    band: tuple[float, float, float] | None = None
    note: str = ""

    def place(self, value: float | None) -> str:
        """Where a value is on the axis, in percent of its width."""
        if value is None or self.end <= self.begin:
            return "0"
        share = (value - self.begin) / (self.end - self.begin)
        return f"{100 * min(1.0, max(0.0, share)):.2f}"

    @property
    def ticks(self) -> list[float]:
        """Values to write under the axis, few enough for a phone."""
        for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0):
            first = -(-round(self.begin / step, 6) // 1)
            values = [round((first + k) * step, 4) for k in range(200)]
            values = [value for value in values if self.begin - 1e-9 <= value <= self.end + 1e-9]
            if len(values) <= 6:
                return values
        return []


@dataclass(frozen=True)
class Share:
    """One part of 1,000 patches: how many, and its kind for the color."""

    name: str
    count: float
    tone: str


@dataclass(frozen=True)
class Point:
    """An operating point: its sentence, its figures and what 1,000 patches become."""

    title: str
    threshold: str
    sentence: str
    #: Name, value, interval.
    figures: Sequence[tuple[str, str, str]]
    shares: Sequence[Share]
    notes: Sequence[str] = ()
    default: bool = False


@dataclass(frozen=True)
class Points(Block):
    """Operating points side by side."""

    items: Sequence[Point]


@dataclass(frozen=True)
class Findings(Block):
    """What an audit found, each with how serious it is: leak, warning, hint or fine."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class More(Block):
    """Something that those who want it open."""

    summary: str
    blocks: Sequence[Block]
    opened: bool = False


@dataclass(frozen=True)
class Code(Block):
    """Lines to copy."""

    label: str
    lines: Sequence[str]


@dataclass(frozen=True)
class List(Block):
    """Sentences as a list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Card:
    """A part of a page; ``lead`` is the sentence before anything is shown."""

    name: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = field(default=())
    #: Whether it is only a sentence, because it could not be made or has nothing to show.
    empty: bool = False


def notes(*texts: str) -> list[Block]:
    """Quiet paragraphs, those that are not empty.

    >>> [block.text for block in notes("few cases", "")]
    ['Few cases.']
    """
    return [Text(sentence(text), quiet=True) for text in texts if text]


class MissingPart(Exception):
    """What a card needs is missing; the message is the sentence that is shown instead."""
