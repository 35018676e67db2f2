"""Classify real patches: torch as one would write it against every way that eosin answers.

    python benchmarks/classify.py --run compact-run article-run --store idc.store
    python benchmarks/classify.py --quick          # compact alone, trained briefly on the sample

The reference is torch eager, float32, NCHW, in batches of 256, with torch's and glibc's defaults.
Every way has a process of its own (eosin tells glibc to keep freed memory, which must not help the
reference), and they take turns. Beside each ratio stands what the answers lose on the validation
patches of the run: AUROC, and the share of decisions at the threshold that change. A second table
is for callers that give other numbers of patches at once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import SAMPLE, Row, alternate, rows_of, show, write_csv

from eosin.cores import bf16_instructions
from eosin.memory import keep_freed_memory

#: Name -> (file of the export, or "" for the run; precision). The first is the reference.
WAYS = {
    "torch eager fp32 NCHW": ("", "plain"),
    "eosin torch fp32": ("", "fp32"),
    "eosin torch bf16": ("", "bf16"),
    "ONNX Runtime fp32": ("model.onnx", "fp32"),
    "ONNX Runtime int8": ("model-int8.onnx", "fp32"),
    "OpenVINO fp32": ("model.xml", "fp32"),
    "OpenVINO bf16": ("model.xml", "bf16"),
    "OpenVINO int8": ("model-int8.xml", "bf16"),
}
GOALS = {"bf16": 3.3, "int8": 4.0}
MOST_LOST, MOST_CHANGED = 0.002, 0.01
BATCH = 256
SIZES = (1, 16, 256, 4096)
PACKAGES = ("torch", "onnxruntime", "openvino")


class Worker:
    """A process that classifies when it is told to."""

    def __init__(self, path: Path, precision: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(path), precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, *words: object) -> None:
        """Send a line and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError(f"the process of {self.process.args} ended")

    def answers(self, patches: Path, folder: Path) -> np.ndarray:
        """Probabilities float32 [N, K] of patches in a .npy file."""
        self.tell("classify", patches, BATCH, -1, folder / "answers.npy")
        return np.load(folder / "answers.npy")

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def plain(path: Path) -> Any:
    """The reference: a saved network called as one would write it."""
    import torch

    from eosin.models.classifier import load_classifier

    model = load_classifier(path)[0]

    def predict(patches: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(patches)), 1).numpy()

    return predict


def work(path: Path, precision: str) -> None:
    """What a worker does: read lines, classify, answer."""
    if precision == "plain":
        predict = plain(path)
    else:
        from eosin.inference.predictor import load

        predict = load(path, precision=precision).predict
    for line in sys.stdin:
        _, file, batch, most, *out = line.rstrip("\n").split("\t")
        patches = np.load(file, mmap_mode="r")
        patches = patches if int(most) < 0 else patches[: int(most)]
        step = int(batch)
        found = [
            predict(np.array(patches[start : start + step]))
            for start in range(0, len(patches), step)
        ]
        if out:
            np.save(out[0], np.concatenate(found))
        sys.stdout.write("done\n")
        sys.stdout.flush()


def ways_here() -> dict[str, tuple[str, str]]:
    """The ways of this processor: without bf16 in float32 and int8."""
    if bf16_instructions():
        return WAYS
    return {
        name: (file, precision.replace("bf16", "fp32"))
        for name, (file, precision) in WAYS.items()
        if "bf16" not in name
    }


def measure(
    run: Path, store: Path, folder: Path, *, patches: int, turns: int, sizes: tuple[int, ...]
) -> tuple[list[Row], list[Row]]:
    """Rows of the main table and of that of sizes."""
    from eosin.exporting.export import Formats, export
    from eosin.exporting.parity import validation_sample
    from eosin.inference.predictor import load
    from eosin.training.session import reopen

    session = reopen(run, str(store))
    out = folder / f"{run.name}-exported"
    result = export(run, out, formats=Formats(int8=True, openvino=True), store=str(store))
    refused = {each.file for each in result.refused}
    chosen = np.sort(np.random.default_rng(0).permutation(len(session.store))[:patches])
    np.save(folder / "patches.npy", session.store.patches[chosen])
    sample = validation_sample(session)
    np.save(folder / "val.npy", sample.patches)
    facts = load(run).facts
    point = facts.decision().point
    ways = {name: way for name, way in ways_here().items() if way[0] not in refused}
    workers = {
        name: Worker(out / file if file else run, precision)
        for name, (file, precision) in ways.items()
    }
    try:
        given = {name: each.answers(folder / "val.npy", folder) for name, each in workers.items()}

        def jobs(number: int, batch: int) -> dict[str, Any]:
            file = folder / "patches.npy"
            return {
                name: (lambda w=worker: w.tell("classify", file, batch, number))
                for name, worker in workers.items()
            }

        rows = rows_of(alternate(jobs(patches, BATCH), repeats=turns), work=len(chosen))
        reference = given[next(iter(given))]
        for row in rows:
            row |= {
                "network": facts.architecture, **lost(reference, given[row["job"]], sample, point)
            }  # fmt: skip
        by_size = []
        for size in sizes:
            number = min(patches, max(size, 64 if size == 1 else 2048))
            times = alternate(jobs(number, size), repeats=min(turns, 5))
            common = {"network": facts.architecture, "at_once": size}
            by_size += [common | row for row in rows_of(times, work=number)]
    finally:
        for worker in workers.values():
            worker.stop()
    for name in sorted(refused):
        print(f"{name} was refused by the export")
    return rows, by_size


