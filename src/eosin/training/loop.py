"""The training loop: a store, its parts and a recipe in; a run folder with a model out."""

from __future__ import annotations

import copy
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributed import DistError

from eosin.config import Recipe
from eosin.data.rows import StoreRows
from eosin.data.store import PatchStore
from eosin.disks import amount
from eosin.errors import DiskError, StoppedError, TrainingError
from eosin.memory import LargestBatch, fits, out_of_memory
from eosin.models.classifier import Classifier, save_classifier
from eosin.records.model import Diagnosis, ModelFacts
from eosin.runs import RunFolder
from eosin.training import diagnose
from eosin.training.batches import Batches, OnDisk, balanced_weights, input_scaling, take
from eosin.training.checkpoint import Position, load_checkpoint, save_checkpoint
from eosin.training.compiled import DeviceEpoch, compile_loss, compiling
from eosin.training.epoch import PlainEpoch
from eosin.training.facts import facts_of
from eosin.training.finetuning import Finetuning
from eosin.training.machine import Machine, choose_machine
from eosin.training.optimizers import Optimizer, WeightAverage, rate_factor
from eosin.training.origin import fresh_classifier
from eosin.training.parallel import LostError, Team
from eosin.training.step import Step
from eosin.training.validate import BATCH, answers, validation_row
from eosin.training.watch import LossWatch

CHECKPOINT_SECONDS = 30.0
#: Views of a patch that the finished classifier averages over.
VIEWS = {"none": 1, "dihedral": 8}


@dataclass
class Reporter:
    """Callbacks of the loop; every one may be left out."""

    started: Callable[[dict[str, Any]], None] = lambda overview: None
    taught: Callable[[int, int], None] = lambda done, total: None
    stepped: Callable[[int, int, float], None] = lambda epoch, step, loss: None
    epoch_done: Callable[[dict[str, Any]], None] = lambda row: None
    warned: Callable[[str], None] = lambda sentence: None
    #: Asked after every step; True ends training with a checkpoint.
    stop: Callable[[], bool] = lambda: False


