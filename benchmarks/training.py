"""Training speed: the article's network beside the tutorial's way, compact beside the machine.

    python benchmarks/training.py ../shared/data/idc-sample.zip
    python benchmarks/training.py ../shared/data/idc-sample.zip --turns 5 --steps 20

Every turn is a process of its own, as the C library's allocator, once told to keep memory, cannot
be told otherwise. The turns alternate. The clock starts after two steps and runs over ``--steps``
steps of 128 patches, data included; for eosin it is the clock of the real training loop. The loss
curves are of the same first weights and the same order of batches.

Operations are counted by torch's own counter, forward and backward; the ceiling is the fastest
large matrix product in the same precision, measured in the same call.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import SAMPLE, Row, Times, child, matrix_ceiling, rows_of, show, write_csv

from eosin.cores import bf16_instructions
from eosin.memory import keep_freed_memory

BATCH = 128
WARM = 2
REFERENCE = "tutorial"
#: A processor without bf16 computes it far more slowly than fp32, so it is left out there.
BF16 = bool(bf16_instructions())
ARTICLE = (REFERENCE, "eosin fp32", *(["eosin bf16"] if BF16 else []))
COMPACT = "compact bf16" if BF16 else "compact fp32"


def tutorial_turn(archive: Path, folder: Path, store: Path, steps: int) -> Row:
    """The tutorial's way over image files, in the order of eosin's first epoch."""
    import torch
    import tutorial as way
    from torch.utils.data import DataLoader

    trainer = article(store, folder, "fp32")
    sources = trainer.store.index["source"]
    rows = trainer.parts["train"]
    order = trainer.batches.order(1)[: BATCH * (steps + WARM)].numpy()
    files = {"/".join(path.parts[-3:]): path for path in way.extract(archive, folder / "files")}
    paths = ["/".join(str(sources[int(rows[k])]).split("/")[-3:]) for k in order]
    model = trainer.model
    patches = way.Files(
        [files[path] for path in paths],
        normalize=(model.mean.tolist(), model.deviation.tolist()),
    )
    torch.manual_seed(0)
    seconds, losses = way.train_steps(
        DataLoader(patches, batch_size=BATCH, num_workers=2),
        model.network.to(memory_format=torch.contiguous_format),
        steps,
        warm_up=WARM,
    )
    return {"seconds": seconds, "losses": losses}


def article(store: Path, folder: Path, precision: str, recipe: str = "article") -> Any:
    """A trainer of eosin, ready to begin."""
    from eosin.config import read_recipe
    from eosin.data.store import PatchStore
    from eosin.runs import RunFolder
    from eosin.splitting.splits import by_published
    from eosin.training.loop import Trainer

    opened = PatchStore.open(store)
    parts = {"train": by_published(opened).parts(opened, None)["train"]}
    settings = [f"precision={precision}", "seed=0"]
    run = RunFolder(folder / f"run-{recipe}-{time.monotonic_ns()}")
    run.create()
    return Trainer(opened, parts, read_recipe(recipe, settings), run)


def eosin_turn(store: Path, folder: Path, precision: str, recipe: str, steps: int) -> Row:
    """The real training loop, stopped after so many steps."""
    from eosin.errors import StoppedError

    trainer = article(store, folder, precision, recipe)
    clock: list[float] = []
    losses: list[float] = []

    def stepped(epoch: int, step: int, loss: float) -> None:
        clock.append(time.perf_counter())
        losses.append(loss)

    trainer.reporter.stepped = stepped
    trainer.reporter.stop = lambda: len(clock) >= steps + WARM
    with contextlib.suppress(StoppedError):
        trainer.fit()
    # The stop wrote a checkpoint; the last clock was read before it.
    found: Row = {"seconds": clock[-1] - clock[WARM - 1], "losses": losses}
    if recipe != "article":
        found |= operations(trainer)
        found["ceiling"] = matrix_ceiling(precision)
        found["ceiling_fp32"] = matrix_ceiling("fp32")
    return found


def operations(trainer: Any) -> Row:
    """Operations of a trained patch, forward and backward, and the parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    patches, labels = trainer.batches.patches[:16], trainer.batches.labels[:16]
    with FlopCounterMode(display=False) as counter:
        loss = torch.nn.functional.cross_entropy(trainer.model(patches), labels)
        loss.backward()
    return {"mflop_a_patch": counter.get_total_flops() / 16 / 1e6}


def turn(name: str, archive: Path, folder: Path, steps: int) -> Row:
    """One turn of one job in a process of its own."""
    words = [__file__, archive, "--turn", name, "--folder", folder, "--steps", str(steps)]
    found: Row = json.loads(child(words).stdout.splitlines()[-1])
    return found


def apart(one: list[float], other: list[float]) -> float:
    """Largest difference between two loss curves, each a mean over five steps."""

    def smooth(losses: list[float]) -> list[float]:
        return [statistics.fmean(losses[k : k + 5]) for k in range(len(losses) - 4)]

    return max(abs(a - b) for a, b in zip(smooth(one), smooth(other), strict=True))


def main() -> None:
    """Measure, print and write the CSV; or one turn, for itself."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.turn:
        store = words.folder / "packed.store"
        if words.turn == REFERENCE:
            found = tutorial_turn(words.archive, words.folder, store, words.steps)
        else:
            recipe = "compact" if words.turn == COMPACT else "article"
            precision = words.turn.split()[-1]
            found = eosin_turn(store, words.folder, precision, recipe, words.steps)
        print(json.dumps(found))
        return
    from eosin.data.pack import pack

    jobs = (*ARTICLE, COMPACT)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    last: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pack(words.archive, folder / "packed.store")
        turn(REFERENCE, words.archive, folder, 1)  # writes the image files once
        for _ in range(words.turns):
            for name in jobs:
                last[name] = turn(name, words.archive, folder, words.steps)
                seconds[name].append(last[name]["seconds"])
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    work = words.steps * BATCH
    times = {name: Times(tuple(taken)) for name, taken in seconds.items()}
    rows = rows_of({name: times[name] for name in ARTICLE}, work=work)
    for row in rows:
        row["loss_apart"] = round(apart(last[REFERENCE]["losses"], last[row["job"]]["losses"]), 5)
    show(rows, f"the article's network, {words.steps} steps of {BATCH}")
    facts = last[COMPACT]
    reached = [work * facts["mflop_a_patch"] / 1e3 / taken for taken in seconds[COMPACT]]
    compact = rows_of({COMPACT: times[COMPACT]}, work=work)
    compact[0] |= {
        "mflop_a_patch": round(facts["mflop_a_patch"], 1),
        "gflop_per_s": round(statistics.median(reached), 1),
        "ceiling_gflop_per_s": round(facts["ceiling"], 1),
        "share": round(statistics.median(reached) / facts["ceiling"], 3),
    }
    show(compact, "compact, the real training loop")
    write_csv("training", [*rows, *compact], packages=("torch",))


if __name__ == "__main__":
    keep_freed_memory()
    main()
