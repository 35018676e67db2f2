"""Quality of the recipes on real patches, several seeds each; the figures of docs/results.md.

    python benchmarks/quality.py compact ../shared/data/idc-sample.zip    # about 15 minutes
    python benchmarks/quality.py article ../shared/data/idc-sample.zip
    python benchmarks/quality.py digits  ../shared/data/mnist

Prints a table and writes benchmarks/results/quality-<job>-<processor>.csv. Each run is trained by
the same code as `eosin train`; seconds are those of training alone, validation included in "total".
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import read_recipe
from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.inference.assess import assess
from eosin.memory import keep_freed_memory
from eosin.runs import environment
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_given, by_published
from eosin.training.loop import Reporter
from eosin.training.session import fit, start

Row = dict[str, Any]


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=sorted(JOBS))
    parser.add_argument("source", type=Path, help="the sample zip, or the folder of IDX files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = pack(words.source, Path(folder) / "packed.store")
        rows = JOBS[words.job](store, Path(folder), words.seeds, words.settings)
    show(words.job, rows)


def one(
    store: PatchStore, split: Split, recipe: str, path: Path, settings: list[str], part: str
) -> Row:
    """Train and assess one run; figures of the test part, or of validation where there is none."""
    begun = time.perf_counter()
    session, _ = start(store, split, read_recipe(recipe, settings), path)
    facts = fit(session, reporter=Reporter(epoch_done=lambda row: print(short(row), flush=True)))
    total = time.perf_counter() - begun
    found = assess(session, replicates=200).evaluation
    assert found["part"] == part
    names = [n for n in FIGURES if n in found]
    return {
        "recipe": recipe,
        "split": split.scheme,
        "part": part,
        **{name: found[name]["value"] for name in names},
        **{
            f"{base} auroc": each["auroc"]["value"]
            for base, each in found["baselines"].items()
            if "auroc" in each
        },
        "epochs": facts.epochs,
        "train_seconds": facts.train_seconds,
        "total_seconds": round(total, 1),
        "train_patches": facts.train_patches,
    }


FIGURES = ("auroc", "macro_auroc", "average_precision", "balanced_accuracy", "accuracy", "f1")


def short(row: Row) -> str:
    """One line an epoch."""
    return (
        f"  epoch {row['epoch']}  loss {row['loss']:.4f}  AUROC {row.get('val_auroc', 0):.4f}  "
        f"{row['patches_per_second']:.0f} patches/s  {row['seconds']:.0f} s"
    )


def seeded(
    recipe: str, part: str, split_of: Callable[[PatchStore], Split]
) -> Callable[[PatchStore, Path, list[int], list[str]], list[Row]]:
    """The job of training one recipe with each seed."""

    def job(store: PatchStore, folder: Path, seeds: list[int], settings: list[str]) -> list[Row]:
        split = split_of(store)
        return [
            {"seed": seed}
            | one(
                store, split, recipe, folder / f"{recipe}-{seed}", [*settings, f"seed={seed}"], part
            )
            for seed in seeds
        ]

    return job


def digits(store: PatchStore, folder: Path, seeds: list[int], settings: list[str]) -> list[Row]:
    """The tutorial's own settings once, the tuned recipe with every seed."""
    rows = [*seeded("digits-tutorial", "test", by_given)(store, folder, seeds[:1], settings)]
    return rows + seeded("digits", "test", by_given)(store, folder, seeds, settings)


def article(store: PatchStore, folder: Path, seeds: list[int], settings: list[str]) -> list[Row]:
    """The tutorial as it stands and corrected, 20 epochs of SGD at 0.001, published lists."""
    split = by_published(store)
    full = ["stop_when_dead=false", "epochs=2"]
    rows = [one(store, split, "article-verbatim", folder / "verbatim", full, "val")]
    return rows + seeded("article", "val", by_published)(store, folder, seeds[:1], settings)


JOBS = {
    "compact": seeded("compact", "val", by_published),
    "article": article,
    "digits": digits,
}


def show(job: str, rows: list[Row]) -> None:
    """Print the rows and the mean of each group; write the CSV."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    facts = environment()
    name = re.sub(r"[^a-z0-9]+", "-", facts["machine"]["processor"].lower()).strip("-")
    path = (
        Path(__file__).parent / "results" / f"quality-{job}-{name}-{facts['machine']['cores']}.csv"
    )
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*keys, "torch", "processor"])
        writer.writeheader()
        for row in rows:
            extra = {
                "torch": facts["packages"]["torch"],
                "processor": facts["machine"]["processor"],
            }
            writer.writerow({**row, **extra})
    for row in rows:
        print("  ".join(f"{key}={cell(row.get(key))}" for key in keys))
    groups = dict.fromkeys((row["recipe"], row["split"]) for row in rows)
    for recipe, split in groups:
        chosen = [row for row in rows if (row["recipe"], row["split"]) == (recipe, split)]
        parts = []
        named = [key for key in keys if key.endswith(" auroc")]
        for key in (*FIGURES, *named, "train_seconds", "total_seconds"):
            values = np.array([row[key] for row in chosen if row.get(key) is not None])
            if len(values):
                spread = f" +- {values.std(ddof=1):.4f}" if len(values) > 1 else ""
                parts.append(f"{key} {values.mean():.4f}{spread}")
        print(f"{recipe}, {split}, {len(chosen)} seeds: {', '.join(parts)}")
    print(f"written to {path}")


def cell(value: object) -> str:
    """A value for the table."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    keep_freed_memory()
    main()