@dataclass
class Trainer:
    """One training run.

    parts: row numbers int64 of the store's "train" and, where there is one, "val" part.
    marks: sentences that every output of the run must carry (a leaking split, made-up data).
    """

    store: PatchStore
    parts: Mapping[str, npt.NDArray[np.int64]]
    recipe: Recipe
    run: RunFolder
    marks: tuple[str, ...] = ()
    reporter: Reporter = field(default_factory=Reporter)
    #: For model.json: split, start and teacher, as ``facts_of`` takes them.
    model_facts: Mapping[str, Any] = field(default_factory=dict)
    #: Puts earlier weights into the fresh classifier.
    initialize: Callable[[Classifier], None] = lambda model: None
    #: A teacher's logits for the training patches, float32 [n, K].
    soft: Tensor | None = None
    #: The processes that train together; all of them make the same trainer.
    team: Team = field(default_factory=Team)

    def __post_init__(self) -> None:
        recipe, store = self.recipe, self.store
        self.machine: Machine = choose_machine(recipe.precision)
        device = self.machine.device
        self.diagnoses: list[Diagnosis] = []
        self.position = Position()
        self._moved = False
        rows = self.parts.get("train", np.empty(0, np.int64))
        self.val_rows = self.parts.get("val", np.empty(0, np.int64))
        stored = StoreRows(store.patches, rows)
        on_disk = device.type == "cpu" and not fits(stored.nbytes)
        patches = None if on_disk else take(store.patches, rows)
        if on_disk:
            self.reporter.warned(
                f"{amount(stored.nbytes)} of training patches are more than half of the available "
                "memory: they are read from the store as they are needed"
            )
        labels = torch.from_numpy(store.labels[rows])
        counts = torch.bincount(labels, minlength=len(store.classes))
        if missing := diagnose.missing_classes(store.classes, counts.tolist()):
            self.reporter.warned(f"no training patch of class {', '.join(missing)}")
        mean, deviation = input_scaling(stored if patches is None else patches.numpy(), recipe)
        self.model = fresh_classifier(
            recipe, store, self.initialize, mean=mean, deviation=deviation
        )
        self.tuning = Finetuning(self.model, recipe)
        self.model = self.model.to(device)
        if recipe.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        on_device = device.type == "cuda" and self.team.count == 1
        self.optimizer = Optimizer(self.model, recipe, on_device=on_device)
        decay = recipe.average_decay
        self.average = WeightAverage(self.model, decay) if decay else None
        ready = OnDisk(stored) if patches is None else patches.to(device)
        self.batches = Batches(ready, labels.to(device), recipe)
        balanced = recipe.class_weights == "balanced"
        self.step = Step(
            self.model,
            self.optimizer,
            recipe,
            self.machine,
            classes=len(store.classes),
            class_weights=balanced_weights(counts).to(device) if balanced else None,
            warned=lambda sentence: self.reporter.warned(sentence),
            team=self.team,
        )
        soft = None if self.soft is None else self.soft.to(device)
        if self.team.count == 1 and compiling(recipe, self.machine):
            compile_loss(self.step)
        # The fastest way to take steps here.
        kind = DeviceEpoch if on_device else PlainEpoch
        self.epochs = kind(self.step, self.batches, self._rate, self.average, soft)
        #: Patches at once in validation.
        self.val_batch = LargestBatch(BATCH, lambda s: self.reporter.warned(f"validation: {s}"))
        self._watch = LossWatch(device, together=self.team.count > 1)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._since = time.perf_counter()

    def fit(self, *, resume: bool = False) -> ModelFacts:
        """Train to the end and save the model; returns the facts that model.json contains.

        Raises TrainingError when the loss is not finite, memory runs out or another process is
        lost, DiskError where the disk refuses what is kept, StoppedError when the reporter asks to
        stop; resume.pt has the state to resume from.
        """
        if resume:
            self._load()
        else:
            self.team.once(lambda: self.run.keep_metrics(0))
        self.reporter.started(
            {
                "machine": str(self.machine),
                "parameters": sum(p.numel() for p in self.model.parameters()),
                "patches": len(self.batches.labels),
                "epochs": self.recipe.epochs,
                "steps": self.batches.steps,
                "epoch": self.position.epoch,
                "step": self.position.step,
            }
        )
        try:
            while self.position.epoch < self.recipe.epochs:
                self._epoch()
                dead = self.recipe.stop_when_dead and any(d.dead for d in self.diagnoses)
                best = self.position.best_epoch
                if dead or (best and 0 < self.recipe.patience <= self.position.epoch - best):
                    break
            return self._finish()
        except DiskError as error:
            raise error.followed_by(f"resume with: {self._resume_command()}") from None
        except (LostError, DistError) as error:
            # On a GPU a broken collective is seen later, by whoever asks for a number.
            lost = error if isinstance(error, LostError) else LostError("another process ended")
            raise TrainingError(self._rescued(lost)) from error

    # One epoch

    def _epoch(self) -> None:
        position, steps = self.position, self.batches.steps
        number, resumed_at = position.epoch + 1, position.step
        # Compared until weights have moved once; an epoch resumed in its middle proves nothing.
        first = diagnose.weights_of(self.model) if not self._moved and not resumed_at else None
        self.model.train()
        self.tuning.epoch(number)
        self._take_steps(number)
        mean_loss = float(self._loss_sum) / steps
        if not np.isfinite(mean_loss):
            raise TrainingError(diagnose.not_finite(mean_loss, self.recipe, number, steps))
        self._pause()
        if first is not None:
            diagnosis = diagnose.unchanged(first, self.model, self.recipe, number)
            self._diagnose(diagnosis)
            self._moved = diagnosis is None
        an_epoch = self.batches.patches_an_epoch
        row = {
            "epoch": number,
            "step": number * steps,
            "loss": mean_loss,
            "seconds": position.seconds,
            "patches_per_second": number * an_epoch / max(position.seconds, 1e-9),
            "learning_rate_factor": self._rate(number * steps - 1),
        }
        due = number % self.recipe.validate_every == 0 or number == self.recipe.epochs
        if due and len(self.val_rows):
            if resumed_at < steps:
                # Whatever ends validation early then costs no step: it is resumed here.
                self._save()
            row |= self._validate(number)
        self.team.once(lambda: self.run.append_metrics(row))
        position.epoch, position.step, position.loss_sum = number, 0, 0.0
        self._save()
        self.reporter.epoch_done(row)

    def _take_steps(self, number: int) -> None:
        """The steps that are left of an epoch, with checkpoints on the way."""
        position = self.position
        self._since = saved = time.perf_counter()
        self._loss_sum.fill_(position.loss_sum)
        self._watch.restart()
        for loss in self.epochs.steps(number, start=position.step):
            self._loss_sum += loss
            position.step += 1
            if seen := self._watch.see(position.step, loss):
                at, value = seen
                if not np.isfinite(value):
                    raise TrainingError(diagnose.not_finite(value, self.recipe, number, at))
                self.reporter.stepped(number, at, value)
            now = time.perf_counter()
            stop, due = self._asked(now - saved > CHECKPOINT_SECONDS)
            if stop or due:
                saved = now
                self._pause()
                self._save()
            if stop:
                raise StoppedError(
                    f"stopped after epoch {number}, step {position.step} of {self.batches.steps}; "
                    f"resume with: {self._resume_command()}"
                )

    def _asked(self, due: bool) -> tuple[bool, ...]:
        """Whether to stop, and whether a checkpoint is due; the same answer in all processes."""
        team = self.team
        if team.count > 1 and self.machine.device.type != "cpu" and self.position.step % 50:
            return False, False
        return team.any(self.reporter.stop(), due and team.main)

    def _rate(self, step: int) -> float:
        total = self.recipe.epochs * self.batches.steps
        return rate_factor(step, total, warmup=self.recipe.warmup, decay=self.recipe.decay)

    # Validation

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """A context with the weights that would be kept now: their average, where there is one."""
        if self.average:
            self.average.swap()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()

    def _validate(self, epoch: int) -> dict[str, Any]:
        """What metrics.jsonl has of the validation; also keeps the best weights.

        Raises TrainingError where memory cannot take even one patch.
        """
        position, rows = self.position, self.val_rows
        with self._averaged():
            try:
                logits = answers(
                    self.model, self.store.patches, rows, self.machine, self.team, self.val_batch
                )
            except Exception as error:
                if not out_of_memory(error):
                    raise
                raise TrainingError(
                    f"out of memory on {self.machine.device} in the validation of epoch {epoch}, "
                    "with one patch at a time; no step is lost: free memory, then resume with: "
                    f"{self._resume_command()}"
                ) from None
            row, probabilities = validation_row(logits, self.store, rows)
            self._diagnose(diagnose.constant(probabilities))
            score = row["val_auroc"]
            if score > position.best_score or not position.best_epoch:
                position.best_score, position.best_epoch = score, epoch
                if self.recipe.keep == "best":
                    position.best_weights = copy.deepcopy(self.model.network.state_dict())
        return row

    # State

    def _pause(self) -> None:
        """Bring the position up to the step just taken."""
        now = time.perf_counter()
        self.position.loss_sum = float(self._loss_sum)
        self.position.seconds += now - self._since
        self._since = now

    def _save(self) -> None:
        self.team.agree(list(self.model.state_dict().values()), "the weights")
        self.team.once(self._write)

    def _write(self) -> None:
        state: dict[str, Any] = {
            "network": self.model.network.state_dict(),
            "optimizer": self.optimizer.state(),
            "average": self.average.state() if self.average else {},
            "store": self.store.digest,
            "diagnoses": [d.model_dump() for d in self.diagnoses],
        }
        save_checkpoint(self.run / "resume.pt", self.position, state)

    def _rescued(self, error: LostError) -> str:
        """Keep the state before the step in which another process was lost; returns a message."""
        position = self.position
        kept = "the last checkpoint has the state of up to half a minute before"
        if self.machine.device.type == "cpu":
            # A GPU has work queued behind the broken step: there its weights cannot be trusted.
            self._pause()
            self._write()
            kept = "the state before it is saved"
        done = position.step == self.batches.steps
        place = "validation" if done else f"step {position.step + 1}"
        return (
            f"{error}, in epoch {position.epoch + 1}, {place}; {kept}; "
            f"resume with: {self._resume_command()}"
        )

    def _resume_command(self) -> str:
        count = self.team.count
        many = f"torchrun --standalone --nproc-per-node {count} -m " if count > 1 else ""
        return f"{many}eosin train --resume {shlex.quote(str(self.run.path))}"

    def _load(self) -> None:
        self.position, state = load_checkpoint(self.run / "resume.pt")
        if state["store"] != self.store.digest:
            raise TrainingError(
                f"{self.run.path} was trained on store {state['store'][:12]}, "
                f"{self.store.path} is {self.store.digest[:12]}"
            )
        self.model.network.load_state_dict(state["network"])
        self.optimizer.load(state["optimizer"])
        if self.average:
            self.average.load(state["average"])
        self.diagnoses = [Diagnosis(**d) for d in state["diagnoses"]]
        self.team.once(self._tidy)

    def _tidy(self) -> None:
        self.run.keep_metrics(self.position.epoch)
        # What killed processes of earlier versions were writing.
        for left in self.run.path.glob(".resume.pt.*"):
            left.unlink(missing_ok=True)

    def _finish(self) -> ModelFacts:
        position = self.position
        if position.best_weights:
            self.model.network.load_state_dict(position.best_weights)
        elif self.average:
            self.average.swap()
        self.tuning.finish()
        self.model.views = VIEWS[self.recipe.test_time]
        facts = facts_of(
            self.model,
            self.store,
            self.recipe,
            train_patches=len(self.batches.labels),
            marks=self.marks,
            epochs=position.epoch,
            kept_epoch=position.best_epoch if position.best_weights else position.epoch,
            train_seconds=round(position.seconds, 2),
            machine=str(self.machine),
            diagnoses=tuple(self.diagnoses),
            **self.model_facts,
        )
        self.team.once(lambda: save_classifier(self.model, self.run.path, facts))
        return facts

    # Small things

    def _diagnose(self, diagnosis: Diagnosis | None) -> None:
        if diagnosis and diagnosis.name not in {d.name for d in self.diagnoses}:
            self.diagnoses.append(diagnosis)
            self.reporter.warned(diagnosis.sentence)
