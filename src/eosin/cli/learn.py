"""`eosin learn`: the guide's lessons, in the browser, in the terminal, or for Jupyter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output

if TYPE_CHECKING:
    from eosin.guide.catalog import Lesson


def learn(
    lesson: Annotated[int | None, typer.Argument()] = None,
    text: Annotated[bool, typer.Option("--text")] = False,
    jupyter: Path | None = None,
    edit: Annotated[bool, typer.Option("--edit")] = False,
    pictures: Path = Path("lesson-figures"),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 0,
    host: str = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open")] = False,
    json_: options.Json = False,
) -> None:
    """List the guide's lessons, or open one: from one perceptron to the cancer classifier.

    Every formula in them runs, and every exercise is checked. The page's address contains a token,
    so that other users of this machine cannot open it. Ctrl-C closes the page.

    Options:
        lesson: The lesson's number; without it, all are listed.
        text: Run it in this terminal; figures become PNG files.
        jupyter: Write it as a Jupyter notebook (.ipynb) to this file.
        edit: Open a copy whose cells can be changed.
        pictures: With --text: the folder for the figures.
        port: Port of the page; 0 picks a free one.
        host: Network address to serve on; by default only this machine.
        no_open: Print the page's address and open no browser.

    Example: eosin learn 1
    """
    from eosin.errors import UserError
    from eosin.guide.catalog import find_lesson, lessons

    if lesson is None:
        if text or jupyter is not None or edit:
            raise UserError("the number of a lesson is missing; for example: eosin learn 1")
        every = lessons()
        output.end_with_json({"lessons": [each.as_dict() for each in every]}, json_=json_)
        rows = [[each.number, each.title, each.goal, each.minutes] for each in every]
        output.table("", ["lesson", "title", "goal", "minutes"], rows, right=["lesson", "minutes"])
        output.say("Open one with: eosin learn 1")
        return
    chosen = find_lesson(lesson)
    if text and jupyter is not None:
        raise UserError("--text and --jupyter exclude each other; omit one of them")
    from eosin.guide.browser import open_lesson, require_marimo, require_parts

    require_marimo()
    if jupyter is not None:
        from eosin.guide.jupyter import write_notebook

        path = write_notebook(chosen, jupyter)
        output.end_with_json({"lesson": chosen.as_dict(), "notebook": str(path)}, json_=json_)
        output.say(f"{path} contains lesson {chosen.number}; open it with: jupyter lab {path}")
        return
    from eosin.guide.patches import check_named

    # Before anything opens: a page would show the reason as a fault of the lesson.
    require_parts(chosen)
    check_named(chosen.path)
    if text:
        _in_terminal(chosen, pictures, json_=json_)
        return
    for address in open_lesson(chosen, port=port, host=host, edit=edit, show=not no_open):
        if json_:
            output.result({"lesson": chosen.as_dict(), "address": address})
        else:
            output.say(f"Lesson {chosen.number}, {chosen.title}: {address}")
            if host in ("0.0.0.0", "::"):
                output.say("From another machine, replace the host by this machine's name.")
            output.say("Press Ctrl-C to close it.")
        sys.stdout.flush()
    output.note("the lesson is closed")


def _in_terminal(chosen: Lesson, pictures: Path, *, json_: bool) -> None:
    from rich.console import Console

    from eosin.guide.terminal import tell_lesson

    console = Console(highlight=False, stderr=json_)
    if not console.is_terminal:
        console = Console(highlight=False, width=100, stderr=json_)
    answers = input if sys.stdin.isatty() and not json_ else None
    output.note(f"running lesson {chosen.number}; this takes a few seconds")
    right = tell_lesson(chosen, console, pictures=pictures, answers=answers)
    if json_:
        drawn = sorted(str(path) for path in pictures.glob(f"{chosen.name}-*.png"))
        output.result({"lesson": chosen.as_dict(), "figures": drawn, "right_answers": right})
