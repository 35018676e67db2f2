"""The generated pages: commands, recipes, files, and the rooms in README and design page.

    python docs/reference_pages.py            # make docs: write what has changed
    python docs/reference_pages.py --check    # exit 1 where a page is out of date

Help texts, options and defaults are read from the functions, not from a terminal, so a page is the
same on every machine and at every width.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Callable
from enum import Enum
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import house
import typer

from eosin.cli.main import COMMANDS, STAGES, app, register

HEAD = """\
# Command line

<!-- Written by `make docs` from the commands; edits here are lost. -->

Research and education only, not for diagnosis.

`eosin COMMAND --help` prints the same. Every command has `--json`: then stdout contains one JSON
object and nothing else; progress, notes and warnings go to stderr. An error with `--json` is an
object with `error` and `exit_code`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a failure: a leak, too many rejects, a download, a bad image among many |
| 2 | a mistake in the request; the message tells what to change |
| 130 | stopped by Ctrl-C |

`EOSIN_DEBUG=1` shows where an internal error happened.
"""

RECIPES_HEAD = """\
# Recipes

<!-- Written by `make docs` from the recipes; edits here are lost. -->

Research and education only, not for diagnosis.

A recipe is everything that decides a training run besides the data. `eosin train --recipe NAME`
uses one of these or a TOML file of your own with the same keys; `--set key=value` changes it (for
an argument of the network: `--set arguments.width=32`). A key that a recipe omits has the default
of the table below. The complete recipe is kept in the run folder.
`eosin recipes NAME` prints a recipe with the meaning of every key.
"""

_WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH", bool: ""}


class Help(NamedTuple):
    """A docstring taken apart."""

    #: Each one line, or several where the text is indented and so kept as it is.
    paragraphs: list[str]
    examples: list[str]


def commands() -> dict[str, Any]:
    """Name -> command, in the order of the help."""
    register()
    group: Any = typer.main.get_command(app)
    return {name: group.commands[name] for name in COMMANDS}


def take_apart(docstring: str) -> Help:
    """The paragraphs of a help text, and the command lines of its example.

    >>> take_apart("Do it.\\n\\nNow or\\nlater.\\n\\nExample: eosin do it\\n    --now")
    Help(paragraphs=['Do it.', 'Now or later.'], examples=['eosin do it --now'])
    """
    paragraphs: list[str] = []
    examples: list[str] = []
    for block in docstring.strip().split("\n\n"):
        lines = block.strip("\n").splitlines()
        if block.strip().startswith("Example:"):
            for line in "\n".join(lines).strip().removeprefix("Example:").strip().splitlines():
                text = line.strip().removesuffix("\\").strip()
                if text.startswith("eosin ") or not examples:
                    examples.append(text)
                else:
                    examples[-1] += f" {text}"
        elif lines and lines[0].startswith(" "):
            paragraphs.append("\n".join(lines))
        else:
            paragraphs.append(" ".join(line.strip() for line in lines))
    return Help(paragraphs, examples)


def cli_page(_: str = "") -> str:
    """Every command, its arguments and options, as Markdown."""
    parts = [HEAD, "| stage | command | what it does |\n|---|---|---|"]
    for stage, lines in STAGES.items():
        parts += [f"| {stage} | [{name}](#eosin-{name}) | {line} |" for name, line in lines.items()]
    return "\n".join([*parts, "", *(section(name, each) for name, each in commands().items())])


def section(name: str, command: Any) -> str:
    """The part of the page about one command."""
    text = take_apart(command.help or "")
    kinds = _kinds(name)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["eosin", name, *(_usage(p) for p in arguments), "[OPTIONS]"])
    lines = [f"## eosin {name}\n"]
    lines += [f"```\n{p}\n```\n" if p.startswith(" ") else f"{p}\n" for p in text.paragraphs]
    lines.append(f"Usage: `{usage}`\n")
    lines.append("\n".join(["Example:\n\n```bash", *text.examples, "```\n"]))
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{p.name.upper()}` | {_cell(_argument(p, kinds))} |" for p in arguments]
        lines.append("")
    lines += ["| option | meaning | default |", "|---|---|---|"]
    for option in options:
        written = ", ".join(f"`{name}`" for name in _spellings(option, kinds.get(option.name)))
        meaning, _, text_default = _cell(option.help).partition("[default: ")
        default = f"`{text_default.rstrip(']')}`" if text_default else _cell(_default(option))
        lines.append(f"| {_cell(written)} | {meaning.strip()} | {default} |")
    return "\n".join(lines) + "\n"


def _kinds(name: str) -> dict[str, Any]:
    """Parameter -> its type without None, list and Annotated."""
    function = getattr(import_module(f"eosin.cli.{name}"), name)
    return {key: _plain(kind) for key, kind in typing.get_type_hints(function).items()}


def _plain(kind: Any) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return _plain(get_args(kind)[0]) if get_origin(kind) is list else kind


def _usage(argument: Any) -> str:
    dots = "..." if argument.nargs == -1 or argument.multiple else ""
    name = argument.name.upper() + dots
    return str(name if argument.required else f"[{name}]")


def _argument(argument: Any, kinds: dict[str, Any]) -> str:
    kind = kinds.get(argument.name)
    text = str(argument.help or "")
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = ", ".join(f"`{item.value}`" for item in kind)
        text += f" One of {choices}."
    return text


def _spellings(option: Any, kind: Any) -> list[str]:
    """How an option is written: long names first, with what follows them."""
    if option.metavar:
        value = str(option.metavar)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        value = "|".join(str(item.value) for item in kind)
    else:
        value = _WORDS.get(kind, "VALUE")
    names = sorted([*option.opts, *option.secondary_opts], key=lambda name: -name.startswith("--"))
    if option.is_flag or not value:
        return names
    return [f"{name} {value}" if name.startswith("--") else name for name in names]


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or value == [] or callable(value):
        return ""
    if value is True:
        return f"`{option.opts[0]}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def recipes_page(_: str = "") -> str:
    """Every recipe and every key, as Markdown."""
    from eosin.config import Recipe, read_recipe, recipe_names

    parts = [RECIPES_HEAD]
    fields = Recipe.model_fields
    for name in recipe_names():
        text = (resources.files("eosin") / "recipes" / f"{name}.toml").read_text("utf-8")
        kept = [line for line in text.splitlines() if not line.startswith(("name =", "about ="))]
        about = read_recipe(name).about
        parts.append("\n".join([f"## {name}\n", f"{about}\n", "```toml", *kept, "```\n"]))
    rows = ["## Keys\n", "| key | default | values | meaning |", "|---|---|---|---|"]
    for key, field in fields.items():
        default = json.dumps(field.get_default(call_default_factory=True))
        rows.append(
            f"| `{key}` | `{default}` | {_cell(_values(field))} | {_cell(field.description)} |"
        )
    return "\n".join([*parts, *rows]) + "\n"


def _values(field: Any) -> str:
    """The values that a key may have, in words."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    limits = [
        f"{word} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, word in words.items()
        if hasattr(limit, name)
    ]
    return ", ".join(limits) or {bool: "true, false"}.get(field.annotation, "")


#: Path -> a function from the page as it is to the page as it should be.
PAGES: dict[str, Callable[[str], str]] = {
    "docs/reference/cli.md": cli_page,
    "docs/reference/recipes.md": recipes_page,
    "docs/reference/files.md": house.files_page,
    "docs/explanation/design.md": house.design,
    "README.md": house.readme,
}


def main(arguments: list[str], root: Path = house.ROOT) -> int:
    """Write the pages, or with --check list those that are out of date; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/reference_pages.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, page in PAGES.items():
        path = root / name
        before = path.read_text("utf-8") if path.is_file() else ""
        after = page(before)
        if before != after and arguments:
            print(f"{name} is out of date; write it again with: make docs", file=sys.stderr)
            stale += 1
        elif before != after:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(after, "utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
