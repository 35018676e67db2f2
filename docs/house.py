"""The rooms and files of src/eosin as pages: docs/reference/files.md, and the tables of others.

The order comes from LAYERS in tests/test_architecture.py, the words from the docstrings, so that a
new room or file needs no second entry.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "eosin"
#: Rooms without code, and what is in them.
NO_CODE = {"recipes": "The recipes that come with eosin, as TOML."}
#: Where the table of rooms begins and ends in docs/explanation/design.md.
MARKS = ("<!-- rooms: written by `make docs` -->\n", "<!-- end of rooms -->\n")

FILES_HEAD = """\
# Files

<!-- Written by `make docs` from the docstrings; edits here are lost. -->

Research and education only, not for diagnosis.

Every file of `src/eosin`, with the first sentence of its docstring. A room imports only rooms above
it on this page ([design](../explanation/design.md)); the classes and functions of a room are on
its [Python page](python.md).
"""


def table(name: str) -> Any:
    """The value of a constant of tests/test_architecture.py, such as LAYERS."""
    text = (ROOT / "tests" / "test_architecture.py").read_text("utf-8")
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    raise LookupError(f"tests/test_architecture.py has no {name}")


def levels() -> list[list[str]]:
    """Rooms and single files from the ground up, as LAYERS has them; those that stand alone last.

    What is not in the source yet, or not any more, is left out.
    """
    layers = [*table("LAYERS"), table("ALONE")]
    named = [[name for name in layer if path_of(name).exists()] for layer in layers]
    return [names for names in named if names and names != ["__main__"]]


def path_of(name: str) -> Path:
    """The folder of a room, or the file beside the rooms."""
    return PACKAGE / name if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"


def docstring(path: Path) -> str:
    """The docstring of a file or of a room, as Markdown."""
    source = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return text.replace("``", "`").replace("|", "\\|")


def about(path: Path) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join(docstring(path).split("\n\n")[0].split())


def files_page(_: str = "") -> str:
    """The page docs/reference/files.md."""
    parts = [FILES_HEAD]
    beside = [path_of(name) for names in levels() for name in names if path_of(name).is_file()]
    parts.append(_table("Beside the rooms", "", beside))
    for names in levels():
        for room in filter(Path.is_dir, map(path_of, names)):
            files = [path for path in sorted(room.glob("*.py")) if path.stem[0] != "_"]
            parts.append(_table(room.name, docstring(room) + "\n\n", files))
    return "\n".join(parts)


def _table(heading: str, text: str, files: list[Path]) -> str:
    rows = "".join(f"| `{path.name}` | {about(path)} |\n" for path in files)
    return f"## {heading}\n\n{text}| file | what it is |\n|---|---|\n{rows}"


def readme(text: str) -> str:
    """README.md with the rooms in its tree."""
    before, start, rest = text.partition("```\nsrc/eosin/\n")
    _, end, after = rest.partition("lessons/")
    if not start or not end:
        raise LookupError("README.md has no tree from src/eosin/ to lessons/")
    lines = []
    for names in levels():
        for name in names:
            path = path_of(name)
            lines.append((path.name + "/" * path.is_dir(), about(path)))
        if "config" in names:
            lines += [(f"{room}/", words) for room, words in NO_CODE.items()]
    tree = "".join(f"  {name:18} {words}\n" for name, words in lines)
    return before + start + tree + end + after


def design(text: str) -> str:
    """docs/explanation/design.md with the table of rooms."""
    before, start, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not start or not end:
        raise LookupError(f"docs/explanation/design.md lacks {MARKS[0]} or {MARKS[1]}")
    free, alone = table("TORCH_FREE"), table("ALONE")
    rows = ["| level | room | what it is | torch |", "|---|---|---|---|"]
    for level, names in enumerate(levels(), 1):
        for name in names:
            place = "apart" if name in alone else str(level)
            torch = "never" if name in (*free, *alone) else ""
            rows.append(f"| {place} | `{name}` | {about(path_of(name))} | {torch} |")
    return before + start + "\n".join(rows) + "\n" + end + after
