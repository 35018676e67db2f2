"""Training beside other work: steps a second by way of waiting and threads, idle and under load.

    python benchmarks/beside.py ../shared/data/idc-sample.zip
    python benchmarks/beside.py --beside 0 1 2 --precisions bf16 --ways default passive one

The ways are settings of the environment, which the OpenMP of torch reads when it is loaded, so each
has a process of its own. They take turns: a way trains compact for a few seconds while the others
sleep, beside as many processes that only count as ``--beside`` says. The clock is of whole steps,
data included. Figures are medians over the rounds; ``chosen`` marks what the command line chooses.

For a stand-in of a processor without bf16 set ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 and
name the precision: --precisions fp32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness import SAMPLE, Row, cores, hardware, show, write_csv

from eosin.memory import keep_freed_memory
from eosin.threads import COUNTS, NAP, SLEEP, WAITS, choose_threads

#: Way -> what it sets. By default a thread asks 300,000 times for work before it sleeps.
WAYS: dict[str, dict[str, str]] = {
    "default": {},
    "passive": SLEEP,
    "a tenth": NAP,
    "one": {"OMP_NUM_THREADS": "1", **SLEEP},
}
#: Ends with the process that started it.
_COUNTING = """
import os
parent = os.getppid()
while os.getppid() == parent:
    sum(range(10_000))
"""


def work(store: Path, folder: Path, precision: str) -> None:
    """A process that trains for as many seconds as each line of its input says."""
    from training import article

    trainer = article(store, folder, precision, "compact")
    trainer.model.train()

    def steps() -> Iterator[None]:
        number = 0
        while True:
            for rows in trainer.batches.rows(1):
                batch = trainer.batches.patches[rows], trainer.batches.labels[rows]
                trainer.step(*batch, None, epoch=1, step=number, factor=1.0)
                number += 1
                yield

    endless = steps()
    for _ in range(2):
        next(endless)
    print("ready", flush=True)
    for line in sys.stdin:
        begun, done = time.perf_counter(), 0
        while done < 2 or time.perf_counter() - begun < float(line):
            next(endless)
            done += 1
        print(done / (time.perf_counter() - begun), flush=True)


class Way:
    """A process that trains under one way's settings, and sleeps between its turns."""

    def __init__(self, name: str, store: Path, folder: Path, precision: str) -> None:
        kept = {key: value for key, value in os.environ.items() if key not in (*COUNTS, *WAITS)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", precision, "--store", store, "--folder", folder],
            env=kept | WAYS[name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            raise RuntimeError(f"{name} in {precision} did not start")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rate(self, seconds: float, rest: float, first: bool) -> float:
        """Steps a second over about so many seconds, after a rest."""
        time.sleep(rest)
        if first:
            self._schedule(os.SCHED_RR, 1)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        found = float(self._answer())
        if first:
            self._schedule(os.SCHED_OTHER, 0)
        return found

    def _schedule(self, policy: int, priority: int) -> None:
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """In this block, so many processes do nothing but count."""
    others = [subprocess.Popen([sys.executable, "-c", _COUNTING]) for _ in range(count)]
    try:
        time.sleep(0.3 if count else 0)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    """Measure, print and write the CSV; or work, as one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--rest", type=float, default=0.0, help="seconds before each turn")
    parser.add_argument(
        "--first", action="store_true",
        help="turns go before all else on the machine, for --beside 0 on a shared one (needs root)",
    )  # fmt: skip
    parser.add_argument("--store", type=Path, help="the packed archive, if there is one")
    parser.add_argument("--name", default="", help="added to the name of the CSV")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.work:
        work(words.store, words.folder, words.work)
        return
    from eosin.data.pack import pack

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        store = words.store or pack(words.archive, folder / "packed.store").path
        for precision in words.precisions:
            ways = {name: Way(name, store, folder, precision) for name in words.ways}
            for way in ways.values():
                stack.callback(way.end)
            found: dict[tuple[int, str], list[float]] = {}
            for _ in range(words.rounds):
                for count in words.beside:
                    with busy(count):
                        for name, way in ways.items():
                            found.setdefault((count, name), []).append(
                                way.rate(words.seconds, words.rest, words.first and count == 0)
                            )
            for way in ways.values():
                way.end()
            for (count, name), rates in found.items():
                median = statistics.median(rates)
                choice = choose_threads(count, cores(), cores(), {})
                base = statistics.median(found[count, words.ways[0]])
                rows.append(
                    {
                        "precision": precision,
                        "beside": count,
                        "way": name,
                        "steps_per_s": round(median, 2),
                        "least": round(min(rates), 2),
                        "most": round(max(rates), 2),
                        "rounds": len(rates),
                        "ratio": round(median / base, 3),
                        "chosen": WAYS[name] == dict(choice.settings),
                    }
                )
    show(rows, f"training compact beside busy processes, {hardware()}")
    write_csv("-".join(filter(None, ["beside", words.name])), rows, packages=("torch",))


if __name__ == "__main__":
    keep_freed_memory()
    main()
