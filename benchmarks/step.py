"""Where a training step goes: its parts in milliseconds, and the operators that take most of it.

    python benchmarks/step.py ../shared/data/idc-sample.zip --recipe compact
    python benchmarks/step.py ../shared/data/idc-sample.zip --recipe article --precision fp32

The parts are those of the real step, each timed by itself, the median of ``--turns``; what the
arithmetic alone would take at the measured ceiling stands beside forward and backward. The table of
operators is torch's own profiler, over five steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import SAMPLE, Row, matrix_ceiling, show, write_csv

from eosin.memory import keep_freed_memory
from training import BATCH, article, operations


def parts_of(trainer: Any, turns: int) -> list[Row]:
    """Milliseconds of each part of a step, medians."""
    from eosin.training.augment import augment
    from eosin.training.draws import of_step

    step, batches, recipe = trainer.step, trainer.batches, trainer.recipe
    rows = next(iter(batches.rows(1)))
    taken: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        found = work()
        taken.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
        return found

    def augmented(patches: Any, turn: int) -> Any:
        return augment(patches, of_step(recipe, len(patches), size, epoch=1, step=turn))

    size = batches.patches.shape[1:3]
    trainer.model.train()
    for turn in range(turns + 2):
        patches = timed("gather the batch", lambda: batches.patches[rows])
        labels = batches.labels[rows]
        changed = timed("augment", lambda p=patches, n=turn: augmented(p, n))
        step.optimizer.zero()
        loss = timed("forward", lambda p=changed, y=labels: step._loss_of(p, y, []))
        timed("backward", loss.backward)
        timed("optimizer", step.optimizer.step)
        if trainer.average is not None:
            timed("average of weights", lambda n=turn: trainer.average.update(n))
    found = [
        {"part": name, "ms": round(statistics.median(each[2:]), 2)} for name, each in taken.items()
    ]
    total = sum(row["ms"] for row in found)
    return [row | {"share": round(row["ms"] / total, 3)} for row in found]


def operators(trainer: Any, most: int = 14) -> str:
    """The operators that take most time of five steps, as torch's profiler prints them."""
    # The profiler looks for a GPU and says at length that there is none.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        for number, rows in enumerate(trainer.batches.rows(1)):
            if number == 5:
                break
            trainer.step(
                trainer.batches.patches[rows], trainer.batches.labels[rows], None,
                epoch=1, step=number, factor=1.0,
            )  # fmt: skip
    lines = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=most).splitlines()
    columns = slice(0, 120)
    return "\n".join(line[columns] for line in lines)


def main() -> None:
    """Measure, print and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--recipe", default="compact")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--store", type=Path, help="the packed archive, if there is one")
    words = parser.parse_args()
    from eosin.data.pack import pack

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = words.store
        if store is None:
            store = pack(words.archive, folder / "packed.store").path
        trainer = article(store, folder, words.precision, words.recipe)
        rows = parts_of(trainer, words.turns)
        work = operations(trainer)["mflop_a_patch"] * BATCH / 1e3
        table = operators(trainer)
    ceiling = matrix_ceiling(words.precision)
    total = sum(row["ms"] for row in rows)
    rows.append({"part": "the whole step", "ms": round(total, 1), "share": 1.0})
    rows.append(
        {
            "part": f"its {work:.1f} GFLOP at the ceiling of {ceiling:.0f} GFLOP/s",
            "ms": round(1000 * work / ceiling, 1),
            "share": round(1000 * work / ceiling / total, 3),
        }
    )
    show(rows, f"{words.recipe}, {words.precision}, a step of {BATCH} patches")
    print(table)
    write_csv(f"step-{words.recipe}-{words.precision}", rows, packages=("torch",))


if __name__ == "__main__":
    keep_freed_memory()
    main()
