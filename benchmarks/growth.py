"""How time and memory grow with the data: every stage at 1, 4 and 16 times the sample.

    python benchmarks/growth.py
    python benchmarks/growth.py ARCHIVE.zip --scales 1 4 --folder work

Larger archives are made of jittered copies of the sample: every copy of a patch is brighter or
darker by up to 2 gray levels and has noise of up to 2, so that no two are the same, and every
copy of a case has a name of its own. They are zips of stored PNGs, packed loosely. The jitter makes
every copy a near copy of all others, the worst that can happen to the search for near copies.

Each stage is a process of its own, its start included: pack the zip; split the store by case; audit
the split, near copies included; train compact for so many steps of 128 patches; evaluate a run on
the whole store; classify the zip. The last two use a run of a small network, trained once on the
sample, because what a network costs a patch does not depend on how many there are.

The exponent is that of a power law fitted to seconds against patches, by least squares on the
logarithms; 1 is proportional. A child's memory is the most that was resident at once, and counts
pages of mapped files (the store), which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from harness import SAMPLE, Child, Row, child, show, write_csv

from eosin.memory import keep_freed_memory

LIMIT = 1.1
STEPS = 10
#: A small network, for the stages whose cost is one pass of every patch.
SMALL = ("arguments.widths=[4,8,8,8,8]", "epochs=1", "precision=fp32")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--folder", type=Path, help="keep archives, stores and runs here")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--turns", type=int, default=3, help="at scale 1; the others run once")
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.train:
        train_steps(*map(Path, wanted.train))
        return 0
    with contextlib.ExitStack() as stack:
        here = wanted.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
        here.mkdir(parents=True, exist_ok=True)
        rows = measured(wanted.archive, here, wanted.scales, wanted.stages, wanted.turns)
    show(rows, "growth")
    fitted = exponents(rows)
    show(fitted, f"exponents, at most {LIMIT}")
    worst = [row["stage"] for row in fitted if row["time_exponent"] > LIMIT]
    print(f"  above {LIMIT}: {', '.join(worst) if worst else 'none'}")
    found = {row["stage"]: row for row in fitted}
    for row in rows:
        fit = found.get(row["stage"], {})
        row |= {key: fit.get(key, "") for key in ("time_exponent", "memory_exponent")}
    write_csv("growth", rows, packages=("torch", "polars"))
    return len(worst)


def measured(
    archive: Path, here: Path, scales: list[int], stages: list[str], turns: int
) -> list[Row]:
    """A row a stage and scale."""
    sample, run = here / "sample.store", here / "small-run"
    if not sample.exists():
        child(["-m", "eosin", "pack", archive, sample])
    if not (run / "model.safetensors").exists():
        changes = [word for change in SMALL for word in ("--set", change)]
        child(["-m", "eosin", "train", sample, "--split", "case", "-o", run, "--force",
               "--no-evaluate", *changes])  # fmt: skip
    rows = []
    for scale in sorted(scales):
        copies = here / f"{scale}x.zip"
        patches = jittered(sample, copies, scale)
        print(f"{copies.name}: {patches:,} patches", flush=True)
        for stage in STAGES:
            needed = stage in ("pack", "split")
            if stage not in stages and not needed:
                continue
            tries = [STAGES[stage](here, scale) for _ in range(turns if scale == 1 else 1)]
            best = min(tries, key=lambda one: one.seconds)
            if stage in stages:
                rows.append(
                    {
                        "stage": stage,
                        "scale": scale,
                        "patches": patches,
                        "seconds": round(best.seconds, 3),
                        "peak_mib": best.peak_mib,
                        "store_mib": round(size_of(store_of(here, scale)) / 2**20, 1),
                    }
                )
                print(f"  {stage}: {best.seconds:.2f} s, {best.peak_mib:,.0f} MiB", flush=True)
    return rows


def store_of(here: Path, scale: int) -> Path:
    return here / f"{scale}x.store"


def size_of(store: Path) -> int:
    """Bytes of a store."""
    return sum(path.stat().st_size for path in store.iterdir())


def packing(here: Path, scale: int) -> Child:
    words = ["-m", "eosin", "pack", here / f"{scale}x.zip", store_of(here, scale), "--force"]
    return child(words)


def splitting(here: Path, scale: int) -> Child:
    words = ["-m", "eosin", "split", store_of(here, scale), "--by", "case", "--force"]
    return child([*words, "-o", here / f"{scale}x.csv"])


def auditing(here: Path, scale: int) -> Child:
    # The copies are near copies: the audit finds leaks and says so by its exit code.
    words = ["-m", "eosin", "audit", store_of(here, scale), here / f"{scale}x.csv", "--json"]
    done = child(words, check=False)
    if '"near-copies"' not in done.stdout and scale > 1:
        raise RuntimeError(f"the audit did not find the near copies: {done.stderr[-500:]}")
    return done


def training(here: Path, scale: int) -> Child:
    return child([__file__, "--train", store_of(here, scale), here / f"{scale}x.csv", here])


def evaluating(here: Path, scale: int) -> Child:
    words = ["-m", "eosin", "evaluate", here / "small-run", "--store", store_of(here, scale)]
    with tempfile.TemporaryDirectory(dir=here) as folder:
        return child([*words, "-o", Path(folder) / "evaluation", "--precision", "fp32"])


def predicting(here: Path, scale: int) -> Child:
    words = ["-m", "eosin", "predict", here / "small-run", here / f"{scale}x.zip", "--csv"]
    return child(words)


STAGES: dict[str, Callable[[Path, int], Child]] = {
    "pack": packing,
    "split": splitting,
    "audit": auditing,
    "train": training,
    "evaluate": evaluating,
    "predict": predicting,
}


def train_steps(store: Path, split: Path, here: Path) -> None:
    """Train compact for STEPS steps; in a process of its own."""
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.errors import StoppedError
    from eosin.runs import RunFolder
    from eosin.splitting.split_file import read_split
    from eosin.training.loop import Trainer

    opened = PatchStore.open(store)
    parts = dict(read_split(split).parts(opened, None))
    with tempfile.TemporaryDirectory(dir=here) as folder:
        run = RunFolder(Path(folder) / "run")
        run.create()
        trainer = Trainer(opened, parts, read_recipe("compact"), run)
        done: list[float] = []
        trainer.reporter.stepped = lambda epoch, step, loss: done.append(loss)
        trainer.reporter.stop = lambda: len(done) >= STEPS
        with contextlib.suppress(StoppedError):
            trainer.fit()


def exponents(rows: list[Row]) -> list[Row]:
    """The power of the patches with which each stage's seconds and memory grow."""
    found = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        chosen = [row for row in rows if row["stage"] == stage]
        if len(chosen) < 2:
            continue
        patches = np.log([row["patches"] for row in chosen])
        fitted = {
            name: round(float(np.polyfit(patches, np.log([r[key] for r in chosen]), 1)[0]), 3)
            for name, key in (("time_exponent", "seconds"), ("memory_exponent", "peak_mib"))
        }
        found.append({"stage": stage, **fitted})
    return found


