"""Training in several processes beside one: patches a second and processor time, compact.

    python benchmarks/processes.py idc.store
    python benchmarks/processes.py idc.store --turns 5 --steps 20

The turns alternate, each in processes of its own: one with a thread a core, one with one thread,
and one process a core with one thread each, started by torchrun. The clock is that of the real
training loop, after three steps.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import Row, Times, cores, rows_of, show, write_csv

from eosin.memory import keep_freed_memory

WARM = 3
PATCHES = 6400


def one_turn(store_path: Path, threads: int, steps: int) -> Row:
    """Median seconds and processor seconds (of all processes) of a step, and patches in one."""
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.errors import StoppedError
    from eosin.runs import RunFolder
    from eosin.training.loop import Reporter, Trainer
    from eosin.training.parallel import Team, join

    team = join() if "RANK" in os.environ else Team()
    torch.set_num_threads(threads)
    store, recipe = PatchStore.open(store_path), read_recipe("compact")
    rows = np.arange(min(PATCHES, len(store)))
    clock: list[float] = []
    used: list[float] = []

    def stepped(epoch: int, step: int, loss: float) -> None:
        clock.append(time.perf_counter())
        used.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StoppedError):
        run = RunFolder(Path(folder) / "run")
        run.create()
        reporter = Reporter(stepped=stepped, stop=lambda: len(clock) > WARM + steps)
        Trainer(store, {"train": rows}, recipe, run, reporter=reporter, team=team).fit()
    seconds, busy = (statistics.median(np.diff(values[WARM:])) for values in (clock, used))
    total = team.total(torch.tensor(busy, dtype=torch.float64)).item()
    return {"seconds": float(seconds), "busy": total, "batch": recipe.batch_size, "main": team.main}


def launched(store: Path, processes: int, threads: int, steps: int) -> Row:
    """A turn in processes of its own."""
    words = [__file__, str(store), "--steps", str(steps), "--turn", str(threads)]
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, *(many if processes > 1 else []), *words],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    found: Row = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--turn", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        found = one_turn(given.store, given.turn, given.steps)
        if found["main"]:
            print(json.dumps(found))
        return
    jobs = {f"1 process, {cores()} threads": (1, cores()), "1 process, 1 thread": (1, 1)}
    jobs[f"{cores()} processes, 1 thread each"] = (cores(), 1)
    taken: dict[str, list[Row]] = {name: [] for name in jobs}
    for _ in range(given.turns):
        for name, (processes, threads) in jobs.items():
            taken[name].append(launched(given.store, processes, threads, given.steps))
    times = {name: Times(tuple(row["seconds"] for row in rows)) for name, rows in taken.items()}
    batch = next(iter(taken.values()))[0]["batch"]
    rows = rows_of(times, work=batch)
    for row in rows:
        busy = statistics.median(found["busy"] for found in taken[row["job"]])
        row["processor_ms_per_patch"] = round(1000 * busy / batch, 3)
    show(rows, f"compact, {given.steps} steps of {batch} patches a turn")
    write_csv("processes", rows, packages=("torch", "accelerate"))


if __name__ == "__main__":
    keep_freed_memory()
    main()
