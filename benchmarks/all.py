"""The CPU benchmarks one after the other, short: `make bench`, at most 20 minutes on two cores.

    python benchmarks/all.py [../shared/data/idc-sample.zip] [--only pack training]

Each is the script of its name with the settings below; the figures of docs/performance.md are
those of these settings, except where it says otherwise. A script that fails does not stop the
others; the exit code tells of it in the end. Needs the sample of the archive.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from harness import SAMPLE, hardware, load

HERE = Path(__file__).parent
#: Script -> its arguments; "ARCHIVE" stands for the sample.
JOBS: dict[str, tuple[str, ...]] = {
    "startup": ("--runs", "7"),
    "cold_start": ("--runs", "7"),
    "pack": ("ARCHIVE",),
    "batches": ("ARCHIVE",),
    "training": ("ARCHIVE", "--turns", "5", "--steps", "12"),
    "classify": ("--quick",),
    "bootstrap": (),
    "growth": ("ARCHIVE", "--scales", "1", "4"),
    "time_to_quality": (
        "ARCHIVE", "--steps", "tutorial", "compact-2", "--seeds", "0", "--budget", "120",
        "--name", "time-to-quality-short", "--quiet",
    ),
}  # fmt: skip


def main() -> int:
    """Run them and say how long each took; returns the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--only", nargs="+", choices=sorted(JOBS), default=list(JOBS))
    words = parser.parse_args()
    if not words.archive.is_file():
        print(f"{words.archive}: no such file; name the sample of the archive", file=sys.stderr)
        return 2
    print(f"{hardware()}, load {load()}")
    failed = []
    begun = time.perf_counter()
    for name in words.only:
        arguments = [str(words.archive) if a == "ARCHIVE" else a for a in JOBS[name]]
        print(f"\n== {name} {' '.join(JOBS[name])}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, HERE / f"{name}.py", *arguments]).returncode
        if code:
            failed.append(name)
        print(f"-- {name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"\n{len(words.only)} benchmarks in {time.perf_counter() - begun:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
