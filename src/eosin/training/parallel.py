"""Several processes that train one network together: who has which rows, and how they add up.

Each process computes order, augmentation and mixing of the whole batch (they are functions of seed,
epoch and step) and takes its share of the rows through the network. Gradients are added in one
flat tensor, so that all processes make the same step and their weights stay equal.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from eosin.errors import EosinError, TrainingError, UserError, needing

T = TypeVar("T")
#: Seconds without an answer after which a process counts as dead, and the variable to change it.
TIMEOUT_SECONDS, TIMEOUT_VARIABLE = 600, "EOSIN_TIMEOUT"
#: The others wait so long while the main process packs, audits or runs the teacher.
_PATIENCE = timedelta(days=7)


class LostError(Exception):
    """Another process has ended or does not answer, or this one cannot keep up with them."""


class MainError(EosinError):
    """An error of the main process, as the others get it."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Team:
    """The processes of a training; by default this one alone, where every method is the identity.

    rank: number of this process from 0; count: how many there are.

    >>> team = Team()
    >>> team.main, team.share(5), team.once(lambda: 7)
    (True, slice(0, 5, None), 7)
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank = rank
        self.count = count
        self._patient: Any = None
        self._quick: Any = None
        if count > 1:
            self._patient = dist.new_group(backend="gloo", timeout=_PATIENCE)
            self._quick = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout()))

    @property
    def main(self) -> bool:
        """Whether this process writes, prints, tracks and evaluates."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """The rows of this process among ``rows``; shares differ by one row at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def add_up(self, parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Add gradients over the processes, in place; returns the sum of the losses, a scalar.

        parameters: the same ones in all processes, those without a gradient are left out.
        """
        if self.count == 1:
            return loss
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([*(g.reshape(-1).float() for g in gradients), loss.reshape(1).float()])
        with watched_collective():
            dist.all_reduce(flat)
        parts = torch.split(flat, [*(g.numel() for g in gradients), 1])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view(gradient.shape))
        return flat[-1]

    def whole_batch(self, rows: int) -> AbstractContextManager[object]:
        """A context in which batch norm and dropout mean ``rows`` rows, of which these are some."""
        if self.count == 1:
            return nullcontext()
        from eosin.training.whole_batch import WholeBatch

        return WholeBatch(rows, self.share(rows))

    def total(self, values: Tensor) -> Tensor:
        """The sum of a tensor over the processes, in place. values: on the processor."""
        if self.count > 1:
            with watched_collective():
                dist.all_reduce(values, group=self._quick)
        return values

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether a process raises it; the same answer in all."""
        if self.count == 1:
            return flags
        return tuple(bool(n) for n in self.total(torch.tensor(flags, dtype=torch.int32)).tolist())

    def once(self, work: Callable[[], T], *, patient: bool = False) -> T:
        """What ``work`` gives in the main process, in all of them; its error ends all of them.

        patient: it may take longer than a step. What it gives must be picklable.
        """
        if self.count == 1:
            return work()
        outcome: list[Any] = [None]
        failed: Exception | None = None
        if self.main:
            try:
                outcome = [(work(), "", 0)]
                pickle.dumps(outcome)
            except Exception as error:
                failed = error
                outcome = [(None, str(error), getattr(error, "exit_code", 1))]
        with watched_collective():
            dist.broadcast_object_list(outcome, 0, group=self._patient if patient else self._quick)
        if failed is not None:
            raise failed
        value, sentence, code = outcome[0]
        if code:
            raise MainError(sentence, code)
        return value  # type: ignore[no-any-return]

    def agree(self, tensors: Sequence[Tensor], what: str) -> None:
        """Check that the tensors are the same in all processes, bit for bit.

        Raises TrainingError where they are not.
        """
        if self.count == 1:
            return
        mine = fingerprint(tensors)
        both = torch.cat([mine, -mine])
        with watched_collective():
            dist.all_reduce(both, op=dist.ReduceOp.MAX, group=self._quick)
        if not torch.equal(both, torch.cat([mine, -mine])):
            raise TrainingError(
                f"{what} differ between the processes; machines of different kinds do not compute "
                "the same: train on equal ones, or in one process"
            )

    def leave(self) -> None:
        """The end of common work; from here on each process is alone."""
        if self.count > 1:
            dist.destroy_process_group()
            self.count = 1


@contextmanager
def watched_collective() -> Iterator[None]:
    """Turn what a broken collective raises into a LostError."""
    try:
        yield
    except RuntimeError as error:
        message = str(error).lower()
        if "timed out" in message or "timeout" in message:
            raise LostError(f"another process has not answered for {timeout()} seconds") from error
        raise LostError("another process ended") from error


def fingerprint(tensors: Sequence[Tensor]) -> Tensor:
    """Sums of the bits of each tensor, int64 [n]: equal tensors give equal sums.

    >>> fingerprint([torch.zeros(2), torch.ones(1)]).tolist()
    [0, 1065353216]
    """
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = [
        t.detach().contiguous().reshape(-1).view(integers[t.element_size()]).sum(dtype=torch.int64)
        for t in tensors
    ]
    return torch.stack(sums).cpu()


def timeout() -> int:
    """Seconds without an answer after which a process counts as dead."""
    text = os.environ.get(TIMEOUT_VARIABLE, str(TIMEOUT_SECONDS))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{TIMEOUT_VARIABLE}={text}: give a whole number of seconds, at least 1")
    return int(text)


def is_first_process() -> bool:
    """Whether this process is the first that asks; where the launcher has ended, each is."""
    key = f"eosin first {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    try:
        where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(  # type: ignore[attr-defined]
            *where, is_master=False, timeout=timedelta(seconds=10)
        )
        return int(store.add(key, 1)) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


def join() -> Team:
    """Meet the other processes that torchrun or accelerate launch started.

    Raises MissingExtraError without accelerate, UserError where GPUs are fewer than processes.
    """
    with needing("cluster", "training in several processes"):
        from accelerate import PartialState
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    gpus = torch.cuda.device_count()
    if 0 < gpus < here:
        raise UserError(
            f"{here} processes on a machine with {gpus} GPU{'s' if gpus > 1 else ''}: start one "
            f"process a GPU (--nproc-per-node {gpus}), or hide them with CUDA_VISIBLE_DEVICES="
        )
    with watched_collective():
        state = PartialState(cpu=not gpus, timeout=timedelta(seconds=timeout()))
        return Team(state.process_index, state.num_processes)
