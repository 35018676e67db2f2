"""Downloads of commands: a bar in bytes, notes beside it, and a message after Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eosin.cli import output
from eosin.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from eosin.config import Recipe
    from eosin.fetching.downloads import Watcher
    from eosin.records.encoder import EncoderSpec


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
    from eosin.models.pretrained import find_encoder

    spec = find_encoder(str(recipe.arguments.get("encoder", "")))
    if choice == "random":
        output.warn(f"{spec.title} starts with random weights: nothing is pretrained")
        return None
    path, revision = obtain(spec, file=None if choice is None else Path(choice))
    return {"path": str(path.resolve()), "revision": revision}


def obtain(spec: EncoderSpec, **options: Any) -> tuple[Path, str]:
    """The file with an encoder's weights, downloaded with a bar if necessary, and its revision."""
    from eosin.fetching import weights

    with watcher() as shown:
        path = weights.obtain(spec, say=output.note, watcher=shown, **options)
    return path, weights.revision_of(path)


@contextmanager
def watcher() -> Iterator[Watcher]:
    """Show downloads on stderr with rate and time left; Ctrl-C ends the command."""
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

    from eosin.fetching.downloads import Watcher

    tasks: dict[str, tuple[TaskID, int]] = {}
    bar = output.progress(BarColumn(bar_width=20), DownloadColumn(), TransferSpeedColumn())

    class Shown(Watcher):
        def progress(self, name: str, done: int, total: int | None) -> None:
            task, before = tasks.get(name, (None, 0))
            if task is not None and done < before:
                # Restarted from zero: the old bytes must not count in the rate.
                bar.remove_task(task)
                task = None
            if task is None:
                task = bar.add_task(name, total=total, completed=done)
            else:
                bar.update(task, total=total, completed=done)
            tasks[name] = (task, done)

        def note(self, text: str) -> None:
            bar.console.print(text, markup=False)

    try:
        with bar:
            yield Shown()
    except KeyboardInterrupt:
        output.fail("stopped by Ctrl-C; run the same command again to resume the download", 130)
