"""Two builds side by side: quality and speed of training, packing and evaluation, in turn.

    git worktree add ../before REVISION
    python benchmarks/two_builds.py ../before/src [ARCHIVE] [--epochs 2] [--seeds 0 1]
    python benchmarks/two_builds.py ../before/src --evaluate RUN [--turns 3] [--plain-processor]

The second line evaluates one run by both, with baselines and report, and compares the figures that
they give; with --plain-processor as on a processor without bf16 (AVX2 in torch and oneDNN).

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


#: What keeps torch from instructions that a plain processor does not have.
PLAIN = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def numbers_of(value: object, path: str = "") -> dict[str, object]:
    """Every leaf of a JSON value by its path.

    >>> numbers_of({"a": [1, {"b": None}]})
    {'/a/0': 1, '/a/1/b': None}
    """
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for k, v in pairs for key, leaf in numbers_of(v, f"{path}/{k}").items()}
    return {path: value}


def evaluations_apart(before: Path, now: Path) -> tuple[float, list[str]]:
    """The largest difference of two evaluation.json, and paths of what else differs, run aside."""
    leaves = [numbers_of(json.loads(file.read_text("utf-8"))) for file in (before, now)]
    largest, others = 0.0, []
    for path in dict.fromkeys([*leaves[0], *leaves[1]]):
        old, new = (each.get(path) for each in leaves)
        if isinstance(old, (int, float)) and isinstance(new, (int, float)):
            largest = max(largest, abs(old - new))
            if abs(old - new) > 1e-5:
                others.append(f"{path}: {old} and {new}")
        elif old != new and path not in ("/run", "/store/path", "/store/relative"):
            others.append(f"{path}: {old} and {new}")
    return largest, others


def evaluate_in_turn(builds: dict[str, Path], given: Path, turns: int, plain: bool) -> None:
    """Evaluate copies of one run by both builds in turn; prints ratios and writes the CSV."""
    if plain:
        os.environ.update(PLAIN)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        for name in builds:
            shutil.copytree(given, Path(place) / name)
        for turn in range(turns):
            for name in builds if turn % 2 == 0 else reversed(builds):
                before = os.times()
                seconds = run(builds[name], ["evaluate", name], Path(place))
                after = os.times()
                used = sum(after[2:4]) - sum(before[2:4])
                rows.append({"build": name, "seconds": round(seconds, 2),
                             "processor_seconds": round(used, 2), "load": load()})  # fmt: skip
                print(rows[-1], flush=True)
        files = [Path(place) / name / "evaluation.json" for name in builds]
        patches = json.loads(files[1].read_text("utf-8"))["n_patches"]
        largest, others = evaluations_apart(*files)
    print(
        f"\n{hardware()}{', as without bf16' if plain else ''}: {patches:,} patches, {turns} turns"
    )
    for figure in ("seconds", "processor_seconds"):
        medians = [
            statistics.median(float(str(row[figure])) for row in rows if row["build"] == name)
            for name in builds
        ]
        ratio = medians[1] / medians[0]
        print(f"{figure:18s} {medians[0]:9.2f} {medians[1]:9.2f}  ratio {ratio:.3f}")
    print(f"largest difference of a figure: {largest:.2g}; {len(others)} values differ by more")
    print("\n".join(others[:40]))
    about = {"plain_processor": plain, "patches": patches, "largest_difference": largest}
    ending = "-plain" if plain else ""
    write_csv(f"evaluate-two-builds{ending}", [row | about for row in rows], packages=("torch",))


def main() -> int:
    """Measure both builds in turn; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="the src folder of the earlier build")
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--evaluate", type=Path, metavar="RUN", help="evaluate this run by both")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--plain-processor", action="store_true")
    words = parser.parse_args()
    builds = {"before": words.before, "now": NOW}
    if words.evaluate is not None:
        evaluate_in_turn(builds, words.evaluate, words.turns, words.plain_processor)
        return 0
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
