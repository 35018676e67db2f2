"""Pack, train, evaluate, export and predict inside a container's memory limit.

    python benchmarks/little_memory.py --limits 768 1024 none
    python benchmarks/little_memory.py --archive ../shared/data/idc-sample.zip --limits 1024

Each command runs in a control group of its own (version 1 or 2, as root), with a limit in MiB, and
the kernel's own count of the most that it used is printed, pages of files included. Without a
control group nothing is limited, and the most that was in memory is printed. Data are made up
unless ``--archive`` is given; it is then one epoch. Writes results/little_memory-*.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness import Row, write_csv

CGROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20


@contextlib.contextmanager
def group(mebibytes: int | None) -> Iterator[Path | None]:
    """A new control group with a memory limit; None where none can be made."""
    first = CGROUPS / "memory" if (CGROUPS / "memory").is_dir() else CGROUPS
    place = first / f"eosin-{os.getpid()}"
    name = "memory.limit_in_bytes" if first.name == "memory" else "memory.max"
    made = False
    try:
        with contextlib.suppress(OSError):
            place.mkdir()
            made = True
            if mebibytes is not None:
                (place / name).write_text(str(mebibytes * MIB))
        yield place if made and (place / name).exists() else None
    finally:
        with contextlib.suppress(OSError):
            place.rmdir()


def enter(place: Path | None) -> None:
    """Let this process be in the group."""
    if place is not None:
        (place / "cgroup.procs").write_text(str(os.getpid()))


def run(words: list[str], mebibytes: int | None, cwd: Path) -> Row:
    """Run a command within a limit: exit code, seconds of the processor, MiB at most, last line."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    with group(mebibytes) as place:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "eosin", *words], cwd=cwd, env=environment, check=False,
            capture_output=True, text=True, preexec_fn=partial(enter, place),
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = after.ru_maxrss * 1024
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with contextlib.suppress(OSError, TypeError):
                peak = int((place / name).read_text())  # type: ignore[operator]
    said = (done.stderr.strip() or done.stdout.strip() or " ").splitlines()
    notes = [line for line in said if "memory" in line and "out of" not in line]
    return {
        "command": words[0],
        "limit_mib": mebibytes if place is not None else None,
        "code": done.returncode,
        "processor_s": round(after.ru_utime - before.ru_utime, 1),
        "most_mib": round(peak / MIB),
        "problem": "" if done.returncode == 0 else f"({done.returncode}) {said[-1][:300]}",
        "note": notes[-1][:200] if notes else "",
    }


def measure(limits: list[int | None], archive: Path | None) -> list[Row]:
    """All commands within every limit."""
    rows: list[Row] = []
    for limit in limits:
        with tempfile.TemporaryDirectory(prefix="eosin-memory-") as name:
            folder = Path(name)
            small = ["--set", "epochs=1"]
            source = archive or folder / "made-up.zip"
            if archive is None:
                from eosin.synthetic.archive import write_archive

                write_archive(source, cases=4, seed=1)
            one = folder / "one.png"
            commands = [
                ["pack", str(source), "s"],
                ["train", "s", "-o", "r", "--no-evaluate", *small],
                ["evaluate", "r"],
                ["export", "r", "-o", "e"],
                ["explain", "r", str(one), "-o", "a.png"],
                ["predict", "e", str(one)],
            ]
            from PIL import Image

            Image.new("RGB", (50, 50), (200, 150, 180)).save(one)
            for words in commands:
                row = run(words, limit, folder)
                rows.append(row)
                print(
                    f"{words[0]:9} limit {limit or 'none':>5}, at most {row['most_mib']:5} MiB  "
                    f"{row['processor_s']:6.1f} s  {row['problem'] or row['note']}",
                    flush=True,
                )
                if row["code"]:
                    break
    return rows


def main() -> None:
    """Measure, print, and write the CSV; the exit code is 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limits", nargs="+", default=["1024", "none"], help="MiB, or none.")
    parser.add_argument("--archive", type=Path, default=None)
    words = parser.parse_args()
    limits = [None if each == "none" else int(each) for each in words.limits]
    rows = measure(limits, words.archive and words.archive.resolve())
    write_csv("little_memory", rows, packages=("torch",))
    sys.exit(any(row["code"] for row in rows))


if __name__ == "__main__":
    main()
