"""Time until validation AUROC 0.94 on the sample: the published lists, training cases only.

    python benchmarks/time_to_quality.py ../shared/data/idc-sample.zip
    python benchmarks/time_to_quality.py ../shared/data/idc-sample.zip --steps compact-2 --seeds 0

The steps are a ladder: each changes little of the one before, so that what it gains can be
read. The first is the article's network, corrected, under the tutorial's settings and in the
tutorial's way: image files, a DataLoader of two workers, fp32, SGD at 0.001, 20 epochs, or until
--budget seconds have passed. The clock runs from the data on disk (for the tutorial image files,
for eosin the packed store) until the end of the validation that reached the goal; audit, packing
and extraction stand beside it. Validation follows every epoch. The goal is on the validation cases,
which these steps were chosen on: it measures speed, not what a test would say.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import SAMPLE, Row, show, write_csv

from eosin.memory import keep_freed_memory

GOAL = 0.94
#: Of the training patches of the published lists in the sample, as eosin scales its input by.
MEAN, DEVIATION = (0.7912, 0.6236, 0.7289), (0.1562, 0.2245, 0.1589)


@dataclass(frozen=True)
class Step:
    """A rung: its name, what changed, and the settings of eosin that it trains with."""

    name: str
    change: str
    recipe: str
    settings: tuple[str, ...] = ()


TUTORIAL = "tutorial"
_ADAM = ("optimizer=adamw", "weight_decay=0.05")
_HALF = "arguments.widths=[8,16,32,64,128]"
LADDER = (
    Step("article", "eosin's store, bf16, kept memory: the same settings", "article"),
    Step("article-adamw", "AdamW at 0.001", "article", ("optimizer=adamw",)),
    Step("compact-adamw", "the network compact with its augmentation", "compact", _ADAM),
    Step("compact", "Muon", "compact"),
    Step("compact-3", "a schedule of 3 epochs", "compact", ("epochs=3",)),
    Step("compact-2", "a schedule of 2 epochs", "compact", ("epochs=2",)),
    Step("compact-1", "a schedule of 1 epoch", "compact", ("epochs=1",)),
    Step("half-2", "half the channels, 2 epochs", "compact", ("epochs=2", _HALF)),
    Step("half-1", "half the channels, 1 epoch", "compact", ("epochs=1", _HALF)),
)


def run(step: Step, store: Any, split: Any, folder: Path, seed: int, *, quiet: bool) -> Row:
    """Train one step with one seed until the goal or the end of its schedule."""
    from eosin.config import read_recipe
    from eosin.errors import StoppedError
    from eosin.training.loop import Reporter
    from eosin.training.session import fit, start

    reached: list[float] = []
    rows: list[Row] = []

    def epoch_done(row: Row) -> None:
        rows.append(row)
        if not quiet:
            print(f"  epoch {row['epoch']}  AUROC {row['val_auroc']:.4f}  "
                  f"{time.perf_counter() - begun:.0f} s", flush=True)  # fmt: skip
        if row["val_auroc"] >= GOAL and not reached:
            reached.append(time.perf_counter() - begun)

    before = time.perf_counter()
    session, _ = start(
        store, split, read_recipe(step.recipe, [*step.settings, f"seed={seed}"]), folder
    )
    begun = time.perf_counter()
    with contextlib.suppress(StoppedError):
        fit(session, reporter=Reporter(epoch_done=epoch_done, stop=lambda: bool(reached)))
    return {
        "step": step.name,
        "change": step.change,
        "seed": seed,
        "seconds_to_goal": round(reached[0], 1) if reached else "",
        "epochs": len(rows),
        "best_auroc": round(max(row["val_auroc"] for row in rows), 4),
        "seconds": round(reached[0] if reached else time.perf_counter() - begun, 1),
        "audit_s": round(begun - before, 1),
    }


def tutorial(archive: Path, folder: Path, budget: float) -> Row:
    """The tutorial's way, until the goal, 20 epochs or the budget of seconds."""
    import torch
    import tutorial as way

    from eosin.data.published import published_cases
    from eosin.evaluation.ranking import auroc
    from eosin.models.article import ArticleNetwork

    parts = {case.case: case.part for case in published_cases()}
    begun = time.perf_counter()
    files = way.extract(archive, folder)
    took = time.perf_counter() - begun
    chosen = {
        part: [path for path in files if parts.get(path.parts[-3]) == part]
        for part in ("train", "val")
    }
    begun = time.perf_counter()
    torch.manual_seed(0)
    network = ArticleNetwork()
    scaling = {"normalize": (MEAN, DEVIATION)}
    train, val = (way.loader(chosen[part], **scaling) for part in ("train", "val"))
    best, epochs, reached = 0.0, 0, 0.0
    while epochs < 20 and not reached and time.perf_counter() - begun < budget:
        way.train_steps(train, network, len(train), warm_up=0)
        truth, score = way.scores(val, network)
        epochs += 1
        found = auroc(truth, score)
        best = max(best, found)
        seconds = time.perf_counter() - begun
        print(f"  epoch {epochs}  AUROC {found:.4f}  {seconds:.0f} s", flush=True)
        if found >= GOAL:
            reached = seconds
    return {
        "step": TUTORIAL,
        "change": "the article's network, corrected, in the tutorial's way",
        "seed": 0,
        "seconds_to_goal": round(reached, 1) if reached else "",
        "epochs": epochs,
        "best_auroc": round(best, 4),
        "seconds": round(time.perf_counter() - begun, 1),
        "extract_s": round(took, 1),
    }


