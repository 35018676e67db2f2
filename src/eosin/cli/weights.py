"""`--weights`: an encoder's published weights, a file of the user's, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import output
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.config import Recipe

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="For an encoder: a file or folder with its weights, or random. "
        "Default: the hub's, downloaded once.",
    ),
]


def found_weights(recipe: Recipe, given: str | None) -> dict[str, Any] | None:
    """Where the recipe's encoder has its weights, fetched first where need be; None for chance.

    Raises UserError where the recipe has no encoder to give weights to, and what
    `fetching.weights.obtain` raises.
    """
    if recipe.network != "encoder":
        if given is not None:
            raise UserError(
                f"--weights is for encoders; recipe {recipe.name} trains network {recipe.network}. "
                "To start with the weights of an earlier run, use --from RUN"
            )
        return None
    from eosin.cli.transfers import bar, stopped, watcher
    from eosin.fetching.weights import obtain, revision_of
    from eosin.models.pretrained import find_encoder

    spec = find_encoder(str(recipe.arguments.get("encoder", "")))
    if given == "random":
        output.warn(f"{spec.title} starts with random weights: nothing is pretrained")
        return None
    try:
        with bar() as shown:
            path = obtain(
                spec,
                given=None if given is None else Path(given),
                say=output.note,
                watcher=watcher(shown),
            )
    except KeyboardInterrupt:
        stopped()
    return {"path": str(path.resolve()), "revision": revision_of(path)}
