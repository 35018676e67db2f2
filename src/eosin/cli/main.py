"""The program `eosin`: collects the commands; every error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
import typer.core

from eosin import __version__
from eosin.cli import options, output, processes
from eosin.disks import WRITING, disk_error, refusal
from eosin.errors import EosinError, missing_extra
from eosin.memory import out_of_memory

#: Stage of the work -> command -> its line in `eosin --help`, most used first. A command is the
#: function of that name in the module of that name. A line fits a terminal of 80 columns.
STAGES: dict[str, dict[str, str]] = {
    "Start": {
        "demo": "Try everything on made-up cases, in at most three minutes.",
        "doctor": "Check what this machine has and what is missing.",
        "learn": "Open the guide: lessons from one perceptron to this network.",
    },
    "Data": {
        "pack": "Pack the patches of an archive or folder into one store.",
        "split": "Assign the cases of a store to training, validation and test.",
        "audit": "Check a split for leaks: shared cases, duplicates, near copies.",
        "inspect": "Show the classes, cases and pictures of a store.",
        "fetch": "Download a public data set; --list shows them.",
        "card": "Write a data card: content, source, checks and limits.",
    },
    "Train": {
        "train": "Train a classifier; with an archive, do every step before it.",
        "recipes": "List the recipes, or explain every setting of one.",
        "probe": "Fit a head on the embeddings of a frozen encoder.",
        "encoders": "List pretrained encoders, or fetch the weights of one.",
        "retrain": "Train an old run's recipe on new data and compare the two.",
        "prune": "Make a run smaller and faster, and measure what that costs.",
    },
    "Measure": {
        "evaluate": "Measure a run or an exported file, with intervals over cases.",
        "report": "Write the report and the model card of a run again.",
        "baselines": "Measure what a network must beat: color, texture, neighbors.",
    },
    "Use": {
        "predict": "Classify images with a run or an exported file.",
        "export": "Write a run as ONNX, OpenVINO or torch files, each verified.",
        "explain": "Show which parts of an image decide its class.",
    },
    "Slides": {
        "scan": "Scan whole slides: heatmaps, tables, and files for QuPath.",
        "slide": "Show what is in a slide file: size, scale, levels, pictures.",
        "tissue": "Find the tissue of a slide and its flaws, as a picture or mask.",
    },
    "Many runs": {
        "runs": "List, sort and compare the runs below a folder.",
        "compare": "Compare runs on the same patches, with paired intervals.",
        "crossval": "Cross-validate a recipe, with folds by case.",
        "search": "Search the settings of a recipe on the validation part.",
        "ensemble": "Combine runs into one that answers with their mean.",
        "gap": "Measure how much a split that leaks cases would promise.",
    },
}
COMMANDS = {name: line for lines in STAGES.values() for name, line in lines.items()}


class _Program(typer.core.TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, COMMANDS))
        for stage, lines in STAGES.items():
            with formatter.section(stage):
                formatter.write_dl([(name.ljust(width), line) for name, line in lines.items()])


app = typer.Typer(
    name="eosin",
    cls=_Program,
    help="From labeled histology patches to a classifier that can be defended.\n\n"
    "Research and education only, not for diagnosis.",
    epilog="Start with: eosin demo. For one command: eosin COMMAND --help",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"eosin {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Options before the command."""


def register() -> None:
    """Add the commands to the program; a second call does nothing."""
    if app.registered_commands:
        return
    for name in COMMANDS:
        command = getattr(import_module(f"eosin.cli.{name}"), name)
        app.command(name)(options.described(command))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failure), 2 (the user's mistake) or 130 (Ctrl-C)."""
    words = sys.argv[1:] if arguments is None else arguments
    output.use_json("--json" in words)
    output.use_command(words)
    if not processes.takes_part(words):
        sys.exit(0)
    processes.prepare_process(words)
    try:
        register()
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
        # typer ends on Ctrl-C without a message.
        if code == 130:
            output.fail("stopped by Ctrl-C", 130)
        sys.exit(code if isinstance(code, int) else 0)
    except EosinError as error:
        output.fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        output.fail("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        # The reader of our output ended (for example `| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _fail(error, words)


def _no_output(error: OSError) -> NoReturn:
    """End where what is printed has no room, as in a file on a full disk."""
    # What is left would be written once more at the end of the process.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    output.fail(
        f"the output cannot be written ({error.strerror}): free space where it goes, then run the "
        "same command again",
        1,
    )


def _fail(error: Exception, words: list[str]) -> NoReturn:
    """End with a sentence for an error that eosin did not raise itself."""
    if isinstance(error, OSError) and error.errno in WRITING and not error.filename:
        # What goes into files is named, so this is what is printed.
        _no_output(error)
    if hasattr(error, "show") and hasattr(error, "format_message"):
        # A command line that typer does not understand.
        usage: Any = error
        if not output.hushed():
            usage.show()
        output.leave(usage.format_message(), usage.exit_code)
    command = next((word for word in words if word in COMMANDS), "")
    if isinstance(error, ModuleNotFoundError):
        missing = missing_extra(error, f"eosin {command}".strip())
        if missing is not None:
            output.fail(str(missing), missing.exit_code)
    if os.environ.get("EOSIN_DEBUG"):
        raise error
    place = getattr(error, "filename", None) or "."
    if refusal(error) in WRITING and (refused := disk_error(error, place)):
        output.fail(str(refused), refused.exit_code)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        output.fail(f"{error.strerror or error}{where}", 1)
    if out_of_memory(error):
        output.fail(
            "the memory is full; close other programs, give the container more, or choose smaller "
            "work (for training --set batch_size=N), then run the same command again",
            1,
        )
    output.fail(
        f"internal error, please report it: {type(error).__name__}: {error} "
        "(EOSIN_DEBUG=1 shows where)",
        1,
    )


if __name__ == "__main__":
    main()
