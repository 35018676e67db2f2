"""What a GPU makes of it: epochs, quality, inference and digits, against the tutorial's way.

    python benchmarks/gpu.py                                   # all jobs, about five minutes
    python benchmarks/gpu.py --jobs epochs inference           # some of them
    python benchmarks/gpu.py --sample ZIP --digits FOLDER      # where the real data lie
    python benchmarks/gpu.py --tiny                            # seconds, on any processor

Epochs and inference run on a store of made-up patches: random bytes, 208,143 to train on and
277,524 to classify, as many as the archive has. Their time does not depend on what they show. Time
to quality runs on the sample of real patches (published lists, training cases only; the goal is on
the validation cases), digits on MNIST. The tutorial's way (image files, a DataLoader of two
workers, fp32, NCHW, SGD) is timed over so many steps as --reference-steps says and scaled to the
epoch, which the table says.

Clocks start after a warm-up, in which kernels are chosen, compiled and recorded on the data and
every weight is put back; its seconds stand beside. They stop when the GPU has finished.
Needs Python 3.11 or later and torch 2.9 or later.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from harness import RESULTS, SAMPLE, Row, Times, show, write_csv

from eosin.config import Recipe, read_recipe
from eosin.data.pack import pack
from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import StoppedError
from eosin.memory import keep_freed_memory
from eosin.models.article import ArticleNetwork
from eosin.models.classifier import Classifier, save_classifier
from eosin.runs import RunFolder
from eosin.splitting.splits import by_given, by_published
from eosin.training.loop import Reporter, Trainer
from eosin.training.machine import choose_machine
from eosin.training.validate import answers

DIGITS = SAMPLE.parent / "mnist"
TRAINED, CLASSIFIED = 208_143, 277_524
QUALITY, ACCURACY = 0.94, 0.99
COLUMNS = (
    "job", "median_s", "min_s", "max_s", "turns", "patches_per_s", "ratio", "goal_s", "warm_up_s",
    "note",
)  # fmt: skip
#: The recipe compact for digits: fewer channels, nothing turned, no stain. Measured on a processor:
#: 99.12 % after the first epoch and 99.42 % after the second.
DIGIT_SETTINGS = (
    "epochs=2", "batch_size=256", "arguments.widths=[16, 32, 64]", "arguments.blocks=[0, 0, 1]",
    "arguments.dropout=0.1", "dihedral=false", "stain=0", "brightness=0", "shift_px=0",
    "average_decay=0.95",
)  # fmt: skip


@dataclass
class Plan:
    """How much is measured, and where."""

    folder: Path
    sample: Path
    digits: Path
    trained: int = TRAINED
    classified: int = CLASSIFIED
    turns: int = 5
    reference_steps: int = 50
    workers: int = 2
    settings: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: choose_machine().device)

    def recipe(self, name: str, *settings: str) -> Recipe:
        return read_recipe(name, [*settings, *self.settings])


def main(given: list[str] | None = None) -> list[Row]:
    """Run the jobs, print the table and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", nargs="+", choices=sorted(JOBS), default=list(JOBS))
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="zip of the real patches")
    parser.add_argument("--digits", type=Path, default=DIGITS, help="folder of MNIST's files")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--reference-steps", type=int, default=50)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--tiny", action="store_true", help="a few patches, to see that it runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    words = parser.parse_args(given)
    if not torch.cuda.is_available():
        print("There is no GPU here: none of what follows is a figure of one.")
        if not words.tiny:
            raise SystemExit("Run it on a machine with a GPU, or with --tiny to see that it runs.")
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            Path(folder),
            words.sample,
            words.digits,
            turns=words.turns,
            reference_steps=words.reference_steps,
            settings=tuple(words.settings),
        )
        if words.tiny:
            plan.trained, plan.classified, plan.turns, plan.reference_steps = 70, 90, 2, 2
            plan.workers = 0
            plan.settings = ("batch_size=32", *plan.settings)
            plan.small = ("arguments.widths=[4, 8]", "arguments.blocks=[0, 1]")
        found = [row for name in words.jobs for row in JOBS[name](plan)]
    rows = [{column: row.get(column, "") for column in COLUMNS} for row in found]
    show(rows, f"{device_name(plan.device)}, torch {torch.__version__}")
    if not words.tiny:
        write_csv(f"gpu-{slug(device_name(plan.device))}", rows, packages=["torch"],
                  folder=words.results)  # fmt: skip
    return rows


