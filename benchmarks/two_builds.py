"""Two builds side by side: quality and speed of training, packing and evaluation, in turn.

    git worktree add ../before REVISION
    python benchmarks/two_builds.py ../before/src [ARCHIVE] [--epochs 2] [--seeds 0 1]

Each build runs in processes of its own, one after the other, so that other work on the machine and
its temperature reach both alike. Prints a table and writes results/two-builds-MACHINE.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import SAMPLE, hardware, load, write_csv

HERE = Path(__file__).parent
NOW = HERE.parent / "src"


def run(source: Path, arguments: list[str], folder: Path) -> float:
    """Seconds of one command of the build in ``source``; raises where it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "eosin", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(source.resolve())},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"eosin {' '.join(arguments)} of {source} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def measure(source: Path, folder: Path, archive: Path, seed: int, epochs: int) -> dict[str, float]:
    """Pack, train, evaluate and predict once with one build."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    row = {"help": run(source, ["--help"], folder)}
    row["pack"] = run(source, ["pack", str(archive), "s.store"], folder)
    training = ["train", "s.store", "--split", "published", "-o", "run", "--no-evaluate"]
    settings = ["--set", f"epochs={epochs}", "--set", f"seed={seed}"]
    row["train_command"] = run(source, [*training, *settings], folder)
    row["train"] = json.loads((folder / "run" / "model.json").read_text("utf-8"))["train_seconds"]
    row["evaluate"] = run(source, ["evaluate", "run", "--no-report"], folder)
    evaluation = json.loads((folder / "run" / "evaluation.json").read_text("utf-8"))
    for name in ("auroc", "balanced_accuracy", "f1"):
        row[name] = evaluation[name]["value"]
    return row


def main() -> int:
    """Measure both builds in turn; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="the src folder of the earlier build")
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    words = parser.parse_args()
    builds = {"before": words.before, "now": NOW}
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        for turn, seed in enumerate(words.seeds):
            order = list(builds) if turn % 2 == 0 else list(reversed(builds))
            for name in order:
                values = measure(
                    builds[name], Path(place) / name, words.archive.resolve(), seed, words.epochs
                )
                rows.append({"build": name, "seed": seed, "load": load(), **values})
                print(f"{name:8s} seed {seed}: {values}", flush=True)
    figures = [key for key in rows[0] if key not in ("build", "seed", "load")]
    print(f"\n{hardware()}, {words.epochs} epochs, seeds {words.seeds}")
    for figure in figures:
        means = [
            statistics.fmean(float(str(row[figure])) for row in rows if row["build"] == name)
            for name in builds
        ]
        print(f"{figure:18s} {means[0]:9.4f} {means[1]:9.4f}  ratio {means[1] / means[0]:.3f}")
    write_csv("two-builds", rows, packages=("torch",))
    return 0


if __name__ == "__main__":
    sys.exit(main())
