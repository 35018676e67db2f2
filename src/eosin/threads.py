"""How many threads compute and how they wait for each other, by what else the machine does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eosin.cores import PROC, read_system_file, usable_cores

#: What users set who decide for themselves; eosin then leaves it.
COUNTS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS")
WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
#: Waiting threads sleep at once: for GNU's OpenMP, which torch brings on Linux, and for those of
#: LLVM and Intel, which it brings elsewhere. Each ignores the other's name.
SLEEP = {"GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
#: A tenth of the time that GNU's OpenMP would stay awake: long enough for the next operation of
#: the same step, and little where other work begins later (docs/performance.md).
NAP = {"GOMP_SPINCOUNT": "30000"}
#: Seconds over which other work is counted; the kernel counts in hundredths.
WINDOW_S = 0.2


@dataclass(frozen=True)
class Threads:
    """Threads that compute, how they wait for each other, and why."""

    count: int
    waiting: str
    reason: str
    #: What the environment needs before a library with OpenMP is loaded.
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """What follows the number of threads in the first line of a run."""
        return f" ({self.reason})" if self.count == 1 else f" {self.waiting} ({self.reason})"

    def __str__(self) -> str:
        return f"{self.count} thread{'s' * (self.count != 1)}{self.why}"


def choose_threads(
    busy: float, cores: int, allowed: int, environment: Mapping[str, str], *, lasting: float = 1e9
) -> Threads:
    """The threads for a process beside other work that keeps ``busy`` cores.

    cores: what it may use, by its container's quota too; allowed: those it may be placed on.
    lasting: processes that wanted a core in the last minute; fewer threads for a whole run need
    work that lasts. Beside less work than there are cores it takes one thread for each that is
    free: one more would get half a core, and all others wait for it at the end of every operation.
    Beside more, every core is shared: with one or two cores it takes one thread, with more one for
    each, whose parts of the cores then add up to more than one. Beside any, threads sleep while
    they wait: one that stays awake keeps its core from the thread that it waits for. Beside none
    they stay awake for a moment. What the environment says already stays.

    >>> str(choose_threads(0.1, 2, 2, {}))
    '2 threads that soon sleep while they wait (no other work on the machine)'
    >>> str(choose_threads(1.0, 2, 2, {}))
    '1 thread (other work keeps 1.0 of 2 cores busy)'
    >>> str(choose_threads(4.0, 4, 4, {}))
    '4 threads that sleep while they wait (other work keeps 4.0 of 4 cores busy)'
    """
    settings: dict[str, str] = {}
    free = allowed - round(min(busy, lasting))
    # Of two threads that share their cores, each waits for the other more than half of the time.
    count = min(cores, free) if free > 0 else cores if cores > 2 else 1
    disturbed = allowed - round(busy) < cores
    reason = f"other work keeps {busy:.1f} of {allowed} cores busy"
    if not disturbed:
        reason = "no other work on the machine" if round(busy) == 0 else f"{reason}, enough is free"
    if given := next((name for name in COUNTS if environment.get(name)), None):
        first = environment[given].partition(",")[0].strip()
        count = int(first) if first.isdigit() else count
        reason = f"{given}={environment[given]}; {reason}"
    elif count < allowed:
        settings["OMP_NUM_THREADS"] = str(count)
    waiting = f"that {'' if disturbed else 'soon '}sleep while they wait"
    if told := next((name for name in WAITS if environment.get(name)), None):
        waiting = f"waiting by {told}={environment[told]}"
    else:
        settings |= SLEEP if disturbed else NAP
    return Threads(count, waiting, reason, settings)


def threads_here(window_s: float = WINDOW_S) -> Threads:
    """The threads for this process now; sleeps for the window in which other work is counted."""
    places = _places()
    allowed = max(1, round(len(places) / _threads_a_core()))
    busy = busy_cores(places, window_s)
    lasting = os.getloadavg()[0] if hasattr(os, "getloadavg") else busy
    cores = min(usable_cores()[0], allowed)
    return choose_threads(busy, cores, allowed, os.environ, lasting=lasting)


def busy_cores(places: set[int], window_s: float = WINDOW_S, proc: Path = PROC) -> float:
    """How many of these cores other processes keep busy now; 0 where the system does not say.

    Work of low priority (nice) is not counted, as it gives way.

    >>> 0 <= busy_cores({0}, 0.01) <= 1.5
    True
    """
    before, own = _worked(places, proc), sum(os.times()[:2])
    begun = time.perf_counter()
    time.sleep(window_s)
    seconds = time.perf_counter() - begun
    others = _worked(places, proc) - before - (sum(os.times()[:2]) - own)
    return round(max(0.0, others / seconds), 2)


def _worked(places: set[int], proc: Path) -> float:
    """Seconds that these cores have worked since the start of the system, at normal priority."""
    ticks = 0
    for line in read_system_file(proc / "stat").splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in places:
            # user, nice, system, idle, waiting for a disk, interrupts, soft interrupts
            ticks += sum(int(counts[k]) for k in (0, 2, 5, 6))
    return ticks / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


def _places() -> set[int]:
    """The numbers of the cores that this process may be placed on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _threads_a_core(proc: Path = PROC) -> float:
    """Threads that a core of the processor runs at once, for which the system counts it twice."""
    counts = {}
    for line in read_system_file(proc / "cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("siblings", "cpu cores") and value.strip().isdigit():
            counts.setdefault(key.strip(), int(value))
    return max(1.0, counts.get("siblings", 1) / max(1, counts.get("cpu cores", 1)))
