"""The training loop: a store, its parts and a recipe in; a run folder with a model out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributed import DistError

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import SplitError, StoppedError, TrainingError
from eosin.models.classifier import Classifier, save_classifier
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.training.batches import Batches, input_scaling, mixed_seed, take
from eosin.training.checkpoint import Position, load_checkpoint, save_checkpoint
from eosin.training.diagnose import (
    Diagnosis,
    constant,
    missing_classes,
    not_finite,
    unchanged,
    weights_of,
)
from eosin.training.epoch import epochs_of
from eosin.training.facts import facts_of
from eosin.training.finetuning import Finetuning
from eosin.training.machine import Machine, choose_machine, keep_freed_memory
from eosin.training.optimizers import Optimizer, WeightAverage, rate_factor
from eosin.training.parallel import LostError, Team
from eosin.training.step import Step
from eosin.training.validate import answers, validation_figures
from eosin.training.watch import LossWatch

CHECKPOINT_SECONDS = 30.0
#: Views of a patch that the finished classifier averages over.
VIEWS = {"none": 1, "dihedral": 8}


@dataclass
class Reporter:
    """Whom the loop tells what happens; every callback may be left out."""

    started: Callable[[dict[str, Any]], None] = lambda facts: None
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
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: Puts earlier weights into the fresh classifier.
    begin: Callable[[Classifier], None] | None = None
    #: A teacher's logits for the training patches, float32 [n, K].
    soft: Tensor | None = None
    #: The processes that train together; all of them make the same trainer.
    team: Team = field(default_factory=Team)

    def __post_init__(self) -> None:
        self.machine: Machine = choose_machine(self.recipe.precision)
        self.diagnoses: list[Diagnosis] = []
        self.position = Position()
        self._moved = False
        rows = self.parts.get("train", np.empty(0, np.int64))
        if len(rows) < 2:
            raise SplitError(f"the split has {len(rows)} training patches; at least 2 are needed")
        self.val_rows = self.parts.get("val", np.empty(0, np.int64))
        patches = take(self.store.patches, rows)
        labels = torch.from_numpy(self.store.labels[rows])
        counts = torch.bincount(labels, minlength=len(self.store.classes))
        if missing := missing_classes(self.store.classes, counts.tolist()):
            self.reporter.warned(f"no training patch of class {', '.join(missing)}")
        mean, deviation = input_scaling(patches, self.recipe)
        torch.manual_seed(mixed_seed(self.recipe.seed, 1))
        self.model = Classifier.build(
            self.recipe.network,
            classes=self.store.classes,
            patch_size=self.store.patch_size,
            arguments=self.recipe.arguments,
            mean=mean,
            deviation=deviation,
        )
        if self.begin is not None:
            self.begin(self.model)
        self.tuning = Finetuning(self.model, self.recipe)
        self.model = self.model.to(self.machine.device)
        if self.recipe.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        on_device = self.machine.device.type == "cuda" and self.team.count == 1
        self.optimizer = Optimizer(self.model, self.recipe, on_device=on_device)
        decay = self.recipe.average_decay
        self.average = WeightAverage(self.model, decay) if decay else None
        self.batches = Batches(
            patches.to(self.machine.device),
            labels.to(self.machine.device),
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            sampling=self.recipe.sampling,
            drop_last=self.recipe.drop_last,
        )
        class_weights: Tensor | None = None
        if self.recipe.class_weights == "balanced":
            weights = len(labels) / (len(counts) * counts.clamp(min=1).double())
            class_weights = weights.float().to(self.machine.device)
        if self.soft is not None:
            self.soft = self.soft.to(self.machine.device)
        self.step = Step(
            self.model,
            self.optimizer,
            self.recipe,
            self.machine,
            classes=len(self.store.classes),
            class_weights=class_weights,
            warned=lambda sentence: self.reporter.warned(sentence),
            team=self.team,
        )
        self.epochs = epochs_of(
            self.step, self.batches, rate=self._rate, average=self.average, soft=self.soft
        )
        self._watch = LossWatch(self.machine.device, together=self.team.count > 1)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.machine.device)
        self._since = time.perf_counter()

    def fit(self, *, resume: bool = False) -> ModelFacts:
        """Train to the end and save the model; returns the facts that model.json holds.

        Raises TrainingError when the loss is not finite, memory runs out or another process is
        lost, StoppedError when the reporter asks to stop; resume.pt holds the state to go on from.
        """
        keep_freed_memory()
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
                if any(d.dead for d in self.diagnoses) and self.recipe.stop_when_dead:
                    break
                if self._patience_is_over():
                    break
            return self._finish()
        except (LostError, DistError) as error:
            # On a GPU a broken collective is seen later, by whoever asks for a number.
            lost = error if isinstance(error, LostError) else LostError("another process is gone")
            raise TrainingError(self._rescued(lost)) from error

    # One epoch

    def _epoch(self) -> None:
        position = self.position
        number = position.epoch + 1
        # Looked at until weights have moved once; an epoch entered in its middle says nothing.
        first = weights_of(self.model) if not self._moved and not position.step else None
        self.model.train()
        self.tuning.epoch(number)
        self._since = saved = time.perf_counter()
        self._loss_sum.fill_(position.loss_sum)
        self._watch.begin()
        for loss in self.epochs.steps(number, start=position.step):
            self._loss_sum += loss
            position.step += 1
            if seen := self._watch.see(position.step, loss):
                at, value = seen
                if not np.isfinite(value):
                    raise TrainingError(not_finite(value, self.recipe, number, at))
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
                    f"go on with: {self._go_on()}"
                )
        mean_loss = float(self._loss_sum) / self.batches.steps
        if not np.isfinite(mean_loss):
            raise TrainingError(not_finite(mean_loss, self.recipe, number, self.batches.steps))
        self._pause()
        if first is not None:
            if found := unchanged(first, self.model, self.recipe, number):
                self._diagnose(found)
            self._moved = not found
        row = {
            "epoch": number,
            "step": number * self.batches.steps,
            "loss": mean_loss,
            "seconds": position.seconds,
            "patches_per_second": self._patches_so_far(number) / max(position.seconds, 1e-9),
            "learning_rate_factor": self._rate(number * self.batches.steps - 1),
        }
        if len(self.val_rows) and (
            number % self.recipe.validate_every == 0 or number == self.recipe.epochs
        ):
            row.update(self._validate(number))
        self.team.once(lambda: self.run.append_metrics(row))
        position.epoch, position.step, position.loss_sum = number, 0, 0.0
        self._loss_sum.zero_()
        self._save()
        self.reporter.epoch_done(row)

    def _asked(self, due: bool) -> tuple[bool, ...]:
        """Whether to stop, and whether a checkpoint is due; all processes hear the same."""
        team = self.team
        if team.count > 1 and self.machine.device.type != "cpu" and self.position.step % 50:
            return False, False
        return team.any(self.reporter.stop(), due and team.main)

    def _rate(self, step: int) -> float:
        total = self.recipe.epochs * self.batches.steps
        return rate_factor(step, total, warmup=self.recipe.warmup, decay=self.recipe.decay)

    # Validation

    def _validate(self, epoch: int) -> dict[str, Any]:
        """Figures of the validation part with the weights that would be kept now."""
        if self.average:
            self.average.swap()
        try:
            patches, rows = self.store.patches, self.val_rows
            logits = answers(self.model, patches, rows, self.machine, self.team)
        except LostError:
            if self.average:
                self.average.swap()
            raise
        labels = self.store.labels[self.val_rows]
        figures, probabilities = validation_figures(logits, labels)
        if found := constant(probabilities):
            self._diagnose(found)
        score = figures["val_auroc"]
        if score > self.position.best_score or not self.position.best_epoch:
            self.position.best_score, self.position.best_epoch = score, epoch
            if self.recipe.keep == "best":
                self.position.best_weights = copy.deepcopy(self.model.network.state_dict())
        if self.average:
            self.average.swap()
        # The tutorial's habit of watching one image: the first of the last class.
        watched = int(np.flatnonzero(labels == labels.max())[0])
        return {
            **figures,
            "watched": str(self.store.index["source"][int(self.val_rows[watched])]),
            "watched_class": self.store.classes[labels[watched]],
            "watched_probability": float(probabilities[watched, labels[watched]]),
        }

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

    def _write(self, writer: int | None = None) -> None:
        state: dict[str, Any] = {
            "network": self.model.network.state_dict(),
            "optimizer": self.optimizer.state(),
            "average": self.average.state() if self.average else {},
            "store": self.store.digest,
            "diagnoses": [vars(d) for d in self.diagnoses],
        }
        try:
            save_checkpoint(self.run / "resume.pt", self.position, state, writer=writer)
        except (OSError, RuntimeError) as error:
            # torch wraps what goes wrong below it, such as a full disk, in a RuntimeError.
            raise TrainingError(f"{self.run / 'resume.pt'} cannot be written ({error})") from None

    def _rescued(self, error: LostError) -> str:
        """Keep the state before the step in which another process was lost; what to say."""
        position = self.position
        kept = "the last checkpoint holds the state of up to half a minute before"
        if self.machine.device.type == "cpu":
            # A GPU has work queued behind the broken step: there its weights cannot be trusted.
            self._pause()
            self._write(self.team.rank)
            kept = "the state before it is saved"
        return (
            f"{error}, in epoch {position.epoch + 1}, step {position.step + 1}; {kept}; "
            f"go on with: {self._go_on()}"
        )

    def _go_on(self) -> str:
        count = self.team.count
        many = f"torchrun --standalone --nproc-per-node {count} -m " if count > 1 else ""
        return f"{many}eosin train --resume {self.run.path}"

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
        # What processes were writing when they were killed.
        for left in self.run.path.glob(".resume.pt.*"):
            left.unlink(missing_ok=True)

    def _finish(self) -> ModelFacts:
        if self.recipe.keep == "best" and self.position.best_weights:
            self.model.network.load_state_dict(self.position.best_weights)
        elif self.average:
            self.average.swap()
        self.tuning.finish()
        self.model.views = VIEWS[self.recipe.test_time]
        position = self.position
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
            diagnoses=[vars(d) for d in self.diagnoses],
            **self.facts,
        )
        self.team.once(lambda: save_classifier(self.model, self.run.path, facts))
        return facts

    # Small things

    def _diagnose(self, found: Diagnosis) -> None:
        if found.name not in {d.name for d in self.diagnoses}:
            self.diagnoses.append(found)
            self.reporter.warned(found.sentence)

    def _patience_is_over(self) -> bool:
        patience = self.recipe.patience
        return bool(
            patience
            and self.position.best_epoch
            and self.position.epoch - self.position.best_epoch >= patience
        )

    def _patches_so_far(self, epochs: int) -> int:
        size, count = self.batches.batch_size, len(self.batches.labels)
        return epochs * min(self.batches.steps * size, count)
