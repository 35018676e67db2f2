"""The pages of the Python reference: one a room and one a module, filled in by autodoc."""

from __future__ import annotations

from collections.abc import Collection

from house import PACKAGE, about, docstring, levels, path_of

#: Left out: its functions are the commands, which have a page of their own.
_OTHERWISE = ("cli",)
#: Where the rooms go in docs/reference/python.md.
MARK = "<!-- rooms -->"


def pages(rooms: Collection[str] = ()) -> tuple[str, dict[str, str]]:
    """The list of rooms, and the pages: path below reference/python -> Markdown.

    rooms: these alone; none means all.
    """
    named = [name for names in levels() for name in names if name not in _OTHERWISE]
    named = [name for name in named if not rooms or name in rooms]
    order = [name for name in named if path_of(name).is_dir()]
    base = sorted(name for name in named if name not in order)
    found: dict[str, str] = {}
    lines = ["## Rooms\n", "| room | what |", "|---|---|"]
    lines += [
        f"| [eosin.{room}](python/eosin.{room}.md) | {about(PACKAGE / room)} |" for room in order
    ]
    lines += ["", "## Below all rooms\n", "| module | what |", "|---|---|"]
    for name in base:
        lines.append(f"| [eosin.{name}](python/eosin.{name}.md) | {about(path_of(name))} |")
        found[f"eosin.{name}.md"] = _module(f"eosin.{name}")
    names = [f"eosin.{name}" for name in [*order, *base]]
    rooms_list = "\n".join(lines) + _toctree([f"python/{name}" for name in names])
    for room in order:
        modules = sorted(p.stem for p in (PACKAGE / room).glob("*.py") if p.stem[0] != "_")
        rows = [
            f"| [{name}](eosin.{room}.{name}.md) | {about(PACKAGE / room / f'{name}.py')} |"
            for name in modules
        ]
        found[f"eosin.{room}.md"] = "\n".join(
            [
                f"# eosin.{room}\n",
                f"{docstring(PACKAGE / room)}\n",
                "| module | what |",
                "|---|---|",
                *rows,
                _toctree([f"eosin.{room}.{name}" for name in modules]),
            ]
        )
        for name in modules:
            found[f"eosin.{room}.{name}.md"] = _module(f"eosin.{room}.{name}")
    return rooms_list, found


def _module(name: str) -> str:
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n"


def _toctree(names: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```", ""])
