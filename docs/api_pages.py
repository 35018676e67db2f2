"""The pages of the Python reference: one a room and one a module, filled in by autodoc."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "eosin"
#: Left out: its functions are the commands, which have a page of their own.
_OTHERWISE = ("cli",)
#: Where the rooms go in docs/reference/python.md.
MARK = "<!-- rooms -->"


def pages() -> tuple[str, dict[str, str]]:
    """The list of rooms, and the pages: path below reference/python -> Markdown."""
    rooms = [
        folder.name
        for folder in sorted(PACKAGE.iterdir())
        if (folder / "__init__.py").is_file() and folder.name not in _OTHERWISE
    ]
    order = _order(rooms)
    base = [path.stem for path in sorted(PACKAGE.glob("*.py")) if not path.stem.startswith("__")]
    found: dict[str, str] = {}
    lines = ["## Rooms\n", "| room | what |", "|---|---|"]
    lines += [
        f"| [eosin.{room}](python/eosin.{room}.md) "
        f"| {_first_sentence(PACKAGE / room / '__init__.py')} |"
        for room in order
    ]
    lines += ["", "## Below all rooms\n", "| module | what |", "|---|---|"]
    for name in base:
        about = _first_sentence(PACKAGE / f"{name}.py")
        lines.append(f"| [eosin.{name}](python/eosin.{name}.md) | {about} |")
        found[f"eosin.{name}.md"] = _module(f"eosin.{name}")
    names = [f"eosin.{name}" for name in [*order, *base]]
    rooms_list = "\n".join(lines) + _toctree([f"python/{name}" for name in names])
    for room in order:
        modules = sorted(p.stem for p in (PACKAGE / room).glob("*.py") if p.stem[0] != "_")
        rows = [
            f"| [{name}](eosin.{room}.{name}.md) "
            f"| {_first_sentence(PACKAGE / room / f'{name}.py')} |"
            for name in modules
        ]
        found[f"eosin.{room}.md"] = "\n".join(
            [
                f"# eosin.{room}\n",
                f"{_docstring(PACKAGE / room / '__init__.py')}\n",
                "| module | what |",
                "|---|---|",
                *rows,
                _toctree([f"eosin.{room}.{name}" for name in modules]),
            ]
        )
        for name in modules:
            found[f"eosin.{room}.{name}.md"] = _module(f"eosin.{room}.{name}")
    return rooms_list, found


def _order(rooms: list[str]) -> list[str]:
    """Rooms as the README's tree has them, then the others."""
    tree = (PACKAGE.parents[1] / "README.md").read_text("utf-8")
    places = {room: tree.find(f"\n  {room}/ ") for room in rooms}
    return sorted(rooms, key=lambda room: (places[room] < 0, places[room], room))


def _module(name: str) -> str:
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n"


def _toctree(names: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```", ""])


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.replace("``", "`").replace("|", "\\|")


def _first_sentence(path: Path) -> str:
    return " ".join(_docstring(path).split("\n\n")[0].split())