def summary(rows: Sequence[Row]) -> list[Row]:
    """A row a step: the median over seeds, and how often the reference's time fits into it."""
    found = []
    base: float | None = None
    least = False
    for name in dict.fromkeys(row["step"] for row in rows):
        mine = [row for row in rows if row["step"] == name]
        times = sorted(row["seconds_to_goal"] for row in mine if row["seconds_to_goal"] != "")
        all_reached = len(times) == len(mine)
        middle = times[len(times) // 2] if all_reached else None
        if name == TUTORIAL:
            base, least = mine[0]["seconds"], not times
        row: Row = {
            "step": name,
            "change": mine[0]["change"],
            "reached": f"{len(times)} of {len(mine)}",
            "seconds_to_goal": middle if middle is not None else "",
            "seconds": max(row["seconds"] for row in mine),
            "epochs": max(row["epochs"] for row in mine),
            "best_auroc": max(row["best_auroc"] for row in mine),
        }
        # The reference may not get there at all: then the ratio is a lower bound.
        row["ratio"] = f"{'> ' * least}{base / middle:.1f}" if base and middle else ""
        found.append(row)
    return found


def main() -> None:
    """Measure the steps, print the ladder and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--steps", nargs="+", help="only these, by name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds of the tutorial's")
    parser.add_argument("--store", type=Path, help="the packed archive, if there is one")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--name", default="time-to-quality", help="of the CSV")
    words = parser.parse_args()

    from eosin.data.pack import pack
    from eosin.data.store import PatchStore
    from eosin.splitting.splits import by_published

    known = [TUTORIAL, *(step.name for step in LADDER)]
    chosen = words.steps or known
    if wrong := set(chosen) - set(known):
        parser.error(f"unknown step {', '.join(sorted(wrong))}; known: {', '.join(known)}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if TUTORIAL in chosen:
            print(TUTORIAL, flush=True)
            rows.append(tutorial(words.archive, folder / "files", words.budget))
        store = (
            PatchStore.open(words.store)
            if words.store
            else pack(words.archive, folder / "packed.store")
        )
        split = by_published(store)
        for step in LADDER:
            for seed in words.seeds if step.name in chosen else ():
                print(f"{step.name}, seed {seed}", flush=True)
                path = folder / f"{step.name}-{seed}"
                rows.append(run(step, store, split, path, seed, quiet=words.quiet))
    show(summary(rows), f"seconds until validation AUROC {GOAL}")
    write_csv(words.name, rows, packages=("torch",))


if __name__ == "__main__":
    keep_freed_memory()
    main()
