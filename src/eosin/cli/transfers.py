"""How downloads are shown: a bar in bytes, notes beside it, and a message after Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from eosin.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from eosin.fetching.downloads import Watcher


def stopped() -> NoReturn:
    """End after Ctrl-C with a sentence about what is kept."""
    output.fail("stopped by Ctrl-C; run the same command again to resume the download", 130)


def bar() -> Progress:
    """A bar in bytes with rate and time left, on stderr; silent where that is not a terminal."""
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

    return output.progress(BarColumn(bar_width=20), DownloadColumn(), TransferSpeedColumn())


def watcher(bar: Progress) -> Watcher:
    """What shows a download in the bar."""
    from eosin.fetching.downloads import Watcher

    tasks: dict[str, tuple[TaskID, int]] = {}

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

    return Shown()
