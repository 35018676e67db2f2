"""What a section is made of: plain values that one template turns into HTML.

Everything in a block is text, which the template escapes, except ``Drawing.svg``, which comes from
our own figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from markupsafe import Markup

    from eosin.reporting.pictures import Picture

#: A cell: its text, or its text with a smaller line below.
Cell = str | tuple[str, str]


@dataclass(frozen=True)
class Text:
    """A paragraph; quiet ones are smaller."""

    kind: ClassVar[str] = "text"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Facts:
    """Short facts in a row: a large number or word above its name."""

    kind: ClassVar[str] = "facts"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table that scrolls inside its own box where it is too wide.

    words: columns (numbers from 0) that hold text and are aligned left; the first always is.
    strong: rows (numbers from 0) to stress.
    shades: shares 0 to 1 that tint the cells after the first, a row a row of the table.
    """

    kind: ClassVar[str] = "table"
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
    """A figure: the drawing, its text alternative, its caption, and what it means."""

    title: str
    svg: Markup
    caption: str
    meaning: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures side by side where there is room; a str stands for one that could not be made."""

    kind: ClassVar[str] = "figures"
    items: Sequence[Drawing | tuple[str, str]]


@dataclass(frozen=True)
class Pictures:
    """Pictures as small multiples."""

    kind: ClassVar[str] = "pictures"
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
class Forest:
    """Intervals above each other on one axis."""

    kind: ClassVar[str] = "forest"
    label: str
    rows: Sequence[Bar]
    #: Ends of the axis.
    begin: float
    end: float
    #: Interval of the whole, drawn behind the rows.
    band: tuple[float, float, float] | None = None
    note: str = ""

    def place(self, value: float | None) -> str:
        """Where a value lies on the axis, in percent of its width."""
        if value is None or self.end <= self.begin:
            return "0"
        share = (value - self.begin) / (self.end - self.begin)
        return f"{100 * min(1.0, max(0.0, share)):.2f}"

    @property
    def ticks(self) -> list[float]:
        """Values to write under the axis, few enough for a phone."""
        for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0):
            first = -(-round(self.begin / step, 6) // 1)
            found = [round((first + k) * step, 4) for k in range(200)]
            found = [value for value in found if self.begin - 1e-9 <= value <= self.end + 1e-9]
            if len(found) <= 6:
                return found
        return []


@dataclass(frozen=True)
class Share:
    """One part of a whole: how many of 1,000, and its kind for the color."""

    name: str
    count: float
    tone: str


@dataclass(frozen=True)
class Point:
    """An operating point: its sentence, its figures and what 1,000 patches become."""

    title: str
    threshold: str
    sentence: str
    figures: Sequence[tuple[str, str, str]]
    shares: Sequence[Share]
    notes: Sequence[str] = ()
    default: bool = False


@dataclass(frozen=True)
class Points:
    """Operating points as cards."""

    kind: ClassVar[str] = "points"
    items: Sequence[Point]


@dataclass(frozen=True)
class Findings:
    """What an audit found, each with how grave it is: leak, warning, hint or fine."""

    kind: ClassVar[str] = "findings"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class More:
    """Something that is opened by those who want it."""

    kind: ClassVar[str] = "more"
    summary: str
    blocks: Sequence[object]
    opened: bool = False


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    kind: ClassVar[str] = "code"
    label: str
    lines: Sequence[str]


@dataclass(frozen=True)
class List:
    """Sentences as a list."""

    kind: ClassVar[str] = "points-of-text"
    items: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of the report; ``says`` is the sentence that stands before anything is shown."""

    name: str
    title: str
    says: str
    blocks: Sequence[object] = field(default=())
    #: Whether it is only a sentence, because it could not be made or has nothing to show.
    empty: bool = False


class MissingPart(Exception):
    """What a section needs is not there; the message is the sentence that stands instead."""
