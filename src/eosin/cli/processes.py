"""What a command does where torchrun or accelerate launch has started it several times."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from eosin.cli import output
from eosin.cores import usable_cores
from eosin.errors import TrainingError

#: Commands that pack, train or answer, for which freed memory is kept.
BUSY = {
    "demo", "pack", "train", "probe", "evaluate", "predict", "export", "explain", "ensemble",
    "prune", "retrain", "crossval", "gap", "search",
}  # fmt: skip
#: Those that compute with torch for long enough to look first at what else the machine does.
LONG = BUSY - {"pack", "predict", "export", "explain"}
#: torchrun kills after thirty seconds any process that has not ended.
GRACE_SECONDS = 20.0

if TYPE_CHECKING:
    from eosin.runs import RunFolder
    from eosin.threads import Threads
    from eosin.training.parallel import Team
    from eosin.training.session import Session

#: What was chosen for this process; empty where nothing was.
_chosen: list[Threads] = []


def prepare_process(arguments: Sequence[str]) -> None:
    """Make the settings of the process that the command of a command line needs.

    The only place for them, as libraries and constructors must not change a process that others
    use as well.
    """
    if BUSY & set(arguments[:1]):
        from eosin.memory import keep_freed_memory

        keep_freed_memory()
    if LONG & set(arguments[:1]) and count() == 1 and not {"-h", "--help"} & set(arguments):
        choose_threads(arguments[0])


def choose_threads(command: str) -> None:
    """Set how many threads compute and how they wait, before torch and its OpenMP are loaded."""
    # A library that is loaded already has read its settings; a search gives threads to workers.
    if "torch" in sys.modules:
        return
    from eosin.threads import threads_here

    chosen = threads_here()
    settings = dict(chosen.settings)
    if command == "search":
        settings.pop("OMP_NUM_THREADS", None)
    os.environ.update(settings)
    _chosen.append(chosen)


def threads_of(run: RunFolder) -> None:
    """Let torch compute a resumed run with the threads it began with, for the same digits.

    What the user has set stays.
    """
    from eosin.threads import COUNTS

    machine = run.read_json("environment.json").get("machine")
    recorded = machine.get("threads") if isinstance(machine, dict) else None
    ours = "OMP_NUM_THREADS" in _chosen[-1].settings if _chosen else False
    if not isinstance(recorded, int) or (any(map(os.environ.get, COUNTS)) and not ours):
        return
    import torch

    if recorded != torch.get_num_threads():
        torch.set_num_threads(recorded)
        _chosen[:] = [replace(each, count=recorded, reason="as before") for each in _chosen]


def why_so_many_threads() -> str:
    """How the threads of this process wait and why there are so many; "" where nothing was chosen.

    Follows their number in the first line of a run.
    """
    return _chosen[-1].why if _chosen else ""


def count() -> int:
    """How many processes were started together; 1 without a launcher."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return 1
    return int(os.environ["WORLD_SIZE"])


def takes_part(arguments: Sequence[str]) -> bool:
    """Whether this process has anything to do for a command line; the first one always has.

    All but the first are silent from here on.
    """
    if count() == 1:
        return True
    help_only = {"-h", "--help"} & set(arguments)
    if os.environ["RANK"] == "0":
        if arguments and arguments[0] not in ("train", "--version") and not help_only:
            output.note(f"eosin {arguments[0]} works in one process; the others do nothing")
        return True
    output.hush()
    return arguments[:1] == ["train"] and not help_only


@contextmanager
def team() -> Iterator[Team]:
    """The processes that train together, or this one alone.

    Raises MissingExtraError without accelerate, TrainingError where one of them is lost.
    """
    from eosin.training.parallel import LostError, Team, is_first_process, join

    if count() == 1:
        yield Team()
        return
    output.take_turns(is_first_process)
    before = signal.getsignal(signal.SIGTERM)
    use_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    try:
        met = join()
        if not met.main:
            # They wait for the main process; if it ends, they notice and report it.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        yield met
    except LostError as error:
        raise TrainingError(f"{error}; run the same command again") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def shared(team: Team, make: Callable[[], Session]) -> Session:
    """The session that ``make`` makes, once, in the main process; the others open its folder."""
    if team.count == 1:
        return make()
    from eosin.training.session import reopen

    made: list[Session] = []

    def paths() -> tuple[str, str]:
        made.append(make())
        return str(made[0].run.path), str(made[0].store.path.resolve())

    path, store = team.once(paths, patient=True)
    return made[0] if made else reopen(path, store)


@contextmanager
def last_words(sentence: str) -> Iterator[None]:
    """In this block, a stop signal that cannot reach Python ends the process with the sentence.

    A signal's handler waits until the main thread is back from what it does outside Python, and one
    that waits there for another process, or for a GPU that does, may never be. The launcher would
    kill it after thirty seconds, without a message.
    """
    listening, writing = socket.socketpair()
    writing.setblocking(False)
    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            number = listening.recv(1)
            if number and number[0] in (signal.SIGINT, signal.SIGTERM):
                break
        if not done.wait(GRACE_SECONDS):
            with suppress(SystemExit):
                output.fail(sentence, 1)
            sys.stdout.flush()
            os._exit(1)

    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        done.set()
        writing.close()
        thread.join()
        listening.close()


def leave(team: Team) -> None:
    """The end of common work: the main process continues alone, with all the cores."""
    if team.count > 1:
        team.leave()
        use_cores(1)


def use_cores(processes: int) -> None:
    """Let torch use this process's share of the cores, of so many ``processes`` on the machine."""
    # torchrun sets one thread a process where the user has set nothing.
    if os.environ.setdefault("OMP_NUM_THREADS", "1") == "1":
        import torch

        torch.set_num_threads(max(1, usable_cores()[0] // processes))