# Jobs


def epochs(plan: Plan) -> list[Row]:
    """An epoch of the article's network and of compact in bf16, and of the tutorial's way."""
    store = made_up(plan)
    parts = {"train": np.arange(plan.trained)}
    reference = tutorial_epoch(plan, store)
    rows = [
        Row(
            job="epoch, the tutorial's way",
            median_s=round(reference, 3),
            turns=1,
            patches_per_s=round(plan.trained / reference),
            ratio=1.0,
            note=f"{plan.reference_steps} steps, scaled to {plan.trained:,} patches",
        )
    ]
    width = ("arguments.width=4",) if plan.small else ()
    for name, settings, goal in (("article", width, 0.5), ("compact", plan.small, None)):
        recipe = plan.recipe(name, f"epochs={plan.turns}", "precision=bf16", *settings)
        trainer = prepared(plan, store, parts, recipe)
        took = warm(trainer)
        ends: list[float] = []
        trainer.reporter = Reporter(epoch_done=lambda row, ends=ends: ends.append(row["seconds"]))
        trainer.fit()
        times = Times(tuple(np.diff([0.0, *ends]).tolist()))
        rows.append(row_of(f"epoch, {name}, bf16", times, plan.trained, reference, goal, took))
        rows[-1]["note"] = way_of(trainer)
    return rows


def quality(plan: Plan) -> list[Row]:
    """Seconds until validation AUROC 0.94 on the sample, with compact."""
    if plan.small:
        return [tiny_race(plan, "val_auroc", QUALITY)]
    if not plan.sample.exists():
        return [Row(job="time to quality", note=f"left out: no {plan.sample.name} (--sample ZIP)")]
    store = pack(plan.sample, plan.folder / "sample.store")
    parts = by_published(store).parts(store)
    return [
        race(plan, store, parts, ("compact", (f"epochs={n}",)), "val_auroc", QUALITY)
        for n in (1, 2, 3, 12)
    ]


def digits(plan: Plan) -> list[Row]:
    """Seconds until 99 % of MNIST's test images are read."""
    if plan.small:
        return [tiny_race(plan, "val_accuracy", ACCURACY)]
    if not plan.digits.exists():
        return [
            Row(job="digits to 99 %", note=f"left out: no {plan.digits.name} (--digits FOLDER)")
        ]
    store = pack(plan.digits, plan.folder / "digits.store")
    given = by_given(store).parts(store)
    train = np.sort(np.concatenate([given["train"], given["val"]]))
    parts = {"train": train, "val": given["test"]}
    return [
        race(plan, store, parts, ("compact", DIGIT_SETTINGS), "val_accuracy", ACCURACY, goal_s=1.0)
    ]


