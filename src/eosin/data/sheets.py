"""CSV that people open in a spreadsheet: a name that begins like a formula stays a text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

#: How what a spreadsheet would calculate begins.
_FORMULA = tuple("=+-@\t\r")


def sheet(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV text. A text that begins like a formula gets an apostrophe before it.

    >>> print(sheet(["class", "n"], [["=cmd", -1.5], ["tumor", None]]), end="")
    class,n
    '=cmd,-1.5
    tumor,
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in (columns, *rows))
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
