"""`--weights`: an encoder's published weights, a file of the user's, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eosin.cli import output
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.config import Recipe


def encoder_weights(recipe: Recipe, choice: str | None) -> dict[str, Any] | None:
    """Path and revision of the weights of the recipe's encoder, downloaded if necessary.

    choice: the value of --weights. None where the weights start random. Raises UserError where
    the recipe has no encoder, and what `fetching.weights.obtain` raises.
    """
    if recipe.network != "encoder":
        if choice is not None:
            raise UserError(
                f"--weights is for encoders; recipe {recipe.name} trains network {recipe.network}. "
                "To start with the weights of an earlier run, use --from RUN"
            )
        return None
    from eosin.cli.transfers import bar, stopped, watcher
    from eosin.fetching.weights import obtain, revision_of
    from eosin.models.pretrained import find_encoder

    spec = find_encoder(str(recipe.arguments.get("encoder", "")))
    if choice == "random":
        output.warn(f"{spec.title} starts with random weights: nothing is pretrained")
        return None
    try:
        with bar() as shown:
            path = obtain(
                spec,
                file=None if choice is None else Path(choice),
                say=output.note,
                watcher=watcher(shown),
            )
    except KeyboardInterrupt:
        stopped()
    return {"path": str(path.resolve()), "revision": revision_of(path)}