def inference(plan: Plan) -> list[Row]:
    """Classify all patches of a store by eosin's predictor in bf16, and plainly in fp32, NCHW."""
    from eosin.inference.predictor import load

    store = made_up(plan)
    patches = store.patches[: plan.classified]
    arguments: dict[str, Any] = plan.recipe("compact", *plan.small).arguments
    torch.manual_seed(0)
    model = Classifier.build("compact", classes=["0", "1"], patch_size=(50, 50),
                             arguments=arguments)  # fmt: skip
    run = RunFolder(plan.folder / "inference")
    run.create()
    save_classifier(model.eval(), run.path)
    predictor = load(run.path, precision="bf16")
    count = min(len(patches), 20 * 256)

    @torch.inference_mode()
    def plain() -> None:
        network = model.eval().to(plan.device)
        for start in range(0, count, 256):
            block = torch.from_numpy(np.array(patches[start : start + 256])).to(plan.device)
            torch.softmax(network(block), 1).cpu()

    predictor.predict(patches[:count])
    slow = Times(timed(plain, plan.turns, plan.device))
    fast = Times(timed(lambda: predictor.predict(patches), plan.turns, plan.device))
    base = slow.median * len(patches) / count
    return [
        row_of("classify, torch fp32 NCHW, 256 a batch", Times((base,)), len(patches), base)
        | {"note": f"{count:,} patches, scaled"},
        row_of("classify, eosin bf16", fast, len(patches), base),
    ]


JOBS: Mapping[str, Callable[[Plan], list[Row]]] = {
    "epochs": epochs,
    "inference": inference,
    "quality": quality,
    "digits": digits,
}


# Parts of jobs


def made_up(plan: Plan) -> PatchStore:
    """A store of random bytes, 50x50; labels in turn."""
    path = plan.folder / "made-up.store"
    if path.exists():
        return PatchStore.open(path)
    rng = np.random.default_rng(0)
    count = max(plan.trained, plan.classified)
    with StoreWriter(path, classes=["0", "1"], patch_size=(50, 50), info={"made_up": True}) as out:
        for start in range(0, count, 8192):
            n = min(8192, count - start)
            patches = np.frombuffer(rng.bytes(n * 7500), np.uint8).reshape(n, 50, 50, 3)
            numbers = range(start, start + n)
            out.append(patches, {"label": [k % 2 for k in numbers],
                                 "source": [str(k) for k in numbers]})  # fmt: skip
    return PatchStore.open(path)


def prepared(
    plan: Plan, store: PatchStore, parts: Mapping[str, npt.NDArray[np.int64]], recipe: Recipe
) -> Trainer:
    """A trainer with a run folder of its own."""
    run = RunFolder(plan.folder / f"run-{len(list(plan.folder.iterdir()))}")
    run.create()
    run.write_text("recipe.toml", recipe.to_toml())
    return Trainer(store, parts, recipe, run)


def warm(trainer: Trainer, steps: int = 8) -> float:
    """Take some steps and put everything back where it was, in place; seconds that it took."""
    begun = time.perf_counter()
    average = trainer.average.values if trainer.average else []
    tensors = [*trainer.model.state_dict().values(), *average]
    before = [tensor.clone() for tensor in tensors]
    trainer.model.train()
    trainer.tuning.epoch(1)
    for step, _ in enumerate(trainer.epochs.steps(1), 1):
        if step == steps:
            break
    if len(trainer.val_rows):
        rows = trainer.val_rows
        machine, team = trainer.machine, trainer.team
        answers(trainer.model, trainer.store.patches, rows, machine, team, trainer.val_batch)
    for tensor, value in zip(tensors, before, strict=True):
        tensor.copy_(value)
    for part in trainer.optimizer.parts:
        for state in part.state.values():
            for value in state.values():
                value.zero_()
    finish(trainer.machine.device)
    return time.perf_counter() - begun


def race(
    plan: Plan,
    store: PatchStore,
    parts: Mapping[str, npt.NDArray[np.int64]],
    recipe: tuple[str, tuple[str, ...]],
    figure: str,
    goal: float,
    goal_s: float | None = None,
) -> Row:
    """Train from each of several seeds until a validation figure is reached; the clock runs on."""
    name, settings = recipe
    seconds: list[float] = []
    best: list[float] = []
    took = 0.0
    for seed in range(plan.turns):
        trainer = prepared(plan, store, parts, plan.recipe(name, *settings, f"seed={seed}"))
        took = max(took, warm(trainer))
        found: list[float] = []
        trainer.reporter = Reporter(
            epoch_done=lambda row, found=found: found.append(row[figure]),
            stop=lambda found=found: bool(found) and found[-1] >= goal,
        )
        begun = time.perf_counter()
        with contextlib.suppress(StoppedError):
            trainer.fit()
        finish(plan.device)
        seconds.append(time.perf_counter() - begun)
        best.append(max(found))
    reached = [s for s, b in zip(seconds, best, strict=True) if b >= goal]
    row = row_of(f"{figure} {goal}, {name}, {settings[0]}", Times(tuple(seconds)), 0, 0.0, goal_s,
                 took)  # fmt: skip
    row["note"] = f"{len(reached)} of {len(best)} seeds; best {min(best):.4f} to {max(best):.4f}"
    return row


