"""The plain steps of an epoch, one after another; `training.compiled` has those of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from torch import Tensor

from eosin.training.batches import Batches
from eosin.training.optimizers import WeightAverage
from eosin.training.parallel import LostError
from eosin.training.step import Step


@dataclass(eq=False)
class PlainEpoch:
    """The steps of an epoch, each from its rows, operation by operation.

    rate: the factor of the learning rate of a step, counted from the start of training; soft: a
    teacher's logits float32 [M, K].
    """

    step: Step
    batches: Batches
    rate: Callable[[int], float]
    average: WeightAverage | None = None
    soft: Tensor | None = None

    def steps(self, epoch: int, *, start: int = 0) -> Iterator[Tensor]:
        """Take the steps of an epoch (from 1) from ``start`` on; after each, its loss, a scalar.

        Where another process is lost in the middle of a step, the step leaves no trace.
        """
        buffers = list(self.step.model.buffers()) if self.step.team.count > 1 else []
        done = (epoch - 1) * self.batches.steps + start
        for number, rows in enumerate(self.batches.rows(epoch, start=start), start):
            before = [buffer.clone() for buffer in buffers]
            full = len(rows) == self.batches.batch_size
            try:
                with nullcontext() if full else self.step.plainly():
                    loss = self.step(
                        *self.batches.of(rows),
                        None if self.soft is None else self.soft[rows],
                        epoch=epoch,
                        step=number,
                        factor=self.rate(done),
                    )
            except LostError:
                for buffer, value in zip(buffers, before, strict=True):
                    buffer.copy_(value)
                raise
            if self.average:
                self.average.update(done)
            done += 1
            yield loss
