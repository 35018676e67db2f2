"""What a lesson shows, as plain Markdown: for a terminal, and for Jupyter."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

#: LaTeX words that lessons use -> what a terminal can show.
_WORDS = {
    "cdot": "·", "times": "×", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠",
    "approx": "≈", "leftarrow": "←", "rightarrow": "→", "to": "→", "mapsto": "→", "sum": "Σ",
    "prod": "Π", "partial": "∂", "nabla": "∇", "infty": "∞", "pm": "±", "odot": "⊙", "dots": "...",
    "ldots": "...", "cdots": "...", "in": "∈", "log": "log", "exp": "exp", "max": "max",
    "min": "min", "top": "ᵀ", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ",
    "epsilon": "ε", "varepsilon": "ε", "eta": "η", "theta": "θ", "lambda": "λ", "mu": "μ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "Sigma": "Σ", "tau": "τ", "phi": "φ", "varphi": "φ",
    "omega": "ω", "ell": "l", "quad": "   ", "qquad": "      ", "Rightarrow": "⇒", "iff": "⇔",
    "mid": "|", "prime": "'", "circ": "∘", "star": "*", "ast": "*", "equiv": "≡", "sim": "~",
    "propto": "∝", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "tanh": "tanh",
    "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "", "displaystyle": "",
    "limits": "", "langle": "⟨", "rangle": "⟩", "forall": "∀", "lVert": "‖", "rVert": "‖",
}  # fmt: skip
_LOW = dict(
    zip("0123456789+-=()aeoxhklmnpstijruv", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ", strict=True)
)
_HIGH = dict(zip("0123456789+-=()niTLl", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵀᴸˡ", strict=True))
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


def formula(latex: str) -> str:
    """A formula as a line of text.

    >>> formula(r"w \\leftarrow w - \\eta \\frac{\\partial L}{\\partial w_1}")
    'w ← w - η ∂L / ∂w₁'
    >>> formula(r"\\hat y = \\frac{1}{1 + e^{-z}}"), formula(r"\\text{mean of } (w x - y)^2")
    ('ŷ = 1 / (1 + e^(-z))', 'mean of (w x - y)²')
    """
    text = re.sub(r"\\begin\{\w+\*?\}(\{[^}]*\})?|\\end\{\w+\*?\}|&|\\nonumber", " ", latex)
    text = re.sub(r"\\\\(\[[^\]]*\])?", " ; ", text)
    text = re.sub(r"\\([,;:! ]|quad|qquad)(?![a-zA-Z])", _space, text)
    for accent, mark in (("hat", "̂"), ("bar", "̄"), ("tilde", "̃"), ("vec", "⃗")):
        text = re.sub(rf"\\{accent}\s*(?:\{{(\w)\}}|(\w))", rf"\1\2{mark}", text)
    wrappers = r"text|mathrm|mathbf|mathit|operatorname|boldsymbol|textbf|textit|mathbb|mathcal"
    for _ in range(6):  # a group may contain groups
        before = text
        text = re.sub(rf"\\(?:{wrappers}|underbrace|overline)\s*{_GROUP}", r"\1", text)
        text = re.sub(rf"\\d?t?frac\s*{_GROUP}\s*{_GROUP}", _fraction, text)
        text = re.sub(rf"\\sqrt\s*{_GROUP}", r"√(\1)", text)
        if text == before:
            break
    text = re.sub(r"\\partial\s+", r"\\partial ", text)
    text = re.sub(r"\\([a-zA-Z]+)", lambda match: _WORDS.get(match[1], match[1]), text)
    text = re.sub(r"\\([{}%_&#$|])", r"\1", text).replace("∂ ", "∂")
    text = re.sub(rf"_(?:{_GROUP}|(\S))", lambda f: _small(f, _LOW, "_"), text)
    text = re.sub(rf"\^(?:{_GROUP}|(\S))", lambda f: _small(f, _HIGH, "^"), text)
    import unicodedata

    return unicodedata.normalize("NFC", re.sub(r"[ \n]+", " ", text.replace("{,}", ",")).strip())


def _space(match: re.Match[str]) -> str:
    return "   " if "quad" in match[1] else ("" if match[1] == "!" else " ")


def _fraction(match: re.Match[str]) -> str:
    def grouped(part: str) -> str:
        part = part.strip()
        plain = re.sub(r"\\partial\s+", r"\\partial", part)
        return f"({part})" if re.search(r"[\s+\-]", plain) else part

    return f"{grouped(match[1])} / {grouped(match[2])}"


def _small(match: re.Match[str], table: dict[str, str], sign: str) -> str:
    inside = (match[1] if match[1] is not None else match[2]).strip()
    if inside and all(letter in table for letter in inside):
        small = "".join(table[letter] for letter in inside)
        return small if len(inside) < 4 and not inside.startswith("-") else f"{sign}({inside})"
    return f"{sign}{inside}" if len(inside) == 1 else f"{sign}({inside})"


def readable(markdown: str) -> str:
    """Markdown with its formulas as text; code keeps its dollar signs.

    >>> readable("The sum $w \\\\cdot x$ and `a$b$`")
    'The sum w · x and `a$b$`'
    """
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)
    block = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
    inline = re.compile(r"(?<![\\$])\$(?!\s)([^$\n]+?(?:\n[^$\n]+?)?)(?<!\s)\$(?!\d)")
    for k in range(0, len(parts), 2):
        text = block.sub(lambda match: f"\n\n        {formula(match[1])}\n\n", parts[k])
        parts[k] = inline.sub(lambda match: formula(match[1]), text)
    return "".join(parts)


def markdown_of(shown: Any, *, pictures: bool = False) -> str:
    """What marimo would show, as Markdown with LaTeX formulas: texts, inputs, callouts, tables.

    pictures: keep pictures whose bytes are in the page; the others become their alternative text.
    """
    # marimo's own inputs offer Markdown too, but it is their escaped HTML.
    text = getattr(shown, "_markdown_text", None)
    if isinstance(text, str) and "<marimo-" not in text:
        return text
    inner = getattr(shown, "text", None)
    if isinstance(inner, str):
        return from_html(inner, pictures=pictures)
    return f"```text\n{shown}\n```"


def from_html(text: str, *, pictures: bool = False) -> str:
    """HTML that marimo made, as Markdown; ``pictures`` as in ``markdown_of``.

    >>> from_html("<p>A <b>bold</b> <marimo-tex>||(x||)</marimo-tex></p>")
    'A **bold** $x$'
    """
    reader = _Reader(pictures)
    reader.feed(text)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.parts)).strip()


_BLOCKS = ("p", "div", "table", "ul", "ol", "figure", "blockquote")
_HIDDEN = ("svg", "style", "script")
_INLINE = {"b": "**", "strong": "**", "i": "*", "em": "*", "code": "`"}
_OPENING = {
    **dict.fromkeys(_BLOCKS, "\n\n"),
    **{f"h{level}": "\n\n" + "#" * level + " " for level in range(1, 7)},
    **_INLINE,
    "pre": "\n\n```\n", "li": "\n- ", "tr": "\n|", "marimo-tex": "\0",
}  # fmt: skip
_CLOSING = {
    **dict.fromkeys((*_BLOCKS, *(f"h{level}" for level in range(1, 7))), "\n\n"),
    **_INLINE,
    "pre": "\n```\n\n", "th": " |", "td": " |",
}  # fmt: skip


class _Reader(HTMLParser):
    def __init__(self, pictures: bool) -> None:
        super().__init__()
        self.pictures = pictures
        self.parts: list[str] = []
        self.hidden = 0
        self.row = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        data = {name: value or "" for name, value in attributes}
        text = _OPENING.get(tag, "")
        if tag in _HIDDEN:
            self.hidden += 1
            text = f"\n\n*[{data['aria-label']}]*\n\n" if data.get("aria-label") else ""
        elif tag == "img":
            words, source = data.get("alt") or "a picture", data.get("src", "")
            kept = self.pictures and source.startswith("data:image/")
            text = f"\n\n![{words}]({source})\n\n" if kept else f"\n\n*[{words}]*\n\n"
        elif tag in ("table", "tr"):
            self.row = self.row + 1 if tag == "tr" else 0
        elif tag.startswith("marimo-") and not text:
            text = _part(tag, data)
        elif tag == "span" and "paragraph" in data.get("class", ""):
            text = "\n\n"
        self.parts.append(text)

    def handle_endtag(self, tag: str) -> None:
        text = _CLOSING.get(tag, "")
        if tag in _HIDDEN:
            self.hidden -= 1
        elif tag == "marimo-tex":
            start = len(self.parts) - 1 - self.parts[::-1].index("\0")
            tex = "".join(self.parts[start + 1 :]).strip()
            del self.parts[start:]
            inside = tex.removeprefix("||[").removeprefix("||(")
            inside = re.sub(r"\|\|[\])]$", "", inside).strip()
            text = f"\n\n$${inside}$$\n\n" if tex.startswith("||[") else f"${inside}$"
        elif tag == "tr" and self.row == 1:
            line = "".join(self.parts).rpartition("\n")[2]
            text = "\n|" + " --- |" * (line.count("|") - 1)
        self.parts.append(text)

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def _part(tag: str, data: dict[str, str]) -> str:
    """The words for one of marimo's own elements."""
    label = from_html(str(_json(data.get("data-label")) or ""))
    value = _json(data.get("data-initial-value"))
    if tag == "marimo-callout-output":
        inner = from_html(str(_json(data.get("data-html")) or ""))
        return "\n\n" + "\n".join(f"> {line}" for line in inner.splitlines()) + "\n\n"
    if tag == "marimo-table":
        return _table(_json(data.get("data-data")))
    if tag == "marimo-slider":
        steps = _json(data.get("data-steps")) or []
        low, high = _json(data.get("data-start")), _json(data.get("data-stop"))
        if steps:
            low, high = steps[0], steps[-1]
            value = steps[int(value)] if isinstance(value, int) and value < len(steps) else value
        return f"\n- {label or 'slider'}: **{value}** (from {low} to {high})\n"
    if tag in ("marimo-radio", "marimo-dropdown", "marimo-multiselect"):
        options = ", ".join(map(str, _json(data.get("data-options")) or []))
        if isinstance(value, list):  # marimo keeps what is chosen from a dropdown as a list
            value = ", ".join(map(str, value)) or "nothing yet"
        return f"\n- {label or 'choice'}: **{value}** (of {options})\n"
    if tag in ("marimo-checkbox", "marimo-switch", "marimo-number", "marimo-text"):
        return f"\n- {label or 'input'}: **{value}**\n"
    if tag == "marimo-code-editor":
        return f"\n\n{label}\n\n```python\n{value or ''}\n```\n\n"
    return f"\n\n{label}\n\n" if label else ""


def _json(value: str | None) -> Any:
    if not value:
        return None
    try:
        return json.loads(html.unescape(value))
    except json.JSONDecodeError:
        return value


def _table(rows: Any) -> str:
    rows = _json(rows) if isinstance(rows, str) else rows
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *[list(row.values()) for row in rows]]
    return "\n\n" + "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n\n"
