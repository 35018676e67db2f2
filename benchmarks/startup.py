"""Time of `eosin --help` in a fresh process: half a second is the house's limit.

    python benchmarks/startup.py
    python benchmarks/startup.py --runs 5

Each command is run once to warm the disk cache and then ``--runs`` times; the median counts. The
empty interpreter stands beside it, because no program written in Python can be faster.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 0.5

COMMANDS = {
    "python (nothing)": ["-c", ""],
    "import eosin": ["-c", "import eosin"],
    "eosin --help": ["-m", "eosin", "--help"],
    "eosin --version": ["-m", "eosin", "--version"],
    "eosin train --help": ["-m", "eosin", "train", "--help"],
    "import torch": ["-c", "import torch"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def hardware() -> str:
    """Processor and cores, as they may stand in a file name."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text("utf-8"))
        name = found[1] if found else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{'-'.join(re.findall(r'[a-z0-9]+', name.lower())[:4])}-{cores}cores"


def main() -> None:
    """Measure, print, and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for name, arguments in COMMANDS.items():
        seconds(arguments)
        taken = [seconds(arguments) for _ in range(options.runs)]
        rows.append([name, *(round(f(taken), 4) for f in (statistics.median, min, max))])
    base = rows[0][1]
    print(f"{'':24}{'median s':>10}{'min':>8}{'max':>8}{'x python':>10}")
    for name, median, low, high in rows:
        print(f"{name:24}{median:10.3f}{low:8.3f}{high:8.3f}{median / base:10.1f}")
    shown = next(row[1] for row in rows if row[0] == "eosin --help")
    verdict = "within" if shown < LIMIT_S else "ABOVE"
    print(f"eosin --help: {shown:.3f} s, {verdict} the limit of {LIMIT_S} s")
    options.out.mkdir(exist_ok=True)
    path = options.out / f"startup-{hardware()}-python{platform.python_version()}.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["command", "median_s", "min_s", "max_s", "runs"])
        writer.writerows([*row, options.runs] for row in rows)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
