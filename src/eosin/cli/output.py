"""What a command prints: a readable result for people or, with --json, one object for programs.

stdout carries the result; progress, notes, warnings and errors go to stderr.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

#: The option every command has.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
#: Options of several commands.
Store = Annotated[Path, typer.Argument(help="A store made by eosin pack.")]
Recipe = Annotated[
    str, typer.Option("--recipe", "-r", help="A name from `eosin recipes`, or a .toml file.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change the recipe: key=value; repeatable.")
]
Point = Annotated[
    str | None,
    typer.Option(
        metavar="balanced|f1|sensitivity|specificity|cost",
        help="The operating point that decides; by default the model's own.",
    ),
]
Precision = Annotated[
    str, typer.Option(help="fp32 (exact), bf16 or auto; an .onnx file needs OpenVINO for bf16.")
]
Replicates = Annotated[int, typer.Option(min=10, help="Bootstrap replicates.")]

Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        "-s",
        help="A split file, or a scheme: case, published, given, patch. "
        "Default: STORE.split.csv where it exists, else case.",
    ),
]
Fold = Annotated[int | None, typer.Option(help="Which fold of a split into folds to test on.")]
MovedStore = Annotated[
    Path | None, typer.Option("--store", help="Where the run's store is now, if it has moved.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing run folder.")]

_state = {"json": False, "hushed": False}
_typed: list[str] = []
#: Where several processes work together: whether this one prints why it ends.
_turn: list[Callable[[], bool]] = []


def use_json(on: bool) -> None:
    """Remember that this command prints JSON, so that its errors are JSON too. Call it first."""
    _state["json"] = on


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


def note(text: str) -> None:
    """A line for people, on stderr."""
    stderr().print(text, markup=False)


def warn(text: str) -> None:
    """A warning, on stderr."""
    stderr().print(f"warning: {text}", style="yellow", markup=False)


def result(data: dict[str, Any]) -> None:
    """The result for programs: one JSON object on stdout; what is not finite becomes null."""
    if _state["hushed"]:
        return
    sys.stdout.write(json.dumps(finite(data), ensure_ascii=False, indent=1, default=str) + "\n")


def finite(value: Any) -> Any:
    """The same value with NaN and infinities replaced by None, as JSON has neither.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


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


def value(number: float | None) -> str:
    """A figure for a table.

    >>> value(0.96318), value(None)
    ('0.9632', '-')
    """
    return "-" if number is None else f"{number:.4f}"


def interval(figure: Mapping[str, Any]) -> str:
    """The interval of a figure {value, low, high} for a table."""
    return "-" if figure["low"] is None else f"{figure['low']:.4f} to {figure['high']:.4f}"


def say(text: str) -> None:
    """A line of the result for people, on stdout."""
    if not _state["hushed"]:
        sys.stdout.write(text + "\n")


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
