"""What the commands of many runs share: how they are resumed and watched, and the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from eosin.cli import output
from eosin.errors import StoppedError

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult


def resumable() -> dict[str, Any]:
    """Options of a study: the command that resumes it, and how its progress is shown."""
    from eosin.cli.train import watching

    return {"again": output.same_command(), "watch": watching, "note": output.note}


@contextmanager
def stoppable() -> Iterator[None]:
    """Name the command that resumes after Ctrl-C between two trainings; within one, it does."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(
            f"stopped by Ctrl-C; what is finished is kept; resume with: {output.same_command()}"
        ) from None


def show_study(
    make: Callable[[], StudyResult], show: Callable[[StudyResult], None], *, json_: bool
) -> None:
    """Make a study and print it; exit 1 where runs of it failed."""
    with stoppable():
        study = make()
    if json_:
        output.result({**study.result, "folder": str(study.folder), "files": list(study.files)})
    else:
        output.warn(*study.result["marks"])
        show(study)
        output.say(f"written to {study.folder}: {', '.join(study.files)}")
    if study.failed:
        # Their causes were shown when it happened and are in the marks.
        output.note(
            f"{len(study.failed)} failed ({', '.join(study.failed)}); once the cause is removed, "
            f"only these are made by: {output.same_command()}"
        )
        raise typer.Exit(1)
