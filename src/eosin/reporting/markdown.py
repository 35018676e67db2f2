"""Cards as Markdown that any text can be put into without breaking it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eosin.reporting import blocks
from eosin.reporting.blocks import Block, Card, Cell


def as_markdown(title: str, cards: Sequence[Card]) -> str:
    """A title and cards as Markdown; pictures and forests are left to the HTML page.

    >>> as_markdown("A|b", [Card("x", "Heading", "Text.", [blocks.List(["one"])])])
    '# A\\\\|b\\n\\n## Heading\\n\\nText.\\n\\n- one\\n'
    """
    parts = [f"# {escaped(title)}"]
    for card in cards:
        parts.append(f"## {card.title}")
        parts += [paragraph(card.lead)] if card.lead else []
        parts += [part for block in card.blocks for part in _block(block) if part]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case blocks.Text(text):
            yield paragraph(text)
        case blocks.Heading(text):
            yield f"### {escaped(text)}"
        case blocks.Facts(rows):
            yield table(("fact", "value"), [(name, value) for value, name in rows])
        case blocks.Table():
            yield paragraph(block.caption and f"{block.caption}:")
            yield table(block.columns, [[_cell(cell) for cell in row] for row in block.rows])
            yield paragraph(block.note)
        case blocks.List(items):
            yield "\n".join(f"- {paragraph(text)}" for text in items)
        case blocks.Findings(items):
            yield "\n".join(f"- {paragraph(f'{grade}: {text}')}" for grade, text in items)
        case blocks.Code(_, lines):
            yield code(lines)
        case blocks.Points(items):
            yield from _points(items)
        case blocks.Figures(items):
            named = ((x.title, x.caption) if isinstance(x, blocks.Drawing) else x for x in items)
            yield "\n".join(f"- {paragraph(f'{title}: {text}')}" for title, text in named if text)
        case blocks.More(summary, parts):
            yield f"### {escaped(summary)}"
            for inner in parts:
                yield from _block(inner)


def _points(points: Sequence[blocks.Point]) -> Iterator[str]:
    """A row a point: every figure and every part of 1,000 patches is a column."""
    names = list(dict.fromkeys(name for point in points for name, *_ in point.figures))
    parts = list(dict.fromkeys(share.name for point in points for share in point.shares))
    rows = []
    for point in points:
        cells = {name: _cell((value, interval)) for name, value, interval in point.figures}
        cells |= {share.name: f"{share.count:.0f}" for share in point.shares}
        title = point.title + (" (used by default)" if point.default else "")
        rows.append([title, point.threshold, *(cells.get(key, "") for key in [*names, *parts])])
    columns = ["point", "threshold", *names, *(f"{part} in 1,000" for part in parts)]
    yield table(columns, rows)
    texts = [(p.title, text) for p in points for text in (p.sentence, *p.notes) if text]
    yield "\n".join(f"- {paragraph(f'{title}: {text}')}" for title, text in texts)


def _cell(cell: Cell) -> str:
    return cell if isinstance(cell, str) else f"{cell[0]} ({cell[1]})" if cell[1] else cell[0]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no markup, no HTML, no end of a cell.

    >>> print(escaped("a|b" + chr(10) + "<b>`x`</b> snake_case"))
    a\\|b &lt;b&gt;\\`x\\`&lt;/b&gt; snake_case
    """
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    line = re.sub(r"([\\`*\[\]|~$!])", r"\\\1", line)
    # An underline inside a word is no markup.
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def paragraph(text: str) -> str:
    """Escaped text that begins no list, heading or rule."""
    line = escaped(text)
    line = re.sub(r"^([#+=-])", r"\\\1", line)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a heading; cells are escaped.

    >>> print(table(["figure"], [["a|b"]]))
    | figure |
    | --- |
    | a\\|b |
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell if k == 1 else escaped(cell) for cell in row) + " |"
        for k, row in enumerate(lines)
    )


def code(lines: Sequence[str]) -> str:
    """Lines to copy, in a fence that none of them can close.

    >>> print(code(["eosin train s"]))
    ```
    eosin train s
    ```
    """
    shown = [" ".join(line.split()) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *shown, fence])
