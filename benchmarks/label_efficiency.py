"""How many labeled cases a network needs, from scratch and from a run trained on other cases.

    python benchmarks/label_efficiency.py STORE [--seeds 0 1 2] [--epochs 6] [-o FOLDER]

STORE is packed from the real sample. For each seed the 82 published training cases are shuffled: a
run is trained on the first 42 ("the other cases"), then 10, 20 and 40 of the others are taken as
newly labeled, smaller sets inside larger ones. Each is trained from scratch with as many steps as
40 cases get in ``--epochs``, and from the run on the other cases with ``--epochs`` / 3 passes at a
quarter of the rates, batch norm held still (without that ten new cases pull its statistics to
themselves: docs/log.md), and by a new head alone on that run's frozen features (`eosin probe`).
Measured on the 29 published validation cases, from which no epoch was picked: the last one is kept.
The strength of the probe's logistic regression was chosen on them, one of ten. Rows are written as
they come and are not made twice. Prints a table; writes benchmarks/results/label-efficiency-*.csv
and docs/label-efficiency.png.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eosin.config import Recipe, read_recipe
from eosin.data.published import published_parts
from eosin.data.store import PatchStore
from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, canvas, legend, save
from eosin.memory import keep_freed_memory
from eosin.probing.probe import begin, fit_probe, probe_recipe
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder, environment
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_file
from eosin.training.session import fit, start

ROOT = Path(__file__).parents[1]
SIZES = (10, 20, 40)
OTHERS = 42
WAYS = {
    "scratch": "from scratch",
    "run": "from a run on 42 other cases, all of it trained on",
    "probe": "a new head on the features of that run",
}
SHORT = {"scratch": "from scratch", "run": "from an earlier run", "probe": "by a new head"}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs")
    wanted = parser.parse_args()
    store = PatchStore.open(wanted.store)
    path = results()
    rows = read(path)
    for seed in wanted.seeds:
        with tempfile.TemporaryDirectory() as folder:
            for row in one_seed(store, seed, wanted.epochs, Path(folder), rows):
                rows.append(row)
                write(path, rows)
                print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    show(rows)
    print(draw(rows, wanted.output / "label-efficiency.png"))


def one_seed(
    store: PatchStore, seed: int, epochs: int, folder: Path, known: list[Row]
) -> Iterator[Row]:
    """The rows of a seed that are not known yet, one by one."""
    present = set(store.cases.tolist())
    lists = published_parts()
    training = sorted(case for case in present if lists.get(case) == "train")
    val = sorted(case for case in present if lists.get(case) == "val")
    shuffled = [str(case) for case in np.random.default_rng(seed).permutation(training)]
    others, fresh = shuffled[:OTHERS], shuffled[OTHERS:]
    done = {(row["way"], int(row["cases"])) for row in known if int(row["seed"]) == seed}
    wanted = [(way, n) for n in (0, *SIZES) for way in (WAYS if n else ["run"])]
    if done >= set(wanted):
        return
    base_recipe = recipe(seed, epochs)
    base = folder / "base"
    facts = train(store, split(store, others, val, folder), base_recipe, base)
    if ("run", 0) not in done:
        yield entry("run", 0, seed, base, facts)
    for cases in SIZES:
        chosen = split(store, fresh[:cases], val, folder)
        longer = round(epochs * max(SIZES) / cases)
        for way in WAYS:
            if (way, cases) in done:
                continue
            run = folder / f"{way}-{cases}"
            if way == "probe":
                facts = probe(store, chosen, run, base)
            elif way == "scratch":
                facts = train(store, chosen, recipe(seed, longer), run)
            else:
                gentle = recipe(seed, max(1, round(epochs / 3))).changed(
                    muon_learning_rate=base_recipe.muon_learning_rate / 4,
                    learning_rate=base_recipe.learning_rate / 4,
                    freeze_norm=True,
                )
                facts = train(store, chosen, gentle, run, base=base)
            yield entry(way, cases, seed, run, facts)


def recipe(seed: int, epochs: int) -> Recipe:
    """Compact, validated at the end only."""
    chosen = read_recipe("compact")
    return chosen.changed(seed=seed, epochs=epochs, validate_every=epochs)


def split(store: PatchStore, train: list[str], val: list[str], folder: Path) -> Split:
    """Training and validation cases by name; all others are out."""
    roles = dict.fromkeys(train, "train") | dict.fromkeys(val, "val")
    names = dict.fromkeys(store.cases.tolist())
    text = "".join(f"{name},{roles.get(name, 'out')}\n" for name in names)
    (folder / "split.csv").write_text("case,part\n" + text, "utf-8")
    return by_file(store, folder / "split.csv")


def train(
    store: PatchStore, chosen: Split, wanted: Recipe, path: Path, **options: Any
) -> ModelFacts:
    session, _ = start(store, chosen, wanted, path, **options)
    return fit(session)


def probe(store: PatchStore, chosen: Split, path: Path, base: Path) -> ModelFacts:
    recipe, _ = probe_recipe(store, str(base))
    facts = fit_probe(begin(store, chosen, recipe, path, base=base), folder=path.parent / "cache")
    shutil.rmtree(path.parent / "cache")
    return facts


def entry(way: str, cases: int, seed: int, run: Path, facts: ModelFacts) -> Row:
    rows = RunFolder(run).metrics()
    last = min(rows, key=lambda row: row["val_loss"]) if way == "probe" else rows[-1]
    return {
        "way": way,
        "cases": cases,
        "seed": seed,
        "patches": facts.train_patches if cases else 0,
        "epochs": facts.epochs if cases else 0,
        "auroc": round(last["val_auroc"], 5),
        "average_precision": round(last["val_average_precision"], 5),
        "train_seconds": facts.train_seconds if cases else 0,
    }


def results() -> Path:
    facts = environment()["machine"]
    name = re.sub(r"[^a-z0-9]+", "-", facts["processor"].lower()).strip("-")
    return Path(__file__).parent / "results" / f"label-efficiency-{name}-{facts['cores']}.csv"


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def found(rows: list[Row], way: str, cases: int) -> np.ndarray:
    chosen = [row for row in rows if row["way"] == way and int(row["cases"]) == cases]
    return np.array([float(row["auroc"]) for row in chosen])


def show(rows: list[Row]) -> None:
    print(f"\n| labeled cases | {' | '.join(WAYS.values())} |")
    print("| --: | --: | --: | --: |")
    for cases in (0, *SIZES):
        values = [found(rows, way, cases) for way in WAYS]
        texts = [
            f"{v.mean():.4f} ({v.min():.4f} to {v.max():.4f})" if len(v) else "" for v in values
        ]
        print(f"| {cases} | {' | '.join(texts)} |")


def draw(rows: list[Row], path: Path) -> Path:
    base, most = found(rows, "run", 0).mean(), max(SIZES)
    best = {n: max(WAYS, key=lambda way, n=n: found(rows, way, n).mean()) for n in SIZES}
    few, many = SIZES[0], SIZES[-1]
    figure, (axes,) = canvas(
        f"{few} labeled cases: AUROC {found(rows, best[few], few).mean():.3f} {SHORT[best[few]]}; "
        f"{many}: {found(rows, best[many], many).mean():.3f} {SHORT[best[many]]}",
        f"compact, 29 validation cases, lines are means of {len(found(rows, 'run', most))} seeds",
        height_in=4.4,
    )
    axes.axhline(base, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        f"the earlier run as it is, {base:.3f}",
        (SIZES[0], base), (24, 4), textcoords="offset points", ha="left", va="bottom", color=INK,
    )  # fmt: skip
    for (way, words), color in zip(WAYS.items(), (ORANGE, BLUE, GREEN), strict=True):
        values = [found(rows, way, n) for n in SIZES]
        means = [v.mean() for v in values]
        axes.plot(SIZES, means, color=color, linewidth=2, marker="o", markersize=6, label=words)
        for n, each in zip(SIZES, values, strict=True):
            axes.plot([n] * len(each), each, ".", color=color, markersize=5, alpha=0.6)
    axes.set_xscale("log")
    axes.set_xticks(SIZES, [str(n) for n in SIZES])
    axes.minorticks_off()
    axes.set_xlabel("newly labeled cases")
    axes.set_ylabel("AUROC, validation cases")
    legend(axes)
    return save(figure, path)


if __name__ == "__main__":
    keep_freed_memory()
    main()
