"""What all benchmarks share: names of hardware and versions, turns, ratios, CSV, memory.

    from harness import alternate, hardware, rows_of, show, write_csv

    times = alternate({"plain": plain, "eosin": fast}, repeats=5)
    rows = rows_of(times, work=20_000, unit="patches")
    show(rows, "classifying 20,000 patches")
    write_csv("classify", rows, packages=("torch", "onnxruntime"))

The jobs take turns, so that a busy moment hits all of them alike; the first job is the reference
of every ratio. A CSV is named by the hardware and by the versions that its figures depend on.
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "idc-sample.zip"

Row = dict[str, Any]


def cores() -> int:
    """The cores this process may use."""
    from eosin.cores import usable_cores

    return usable_cores()[0]


def hardware() -> str:
    """Processor and cores, as they may stand in a file name: "amd-epyc-2cores".

    A limit on oneDNN's instructions, which makes one processor stand for another, is added:
    "amd-epyc-2cores-limited-to-avx2".
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text("utf-8"))
        name = found[1] if found else name
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", " ", name.lower()))
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").lower().replace("_", "-")
    return f"{'-'.join(words[:4])}-{cores()}cores" + (f"-limited-to-{limit}" if limit else "")


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Version of Python and of each package; "none" where one is not installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def load() -> float:
    """Processes that wanted to run in the last minute, 0 where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


@dataclass(frozen=True)
class Times:
    """Seconds of each turn of a job, in their order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def worst(self) -> float:
        return max(self.seconds)


def alternate(
    jobs: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 5,
    warm_up: int = 1,
    prepare: Callable[[], object] | None = None,
) -> dict[str, Times]:
    """Run the jobs in turn and time each of them ``repeats`` times.

    warm_up: untimed turns before. prepare: called before every timed or untimed job, untimed.
    """
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(-warm_up, repeats):
        for name, job in jobs.items():
            if prepare is not None:
                prepare()
            begun = time.perf_counter()
            job()
            seconds = time.perf_counter() - begun
            if turn >= 0:
                taken[name].append(seconds)
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


def rows_of(
    times: Mapping[str, Times],
    *,
    work: float | Mapping[str, float] = 0,
    unit: str = "patches",
    reference: str | None = None,
) -> list[Row]:
    """A row a job: median, least and most seconds, work a second, and times the reference.

    work: how much one turn does (of each job, where they differ); rates and ratios are of
    work a second then, else of seconds. reference: the job of ratio 1, the first by default.
    """
    first = next(iter(times)) if reference is None else reference
    amount = {name: work[name] if isinstance(work, Mapping) else work for name in times}
    base = times[first].median / (amount[first] or 1)
    rows = []
    for name, found in times.items():
        row: Row = {
            "job": name,
            "median_s": round(found.median, 5),
            "min_s": round(found.best, 5),
            "max_s": round(found.worst, 5),
            "turns": len(found.seconds),
        }
        if amount[name]:
            row[f"{unit}_per_s"] = round(amount[name] / found.median, 1)
        row["ratio"] = round(base / (found.median / (amount[name] or 1)), 3)
        rows.append(row)
    return rows


def show(rows: Sequence[Row], title: str = "") -> None:
    """Print rows as a table: names to the left, numbers to the right."""
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name, "")) for name in names] for row in rows]
    widths = [max(map(len, [name, *column])) for name, *column in zip(names, *cells, strict=True)]
    text = [isinstance(rows[0].get(name, ""), str) for name in names]
    if title:
        print(f"{title}  ({hardware()}, load {load()})")
    for line in [names, *cells]:
        parts = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, text, strict=True)
        ]
        print("  " + "  ".join(parts).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_csv(
    name: str,
    rows: Sequence[Row],
    *,
    packages: Sequence[str] = (),
    folder: Path = RESULTS,
) -> Path:
    """Write rows to FOLDER/NAME-HARDWARE-VERSIONS.csv, with date and load, and say so.

    packages: what the figures depend on; their versions stand in the file's name.
    """
    named = "-".join(key + value for key, value in versions(packages).items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hardware()}-{named}.csv"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stamp = {"date": time.strftime("%Y-%m-%d"), "load": load()}
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *stamp], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **stamp} for row in rows)
    print(f"written to {path.parent.name}/{path.name}")
    return path


def matrix_ceiling(precision: str = "fp32", *, side: int = 3072, turns: int = 8) -> float:
    """GFLOP/s of a large matrix product in torch on this process's cores, best of some turns.

    precision: "fp32" or "bf16". A product of two matrices of n x n takes 2 n^3 operations.
    """
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    left, right = (torch.randn(side, side).to(kind) for _ in range(2))
    out = torch.empty(side, side, dtype=kind)
    best = float("inf")
    for _ in range(turns):
        begun = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - begun)
    return 2.0 * side**3 / best / 1e9


@dataclass(frozen=True)
class Child:
    """What a process of its own took."""

    seconds: float
    #: Most resident memory, mapped files included.
    peak_mib: float
    stdout: str
    stderr: str


# The kernel's count for a waited child begins at what its parent held when it was started, so the
# child reads its own. VmHWM is the most resident memory since its program was loaded.
_REPORTING = """
import atexit, runpy, sys
def report(path):
    try:
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except OSError:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak //= 1024 if sys.platform == "darwin" else 1
    with open(path, "w") as file:
        file.write(str(peak))
atexit.register(report, sys.argv[1])
sys.argv = sys.argv[2:]
if sys.argv[0] == "-m":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
elif sys.argv[0] == "-c":
    code = sys.argv[1]
    sys.argv = ["-c", *sys.argv[2:]]
    exec(compile(code, "<child>", "exec"), {"__name__": "__main__"})
else:
    import os
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def child(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> Child:
    """Run Python with arguments (``-m eosin pack ...``, ``-c CODE`` or a script) on its own.

    Raises RuntimeError with the end of what it printed when it fails and ``check`` is true.
    """
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "peak"
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _REPORTING, note, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        seconds = time.perf_counter() - begun
        if check and done.returncode:
            told = (done.stderr or done.stdout)[-2000:]
            raise RuntimeError(f"{' '.join(map(str, arguments))} gave {done.returncode}: {told}")
        peak = int(note.read_text()) / 1024 if note.is_file() else 0.0
    return Child(seconds, round(peak, 1), done.stdout, done.stderr)