def lost(reference: np.ndarray, found: np.ndarray, sample: Any, point: Any) -> Row:
    """AUROC lost and the share of changed decisions on validation patches."""
    from eosin.evaluation.ranking import auroc

    changed = np.mean(point.called(reference) != point.called(found))
    return {
        "auroc_lost": round(auroc(sample.labels, reference) - auroc(sample.labels, found), 5),
        "changed": round(float(changed), 5),
    }


def trained(folder: Path, archive: Path, *, quick: bool) -> tuple[list[Path], Path]:
    """Both networks (quick: compact alone) trained briefly on the sample, and their store."""
    store = folder / "idc.store"
    eosin = [sys.executable, "-m", "eosin"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    subprocess.run([*eosin, "pack", str(archive), str(store)], **quiet)
    runs = []
    recipes = (("compact", ("epochs=2",)), ("article", ("epochs=2", "learning_rate=0.02")))
    for recipe, settings in recipes[: 1 if quick else 2]:
        run = folder / recipe
        words = [word for setting in settings for word in ("--set", setting)]
        subprocess.run(
            [*eosin, "train", str(store), "--recipe", recipe, "--split", "published", *words,
             "--no-evaluate", "-o", str(run)],
            **quiet,
        )  # fmt: skip
        runs.append(run)
    return runs, store


def verdicts(rows: list[Row]) -> None:
    """The fastest way of each kind against its goal."""
    for kind, goal in GOALS.items():
        held = [
            row for row in rows
            if kind in row["job"]
            and (kind != "int8" or (row["auroc_lost"] <= MOST_LOST
                                    and row["changed"] <= MOST_CHANGED))
        ]  # fmt: skip
        if not held:
            print(f"{kind}: nothing passed the gate")
            continue
        best = max(held, key=lambda row: row["ratio"])
        word = "reached" if best["ratio"] >= goal else "NOT reached"
        print(f"{kind}: {best['ratio']:.2f} times by {best['job']}, goal {goal} {word}")


def main() -> None:
    """Measure, print, and write the CSV."""
    if sys.argv[1:2] == ["--worker"]:
        work(Path(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, nargs="+", help="finished runs; else two are trained")
    parser.add_argument("--store", type=Path, help="the store of the runs")
    parser.add_argument("--archive", type=Path, default=SAMPLE, help="what is trained on")
    parser.add_argument("--patches", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="2,000 patches, one size")
    parser.add_argument("--name", default="classify")
    words = parser.parse_args()
    patches, sizes = (2000, (1,)) if words.quick else (words.patches, SIZES)
    if words.quick:
        from eosin.exporting import parity

        parity.MOST = 1500  # validation patches that answers are compared on
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs, store = (
            (words.run, words.store)
            if words.run
            else trained(folder, words.archive, quick=words.quick)
        )
        if store is None:
            parser.error("--run needs --store")
        main_rows, size_rows = [], []
        for run in runs:
            rows, by_size = measure(
                run, store, folder, patches=patches, turns=words.turns, sizes=sizes
            )
            show(rows, f"{rows[0]['network']}: {patches:,} patches")
            verdicts(rows)
            for size in sizes:
                show([r for r in by_size if r["at_once"] == size], f"{size} at once")
            main_rows += [{"at_once": BATCH, **row} for row in rows]
            size_rows += by_size
    write_csv(words.name, [*main_rows, *size_rows], packages=PACKAGES)


if __name__ == "__main__":
    keep_freed_memory()
    main()
