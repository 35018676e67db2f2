"""What marimo shows, standing still: HTML without scripts, for a page that only is read."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

from formulas import mathml

_EMPTY = {"img", "br", "hr", "input", "path", "col", "wbr"}
#: Parts that hold others in their attributes or children and need no look of their own.
_PASSED = {"marimo-ui-element", "marimo-lazy", "marimo-mime-renderer"}
#: Inputs that show a value; what a button or a field would do needs the lesson itself.
_INPUTS = {
    "marimo-slider", "marimo-range-slider", "marimo-number", "marimo-dropdown", "marimo-radio",
    "marimo-checkbox", "marimo-switch", "marimo-text", "marimo-multiselect",
}  # fmt: skip
_BUTTONS = {"marimo-button", "marimo-run-button"}


class UnknownPartError(Exception):
    """A part of marimo that has no still form yet."""


def still(text: str) -> str:
    """HTML with every moving part shown as it stands.

    >>> still("<marimo-tex class='arithmatex'>||(x||)</marimo-tex>")[:5]
    '<math'
    >>> still("<b>a</b>&lt;")
    '<b>a</b>&lt;'
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return "".join(reader.found)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        #: What closes each open element.
        self.open: list[str] = []
        #: Names of what is folded, for each accordion or set of tabs that is open.
        self.labels: list[list[str]] = []
        self.folds_at = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        data = {name: value or "" for name, value in attributes}
        if tag == "marimo-tex":
            self.found.append("\0")
            self.open.append("\0")
        elif tag.startswith("marimo-"):
            before, after = self.part(tag, data)
            self.found.append(before)
            self.open.append(after)
        elif tag in _EMPTY:
            self.found.append(self.get_starttag_text() or "")
        else:
            self.element(tag, data)

    def element(self, tag: str, data: dict[str, str]) -> None:
        kind = data.get("class", "")
        if tag == "span" and "markdown" in kind.split():
            self.found.append('<div class="told">')
            self.open.append("</div>")
        elif tag == "span" and kind == "paragraph":
            self.found.append("<p>")
            self.open.append("</p>")
        elif tag == "div" and self.labels and len(self.open) == self.folds_at:
            label = self.labels[-1].pop(0) if self.labels[-1] else ""
            self.found.append(f"<details><summary>{still(label)}</summary>")
            self.open.append("</details>")
        else:
            if "codehilite" in kind:
                data["class"] = f"{kind} highlight"
            said = "".join(f' {name}="{html.escape(value)}"' for name, value in data.items())
            self.found.append(f"<{tag}{said}>")
            self.open.append(f"</{tag}>")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _EMPTY:
            return
        if tag in ("marimo-accordion", "marimo-tabs") and self.labels:
            self.labels.pop()
        closing = self.open.pop() if self.open else ""
        if closing == "\0":
            start = len(self.found) - 1 - self.found[::-1].index("\0")
            tex = html.unescape("".join(self.found[start + 1 :]))
            del self.found[start:]
            self.found.append(_formula(tex))
        else:
            self.found.append(closing)

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_entityref(self, name: str) -> None:
        self.found.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.found.append(f"&#{name};")

    def part(self, tag: str, data: dict[str, str]) -> tuple[str, str]:
        """What stands for a part of marimo: before and after its children."""
        label = still(_json(data.get("data-label")) or "")
        if tag in _PASSED:
            return "", ""
        if tag in _INPUTS:
            return _input(tag, label, data), ""
        if tag in _BUTTONS:
            return f'<span class="button">{label or "Run"}</span>', ""
        if tag in ("marimo-code-editor", "marimo-text-area"):
            code = html.escape(str(_json(data.get("data-initial-value")) or ""))
            code = code.replace("\n\n", "\n&#8203;\n")
            return f'{label}<div class="highlight"><pre class="answer">{code}</pre></div>', ""
        if tag == "marimo-callout-output":
            inner = still(str(_json(data.get("data-html")) or ""))
            kind = _json(data.get("data-kind")) or "neutral"
            return f'<div class="callout {kind}">{inner}', "</div>"
        if tag in ("marimo-accordion", "marimo-tabs"):
            names = _json(data.get("data-labels") or data.get("data-tabs")) or []
            self.labels.append([str(name) for name in names])
            self.folds_at = len(self.open) + 1
            return '<div class="folded">', "</div>"
        if tag == "marimo-table":
            return _table(_json(data.get("data-data"))), ""
        if tag in ("marimo-form", "marimo-dict", "marimo-array", "marimo-batch"):
            return "", ""
        raise UnknownPartError(f"<{tag}> has no still form; give it one in docs/still.py")


def _json(value: str | None) -> Any:
    """The value of an attribute of marimo."""
    if not value:
        return None
    # marimo writes < and & of an attribute's JSON with an escaped backslash.
    try:
        return json.loads(html.unescape(value))
    except json.JSONDecodeError:
        return value


def _formula(tex: str) -> str:
    text = tex.strip()
    block = text.startswith("||[")
    return mathml(text.removeprefix("||[").removeprefix("||(")[:-3], block=block)


def _input(tag: str, label: str, data: dict[str, str]) -> str:
    value = _json(data.get("data-initial-value"))
    if tag in ("marimo-checkbox", "marimo-switch"):
        value = "yes" if value else "no"
    if tag == "marimo-radio":
        options = "".join(
            f"<li>{html.escape(str(o))}</li>" for o in _json(data.get("data-options")) or []
        )
        return f'<div class="choice">{label}<ul>{options}</ul></div>'
    if tag == "marimo-text":
        field = html.escape(str(value or _json(data.get("data-placeholder")) or ""))
        return f'<div class="choice">{label}<span class="field">{field}&#8203;</span></div>'
    steps = _json(data.get("data-steps")) or []
    rail = ""
    if tag == "marimo-slider":
        low, high = float(data.get("data-start") or 0), float(data.get("data-stop") or 1)
        at = (float(value) - low) / (high - low or 1)
        if steps:
            value = steps[min(int(value), len(steps) - 1)]
        rail = f'<i class="rail"><i style="left: {100 * min(max(at, 0), 1):.0f}%"></i></i>'
    if isinstance(value, list):
        value = " to ".join(map(str, value)) if "range" in tag else ", ".join(map(str, value))
    label = re.sub(r"</?(?:div|p)\b[^>]*>", "", label)
    said = "" if value is None else f"<b>{html.escape(str(value))}</b>"
    return f'<span class="input"><span>{label}</span>{rail}{said}</span>'


def _table(rows: Any) -> str:
    if isinstance(rows, str):
        rows = _json(rows)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        raise UnknownPartError("a table without rows of its own has no still form")
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'