def tiny_race(plan: Plan, figure: str, goal: float) -> Row:
    """The same on made-up patches, which hold nothing to learn."""
    store = made_up(plan)
    parts = {"train": np.arange(plan.trained), "val": np.arange(plan.trained, len(store))}
    return race(plan, store, parts, ("compact", ("epochs=1", *plan.small)), figure, goal)


def tutorial_epoch(plan: Plan, store: PatchStore) -> float:
    """Seconds of an epoch in the tutorial's way, from image files to the device, scaled."""
    import tutorial
    from PIL import Image

    count = (plan.reference_steps + 4) * (32 if plan.small else 128)
    folder = plan.folder / "files"
    if plan.sample.exists() and not plan.small:
        files = tutorial.extract(plan.sample, folder, limit=count)
    else:
        files = []
        for k in range(min(count, len(store))):
            path = folder / "case" / str(k % 2) / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array(store.patches[k])).save(path)
            files.append(path)
    batches = tutorial.loader(files, batch_size=32 if plan.small else 128, workers=plan.workers)
    network = ArticleNetwork().to(plan.device)
    moved = Moved(batches, plan.device)
    seconds, _ = tutorial.train_steps(moved, network, plan.reference_steps)
    size = 32 if plan.small else 128
    return seconds / plan.reference_steps * plan.trained / size


class Moved:
    """Batches, moved to a device one by one."""

    def __init__(self, batches: Any, device: torch.device) -> None:
        self.batches = batches
        self.device = device

    def __iter__(self) -> Any:
        for images, labels in self.batches:
            yield images.to(self.device), labels.to(self.device)


def row_of(
    job: str,
    times: Times,
    work: int,
    reference: float,
    goal: float | None = None,
    warm_up: float | None = None,
) -> Row:
    """A line of the table; reference: seconds of the same work in the tutorial's way."""
    row = Row(
        job=job,
        median_s=round(times.median, 3),
        min_s=round(times.best, 3),
        max_s=round(times.worst, 3),
        turns=len(times.seconds),
    )
    if work:
        row["patches_per_s"] = round(work / times.median)
    if reference:
        row["ratio"] = round(reference / times.median, 1)
    if goal is not None:
        row["goal_s"] = goal
    if warm_up is not None:
        row["warm_up_s"] = round(warm_up, 1)
    return row


def timed(work: Callable[[], Any], turns: int, device: torch.device) -> tuple[float, ...]:
    """Seconds of each turn, until the device has finished."""
    seconds = []
    for _ in range(turns):
        finish(device)
        begun = time.perf_counter()
        work()
        finish(device)
        seconds.append(time.perf_counter() - begun)
    return tuple(seconds)


def finish(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def way_of(trainer: Trainer) -> str:
    """How the steps were taken in the end: a compiler or a recording may have been given up."""
    recorded = getattr(trainer.epochs, "recorded", False)
    fused = trainer.step.loss_of != trainer.step._loss_of
    ways = [word for word, so in (("compiled", fused), ("recorded", recorded)) if so]
    return " and ".join(ways) or "operation by operation"


def device_name(device: torch.device) -> str:
    """What the figures were measured on."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"


def slug(name: str) -> str:
    """A name as it may stand in a file's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    keep_freed_memory()
    main()
