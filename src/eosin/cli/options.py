"""Options and arguments of several commands: one definition each, so that all commands agree.

Those of a single command are in its signature, and their help is in its docstring.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from eosin.cli import output

#: The option every command has.
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout.", callback=output.use_json),
]

# What a command reads
Store = Annotated[Path, typer.Argument(help="A store made by eosin pack.")]
Model = Annotated[
    Path, typer.Argument(help="A run folder, or an exported file (.onnx, .xml) or its folder.")
]
Images = Annotated[
    list[Path], typer.Argument(help="Image files, folders of images, or zips of images.")
]
Recipe = Annotated[
    str, typer.Option("--recipe", "-r", help="A name from `eosin recipes`, or a .toml file.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change the recipe: key=value; repeatable.")
]
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
Weights = Annotated[
    str | None,
    typer.Option(
        help="For an encoder: a file or folder with its weights, or random. "
        "Default: the hub's, downloaded once."
    ),
]

# How it reads and measures
Fit = Annotated[
    str | None,
    typer.Option(
        help="Images of another size than the model's patches: pad (white, image at the "
        "top-left; a larger one is refused), resize or reject; by default as the model's "
        "training patches were packed."
    ),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="The most pixels an image may declare.")]
Mpp = Annotated[
    float | None,
    typer.Option(min=1e-3, max=1e3, help="Micrometers a pixel of the images, as far as known."),
]
Resample = Annotated[
    bool,
    typer.Option(
        "--resample",
        help="Bring the images from --mpp to the model's scale; their middle is seen.",
    ),
]
Point = Annotated[
    str | None,
    typer.Option(
        metavar="balanced|f1|sensitivity|specificity|cost",
        help="The operating point that decides; by default the model's own.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="fp32 (exact), bf16 (not on every processor) or auto; .onnx in bf16 needs OpenVINO."
    ),
]
Replicates = Annotated[int, typer.Option(min=10, help="Bootstrap replicates.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
AllowLeaks = Annotated[
    bool,
    typer.Option("--allow-leaks", help="Use the split even if it leaks; every output is marked."),
]
AllowSeen = Annotated[
    bool,
    typer.Option("--allow-seen", help="Use cases seen in training too; every output is marked."),
]

# What it makes
NewRun = Annotated[Path, typer.Option("--output", "-o", help="The run folder to make.")]
NewStudy = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Folder of the runs and results; an earlier one is resumed."
    ),
]
Evaluate = Annotated[
    bool, typer.Option("--evaluate/--no-evaluate", help="Evaluate the new run at the end.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace an earlier result; files that eosin did not make are kept."
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--force", help="Start over in a folder that was started with other settings."),
]


def described(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer: the section "Options:" of its docstring becomes the options' help.

    A line of the section is ``name: help``; what is indented further continues it. Raises KeyError
    for a name that is not a parameter.

    >>> def greet(name: str = "you") -> None:
    ...     '''Greet.
    ...
    ...     Options:
    ...         name: Whom to
    ...             greet.
    ...
    ...     Example: greet
    ...     '''
    >>> shown = described(greet)
    >>> print(shown.__doc__)
    Greet.
    <BLANKLINE>
    Example: greet
    >>> get_args(inspect.signature(shown).parameters["name"].annotation)[1].help
    'Whom to greet.'
    """
    about, _, rest = (inspect.getdoc(command) or "").partition("Options:\n")
    section, _, example = rest.partition("\n\n")
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.M):
        hint = hints[name]
        required = signature.parameters[name].default is inspect.Parameter.empty
        plain = (hint, typer.Argument() if required else typer.Option())
        kind, declared = get_args(hint) if get_origin(hint) is Annotated else plain
        declared = copy.copy(declared)
        declared.help = re.sub(r"\n +", " ", text)
        hints[name] = Annotated[kind, declared]

    @functools.wraps(command)
    def run(*values: Any, **named: Any) -> None:
        command(*values, **named)

    typed = [each.replace(annotation=hints[key]) for key, each in signature.parameters.items()]
    run.__signature__ = signature.replace(parameters=typed)  # type: ignore[attr-defined]
    run.__annotations__, run.__doc__ = hints, about + example
    return run
