"""The program `eosin`: collects the commands; every error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer

from eosin import __version__
from eosin.cli import output, processes
from eosin.errors import EosinError, missing_extra

#: Command -> (module with a function of that name, group in the help).
COMMANDS = {
    "doctor": "Start",
    "demo": "Start",
    "learn": "Start",
    "fetch": "Data",
    "pack": "Data",
    "inspect": "Data",
    "card": "Data",
    "split": "Data",
    "audit": "Data",
    "baselines": "Data",
    "train": "Models",
    "probe": "Models",
    "evaluate": "Models",
    "predict": "Models",
    "export": "Models",
    "explain": "Models",
    "report": "Models",
    "ensemble": "Models",
    "prune": "Models",
    "retrain": "Models",
    "recipes": "Models",
    "encoders": "Models",
    "crossval": "Studies",
    "gap": "Studies",
    "compare": "Studies",
    "runs": "Studies",
    "search": "Studies",
}

app = typer.Typer(
    name="eosin",
    help="From labeled histology patches to a classifier that can be defended.\n\n"
    "Research and education only, not for diagnosis.",
    epilog="Start with: eosin demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
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
    for name, group in COMMANDS.items():
        module = import_module(f"eosin.cli.{name}")
        function = getattr(module, name)
        app.command(name, rich_help_panel=group)(function)


def _usage(error: Any, json_: bool) -> None:
    """Say what is wrong with a command line that typer does not understand, and exit with 2."""
    if not (hasattr(error, "show") and hasattr(error, "format_message")):
        return
    if output.hushed():
        sys.exit(error.exit_code)
    error.show()
    if json_:
        output.result({"error": error.format_message(), "exit_code": error.exit_code})
    sys.exit(error.exit_code)


def _missing(error: Exception, given: list[str]) -> None:
    """Where an optional part is not installed, say which, and exit with 2."""
    if not isinstance(error, ModuleNotFoundError):
        return
    asked = next((word for word in given if word in COMMANDS), "")
    wanted = missing_extra(error, f"eosin {asked}".strip())
    if wanted is not None:
        output.fail(str(wanted), wanted.exit_code)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failure), 2 (the user's mistake) or 130 (Ctrl-C)."""
    given = sys.argv[1:] if arguments is None else arguments
    output.use_json("--json" in given)
    if not processes.takes_part(given):
        sys.exit(0)
    processes.prepare_process(given)
    try:
        register()
        code = app(args=arguments, standalone_mode=False)
        # typer ends on Ctrl-C without a word.
        if code == 130:
            output.fail("stopped by Ctrl-C", 130)
        sys.exit(code if isinstance(code, int) else 0)
    except EosinError as error:
        output.fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        output.fail("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        # The reader of our output went away (for example `| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # Most of all a full disk or a folder that may not be written.
        if os.environ.get("EOSIN_DEBUG"):
            raise
        where = f" ({error.filename})" if error.filename else ""
        output.fail(f"{error.strerror or error}{where}", 1)
    except Exception as error:
        _usage(error, "--json" in given)
        _missing(error, given)
        if os.environ.get("EOSIN_DEBUG"):
            raise
        output.fail(
            f"internal error, please report it: {type(error).__name__}: {error} "
            "(EOSIN_DEBUG=1 shows where)",
            1,
        )


if __name__ == "__main__":
    main()
