"""One worker process of a search: `python -m eosin.search.worker FOLDER STORE PARENT`.

It says what happens as one JSON object a line on stdout. It ends, with its state saved, after the
step in which it is asked to (SIGTERM) or in which the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from eosin.errors import EosinError
from eosin.memory import keep_freed_memory
from eosin.search.plan import reopen
from eosin.search.study import opened
from eosin.search.trials import work
from eosin.training.loop import Reporter
from eosin.training.session import Session


def main(folder: str, store: str, parent: int) -> int:
    """Work until no trial is left; returns the exit code."""
    asked = {"stop": False}

    def ask(number: int, frame: object) -> None:
        asked["stop"] = True

    def stop() -> bool:
        return asked["stop"] or os.getppid() != parent

    @contextmanager
    def watch(session: Session) -> Iterator[Reporter]:
        yield Reporter(warned=lambda text: say(said=f"{session.recipe.name}: {text}"), stop=stop)

    signal.signal(signal.SIGTERM, ask)
    # Ctrl-C reaches the whole group of processes; the one in front decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    say(ready=True)
    try:
        run, plan, opened_store, split = reopen(folder, store)
        with opened(run.path, plan) as study:
            work(
                study, plan, run.path, opened_store, split,
                watch=watch, said=lambda text: say(said=text), stop=stop,
            )  # fmt: skip
    except EosinError as error:
        say(error=str(error), kind=type(error).__name__)
        return error.exit_code
    return 0


def say(**facts: object) -> None:
    """One line for the process that started this one; it may be gone."""
    try:
        print(json.dumps(facts), flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
