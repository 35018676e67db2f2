"""One training step: augment, mix, forward, loss, backward in micro-batches, update."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from eosin.config import Recipe
from eosin.errors import TrainingError
from eosin.memory import LargestBatch, out_of_memory
from eosin.training.augment import augment, blend
from eosin.training.diagnose import no_memory
from eosin.training.draws import mixed_seed, of_step
from eosin.training.machine import Machine
from eosin.training.optimizers import Optimizer
from eosin.training.parallel import LostError, Team


@dataclass(eq=False)
class Step:
    """What happens between two states of the weights.

    class_weights: float32 [K] or None; warned is called when memory forced a smaller micro-batch;
    team: the processes that share each batch.
    """

    model: nn.Module
    optimizer: Optimizer
    recipe: Recipe
    machine: Machine
    _: KW_ONLY
    classes: int
    class_weights: Tensor | None = None
    warned: Callable[[str], None] = lambda sentence: None
    team: Team = field(default_factory=Team)

    def __post_init__(self) -> None:
        #: Patches that go through the network at once; at first the whole batch by default.
        self.micro_batch = LargestBatch(self.recipe.micro_batch or sys.maxsize, self._halved)
        #: The loss of patches through the network; `training.compiled` may put a faster one here.
        self.loss_of: Callable[[Tensor, Tensor, list[Tensor]], Tensor] = self._loss_of

    def __call__(
        self,
        patches: Tensor,
        labels: Tensor,
        soft: Tensor | None,
        *,
        epoch: int,
        step: int,
        factor: float,
    ) -> Tensor:
        """Take a step and return the loss, a scalar.

        patches: uint8 [n, H, W, 3]; labels: int64 [n]; soft: a teacher's logits, float32 [n, K];
        factor: of the learning rate. Raises TrainingError where memory cannot take one patch.
        """
        recipe, (height, width) = self.recipe, patches.shape[1:3]
        numbers = of_step(recipe, len(patches), (height, width), epoch=epoch, step=step)
        patches, targets = blend(augment(patches, numbers), self.targets(labels, soft), numbers)
        self.optimizer.set_rate(factor)
        loss = self.learn(patches, labels, targets, seed=dropout_seed(recipe, epoch, step))
        self.optimizer.step()
        return loss

    def learn(
        self, patches: Tensor, labels: Tensor, targets: list[Tensor], *, seed: int | None
    ) -> Tensor:
        """Leave the gradients of a batch, clipped, in the parameters; returns the loss, a scalar.

        seed: for dropout. None while the step is recorded: the generator stays as it is, and out of
        memory is an error, as a recording cannot start over.
        """
        recipe = self.recipe
        while True:
            if seed is not None:
                # Dropout draws from the global generator; the rest of the program must not notice.
                torch.manual_seed(seed)
            self.optimizer.zero()
            try:
                loss = self._gradients(patches, labels, targets)
                break
            except Exception as error:
                if seed is None or not self._another_try(error, len(patches)):
                    raise
            # Only here has the error let go of the tensors of the attempt.
            self.optimizer.zero()
            if self.machine.device.type == "cuda":
                torch.cuda.empty_cache()
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        return loss

    @contextmanager
    def plainly(self) -> Iterator[None]:
        """A context without the compiled loss, which would be compiled again for another size."""
        kept, self.loss_of = self.loss_of, self._loss_of
        try:
            yield
        finally:
            self.loss_of = kept

    def _another_try(self, error: Exception, count: int) -> bool:
        """Whether to try a batch of ``count`` patches again: without compiling, or in parts.

        Raises LostError where other processes wait for this one in the middle of the batch, and
        TrainingError where even one patch does not fit.
        """
        if not out_of_memory(error):
            if self.loss_of == self._loss_of:
                return False
            self.loss_of = self._loss_of
            self.warned(
                f"compiling the step failed ({first_line(error)}): continuing without it; "
                "--set compile=off turns it off from the start"
            )
            return True
        where = str(self.machine.device)
        if self.team.count > 1:
            raise LostError(no_memory(self.recipe, f"{where}, process {self.team.rank}")) from error
        tried = min(self.micro_batch.size, count)
        if tried < 2:
            raise TrainingError(no_memory(self.recipe, where)) from None
        self.micro_batch.halve(error, tried)
        return True

    def _halved(self, sentence: str) -> None:
        size = self.micro_batch.size
        self.warned(
            f"{sentence}, gradients added up to the batch of {self.recipe.batch_size}; batch norm "
            f"then sees {size} at a time. Next time: --set micro_batch={size}"
        )

    def targets(self, labels: Tensor, soft: Tensor | None) -> list[Tensor]:
        """Targets that can be blended, float32 [n, K]: of the labels, and of the teacher.

        Empty where integer labels are enough.
        """
        recipe = self.recipe
        if soft is None and not (recipe.mixup or recipe.cutmix):
            return []
        # Comparing is one_hot without its check of the range, which a recording does not allow.
        kinds = torch.arange(self.classes, device=labels.device)
        targets = [(labels[:, None] == kinds).float()]
        if soft is not None:
            targets.append(torch.softmax(soft / recipe.distill_temperature, 1))
        return targets

    def _gradients(self, patches: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        count = len(patches)
        size = min(self.micro_batch.size, count)
        total = torch.zeros((), device=self.machine.device)
        batch_weight = self._weight(labels, targets)
        for start in range(0, count, size):
            # Of every micro-batch each process takes its share of rows; alone it takes all.
            rows = min(size, count - start)
            share = self.team.share(rows)
            # Without a row it goes along with one that counts nothing.
            part = slice(start + share.start, start + max(share.stop, share.start + 1))
            mine = [target[part] for target in targets]
            with self.team.whole_batch(rows):
                loss = self.loss_of(patches[part], labels[part], mine)
                if share.stop == share.start:
                    loss = loss * 0.0
                elif size < count or self.team.count > 1:
                    loss = loss * (self._weight(labels[part], mine) / batch_weight)
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return self.team.add_up(list(self.model.parameters()), total)

    def _loss_of(self, patches: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        with self.machine.autocast():
            logits = self.model(patches)
        return self._loss(logits, labels, targets)

    def _weight(self, labels: Tensor, targets: list[Tensor]) -> Tensor | float:
        """What the mean over these patches divides by, so that parts add up to the whole."""
        if self.class_weights is None or targets:
            return float(len(labels))
        return self.class_weights[labels].sum()

    def _loss(self, logits: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        recipe = self.recipe
        if recipe.loss == "bce_of_log_softmax":
            return functional.binary_cross_entropy(logits[:, 1] - logits[:, 0], labels.float())
        loss = functional.cross_entropy(
            logits,
            targets[0] if targets else labels,
            weight=self.class_weights,
            label_smoothing=recipe.label_smoothing,
        )
        if len(targets) < 2:
            return loss
        return (1 - recipe.distill_weight) * loss + recipe.distill_weight * distillation(
            logits, targets[1], temperature=recipe.distill_temperature
        )


def dropout_seed(recipe: Recipe, epoch: int, step: int) -> int:
    """What the global generators are seeded with before a step goes through the network."""
    return mixed_seed(recipe.seed, epoch, step, 2)


def first_line(error: BaseException) -> str:
    """An error's kind and message, in one line of readable length.

    >>> first_line(ValueError("no compiler\\nlong trace"))
    'ValueError: no compiler'
    """
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}"
    # torch names the backend first, and in the next line what went wrong there.
    if lines[0].endswith(":") and len(lines) > 1:
        text = f"{text} {lines[1]}"
    return text[:200].rstrip(": ")


def distillation(logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Divergence of the student's softened answers from the teacher's, times temperature squared.

    logits: float [n, K]; teacher: softened probabilities float32 [n, K]. The square keeps the
    gradient's size as the temperature grows (Hinton et al. 2015, "Distilling the knowledge in a
    neural network").

    >>> teacher = torch.tensor([[0.25, 0.75]])
    >>> abs(distillation(teacher.log() * 2, teacher, temperature=2.0).item()) < 1e-6
    True
    """
    student = functional.log_softmax(logits.float() / temperature, dim=1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean")
    return divergence * temperature**2