def jittered(sample: Path, path: Path, copies: int) -> int:
    """Write an archive of jittered copies of a store, if it is not there; returns its patches."""
    import cv2

    from eosin.data.store import PatchStore

    store = PatchStore.open(sample)
    if path.exists():
        return len(store) * copies
    cv2.setNumThreads(1)
    table = store.index.select("case", "x", "y", "label", "width", "height").rows()

    def encoded(task: tuple[int, int]) -> list[tuple[str, bytes]]:
        copy, start = task
        rng = np.random.default_rng([copy, start])
        block = store.patches[start : start + 512].astype(np.int16)
        shift = rng.integers(-2, 3, (len(block), 1, 1, 1), dtype=np.int16)
        noise = rng.integers(-2, 3, block.shape, dtype=np.int16)
        pixels = np.clip(block + shift + noise, 0, 255).astype(np.uint8)
        made = []
        for picture, (case, x, y, label, width, height) in zip(
            pixels, table[start : start + 512], strict=True
        ):
            name = f"{copy + 1}{int(case):06d}"
            bgr = np.ascontiguousarray(picture[:height, :width, ::-1])
            data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
            made.append((f"{name}/{label}/{name}_idx5_x{x}_y{y}_class{label}.png", data))
        return made

    def tasks() -> Iterator[tuple[int, int]]:
        return ((copy, k) for copy in range(copies) for k in range(0, len(table), 512))

    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as file, ThreadPoolExecutor(2) as pool:
        # A few tasks ahead, and no more: a map over all of them would hold every picture.
        waiting = []
        for task in tasks():
            waiting.append(pool.submit(encoded, task))
            if len(waiting) > 4:
                for name, data in waiting.pop(0).result():
                    file.writestr(name, data)
        for made in waiting:
            for name, data in made.result():
                file.writestr(name, data)
    partial.replace(path)
    return len(store) * copies


if __name__ == "__main__":
    keep_freed_memory()
    raise SystemExit(main())
