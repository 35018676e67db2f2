"""What a command prints: a readable result for people or, with --json, one object for programs.

stdout carries the result; progress, notes, warnings and errors go to stderr.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from eosin.errors import FailureError
from eosin.studies import markdown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

#: Figures, intervals and numbers in tables, as the pages of studies have them.
value, interval, counted = markdown.number, markdown.span, markdown.counted
_state = {"json": False, "hushed": False}
_typed: list[str] = []
#: Where several processes work together: whether this one prints why it ends.
_turn: list[Callable[[], bool]] = []


def use_json(on: bool) -> bool:
    """Remember whether this command prints JSON, so that its errors are JSON too."""
    _state["json"] = on
    return on


def use_command(words: Sequence[str]) -> None:
    """Remember what was typed after ``eosin``, for ``same_command``."""
    _typed[:] = words


def same_command() -> str:
    """The command as it was typed, quoted, without --force and --json: what resumes a study."""
    return shlex.join(["eosin", *(word for word in _typed if word not in ("--force", "--json"))])


def hush() -> None:
    """Print nothing from here on: another process prints for this one."""
    _state["hushed"] = True


def hushed() -> bool:
    """Whether another process prints for this one."""
    return _state["hushed"]


def take_turns(mine: Callable[[], bool]) -> None:
    """Ask ``mine`` before an error is shown, so that of several processes one shows it."""
    _turn[:] = [mine]


def stderr() -> Console:
    """The console for everything that is not the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, quiet=_state["hushed"])


def note(*lines: str) -> None:
    """Lines for people, on stderr."""
    for line in lines:
        stderr().print(line, markup=False)


def warn(*sentences: object) -> None:
    """Warnings, on stderr."""
    for sentence in sentences:
        stderr().print(f"warning: {sentence}", style="yellow", markup=False)


def result(data: dict[str, Any]) -> None:
    """The result for programs: one JSON object on stdout; what is not finite becomes null."""
    from eosin.runs import finite

    if _state["hushed"]:
        return
    sys.stdout.write(json.dumps(finite(data), ensure_ascii=False, indent=1, default=str) + "\n")


def end_with_json(data: dict[str, Any], *, json_: bool) -> None:
    """With --json, print the result for programs and end the command; else return."""
    if json_:
        result(data)
        raise typer.Exit


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
) -> None:
    """A table for people, on stdout. ``right`` lists the columns that are aligned right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        drawn.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*[str(cell) for cell in row])
    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, width=width, quiet=_state["hushed"]).print(drawn, markup=False)


def patches(count: int, cases: int | None) -> str:
    """How many patches of how many cases, where that is known.

    >>> patches(1200, 12), patches(1200, None), patches(1, 1)
    ('1,200 patches of 12 cases', '1,200 patches', '1 patch of 1 case')
    """
    of_cases = f" of {cases:,} case{'s' * (cases != 1)}" if cases else ""
    return f"{count:,} patch{'es' * (count != 1)}{of_cases}"


def say(*lines: str) -> None:
    """Lines of the result for people, on stdout."""
    if not _state["hushed"]:
        sys.stdout.writelines(f"{line}\n" for line in lines)


def progress(*columns: ProgressColumn) -> Progress:
    """A progress bar on stderr; silent where stderr is not a terminal.

    columns: what stands between the description and "left"; by default a bar, a count, a rate
    (the field ``rate`` of each task) and the time so far.
    """
    from rich import progress as rich

    shown = columns or (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeElapsedColumn(),
    )
    return rich.Progress(
        rich.TextColumn("{task.description}"),
        *shown,
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=not sys.stderr.isatty() or _state["hushed"],
    )


@contextlib.contextmanager
def replacing(folder: Path, kind: str, *, force: bool) -> Iterator[None]:
    """Note at the end which files a replaced folder of this kind still contains."""
    from eosin.folders import others

    kept = others(folder, kind) if force else []
    yield
    if kept:
        note(f"{folder}: kept {', '.join(kept)}, which eosin did not make")


def end_batch(bad: int, total: int, action: str, *, json_: bool) -> None:
    """Exit with 1 where some of many images failed; with --json the object already has them."""
    if bad and json_:
        sys.exit(1)
    if bad:
        raise FailureError(f"{bad} of {total} image(s) could not be {action}")


def fail(message: str, exit_code: int) -> NoReturn:
    """Print what went wrong and exit: on stderr for people, on stdout for programs."""
    if _turn:
        # A launcher stops the others as soon as one has ended; this one still has to print.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _state["hushed"] = not _turn[0]()
    stderr().print(f"error: {message}", style="red", markup=False)
    leave(message, exit_code)


def leave(message: str, exit_code: int) -> NoReturn:
    """Exit after an error that is already on stderr; with --json, print it as an object."""
    if _state["json"]:
        result({"error": message, "exit_code": exit_code})
    sys.exit(exit_code)
