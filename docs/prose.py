"""The house's docstrings, plain prose with doctests, as reStructuredText for autodoc."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

_NAMES = r"\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*"


def as_restructured_text(lines: Sequence[str], obj: object = None) -> list[str]:
    """Markup for what the prose means: code, descriptions of arguments, nothing else by accident.

    lines: a docstring without its indentation; obj: what it describes.

    >>> def add(x, y): ...
    >>> print("\\n".join(as_restructured_text(["Add.", "", "x, y: int; see `add`."], add)))
    Add.
    <BLANKLINE>
    ``x``, ``y``
        int; see ``add``.
    <BLANKLINE>
    """
    parameters = _parameters(obj)
    found: list[str] = []
    for block in _blocks(lines):
        first = block[0].lstrip()
        if first == "::":
            continue
        if first.startswith((">>>", "..")):
            found += [*block, ""]
        elif block[0].startswith(" ") and not first.startswith(("-", "*")):
            found += ["::", "", *(f"  {line}" for line in block), ""]
        elif first.startswith("- "):
            found += [*map(_inline, block), ""]
        else:
            found += _paragraph(block, parameters)
    return found


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """What stands between empty lines; a list and an example are blocks of their own."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        starts = line.startswith(("- ", ">>>"))
        if not line.strip() or (
            starts and blocks[-1] and not blocks[-1][0].startswith(line.lstrip()[:2])
        ):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line.rstrip())
    return [block for block in blocks if block]


def _parameters(obj: object) -> set[str]:
    target = obj.__init__ if inspect.isclass(obj) else obj  # type: ignore[misc]
    try:
        found = set(inspect.signature(target).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return set()
    return found - {"self"} | {f"**{name}" for name in found} | {f"*{name}" for name in found}


def _paragraph(block: list[str], parameters: set[str]) -> list[str]:
    """A paragraph, or the arguments that it describes, one below the other."""
    text = "\n".join(line.strip() for line in block)
    starts = [
        match
        for match in re.finditer(rf"(?:^|\n|; |(?<=[.)]) )({_NAMES}): ", text)
        if set(match[1].split(", ")) <= parameters
    ]
    if not starts:
        return [*_inline(text).splitlines(), ""]
    found: list[str] = []
    if before := text[: starts[0].start()].strip():
        found += [*_inline(before).splitlines(), ""]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    after = ""
    for match, end in zip(starts, ends, strict=True):
        about = text[match.end() : end].strip().rstrip(";")
        about, after = _without_outcome(about) if end == len(text) else (about, "")
        found.append(", ".join(f"``{name}``" for name in match[1].split(", ")))
        found += [f"    {line}" for line in _inline(about).splitlines()]
    found.append("")
    return [*found, *_inline(after).splitlines(), ""] if after else found


def _without_outcome(text: str) -> tuple[str, str]:
    """What is said of the last argument, and what is said of the result."""
    match = re.search(r"(?<=[.)])\s(?=(?:Returns?|Raises?|Yields?)\b)", text)
    return (text[: match.start()], text[match.end() :]) if match else (text, "")


def _inline(text: str) -> str:
    """Code stays code; other marks mean themselves.

    >>> _inline("``a_`` and `b`, c_ * d | e")
    '``a_`` and ``b``, c\\\\_ \\\\* d \\\\| e'
    """
    parts = re.split(r"(``.+?``|`[^`\n]+`)", text, flags=re.DOTALL)
    for k, part in enumerate(parts):
        if k % 2:
            parts[k] = f"``{part.strip('`')}``"
        else:
            part = re.sub(r"([\\*|])", r"\\\1", part)
            parts[k] = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", part)
            # Code that touches a word would not be recognized.
            if k and part[:1].isalnum():
                parts[k] = "\\ " + parts[k]
    return "".join(parts)
