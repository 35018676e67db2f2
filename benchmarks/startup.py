"""Time of `eosin --help` in a fresh process: 0.3 s is the limit.

    python benchmarks/startup.py
    python benchmarks/startup.py --runs 5

The commands take turns, after one untimed turn that warms the disk cache; the median of ``--runs``
counts. The empty interpreter stands beside them, because no program in Python can be faster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial

from harness import alternate, rows_of, show, write_csv

LIMIT_S = 0.3

COMMANDS = {
    "python (nothing)": ["-c", ""],
    "import eosin": ["-c", "import eosin"],
    "eosin --help": ["-m", "eosin", "--help"],
    "eosin --version": ["-m", "eosin", "--version"],
    "eosin train --help": ["-m", "eosin", "train", "--help"],
    "import torch": ["-c", "import torch"],
}


def run(arguments: list[str]) -> None:
    """One fresh process."""
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Measure, print, and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=11)
    words = parser.parse_args()
    jobs = {name: partial(run, arguments) for name, arguments in COMMANDS.items()}
    rows = rows_of(alternate(jobs, repeats=words.runs), reference="import torch")
    show(rows, "start-up")
    shown = next(row["median_s"] for row in rows if row["job"] == "eosin --help")
    verdict = "within" if shown < LIMIT_S else "ABOVE"
    print(f"eosin --help: {shown:.3f} s, {verdict} the limit of {LIMIT_S} s")
    write_csv("startup", rows)


if __name__ == "__main__":
    main()
