"""What a student gains from a teacher: quality and speed of teacher, student and plain network.

    python benchmarks/distillation.py STORE [--seeds 0 1 2] [--epochs 6] [--keep FOLDER]

STORE is packed from the real sample; published lists, training cases only, measured on the 29
validation cases with the weights of the last epoch. The teacher is the ensemble of compact runs,
one a seed; the students are compact and a compact of half the widths, each trained with and
without the teacher, with the same seeds and epochs. Speed: patches/s in fp32 on this machine,
median of five turns, all models taking turns in one process. With ``--keep`` what was trained
there before is used. Prints a table and writes benchmarks/results/distillation-*.csv.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.evaluation.ranking import auroc, average_precision
from eosin.inference.torch_predictor import TorchPredictor, load_run
from eosin.memory import keep_freed_memory
from eosin.refining.ensemble import ensemble
from eosin.runs import RunFolder, environment
from eosin.splitting.splits import by_published
from eosin.training.session import fit, start

Row = dict[str, Any]
NETWORKS: dict[str, dict[str, Any]] = {
    "compact": {},
    "half compact": {"arguments": {"widths": [8, 16, 32, 64, 128], "dropout": 0.2}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--keep", type=Path)
    wanted = parser.parse_args()
    store = PatchStore.open(wanted.store)
    with tempfile.TemporaryDirectory() as temporary:
        folder = wanted.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = study(store, folder, wanted.seeds, wanted.epochs)
    path = write(rows)
    show(rows)
    print(f"written to {path}")


def study(store: PatchStore, folder: Path, seeds: list[int], epochs: int) -> list[Row]:
    runs: dict[tuple[str, str, int], Path] = {}
    for seed in seeds:
        runs["compact", "labels", seed] = trained(store, folder, "compact", seed, epochs)
    teacher = folder / "teacher"
    if not teacher.exists():
        ensemble([runs["compact", "labels", seed] for seed in seeds], teacher)
    for name in reversed(NETWORKS):
        for seed in seeds:
            runs[name, "labels", seed] = trained(store, folder, name, seed, epochs)
            runs[name, "teacher", seed] = trained(store, folder, name, seed, epochs, teacher)
    runs["ensemble", "labels", -1] = teacher
    predictors = {key: load_run(path) for key, path in runs.items()}
    one_each = {key[0]: predictor for key, predictor in predictors.items()}
    speeds = measured(one_each, store)
    rows = by_published(store).parts(store)["val"]
    return [
        {
            "network": name,
            "learned_from": source,
            "seed": seed,
            "epochs": epochs,
            "parameters": sum(p.numel() for p in predictors[name, source, seed].model.parameters()),
            **figures(predictors[name, source, seed], store, rows),
            "patches_per_second": round(speeds[name]),
        }
        for name, source, seed in runs
    ]


def trained(
    store: PatchStore,
    folder: Path,
    name: str,
    seed: int,
    epochs: int,
    teacher: Path | None = None,
) -> Path:
    path = folder / f"{name.replace(' ', '-')}-{'teacher' if teacher else 'labels'}-{seed}"
    if not RunFolder(path).finished:
        session, _ = start(
            store,
            by_published(store),
            recipe(name, seed, epochs),
            path,
            teacher=teacher,
            force=path.exists(),
        )
        facts = fit(session)
        print(f"{path.name}: {facts.train_seconds or 0:.0f} s", flush=True)
    return path


def recipe(name: str, seed: int, epochs: int) -> Recipe:
    return read_recipe("compact").changed(
        seed=seed, epochs=epochs, validate_every=epochs, **NETWORKS[name]
    )


def figures(predictor: TorchPredictor, store: PatchStore, rows: np.ndarray) -> Row:
    found = predictor.read(store.patches, rows)[0].astype(np.float64)
    positive = 1 / (1 + np.exp(found[:, 0] - found[:, 1]))
    labels = store.labels[rows]
    return {
        "auroc": round(auroc(labels, positive), 5),
        "average_precision": round(average_precision(labels, positive), 5),
    }


def measured(predictors: dict[str, TorchPredictor], store: PatchStore) -> dict[str, float]:
    """Patches/s of each, median of five turns."""
    patches = np.asarray(store.patches[:1024])
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for turn in range(6):
        for name, predictor in predictors.items():
            begun = time.perf_counter()
            predictor.predict(patches)
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - begun)
    return {name: len(patches) / float(np.median(each)) for name, each in seconds.items()}


def write(rows: list[Row]) -> Path:
    facts = environment()["machine"]
    name = re.sub(r"[^a-z0-9]+", "-", facts["processor"].lower()).strip("-")
    path = Path(__file__).parent / "results" / f"distillation-{name}-{facts['cores']}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def show(rows: list[Row]) -> None:
    print("\n| network | learns from | parameters | AUROC | average precision | patches/s |")
    print("| --- | --- | --: | --: | --: | --: |")
    for name, source in dict.fromkeys((row["network"], row["learned_from"]) for row in rows):
        chosen = [r for r in rows if (r["network"], r["learned_from"]) == (name, source)]
        cells = []
        for figure in ("auroc", "average_precision"):
            values = np.array([row[figure] for row in chosen])
            spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4f}{spread}")
        first = chosen[0]
        print(
            f"| {name} | {source} | {first['parameters']:,} | {' | '.join(cells)} | "
            f"{first['patches_per_second']:,} |"
        )


if __name__ == "__main__":
    keep_freed_memory()
    main()
