"""Markdown that any text can be put into without breaking it."""

from __future__ import annotations

import re
from collections.abc import Sequence


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
