"""What the commands of many runs share: the command that resumes them, progress, the result."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output

if TYPE_CHECKING:
    from eosin.studies.study import StudyResult

#: What several commands ask for in the same words.
Force = Annotated[
    bool,
    typer.Option("--force", help="Start over in a folder that was started with other settings."),
]


def same_command() -> str:
    """The command that is running, with all its options, quoted; --force and --json left out."""
    import click

    context = click.get_current_context()
    words = ["eosin", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        source = context.get_parameter_source(str(parameter.name))
        if source != click.core.ParameterSource.COMMANDLINE or value is None:
            continue
        if {"--force", "--json"} & set(parameter.opts):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if not isinstance(parameter, click.Option):
            words += map(str, values)
        elif isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            for each in values:
                words += [parameter.opts[0], str(each.value if isinstance(each, Enum) else each)]
    return shlex.join(words)


def resumable(again: str | None = None) -> dict[str, Any]:
    """Options of a study: the command that resumes it, and how its progress is shown."""
    from eosin.cli.train import watching

    return {"again": again or same_command(), "watch": watching, "note": output.note}


def show_study(
    make: Callable[[], StudyResult], show: Callable[[StudyResult], None], *, json_: bool
) -> None:
    """Make a study and print it; exit 1 where runs of it failed."""
    from eosin.errors import StoppedError

    again = same_command()
    try:
        study = make()
    except KeyboardInterrupt:
        # Between two trainings; within one, its own sentence names the command.
        raise StoppedError(
            f"stopped by Ctrl-C; what is finished is kept; resume with: {again}"
        ) from None
    if json_:
        output.result({**study.result, "folder": str(study.folder), "files": list(study.files)})
    else:
        for mark in study.result["marks"]:
            output.warn(mark)
        show(study)
        output.say(f"written to {study.folder}: {', '.join(study.files)}")
    if study.failed:
        # Their causes were shown when it happened and are in the marks.
        output.note(
            f"{len(study.failed)} failed ({', '.join(study.failed)}); once the cause is removed, "
            f"only these are made by: {again}"
        )
        raise typer.Exit(1)
