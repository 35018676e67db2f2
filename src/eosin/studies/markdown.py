"""Figures as words, and the Markdown pages of studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "epoch"), counted(12, "epoch")
    ('1 epoch', '12 epochs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(value: float | None, sign: str = "") -> str:
    """A figure for a table.

    >>> number(0.96318), number(0.03, "+"), number(None)
    ('0.9632', '+0.0300', '-')
    """
    return "-" if value is None else f"{value:{sign}.4f}"


def span(figure: Mapping[str, Any], sign: str = "") -> str:
    """The interval of a figure {value, low, high}.

    >>> span({"low": 0.1, "high": 0.3}), span({"low": None})
    ('0.1000 to 0.3000', '-')
    """
    if figure["low"] is None:
        return "-"
    return f"{number(figure['low'], sign)} to {number(figure['high'], sign)}"


def with_span(figure: Mapping[str, Any] | None, sign: str = "") -> str:
    """A figure with its interval; "-" where there is none.

    >>> with_span({"value": 0.2, "low": 0.1, "high": 0.3}, "+")
    '+0.2000 (+0.1000 to +0.3000)'
    """
    if figure is None:
        return "-"
    text = number(figure["value"], sign)
    return text if figure["low"] is None else f"{text} ({span(figure, sign)})"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> list[str]:
    """The lines of a table; the first ``words`` columns are text, the others are aligned right.

    >>> table(["figure", "value"], [["AUROC", "0.9"]])[1:]
    ['| --- | --: |', '| AUROC | 0.9 |', '']
    """
    rules = ["---"] * words + ["--:"] * (len(columns) - words)
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, rules, *rows)]
    return [*lines, ""]


def paragraphs(texts: Sequence[str]) -> list[str]:
    """Each text with an empty line after it."""
    return [line for text in texts for line in (text, "")]


def rendered(template: str, **values: Any) -> str:
    """The text of a template of this room; a value that is a list of lines stays lines."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    lines = {k: "\n".join(v) if isinstance(v, list) else v for k, v in values.items()}
    loader = PackageLoader("eosin", "studies")
    return (
        Environment(loader=loader, undefined=StrictUndefined).get_template(template).render(lines)
    )


def page(title: str, result: Mapping[str, Any], lines: Sequence[str]) -> str:
    """A page: title, the marks of a result, the lines, and what the result is for."""
    marks = paragraphs([f"> **{mark}**" for mark in result["marks"]])
    return "\n".join([f"# {title}", "", *marks, *lines, "", result["intended_use"], ""])
